#pragma once
/*
 * The super block of proc, and the places that its links to nameless files lead to.
 *
 * Locking: nameless_lock (RANK_LEAF) guards nameless. Lifetime: the mount of nameless files is made
 * at the first need and dies with the super block. Saved: as an object of its own.
 */
#include "sentry/fs/pseudo.h"

struct proc_super {
	struct pseudo_super pseudo;
	struct kernel *kernel; /* weak */
	struct mutex nameless_lock;
	struct mount *nameless; /* owned; NULL until needed */
};
OBJECT_DECL(proc_super);

/* A place for an inode that has none: references in *ret. sb is a proc's. */
void proc_nameless_path(struct super_block *sb, struct inode *inode, struct path *ret);
