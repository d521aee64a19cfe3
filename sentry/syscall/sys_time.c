/* Clocks and sleeping: clock_gettime(2), clock_nanosleep(2), gettimeofday(2), times(2),
 * adjtimex(2)... Timers are in sys_timer.c. */
#include "sentry/auth/creds.h"
#include "sentry/kernel/cpu_clock.h"
#include "sentry/kernel/task_run.h"
#include "sentry/syscall/sysarg.h"

#include <linux/capability.h>
#include <string.h>
#include <sys/times.h>
#include <sys/timex.h>

#define TICKS_PER_SEC 100 /* USER_HZ */

/* Which of the two real clocks a clock id stands for; -1: neither. */
static s32 wall_clock(int clock)
{
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_REALTIME_ALARM:
	case CLOCK_TAI: /* nobody told this kernel of leap seconds */
		return CLOCK_REALTIME;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
	case CLOCK_BOOTTIME_ALARM:
		return CLOCK_MONOTONIC;
	default:
		return -1;
	}
}

static int read_clock(struct task *t, int clock, s64 *ret)
{
	s32 wall = wall_clock(clock);
	struct cpu_clock cpu;
	int r;

	if (wall >= 0) {
		*ret = clock_now(t->ctx.clocks, wall);
		return 0;
	}
	if (!cpu_clock_is(clock))
		return -EINVAL;
	r = cpu_clock_find(t, clock, true, &cpu);
	if (r < 0)
		return r;
	task_account(t, NULL);
	cpu_clock_settle(t, &cpu);
	return cpu_clock_read(t->kernel, &cpu, ret);
}

SYSCALL2(clock_gettime, int, clock, uaddr_t, out)
{
	struct timespec ts;
	s64 ns;
	int r = read_clock(t, clock, &ns);

	if (r < 0)
		return r;
	ts = ns_timespec(ns);
	return user_put(&t->ctx, out, &ts);
}

SYSCALL2(clock_getres, int, clock, uaddr_t, out)
{
	struct timespec ts = {.tv_nsec = 1};
	struct cpu_clock cpu;
	int r;

	if (wall_clock(clock) < 0) {
		r = cpu_clock_is(clock) ? cpu_clock_find(t, clock, false, &cpu) : -EINVAL;
		if (r < 0)
			return r;
	}
	return uaddr_null(out) ? 0 : user_put(&t->ctx, out, &ts);
}

/* Time is the host's: nobody in a sandbox may set it. */
SYSCALL2(clock_settime, int, clock, uaddr_t, in)
{
	struct timespec ts;
	int r;

	if (clock != CLOCK_REALTIME && !(cpu_clock_is(clock) && clock < 0))
		return -EINVAL;
	r = user_get(&t->ctx, in, &ts);
	if (r < 0)
		return r;
	return timespec_valid(&ts) ? -EPERM : -EINVAL;
}

SYSCALL2(gettimeofday, uaddr_t, tv, uaddr_t, tz)
{
	const struct timezone utc = {0};
	struct timespec ts;
	struct timeval now;
	int r;

	if (!uaddr_null(tv)) {
		ts = ns_timespec(clock_real(t->ctx.clocks));
		now = (struct timeval){ts.tv_sec, ts.tv_nsec / NSEC_PER_USEC};
		r = user_put(&t->ctx, tv, &now);
		if (r < 0)
			return r;
	}
	return uaddr_null(tz) ? 0 : user_put(&t->ctx, tz, &utc);
}

SYSCALL2(settimeofday, uaddr_t, tv, uaddr_t, tz)
{
	struct timeval now;
	int r;

	if (!uaddr_null(tv)) {
		r = user_get(&t->ctx, tv, &now);
		if (r < 0)
			return r;
		if (now.tv_usec < 0 || now.tv_usec >= USEC_PER_SEC || now.tv_sec < 0)
			return -EINVAL;
	}
	return -EPERM;
}

SYSCALL1(time, uaddr_t, out)
{
	s64 sec = clock_real(t->ctx.clocks) / NSEC_PER_SEC;
	int r;

	if (!uaddr_null(out)) {
		r = user_put(&t->ctx, out, &sec);
		if (r < 0)
			return r;
	}
	return sec;
}

static clock_t ns_ticks(u64 ns)
{
	return (clock_t)(ns / (NSEC_PER_SEC / TICKS_PER_SEC));
}

SYSCALL1(times, uaddr_t, out)
{
	struct tms tms;
	u64 u, s;
	int r;

	task_account(t, NULL);
	if (!uaddr_null(out)) {
		thread_group_settle(t->tg);
		thread_group_times(t->tg, &u, &s);
		tms.tms_utime = ns_ticks(u);
		tms.tms_stime = ns_ticks(s);
		mutex_lock(&t->kernel->tasks_lock);
		tms.tms_cutime = ns_ticks(t->tg->child_utime);
		tms.tms_cstime = ns_ticks(t->tg->child_stime);
		mutex_unlock(&t->kernel->tasks_lock);
		r = user_put(&t->ctx, out, &tms);
		if (r < 0)
			return r;
	}
	return ns_ticks((u64)clock_mono(t->ctx.clocks));
}

/* ---- sleeping ---- */

/* What is left. Also if only a stop interrupts: a handler may run before the call is made again,
 * and then this was its end. (Linux writes it at its freezer's stops, too.) */
static int put_remaining(struct task *t, struct deadline d, uaddr_t rem)
{
	struct timespec left;

	if (uaddr_null(rem))
		return 0;
	left = ns_timespec(MAX(d.ns - clock_now(t->ctx.clocks, d.clock), (s64)0));
	return user_put(&t->ctx, rem, &left);
}

static long sleep_until(struct task *t, struct deadline d, bool absolute, uaddr_t rem)
{
	int r;

	do {
		ctx_prepare(&t->ctx);
		if (deadline_passed(t->ctx.clocks, d))
			return 0;
		r = ctx_sleep(&t->ctx, d);
		if (r == -ETIMEDOUT)
			return 0;
	} while (r == 0);
	if (absolute)
		return -ERESTARTNOHAND;
	if (deadline_passed(t->ctx.clocks, d))
		return 0;
	r = put_remaining(t, d, rem);
	return r < 0 ? r : -ERESTART_RESTARTBLOCK;
}

SYSCALL2(nanosleep, uaddr_t, req, uaddr_t, rem)
{
	struct timespec ts;
	int r = user_get(&t->ctx, req, &ts);

	if (r < 0)
		return r;
	if (!timespec_valid(&ts))
		return -EINVAL;
	return sleep_until(t, ctx_deadline(&t->ctx, timespec_ns(&ts)), false, rem);
}

/* The restart block's deadline is a time of that clock. */
static long cpu_nanosleep(struct task *t, int clock, int flags, s64 ns, uaddr_t rem)
{
	bool again = t->ctx.restart.active && t->ctx.restart.has_deadline;
	struct timespec left_ts;
	struct cpu_clock cpu;
	s64 now, left;
	long r;

	r = cpu_clock_find(t, clock, false, &cpu);
	if (r < 0)
		return r;
	/* It would never wake. */
	if (cpu.thread && cpu.id == t->tid)
		return -EINVAL;
	task_account(t, NULL);
	cpu_clock_settle(t, &cpu);
	if (!again && !(flags & TIMER_ABSTIME)) {
		r = cpu_clock_read(t->kernel, &cpu, &now);
		if (r < 0)
			return r;
		ns = ns > INT64_MAX - now ? INT64_MAX : now + ns;
	}
	ns = ctx_deadline_abs(&t->ctx, (struct deadline){CLOCK_MONOTONIC, ns}).ns;
	r = cpu_clock_sleep(t, &cpu, ns, &left);
	if (r == 0)
		return 0;
	if (flags & TIMER_ABSTIME)
		return -ERESTARTNOHAND;
	if (!uaddr_null(rem)) {
		left_ts = ns_timespec(MAX(left, (s64)0));
		r = user_put(&t->ctx, rem, &left_ts);
		if (r < 0)
			return r;
	}
	return -ERESTART_RESTARTBLOCK;
}

SYSCALL4(clock_nanosleep, int, clock, int, flags, uaddr_t, req, uaddr_t, rem)
{
	s32 wall = wall_clock(clock);
	struct deadline d;
	struct timespec ts;
	int r;

	switch (clock) {
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_THREAD_CPUTIME_ID:
		return -EOPNOTSUPP;
	case CLOCK_REALTIME_ALARM:
	case CLOCK_BOOTTIME_ALARM:
		if (!creds_capable(t->ctx.creds, CAP_WAKE_ALARM))
			return -EPERM;
		break;
	default:
		if (cpu_clock_is_file(clock))
			return -EOPNOTSUPP;
		if (wall < 0 && !cpu_clock_is(clock))
			return -EINVAL;
	}
	r = user_get(&t->ctx, req, &ts);
	if (r < 0)
		return r;
	if (!timespec_valid(&ts))
		return -EINVAL;
	if (wall < 0)
		return cpu_nanosleep(t, clock, flags, timespec_ns(&ts), rem);
	if (flags & TIMER_ABSTIME) {
		d = (struct deadline){wall, timespec_ns(&ts)};
		return sleep_until(t, d, true, UADDR_NULL);
	}
	/* Setting the host's clock doesn't move a relative sleep. */
	return sleep_until(t, ctx_deadline(&t->ctx, timespec_ns(&ts)), false, rem);
}

/* ---- the host's clock discipline, as much as it concerns a guest ---- */

static long adjust(struct task *t, uaddr_t buf)
{
	struct timespec now;
	struct timex tx;
	int r = user_get(&t->ctx, buf, &tx);

	if (r < 0)
		return r;
	if (tx.modes != 0 && tx.modes != ADJ_OFFSET_SS_READ)
		return -EPERM;
	now = ns_timespec(clock_real(t->ctx.clocks));
	memset(&tx, 0, sizeof(tx));
	tx.maxerror = tx.esterror = 16000000;
	tx.status = STA_UNSYNC;
	tx.constant = 2;
	tx.precision = 1;
	tx.tolerance = 32768000;
	tx.time = (struct timeval){now.tv_sec, now.tv_nsec / NSEC_PER_USEC};
	tx.tick = 10000;
	r = user_put(&t->ctx, buf, &tx);
	return r < 0 ? r : TIME_ERROR;
}

SYSCALL1(adjtimex, uaddr_t, buf)
{
	return adjust(t, buf);
}

SYSCALL2(clock_adjtime, int, clock, uaddr_t, buf)
{
	if (clock != CLOCK_REALTIME)
		return wall_clock(clock) >= 0 ? -EOPNOTSUPP : -EINVAL;
	return adjust(t, buf);
}
