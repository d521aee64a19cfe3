#pragma once
/*
 * Who may change how others are scheduled: what sys_sched.c and sys_priority.c share.
 *
 * Locking: none is held. Lifetime, saved: nothing of its own.
 */
#include "sentry/kernel/task.h"

/* Linux: check_same_owner. */
bool sched_may_control(struct task *t, struct task *o);
/* May the caller give o this nice value? RLIMIT_NICE counts from 20 - nice. -EACCES, -EPERM. */
MUST_CHECK int sched_check_nice(struct task *t, struct task *o, int nice);
