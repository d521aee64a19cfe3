/* futex, futex_waitv, robust lists. */
#include "sentry/kernel/futex.h"
#include "sentry/syscall/sysarg.h"
#include "state/base/cleanup.h"

#include <linux/futex.h>
#include <stdlib.h>

#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif
#ifndef FUTEX_32
#define FUTEX_32 2
#endif

/* futex_waitv(2)'s element. */
struct waitv {
	u64 val, uaddr;
	u32 flags, reserved;
};

/* The deadline of a wait; UADDR_NULL: never. */
static int get_deadline(struct ctx *c, uaddr_t timeout, bool absolute, s32 clock,
                        struct deadline *ret)
{
	struct timespec ts;
	int r;

	if (uaddr_null(timeout)) {
		*ret = NEVER;
		return 0;
	}
	r = user_get(c, timeout, &ts);
	if (r < 0)
		return r;
	if (!timespec_valid(&ts))
		return -EINVAL;
	*ret = absolute ? ctx_deadline_abs(c, (struct deadline){clock, timespec_ns(&ts)})
	                : ctx_deadline(c, timespec_ns(&ts));
	return 0;
}

static long wait_one(struct ctx *c, uaddr_t a, bool private, u32 val, u32 bitset, uaddr_t timeout,
                     bool absolute, s32 clock)
{
	struct futex_waiter w = {.addr = a, .private = private, .val = val, .bitset = bitset};
	struct deadline d;
	int r;

	if (bitset == 0)
		return -EINVAL;
	r = get_deadline(c, timeout, absolute, clock, &d);
	return r < 0 ? r : futex_wait(c, &w, 1, d);
}

static long lock_pi(struct ctx *c, uaddr_t a, bool private, uaddr_t timeout, bool realtime,
                    bool try_only)
{
	struct deadline d;
	int r = get_deadline(c, timeout, true, realtime ? CLOCK_REALTIME : CLOCK_MONOTONIC, &d);

	return r < 0 ? r : futex_lock_pi(c, a, private, try_only, d);
}

static long wait_requeue_pi(struct ctx *c, uaddr_t a, uaddr_t b, bool private, u32 val,
                            uaddr_t timeout, bool realtime)
{
	struct deadline d;
	int r = get_deadline(c, timeout, true, realtime ? CLOCK_REALTIME : CLOCK_MONOTONIC, &d);

	return r < 0 ? r : futex_wait_requeue_pi(c, a, b, private, val, FUTEX_BITSET_MATCH_ANY, d);
}

SYSCALL6(futex, uaddr_t, a, int, op, u32, val, u64, arg, uaddr_t, b, u32, val3)
{
	struct ctx *c = &t->ctx;
	int cmd = op & FUTEX_CMD_MASK;
	bool private = op & FUTEX_PRIVATE_FLAG, realtime = op & FUTEX_CLOCK_REALTIME;

	if (realtime && cmd != FUTEX_WAIT_BITSET && cmd != FUTEX_WAIT_REQUEUE_PI &&
	    cmd != FUTEX_LOCK_PI2)
		return -ENOSYS;
	switch (cmd) {
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
	case FUTEX_TRYLOCK_PI:
		return lock_pi(c, a, private, cmd == FUTEX_TRYLOCK_PI ? UADDR_NULL : UADDR(arg),
		               realtime || cmd == FUTEX_LOCK_PI, cmd == FUTEX_TRYLOCK_PI);
	case FUTEX_UNLOCK_PI:
		return futex_unlock_pi(c, a, private);
	case FUTEX_WAIT:
		return wait_one(c, a, private, val, FUTEX_BITSET_MATCH_ANY, UADDR(arg), false,
		                CLOCK_MONOTONIC);
	case FUTEX_WAIT_BITSET:
		return wait_one(c, a, private, val, val3, UADDR(arg), true,
		                realtime ? CLOCK_REALTIME : CLOCK_MONOTONIC);
	case FUTEX_WAKE:
		return futex_wake(c, a, private, (s32)val > 0 ? val : 1, FUTEX_BITSET_MATCH_ANY);
	case FUTEX_WAKE_BITSET:
		if (val3 == 0)
			return -EINVAL;
		return futex_wake(c, a, private, (s32)val > 0 ? val : 1, val3);
	case FUTEX_REQUEUE:
	case FUTEX_CMP_REQUEUE:
		if ((s32)val < 0 || (s32)arg < 0)
			return -EINVAL;
		return futex_requeue(c, a, b, private, val, (u32)arg, cmd == FUTEX_CMP_REQUEUE,
		                     val3);
	case FUTEX_WAIT_REQUEUE_PI:
		return wait_requeue_pi(c, a, b, private, val, UADDR(arg), realtime);
	case FUTEX_CMP_REQUEUE_PI:
		if (a.a == b.a || val != 1 || (s32)arg < 0)
			return -EINVAL;
		return futex_requeue_pi(c, a, b, private, (u32)arg, val3);
	case FUTEX_WAKE_OP:
		return futex_wake_op(c, a, b, private, (s32)val > 0 ? val : 1,
		                     (s32)arg > 0 ? (u32)arg : 1, val3);
	default:
		return -ENOSYS;
	}
}

SYSCALL5(futex_waitv, uaddr_t, waiters, u32, n, u32, flags, uaddr_t, timeout, int, clock)
{
	AUTO_FREE struct futex_waiter *w = NULL;
	struct ctx *c = &t->ctx;
	struct deadline d;
	struct waitv v;
	int r;

	if (flags != 0 || n == 0 || n > FUTEX_WAITV_LIMIT || uaddr_null(waiters))
		return -EINVAL;
	if (!uaddr_null(timeout) && clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME)
		return -EINVAL;
	r = get_deadline(c, timeout, true, clock, &d);
	if (r < 0)
		return r;
	w = calloc(n, sizeof(*w));
	if (!w)
		return -ENOMEM;
	for (u32 i = 0; i < n; i++) {
		r = user_get(c, uaddr_add(waiters, i * sizeof(v)), &v);
		if (r < 0)
			return r;
		if (v.flags & ~(u32)(FUTEX_32 | FUTEX_PRIVATE_FLAG) || !(v.flags & FUTEX_32) ||
		    v.reserved)
			return -EINVAL;
		w[i].addr = UADDR(v.uaddr);
		w[i].private = v.flags & FUTEX_PRIVATE_FLAG;
		w[i].val = (u32)v.val;
		w[i].bitset = FUTEX_BITSET_MATCH_ANY;
	}
	return futex_wait(c, w, n, d);
}

SYSCALL2(set_robust_list, u64, head, size_t, len)
{
	if (len != sizeof(struct robust_list_head))
		return -EINVAL;
	t->robust_list = head;
	return 0;
}

SYSCALL3(get_robust_list, int, pid, uaddr_t, head, uaddr_t, len)
{
	AUTO(task) other = NULL;
	struct task *of = t;
	int r;

	if (pid != 0) {
		other = task_find(t->kernel, (u32)pid);
		if (!other)
			return -ESRCH;
		if (!task_may_inspect(t, other))
			return -EPERM;
		of = other;
	}
	r = user_put_u64(&t->ctx, len, sizeof(struct robust_list_head));
	return r < 0 ? r : user_put_u64(&t->ctx, head, of->robust_list);
}
