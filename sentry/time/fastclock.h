#pragma once
/*
 * The guest's clocks from the TSC: what the vDSO's data page says, and what the sentry answers, so
 * that both tell the same time and neither ever goes backwards.
 *
 * The line is fitted to the host's CLOCK_MONOTONIC and holds for at most a second; whoever asks
 * later has the sentry fit it again. So nothing wakes up for it while the guest is idle. Where the
 * TSC is not invariant, or doesn't keep step with the host's clock, there is no line.
 *
 * Locking: own lock, below all ranked ones (a plain pthread mutex: time is asked for under any of
 * them). Lifetime: the machine's. Saved: never.
 */
#include "sentry/time/vvar.h"
#include "state/base/types.h"

#include <pthread.h>

struct fastclock {
	pthread_mutex_t lock; /* everything below but reading line */
	struct vvar line;     /* the sentry's own copy; the guest's page is only written */
	struct vvar *page;    /* NULL: none */
	s64 offset;           /* guest CLOCK_MONOTONIC - host's */
	s64 floor;            /* the latest time that anyone may have been told */
	u64 last_tsc;         /* both clocks at one moment: the rate is fitted from there */
	s64 last_host;
	u64 rate;         /* ns per 2^32 ticks; 0: not known yet */
	unsigned strikes; /* how often in a row the rate was not what it was */
	bool usable;
};

/* page: zeroed, written from now on; NULL for none. */
void fastclock_init(struct fastclock *fc, struct vvar *page);
/* Another kernel's time: starts over. Nothing runs in the guest. */
void fastclock_set_offset(struct fastclock *fc, s64 mono_offset);
/* Guest CLOCK_MONOTONIC and CLOCK_REALTIME, ns. Any thread. */
s64 fastclock_mono(struct fastclock *fc);
s64 fastclock_real(struct fastclock *fc);
