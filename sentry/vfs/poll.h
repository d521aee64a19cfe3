#pragma once
/*
 * Readiness. A file says what is ready and on which wait queues it announces changes; poll, select,
 * epoll and blocking reads are built on that alone.
 *
 * Locking: poll may take RANK_PIPE, RANK_FILE and lower. Lifetime: a poll_table lives on the stack
 * of the call (poll, select) or in an epoll item. Saved: no.
 */
#include "sentry/ctx/waitq.h"

#include <poll.h>
#include <sys/epoll.h>

/* Collects the queues of one file: add is called once per queue, before the readiness is read. */
struct poll_table {
	void (*add)(struct poll_table *pt, struct waitq *q);
};
static inline void poll_add(struct poll_table *pt, struct waitq *q)
{
	if (pt)
		pt->add(pt, q);
}

#define READY_IN  (EPOLLIN | EPOLLRDNORM)
#define READY_OUT (EPOLLOUT | EPOLLWRNORM)
