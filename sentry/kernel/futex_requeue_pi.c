/*
 * FUTEX_WAIT_REQUEUE_PI and FUTEX_CMP_REQUEUE_PI: a condition variable whose mutex is a PI mutex.
 *
 * Whoever moves a waiter takes it off its queue with its bucket NULL (futex_pi.c), tries the mutex
 * in its name and puts it on the mutex's queue, or back where it was. Only then may the waiter go
 * on, so it finds out in one look (moved, pi_error) what became of it.
 */
#include "sentry/kernel/futex_impl.h"
#include "state/base/bug.h"

#include <linux/futex.h>

/* It waits, or would, for the mutex. A signal from here on ends the call for good, as the first
 * word has changed; a stop does not, and the call made again goes on here. */
static long wait_for_mutex(struct ctx *c, uaddr_t b, bool private, struct deadline d)
{
	long r = futex_pi_wait_on(c, b, private, d);

	if (r == -ERESTARTNOINTR) {
		c->restart.done = 1;
		c->restart.result = (u64)-EAGAIN;
	}
	return r;
}

long futex_wait_requeue_pi(struct ctx *c, uaddr_t a, uaddr_t b, bool private, u32 val, u32 bitset,
                           struct deadline d)
{
	struct futex_waiter w = {.addr = a,
	                         .private = private,
	                         .val = val,
	                         .bitset = bitset,
	                         .c = c,
	                         .to_pi = true,
	                         .pi_addr = b};
	long r;

	if (a.a == b.a || bitset == 0)
		return -EINVAL;
	if (ctx_done(c) > 0)
		return wait_for_mutex(c, b, private, d);
	r = user_futex_key(c, b, private, &w.pi_key);
	if (r < 0)
		return r;
	futex_pi_count(1);
	r = futex_wait(c, &w, 1, d);
	futex_pi_count(-1);
	atomic_store(&ctx_task(c)->pi_waits_for, 0);
	if (!w.moved)
		return r == -ERESTARTSYS || r == -ERESTART_RESTARTBLOCK ? -ERESTARTNOINTR : r;
	if ((r == 0 && w.pi_error == 0) || r == -ETIMEDOUT)
		return r;
	/* Moved, and then interrupted, or told to look itself, or about to say that the first word
	 * has changed. */
	return wait_for_mutex(c, b, private, d);
}

/* The first waiter of from, taken off for whoever moves it to `to`. NULL: none. */
static int claim_first(const struct futex_key *from, const struct futex_key *to,
                       struct futex_waiter **ret)
{
	struct futex_bucket *b = futex_bucket_of(from);
	struct futex_waiter *w;

	*ret = NULL;
	GUARD(&b->lock);
	if (!b->waiters.tqh_last)
		return 0;
	TAILQ_FOREACH (w, &b->waiters, link) {
		if (!futex_same_key(&w->key, from))
			continue;
		if (!w->to_pi || w->moved || !futex_same_key(&w->pi_key, to))
			return -EINVAL;
		TAILQ_REMOVE(&b->waiters, w, link);
		atomic_store_explicit(&w->bucket, NULL, memory_order_release);
		*ret = w;
		return 0;
	}
	return 0;
}

/* Back to where claim_first took it from. */
static void unclaim(struct futex_waiter *w)
{
	struct futex_bucket *b = futex_bucket_of(&w->key);

	futex_pi_waits_for(w, 0);
	GUARD(&b->lock);
	TAILQ_INSERT_HEAD(&b->waiters, w, link);
	atomic_store_explicit(&w->bucket, b, memory_order_release);
}

/* The mutex changed hands, or lost its owner, while w came onto its queue, and nobody knew of w. If
 * it is still there it looks for itself. w is only compared, for it may be gone. */
static void send_to_look(const struct futex_key *key, const struct futex_waiter *w, u32 owner)
{
	struct futex_bucket *b = futex_bucket_of(key);
	struct futex_waiter *x;

	mutex_lock(&b->lock);
	TAILQ_FOREACH (x, &b->waiters, link) {
		if (x == w && x->pi_owner == owner)
			break;
	}
	if (x) {
		TAILQ_REMOVE(&b->waiters, x, link);
		futex_pi_waits_for(x, 0);
		atomic_store_explicit(&x->bucket, NULL, memory_order_release);
	}
	mutex_unlock(&b->lock);
	if (x)
		futex_pi_let_go(x, -EAGAIN);
}

/* Gives the claimed w the mutex, or lets it wait for it. */
static int move(struct ctx *c, uaddr_t b, const struct futex_key *to, struct futex_waiter *w)
{
	AUTO(task) owner = NULL;
	u32 tid = ctx_task(w->c)->tid, who = 0, now = 0;
	int r = futex_pi_take(c, b, tid, true, &who);

	if (r == 0) {
		w->moved = true;
		futex_pi_let_go(w, 0);
		return 0;
	}
	if (r == -EBUSY) {
		owner = task_find(c->kernel, who);
		futex_pi_waits_for(w, who);
		r = futex_pi_gone(owner)                     ? -ESRCH
		    : futex_pi_deadlock(c->kernel, who, tid) ? -EDEADLK
		                                             : 0;
	}
	if (r < 0) {
		unclaim(w);
		return r;
	}
	w->moved = true;
	w->addr = w->pi_addr;
	w->key = *to;
	futex_enqueue(w);
	/* As in a lock: whoever unlocks or ends now finds it, or is found here to have done so. */
	r = user_load_u32(c, b, &now);
	if (r < 0 || (now & FUTEX_TID_MASK) != who || !(now & FUTEX_WAITERS) ||
	    futex_pi_gone(owner))
		send_to_look(to, w, who);
	return 0;
}

long futex_requeue_pi(struct ctx *c, uaddr_t a, uaddr_t b, bool private, u32 n_move, u32 cmp)
{
	struct futex_key from, to;
	struct futex_waiter *w;
	u64 moved = 0;
	u32 val;
	int r = user_futex_key(c, a, private, &from);

	if (r == 0)
		r = user_futex_key(c, b, private, &to);
	if (r < 0)
		return r;
	if (futex_same_key(&from, &to))
		return -EINVAL;
	r = user_load_u32(c, a, &val);
	if (r < 0)
		return r;
	if (val != cmp)
		return -EAGAIN;
	while (moved < 1 + (u64)n_move) {
		r = claim_first(&from, &to, &w);
		if (r < 0)
			return r;
		if (!w)
			break;
		r = move(c, b, &to, w);
		if (r < 0)
			return r;
		moved++;
	}
	return (long)moved;
}
