#pragma once
/*
 * What futex.c, futex_pi.c and futex_requeue_pi.c share: the buckets and their queues, and how a
 * PI mutex changes hands.
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

/* It waits for a PI mutex, or to be moved to one: no plain wake-up is for it. */
static inline bool futex_is_pi(const struct futex_waiter *w)
{
	return w->pi_owner != 0 || w->to_pi;
}
/* w is about to wait for a mutex of owner, 0: for none any more. Where w is queued under its lock.
 */
void futex_pi_waits_for(struct futex_waiter *w, u32 owner);
/* Does owner wait, over any number of mutexes, for one of tid's? */
bool futex_pi_deadlock(struct kernel *k, u32 owner, u32 tid);
/* It hands nothing over any more. */
bool futex_pi_gone(const struct task *owner);
/* The mutex at a becomes tid's if it is free; else mark says whether its word tells that somebody
 * waits. 0: taken; -EBUSY with *ret_owner: it has an owner; -EDEADLK: that is tid. */
MUST_CHECK int futex_pi_take(struct ctx *c, uaddr_t a, u32 tid, bool mark, u32 *ret_owner);
/* w, which is on no queue and whose bucket is NULL, goes on; it may be gone after this. error: it
 * was not given the mutex. */
void futex_pi_let_go(struct futex_waiter *w, int error);
/* As futex_lock_pi, for one that waited before: it also inherits from an owner that is gone. */
MUST_CHECK long futex_pi_wait_on(struct ctx *c, uaddr_t a, bool private, struct deadline d);
/* A waiter that may be moved to a mutex begins (1) or ends (-1) its wait. */
void futex_pi_count(int n);
