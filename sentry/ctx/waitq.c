#include "sentry/ctx/waitq.h"

#include "state/base/bug.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

void waitq_init(struct waitq *q)
{
	mutex_init(&q->lock, RANK_WAITQ);
	TAILQ_INIT(&q->waiters);
	atomic_store_explicit(&q->count, 0, memory_order_relaxed);
}

void waitq_add(struct waitq *q, struct waiter *w)
{
	GUARD(&q->lock);
	w->q = q;
	TAILQ_INSERT_TAIL(&q->waiters, w, link);
	/* Ordered before the caller's look at its condition: pairs with the fence in wake_n. */
	atomic_fetch_add(&q->count, 1);
}

void waitq_remove(struct waiter *w)
{
	struct waitq *q = w->q;

	if (!q)
		return;
	GUARD(&q->lock);
	TAILQ_REMOVE(&q->waiters, w, link);
	w->q = NULL;
	atomic_fetch_sub(&q->count, 1);
}

/* Relayed wakes that this thread owes, and whether it is paying already. */
#define RELAYS_INLINE 8
struct relay_due {
	struct waitq_relay *r;
	u32 events;
};
static _Thread_local struct {
	struct relay_due *due, first[RELAYS_INLINE];
	size_t n, cap;
	bool paying;
} relays;

void waitq_relay_init(struct waitq_relay *r)
{
	waitq_init(&r->q);
	atomic_store_explicit(&r->pins, 0, memory_order_relaxed);
}

void waitq_relay(struct waitq_relay *r, u32 events)
{
	if (!relays.due) {
		relays.due = relays.first;
		relays.cap = RELAYS_INLINE;
	}
	for (size_t i = 0; i < relays.n; i++) {
		if (relays.due[i].r == r) {
			relays.due[i].events |= events;
			return;
		}
	}
	if (relays.n == relays.cap) {
		bool inlined = relays.due == relays.first;
		struct relay_due *due =
			realloc(inlined ? NULL : relays.due, relays.cap * 2 * sizeof(*due));

		BUG_ON(!due);
		if (inlined)
			memcpy(due, relays.first, sizeof(relays.first));
		relays.due = due;
		relays.cap *= 2;
	}
	/* The waiter that relays keeps r alive until its queue is unlocked; from then on the pin.
	 */
	atomic_fetch_add(&r->pins, 1);
	relays.due[relays.n++] = (struct relay_due){r, events};
}

static void pay_relays(void)
{
	if (relays.paying)
		return;
	relays.paying = true;
	while (relays.n > 0) {
		struct relay_due d = relays.due[--relays.n];

		waitq_wake_n(&d.r->q, d.events, 1);
		atomic_fetch_sub_explicit(&d.r->pins, 1, memory_order_release);
	}
	relays.paying = false;
	if (relays.due != relays.first) {
		free(relays.due);
		relays.due = NULL;
	}
}

void waitq_relay_finish(struct waitq_relay *r)
{
	while (atomic_load_explicit(&r->pins, memory_order_acquire) != 0)
		sched_yield();
}

static void wake_waiters(struct waitq *q, u32 events, unsigned n)
{
	struct waiter *w, *next;

	GUARD(&q->lock);
	for (w = TAILQ_FIRST(&q->waiters); w; w = next) {
		next = TAILQ_NEXT(w, link);
		if (!w->exclusive)
			w->wake(w, events);
		else if (n > 0 && w->wake(w, events))
			n--;
	}
}

void waitq_wake_n(struct waitq *q, u32 events, unsigned n)
{

	/*
	 * The waker changed the condition, then reads count; a waiter raises count, then reads
	 * the condition. With a full fence on both sides at least one of them sees the other.
	 */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&q->count, memory_order_relaxed) == 0)
		return;
	wake_waiters(q, events, n);
	if (unlikely(relays.n > 0))
		pay_relays();
}

void waitq_wake(struct waitq *q, u32 events)
{
	waitq_wake_n(q, events, events & EPOLLHUP ? ~0u : 1);
}
