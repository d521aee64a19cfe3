#pragma once
/*
 * Paths: from text to a place in the tree, and what calls do there. path_resolution(7), openat2(2).
 *
 * Locking: callers hold nothing of RANK_MOUNT or lower. Lifetime: a struct path that is returned
 * holds references; path_put or AUTO_PATH drop them. Saved: no state of its own.
 */
#include "sentry/vfs/dentry.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/mount.h"

#define PATH_TEXT_MAX 4096 /* with the NUL */
#define SYMLINKS_MAX  40

static inline void path_get(const struct path *p)
{
	obj_get(p->mount);
	obj_get(p->dentry);
}
static inline void path_put(struct path *p)
{
	obj_put(p->dentry);
	obj_put(p->mount);
	p->dentry = NULL;
	p->mount = NULL;
}
#define AUTO_PATH __attribute__((cleanup(path_put))) struct path
static inline struct inode *path_inode(const struct path *p)
{
	return p->dentry->inode;
}

enum lookup_flags {
	LOOKUP_FOLLOW = 1,       /* a link at the end is followed */
	LOOKUP_DIRECTORY = 2,    /* -ENOTDIR for anything else */
	LOOKUP_EMPTY = 4,        /* "" is dirfd itself (AT_EMPTY_PATH) */
	LOOKUP_NO_AUTOMOUNT = 8, /* accepted, nothing is auto-mounted */
	/* openat2(2) */
	LOOKUP_NO_XDEV = 0x10,
	LOOKUP_NO_MAGICLINKS = 0x20,
	LOOKUP_NO_SYMLINKS = 0x40,
	LOOKUP_BENEATH = 0x80,
	LOOKUP_IN_ROOT = 0x100,
	LOOKUP_REAL_IDS = 0x200, /* permissions by the real ids: access(2) */
};

/* Reads a path argument. A malloc'd copy; -EFAULT, -ENAMETOOLONG. */
MUST_CHECK int user_get_path(struct ctx *c, uaddr_t src, char **ret);

/* The place that name stands for, seen from dirfd (or AT_FDCWD). -ENOENT if there is nothing. */
MUST_CHECK int path_lookup(struct ctx *c, int dirfd, const char *name, u32 flags, struct path *ret);
/* The same from a given place; root: what '/' and '..' stop at. For boot and for others' trees. */
MUST_CHECK int path_lookup_from(struct ctx *c, const struct path *root, const struct path *start,
                                const char *name, u32 flags, struct path *ret);
/*
 * The directory that holds name's last component, and that component, for calls that make or remove
 * names. last has room for DENTRY_NAME_MAX + 1. *ret_slash: text followed it ("a/"). The last
 * component "." or ".." or nothing ("/") comes with *ret_special true.
 */
MUST_CHECK int path_parent(struct ctx *c, int dirfd, const char *name, struct path *ret_dir,
                           char *last, bool *ret_slash, bool *ret_special);

/* The path's text as seen from root, as getcwd and /proc show it: into the end of buf, returning
 * where it starts. Unlinked: " (deleted)" follows; unreachable: "(unreachable)" precedes.
 * -ENAMETOOLONG. */
MUST_CHECK int path_text(const struct path *p, const struct path *root, char *buf, size_t size,
                         char **ret);
/* The same from c's root, as links in /proc show it: what that does not lead to is told from the
 * top of its namespace, without a word. Never fails: an overlong one is cut at the front. */
void path_describe(const struct path *p, struct ctx *c, char *buf, size_t size);

struct open_how_k {
	u32 flags;   /* open(2)'s */
	u32 mode;    /* permission bits, before the umask */
	u32 resolve; /* RESOLVE_* */
};
/* open(2) short of the descriptor. A reference. */
MUST_CHECK int path_open(struct ctx *c, int dirfd, const char *name, const struct open_how_k *how,
                         struct file **ret);
/* Opens a place that was found. flags as open(2); permissions are checked. */
MUST_CHECK int path_open_found(struct ctx *c, const struct path *p, u32 flags, struct file **ret);
/* For execve and interpreters: a regular file that may be executed (x bit, noexec mounts).
 * flags: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH. -EACCES. */
MUST_CHECK int path_open_exec(struct ctx *c, int dirfd, const char *name, int flags,
                              struct file **ret);

/* The calls of their names; permissions, sticky bits, read-only mounts, umask are seen to. */
MUST_CHECK int vfs_mknod(struct ctx *c, int dirfd, const char *name, u32 mode, u32 rdev);
MUST_CHECK int vfs_mkdir(struct ctx *c, int dirfd, const char *name, u32 mode);
MUST_CHECK int vfs_symlink(struct ctx *c, const char *target, int dirfd, const char *name);
MUST_CHECK int vfs_link(struct ctx *c, int olddirfd, const char *oldname, int newdirfd,
                        const char *newname, int flags);
MUST_CHECK int vfs_unlink(struct ctx *c, int dirfd, const char *name);
MUST_CHECK int vfs_rmdir(struct ctx *c, int dirfd, const char *name);
MUST_CHECK int vfs_rename(struct ctx *c, int olddirfd, const char *oldname, int newdirfd,
                          const char *newname, u32 flags);
/* Makes a node at a place without an open: for bind(2) of unix sockets. *ret: where it is. */
MUST_CHECK int vfs_mknod_path(struct ctx *c, int dirfd, const char *name, u32 mode, u32 rdev,
                              struct path *ret);
/* Attribute changes through a mount: -EROFS, then inode_setattr. */
MUST_CHECK int vfs_setattr(struct ctx *c, const struct path *p, struct iattr *attr);
/* truncate(2): also RLIMIT_FSIZE. f: the open file for ftruncate (whose path may be empty), or
 * NULL. */
MUST_CHECK int vfs_truncate(struct ctx *c, const struct path *p, u64 size, struct file *f);
