#pragma once
/*
 * Mounts and mount namespaces: which super block appears where.
 *
 * Locking: the tree under ns->lock (RANK_MOUNT); a mount's parent, mountpoint and list of children
 * also under its own lock (RANK_LEAF), so that path walks need not take the namespace's. Lifetime:
 * a namespace owns its root, a mount owns those on it; open files keep a mount that was detached
 * usable. Saved: all of it.
 */
#include "sentry/vfs/file.h"
#include "sentry/vfs/super.h"

#include <sys/mount.h>

struct fs_context;
struct mount_ns;

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

/* mount->flags: what restricts access, in mount(2)'s bits. */
#define MOUNT_FLAGS                                                                   \
	(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOSYMFOLLOW | MS_NOATIME | \
	 MS_NODIRATIME | MS_RELATIME)

struct mount {
	struct obj obj;
	u32 id;                 /* mountinfo; immutable */
	struct super_block *sb; /* owned; immutable */
	struct dentry *root;    /* owned; immutable */
	char *source;           /* owned; immutable */
	_Atomic u32 flags;      /* MOUNT_FLAGS */
	struct mutex lock;
	struct mount *parent;                   /* weak; NULL: namespace root or detached */
	struct dentry *mountpoint;              /* owned; in parent; NULL as parent */
	TAILQ_HEAD(mount_list, mount) children; /* owned, oldest first: later ones cover earlier */
	TAILQ_ENTRY(mount) sibling;
	struct mount_ns *ns; /* weak; NULL: detached */
};
OBJECT_DECL(mount);

struct mount_ns {
	struct obj obj;
	struct rwlock lock;     /* RANK_MOUNT */
	struct mount *root;     /* owned */
	_Atomic u32 generation; /* changes: pollers of /proc/mounts */
	struct waitq changed;
	u64 ino; /* its number as a file; 0: that of the first; immutable */
};
OBJECT_DECL(mount_ns);

/* A mount of root (a dentry of sb; NULL: its root), not attached yet. */
struct mount *mount_new(struct kernel *k, struct super_block *sb, struct dentry *root,
                        const char *source, u32 flags);
/* A namespace whose root is m (takes a reference). */
struct mount_ns *mount_ns_new(struct mount *m);
/* Tells every mount of a tree that was built outside that ns is its namespace. */
void mount_ns_adopt(struct mount_ns *ns);
/* unshare(CLONE_NEWNS): a copy of the whole tree; fs is moved over to the copies of its places. */
MUST_CHECK int mount_ns_copy(struct mount_ns *ns, struct kernel *k, struct fs_context *fs,
                             struct mount_ns **ret);
/* The mount that covers (m, d), topmost: true with *p replaced (its references moved on). */
bool mount_cross(struct path *p);
/* The place that p's mount is mounted on: a reference in *ret; false at a namespace root. */
bool mount_up(const struct path *p, struct path *ret);
/* Attaches m at the place. -ENOENT if it was removed, -ENOTDIR, -EINVAL if it is detached. */
MUST_CHECK int mount_attach(struct mount *m, const struct path *at);
/* Detaches and with it everything below. -EBUSY without MNT_DETACH if in use, -EINVAL for the root.
 */
MUST_CHECK int mount_detach(struct mount *m, int flags);
/* mount --move. */
MUST_CHECK int mount_move(struct mount *m, const struct path *to);
/*
 * pivot_root(2), for a caller whose root is *root: the mount at new takes its place and it moves to
 * old. Who has it as root or working directory is the caller's business. -EBUSY, -EINVAL.
 */
MUST_CHECK int mount_pivot(const struct path *root, const struct path *new, const struct path *old);
/* Bind: a new mount of from's subtree; recursive copies the mounts below too. Not attached. */
MUST_CHECK int mount_bind(struct kernel *k, const struct path *from, bool recursive,
                          struct mount **ret);

/* A new file system instance at a place: for boot (c in args NULL) and mount(2). */
MUST_CHECK int mount_new_fs(const struct fs_type *type, const struct fs_mount_args *args, u32 flags,
                            const struct path *at);

/* Calls fn for every mount below (and with) root, parents first, until it returns other than 0;
 * returns that. fn must not change mounts. */
int mount_ns_walk(struct mount_ns *ns, int (*fn)(struct mount *m, void *arg), void *arg);
/* The namespace of a task. A reference. */
struct mount_ns *fs_mount_ns(struct fs_context *fs);
/* Text of a mount's flags as in /proc/mounts: "rw,nosuid,relatime" plus the super block's options.
 */
void mount_options_text(struct mount *m, char *buf, size_t size);

static inline u32 mount_flags(const struct mount *m)
{
	return atomic_load_explicit(&((struct mount *)(uintptr_t)m)->flags, memory_order_relaxed);
}
/* -EROFS if nothing may be written through m. */
MUST_CHECK int mount_want_write(const struct mount *m);
