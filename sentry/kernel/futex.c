#include "sentry/kernel/futex_impl.h"
#include "state/base/bug.h"

#include <linux/futex.h>

#define WAKE_STEP 32u /* how many are taken off under one hold of the lock */

static struct futex_bucket buckets[FUTEX_BUCKETS] = {
	[0 ... FUTEX_BUCKETS - 1] = {.lock = {.m = PTHREAD_MUTEX_INITIALIZER, .rank = RANK_FUTEX}},
};

/* Whoever was taken off a queue, to be woken when the lock is free. */
struct wake_list {
	unsigned n;
	struct task *tasks[WAKE_STEP];
};

struct futex_bucket *futex_bucket_of(const struct futex_key *key)
{
	u64 h = ((u64)(uintptr_t)key->object >> 4) ^ (key->off >> 2) ^ (key->off << 29);

	h *= 0x9e3779b97f4a7c15ull;
	return &buckets[h >> 56];
}

struct futex_bucket *futex_bucket_at(unsigned i)
{
	return &buckets[i];
}

static void insert(struct futex_bucket *b, struct futex_waiter *w)
{
	/* The array's initializer can't name each element's own head. */
	if (!b->waiters.tqh_last)
		TAILQ_INIT(&b->waiters);
	TAILQ_INSERT_TAIL(&b->waiters, w, link);
	atomic_store_explicit(&w->bucket, b, memory_order_release);
}

void futex_enqueue(struct futex_waiter *w)
{
	struct futex_bucket *b = futex_bucket_of(&w->key);

	GUARD(&b->lock);
	atomic_store(&w->queued, true);
	insert(b, w);
}

bool futex_dequeue(struct futex_waiter *w)
{
	while (atomic_load_explicit(&w->queued, memory_order_acquire)) {
		struct futex_bucket *b = atomic_load_explicit(&w->bucket, memory_order_acquire);

		/* Somebody writes our tid into the word; it takes as long as a page fault. */
		if (!b) {
			sched_yield();
			continue;
		}
		GUARD(&b->lock);
		/* Requeued or woken between the two loads and the lock. */
		if (!atomic_load(&w->queued) || atomic_load(&w->bucket) != b)
			continue;
		TAILQ_REMOVE(&b->waiters, w, link);
		atomic_store(&w->queued, false);
		return true;
	}
	return false;
}

/* Takes w off; it may be gone from its stack as soon as queued is false. */
static void take(struct futex_bucket *b, struct futex_waiter *w, struct wake_list *list)
{
	TAILQ_REMOVE(&b->waiters, w, link);
	list->tasks[list->n++] = obj_get(ctx_task(w->c));
	atomic_store_explicit(&w->queued, false, memory_order_release);
}

static void wake_all(struct wake_list *list)
{
	for (unsigned i = 0; i < list->n; i++) {
		ctx_wake(&list->tasks[i]->ctx);
		obj_put(list->tasks[i]);
	}
	list->n = 0;
}

/* The index of a waiter that was woken, or -1; none is queued any more. */
static long dequeue_all(struct futex_waiter *w, unsigned n)
{
	long woken = -1;

	for (unsigned i = 0; i < n; i++)
		if (!futex_dequeue(&w[i]) && woken < 0)
			woken = (long)i;
	return woken;
}

/* Queues all and compares after that: who changes a word and then wakes finds us. */
static int enqueue_all(struct ctx *c, struct futex_waiter *w, unsigned n, unsigned *ret_queued)
{
	u32 val;
	int r = 0;

	*ret_queued = 0;
	for (unsigned i = 0; i < n; i++) {
		r = user_futex_key(c, w[i].addr, w[i].private, &w[i].key);
		if (r < 0)
			return r;
	}
	for (unsigned i = 0; i < n; i++) {
		w[i].c = c;
		futex_enqueue(&w[i]);
		++*ret_queued;
		r = user_load_u32(c, w[i].addr, &val);
		if (r == 0 && val != w[i].val)
			r = -EAGAIN;
		if (r < 0)
			return r;
	}
	return 0;
}

static bool any_woken(struct futex_waiter *w, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (!atomic_load_explicit(&w[i].queued, memory_order_acquire))
			return true;
	return false;
}

long futex_wait(struct ctx *c, struct futex_waiter *w, unsigned n, struct deadline d)
{
	unsigned queued;
	long woken;
	int r;

	ctx_prepare(c);
	r = enqueue_all(c, w, n, &queued);
	while (r == 0 && !any_woken(w, n)) {
		r = ctx_sleep(c, d);
		if (r == 0)
			ctx_prepare(c);
	}
	woken = dequeue_all(w, queued);
	if (woken >= 0)
		return woken;
	if (r == -ERESTARTSYS && d.ns != DEADLINE_NEVER)
		return -ERESTART_RESTARTBLOCK;
	return r;
}

/* -EINVAL at a waiter that no plain wake-up is for; those before it were woken. */
static long wake_key(const struct futex_key *key, u32 n, u32 bitset)
{
	struct futex_bucket *b = futex_bucket_of(key);
	struct wake_list list = {0};
	struct futex_waiter *w, *next;
	long woken = 0;
	bool more;

	do {
		more = false;
		mutex_lock(&b->lock);
		for (w = TAILQ_FIRST(&b->waiters); w; w = next) {
			next = TAILQ_NEXT(w, link);
			if (!futex_same_key(&w->key, key))
				continue;
			if (futex_is_pi(w)) {
				woken = -EINVAL;
				break;
			}
			if (!(w->bitset & bitset))
				continue;
			if (list.n == WAKE_STEP) {
				more = true;
				break;
			}
			take(b, w, &list);
			if (++woken >= (long)n)
				break;
		}
		mutex_unlock(&b->lock);
		wake_all(&list);
	} while (more);
	return woken;
}

long futex_wake(struct ctx *c, uaddr_t a, bool private, u32 n, u32 bitset)
{
	struct futex_key key;
	int r = user_futex_key(c, a, private, &key);

	return r < 0 ? r : wake_key(&key, n, bitset);
}

long futex_requeue(struct ctx *c, uaddr_t a, uaddr_t b, bool private, u32 n_wake, u32 n_move,
                   bool check, u32 cmp)
{
	struct futex_key from, to;
	struct futex_bucket *bf, *bt;
	struct futex_waiter *w, *next;
	struct wake_list list = {0};
	long woken = 0, moved = 0;
	bool more, pi = false;
	u32 val;
	int r = user_futex_key(c, a, private, &from);

	if (r == 0)
		r = user_futex_key(c, b, private, &to);
	if (r == 0 && check) {
		r = user_load_u32(c, a, &val);
		if (r == 0 && val != cmp)
			r = -EAGAIN;
	}
	if (r < 0)
		return r;
	bf = futex_bucket_of(&from);
	bt = futex_bucket_of(&to);
	do {
		more = false;
		mutex_lock_pair(&bf->lock, &bt->lock);
		for (w = TAILQ_FIRST(&bf->waiters); w && !pi && woken < (long)n_wake; w = next) {
			next = TAILQ_NEXT(w, link);
			if (!futex_same_key(&w->key, &from))
				continue;
			pi = futex_is_pi(w);
			if (pi)
				break;
			if (list.n == WAKE_STEP) {
				more = true;
				break;
			}
			take(bf, w, &list);
			woken++;
		}
		for (w = TAILQ_FIRST(&bf->waiters); w && !more && !pi && moved < (long)n_move;
		     w = next) {
			next = TAILQ_NEXT(w, link);
			if (!futex_same_key(&w->key, &from) || futex_same_key(&from, &to))
				continue;
			pi = futex_is_pi(w);
			if (pi)
				break;
			TAILQ_REMOVE(&bf->waiters, w, link);
			w->key = to;
			insert(bt, w);
			moved++;
		}
		mutex_unlock_pair(&bf->lock, &bt->lock);
		wake_all(&list);
	} while (more);
	if (pi)
		return -EINVAL;
	return check ? woken + moved : woken;
}

/* The word's new value, and whether the old one meets the comparison. */
static int apply_op(u32 op, u32 old, u32 *ret_new, bool *ret_cmp)
{
	u32 code = (op >> 28) & 7, cmp = (op >> 24) & 15;
	s32 oparg = (s32)(op << 8) >> 20, cmparg = (s32)(op << 20) >> 20;
	u32 arg = op & (u32)FUTEX_OP_OPARG_SHIFT << 28 ? 1u << (oparg & 31) : (u32)oparg;

	switch (code) {
	case FUTEX_OP_SET:
		*ret_new = arg;
		break;
	case FUTEX_OP_ADD:
		*ret_new = old + arg;
		break;
	case FUTEX_OP_OR:
		*ret_new = old | arg;
		break;
	case FUTEX_OP_ANDN:
		*ret_new = old & ~arg;
		break;
	case FUTEX_OP_XOR:
		*ret_new = old ^ arg;
		break;
	default:
		return -ENOSYS;
	}
	switch (cmp) {
	case FUTEX_OP_CMP_EQ:
		*ret_cmp = (s32)old == cmparg;
		return 0;
	case FUTEX_OP_CMP_NE:
		*ret_cmp = (s32)old != cmparg;
		return 0;
	case FUTEX_OP_CMP_LT:
		*ret_cmp = (s32)old < cmparg;
		return 0;
	case FUTEX_OP_CMP_GE:
		*ret_cmp = (s32)old >= cmparg;
		return 0;
	case FUTEX_OP_CMP_LE:
		*ret_cmp = (s32)old <= cmparg;
		return 0;
	case FUTEX_OP_CMP_GT:
		*ret_cmp = (s32)old > cmparg;
		return 0;
	default:
		return -ENOSYS;
	}
}

long futex_wake_op(struct ctx *c, uaddr_t a, uaddr_t b, bool private, u32 n_a, u32 n_b, u32 op)
{
	struct futex_key ka, kb;
	u32 old, new, found;
	bool cmp = false;
	long woken;
	int r = user_futex_key(c, a, private, &ka);

	if (r == 0)
		r = user_futex_key(c, b, private, &kb);
	if (r == 0)
		r = user_load_u32(c, b, &old);
	while (r == 0) {
		r = apply_op(op, old, &new, &cmp);
		if (r == 0)
			r = user_cmpxchg_u32(c, b, old, new, &found);
		if (r == 0 && found == old)
			break;
		old = found;
	}
	if (r < 0)
		return r;
	woken = wake_key(&ka, n_a, FUTEX_BITSET_MATCH_ANY);
	if (cmp && woken >= 0) {
		long more = wake_key(&kb, n_b, FUTEX_BITSET_MATCH_ANY);

		woken = more < 0 ? more : woken + more;
	}
	return woken;
}

void futex_wake_addr(struct ctx *c, uaddr_t a, u32 n)
{
	struct futex_key private, shared;

	if (user_futex_key(c, a, true, &private) < 0)
		return;
	wake_key(&private, n, FUTEX_BITSET_MATCH_ANY);
	if (user_futex_key(c, a, false, &shared) == 0 && !futex_same_key(&private, &shared))
		wake_key(&shared, n, FUTEX_BITSET_MATCH_ANY);
}

/* The owner of a robust mutex died with it. */
static void owner_died(struct task *t, uaddr_t a, bool pi, bool pending)
{
	u32 val, found;

	if (user_load_u32(&t->ctx, a, &val) < 0)
		return;
	/* It died between giving the mutex up and waking the next. */
	if (pending && !pi && val == 0) {
		futex_wake_addr(&t->ctx, a, 1);
		return;
	}
	while ((val & FUTEX_TID_MASK) == t->tid) {
		if (user_cmpxchg_u32(&t->ctx, a, val, (val & FUTEX_WAITERS) | FUTEX_OWNER_DIED,
		                     &found) < 0)
			return;
		if (found == val) {
			if (!pi && val & FUTEX_WAITERS)
				futex_wake_addr(&t->ctx, a, 1);
			return;
		}
		val = found;
	}
}

void futex_exit_robust(struct task *t)
{
	struct {
		u64 next;
		s64 offset;
		u64 pending;
	} head;
	u64 at, next;

	if (!t->robust_list || !t->ctx.mm)
		return;
	if (user_get(&t->ctx, UADDR(t->robust_list), &head) < 0)
		return;
	at = head.next;
	/* Bit 0 of an entry says that it is a PI mutex. */
	for (unsigned i = 0; i < ROBUST_LIST_LIMIT && (at & ~1ull) != t->robust_list; i++) {
		int r = user_get_u64(&t->ctx, UADDR(at & ~1ull), &next);

		/* The entry may be freed as soon as its mutex is woken, so next came first. */
		if (at != head.pending)
			owner_died(t, UADDR((at & ~1ull) + (u64)head.offset), at & 1, false);
		if (r < 0)
			return;
		at = next;
	}
	if (head.pending & ~1ull)
		owner_died(t, UADDR((head.pending & ~1ull) + (u64)head.offset), head.pending & 1,
		           true);
	t->robust_list = 0;
}
