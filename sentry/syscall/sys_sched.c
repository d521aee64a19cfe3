/*
 * Scheduling: sched_yield(2), sched_setaffinity(2), sched_setscheduler(2)... The host schedules;
 * policies and affinities are kept and told, but not enforced.
 */
#include "sentry/auth/creds.h"
#include "sentry/kernel/pidns.h"
#include "sentry/kernel/rseq.h"
#include "sentry/syscall/sched.h"
#include "sentry/syscall/sysarg.h"

#include <linux/capability.h>
#include <sched.h>
#include <string.h>

SYSCALL0(sched_yield)
{
	sched_yield();
	return 0;
}

SYSCALL3(getcpu, uaddr_t, cpu, uaddr_t, node, uaddr_t, cache)
{
	int r = uaddr_null(cpu) ? 0 : user_put_u32(&t->ctx, cpu, task_cpu(t));

	if (r == 0 && !uaddr_null(node))
		r = user_put_u32(&t->ctx, node, 0);
	return r;
}

/* The task pid, 0 meaning the caller; a reference. */
static int target(struct task *t, int pid, struct task **ret)
{
	if (pid < 0)
		return -EINVAL;
	*ret = pid == 0 ? obj_get(t) : task_find(t->kernel, (u32)pid);
	return *ret ? 0 : -ESRCH;
}

bool sched_may_control(struct task *t, struct task *o)
{
	const struct creds *me = t->ctx.creds;
	AUTO(creds) theirs = NULL;

	if (o->tg == t->tg || creds_capable(me, CAP_SYS_NICE))
		return true;
	theirs = task_get_creds(o);
	return theirs && (me->euid == theirs->euid || me->euid == theirs->uid);
}

/* ---- affinity ---- */

static unsigned ncpu(const struct task *t)
{
	return MIN(MAX(t->kernel->machine->ncpu, 1u), (unsigned)CPU_SETSIZE);
}

/* Unlike the calls about policies, these do not look at the number before they look for the task.
 */
static int affinity_target(struct task *t, int pid, struct task **ret)
{
	return pid < 0 ? -ESRCH : target(t, pid, ret);
}

SYSCALL3(sched_getaffinity, int, pid, u32, len, uaddr_t, out)
{
	AUTO(task) o = NULL;
	size_t size = ALIGN_UP((ncpu(t) + 7) / 8, 8u);
	cpu_set_t set;
	int r;

	if (len * 8ull < ncpu(t) || len % 8)
		return -EINVAL;
	r = affinity_target(t, pid, &o);
	if (r < 0)
		return r;
	mutex_lock(&o->lock);
	set = o->affinity;
	mutex_unlock(&o->lock);
	size = MIN(size, (size_t)len);
	r = user_copy_out(&t->ctx, out, &set, size);
	return r < 0 ? r : (long)size;
}

SYSCALL3(sched_setaffinity, int, pid, u32, len, uaddr_t, in)
{
	AUTO(task) o = NULL;
	cpu_set_t set, all;
	int r;

	CPU_ZERO(&set);
	r = user_copy_in(&t->ctx, &set, in, MIN((size_t)len, sizeof(set)));
	if (r < 0)
		return r;
	r = affinity_target(t, pid, &o);
	if (r < 0)
		return r;
	if (!sched_may_control(t, o))
		return -EPERM;
	CPU_ZERO(&all);
	for (unsigned i = 0; i < ncpu(t); i++)
		CPU_SET(i, &all);
	CPU_AND(&set, &set, &all);
	if (CPU_COUNT(&set) == 0)
		return -EINVAL;
	if (o->sched_policy == SCHED_DEADLINE && !CPU_EQUAL(&set, &all))
		return -EBUSY;
	mutex_lock(&o->lock);
	o->affinity = set;
	mutex_unlock(&o->lock);
	if (o == t)
		rseq_affinity_changed(t);
	return 0;
}

/* ---- policies ---- */

static bool is_realtime(int policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR;
}

static bool is_fair(int policy)
{
	return policy == SCHED_OTHER || policy == SCHED_BATCH || policy == SCHED_IDLE;
}

static int priority_max(int policy)
{
	if (is_realtime(policy))
		return 99;
	return is_fair(policy) || policy == SCHED_DEADLINE ? 0 : -EINVAL;
}

SYSCALL1(sched_get_priority_max, int, policy)
{
	return priority_max(policy);
}

SYSCALL1(sched_get_priority_min, int, policy)
{
	int max = priority_max(policy);

	return max > 0 ? 1 : max;
}

/* As sched_getscheduler(2) tells it. */
static int policy_of(const struct task *o)
{
	return o->sched_policy | (o->sched_reset ? SCHED_RESET_ON_FORK : 0);
}

/* With any policy but SCHED_DEADLINE. */
static int set_policy(struct task *t, struct task *o, int policy, int priority)
{
	bool reset = policy & SCHED_RESET_ON_FORK;

	policy &= ~SCHED_RESET_ON_FORK;
	if (!is_fair(policy) && !is_realtime(policy))
		return -EINVAL;
	if (priority < 0 || priority > 99 || is_realtime(policy) != (priority != 0))
		return -EINVAL;
	if (!sched_may_control(t, o))
		return -EPERM;
	if (is_realtime(policy) && !creds_capable(t->ctx.creds, CAP_SYS_NICE) &&
	    (u64)priority > task_rlimit(o, RLIMIT_RTPRIO))
		return -EPERM;
	/* What keeps children in bounds is not for the unprivileged to lift. */
	if (o->sched_reset && !reset && !creds_capable(t->ctx.creds, CAP_SYS_NICE))
		return -EPERM;
	mutex_lock(&o->lock);
	o->sched_reset = reset;
	o->sched_policy = policy;
	o->sched_priority = priority;
	o->dl_runtime = o->dl_deadline = o->dl_period = o->dl_flags = 0;
	mutex_unlock(&o->lock);
	return 0;
}

SYSCALL3(sched_setscheduler, int, pid, int, policy, uaddr_t, param)
{
	AUTO(task) o = NULL;
	u32 priority;
	int r;

	if (pid < 0 || policy < 0 || uaddr_null(param))
		return -EINVAL;
	/* Its parameters have no place here. */
	if ((policy & ~SCHED_RESET_ON_FORK) == SCHED_DEADLINE)
		return -EINVAL;
	r = user_get_u32(&t->ctx, param, &priority);
	if (r == 0)
		r = target(t, pid, &o);
	return r < 0 ? r : set_policy(t, o, policy, (int)priority);
}

SYSCALL2(sched_setparam, int, pid, uaddr_t, param)
{
	AUTO(task) o = NULL;
	u32 priority;
	int r;

	if (pid < 0 || uaddr_null(param))
		return -EINVAL;
	r = user_get_u32(&t->ctx, param, &priority);
	if (r == 0)
		r = target(t, pid, &o);
	return r < 0 ? r : set_policy(t, o, policy_of(o), (int)priority);
}

SYSCALL1(sched_getscheduler, int, pid)
{
	AUTO(task) o = NULL;
	int r = target(t, pid, &o);

	return r < 0 ? r : policy_of(o);
}

SYSCALL2(sched_getparam, int, pid, uaddr_t, param)
{
	AUTO(task) o = NULL;
	int r;

	if (uaddr_null(param))
		return -EINVAL;
	r = target(t, pid, &o);
	return r < 0 ? r : user_put_u32(&t->ctx, param, (u32)o->sched_priority);
}

SYSCALL2(sched_rr_get_interval, int, pid, uaddr_t, out)
{
	AUTO(task) o = NULL;
	struct timespec ts;
	int r = target(t, pid, &o);

	if (r < 0)
		return r;
	ts = ns_timespec(o->sched_policy == SCHED_RR ? 100 * NSEC_PER_MSEC
	                 : o->sched_policy == SCHED_FIFO || o->sched_policy == SCHED_DEADLINE
	                         ? 0
	                         : 4 * NSEC_PER_MSEC);
	return user_put(&t->ctx, out, &ts);
}

/* Linux: include/uapi/linux/sched/types.h, version 0. */
struct attr {
	u32 size;
	u32 policy;
	u64 flags;
	s32 nice;
	u32 priority;
	u64 runtime, deadline, period;
};
#define ATTR_FLAGS_ALL   0x7fu
#define ATTR_RESET       0x1u
#define ATTR_DEADLINE    0x6u /* what SCHED_DEADLINE has of its own: RECLAIM, DL_OVERRUN */
#define ATTR_KEEP_POLICY 0x8u
#define ATTR_KEEP_PARAMS 0x10u
#define ATTR_CLAMP       0x60u

/* What follows what is known here must be 0. -E2BIG. */
static int read_attr(struct ctx *c, uaddr_t in, struct attr *ret)
{
	u8 rest[64];
	u32 size;
	int r = user_get_u32(c, in, &size);

	if (r < 0)
		return r;
	if (size == 0)
		size = sizeof(*ret);
	if (size < sizeof(*ret) || size > PAGE_SIZE)
		return -E2BIG;
	for (u32 at = sizeof(*ret); at < size; at += sizeof(rest)) {
		u32 n = MIN(size - at, (u32)sizeof(rest));

		r = user_copy_in(c, rest, UADDR(in.a + at), n);
		if (r < 0)
			return r;
		for (u32 i = 0; i < n; i++)
			if (rest[i])
				return -E2BIG;
	}
	return user_get(c, in, ret);
}

/* Times that SCHED_DEADLINE can go by: runtime <= deadline <= period, within what Linux allows. */
static bool deadline_fits(const struct attr *a)
{
	u64 period = a->period ? a->period : a->deadline;

	return a->deadline && a->runtime >= 1024 && a->runtime <= a->deadline &&
	       a->deadline <= period && !((a->deadline | period) >> 63) &&
	       period >= 100 * NSEC_PER_USEC && period <= (u64)NSEC_PER_USEC << 22;
}

/* The part of a core that it takes, in 2^-20ths. */
static u64 share(u64 runtime, u64 period)
{
	return period ? (u64)(((unsigned __int128)runtime << 20) / period) : 0;
}

/* What all tasks with deadlines take, but o. */
static u64 shares_of_others(struct task *o)
{
	u32 after = 0;
	u64 sum = 0;

	for (;;) {
		AUTO(thread_group) tg = thread_group_next(o->kernel, after);
		u32 tid = 0;

		if (!tg)
			return sum;
		after = tg->tgid;
		for (;;) {
			AUTO(task) t = task_next(tg, tid);

			if (!t)
				break;
			tid = t->tid;
			if (t != o && READ_ONCE(t->exit_state) == TASK_ALIVE)
				sum += share(READ_ONCE(t->dl_runtime), READ_ONCE(t->dl_period));
		}
	}
}

static int set_deadline(struct task *t, struct task *o, const struct attr *a)
{
	u64 period = a->period ? a->period : a->deadline;
	cpu_set_t all;

	if (a->priority != 0 || !deadline_fits(a))
		return -EINVAL;
	if (!sched_may_control(t, o) || !creds_capable(t->ctx.creds, CAP_SYS_NICE))
		return -EPERM;
	CPU_ZERO(&all);
	for (unsigned i = 0; i < ncpu(t); i++)
		CPU_SET(i, &all);
	CPU_AND(&all, &all, &o->affinity);
	/* It may run wherever there is time, of which a twentieth is left to the others. */
	if (CPU_COUNT(&all) != (int)ncpu(t))
		return -EPERM;
	if (shares_of_others(o) + share(a->runtime, period) > ((u64)ncpu(t) * 95 << 20) / 100)
		return -EBUSY;
	mutex_lock(&o->lock);
	o->sched_reset = a->flags & ATTR_RESET;
	o->sched_policy = SCHED_DEADLINE;
	o->sched_priority = 0;
	o->dl_runtime = a->runtime;
	o->dl_deadline = a->deadline;
	o->dl_period = period;
	o->dl_flags = (u32)a->flags & ATTR_DEADLINE;
	mutex_unlock(&o->lock);
	return 0;
}

/* SCHED_FLAG_KEEP_*: what o has. */
static void keep(struct task *o, struct attr *a)
{
	GUARD(&o->lock);
	if (a->flags & ATTR_KEEP_POLICY) {
		a->policy = (u32)o->sched_policy;
		a->flags = (a->flags & ~(u64)ATTR_RESET) | (o->sched_reset ? ATTR_RESET : 0);
	}
	if (!(a->flags & ATTR_KEEP_PARAMS))
		return;
	a->priority = (u32)o->sched_priority;
	a->nice = o->nice;
	a->runtime = o->dl_runtime;
	a->deadline = o->dl_deadline;
	a->period = o->dl_period;
}

SYSCALL3(sched_setattr, int, pid, uaddr_t, in, u32, flags)
{
	AUTO(task) o = NULL;
	struct attr a;
	int r;

	if (pid < 0 || uaddr_null(in) || flags)
		return -EINVAL;
	r = read_attr(&t->ctx, in, &a);
	if (r == -E2BIG && user_put_u32(&t->ctx, in, sizeof(a)) < 0)
		return -EFAULT;
	if (r < 0)
		return r;
	if ((s32)a.policy < 0 || a.flags & ~(u64)ATTR_FLAGS_ALL)
		return -EINVAL;
	r = target(t, pid, &o);
	if (r < 0)
		return r;
	keep(o, &a);
	if (a.flags & ATTR_CLAMP)
		return -EOPNOTSUPP;
	if (a.policy == SCHED_DEADLINE)
		return set_deadline(t, o, &a);
	a.nice = MIN(MAX(a.nice, -20), 19);
	if (is_fair((int)a.policy)) {
		r = sched_check_nice(t, o, a.nice);
		/* Linux has one error for all of this call's refusals. */
		if (r < 0)
			return -EPERM;
	}
	r = set_policy(t, o, (int)a.policy | (a.flags & ATTR_RESET ? SCHED_RESET_ON_FORK : 0),
	               (int)a.priority);
	if (r == 0 && is_fair((int)a.policy))
		o->nice = a.nice;
	return r;
}

SYSCALL4(sched_getattr, int, pid, uaddr_t, out, u32, size, u32, flags)
{
	AUTO(task) o = NULL;
	struct attr a = {.size = sizeof(a)};
	int r;

	if (pid < 0 || uaddr_null(out) || flags || size < sizeof(a) || size > PAGE_SIZE)
		return -EINVAL;
	r = target(t, pid, &o);
	if (r < 0)
		return r;
	mutex_lock(&o->lock);
	a.policy = (u32)o->sched_policy;
	a.flags = (o->sched_reset ? ATTR_RESET : 0) | o->dl_flags;
	a.priority = (u32)o->sched_priority;
	a.nice = is_fair(o->sched_policy) ? o->nice : 0;
	a.runtime = o->dl_runtime;
	a.deadline = o->dl_deadline;
	a.period = o->dl_period;
	mutex_unlock(&o->lock);
	return user_put(&t->ctx, out, &a);
}
