#pragma once
/*
 * On which cores a sandbox's threads run. A guest that computes is best left to the host's
 * scheduler. Three other kinds are not:
 *
 * - Tasks that wait for each other all the time: the host wakes each thread on a core that idles,
 *   and waking an idle core costs ten times a switch on the same one. These get one core.
 * - One task that makes calls all the time: its sentry thread and its stub's thread can hand over
 *   without the host's help, but only from different cores. These are kept apart.
 * - Tasks that make calls all the time, as many as there are cores or more: each has a core where
 *   both its threads run, since the host would spread them and wake the one from the other's core.
 *
 * Which of it helps can't be known, other work on the host included, so it is tried: now and then
 * for some milliseconds, and it stays for as long as it gets more switches done.
 *
 * Locking: counters are per core and relaxed; whoever gets the trial lock decides. A stale answer
 * costs time only. Lifetime: the process. Saved: no.
 */
#include "state/base/types.h"

#include <sys/types.h>

#define PLACEMENT_FREE    0u       /* wherever the host likes; otherwise 1 + a core */
#define PLACEMENT_APART   0x10000u /* sentry threads on the core, the stubs' on the others */
#define PLACEMENT_PAIRS   0x20000u /* each task's threads on a core; below it: which dealing */
#define PLACEMENT_UNKNOWN ~0u      /* of a thread that was just made: it has its maker's */

extern _Atomic u32 g_placement;
/* The core that the last dealing gave to the calling sentry thread, and which dealing that was. */
extern _Thread_local u32 placement_home, placement_dealt;

/* What the functions here call while the sentry's filter is on: entries of platform_ops.syscalls.
 */
#define PLACEMENT_SYSCALLS        \
	{SYS_sched_setaffinity},  \
	{                         \
		SYS_clock_gettime \
	}

/* Reads which cores this process may use. Once, before threads are made. spins: a thread of a stub
 * and its sentry thread can hand over to each other across cores without sleeping. */
void placement_init(bool spins);

/* A switch to the guest is about to happen; decides what g_placement is now and then. */
void placement_count_switch(void);
/* A task is about to sleep. */
void placement_count_block(void);

/* Slow paths of what follows. */
void placement_move(pid_t tid, u32 *placed, u32 where);
void placement_deal(u32 where);

/* What *placed is for threads of the caller's task when g_placement is where. */
static inline u32 placement_mine(u32 where)
{
	if (likely(!(where & PLACEMENT_PAIRS)))
		return where;
	if (unlikely(placement_dealt != where))
		placement_deal(where);
	return PLACEMENT_PAIRS | placement_home;
}

/*
 * Puts a thread of a stub, or the caller (tid 0), where g_placement says, if *placed, which belongs
 * to that thread, says that it is elsewhere. Failing costs time only: it isn't told.
 */
static inline void placement_apply(pid_t tid, u32 *placed)
{
	u32 where = placement_mine(atomic_load_explicit(&g_placement, memory_order_relaxed));

	if (unlikely(*placed != where))
		placement_move(tid, placed, where);
}

/* The same for a thread that works while its sentry thread waits for it: always beside it. */
static inline void placement_apply_beside(pid_t tid, u32 *placed)
{
	u32 where = placement_mine(atomic_load_explicit(&g_placement, memory_order_relaxed)) &
	            ~PLACEMENT_APART;

	if (unlikely(*placed != where))
		placement_move(tid, placed, where);
}
