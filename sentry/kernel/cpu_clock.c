#include "sentry/kernel/cpu_clock.h"

#include "sentry/kernel/itimer.h"

/* Linux: include/linux/posix-timers.h. A dynamic id is ~pid << 3 | thread << 2 | kind. */
#define CPUCLOCK_THREAD 4
#define CPUCLOCK_KIND   3
#define CPUCLOCK_PROF   0
#define CPUCLOCK_VIRT   1
#define CPUCLOCK_SCHED  2
#define CPUCLOCK_FILE   3 /* of a descriptor */

bool cpu_clock_is_file(s32 clock)
{
	return clock < 0 && (clock & (CPUCLOCK_THREAD | CPUCLOCK_KIND)) == CPUCLOCK_FILE;
}

bool cpu_clock_is(s32 clock)
{
	return (clock < 0 && !cpu_clock_is_file(clock)) || clock == CLOCK_PROCESS_CPUTIME_ID ||
	       clock == CLOCK_THREAD_CPUTIME_ID;
}

int cpu_clock_find(struct task *t, s32 clock, bool reading, struct cpu_clock *ret)
{
	struct cpu_clock c = {.thread = clock == CLOCK_THREAD_CPUTIME_ID};

	if (clock < 0) {
		if ((clock & CPUCLOCK_KIND) > CPUCLOCK_SCHED)
			return -EINVAL;
		c.thread = (clock & CPUCLOCK_THREAD) != 0;
		c.user_only = (clock & CPUCLOCK_KIND) == CPUCLOCK_VIRT;
		c.id = (u32) ~(clock >> 3);
	} else if (!cpu_clock_is(clock)) {
		return -EINVAL;
	}
	if (c.id == 0 || (reading && !c.thread && c.id == t->tid)) {
		c.id = c.thread ? t->tid : t->tg->tgid;
	} else if (c.thread) {
		AUTO(task) o = task_find(t->kernel, c.id);

		if (!o || o->tg != t->tg)
			return -EINVAL;
	} else {
		AUTO(thread_group) tg = thread_group_find(t->kernel, c.id);

		if (!tg)
			return -EINVAL;
	}
	*ret = c;
	return 0;
}

void cpu_clock_settle(struct task *t, const struct cpu_clock *c)
{
	if (c->thread) {
		if (c->id != t->tid)
			thread_group_settle(t->tg);
	} else {
		AUTO(thread_group) tg = thread_group_find(t->kernel, c->id);

		if (tg)
			thread_group_settle(tg);
	}
}

void cpu_clock_kick(struct kernel *k, const struct cpu_clock *c)
{
	AUTO(task) t = task_find(k, c->id);

	if (t)
		thread_group_kick(t->tg);
}

/* A process's clock that is to be slept on is looked at so often. */
#define SLEEP_TICK (4 * NSEC_PER_MSEC)

long cpu_clock_sleep(struct task *t, const struct cpu_clock *c, s64 until, s64 *ret_left)
{
	/* No clock of a thread is faster than the wall's, and none of a process than all cores. */
	s64 cores = c->thread ? 1 : (s64)MAX(t->kernel->machine->ncpu, 1u);
	s64 now = 0, step;
	int r;

	*ret_left = 0;
	for (;;) {
		ctx_prepare(&t->ctx);
		/* Of a process that is gone it stands still, and so does who sleeps on it. */
		if (cpu_clock_read(t->kernel, c, &now) == 0) {
			if (now >= until)
				return 0;
			step = MAX((until - now) / cores, (s64)SLEEP_TICK);
		} else {
			step = -1;
		}
		r = ctx_sleep(&t->ctx, deadline_in(t->ctx.clocks, step));
		if (r == -ERESTARTSYS) {
			*ret_left = until - now;
			return r;
		}
		cpu_clock_settle(t, c);
	}
}

int cpu_clock_read(struct kernel *k, const struct cpu_clock *c, s64 *ret)
{
	u64 u, s;

	if (c->thread) {
		AUTO(task) t = task_find(k, c->id);

		if (!t)
			return -EINVAL;
		task_times(t, &u, &s);
	} else {
		AUTO(thread_group) tg = thread_group_find(k, c->id);

		if (!tg)
			return -EINVAL;
		thread_group_times(tg, &u, &s);
	}
	*ret = (s64)(c->user_only ? u : u + s);
	return 0;
}
