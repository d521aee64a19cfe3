#pragma once
/*
 * ITIMER_REAL, ITIMER_VIRTUAL and ITIMER_PROF of a thread group (setitimer(2), alarm(2)),
 * and its RLIMIT_CPU.
 *
 * Locking: own lock (RANK_ITIMER); expiry sends signals without it. Lifetime: the group's.
 * Saved: what is left of each and its interval. REAL counts monotonic time, so it goes on from
 * where it stopped after a restore.
 */
#include "sentry/kernel/task.h"

struct itimers;
OBJECT_DECL(itimers);

struct itimers *itimers_new(struct thread_group *tg);
/* which: ITIMER_REAL, _VIRTUAL, _PROF; -EINVAL otherwise. Values are valid timevals. */
MUST_CHECK int itimer_set(struct itimers *it, int which, const struct itimerval *val,
                          struct itimerval *ret_old);
MUST_CHECK int itimer_get(struct itimers *it, int which, struct itimerval *ret);
/* Charges CPU time to VIRTUAL (user) and PROF (both); called by task_account's owner; cheap when
 * neither is armed. */
void itimers_account(struct itimers *it, u64 user_ns, u64 sys_ns);
/* A SIGALRM of the group was taken: ITIMER_REAL starts its next period (periods that passed while
 * it was queued are skipped). Holds no lock of RANK_ITIMER or lower. */
void itimers_delivered(struct itimers *it);
/* RLIMIT_CPU of the group was set: its CPU time is watched from now on. Takes tg->lock. */
void itimers_limit_changed(struct itimers *it);
/* Back pointer and timers after a load (kernel_rewire), and before the group is reaped. */
void itimers_attach(struct itimers *it, struct thread_group *tg);
void itimers_stop(struct itimers *it);

/* Gets the group's running threads out of the guest for a moment, so that they account their CPU
 * time. Takes tasks_lock. */
void thread_group_kick(struct thread_group *tg);
