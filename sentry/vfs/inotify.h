#pragma once
/*
 * inotify(7): watches on inodes, and a queue of what happened to them.
 *
 * Locking: one lock for all of it (RANK_NOTIFY, notify.c): sets of watches, the inodes' lists of
 * them, queues. Lifetime: an instance is an open file and owns its watches; a watch holds its
 * inode, and while it has its name the dentry that it was found by, so that a cache that evicts
 * names does not make the file another one. Saved: watches and queue; the inodes' lists are
 * rebuilt.
 */
#include "sentry/vfs/file.h"

#include <bsd/sys/cdefs.h>
#include <bsd/sys/tree.h>

#define INOTIFY_MAX_EVENTS 16384u

struct inotify;

struct inotify_watch {
	struct obj obj;
	TAILQ_ENTRY(inotify_watch) link; /* in->watches */
	RB_ENTRY(inotify_watch) by_wd;
	LIST_ENTRY(inotify_watch) on_inode; /* inode->watches, while attached */
	bool attached;
	struct inotify *in;    /* weak */
	s32 wd;                /* immutable */
	u32 mask;              /* IN_ALL_EVENTS, IN_ONESHOT, IN_EXCL_UNLINK */
	struct inode *inode;   /* owned; immutable */
	struct dentry *dentry; /* owned; NULL once its name is gone */
};
OBJECT_DECL(inotify_watch);

/* One entry of a queue. */
struct inotify_item {
	TAILQ_ENTRY(inotify_item) link;
	s32 wd;
	u32 mask, cookie;
	char *name; /* NULL: none */
};

TAILQ_HEAD(inotify_items, inotify_item);
TAILQ_HEAD(inotify_watches, inotify_watch);
struct inotify {
	struct file file;
	struct waitq wait;
	TAILQ_ENTRY(inotify) link; /* all there are; for their users' limits */
	bool listed;
	struct inotify_watches watches; /* owned */
	RB_HEAD(inotify_tree, inotify_watch) tree;
	u32 n_watches;
	struct inotify_items events;
	u32 n_events;
	bool overflowed; /* IN_Q_OVERFLOW is in the queue */
	s32 last_wd;
	u32 uid; /* whose limits it counts against; immutable */
};
OBJECT_DECL(inotify);

/* flags: IN_NONBLOCK or 0. -EMFILE: the user has too many. */
MUST_CHECK int inotify_create(struct ctx *c, u32 flags, struct file **ret);
/* inotify_add_watch(2) on a place that was found and may be read: the descriptor. -EEXIST, -ENOSPC.
 */
MUST_CHECK int inotify_add(struct file *f, const struct path *p, u32 mask);
/* -EINVAL: not an inotify, or no such watch. */
MUST_CHECK int inotify_remove(struct file *f, s32 wd);

/* ---- what notify.c and inotify.c share; the lock held ---- */
void notify_lock(void);
void notify_unlock(void);
/* Attaches a watch to its inode's list. */
void notify_attach(struct inotify_watch *w);
void notify_detach(struct inotify_watch *w);
/* Queues an event and wakes readers. name NULL: none. */
void inotify_queue(struct inotify *in, s32 wd, u32 mask, u32 cookie, const char *name);
/* Takes w out of its set, with IN_IGNORED; the caller puts the reference after the lock. */
void inotify_drop_watch(struct inotify_watch *w);
