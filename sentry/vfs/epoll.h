#pragma once
/*
 * epoll(7): a set of watched files, and the list of those that may be ready.
 *
 * An item hangs on the wait queues of its file; a wake puts it on the ready list, a look
 * (epoll_wait, or poll of the epoll itself) asks the file what is really ready. Level-triggered
 * items stay on the list until a look finds nothing, edge-triggered ones leave it with the look.
 *
 * Locking: lock (RANK_EPOLL) guards the set; ready_lock (RANK_LEAF) the ready list and what wakes
 * and looks read of an item. Looks hold neither while they ask a file, so epolls nest. Nesting is
 * changed only under one lock (RANK_EPOLL_TREE), which keeps loops out.
 * Lifetime: an open file. Items are owned by the set and point weakly to their file: a file whose
 * last reference goes leaves all sets first (epoll_file_gone, from the file's last_put).
 * Saved: the set and the ready list, in order: what was delivered does not come again, what was not
 * does. Items that are level-triggered and ready after a load join the list.
 */
#include "sentry/ctx/waitq.h"
#include "sentry/vfs/file.h"

#include <bsd/sys/cdefs.h>
#include <bsd/sys/tree.h>

struct epoll;
struct item_waiter;

struct epoll_item {
	struct obj obj;
	TAILQ_ENTRY(epoll_item) link;      /* ep->items */
	TAILQ_ENTRY(epoll_item) file_link; /* file->ep_items; file->ep_lock */
	TAILQ_ENTRY(epoll_item) ready_link;
	RB_ENTRY(epoll_item) tree_link;
	struct epoll *ep;            /* weak; immutable */
	struct file *file;           /* weak; NULL once removed; ready_lock */
	s32 fd;                      /* immutable */
	u32 events;                  /* ready_lock */
	u64 data;                    /* ready_lock */
	bool ready;                  /* on the ready list; ready_lock */
	u64 wakes;                   /* so that a look sees that it was overtaken; ready_lock */
	struct item_waiter *waiters; /* set once when added */
};
OBJECT_DECL(epoll_item);

struct epoll {
	struct file file;
	struct mutex lock;
	TAILQ_HEAD(, epoll_item) items; /* owned */
	RB_HEAD(epoll_tree, epoll_item) tree;
	struct mutex ready_lock;
	TAILQ_HEAD(, epoll_item) ready;
	u32 n_ready;
	u32 n_sleepers, n_claimed; /* callers of epoll_wait, and to how many a wake was promised */
	struct waitq_relay wait;   /* epoll_wait callers and whoever polls this epoll */
	u64 check_round;           /* of the nesting check, with what it found */
	u32 check_depth;
};
OBJECT_DECL(epoll);
/* fs.epoll.max_user_watches: of all users together. */

/* A reference for the caller. */
struct file *epoll_create_file(struct ctx *c);

/* epoll_ctl(2); epf and f are what epfd and fd stand for. Errors as in the man page. */
MUST_CHECK int epoll_control(struct file *epf, int op, int fd, struct file *f,
                             const struct epoll_event *ev);

/* epoll_wait(2): events copied out to the guest, 0 at the deadline, -ERESTARTNOHAND, -EFAULT. */
MUST_CHECK long epoll_wait_events(struct file *epf, struct ctx *c, uaddr_t events, int max,
                                  struct deadline d);

/* f's last reference is gone: it leaves every set that watches it. */
void epoll_file_gone(struct file *f);

/* epoll_nesting.c. Held around a check and the change that it allows. */
void epoll_nesting_lock(void);
void epoll_nesting_unlock(void);
/* Would ep watching child make a circle or too long a chain? */
bool epoll_nesting_bad(struct epoll *ep, struct epoll *child);
/* Is ep itself watched? */
bool epoll_is_watched(struct epoll *ep);
/* Does f, or a file behind the epoll f, wake too many chains of epolls by now? */
bool epoll_paths_bad(struct file *f);
/* The same as epoll_nesting_bad for what was loaded, by the sets alone: items do not know their
 * epolls yet. */
bool epoll_nesting_loaded_bad(struct epoll *ep);
