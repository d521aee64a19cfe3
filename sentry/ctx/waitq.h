#pragma once
/*
 * Wait queues: who wants to hear that something may have changed. A waiter's wake function runs in
 * the waker's thread, under the queue's lock.
 *
 * Locking: q->lock (RANK_WAITQ); wake functions take only locks ranked below it.
 * Lifetime: embedded in the object waited for; empty when that is destroyed.
 * Saved: never. Nothing waits while everything is parked; epolls register again in after_load.
 */
#include "state/base/lock.h"
#include "state/base/types.h"

#include <sys/queue.h>

struct waiter {
	TAILQ_ENTRY(waiter) link;
	struct waitq *q; /* NULL: not queued */
	/* events: poll bits that may have become true, ~0 if unspecific. Says whether it was of use
	 * to somebody. */
	bool (*wake)(struct waiter *w, u32 events);
	bool exclusive; /* a wake that is not for all is spent when one of these had use of it */
};
struct waitq {
	struct mutex lock;
	TAILQ_HEAD(, waiter) waiters;
	_Atomic u32 count; /* so that waking an empty queue costs one load */
};

void waitq_init(struct waitq *q);
/* w->wake is set by the caller. w is queued once at a time. */
void waitq_add(struct waitq *q, struct waiter *w);
/* Not queued is fine. When it returns, wake is not running and will not be called. */
void waitq_remove(struct waiter *w);
/* Wakes everybody, but of those that are exclusive one, unless events say or may say that there is
 * nothing more to come (EPOLLHUP). The change that is announced must be visible before the call. */
void waitq_wake(struct waitq *q, u32 events);
/* Wakes all that are not exclusive and, of those that are, until n had use of it. */
void waitq_wake_n(struct waitq *q, u32 events, unsigned n);

/*
 * A queue that is woken because another one was: an epoll's, by the queues of the files that it
 * watches. Queues nest in no order, so the second is woken when the first one's lock is dropped, in
 * the same thread.
 */
struct waitq_relay {
	struct waitq q;
	_Atomic u32 pins; /* relayed wakes under way */
};
void waitq_relay_init(struct waitq_relay *r);
/* From a wake function only: r->q is to be woken. */
void waitq_relay(struct waitq_relay *r, u32 events);
/* Before r goes, when no waiter is left that could relay to it: waits for wakes under way. */
void waitq_relay_finish(struct waitq_relay *r);
