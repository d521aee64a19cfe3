/* Looking in from outside: ps, debug, events. */
#include "sentry/auth/creds.h"
#include "sentry/boot/boot_impl.h"
#include "sentry/boot/look_task.h"
#include "sentry/fs/gofer/client.h"
#include "sentry/kernel/pidns.h"
#include "sentry/kernel/quiesce.h"
#include "sentry/kernel/terminal.h"
#include "sentry/kernel/task_run.h"
#include "sentry/mm/heap.h"
#include "sentry/mm/mm.h"
#include "sentry/syscall/dispatch.h"
#include "state/base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#define DEBUG_TEXT  4096                  /* bytes about one task */
#define DEBUG_PAUSE (500 * NSEC_PER_MSEC) /* what stands still only later is shown as it runs */

static char *command_line(struct task *t)
{
	AUTO(mm) mm = task_get_mm(t);
	char comm[TASK_COMM_LEN], *line;
	u64 start = 0, end = 0;
	long n = 0;

	if (mm) {
		start = mm_layout(mm)->arg_start;
		end = mm_layout(mm)->arg_end;
	}
	line = calloc(1, 4097);
	BUG_ON(!line);
	if (end > start)
		n = mm_access(mm, start, line, MIN(end - start, 4096ull), false, true);
	if (n <= 0) {
		task_get_comm(t, comm);
		snprintf(line, 4096, "[%s]", comm);
		return line;
	}
	for (long i = 0; i < n; i++) {
		if (line[i] == 0)
			line[i] = ' ';
		else if ((u8)line[i] < 32)
			line[i] = '?';
	}
	while (n > 0 && line[n - 1] == ' ')
		line[--n] = 0;
	return line;
}

/* One that runs is enough for the process to run. */
static char group_state(struct thread_group *tg)
{
	char state = 0;
	struct task *t;
	u32 at = 0;

	while ((t = task_next(tg, at))) {
		char s = task_letter(t);

		at = t->tid;
		if (s == 'R' || !state || state == 'Z')
			state = s;
		obj_put(t);
	}
	return state ? state : 'Z';
}

/* "pts/3", "console", "?" for none. Malloc'd. */
static char *terminal_name(u32 rdev)
{
	char name[16] = "?";

	if (major(rdev) == 136)
		snprintf(name, sizeof(name), "pts/%u", minor(rdev));
	else if (rdev)
		snprintf(name, sizeof(name), "console");
	return strdup(name);
}

static Control__PsEntry *ps_entry(struct kernel *k, struct thread_group *tg, struct task *leader)
{
	Control__PsEntry *e = malloc(sizeof(*e));
	AUTO(creds) cr = task_get_creds(leader);
	char letter[2] = "", waits[256];
	u32 rdev = 0;
	u64 u, s;

	BUG_ON(!e);
	control__ps_entry__init(e);
	e->pid = (s32)tg->tgid;
	e->ppid = (s32)thread_group_ppid(tg);
	e->uid = cr ? cr->uid : 0;
	mutex_lock(&k->tasks_lock);
	e->threads = tg->n_live;
	if (tg->pgrp && tg->pgrp->session->tty && !tg->no_tty)
		rdev = tg->pgrp->session->tty->rdev;
	mutex_unlock(&k->tasks_lock);
	e->tty = terminal_name(rdev);
	e->start_realtime_ns =
		(u64)(clock_real(&k->clocks) - clock_mono(&k->clocks) + tg->start_time);
	thread_group_times(tg, &u, &s);
	e->cpu_ns = u + s;
	letter[0] = group_state(tg);
	e->state = strdup(letter);
	task_waits_for(leader, waits, sizeof(waits));
	e->waiting = strdup(waits);
	BUG_ON(!e->state || !e->waiting);
	e->command = command_line(leader);
	return e;
}

int boot_ps(struct boot *b, int after_pid, size_t max, Control__PsReply *reply)
{
	struct thread_group *tg;
	u32 at = (u32)MAX(after_pid, 0);

	GUARD(&b->save_lock);
	reply->entries = calloc(max, sizeof(*reply->entries));
	BUG_ON(!reply->entries);
	while ((tg = thread_group_next(b->kernel, at))) {
		AUTO(task) leader = task_find(b->kernel, tg->tgid);

		at = tg->tgid;
		/* The built-in init is ours, not the guest's. */
		if (leader && task_run_now(leader) != &run_init) {
			if (reply->n_entries == max) {
				reply->more = true;
				obj_put(tg);
				break;
			}
			reply->entries[reply->n_entries++] = ps_entry(b->kernel, tg, leader);
		}
		obj_put(tg);
	}
	return 0;
}

/* The task with the smallest id above after, of any process. A reference. */
static struct task *next_task(struct kernel *k, u32 after)
{
	GUARD(&k->tasks_lock);
	for (u32 i = after + 1; i < PID_MAX; i++) {
		struct task *t = pid_task_locked(k->pidns, i);

		if (t)
			return task_get(t);
	}
	return NULL;
}

static void debug_task(struct task *t, Control__DebugReply *reply)
{
	Control__DebugTask *e = malloc(sizeof(*e));

	BUG_ON(!e);
	control__debug_task__init(e);
	e->tid = (s32)t->tid;
	e->text = malloc(DEBUG_TEXT);
	BUG_ON(!e->text);
	task_in_words(t, e->text, DEBUG_TEXT);
	reply->tasks[reply->n_tasks++] = e;
}

int boot_debug(struct boot *b, int after_tid, size_t max, Control__DebugReply *reply)
{
	bool paused = atomic_load(&b->paused_by_user), mine = false;
	u32 at = (u32)MAX(after_tid, 0);
	struct task *t;

	GUARD(&b->save_lock);
	if (!paused)
		mine = kernel_pause(b->kernel, DEBUG_PAUSE) == 0;
	reply->at_rest = paused || mine;
	reply->tasks = calloc(max, sizeof(*reply->tasks));
	BUG_ON(!reply->tasks);
	while ((t = next_task(b->kernel, at))) {
		at = t->tid;
		if (t->run != &run_init) {
			reply->more = reply->n_tasks == max;
			if (!reply->more)
				debug_task(t, reply);
		}
		obj_put(t);
		if (reply->more)
			break;
	}
	if (mine)
		kernel_resume(b->kernel);
	return 0;
}

static void add_group(struct thread_group *tg, Control__EventsReply *e)
{
	AUTO(mm) mm = NULL;
	struct mm_stat st;
	struct task *t;
	u32 at = 0;
	u64 u, s;

	thread_group_times(tg, &u, &s);
	e->cpu_user_ns += u;
	e->cpu_kernel_ns += s;
	e->processes++;
	e->faults += tg->dead_minflt;
	e->switches += tg->dead_nvcsw;
	while ((t = task_next(tg, at))) {
		at = t->tid;
		e->tasks++;
		e->faults += atomic_load(&t->minflt) + atomic_load(&t->majflt);
		e->switches += atomic_load(&t->nvcsw);
		e->kicks += atomic_load(&t->nivcsw);
		if (!mm)
			mm = task_get_mm(t);
		obj_put(t);
	}
	if (mm) {
		mm_stat(mm, &st);
		e->rss_bytes += st.rss_anon + st.rss_file + st.rss_shmem;
	}
}

/* What processes that are gone have used: their parents were told, up to init. */
static void add_dead(struct thread_group *tg, Control__EventsReply *e)
{
	e->cpu_user_ns += tg->child_utime;
	e->cpu_kernel_ns += tg->child_stime;
	e->faults += tg->child_minflt;
	e->switches += tg->child_nvcsw;
}

int boot_events(struct boot *b, Control__EventsReply *reply)
{
	struct thread_group *tg;
	u32 at = 0;

	GUARD(&b->save_lock);
	while ((tg = thread_group_next(b->kernel, at))) {
		at = tg->tgid;
		mutex_lock(&b->kernel->tasks_lock);
		add_dead(tg, reply);
		mutex_unlock(&b->kernel->tasks_lock);
		if (!tg->leader || task_run_now(tg->leader) != &run_init)
			add_group(tg, reply);
		obj_put(tg);
	}
	reply->cpu_ns = reply->cpu_user_ns + reply->cpu_kernel_ns;
	reply->memory_bytes = memfile_resident(b->machine.memfile);
	heap_look(b->machine.memfile, b->machine.statm);
	reply->heap_bytes = heap_bytes(b->machine.memfile);
	reply->memory_limit = b->machine.memfile->limit;
	reply->pids_limit = b->machine.pids_max;
	reply->oom_kills = atomic_load(&b->kernel->oom.kills);
	reply->restores = b->kernel->generation;
	for (unsigned i = 0; i < b->machine.n_gofers; i++)
		reply->gofer_calls += p9_client_total(b->machine.gofers[i]);
	reply->syscalls = calloc(SYSCALL_COUNT, sizeof(*reply->syscalls));
	BUG_ON(!reply->syscalls);
	for (u64 nr = 0; nr < SYSCALL_COUNT; nr++) {
		Control__SyscallCount *n;

		if (!syscall_calls(nr))
			continue;
		n = malloc(sizeof(*n));
		BUG_ON(!n);
		control__syscall_count__init(n);
		n->name = (char *)(uintptr_t)(syscall_name(nr) ? syscall_name(nr) : "unknown");
		n->calls = syscall_calls(nr);
		reply->syscalls[reply->n_syscalls++] = n;
	}
	return 0;
}
