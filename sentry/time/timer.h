#pragma once
/*
 * Timers: one host thread and a heap of deadlines. An expiry calls back in the timer thread.
 *
 * Locking: RANK_TIMER inside; callbacks run without it and may take RANK_TASKS, RANK_SIGHAND and
 * lower. Lifetime: a ktimer is embedded in its owner; timer_cancel before that goes.
 * Saved: never. Owners save their deadline and interval and arm again in after_load
 * (kernel_rewire).
 */
#include "sentry/time/clock.h"
#include "state/base/types.h"

struct timers;

struct ktimer {
	struct timers *timers; /* NULL: never armed */
	s64 host_ns;           /* host CLOCK_MONOTONIC of the expiry */
	u32 heap_index;        /* 1-based; 0: not queued */
	bool running;          /* its callback is being called */
	void (*expired)(struct ktimer *t);
};

/* Starts the timer thread. After the sandbox is locked down; before tasks run. */
MUST_CHECK int timers_create(struct timers **ret);
void timers_destroy(struct timers *ts);
/* Stops and restarts expiries (nested), for a save: when it returns no callback is running. NULL is
 * fine. */
void timers_pause(struct timers *ts);
void timers_resume(struct timers *ts);

void ktimer_init(struct ktimer *t, void (*expired)(struct ktimer *t));
/* Arms or rearms for the deadline, seen through the clocks k; DEADLINE_NEVER disarms. A deadline on
 * CLOCK_REALTIME is placed by the realtime of now. */
void ktimer_arm(struct timers *ts, struct ktimer *t, const struct clocks *k, struct deadline d);
/* When it returns the callback is not running and will not be called, also if it armed the timer
 * again. From the timer's own callback: the timer may be freed when this returns. Else the caller
 * holds no lock that the callback takes. Never armed is fine. */
void ktimer_cancel(struct ktimer *t);
