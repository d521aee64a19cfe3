#pragma once
/*
 * What futex.c and futex_pi.c share: the buckets and their queues.
 *
 * Locking: bucket->lock (RANK_FUTEX). Lifetime: the buckets are static, waiters live on the stacks
 * of their calls and may be gone as soon as queued is false. Saved: nothing.
 */
#include "sentry/kernel/futex.h"
#include "state/base/lock.h"

#define FUTEX_BUCKETS 256u

struct futex_bucket {
	struct mutex lock;
	TAILQ_HEAD(futex_waiters, futex_waiter) waiters;
};
/* The one of these keys; the i-th of all. */
struct futex_bucket *futex_bucket_of(const struct futex_key *key);
struct futex_bucket *futex_bucket_at(unsigned i);
static inline bool futex_same_key(const struct futex_key *a, const struct futex_key *b)
{
	return a->object == b->object && a->off == b->off;
}
/* Puts w, whose key is set, on its queue. */
void futex_enqueue(struct futex_waiter *w);
/* Takes it off; false if somebody woke it before. Waits while somebody hands a mutex to it. */
bool futex_dequeue(struct futex_waiter *w);
