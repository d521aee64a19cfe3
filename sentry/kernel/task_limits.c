/* How many tasks there may be: of the sandbox, of one user, and as address spaces. */
#include "sentry/auth/creds.h"
#include "sentry/kernel/pidns.h"
#include "sentry/kernel/task_run.h"
#include "sentry/mm/mm.h"

#include <errno.h>
#include <linux/capability.h>

/* The tasks of one user; only looked at when all tasks together would be too many for him. */
static u64 tasks_of_user_locked(struct kernel *k, u32 uid)
{
	u64 n = 0;

	for (u32 tid = 1, left = k->pidns->n_tasks; tid < PID_MAX && left > 0; tid++) {
		struct task *t = k->pidns->slots[tid].task;

		if (!t)
			continue;
		left--;
		n += task_uid(t) == uid;
	}
	return n;
}

int task_limit_locked(struct task *t)
{
	u32 most = t->kernel->machine->pids_max;
	u64 limit = t->tg->rlimits[RLIMIT_NPROC].rlim_cur;

	if (most && t->kernel->pidns->n_tasks >= most)
		return -EAGAIN;
	if (t->ctx.creds->uid != 0 && t->kernel->pidns->n_tasks >= limit &&
	    !creds_capable(t->ctx.creds, CAP_SYS_RESOURCE) &&
	    !creds_capable(t->ctx.creds, CAP_SYS_ADMIN) &&
	    tasks_of_user_locked(t->kernel, t->ctx.creds->uid) >= limit)
		return -EAGAIN;
	return 0;
}

int task_limit(struct task *t, bool shares_mm)
{
	u32 max = t->kernel->machine->mms_max;

	if (!shares_mm && max && mm_count() >= max)
		return -EAGAIN;
	GUARD(&t->kernel->tasks_lock);
	return task_limit_locked(t);
}
