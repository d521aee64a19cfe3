#pragma once
/*
 * The inside of struct memfile, for memfile.c and memfile_kept.c only.
 *
 * Locking, lifetime, saved: see memfile.h.
 */
#include "sentry/mm/memfile.h"
#include "sentry/mm/memfile_alloc.h"
#include "sentry/time/timer.h"
#include "state/base/lock.h"

struct memfile_alloc {
	struct memfile *mf;
	struct mutex lock; /* guards space */
	struct free_space space;
	_Atomic u32 *refs; /* by page */
	_Atomic u64 allocated;
	struct timers *timers; /* for trim; NULL: nobody trims */
	struct ktimer trim;
	_Atomic bool trimming; /* the timer runs */
	_Atomic bool reused;   /* since it last did */
};

/* Gives a run that nobody refers to back, to the host or to the runs kept for reuse. */
void memfile_release(struct memfile *mf, u64 off, u64 len);
