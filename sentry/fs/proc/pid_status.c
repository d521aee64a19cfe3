/* /proc/PID/status. */
#include "sentry/auth/creds.h"
#include "sentry/auth/user_count.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/sighand.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/fs_context.h"
#include "state/base/cleanup.h"

#include <errno.h>

static const char *state_name(char letter)
{
	switch (letter) {
	case 'R':
		return "running";
	case 'T':
		return "stopped";
	case 't':
		return "tracing stop";
	case 'Z':
		return "zombie";
	case 'X':
		return "dead";
	}
	return "sleeping";
}

static void show_name(struct text *t, struct task *task)
{
	char comm[TASK_COMM_LEN];

	task_get_comm(task, comm);
	text_printf(t, "Name:\t");
	for (const char *s = comm; *s; s++) {
		if (*s == '\n')
			text_printf(t, "\\n");
		else if (*s == '\\')
			text_printf(t, "\\\\");
		else
			text_char(t, *s);
	}
	text_char(t, '\n');
}

static void show_creds(struct text *t, const struct creds *cr)
{
	text_printf(t, "Uid:\t%u\t%u\t%u\t%u\n", cr->uid, cr->euid, cr->suid, cr->fsuid);
	text_printf(t, "Gid:\t%u\t%u\t%u\t%u\n", cr->gid, cr->egid, cr->sgid, cr->fsgid);
}

static void show_memory(struct text *t, struct task *task)
{
	AUTO(mm) mm = task_get_mm(task);
	struct mm_stat s = {0};

	if (!mm)
		return;
	mm_stat(mm, &s);
#define KB(name, v) text_printf(t, name ":\t%8llu kB\n", (unsigned long long)((v) / KIB))
	KB("VmPeak", MAX(s.vm_peak, s.vm_size));
	KB("VmSize", s.vm_size);
	KB("VmLck", s.vm_locked);
	KB("VmPin", 0);
	KB("VmHWM", MAX(s.vm_hwm, s.rss_anon + s.rss_file + s.rss_shmem));
	KB("VmRSS", s.rss_anon + s.rss_file + s.rss_shmem);
	KB("RssAnon", s.rss_anon);
	KB("RssFile", s.rss_file);
	KB("RssShmem", s.rss_shmem);
	KB("VmData", s.vm_data);
	KB("VmStk", s.vm_stack);
	KB("VmExe", s.vm_exe);
	KB("VmLib", 0);
	KB("VmPTE", s.vm_size / 512);
	KB("VmSwap", 0);
	KB("HugetlbPages", 0);
#undef KB
	text_printf(t, "CoreDumping:\t0\nTHP_enabled:\t%d\n", !mm_thp_disabled(mm));
}

static void show_signals(struct text *t, struct task *task)
{
	struct thread_group *tg = task->tg;
	u64 pending, shared, blocked, ignored = 0, caught = 0, max;
	u64 queued = user_has(task_uid(task), USER_SIGNALS);

	mutex_lock(&tg->lock);
	pending = task->pending.pending;
	shared = tg->shared.pending;
	blocked = task->blocked;
	max = tg->rlimits[RLIMIT_SIGPENDING].rlim_cur;
	for (int signo = 1; tg->sighand && signo <= SIGNAL_MAX; signo++) {
		struct ksigaction a = sighand_get_action(tg->sighand, signo);

		if (a.handler == (u64)(uintptr_t)SIG_IGN)
			ignored |= SIGBIT(signo);
		else if (a.handler != (u64)(uintptr_t)SIG_DFL)
			caught |= SIGBIT(signo);
	}
	mutex_unlock(&tg->lock);
	text_printf(t, "SigQ:\t%llu/%llu\n", (unsigned long long)queued, (unsigned long long)max);
	text_printf(t, "SigPnd:\t%016llx\nShdPnd:\t%016llx\n", (unsigned long long)pending,
	            (unsigned long long)shared);
	text_printf(t, "SigBlk:\t%016llx\nSigIgn:\t%016llx\nSigCgt:\t%016llx\n",
	            (unsigned long long)blocked, (unsigned long long)ignored,
	            (unsigned long long)caught);
}

/* cpumasks as Linux prints them: 32 bits at a time, and as ranges. */
static void show_seccomp(struct text *t, struct task *task)
{
	u32 n = 0;

	mutex_lock(&task->kernel->tasks_lock);
	if (task->seccomp)
		n = task->seccomp->n_chain;
	text_printf(t, "Seccomp:\t%u\nSeccomp_filters:\t%u\n", task->seccomp_mode, n);
	mutex_unlock(&task->kernel->tasks_lock);
}

static void show_cpus(struct text *t, struct task *task)
{
	unsigned n = task->kernel->machine ? task->kernel->machine->ncpu : 1;
	bool first = true;

	text_printf(t, "Cpus_allowed:\t");
	for (int w = (int)((n - 1) / 32); w >= 0; w--) {
		u32 bits = 0;

		for (unsigned b = 0; b < 32; b++)
			if (w * 32 + b < n && CPU_ISSET(w * 32 + b, &task->affinity))
				bits |= 1u << b;
		text_printf(t, w == (int)((n - 1) / 32) && n % 32 ? "%0*x%s" : "%0*x%s",
		            w == (int)((n - 1) / 32) && n % 32 ? (int)(n % 32 + 3) / 4 : 8, bits,
		            w ? "," : "\n");
	}
	text_printf(t, "Cpus_allowed_list:\t");
	for (unsigned a = 0; a < n; a++) {
		unsigned b = a;

		if (!CPU_ISSET(a, &task->affinity))
			continue;
		while (b + 1 < n && CPU_ISSET(b + 1, &task->affinity))
			b++;
		text_printf(t, a == b ? "%s%u" : "%s%u-%u", first ? "" : ",", a, b);
		first = false;
		a = b;
	}
	text_printf(t, "\nMems_allowed:\t1\nMems_allowed_list:\t0\n");
}

PROC_SHOW(proc_pid_status)
{
	AUTO(task) task = proc_task(&i->key, c);
	AUTO(creds) cr = NULL;
	AUTO(fs_context) fs = NULL;
	AUTO(fd_table) fds = NULL;
	char letter;
	u32 fdsize = 0;

	if (!task)
		return -ESRCH;
	cr = task_get_creds(task);
	fs = task_get_fs(task);
	fds = task_get_fds(task);
	if (!cr)
		return -ESRCH;
	letter = task_state_letter(task);
	show_name(t, task);
	if (fs)
		text_printf(t, "Umask:\t%04o\n", fs_umask(fs));
	text_printf(t, "State:\t%c (%s)\n", letter, state_name(letter));
	text_printf(t, "Tgid:\t%u\nNgid:\t0\nPid:\t%u\nPPid:\t%u\nTracerPid:\t0\n", task->tg->tgid,
	            task->tid, thread_group_ppid(task->tg));
	show_creds(t, cr);
	if (fds)
		for (fdsize = 64; fdsize < fd_table_count(fds); fdsize *= 2)
			;
	text_printf(t, "FDSize:\t%u\nGroups:\t", fdsize);
	for (u32 g = 0; g < cr->n_groups; g++)
		text_printf(t, "%u ", cr->groups[g]);
	text_printf(t, "\nNStgid:\t%u\nNSpid:\t%u\nNSpgid:\t%u\nNSsid:\t%u\n", task->tg->tgid,
	            task->tid, thread_group_pgid(task->tg), thread_group_sid(task->tg));
	show_memory(t, task);
	text_printf(t, "Threads:\t%u\n", MAX(READ_ONCE(task->tg->n_live), 1u));
	show_signals(t, task);
	text_printf(t, "CapInh:\t%016llx\nCapPrm:\t%016llx\nCapEff:\t%016llx\n",
	            (unsigned long long)cr->cap_inheritable, (unsigned long long)cr->cap_permitted,
	            (unsigned long long)cr->cap_effective);
	text_printf(t, "CapBnd:\t%016llx\nCapAmb:\t%016llx\n", (unsigned long long)cr->cap_bounding,
	            (unsigned long long)cr->cap_ambient);
	text_printf(t, "NoNewPrivs:\t%d\n", cr->no_new_privs);
	show_seccomp(t, task);
	text_printf(t, "Speculation_Store_Bypass:\tvulnerable\n");
	show_cpus(t, task);
	text_printf(t, "voluntary_ctxt_switches:\t%llu\nnonvoluntary_ctxt_switches:\t%llu\n",
	            (unsigned long long)atomic_load(&task->nvcsw),
	            (unsigned long long)atomic_load(&task->nivcsw));
	return 0;
}
