#pragma once
/*
 * Directory notification (fcntl(2), F_NOTIFY): a signal when something in a directory changes, what
 * inotify was made to replace. It is an open description's and a descriptor table's, as record
 * locks are: any close of it there ends it.
 *
 * Locking: inode_locks->lock (RANK_FLOCK), in whose list they are; signals are sent later, when the
 * thread holds no lock. Lifetime: until it has told once (DN_MULTISHOT: any number of times), is
 * taken back, or closed. Saved: with the inode.
 */
#include "sentry/vfs/flock.h"

struct dnotify {
	struct obj obj;
	TAILQ_ENTRY(dnotify) link;
	struct kernel *kernel;  /* immutable, weak */
	struct file *file;      /* weak: whose owner is told */
	struct fd_table *files; /* weak: of whom set it */
	s32 fd;                 /* si_fd */
	u32 mask;               /* DN_* */
};
OBJECT_DECL(dnotify);

/* F_NOTIFY. *ret_new: there was none before. -EINVAL, -ENOTDIR. */
MUST_CHECK int dnotify_set(struct file *f, struct ctx *c, int fd, u32 mask, bool *ret_new);
/* DN_* happened in dir, or to it. */
void dnotify_event(struct inode *dir, u32 bits);
/* What DN_* an event of inotify is. */
u32 dnotify_bits(u32 in_mask);
/* A descriptor for f in files was closed; f's last reference is gone (files NULL). */
void dnotify_closed(struct file *f, const struct fd_table *files);
/* For flock.c: a list was loaded, or goes. */
void dnotify_loaded(struct inode_locks *l);
void dnotify_free(struct inode_locks *l);
