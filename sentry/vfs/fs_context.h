#pragma once
/*
 * Where a task is: its mount namespace, its root, its working directory and its umask. Shared by
 * CLONE_FS.
 *
 * Locking: RANK_FS_CONTEXT inside; getters return references. Lifetime: refcounted object.
 * Saved: all of it.
 */
#include "sentry/vfs/file.h"

struct kernel;
struct mount_ns;

struct fs_context {
	struct obj obj;
	struct mount_ns *ns; /* owned, replaced by unshare(CLONE_NEWNS); lock */
	struct mutex lock;
	struct path root GUARDED_BY(lock);
	struct path cwd GUARDED_BY(lock);
	u32 umask GUARDED_BY(lock);
};
OBJECT_DECL(fs_context);

/* Takes references to all. */
struct fs_context *fs_context_new(struct mount_ns *ns, const struct path *root,
                                  const struct path *cwd, u32 umask);
/* fork without CLONE_FS; also unshare(CLONE_FS). */
struct fs_context *fs_context_copy(struct fs_context *fs);
void fs_get_root(struct fs_context *fs, struct path *ret);
void fs_get_cwd(struct fs_context *fs, struct path *ret);
/* chroot(2), chdir(2) after their checks. */
void fs_set_ns(struct fs_context *fs, struct mount_ns *ns);
void fs_set_root(struct fs_context *fs, const struct path *p);
void fs_set_cwd(struct fs_context *fs, const struct path *p);
/* unshare(CLONE_NEWNS): a context that is nobody else's gets a copy of its namespace. */
MUST_CHECK int fs_new_mount_ns(struct fs_context *fs, struct kernel *k);
/* Whichever of the two is at from goes to to: for pivot_root(2). */
void fs_replace(struct fs_context *fs, const struct path *from, const struct path *to);
u32 fs_umask(struct fs_context *fs);
/* The old one. */
u32 fs_set_umask(struct fs_context *fs, u32 mask);
