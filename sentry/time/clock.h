#pragma once
/*
 * The guest's clocks. Monotonic time is the host's plus an offset, so that it goes on from where it
 * stopped after a restore; realtime is the host's own.
 *
 * Locking: offsets are written only while everything is parked. Lifetime: embedded in the kernel.
 * Saved: the guest's monotonic and boot time at the save; offsets are made from them at load.
 */
#include "state/base/types.h"

#include <time.h>

struct fastclock;

struct clocks {
	s64 mono_offset;   /* guest CLOCK_MONOTONIC - host CLOCK_MONOTONIC, ns */
	s64 boot_realtime; /* realtime when the sandbox was first started, ns: /proc/stat btime */
	s64 stopped;       /* guest CLOCK_MONOTONIC when everything was parked: what a save writes;
	                    * 0 while tasks run */
	struct fastclock
		*fast; /* the machine's, which the vDSO reads too; NULL: the host's clocks */
};

/* A point in time on a guest clock. ns == DEADLINE_NEVER: none. */
#define DEADLINE_NEVER INT64_MAX
struct deadline {
	s32 clock; /* CLOCK_MONOTONIC, CLOCK_REALTIME or CLOCK_BOOTTIME */
	s64 ns;    /* absolute */
};
#define NEVER ((struct deadline){CLOCK_MONOTONIC, DEADLINE_NEVER})

/* The guest's time on CLOCK_MONOTONIC, in ns. Any thread. */
s64 clock_mono(const struct clocks *k);
/* CLOCK_REALTIME in ns. */
s64 clock_real(const struct clocks *k);
/* The guest's time on any of the deadline clocks. */
s64 clock_now(const struct clocks *k, s32 clock);
/* Where a deadline lies on the HOST's CLOCK_MONOTONIC, for futex waits; DEADLINE_NEVER stays. */
s64 deadline_host_mono(const struct clocks *k, struct deadline d);
bool deadline_passed(const struct clocks *k, struct deadline d);
/* rel_ns from now on CLOCK_MONOTONIC; negative: never; saturates. */
struct deadline deadline_in(const struct clocks *k, s64 rel_ns);

/* tv_nsec in range and tv_sec >= 0, as nanosleep(2) wants. */
bool timespec_valid(const struct timespec *ts);
/* Saturating. */
s64 timespec_ns(const struct timespec *ts);
struct timespec ns_timespec(s64 ns);
