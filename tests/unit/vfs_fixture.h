#pragma once
/*
 * A tree of files for tests: a tmpfs as root, a namespace, a caller that is root.
 *
 * Locking: single threaded. Lifetime: per test. Saved: by the tests themselves.
 */
#include "sentry/auth/creds.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/namei.h"
#include "state/snapshot.h"
#include "tests/unit/mm_fixture.h"

struct tree {
	struct world *w;
	struct ctx c;
	struct mount_ns *ns;
};

/* A fresh tmpfs as root. */
void tree_init(struct tree *t);
/* The same over a super block (whose reference is taken over). */
void tree_init_on(struct tree *t, struct world *w, struct super_block *sb);
/* Ends all, and checks that nothing leaked. */
void tree_end(struct tree *t);
/* Drops the tree but keeps the world. */
void tree_drop(struct tree *t);

/* Shorthands: 0 or -errno; as the calls of the same names with AT_FDCWD. */
int t_open(struct tree *t, const char *path, u32 flags, u32 mode, struct file **ret);
/* Opens, closes. */
int t_try(struct tree *t, const char *path, u32 flags);
int t_write(struct tree *t, const char *path, const char *text);
/* Content into a static buffer, or "(errno name)". */
const char *t_read(struct tree *t, const char *path);
int t_stat(struct tree *t, const char *path, bool follow, struct kstat *ret);
/* Names sorted and joined by spaces, without the dots, in a static buffer. */
const char *t_list(struct tree *t, const char *path);
/* The caller becomes uid and gid, without capabilities unless 0. */
void t_become(struct tree *t, u32 uid, u32 gid);

/* Saves what the caller holds (its root, working directory, descriptors, mounts). */
void tree_save(struct tree *t, struct snapshot *ret);
/* Loads such a save into t, which is a fresh caller in world w. 0, or the error with *ret_why. */
int tree_load(struct tree *t, struct world *w, const struct snapshot *snap, char **ret_why);
