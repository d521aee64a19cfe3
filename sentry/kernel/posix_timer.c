/*
 * A periodic timer whose signal is queued is not armed again before the signal is taken; the
 * periods that passed meanwhile are its overrun (Linux does the same). So no period, however short,
 * keeps the timer thread busy.
 */
#include "sentry/kernel/posix_timer_impl.h"
#include "sentry/auth/creds.h"
#include "sentry/auth/user_count.h"
#include "sentry/kernel/itimer.h"

#include "state/fields.h"

#include <linux/capability.h>
#include <string.h>

/* How often CPU clocks are looked at while a timer counts on one, and how soon a timer whose signal
 * was ignored fires again at the earliest. */
#define TICK (4 * NSEC_PER_MSEC)

static const struct clocks *clocks_of(const struct posix_timers *p)
{
	return &p->tg->kernel->clocks;
}

/* NULL in tests that have no timer thread. */
static struct timers *timers_of(const struct posix_timers *p)
{
	struct machine *m = p->tg && p->tg->kernel ? p->tg->kernel->machine : NULL;

	return m ? m->timers : NULL;
}

static int cmp_id(const struct ptimer *a, const struct ptimer *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}

RB_GENERATE_INTERNAL(ptimer_ids, ptimer, by_id, cmp_id, UNUSED static)

static struct ptimer *find_locked(struct posix_timers *p, u32 id)
{
	struct ptimer key = {.id = id};

	return ptimer_ids_RB_FIND(&p->ids, &key);
}

void ptimer_add_locked(struct posix_timers *p, struct ptimer *pt)
{
	struct ptimer *before;

	BUG_ON(ptimer_ids_RB_INSERT(&p->ids, pt) != NULL);
	before = ptimer_ids_RB_PREV(pt);
	if (before)
		TAILQ_INSERT_AFTER(&p->list, before, pt, link);
	else
		TAILQ_INSERT_HEAD(&p->list, pt, link);
	p->count++;
}

static void remove_locked(struct posix_timers *p, struct ptimer *pt)
{
	ptimer_ids_RB_REMOVE(&p->ids, pt);
	TAILQ_REMOVE(&p->list, pt, link);
	p->count--;
	user_sub(pt->uid, USER_SIGNALS, 1);
}

static s64 add_sat(s64 a, s64 b)
{
	s64 r;

	return __builtin_add_overflow(a, b, &r) ? INT64_MAX : r;
}

/* ---- arming ---- */

static void arm_locked(struct ptimer *pt)
{
	struct posix_timers *p = pt->owner;
	struct deadline d = {pt->base, pt->deadline};

	if (!timers_of(p) || pt->notify == SIGEV_NONE)
		return;
	if (pt->base == BASE_CPU) {
		if (pt->deadline && !pt->fired)
			ktimer_arm(timers_of(p), &p->tick, clocks_of(p),
			           deadline_in(clocks_of(p), TICK));
		return;
	}
	if (!pt->deadline || pt->fired)
		d = NEVER;
	ktimer_arm(timers_of(p), &pt->kt, clocks_of(p), d);
}

/* Moves the deadline of a periodic timer to the first one after now; the periods in between. */
static s64 forward(struct ptimer *pt, s64 now)
{
	s64 late = now - pt->deadline, n;

	if (late < 0)
		return 0;
	n = late / pt->interval;
	pt->deadline = add_sat(pt->deadline, n * pt->interval);
	pt->deadline = add_sat(pt->deadline, pt->interval);
	return n;
}

/* Now on the timer's clock; -ESRCH: it counted a process or thread that is gone. Takes tasks_lock
 * for CPU clocks: p->lock is free. */
static int timer_now(struct posix_timers *p, const struct cpu_clock *cpu, s32 base, s64 *ret)
{
	if (base == BASE_CPU)
		return cpu_clock_read(p->tg->kernel, cpu, ret) < 0 ? -ESRCH : 0;
	*ret = clock_now(clocks_of(p), base);
	return 0;
}

/* ---- expiry ---- */

/* The timer's signal waits to be taken. */
static bool is_queued(struct posix_timers *p, struct task *target, u32 id)
{
	GUARD(&p->tg->lock);
	return sigqueue_has_timer(target ? &target->pending : &p->tg->shared, (u64)id + 1);
}

/*
 * The deadline of timer id has passed. p->lock is held, dropped while the signal is sent, and held
 * again; the timer may be gone then.
 */
static void fire_locked(struct posix_timers *p, struct ptimer *pt) NO_LOCK_ANALYSIS
{
	u32 id = pt->id, tid = pt->notify == SIGEV_THREAD_ID ? pt->tid : 0;
	AUTO(task) target = NULL;
	siginfo_t info;
	bool queued;
	s64 now;
	int r;

	memset(&info, 0, sizeof(info));
	info.si_signo = pt->signo;
	info.si_code = SI_TIMER;
	info.si_timerid = (int)id;
	info.si_value.sival_ptr = (void *)(uintptr_t)pt->value;
	pt->fired = pt->interval != 0;
	if (!pt->interval)
		pt->deadline = 0;
	mutex_unlock(&p->lock);

	if (tid)
		target = task_find(p->tg->kernel, tid);
	/* A thread that is gone takes no signals; its number may be another process's by now. */
	if (tid && (!target || target->tg != p->tg)) {
		mutex_lock(&p->lock);
		return;
	}
	queued = is_queued(p, target, id);
	if (queued) {
		mutex_lock(&p->lock);
		pt = find_locked(p, id);
		if (pt)
			pt->overrun++;
		return;
	}
	r = signal_send_timer(p->tg, target, &info);
	queued = r == 0 && is_queued(p, target, id);

	mutex_lock(&p->lock);
	pt = find_locked(p, id);
	if (queued || !pt || !pt->fired)
		return;
	/* Nobody will take it, because it was ignored or had no room: the next period counts. (It
	 * may also have been taken since; then posix_timer_delivered finds the timer armed.) */
	now = clock_now(clocks_of(p), pt->base == BASE_CPU ? CLOCK_MONOTONIC : pt->base);
	pt->fired = false;
	if (pt->base == BASE_CPU)
		pt->deadline = add_sat(pt->deadline, pt->interval);
	else
		forward(pt, add_sat(now, pt->interval < TICK ? TICK : 0));
	arm_locked(pt);
}

static void expired(struct ktimer *kt)
{
	struct ptimer *pt = container_of(kt, struct ptimer, kt);
	struct posix_timers *p = pt->owner;

	GUARD(&p->lock);
	if (!pt->deadline || pt->fired)
		return;
	if (clock_now(clocks_of(p), pt->base) < pt->deadline - NSEC_PER_MSEC) {
		/* It was set again, or the host's clock, meanwhile. */
		arm_locked(pt);
		return;
	}
	fire_locked(p, pt);
}

static void tick_expired(struct ktimer *kt)
{
	struct posix_timers *p = container_of(kt, struct posix_timers, tick);
	struct ptimer *pt;
	bool more = false;
	u32 next = 0;

	thread_group_kick(p->tg);
	GUARD(&p->lock);
	/* The lock is dropped on the way, so the list is walked by id. */
	for (;;) {
		struct ptimer key = {.id = next};
		struct cpu_clock cpu;
		s64 now;
		u32 id;
		int r;

		pt = ptimer_ids_RB_NFIND(&p->ids, &key);
		while (pt && !(pt->base == BASE_CPU && pt->deadline && !pt->fired))
			pt = TAILQ_NEXT(pt, link);
		if (!pt)
			break;
		id = pt->id;
		cpu = pt->cpu;
		next = id + 1;
		mutex_unlock(&p->lock);
		if (!cpu.thread && cpu.id != p->tg->tgid)
			cpu_clock_kick(p->tg->kernel, &cpu);
		r = timer_now(p, &cpu, BASE_CPU, &now);
		mutex_lock(&p->lock);
		pt = find_locked(p, id);
		if (r < 0 || !pt || !pt->deadline || pt->fired)
			continue;
		if (now >= pt->deadline && pt->notify != SIGEV_NONE)
			fire_locked(p, pt);
		else
			more = true;
	}
	if (more)
		ktimer_arm(timers_of(p), &p->tick, clocks_of(p), deadline_in(clocks_of(p), TICK));
}

int posix_timer_delivered(struct posix_timers *p, u64 timer_id)
{
	struct ptimer *pt;
	struct cpu_clock cpu;
	u64 overrun;
	s32 base;
	s64 now;

	mutex_lock(&p->lock);
	pt = find_locked(p, (u32)timer_id);
	if (!pt) {
		mutex_unlock(&p->lock);
		return 0;
	}
	cpu = pt->cpu;
	base = pt->base;
	mutex_unlock(&p->lock);
	if (timer_now(p, &cpu, base, &now) < 0)
		now = 0;

	GUARD(&p->lock);
	pt = find_locked(p, (u32)timer_id);
	if (!pt)
		return 0;
	overrun = pt->overrun;
	pt->overrun = 0;
	if (pt->fired && pt->base == base) {
		pt->fired = false;
		overrun += (u64)forward(pt, now);
		arm_locked(pt);
	}
	pt->overrun_last = (u32)MIN(overrun, (u64)INT32_MAX);
	return (int)pt->overrun_last;
}

/* ---- system calls ---- */

struct ptimer *ptimer_new(struct posix_timers *p)
{
	struct ptimer *pt = calloc(1, sizeof(*pt));

	if (!pt)
		return NULL;
	ktimer_init(&pt->kt, expired);
	pt->owner = p;
	return pt;
}

static int clock_base(s32 clock, s32 *ret)
{
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_ALARM:
	case CLOCK_TAI:
		*ret = CLOCK_REALTIME;
		return 0;
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
	case CLOCK_BOOTTIME_ALARM:
		*ret = CLOCK_MONOTONIC;
		return 0;
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_MONOTONIC_COARSE:
		return -EOPNOTSUPP;
	default:
		return -EINVAL;
	}
}

int posix_timer_create(struct posix_timers *p, struct task *t, s32 clock,
                       const struct sigevent *sev, int *ret_id)
{
	u64 limit = task_rlimit(t, RLIMIT_SIGPENDING);
	struct ptimer *pt;
	struct cpu_clock cpu = {0};
	s32 base = BASE_CPU;
	int r;

	if (cpu_clock_is_file(clock))
		return -EOPNOTSUPP;
	r = cpu_clock_is(clock) ? cpu_clock_find(t, clock, false, &cpu) : clock_base(clock, &base);
	if (r < 0)
		return r;
	if ((clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM) &&
	    !creds_capable(t->ctx.creds, CAP_WAKE_ALARM))
		return -EPERM;
	if (sev) {
		u32 tid = (u32)sev->_sigev_un._tid;

		if (sev->sigev_notify & ~(SIGEV_NONE | SIGEV_THREAD | SIGEV_THREAD_ID))
			return -EINVAL;
		if (sev->sigev_notify == (SIGEV_THREAD | SIGEV_NONE) ||
		    (sev->sigev_notify & SIGEV_THREAD_ID && sev->sigev_notify != SIGEV_THREAD_ID))
			return -EINVAL;
		if (sev->sigev_notify != SIGEV_NONE &&
		    (sev->sigev_signo < 1 || sev->sigev_signo > SIGNAL_MAX))
			return -EINVAL;
		if (sev->sigev_notify == SIGEV_THREAD_ID) {
			AUTO(task) o = task_find(t->kernel, tid);

			if (!o || o->tg != t->tg)
				return -EINVAL;
		}
	}
	pt = ptimer_new(p);
	if (!pt)
		return -ENOMEM;
	pt->uid = t->ctx.creds->uid;
	pt->clock = clock;
	pt->cpu = cpu;
	pt->base = base;
	GUARD(&p->lock);
	if (p->count >= TIMERS_MAX || !user_charge(pt->uid, USER_SIGNALS, 1, limit)) {
		free(pt);
		return -EAGAIN;
	}
	while (find_locked(p, p->next_id))
		p->next_id = (p->next_id + 1) & INT32_MAX;
	pt->id = p->next_id;
	p->next_id = (p->next_id + 1) & INT32_MAX;
	pt->notify = sev ? sev->sigev_notify : SIGEV_SIGNAL;
	pt->signo = sev ? sev->sigev_signo : SIGALRM;
	pt->value = sev ? (u64)(uintptr_t)sev->sigev_value.sival_ptr : pt->id;
	pt->tid = sev && sev->sigev_notify == SIGEV_THREAD_ID ? (u32)sev->_sigev_un._tid : 0;
	ptimer_add_locked(p, pt);
	*ret_id = (int)pt->id;
	return 0;
}

/* What is left at now, as timer_gettime(2) says it. */
static void left_locked(struct ptimer *pt, s64 now, struct itimerspec *ret)
{
	s64 left;

	ret->it_interval = ns_timespec(pt->interval);
	ret->it_value = (struct timespec){0};
	if (!pt->deadline)
		return;
	/* A periodic timer is seen in the period that runs, also while its signal waits. */
	if (pt->interval && (pt->fired || pt->notify == SIGEV_NONE) && pt->deadline <= now)
		left = pt->interval - (now - pt->deadline) % pt->interval;
	else
		left = pt->deadline - now;
	if (left <= 0) {
		if (pt->notify == SIGEV_NONE)
			return;
		left = 1;
	}
	ret->it_value = ns_timespec(left);
}

/* The timer's base and the time on it, which may not be asked for under the lock. -EINVAL: no such
 * timer; -ESRCH: as timer_now. */
static int look(struct posix_timers *p, int id, s32 *ret_base, s64 *ret_now)
{
	struct cpu_clock cpu;
	struct ptimer *pt;

	mutex_lock(&p->lock);
	pt = id < 0 ? NULL : find_locked(p, (u32)id);
	if (!pt) {
		mutex_unlock(&p->lock);
		return -EINVAL;
	}
	cpu = pt->cpu;
	*ret_base = pt->base;
	mutex_unlock(&p->lock);
	return timer_now(p, &cpu, *ret_base, ret_now);
}

int posix_timer_settime(struct posix_timers *p, int id, int flags, const struct itimerspec *val,
                        struct itimerspec *ret_old)
{
	s64 value = timespec_ns(&val->it_value), now;
	struct itimerspec old;
	struct ptimer *pt;
	s32 base;
	int r;

	if (!timespec_valid(&val->it_value) || !timespec_valid(&val->it_interval))
		return -EINVAL;
	r = look(p, id, &base, &now);
	if (r < 0)
		return r;
	GUARD(&p->lock);
	pt = find_locked(p, (u32)id);
	if (!pt)
		return -EINVAL;
	left_locked(pt, now, &old);
	pt->fired = false;
	pt->overrun = pt->overrun_last = 0;
	pt->interval = value ? timespec_ns(&val->it_interval) : 0;
	pt->deadline = 0;
	if (pt->base != BASE_CPU && clock_base(pt->clock, &pt->base) < 0)
		return -EINVAL;
	if (value && flags & TIMER_ABSTIME) {
		pt->deadline = value;
	} else if (value) {
		/* Setting the host's clock doesn't move a relative timer. */
		if (pt->base == CLOCK_REALTIME) {
			pt->base = CLOCK_MONOTONIC;
			now = clock_now(clocks_of(p), CLOCK_MONOTONIC);
		}
		pt->deadline = add_sat(now, value);
	}
	arm_locked(pt);
	if (ret_old)
		*ret_old = old;
	return 0;
}

int posix_timer_gettime(struct posix_timers *p, int id, struct itimerspec *ret)
{
	struct ptimer *pt;
	s32 base;
	s64 now = 0;
	int r = look(p, id, &base, &now);

	if (r < 0 && r != -ESRCH)
		return r;
	GUARD(&p->lock);
	pt = find_locked(p, (u32)id);
	if (pt && r == -ESRCH) {
		*ret = (struct itimerspec){.it_interval = ns_timespec(pt->interval)};
		return 0;
	}
	/* Set to another base meanwhile: the caller's race, but not ours to answer wrongly. */
	if (pt && pt->base != base && pt->base != BASE_CPU)
		now = clock_now(clocks_of(p), pt->base);
	if (!pt)
		return -EINVAL;
	left_locked(pt, now, ret);
	return 0;
}

int posix_timer_getoverrun(struct posix_timers *p, int id)
{
	struct ptimer *pt;

	GUARD(&p->lock);
	pt = id < 0 ? NULL : find_locked(p, (u32)id);
	return pt ? (int)pt->overrun_last : -EINVAL;
}

int posix_timer_delete(struct posix_timers *p, int id)
{
	struct ptimer *pt;

	mutex_lock(&p->lock);
	pt = id < 0 ? NULL : find_locked(p, (u32)id);
	if (pt)
		remove_locked(p, pt);
	mutex_unlock(&p->lock);
	if (!pt)
		return -EINVAL;
	ktimer_cancel(&pt->kt);
	free(pt);
	return 0;
}

void posix_timers_clear(struct posix_timers *p)
{
	struct ptimer *pt;

	mutex_lock(&p->lock);
	while ((pt = TAILQ_FIRST(&p->list))) {
		remove_locked(p, pt);
		mutex_unlock(&p->lock);
		ktimer_cancel(&pt->kt);
		free(pt);
		mutex_lock(&p->lock);
	}
	p->next_id = 0;
	mutex_unlock(&p->lock);
	ktimer_cancel(&p->tick);
}

/* ---- object ---- */

struct posix_timers *posix_timers_new(struct thread_group *tg)
{
	struct posix_timers *p = obj_new(posix_timers);

	p->tg = tg;
	return p;
}

void posix_timers_attach(struct posix_timers *p, struct thread_group *tg)
{
	struct ptimer *pt;

	GUARD(&p->lock);
	p->tg = tg;
	TAILQ_FOREACH (pt, &p->list, link)
		arm_locked(pt);
}

void posix_timers_init(void *o)
{
	struct posix_timers *p = o;

	mutex_init(&p->lock, RANK_ITIMER);
	TAILQ_INIT(&p->list);
	RB_INIT(&p->ids);
	ktimer_init(&p->tick, tick_expired);
}

void posix_timers_destroy(void *o)
{
	posix_timers_clear(o);
}
