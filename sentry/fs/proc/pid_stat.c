/* /proc/PID/stat, statm, limits and the scheduler's files. */
#include "sentry/fs/proc/proc.h"
#include "sentry/kernel/terminal.h"
#include "sentry/kernel/sighand.h"
#include "sentry/time/clock.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

/* What stat takes from under the locks at one moment. */
struct numbers {
	u32 ppid, pgid, sid, threads, tpgid;
	int tty;
	u64 pending, blocked, ignored, caught;
	u64 utime, stime, cutime, cstime, minflt, majflt, cminflt;
	int exit_signal;
	s32 exit_status;
};

static void read_tree(struct task *task, struct numbers *n)
{
	struct thread_group *tg = task->tg;
	struct session *s;

	GUARD(&task->kernel->tasks_lock);
	n->ppid = tg->parent ? tg->parent->tgid : 0;
	n->threads = MAX(tg->n_live, 1u);
	n->exit_signal = tg->exit_signal;
	n->exit_status = task->exit_status;
	n->cutime = tg->child_utime;
	n->cstime = tg->child_stime;
	n->cminflt = tg->child_minflt;
	if (!tg->pgrp)
		return;
	s = tg->pgrp->session;
	n->pgid = tg->pgrp->pgid;
	n->sid = s->sid;
	n->tpgid = ~0u;
	if (s->tty && !tg->no_tty) {
		n->tpgid = s->tty->foreground;
		n->tty = (int)s->tty->rdev;
	}
}

static void read_signals(struct task *task, struct numbers *n)
{
	struct thread_group *tg = task->tg;

	GUARD(&tg->lock);
	n->pending = task->pending.pending;
	n->blocked = task->blocked;
	for (int signo = 1; tg->sighand && signo <= 31; signo++) {
		struct ksigaction a = sighand_get_action(tg->sighand, signo);

		if (a.handler == (u64)(uintptr_t)SIG_IGN)
			n->ignored |= SIGBIT(signo);
		else if (a.handler != (u64)(uintptr_t)SIG_DFL)
			n->caught |= SIGBIT(signo);
	}
}

static void read_times(struct pseudo_inode *i, struct task *task, struct numbers *n)
{
	thread_group_settle(task->tg);
	if (i->key.thread)
		task_times(task, &n->utime, &n->stime);
	else
		thread_group_times(task->tg, &n->utime, &n->stime);
	n->minflt = atomic_load(&task->minflt);
	n->majflt = atomic_load(&task->majflt);
}

PROC_SHOW(proc_pid_stat)
{
	AUTO(task) task = proc_task(&i->key, c);
	AUTO(mm) mm = NULL;
	struct numbers n = {0};
	struct mm_layout lay = {0};
	struct mm_stat ms = {0};
	char comm[TASK_COMM_LEN];
	bool secret;

	if (!task)
		return -ESRCH;
	secret = !task_may_inspect(ctx_task(c), task);
	mm = task_get_mm(task);
	if (mm) {
		lay = *mm_layout(mm);
		mm_stat(mm, &ms);
	}
	if (secret)
		lay = (struct mm_layout){0};
	n.tpgid = UINT32_MAX;
	read_tree(task, &n);
	read_signals(task, &n);
	read_times(i, task, &n);
	task_get_comm(task, comm);
	text_printf(t, "%u (%s) %c %u %u %u %d %d %u", task->tid, comm, task_state_letter(task),
	            n.ppid, n.pgid, n.sid, n.tty, (int)n.tpgid, 0u);
	text_printf(t, " %llu %llu %llu %llu", (unsigned long long)n.minflt,
	            (unsigned long long)n.cminflt, (unsigned long long)n.majflt, 0ull);
	text_printf(t, " %llu %llu %lld %lld", (unsigned long long)proc_ticks((s64)n.utime),
	            (unsigned long long)proc_ticks((s64)n.stime),
	            (long long)proc_ticks((s64)n.cutime), (long long)proc_ticks((s64)n.cstime));
	text_printf(t, " %d %d %u 0 %llu", 20 + task->nice, task->nice, n.threads,
	            (unsigned long long)proc_ticks(task->start_time));
	text_printf(t, " %llu %llu %llu", (unsigned long long)ms.vm_size,
	            (unsigned long long)((ms.rss_anon + ms.rss_file + ms.rss_shmem) / PAGE_SIZE),
	            (unsigned long long)task_rlimit(task, RLIMIT_RSS));
	text_printf(t, " %llu %llu %llu 0 0", (unsigned long long)lay.start_code,
	            (unsigned long long)lay.end_code, (unsigned long long)lay.start_stack);
	text_printf(t, " %llu %llu %llu %llu %d 0 0", (unsigned long long)(n.pending & 0x7fffffff),
	            (unsigned long long)(n.blocked & 0x7fffffff),
	            (unsigned long long)(n.ignored & 0x7fffffff),
	            (unsigned long long)(n.caught & 0x7fffffff), 0);
	text_printf(t, " %d 0 %d %d 0 0 0", n.exit_signal, task->sched_priority,
	            task->sched_policy);
	text_printf(t, " %llu %llu 0 %llu %llu %llu %llu %d\n", (unsigned long long)lay.start_data,
	            (unsigned long long)lay.end_data, (unsigned long long)lay.arg_start,
	            (unsigned long long)lay.arg_end, (unsigned long long)lay.env_start,
	            (unsigned long long)lay.env_end, secret ? 0 : n.exit_status);
	return 0;
}

PROC_SHOW(proc_pid_statm)
{
	AUTO(task) task = proc_task(&i->key, c);
	AUTO(mm) mm = NULL;
	struct mm_stat ms = {0};

	if (!task)
		return -ESRCH;
	mm = task_get_mm(task);
	if (mm)
		mm_stat(mm, &ms);
	text_printf(t, "%llu %llu %llu %llu 0 %llu 0\n",
	            (unsigned long long)(ms.vm_size / PAGE_SIZE),
	            (unsigned long long)((ms.rss_anon + ms.rss_file + ms.rss_shmem) / PAGE_SIZE),
	            (unsigned long long)((ms.rss_file + ms.rss_shmem) / PAGE_SIZE),
	            (unsigned long long)(ms.vm_exe / PAGE_SIZE),
	            (unsigned long long)((ms.vm_data + ms.vm_stack) / PAGE_SIZE));
	return 0;
}

static const struct {
	const char *name, *unit;
	int resource;
} limit_names[] = {
	{"Max cpu time", "seconds", RLIMIT_CPU},
	{"Max file size", "bytes", RLIMIT_FSIZE},
	{"Max data size", "bytes", RLIMIT_DATA},
	{"Max stack size", "bytes", RLIMIT_STACK},
	{"Max core file size", "bytes", RLIMIT_CORE},
	{"Max resident set", "bytes", RLIMIT_RSS},
	{"Max processes", "processes", RLIMIT_NPROC},
	{"Max open files", "files", RLIMIT_NOFILE},
	{"Max locked memory", "bytes", RLIMIT_MEMLOCK},
	{"Max address space", "bytes", RLIMIT_AS},
	{"Max file locks", "locks", RLIMIT_LOCKS},
	{"Max pending signals", "signals", RLIMIT_SIGPENDING},
	{"Max msgqueue size", "bytes", RLIMIT_MSGQUEUE},
	{"Max nice priority", "", RLIMIT_NICE},
	{"Max realtime priority", "", RLIMIT_RTPRIO},
	{"Max realtime timeout", "us", RLIMIT_RTTIME},
};

static void show_limit(struct text *t, u64 v)
{
	if (v == RLIM_INFINITY)
		text_printf(t, "%-20s ", "unlimited");
	else
		text_printf(t, "%-20llu ", (unsigned long long)v);
}

PROC_SHOW(proc_pid_limits)
{
	AUTO(task) task = proc_task(&i->key, c);
	struct rlimit lim[RLIM_NLIMITS];

	if (!task)
		return -ESRCH;
	mutex_lock(&task->tg->lock);
	memcpy(lim, task->tg->rlimits, sizeof(lim));
	mutex_unlock(&task->tg->lock);
	text_printf(t, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
	for (size_t k = 0; k < ARRAY_SIZE(limit_names); k++) {
		text_printf(t, "%-25s ", limit_names[k].name);
		show_limit(t, lim[limit_names[k].resource].rlim_cur);
		show_limit(t, lim[limit_names[k].resource].rlim_max);
		if (limit_names[k].unit[0])
			text_printf(t, "%-10s\n", limit_names[k].unit);
		else
			text_char(t, '\n');
	}
	return 0;
}

PROC_SHOW(proc_pid_schedstat)
{
	AUTO(task) task = proc_task(&i->key, c);
	u64 u, s;

	if (!task)
		return -ESRCH;
	thread_group_settle(task->tg);
	task_times(task, &u, &s);
	text_printf(t, "%llu 0 %llu\n", (unsigned long long)(u + s),
	            (unsigned long long)(atomic_load(&task->nvcsw) + atomic_load(&task->nivcsw)));
	return 0;
}

PROC_SHOW(proc_pid_sched)
{
	AUTO(task) task = proc_task(&i->key, c);
	char comm[TASK_COMM_LEN];
	u64 u, s;

	if (!task)
		return -ESRCH;
	task_get_comm(task, comm);
	thread_group_settle(task->tg);
	task_times(task, &u, &s);
	text_printf(t, "%s (%u, #threads: %u)\n", comm, task->tid, READ_ONCE(task->tg->n_live));
	text_printf(t, "-------------------------------------------------------------------\n");
	text_printf(t, "se.sum_exec_runtime                          :  %14llu.%06llu\n",
	            (unsigned long long)((u + s) / NSEC_PER_MSEC),
	            (unsigned long long)((u + s) % NSEC_PER_MSEC));
	text_printf(t, "nr_voluntary_switches                        :  %21llu\n",
	            (unsigned long long)atomic_load(&task->nvcsw));
	text_printf(t, "nr_involuntary_switches                      :  %21llu\n",
	            (unsigned long long)atomic_load(&task->nivcsw));
	text_printf(t, "policy                                       :  %21d\n",
	            task->sched_policy);
	text_printf(t, "prio                                         :  %21d\n", 120 + task->nice);
	return 0;
}
