/*
 * CPU time of tasks. How long a turn of the guest, or of us for it, takes is told by the TSC; but
 * the host may have had other things to do meanwhile. So every millisecond of it, or more, is held
 * against the CPU time that the host says it gave: the difference was waiting, and is nobody's.
 */
#include "sentry/kernel/itimer.h"
#include "sentry/kernel/quiesce.h"
#include "sentry/kernel/task_run.h"

#include <unistd.h>
#include <x86intrin.h>

/* Asking the host costs a call: not for less. */
#define CHARGE_MIN ((u64)NSEC_PER_MSEC)

/* How old may be what others are told (a tick of Linux at 250 Hz), and how long they wait for more:
 * whoever does not get a core in that time uses none either. */
#define STALE_NS    (4 * (u64)NSEC_PER_MSEC)
#define SETTLE_STEP 50 /* us */
#define SETTLE_MAX  40 /* steps */

/* ns per 2^32 TSC ticks, from the first two looks at both clocks that are far enough apart. */
static u64 tsc_scale(void)
{
	static _Atomic u64 scale, tsc0, ns0;
	struct timespec ts;
	u64 s = atomic_load_explicit(&scale, memory_order_relaxed), tsc, ns;

	if (likely(s & 1))
		return s;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	tsc = __rdtsc();
	ns = (u64)timespec_ns(&ts);
	if (!tsc0) {
		ns0 = ns;
		tsc0 = tsc;
		return s ? s : (u64)((1ull << 32) / 2.5);
	}
	if (tsc <= tsc0 || ns <= ns0)
		return s ? s : (u64)((1ull << 32) / 2.5);
	s = (u64)((unsigned __int128)(ns - ns0) * (1ull << 32) / (tsc - tsc0)) & ~1ull;
	/* Odd: exact enough to keep. */
	if (ns - ns0 > 200 * NSEC_PER_MSEC)
		s |= 1;
	atomic_store_explicit(&scale, s, memory_order_relaxed);
	return s;
}

/* Of ns, as many as this thread really ran for since it was asked last. */
static u64 charge_thread(struct task *t, u64 ns)
{
	struct timespec ts;
	u64 last = t->thread_cpu;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) < 0)
		return ns;
	t->thread_cpu = (u64)timespec_ns(&ts);
	/* Another thread than the one before a save. */
	return t->thread_cpu < last ? ns : MIN(ns, t->thread_cpu - last);
}

/* What of ns is to be counted now; *recent is what was counted since the host was asked. */
static u64 charge(struct task *t, struct aspace *guest, u64 ns, u64 *recent)
{
	u64 all = *recent + ns, ran;

	if (likely(all < CHARGE_MIN)) {
		*recent = all;
		return ns;
	}
	ran = guest ? aspace_charge(guest, all, READ_ONCE(t->tg->n_live) == 1)
	            : charge_thread(t, all);
	ns = ran > *recent ? ran - *recent : 0;
	*recent = 0;
	return ns;
}

void task_account(struct task *t, struct aspace *guest)
{
	u64 now = __rdtsc();
	u64 ns = (u64)((unsigned __int128)(now - t->last_tsc) * tsc_scale() >> 32);

	if (now < t->last_tsc)
		ns = 0;
	atomic_store_explicit(&t->last_tsc, now, memory_order_relaxed);
	if (guest) {
		ns = charge(t, guest, ns, &t->recent_utime);
		atomic_fetch_add_explicit(&t->utime, ns, memory_order_relaxed);
	} else {
		/* Sleep is not CPU time. */
		u64 slept = t->ctx.slept_ns;

		t->ctx.slept_ns = 0;
		if (t->ctx.sleeps) {
			atomic_fetch_add_explicit(&t->nvcsw, t->ctx.sleeps, memory_order_relaxed);
			t->ctx.sleeps = 0;
		}
		ns = charge(t, NULL, ns > slept ? ns - slept : 0, &t->recent_stime);
		atomic_fetch_add_explicit(&t->stime, ns, memory_order_relaxed);
	}
	itimers_account(t->tg->itimers, guest ? ns : 0, guest ? 0 : ns);
}

static bool is_stale(struct task *t, u64 now)
{
	u64 last = atomic_load_explicit(&t->last_tsc, memory_order_relaxed);

	return t->exit_state == TASK_ALIVE && !READ_ONCE(t->ctx.sleeping) && now > last &&
	       (u64)((unsigned __int128)(now - last) * tsc_scale() >> 32) > STALE_NS;
}

/* How many have run for long without a look at their clock; with kick, they are to take one. */
static u32 count_stale(struct thread_group *tg, bool kick)
{
	struct ctx *self = ctx_current();
	u64 now = __rdtsc();
	struct task *t;
	u32 n = 0;

	GUARD(&tg->kernel->tasks_lock);
	TAILQ_FOREACH (t, &tg->tasks, tg_link) {
		if (&t->ctx == self || !is_stale(t, now))
			continue;
		n++;
		if (kick)
			ctx_interrupt(&t->ctx, 0);
	}
	return n;
}

/* Waits so many steps for them at most; how many are left. */
static u32 await(struct thread_group *tg, u32 steps)
{
	for (; steps > 0 && count_stale(tg, false) > 0; steps--)
		usleep(SETTLE_STEP);
	return steps;
}

void thread_group_settle(struct thread_group *tg)
{
	struct ctx *self = ctx_current();

	/* Who asks for its own, and is all of it, has just come out. */
	if (self && ctx_task(self)->tg == tg && READ_ONCE(tg->n_live) == 1)
		return;
	if (kernel_is_paused(tg->kernel) || count_stale(tg, true) == 0)
		return;
	await(tg, SETTLE_MAX);
}

/* The members of all groups: kicked, or awaited for as long as the time for all of them lasts. */
static u32 settle_all(struct kernel *k, bool kick)
{
	u32 after = 0, n = 0, steps = SETTLE_MAX;

	for (;;) {
		AUTO(thread_group) tg = thread_group_next(k, after);

		if (!tg || steps == 0)
			return n;
		after = tg->tgid;
		if (kick)
			n += count_stale(tg, true);
		else
			steps = await(tg, steps);
	}
}

void kernel_settle_times(struct kernel *k)
{
	if (!kernel_is_paused(k) && settle_all(k, true) > 0)
		settle_all(k, false);
}
