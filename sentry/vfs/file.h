#pragma once
/*
 * An open file description: what open(2) makes and descriptors refer to. Every kind of file embeds
 * struct file first and has a file_ops (obj_type.ops); callers go through the file_* wrappers,
 * which check the access mode and define what a missing operation means.
 *
 * Locking: flags are atomic; pos under pos_lock (RANK_FILE_POS), taken by the wrappers for reads
 * and writes at the current position of seekable files. Lifetime: refcounted; the last put runs
 * destroy, which may block (a gofer clunk) and therefore never happens under a lock of RANK_INODE
 * or lower. Saved: everything but locks and queues.
 */
#include "sentry/ctx/ctx.h"
#include "sentry/mm/mappable.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/usercopy.h"
#include "sentry/vfs/poll.h"
#include "state/object.h"

#include <fcntl.h>

#define O_LARGEFILE_GUEST 0100000u /* what 64-bit Linux adds to every opened file's flags */

struct dentry;
struct epoll_item;
struct fasync;
struct inode;
struct kstat;
struct mount;

/* A place in the mounted tree. Owned references when a struct holds one. */
struct path {
	struct mount *mount;
	struct dentry *dentry;
};

struct file {
	struct mapid id; /* base: what mappings of it are called */
	_Atomic u32
		flags; /* O_ACCMODE and status flags as F_GETFL shows them, O_PATH, O_CLOEXEC not */
	bool seekable; /* immutable: lseek, pread and the pos lock make sense */
	struct path path;    /* immutable; mount and dentry NULL for anonymous files */
	struct inode *inode; /* immutable; never NULL */
	struct mutex pos_lock;
	s64 pos GUARDED_BY(pos_lock);
	/* F_SETOWN, F_SETSIG: see fasync.h; ep_lock */
	s32 owner_type, owner_pid, owner_sig;
	s64 owner_since;
	u32 owner_uid, owner_euid;
	struct fasync *fasync;                                 /* owned; set once; NULL: none */
	struct mutex ep_lock;                                  /* RANK_LEAF */
	TAILQ_HEAD(, epoll_item) ep_items GUARDED_BY(ep_lock); /* epolls that watch it; not owned */
};
OBJECT_DECL(file);

/* Receives directory entries; false: no room, stop before this one. off is the position after it.
 */
struct dir_sink {
	bool (*entry)(struct dir_sink *s, const char *name, size_t len, u64 ino, u8 type, s64 off);
};

struct file_ops {
	struct mapid_ops id; /* describe: file_describe unless special */
	/* Transfers at *pos and advances it (pos NULL: a stream). May block unless O_NONBLOCK
	 * (-EAGAIN). Bytes, 0 at the end, -errno; -ERESTARTSYS if interrupted. NULL: -EINVAL. */
	long (*read)(struct file *f, struct ctx *c, struct uiter *dst, s64 *pos);
	/* The same; O_APPEND is the inode's business (under its lock). NULL: -EINVAL. */
	long (*write)(struct file *f, struct ctx *c, struct uiter *src, s64 *pos);
	/* Ready events now; poll_add(pt, queue) first. NULL: always readable and writable. */
	u32 (*poll)(struct file *f, struct poll_table *pt);
	/* What poll says may be something else after a load: it is the host that is asked. */
	bool polls_host;
	/* False for those of a type that epoll refuses all the same (-EPERM). NULL: as poll says.
	 */
	bool (*can_poll)(struct file *f);
	/* NULL: -ENOTTY. */
	long (*ioctl)(struct file *f, struct ctx *c, u32 cmd, u64 arg);
	/* Fills args->mappable (borrowed), max_prot; checks. NULL: -ENODEV. */
	int (*mmap)(struct file *f, struct ctx *c, struct mmap_args *args);
	/* Entries from *pos on. NULL: -ENOTDIR. */
	int (*iterate)(struct file *f, struct ctx *c, struct dir_sink *sink, s64 *pos);
	/* New position. NULL: the generic SET/CUR/END over the inode's size, or -ESPIPE. */
	s64 (*llseek)(struct file *f, struct ctx *c, s64 off, int whence);
	int (*fsync)(struct file *f, struct ctx *c, bool data_only); /* NULL: 0 */
	int (*fallocate)(struct file *f, struct ctx *c, int mode, s64 off,
	                 s64 len); /* -EOPNOTSUPP */
	/* A descriptor of it was closed (each close, not the last). NULL: nothing. */
	void (*flush)(struct file *f, struct ctx *c);
	/* F_SETFL is about to change flags. NULL: fine. */
	int (*set_flags)(struct file *f, u32 flags);
	/* O_ASYNC changes. NULL: files of the type send no signals (FIOASYNC: -ENOTTY). */
	void (*set_async)(struct file *f, struct ctx *c, bool on);
	/* Text for /proc/PID/fdinfo/N below the common lines. NULL: none. */
	void (*fdinfo)(struct file *f, char *buf, size_t size);
	/* What readlink of /proc/PID/fd/N gives for an anonymous file ("pipe:[7]"). */
	void (*link_name)(struct file *f, char *buf, size_t size);
};

static inline const struct file_ops *file_ops_of(const struct file *f)
{
	return f->id.obj.type->ops;
}
static inline u32 file_flags(const struct file *f)
{
	return atomic_load_explicit(&((struct file *)(uintptr_t)f)->flags, memory_order_relaxed);
}
static inline bool file_nonblock(const struct file *f)
{
	return (file_flags(f) & O_NONBLOCK) != 0;
}
static inline bool file_readable(const struct file *f)
{
	return ((file_flags(f) & O_ACCMODE) == O_RDONLY || (file_flags(f) & O_ACCMODE) == O_RDWR) &&
	       !(file_flags(f) & O_PATH);
}
static inline bool file_writable(const struct file *f)
{
	return ((file_flags(f) & O_ACCMODE) == O_WRONLY || (file_flags(f) & O_ACCMODE) == O_RDWR) &&
	       !(file_flags(f) & O_PATH);
}

/* The inode that the file was opened by: what stat, locks and /proc go by. f->inode is where its
 * content is, which in an overlay may be an inode of the lower file system. */
struct inode *file_place(const struct file *f);
/* A write of src goes to the end of the file. */
static inline bool file_appends(const struct file *f, const struct uiter *src)
{
	return src->append || (file_flags(f) & O_APPEND) != 0;
}

/* Sets the common fields of a new file of any kind; takes its own references. path may be NULL. */
void file_setup(struct file *f, u32 flags, const struct path *path, struct inode *inode);
/* An anonymous inode (fstat: mode, no links) for files without a path. */
struct inode *anon_inode_new(struct kernel *k, u32 mode);

/* The wrappers: what the man pages of the calls say, for a file whose descriptor was looked up. */
MUST_CHECK long file_read(struct file *f, struct ctx *c, struct uiter *dst);
MUST_CHECK long file_pread(struct file *f, struct ctx *c, struct uiter *dst, s64 pos);
MUST_CHECK long file_write(struct file *f, struct ctx *c, struct uiter *src);
MUST_CHECK long file_pwrite(struct file *f, struct ctx *c, struct uiter *src, s64 pos);
u32 file_poll(struct file *f, struct poll_table *pt);
MUST_CHECK long file_ioctl(struct file *f, struct ctx *c, u32 cmd, u64 arg);
MUST_CHECK int file_mmap(struct file *f, struct ctx *c, struct mmap_args *args);
MUST_CHECK int file_iterate(struct file *f, struct ctx *c, struct dir_sink *sink);
MUST_CHECK s64 file_llseek(struct file *f, struct ctx *c, s64 off, int whence);
MUST_CHECK int file_fsync(struct file *f, struct ctx *c, bool data_only);
MUST_CHECK int file_fallocate(struct file *f, struct ctx *c, int mode, s64 off, s64 len);
MUST_CHECK int file_stat(struct file *f, struct ctx *c, struct kstat *ret);
/* A file_ops.llseek for files that have no position but say that all went well. */
s64 file_llseek_nowhere(struct file *f, struct ctx *c, s64 off, int whence);
/* Counts in inode->executed. */
void file_executed(struct mapid *id, bool begins);
/* Has a name in a directory, or once had: its path says it. Else file_link_name does. */
bool file_named(const struct file *f);
#define FILE_LINK_NAME_MAX 320
void file_link_name(struct file *f, char *buf, size_t size);
void file_describe(struct mapid *id, char *buf, size_t size, u64 *ret_dev, u64 *ret_ino);

/*
 * The usual blocking read or write: calls op until it does not say -EAGAIN, sleeping on q between,
 * unless the file is non-blocking. Interrupted: -ERESTARTSYS.
 */
MUST_CHECK long file_block(struct file *f, struct ctx *c, struct waitq *q, u32 events,
                           long (*op)(struct file *f, struct ctx *c, void *arg), void *arg);
