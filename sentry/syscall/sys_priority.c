/*
 * Priorities: setpriority(2), ioprio_set(2). The host schedules: they are kept and told, but not
 * enforced.
 */
#include "sentry/auth/creds.h"
#include "sentry/kernel/pidns.h"
#include "sentry/syscall/sched.h"
#include "sentry/syscall/sysarg.h"

#include <linux/capability.h>

/* ---- nice ---- */

int sched_check_nice(struct task *t, struct task *o, int nice)
{
	const struct creds *me = t->ctx.creds;
	AUTO(creds) theirs = task_get_creds(o);

	if (!creds_capable(me, CAP_SYS_NICE) &&
	    !(theirs && (me->euid == theirs->euid || me->euid == theirs->uid)))
		return -EPERM;
	if (nice < o->nice && !creds_capable(me, CAP_SYS_NICE) &&
	    (u64)(20 - nice) > task_rlimit(o, RLIMIT_NICE))
		return -EACCES;
	return 0;
}

/* The task is one of those that which/who names. tasks_lock held. */
static bool selected_locked(struct task *t, struct task *o, int which, u32 who)
{
	AUTO(creds) c = NULL;

	if (o->exit_state != TASK_ALIVE)
		return false;
	switch (which) {
	case PRIO_PROCESS:
		return o->tid == (who ? who : t->tid);
	case PRIO_PGRP:
		return o->tg->pgrp && o->tg->pgrp->pgid == (who ? who : t->tg->pgrp->pgid);
	default:
		c = task_get_creds(o);
		return c && c->uid == (who ? who : t->ctx.creds->uid);
	}
}

/* Calls fn for every task that which/who names. -EINVAL, -ESRCH (none), or the last error of fn. */
static int for_selected(struct task *t, int which, u32 who,
                        int (*fn)(struct task *, struct task *, int *), int *arg)
{
	u32 after = 0;
	int r = -ESRCH, one;

	if (which != PRIO_PROCESS && which != PRIO_PGRP && which != PRIO_USER)
		return -EINVAL;
	for (;;) {
		struct task *o = NULL;

		/* The functions take locks of their own: one task at a time. */
		mutex_lock(&t->kernel->tasks_lock);
		while (!o && ++after < PID_MAX) {
			o = pid_task_locked(t->kernel->pidns, after);
			o = o && selected_locked(t, o, which, who) ? obj_get(o) : NULL;
		}
		mutex_unlock(&t->kernel->tasks_lock);
		if (!o)
			return r;
		one = fn(t, o, arg);
		if (r == -ESRCH || one < 0)
			r = one;
		obj_put(o);
	}
}

static int lowest_nice(struct task *t, struct task *o, int *nice)
{
	*nice = MIN(*nice, o->nice);
	return 0;
}

static int set_nice(struct task *t, struct task *o, int *nice)
{
	int r = sched_check_nice(t, o, *nice);

	if (r == 0)
		o->nice = *nice;
	return r;
}

/* 20 - nice, so that errors are the only negative results. */
SYSCALL2(getpriority, int, which, int, who)
{
	int nice = 20, r = for_selected(t, which, (u32)who, lowest_nice, &nice);

	return r < 0 ? r : 20 - nice;
}

SYSCALL3(setpriority, int, which, int, who, int, nice)
{
	nice = MIN(MAX(nice, -20), 19);
	return for_selected(t, which, (u32)who, set_nice, &nice);
}

/* ---- I/O priorities: linux/ioprio.h ---- */

#define IOPRIO_CLASS_SHIFT 13
enum {
	IO_CLASS_NONE,
	IO_CLASS_RT,
	IO_CLASS_BE,
	IO_CLASS_IDLE
};
enum {
	IO_WHO_PROCESS = 1,
	IO_WHO_PGRP,
	IO_WHO_USER
};

static int which_of(int io_who)
{
	switch (io_who) {
	case IO_WHO_PROCESS:
		return PRIO_PROCESS;
	case IO_WHO_PGRP:
		return PRIO_PGRP;
	case IO_WHO_USER:
		return PRIO_USER;
	default:
		return -1;
	}
}

static int set_ioprio(struct task *t, struct task *o, int *prio)
{
	if (!sched_may_control(t, o))
		return -EPERM;
	o->ioprio = (u64)*prio;
	return 0;
}

static int best_ioprio(struct task *t, struct task *o, int *prio)
{
	int own = (int)o->ioprio;

	/* None counts as the middle of best effort, which is what it means. */
	if (own >> IOPRIO_CLASS_SHIFT == IO_CLASS_NONE)
		own = IO_CLASS_BE << IOPRIO_CLASS_SHIFT | 4;
	if (*prio < 0 || own < *prio)
		*prio = (int)o->ioprio;
	return 0;
}

SYSCALL3(ioprio_set, int, which, int, who, int, prio)
{
	int class = prio >> IOPRIO_CLASS_SHIFT, data = prio & ((1 << IOPRIO_CLASS_SHIFT) - 1);

	switch (class) {
	case IO_CLASS_RT:
		if (!creds_capable(t->ctx.creds, CAP_SYS_ADMIN) &&
		    !creds_capable(t->ctx.creds, CAP_SYS_NICE))
			return -EPERM;
		if (data >= 8)
			return -EINVAL;
		break;
	case IO_CLASS_BE:
		if (data >= 8)
			return -EINVAL;
		break;
	case IO_CLASS_IDLE:
		break;
	case IO_CLASS_NONE:
		if (data)
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	return for_selected(t, which_of(which), (u32)who, set_ioprio, &prio);
}

SYSCALL2(ioprio_get, int, which, int, who)
{
	int prio = -1, r = for_selected(t, which_of(which), (u32)who, best_ioprio, &prio);

	return r < 0 ? r : prio;
}
