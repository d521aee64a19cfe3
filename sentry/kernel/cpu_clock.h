#pragma once
/*
 * CPU-time clocks of threads and processes (clock_getcpuclockid(3), pthread_getcpuclockid(3)).
 *
 * Locking: takes tasks_lock. Lifetime, saved: no state; tasks keep their times.
 */
#include "sentry/kernel/task.h"

/* What a clock id names: a process's time, or one thread's. */
struct cpu_clock {
	bool thread;
	bool user_only; /* CPUCLOCK_VIRT */
	u32 id;         /* tgid or tid */
};

/* The clock counts CPU time: CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID or a dynamic id. */
bool cpu_clock_is(s32 clock);
/* A dynamic id of the kind that names a descriptor (/dev/ptpN), of which a sandbox has none. */
bool cpu_clock_is_file(s32 clock);
/* Decodes a clock id as the caller means it and checks that there is such a process, or such a
 * thread in the caller's own; for reading also the caller's tid names its process. -EINVAL. */
MUST_CHECK int cpu_clock_find(struct task *t, s32 clock, bool reading, struct cpu_clock *ret);
/* Who it counts comes out of the guest for a moment, if it has been there for long: at once, or
 * waiting for it (which a caller that is a timer may not). Hold no lock. */
void cpu_clock_kick(struct kernel *k, const struct cpu_clock *c);
void cpu_clock_settle(struct task *t, const struct cpu_clock *c);
/* Sleeps until the clock shows `until`: 0, or -ERESTARTSYS with what was left. */
MUST_CHECK long cpu_clock_sleep(struct task *t, const struct cpu_clock *c, s64 until,
                                s64 *ret_left);
/* ns so far; -EINVAL when it is gone. A thread that runs in the guest right now lags behind a bit.
 */
MUST_CHECK int cpu_clock_read(struct kernel *k, const struct cpu_clock *c, s64 *ret);
