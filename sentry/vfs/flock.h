#pragma once
/*
 * File locks: flock(2), record locks of fcntl(2), and open file description locks. All are local to
 * the sandbox; those of one inode hang on it.
 *
 * A lock is owned by an open description (flock, OFD) or by a descriptor table (record locks; what
 * Linux compares too). The descriptions and tables are not referenced: closing a descriptor calls
 * locks_closed, and a description's last put calls locks_file_gone.
 *
 * Locking: inode_locks->lock (RANK_FLOCK). Lifetime: made at an inode's first lock, dies with it.
 * Saved: the locks that are held. Who waits asks again.
 */
#include "sentry/vfs/file.h"

struct fd_table;

enum lock_kind {
	LOCK_KIND_FLOCK,
	LOCK_KIND_POSIX,
	LOCK_KIND_OFD
};

struct file_lock {
	struct obj obj;
	TAILQ_ENTRY(file_lock) link;
	u32 kind;
	bool exclusive;
	u64 start, end;         /* inclusive; end INT64_MAX: to the end of the file */
	struct file *file;      /* weak: owner of FLOCK and OFD */
	struct fd_table *files; /* weak: owner of POSIX */
	u32 pid;                /* of who took it, for F_GETLK */
};
OBJECT_DECL(file_lock);

struct dnotify;
struct lease;
struct inode_locks {
	struct obj obj;
	struct mutex lock;
	TAILQ_HEAD(file_lock_list, file_lock) held;  /* owned */
	TAILQ_HEAD(lease_list, lease) leases;        /* owned; lease.h */
	TAILQ_HEAD(dnotify_list, dnotify) dnotifies; /* owned; dnotify.h */
	_Atomic u32 n_dnotifies;                     /* of them */
	struct waitq changed;
};
OBJECT_DECL(inode_locks);
/* Those of i, NULL if there were none so far; made if need be. */
struct inode_locks *inode_locks_peek(struct inode *i);
struct inode_locks *inode_locks_of(struct inode *i);

/* flock(2): LOCK_SH, LOCK_EX, LOCK_UN, with LOCK_NB. -EWOULDBLOCK, -EINVAL, -ERESTARTSYS. */
MUST_CHECK int flock_file(struct file *f, struct ctx *c, int op);

/* fcntl(2) F_GETLK, F_SETLK, F_SETLKW and the F_OFD_ ones; fd is the descriptor that f was looked
 * up by. -EAGAIN, -EBADF (access mode), -EDEADLK, -EFAULT, -EINVAL, -EOVERFLOW, -ERESTARTSYS. */
MUST_CHECK int fcntl_lock(struct file *f, struct ctx *c, int fd, int cmd, uaddr_t arg);
static inline bool is_lock_cmd(int cmd)
{
	return (cmd >= F_GETLK && cmd <= F_SETLKW) || (cmd >= F_OFD_GETLK && cmd <= F_OFD_SETLKW);
}

/* A descriptor for f in files was closed: record locks of files on its inode go. */
void locks_closed(struct file *f, struct fd_table *files);
/* f's last reference is gone. */
void locks_file_gone(struct file *f);
/* They are those of the file that f has open: what f's last put gives up. */
bool locks_are_of(const struct inode_locks *l, const struct file *f);
/* The locks that f, or files by record on f's inode, holds: as /proc/PID/fdinfo shows them, as many
 * lines as fit, the text terminated. */
void locks_show(struct file *f, const struct fd_table *files, u64 dev, u64 ino, char *buf,
                size_t size);
