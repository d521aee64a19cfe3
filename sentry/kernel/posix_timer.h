#pragma once
/*
 * POSIX timers of a thread group (timer_create(2)).
 *
 * Locking: own lock (RANK_ITIMER); expiry sends signals without it. Lifetime: the group's; all are
 * deleted by execve and exit. Saved: every timer with what is left, its interval and its overruns.
 */
#include "sentry/kernel/task.h"

struct posix_timers;
OBJECT_DECL(posix_timers);

struct posix_timers *posix_timers_new(struct thread_group *tg);
/* By the calling task. sev is a copy, unchecked; NULL: SIGALRM with the id as its value. The new
 * id. -EINVAL, -EAGAIN (RLIMIT_SIGPENDING), -EOPNOTSUPP (clocks without timers), -ENOMEM. */
MUST_CHECK int posix_timer_create(struct posix_timers *p, struct task *t, s32 clock,
                                  const struct sigevent *sev, int *ret_id);
/* The three: -EINVAL (no such timer; times that are none). */
MUST_CHECK int posix_timer_settime(struct posix_timers *p, int id, int flags,
                                   const struct itimerspec *val, struct itimerspec *ret_old);
MUST_CHECK int posix_timer_gettime(struct posix_timers *p, int id, struct itimerspec *ret);
MUST_CHECK int posix_timer_getoverrun(struct posix_timers *p, int id);
MUST_CHECK int posix_timer_delete(struct posix_timers *p, int id);
/* The queued signal of timer_id was taken: si_overrun for it, and the next may be queued. */
int posix_timer_delivered(struct posix_timers *p, u64 timer_id);
/* execve, exit: all of them go. */
void posix_timers_clear(struct posix_timers *p);
void posix_timers_attach(struct posix_timers *p, struct thread_group *tg);
