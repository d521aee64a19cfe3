#pragma once
/*
 * devpts: the file system whose names are ptys, and ptmx, which makes them (pts(4)). Every mount is
 * an instance of its own.
 *
 * Locking: the list of ptys under lock (RANK_LEAF). Lifetime: ptys own it; it lists those whose
 * master is open, which owns the pty. Saved: the super block and its nodes; the list is rebuilt by
 * the ptys.
 */
#include "sentry/fs/tty/pty.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/super.h"

struct devpts_super {
	struct super_block sb;
	u32 uid, gid, mode, ptmxmode, max; /* mount options; immutable */
	bool set_uid, set_gid;             /* else the opener's; immutable */
	struct kernel *kernel;             /* immutable */
	struct mutex lock;
	TAILQ_HEAD(, pty) ptys GUARDED_BY(lock); /* with a master; by number */
	u32 n_ptys GUARDED_BY(lock);
};
OBJECT_DECL(devpts_super);

struct devpts_node {
	struct inode inode;
};
OBJECT_DECL(devpts_node);

/* kernel.pty.max: of all instances together; and how many there are. */
#define PTYS_MAX 4096u
u32 devpts_count(void);
/* Gives p the lowest free number, its node, and its place in the list. -ENOSPC. */
MUST_CHECK int devpts_add(struct devpts_super *fs, struct ctx *c, struct pty *p);
/* The master was closed: the name goes. */
void devpts_remove(struct devpts_super *fs, struct pty *p);
/* While loading: p, whose number is known, is listed again. -EBADMSG for a number taken twice. */
MUST_CHECK int devpts_add_loaded(struct devpts_super *fs, struct pty *p);
/* The instance that opening ptmx at path means: the one it is in, or the one mounted on "pts"
 * beside it. *ret: its root, references for the caller. -ENODEV. */
MUST_CHECK int devpts_of(struct ctx *c, const struct path *path, struct path *ret);
/* The path of p's slave in the instance whose root this is. References for the caller. */
MUST_CHECK int devpts_slave_path(struct ctx *c, const struct path *root, struct pty *p,
                                 struct path *ret);
static inline struct devpts_super *devpts_sb(struct super_block *sb)
{
	return obj_cast(devpts_super, sb);
}
