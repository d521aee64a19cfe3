#include "sentry/ctx/waitq.h"

#include <stdatomic.h>

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

void waitq_wake_n(struct waitq *q, u32 events, unsigned n)
{
	struct waiter *w, *next;

	/*
	 * The waker changed the condition, then reads count; a waiter raises count, then reads
	 * the condition. With a full fence on both sides at least one of them sees the other.
	 */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&q->count, memory_order_relaxed) == 0)
		return;
	GUARD(&q->lock);
	for (w = TAILQ_FIRST(&q->waiters); w; w = next) {
		next = TAILQ_NEXT(w, link);
		if (w->exclusive) {
			if (n == 0)
				continue;
			n--;
		}
		w->wake(w, events);
	}
}

void waitq_wake(struct waitq *q, u32 events)
{
	waitq_wake_n(q, events, ~0u);
}
