#include "sentry/kernel/itimer.h"
#include "sentry/time/timer.h"

#include "proto/time.pb-c.h"
#include "state/fields.h"

#include <string.h>

/* How often running threads are asked for their CPU time while a CPU timer is armed, and while
 * there is a limit on it. */
#define CPU_TICK   (4 * NSEC_PER_MSEC)
#define LIMIT_TICK (50 * NSEC_PER_MSEC)

enum {
	CPU_VIRTUAL,
	CPU_PROF,
	CPU_COUNT
};

struct itimers {
	struct obj obj;
	struct mutex lock;       /* RANK_ITIMER */
	struct thread_group *tg; /* weak; set once before anything is armed */
	struct ktimer real;
	struct ktimer tick;      /* runs while a CPU timer is armed */
	s64 real_deadline;       /* guest CLOCK_MONOTONIC; 0: not armed */
	s64 real_interval;       /* ns; 0: one shot */
	bool real_fired;         /* SIGALRM is queued; the next period starts when it is taken */
	s64 cpu_left[CPU_COUNT]; /* ns; 0: not armed */
	s64 cpu_interval[CPU_COUNT];
	_Atomic bool cpu_armed; /* either cpu_left; a hint that is read without the lock */
	bool limited;           /* RLIMIT_CPU is finite */
};

static const struct clocks *clocks_of(const struct itimers *it)
{
	return &it->tg->kernel->clocks;
}

/* NULL in tests that have no timer thread. */
static struct timers *timers_of(const struct itimers *it)
{
	struct machine *m = it->tg->kernel ? it->tg->kernel->machine : NULL;

	return m ? m->timers : NULL;
}

static void send_signal(struct itimers *it, int signo)
{
	siginfo_t info = siginfo_kernel(signo);

	/* These signals don't queue: the send can't fail. */
	if (signal_send_group(it->tg, &info) < 0)
		return;
}

/* Whoever used the CPU time up is told, so that profilers see who runs. */
static void send_cpu_signal(struct itimers *it, int signo)
{
	siginfo_t info = siginfo_kernel(signo);
	struct ctx *c = ctx_current();

	if (!c || ctx_task(c)->tg != it->tg)
		send_signal(it, signo);
	else if (signal_send_group_near(ctx_task(c), &info) < 0)
		return;
}

/* ---- ITIMER_REAL ---- */

static void real_arm_locked(struct itimers *it)
{
	struct deadline d = {CLOCK_MONOTONIC, it->real_deadline};

	if (timers_of(it))
		ktimer_arm(timers_of(it), &it->real, clocks_of(it), d);
}

static void real_expired(struct ktimer *kt)
{
	struct itimers *it = container_of(kt, struct itimers, real);

	mutex_lock(&it->lock);
	/* Changed or disarmed between the expiry and here. */
	if (!it->real_deadline || it->real_fired ||
	    clock_mono(clocks_of(it)) < it->real_deadline - NSEC_PER_MSEC) {
		mutex_unlock(&it->lock);
		return;
	}
	if (it->real_interval)
		it->real_fired = true;
	else
		it->real_deadline = 0;
	mutex_unlock(&it->lock);
	send_signal(it, SIGALRM);
}

void itimers_delivered(struct itimers *it)
{
	s64 now, late;

	if (!READ_ONCE(it->real_fired))
		return;
	GUARD(&it->lock);
	if (!it->real_fired)
		return;
	it->real_fired = false;
	now = clock_mono(clocks_of(it));
	late = now - it->real_deadline;
	if (late >= it->real_interval)
		it->real_deadline += late / it->real_interval * it->real_interval;
	if (__builtin_add_overflow(it->real_deadline, it->real_interval, &it->real_deadline))
		it->real_deadline = DEADLINE_NEVER;
	real_arm_locked(it);
}

/* What is left, ns; 0: not armed. */
static s64 real_left_locked(struct itimers *it)
{
	s64 left;

	if (!it->real_deadline || it->real_fired)
		return 0;
	left = it->real_deadline - clock_mono(clocks_of(it));
	/* A timer that is about to fire must not look disarmed. */
	return MAX(left, NSEC_PER_USEC);
}

/* ---- ITIMER_VIRTUAL, ITIMER_PROF ---- */

static void tick_arm_locked(struct itimers *it)
{
	bool armed = it->cpu_left[CPU_VIRTUAL] || it->cpu_left[CPU_PROF];

	atomic_store(&it->cpu_armed, armed);
	if ((armed || it->limited) && timers_of(it))
		ktimer_arm(timers_of(it), &it->tick, clocks_of(it),
		           deadline_in(clocks_of(it), armed ? CPU_TICK : LIMIT_TICK));
}

/* A thread that never enters its kernel accounts no time: fetches all of them for a moment. */
void thread_group_kick(struct thread_group *tg)
{
	struct task *t;

	GUARD(&tg->kernel->tasks_lock);
	TAILQ_FOREACH (t, &tg->tasks, tg_link) {
		if (t->exit_state == TASK_ALIVE && !READ_ONCE(t->ctx.sleeping))
			ctx_interrupt(&t->ctx, 0);
	}
}

/* setrlimit(2): SIGXCPU at the soft limit and every second after it, SIGKILL at the hard one. */
static void check_limit(struct itimers *it)
{
	struct thread_group *tg = it->tg;
	struct rlimit *rl = &tg->rlimits[RLIMIT_CPU];
	int signo = 0;
	u64 u, s, sec;

	thread_group_times(tg, &u, &s);
	sec = (u + s) / NSEC_PER_SEC;
	mutex_lock(&tg->lock);
	if (sec >= rl->rlim_max) {
		signo = SIGKILL;
	} else if (sec >= rl->rlim_cur) {
		signo = SIGXCPU;
		rl->rlim_cur = MIN(sec + 1, rl->rlim_max);
	}
	mutex_unlock(&tg->lock);
	if (signo)
		send_signal(it, signo);
}

static void tick_expired(struct ktimer *kt)
{
	struct itimers *it = container_of(kt, struct itimers, tick);

	thread_group_kick(it->tg);
	if (READ_ONCE(it->limited))
		check_limit(it);
	GUARD(&it->lock);
	tick_arm_locked(it);
}

static bool is_limited(const struct thread_group *tg)
{
	const struct rlimit *rl = &tg->rlimits[RLIMIT_CPU];

	return rl->rlim_cur != RLIM_INFINITY || rl->rlim_max != RLIM_INFINITY;
}

void itimers_limit_changed(struct itimers *it)
{
	bool limited;

	mutex_lock(&it->tg->lock);
	limited = is_limited(it->tg);
	mutex_unlock(&it->tg->lock);
	GUARD(&it->lock);
	it->limited = limited;
	tick_arm_locked(it);
}

/* True: the signal is due. */
static bool cpu_charge_locked(struct itimers *it, int i, u64 ns)
{
	if (!it->cpu_left[i] || !ns)
		return false;
	if ((s64)MIN(ns, (u64)INT64_MAX) < it->cpu_left[i]) {
		it->cpu_left[i] -= (s64)ns;
		return false;
	}
	ns -= (u64)it->cpu_left[i];
	it->cpu_left[i] = it->cpu_interval[i];
	if (it->cpu_interval[i])
		it->cpu_left[i] -= (s64)(ns % (u64)it->cpu_interval[i]);
	return true;
}

void itimers_account(struct itimers *it, u64 user_ns, u64 sys_ns)
{
	bool virt, prof;

	if (likely(!atomic_load_explicit(&it->cpu_armed, memory_order_relaxed)))
		return;
	mutex_lock(&it->lock);
	virt = cpu_charge_locked(it, CPU_VIRTUAL, user_ns);
	prof = cpu_charge_locked(it, CPU_PROF, user_ns + sys_ns);
	atomic_store(&it->cpu_armed, it->cpu_left[CPU_VIRTUAL] || it->cpu_left[CPU_PROF]);
	mutex_unlock(&it->lock);
	if (virt)
		send_cpu_signal(it, SIGVTALRM);
	if (prof)
		send_cpu_signal(it, SIGPROF);
}

/* ---- setitimer, getitimer ---- */

static s64 timeval_ns(const struct timeval *tv)
{
	struct timespec ts = {.tv_sec = tv->tv_sec, .tv_nsec = tv->tv_usec * NSEC_PER_USEC};

	return timespec_ns(&ts);
}

static struct timeval ns_timeval(s64 ns)
{
	return (struct timeval){ns / NSEC_PER_SEC, ns % NSEC_PER_SEC / NSEC_PER_USEC};
}

static void get_locked(struct itimers *it, int which, struct itimerval *ret)
{
	int i = which == ITIMER_VIRTUAL ? CPU_VIRTUAL : CPU_PROF;

	if (which == ITIMER_REAL) {
		ret->it_value = ns_timeval(real_left_locked(it));
		ret->it_interval = ns_timeval(it->real_interval);
	} else {
		s64 left = it->cpu_left[i];

		ret->it_value = ns_timeval(left ? MAX(left, NSEC_PER_USEC) : 0);
		ret->it_interval = ns_timeval(it->cpu_interval[i]);
	}
}

static void set_locked(struct itimers *it, int which, const struct itimerval *val)
{
	int i = which == ITIMER_VIRTUAL ? CPU_VIRTUAL : CPU_PROF;
	s64 value = timeval_ns(&val->it_value);

	if (which == ITIMER_REAL) {
		struct deadline d = deadline_in(clocks_of(it), value);

		it->real_interval = value ? timeval_ns(&val->it_interval) : 0;
		it->real_fired = false;
		it->real_deadline = value ? d.ns : 0;
		if (!value)
			d = NEVER;
		if (timers_of(it))
			ktimer_arm(timers_of(it), &it->real, clocks_of(it), d);
		return;
	}
	it->cpu_left[i] = value;
	it->cpu_interval[i] = timeval_ns(&val->it_interval);
	tick_arm_locked(it);
}

static bool which_valid(int which)
{
	return which == ITIMER_REAL || which == ITIMER_VIRTUAL || which == ITIMER_PROF;
}

int itimer_set(struct itimers *it, int which, const struct itimerval *val,
               struct itimerval *ret_old)
{
	struct itimerval old;

	if (!which_valid(which))
		return -EINVAL;
	GUARD(&it->lock);
	get_locked(it, which, &old);
	set_locked(it, which, val);
	if (ret_old)
		*ret_old = old;
	return 0;
}

int itimer_get(struct itimers *it, int which, struct itimerval *ret)
{
	if (!which_valid(which))
		return -EINVAL;
	GUARD(&it->lock);
	get_locked(it, which, ret);
	return 0;
}

/* ---- life ---- */

struct itimers *itimers_new(struct thread_group *tg)
{
	struct itimers *it = obj_new(itimers);

	it->tg = tg;
	return it;
}

void itimers_attach(struct itimers *it, struct thread_group *tg)
{
	GUARD(&it->lock);
	it->tg = tg;
	it->limited = is_limited(tg);
	if (it->real_deadline && !it->real_fired)
		real_arm_locked(it);
	tick_arm_locked(it);
}

void itimers_stop(struct itimers *it)
{
	mutex_lock(&it->lock);
	it->real_deadline = 0;
	memset(it->cpu_left, 0, sizeof(it->cpu_left));
	atomic_store(&it->cpu_armed, false);
	it->limited = false;
	mutex_unlock(&it->lock);
	ktimer_cancel(&it->real);
	ktimer_cancel(&it->tick);
}

static void itimers_init(void *p)
{
	struct itimers *it = p;

	mutex_init(&it->lock, RANK_ITIMER);
	ktimer_init(&it->real, real_expired);
	ktimer_init(&it->tick, tick_expired);
}

static void itimers_destroy(void *p)
{
	itimers_stop(p);
}

static int itimers_after_load(struct loader *l, void *p)
{
	struct itimers *it = p;

	if (it->real_deadline < 0 || it->real_interval < 0)
		return loader_range(l, "real");
	/* Fired without a period would never end; a period is what makes it fired. */
	if (it->real_fired && (!it->real_interval || !it->real_deadline))
		return loader_range(l, "real_fired");
	for (int i = 0; i < CPU_COUNT; i++) {
		if (it->cpu_left[i] < 0 || it->cpu_interval[i] < 0)
			return loader_range(l, "cpu");
	}
	return 0;
}

#define ITIMERS_FIELDS(F)                                 \
	F(HDR, obj)                                       \
	F(SKIP, lock)                                     \
	F(SKIP, tg)   /* itimers_attach */                \
	F(SKIP, real) /* armed again by itimers_attach */ \
	F(SKIP, tick)                                     \
	F(VAL, real_deadline)                             \
	F(VAL, real_interval)                             \
	F(VAL, real_fired)                                \
	F(ARRAY, cpu_left)                                \
	F(ARRAY, cpu_interval)                            \
	F(SKIP, cpu_armed) /* any of cpu_left */          \
	F(SKIP, limited)   /* the group's limits say */
OBJECT_TYPE(itimers, Sentry__Itimers, sentry__itimers__descriptor, ITIMERS_FIELDS,
            .init = itimers_init, .destroy = itimers_destroy, .after_load = itimers_after_load);
