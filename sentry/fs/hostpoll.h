#pragma once
/*
 * Readiness of host descriptors: one thread sleeps in a host epoll and wakes the wait queues of
 * whoever watches. Edges only: a waiter asks the descriptor itself before it sleeps.
 *
 * Locking: RANK_HOSTPOLL inside; wakes run under it, so that a watch that was removed stays silent.
 * Lifetime: one per process, as long as the machine. Saved: no; watches are made again at load.
 */
#include "sentry/ctx/waitq.h"

struct hostpoll;

/* Makes the epoll and its thread; before the seccomp filter. */
MUST_CHECK int hostpoll_create(struct hostpoll **ret);
/* No watch is left. NULL is fine. */
void hostpoll_destroy(struct hostpoll *hp);

/* Wakes q at every change of fd's readiness until hostpoll_unwatch. fd may be watched once at a
 * time. The watch's number; -EPERM if fd is never anything but ready (a regular file), -errno. */
MUST_CHECK int hostpoll_watch(struct hostpoll *hp, int fd, struct waitq *q);
/* watch < 0 is fine. When it returns, q is not touched any more. */
void hostpoll_unwatch(struct hostpoll *hp, int watch);
