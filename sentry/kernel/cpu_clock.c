#include "sentry/kernel/cpu_clock.h"

/* Linux: include/linux/posix-timers.h. A dynamic id is ~pid << 3 | thread << 2 | kind. */
#define CPUCLOCK_THREAD 4
#define CPUCLOCK_KIND   3
#define CPUCLOCK_PROF   0
#define CPUCLOCK_VIRT   1
#define CPUCLOCK_SCHED  2

bool cpu_clock_is(s32 clock)
{
	return clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID;
}

int cpu_clock_find(struct task *t, s32 clock, struct cpu_clock *ret)
{
	struct cpu_clock c = {.thread = clock == CLOCK_THREAD_CPUTIME_ID};

	if (clock < 0) {
		/* Kind 3 is a clock of a descriptor, which a sandbox has none of. */
		if ((clock & CPUCLOCK_KIND) > CPUCLOCK_SCHED)
			return -EINVAL;
		c.thread = (clock & CPUCLOCK_THREAD) != 0;
		c.user_only = (clock & CPUCLOCK_KIND) == CPUCLOCK_VIRT;
		c.id = (u32) ~(clock >> 3);
	} else if (!cpu_clock_is(clock)) {
		return -EINVAL;
	}
	if (c.id == 0) {
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
