#pragma once
/*
 * What epoll.c (the set) and epoll_look.c (what is ready) share.
 *
 * Locking: the ready list and what decides about it under ep->ready_lock. Lifetime, saved: epoll.h.
 */
#include "sentry/vfs/epoll.h"

#define PRIVATE_BITS (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)

/* epoll_look.c: file_ops.poll of an epoll. */
u32 epoll_poll(struct file *epf, struct poll_table *pt);

/* ---- the ready list; all with ready_lock held ---- */

static inline void ready_add(struct epoll_item *it)
{
	struct epoll *ep = it->ep;

	if (it->ready)
		return;
	it->ready = true;
	TAILQ_INSERT_TAIL(&ep->ready, it, ready_link);
	ep->n_ready++;
}

static inline void ready_remove(struct epoll_item *it)
{
	struct epoll *ep = it->ep;

	if (!it->ready)
		return;
	it->ready = false;
	TAILQ_REMOVE(&ep->ready, it, ready_link);
	ep->n_ready--;
}

static inline bool item_armed(const struct epoll_item *it)
{
	return it->file && (it->events & ~PRIVATE_BITS) != 0;
}

/* Wakes one caller of epoll_wait, and everybody who polls the epoll itself. */
static inline void announce(struct epoll *ep)
{
	waitq_wake_n(&ep->wait.q, READY_IN, 1);
}
