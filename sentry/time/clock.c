#include "sentry/time/clock.h"
#include "sentry/time/fastclock.h"

static s64 host_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (s64)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

/* a + b, pinned to the ends of s64. */
static s64 add_sat(s64 a, s64 b)
{
	s64 r;

	if (__builtin_add_overflow(a, b, &r))
		return b > 0 ? INT64_MAX : INT64_MIN;
	return r;
}

s64 clock_mono(const struct clocks *k)
{
	return k->fast ? fastclock_mono(k->fast) : host_ns(CLOCK_MONOTONIC) + k->mono_offset;
}

s64 clock_real(const struct clocks *k)
{
	return k->fast ? fastclock_real(k->fast) : host_ns(CLOCK_REALTIME);
}

s64 clock_now(const struct clocks *k, s32 clock)
{
	/* The guest never sees the host suspend, so its boot time is its monotonic time. */
	return clock == CLOCK_REALTIME ? clock_real(k) : clock_mono(k);
}

s64 deadline_host_mono(const struct clocks *k, struct deadline d)
{
	if (d.ns == DEADLINE_NEVER)
		return DEADLINE_NEVER;
	if (d.clock == CLOCK_REALTIME)
		return add_sat(host_ns(CLOCK_MONOTONIC), add_sat(d.ns, -host_ns(CLOCK_REALTIME)));
	return add_sat(d.ns, -k->mono_offset);
}

bool deadline_passed(const struct clocks *k, struct deadline d)
{
	return d.ns != DEADLINE_NEVER && clock_now(k, d.clock) >= d.ns;
}

struct deadline deadline_in(const struct clocks *k, s64 rel_ns)
{
	if (rel_ns < 0)
		return NEVER;
	return (struct deadline){CLOCK_MONOTONIC, add_sat(clock_mono(k), rel_ns)};
}

bool timespec_valid(const struct timespec *ts)
{
	return ts->tv_sec >= 0 && ts->tv_nsec >= 0 && ts->tv_nsec < NSEC_PER_SEC;
}

s64 timespec_ns(const struct timespec *ts)
{
	s64 ns;

	if (__builtin_mul_overflow((s64)ts->tv_sec, NSEC_PER_SEC, &ns))
		return ts->tv_sec < 0 ? INT64_MIN : INT64_MAX;
	return add_sat(ns, ts->tv_nsec);
}

struct timespec ns_timespec(s64 ns)
{
	struct timespec ts = {.tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC};

	if (ts.tv_nsec < 0) {
		ts.tv_nsec += NSEC_PER_SEC;
		ts.tv_sec--;
	}
	return ts;
}
