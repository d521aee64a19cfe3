/*
 * Mutexes that the kernel hands from owner to owner (futex(2), "Priority-inheritance futexes").
 *
 * Whoever hands one over takes the waiter off its queue, sets its bucket to NULL, writes its tid
 * into the word and only then lets it go: the waiter, which may be giving up at the same time, does
 * not return in between (futex_dequeue), so the word never names somebody that went away.
 */
#include "sentry/kernel/futex_impl.h"
#include "state/base/bug.h"

#include <linux/futex.h>

#define CHAIN_LIMIT 1024u /* of owners that wait for owners: Linux's */

static _Atomic u32 n_waiters; /* of all mutexes: nobody searches when there are none */

/* Takes the one that has waited longest for the mutex, or for any mutex of owner (key NULL). */
static struct futex_waiter *claim(struct futex_bucket *b, const struct futex_key *key, u32 owner)
{
	struct futex_waiter *w;

	GUARD(&b->lock);
	if (!b->waiters.tqh_last)
		return NULL;
	TAILQ_FOREACH (w, &b->waiters, link) {
		if (!w->pi_owner || (key ? !futex_same_key(&w->key, key) : w->pi_owner != owner))
			continue;
		TAILQ_REMOVE(&b->waiters, w, link);
		/* From here on no chain goes through it. */
		futex_pi_waits_for(w, 0);
		atomic_store_explicit(&w->bucket, NULL, memory_order_release);
		return w;
	}
	return NULL;
}

void futex_pi_count(int n)
{
	if (n > 0)
		atomic_fetch_add(&n_waiters, (u32)n);
	else
		atomic_fetch_sub(&n_waiters, (u32)-n);
}

void futex_pi_waits_for(struct futex_waiter *w, u32 owner)
{
	WRITE_ONCE(w->pi_owner, owner);
	atomic_store(&ctx_task(w->c)->pi_waits_for, owner);
}

bool futex_pi_deadlock(struct kernel *k, u32 owner, u32 tid)
{
	/* Two that close a circle at once both look after they have said whom they wait for. The
	 * chain may change meanwhile, so its length is bounded and not its end. */
	for (unsigned i = 0; i < CHAIN_LIMIT && owner != 0; i++) {
		AUTO(task) t = NULL;

		if (owner == tid)
			return true;
		t = task_find(k, owner);
		owner = t ? atomic_load(&t->pi_waits_for) : 0;
	}
	return false;
}

void futex_pi_let_go(struct futex_waiter *w, int error)
{
	struct task *t = obj_get(ctx_task(w->c));

	w->pi_error = error;
	atomic_store_explicit(&w->queued, false, memory_order_release);
	ctx_wake(&t->ctx);
	obj_put(t);
}

/* The word, which names owner, names the waiter from here on. The bit for waiters stays set: at
 * worst the next unlock is a call for nothing. */
static int give(struct ctx *c, uaddr_t a, u32 owner, const struct futex_waiter *w, u32 died)
{
	u32 val, found;
	int r = user_load_u32(c, a, &val);

	while (r == 0 && (val & FUTEX_TID_MASK) == owner) {
		u32 new = ctx_task(w->c)->tid | FUTEX_WAITERS | (val & FUTEX_OWNER_DIED) | died;

		r = user_cmpxchg_u32(c, a, val, new, &found);
		if (r < 0 || found == val)
			return r;
		val = found;
	}
	return r < 0 ? r : -EINVAL;
}

/* The others that wait for this mutex wait for heir from here on. */
static void bequeath(const struct futex_key *key, u32 heir)
{
	struct futex_bucket *b = futex_bucket_of(key);
	struct futex_waiter *w;

	GUARD(&b->lock);
	TAILQ_FOREACH (w, &b->waiters, link) {
		if (w->pi_owner && futex_same_key(&w->key, key))
			futex_pi_waits_for(w, heir);
	}
}

int futex_pi_take(struct ctx *c, uaddr_t a, u32 tid, bool mark, u32 *ret_owner)
{
	u32 val, found;
	int r = user_load_u32(c, a, &val);

	while (r == 0) {
		u32 owner = val & FUTEX_TID_MASK, new = val | FUTEX_WAITERS;

		if (owner == tid)
			return -EDEADLK;
		if (owner == 0)
			new = (val & ~(u32)FUTEX_TID_MASK) | tid;
		else if (!mark || new == val)
			break;
		r = user_cmpxchg_u32(c, a, val, new, &found);
		if (r == 0 && found == val) {
			if (owner == 0)
				return 0;
			break;
		}
		val = found;
	}
	if (r < 0)
		return r;
	*ret_owner = val & FUTEX_TID_MASK;
	return -EBUSY;
}

bool futex_pi_gone(const struct task *owner)
{
	return !owner || atomic_load(&owner->gave_up_pi) ||
	       READ_ONCE(owner->exit_state) != TASK_ALIVE;
}

/* The owner is gone. For a call that waited for it before, it died while nobody was queued: the
 * mutex is what it would have been given. 0: taken; 1: look again. */
static int take_from_dead(struct ctx *c, uaddr_t a, u32 owner)
{
	u32 val, found;
	int r = user_load_u32(c, a, &val);

	if (r < 0)
		return r;
	if ((val & FUTEX_TID_MASK) != owner)
		return 1;
	r = user_cmpxchg_u32(c, a, val, ctx_task(c)->tid | (val & FUTEX_WAITERS) | FUTEX_OWNER_DIED,
	                     &found);
	return r < 0 ? r : found != val;
}

/* Waits for the mutex of w->pi_owner to be handed over. 0: it is ours; 1: look again. */
static long wait_for_hand_over(struct ctx *c, struct futex_waiter *w, struct deadline d)
{
	u32 c_tid = ctx_task(c)->tid, owner = 0;
	int r;

	futex_pi_waits_for(w, w->pi_owner);
	if (futex_pi_deadlock(c->kernel, w->pi_owner, c_tid))
		return -EDEADLK;
	ctx_prepare(c);
	futex_pi_count(1);
	futex_enqueue(w);
	/* After we are queued: whoever unlocks now finds us, or we find the word changed. */
	r = futex_pi_take(c, w->addr, c_tid, true, &owner);
	if (r == -EBUSY && owner == READ_ONCE(w->pi_owner)) {
		AUTO(task) there = task_find(c->kernel, owner);

		/* Who ends says so before it looks for waiters. */
		r = futex_pi_gone(there) ? -EBUSY : 0;
		while (r == 0 && atomic_load_explicit(&w->queued, memory_order_acquire)) {
			r = ctx_sleep(c, d);
			if (r == 0)
				ctx_prepare(c);
		}
	} else if (r == 0) {
		r = 2;
	}
	futex_pi_count(-1);
	/* Taken while we were queued: whoever wanted to hand it over found out. */
	if (!futex_dequeue(w) && r != 2)
		return w->pi_error ? 1 : 0;
	/* Not handed over: r says what. */
	return r == 2 ? 0 : r == -EBUSY ? 1 : r;
}

/* waited: it does not find out now that the owner is gone. */
static long lock_pi(struct ctx *c, uaddr_t a, bool private, bool try_only, bool waited,
                    struct deadline d)
{
	struct futex_waiter w = {.addr = a, .private = private, .bitset = ~0u, .c = c};
	long r = user_futex_key(c, a, private, &w.key);

	while (r >= 0) {
		AUTO(task) owner = NULL;

		r = futex_pi_take(c, a, ctx_task(c)->tid, false, &w.pi_owner);
		if (r != -EBUSY)
			return r;
		owner = task_find(c->kernel, w.pi_owner);
		if (futex_pi_gone(owner)) {
			r = waited ? take_from_dead(c, a, w.pi_owner) : -ESRCH;
			if (r <= 0)
				return r;
			continue;
		}
		if (try_only)
			return -EAGAIN;
		r = wait_for_hand_over(c, &w, d);
		futex_pi_waits_for(&w, 0);
		if (r == 0)
			return 0;
	}
	return r == -ERESTARTSYS ? -ERESTARTNOINTR : r;
}

long futex_lock_pi(struct ctx *c, uaddr_t a, bool private, bool try_only, struct deadline d)
{
	return lock_pi(c, a, private, try_only, c->restart.active, d);
}

long futex_pi_wait_on(struct ctx *c, uaddr_t a, bool private, struct deadline d)
{
	return lock_pi(c, a, private, false, true, d);
}

long futex_unlock_pi(struct ctx *c, uaddr_t a, bool private)
{
	u32 tid = ctx_task(c)->tid, val, found;
	struct futex_waiter *w;
	struct futex_key key;
	int r = user_futex_key(c, a, private, &key);

	if (r == 0)
		r = user_load_u32(c, a, &val);
	while (r == 0) {
		if ((val & FUTEX_TID_MASK) != tid)
			return -EPERM;
		w = claim(futex_bucket_of(&key), &key, 0);
		if (w) {
			bequeath(&key, ctx_task(w->c)->tid);
			r = give(c, a, tid, w, 0);
			futex_pi_let_go(w, r);
			return r;
		}
		/* Fails where somebody that was not queued above has marked the word since. */
		r = user_cmpxchg_u32(c, a, val, 0, &found);
		if (r == 0 && found == val)
			return 0;
		val = found;
	}
	return r;
}

void futex_exit_pi(struct task *t)
{
	atomic_store(&t->gave_up_pi, true);
	for (unsigned i = 0; i < FUTEX_BUCKETS && atomic_load(&n_waiters) > 0; i++) {
		struct futex_waiter *w;

		while ((w = claim(futex_bucket_at(i), NULL, t->tid))) {
			/* The memory is the waiter's, which may map it elsewhere. */
			struct ctx *c = w->c->mm == t->ctx.mm ? &t->ctx : w->c;

			bequeath(&w->key, ctx_task(w->c)->tid);
			futex_pi_let_go(w, give(c, w->addr, t->tid, w, FUTEX_OWNER_DIED));
		}
	}
}
