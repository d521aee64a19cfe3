#pragma once
/*
 * On which cores a sandbox's threads run. A guest that computes is best left to the host's
 * scheduler. Other kinds are not:
 *
 * - While there are not two cores for each task that runs, what hands over to each other must not
 *   be on different cores: one would idle until the other comes to it. The two threads of a task
 *   stay on the core where the one of the guest was last seen. Now and then, and when it computes,
 *   that one is let go, so that the host can balance; the sentry thread follows it.
 * - Tasks that wait for each other all the time: the host wakes each thread on a core that idles,
 *   and waking an idle core costs ten times a switch on the same one. These get one core.
 * - One task that makes calls all the time: its sentry thread and its stub's thread can hand over
 *   without the host's help, but only from different cores. These are kept apart.
 *
 * Which of the latter two helps can't be known, other work on the host included, so it is tried:
 * now and then for some milliseconds, and it stays for as long as it gets more switches done.
 *
 * Locking: counters are per core and relaxed; whoever gets the trial lock decides. A stale answer
 * costs time only. Lifetime: the process. Saved: no.
 */
#include "state/base/types.h"

#include <sys/types.h>

#define PLACEMENT_FREE    0u       /* wherever the host likes; otherwise 1 + a core */
#define PLACEMENT_APART   0x10000u /* sentry threads on the core, the stubs' on the others */
#define PLACEMENT_UNKNOWN ~0u      /* of a thread that was just made: it has its maker's */
#define PLACEMENT_NOWHERE ~0u      /* no core */

/* A thread that is in the guest for this long computes, and must not be kept on a core. */
#define PLACEMENT_LONG_MS 2

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

/* The core that all of a sandbox's threads are kept on, counted from 1, or 0. */
u32 placement_core(void);
/* A task is about to sleep. */
void placement_count_block(void);

/* Of a task: where its sentry thread and its thread in the guest are to be. */
struct placement {
	u32 self, stub;
};

/* What is wanted of the calling sentry thread and its task's thread in the guest, which was last
 * seen on the core seen: not trusted, PLACEMENT_NOWHERE if it can't be known. Once a switch. */
struct placement placement_next(u32 seen);
/* The caller's task's thread in the guest computes: what is wanted of it for the next switches is
 * nothing. */
void placement_computes(void);
/* What is wanted of a thread that works while the caller waits for it: to be beside it. */
u32 placement_beside(void);

/*
 * Puts a thread of a stub, or the caller (tid 0), where it is wanted, if *placed, which belongs to
 * that thread, says that it is elsewhere. Failing costs time only: it isn't told.
 */
void placement_move(pid_t tid, u32 *placed, u32 where);
static inline void placement_apply(u32 where, pid_t tid, u32 *placed)
{
	if (unlikely(*placed != where))
		placement_move(tid, placed, where);
}
