#pragma once
/*
 * The inside of a process's POSIX timers, for posix_timer.c and what saves them.
 *
 * Locking, lifetime, saved: see posix_timer.h; *_locked wants posix_timers.lock.
 */
#include "sentry/kernel/cpu_clock.h"
#include "sentry/kernel/posix_timer.h"
#include "sentry/time/timer.h"

#include <bsd/sys/cdefs.h>
#include <bsd/sys/tree.h>

#define TIMERS_MAX 65536u

struct ptimer {
	TAILQ_ENTRY(ptimer) link;
	RB_ENTRY(ptimer) by_id;
	struct posix_timers *owner;
	struct ktimer kt;
	u32 id;
	u32 uid; /* whose limit it counts against */
	s32 clock;
	int notify, signo;
	u64 value;
	u32 tid;              /* SIGEV_THREAD_ID */
	struct cpu_clock cpu; /* cpu.id 0: not a CPU clock */
	s32 base;             /* CLOCK_MONOTONIC, _REALTIME or BASE_CPU: what deadline counts on */
	s64 deadline;         /* 0: not armed */
	s64 interval;
	bool fired;
	u32 overrun, overrun_last;
};
#define BASE_CPU (-1)

TAILQ_HEAD(ptimer_list, ptimer);
RB_HEAD(ptimer_ids, ptimer);
struct posix_timers {
	struct obj obj;
	struct mutex lock;       /* RANK_ITIMER */
	struct thread_group *tg; /* weak; set before anything is armed */
	u32 next_id;
	struct ptimer_list list; /* by id */
	struct ptimer_ids ids;   /* the same, to be found */
	u32 count;
	struct ktimer tick; /* runs while a timer on a CPU clock is armed */
};

/* A timer that is not armed, of p, that is not yet in it; NULL: no memory. */
struct ptimer *ptimer_new(struct posix_timers *p);
/* p takes it over. */
void ptimer_add_locked(struct posix_timers *p, struct ptimer *pt);
/* Of the object's type. */
void posix_timers_init(void *o);
void posix_timers_destroy(void *o);
