#pragma once
/*
 * Inodes: what a name stands for. Every file system derives its own from struct inode and gives it
 * an inode_ops (obj_type.ops); callers use the inode_* wrappers below, or better the vfs_* calls of
 * sentry/vfs/namei.h, which check permissions and keep the dentries right.
 *
 * Locking: attributes under inode->lock (RANK_INODE), read without it where one torn field cannot
 * hurt. sb, ino, the type bits of mode and rdev are immutable.
 * Lifetime: refcounted object; dentries, open files and mappings refer to it.
 * Saved: all of it, by the derived type (BASE inode).
 */
#include "sentry/ctx/ctx.h"
#include "sentry/mm/mappable.h"
#include "sentry/vfs/stat.h"
#include "state/base/lock.h"

#include <sys/queue.h>
#include <sys/stat.h>

struct creds;
struct dentry;
struct dir_sink;
struct file;
struct inode_locks;
struct kernel;
struct loader;
struct path;
struct super_block;

/*
 * State that a file type hangs on an inode (a FIFO's pipe, a socket's address, an overlay's notes):
 * derive from it, abstract by itself. It dies with the inode.
 */
struct inode_extra {
	struct obj obj;
};
OBJECT_DECL(inode_extra);

struct inode {
	struct mappable map;    /* base */
	struct super_block *sb; /* owned, immutable; NULL for anonymous inodes */
	u64 ino;                /* immutable */
	struct mutex lock;
	u32 mode GUARDED_BY(lock); /* type bits immutable */
	u32 uid, gid GUARDED_BY(lock);
	u32 nlink GUARDED_BY(lock);
	u32 rdev; /* immutable, as st_rdev */
	u64 size GUARDED_BY(lock);
	s64 atime, mtime, ctime, btime GUARDED_BY(lock);
	struct inode_extra *extra GUARDED_BY(lock); /* owned; NULL: none */
	struct inode_locks *
		locks GUARDED_BY(lock);     /* owned; sentry/vfs/flock.h; NULL: never locked */
	LIST_HEAD(, inotify_watch) watches; /* sentry/vfs/inotify.h; not owned */
	_Atomic u32 writers;                /* descriptions open for writing: execve says ETXTBSY */
	_Atomic u32 readers;                /* and for reading only: for leases */
	_Atomic u32
		executed; /* address spaces that it is the program of: opens for writing say so */
};
OBJECT_DECL(inode);

/*
 * dir is always a directory; name is NUL-terminated, 1 to 255 bytes, no '/', not "." or "..".
 * Calls that change names (create, link, symlink, mkdir, unlink, rmdir, rename) come with the
 * directory dentries' dir_locks held, after permission, read-only and existence checks against the
 * dentry cache, and nothing of RANK_DENTRY or lower; lookups come with no lock at all. NULL
 * operations that change something: -EPERM (as Linux), unless said otherwise. Those that make an
 * inode take owner and time from c (c->creds->fsuid), mode is masked already, and return a
 * reference. A file system that has no persistent inodes may return a fresh inode from each lookup.
 */
struct inode_ops {
	struct mappable_ops map; /* zeros unless the file can be mapped */
	/* -ENOENT (then a negative dentry may be cached). NULL: -ENOTDIR. */
	int (*lookup)(struct inode *dir, struct ctx *c, const char *name, struct inode **ret);
	/* A regular file, FIFO, socket or device node as the type bits of mode say. */
	int (*create)(struct inode *dir, struct ctx *c, const char *name, u32 mode, u32 rdev,
	              struct inode **ret);
	int (*mkdir)(struct inode *dir, struct ctx *c, const char *name, u32 mode,
	             struct inode **ret);
	int (*symlink)(struct inode *dir, struct ctx *c, const char *name, const char *target,
	               struct inode **ret);
	/* A second name for target (same super block, not a directory). */
	int (*link)(struct inode *dir, struct ctx *c, const char *name, struct inode *target);
	/* victim is what name stands for in the cache; -ENOENT or -ESTALE if it no longer does. */
	int (*unlink)(struct inode *dir, struct ctx *c, const char *name, struct inode *victim);
	/* -ENOTEMPTY. */
	int (*rmdir)(struct inode *dir, struct ctx *c, const char *name, struct inode *victim);
	/* flags: RENAME_NOREPLACE (checked already), RENAME_EXCHANGE, RENAME_WHITEOUT. target is
	 * what new_name stands for, or NULL. -EINVAL for flags that are not supported. */
	int (*rename)(struct inode *dir, struct ctx *c, const char *name, struct inode *victim,
	              struct inode *new_dir, const char *new_name, struct inode *target, u32 flags);
	/* O_TMPFILE: an inode without a name. NULL: -EOPNOTSUPP. */
	int (*tmpfile)(struct inode *dir, struct ctx *c, u32 mode, struct inode **ret);
	/*
	 * Where a symbolic link leads: 0 with *ret_text malloc'd, or, for magic links of proc, 1
	 * with *ret_jump filled (its references are the caller's). NULL: not a link.
	 */
	int (*get_link)(struct inode *inode, struct ctx *c, char **ret_text, struct path *ret_jump);
	/* What readlink(2) shows of a magic link, malloc'd. NULL: the text of get_link. */
	int (*readlink)(struct inode *inode, struct ctx *c, char **ret_text);
	/* Fills all of *ret. NULL: from the fields (inode_fill_stat). */
	int (*getattr)(struct inode *inode, struct ctx *c, struct kstat *ret);
	/* Permissions are checked. A changed size of a regular file also unmaps what lies past it.
	 * NULL: mode, owner and times are set in memory, a size change is -EINVAL. */
	int (*setattr)(struct inode *inode, struct ctx *c, const struct iattr *attr);
	/* The open file, path being where it was found (references are taken). Permissions are
	 * checked and O_TRUNC is done; flags are those that F_GETFL shows later. File systems with
	 * device nodes and FIFOs hand those to special_open. NULL: special_open. */
	int (*open)(struct inode *inode, struct ctx *c, const struct path *path, u32 flags,
	            struct file **ret);
	/* Instead of the owner/group/other check; mask of MAY_*. NULL: that check. */
	int (*permission)(struct inode *inode, struct ctx *c, const struct creds *creds, u32 mask);
	/* xattr(7); names arrive whole ("user.x"). Sizes 0 ask for the size; -ERANGE. NULL:
	 * -EOPNOTSUPP. */
	long (*getxattr)(struct inode *inode, struct ctx *c, const char *name, void *buf,
	                 size_t size);
	int (*setxattr)(struct inode *inode, struct ctx *c, const char *name, const void *buf,
	                size_t size, int flags);
	long (*listxattr)(struct inode *inode, struct ctx *c, char *buf, size_t size);
	int (*removexattr)(struct inode *inode, struct ctx *c, const char *name);
	/* From after_load of what refers to the inode (open, a working directory, a mount's place):
	 * is what it stands for outside the sandbox still the same? loader_fail's result if not.
	 * NULL: nothing outside. */
	int (*check_loaded)(struct inode *inode, struct loader *l);
};

static inline const struct inode_ops *inode_ops_of(const struct inode *i)
{
	return i->map.obj.type->ops;
}

#define MAY_EXEC  1u
#define MAY_WRITE 2u
#define MAY_READ  4u

/* Sets the common fields of a new inode: owner from c (NULL: root), times now, nlink 1 (2 for a
 * directory). sb may be NULL; a reference is taken. */
void inode_setup(struct inode *i, struct super_block *sb, struct ctx *c, u64 ino, u32 mode);
/* From the fields, with size, blocks by size, dev of sb. */
void inode_fill_stat(struct inode *i, struct kstat *ret);

/* inodes(7) access check with the fs ids of creds (NULL: those of c). 0 or -EACCES. */
MUST_CHECK int inode_permission(struct inode *i, struct ctx *c, const struct creds *creds,
                                u32 mask);
/* The owner/group/other check itself, for permission operations that only add to it. */
MUST_CHECK int inode_permission_mode(struct inode *i, const struct creds *creds, u32 mask);
/* The caller owns i or has CAP_FOWNER. */
bool inode_owner_or_capable(struct inode *i, struct ctx *c);
MUST_CHECK int inode_getattr(struct inode *i, struct ctx *c, struct kstat *ret);
/* Checks what chmod, chown, utimensat, truncate need (not read-only mounts), strips set-id bits as
 * Linux does, and changes. attr may be adjusted. */
MUST_CHECK int inode_setattr(struct inode *i, struct ctx *c, struct iattr *attr);
/* The change itself on the fields, under the lock: for setattr operations of memory file systems.
 * Not the size. */
void inode_apply_attr(struct inode *i, struct ctx *c, const struct iattr *attr);
/* atime/mtime/ctime to now. */
void inode_touch(struct inode *i, struct ctx *c, bool atime, bool mtime, bool ctime);
/* What a new inode in dir gets of mode: the umask is taken off, and set-group-id of an executable
 * that would go to a group (of a set-group-id directory) that its maker is not in. */
u32 inode_new_mode(struct ctx *c, struct inode *dir, u32 mode);
/* The owner's group of a new inode in dir, and what a new directory inherits (set-group-id). */
void inode_inherit(struct inode *i, const struct inode *dir);
/* A read through f: atime moves as relatime wants it. For file systems that keep it in memory. */
void inode_accessed(struct inode *i, struct ctx *c, const struct file *f);
/* The same through a mount with these flags: for links that are followed. */
void inode_accessed_through(struct inode *i, struct ctx *c, u32 flags);
/* A write to a file with set-id bits by someone without CAP_FSETID clears them. */
void inode_write_clears_setid(struct inode *i, struct ctx *c);
/* What a file is trusted with (security.capability) ends with its owner or its content. */
void inode_drop_capabilities(struct inode *i, struct ctx *c);
/* malloc'd text of a symbolic link. -EINVAL if it is none. */
MUST_CHECK int inode_readlink(struct inode *i, struct ctx *c, char **ret_text);

/* Guest realtime now, in ns, as file times want it; c may be NULL. */
s64 inode_now(struct ctx *c);
/* A new number for files in memory. */
u64 inode_next_ino(struct kernel *k);

static inline bool inode_is_dir(const struct inode *i)
{
	return S_ISDIR(i->mode);
}
static inline bool inode_is_lnk(const struct inode *i)
{
	return S_ISLNK(i->mode);
}
static inline bool inode_is_reg(const struct inode *i)
{
	return S_ISREG(i->mode);
}

/*
 * FIFOs, devices and sockets open the same way whatever file system their node is in: the file
 * types register an opener, special_open finds it by the type bits (and major number).
 */
struct special_file {
	u32 type;  /* S_IFIFO, S_IFCHR, ... */
	int major; /* -1: any */
	int (*open)(struct inode *inode, struct ctx *c, const struct path *path, u32 flags,
	            struct file **ret);
};
#define SPECIAL_FILE(id, ...)                                   \
	static const struct special_file id = {__VA_ARGS__};    \
	static const struct special_file *const id##_registered \
		__attribute__((used, section("special_files"), aligned(sizeof(void *)))) = &id
MUST_CHECK int inode_open(struct inode *i, struct ctx *c, const struct path *path, u32 flags,
                          struct file **ret);
/* -ENXIO if nothing opens it. */
MUST_CHECK int special_open(struct inode *i, struct ctx *c, const struct path *path, u32 flags,
                            struct file **ret);
