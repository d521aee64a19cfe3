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

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DEBUG_TEXT  4096                  /* bytes about one task */
#define LOOK_SLOW   (100 * NSEC_PER_MSEC) /* of ps and events, until it is held for them */
#define HOLD_PAUSE  (2 * NSEC_PER_SEC)
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

/* One that runs is enough for the process to run. tasks_lock held. */
static char group_state_locked(struct thread_group *tg)
{
	char state = 0;
	struct task *t;

	TAILQ_FOREACH (t, &tg->tasks, tg_link) {
		char s = task_letter(t);

		if (s == 'R' || !state || state == 'Z')
			state = s;
	}
	return state ? state : 'Z';
}

/* What is known of a process under tasks_lock. */
struct seen {
	struct task *task; /* owned; of a process: its leader */
	u32 ppid, threads, rdev;
	u64 cpu_ns;
	s64 start_time;
	char state;
};

/* The leader may have ended before its threads: then the first of them speaks for the process. */
static struct task *speaker_locked(struct task *leader)
{
	struct task *t;

	if (leader->exit_state == TASK_ALIVE)
		return leader;
	TAILQ_FOREACH (t, &leader->tg->tasks, tg_link) {
		if (t->exit_state == TASK_ALIVE)
			return t;
	}
	return leader;
}

static void see_locked(struct task *leader, struct seen *s)
{
	struct thread_group *tg = leader->tg;
	u64 u, st;

	s->task = task_get(speaker_locked(leader));
	s->ppid = tg->parent ? tg->parent->tgid : 0;
	s->threads = tg->n_live;
	if (tg->pgrp && tg->pgrp->session->tty && !tg->no_tty)
		s->rdev = tg->pgrp->session->tty->rdev;
	thread_group_times_locked(tg, &u, &st);
	s->cpu_ns = u + st;
	s->start_time = tg->start_time;
	s->state = group_state_locked(tg);
}

/*
 * All processes, or (each) all tasks, at one moment: whoever is in a storm of forks and exits gets
 * the lock of the tree once in a while only. *ret is malloc'd; the number. The built-in init is
 * ours, not the guest's.
 */
static size_t see_all(struct kernel *k, bool each, struct seen **ret)
{
	size_t room = kernel_task_count(k) + 256, n = 0;
	struct seen *v = calloc(room, sizeof(*v));

	BUG_ON(!v);
	*ret = v;
	if (!each)
		kernel_settle_times(k);
	GUARD(&k->tasks_lock);
	for (u32 i = 1; i < PID_MAX && n < room; i++) {
		struct task *t = pid_task_locked(k->pidns, i);

		if (!t || task_run_now(t) == &run_init)
			continue;
		if (each)
			v[n++].task = task_get(t);
		else if (t->tg->leader == t)
			see_locked(t, &v[n++]);
	}
	return n;
}

static void see_finish(struct seen *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		obj_put(v[i].task);
	free(v);
}

/* Messages on their way into a file. */
struct sink {
	int fd;
	int r; /* 0, or what went wrong */
	size_t n;
	u8 buf[32 * KIB];
};

static void sink_flush(struct sink *s)
{
	for (size_t at = 0; at < s->n && s->r == 0;) {
		ssize_t w = write(s->fd, s->buf + at, s->n - at);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			s->r = w < 0 ? -errno : -EIO;
		else
			at += (size_t)w;
	}
	s->n = 0;
}

static void sink_put(struct sink *s, const ProtobufCMessage *m)
{
	size_t size = protobuf_c_message_get_packed_size(m);
	u32 len = htole32((u32)size);

	/* No message that is made here is larger. */
	BUG_ON(size + sizeof(len) > sizeof(s->buf));
	if (s->n + size + sizeof(len) > sizeof(s->buf))
		sink_flush(s);
	memcpy(s->buf + s->n, &len, sizeof(len));
	s->n += sizeof(len);
	s->n += protobuf_c_message_pack(m, s->buf + s->n);
}

/* "pts/3", "console", "?" for none. */
static void terminal_name(u32 rdev, char name[16])
{
	if (major(rdev) == 136)
		snprintf(name, 16, "pts/%u", minor(rdev));
	else
		snprintf(name, 16, rdev ? "console" : "?");
}

static void put_entry(struct sink *out, struct kernel *k, const struct seen *s)
{
	Control__PsEntry e = CONTROL__PS_ENTRY__INIT;
	AUTO(creds) cr = task_get_creds(s->task);
	char letter[2] = {s->state, 0}, waits[256], tty[16];

	e.pid = (s32)s->task->tg->tgid;
	e.ppid = (s32)s->ppid;
	e.uid = cr ? cr->uid : 0;
	e.threads = s->threads;
	terminal_name(s->rdev, tty);
	e.tty = tty;
	e.start_realtime_ns =
		(u64)(clock_real(&k->clocks) - clock_mono(&k->clocks) + s->start_time);
	e.cpu_ns = s->cpu_ns;
	e.state = letter;
	task_waits_for(s->task, waits, sizeof(waits));
	e.waiting = waits;
	e.command = command_line(s->task);
	sink_put(out, &e.base);
	free(e.command);
}

static struct sink *sink_new(int fd)
{
	struct sink *s = malloc(sizeof(*s));

	BUG_ON(!s);
	s->fd = fd;
	s->r = 0;
	s->n = 0;
	return s;
}

static int sink_end(struct sink *s)
{
	int r;

	sink_flush(s);
	r = s->r;
	free(s);
	return r;
}

/*
 * Thousands of tasks that run leave whoever looks at them a thousandth of the machine. When that
 * shows they are held for the rest of the look, if that can be done soon. Call between items.
 */
struct hold {
	struct boot *b;
	s64 since; /* of the monotonic clock; when looking began */
	bool tried, held;
};

static struct hold hold_begin(struct boot *b) REQUIRES(b->look_lock)
{
	return (struct hold){.b = b, .since = clock_mono(&b->kernel->clocks)};
}

static void hold_if_slow(struct hold *h)
{
	struct clocks *clocks = &h->b->kernel->clocks;

	if (h->tried || clock_mono(clocks) - h->since < LOOK_SLOW)
		return;
	h->tried = true;
	if (!atomic_load(&h->b->paused_by_user))
		h->held = kernel_pause(h->b->kernel, HOLD_PAUSE) == 0;
}

static void hold_end(struct hold *h)
{
	if (h->held)
		kernel_resume(h->b->kernel);
}

int boot_ps(struct boot *b, int fd, Control__PsReply *reply)
{
	struct hold hold;
	struct sink *out;
	struct seen *v;
	size_t n;

	GUARD(&b->look_lock);
	hold = hold_begin(b);
	out = sink_new(fd);
	n = see_all(b->kernel, false, &v);
	for (size_t i = 0; i < n && out->r == 0; i++) {
		hold_if_slow(&hold);
		put_entry(out, b->kernel, &v[i]);
	}
	hold_end(&hold);
	reply->entries = (u32)n;
	see_finish(v, n);
	return sink_end(out);
}

int boot_debug(struct boot *b, int fd, Control__DebugReply *reply)
{
	bool paused = atomic_load(&b->paused_by_user), mine = false;
	char text[DEBUG_TEXT];
	struct sink *out;
	struct seen *v;
	size_t n;

	GUARD(&b->look_lock);
	if (!paused)
		mine = kernel_pause(b->kernel, DEBUG_PAUSE) == 0;
	reply->at_rest = paused || mine;
	out = sink_new(fd);
	n = see_all(b->kernel, true, &v);
	for (size_t i = 0; i < n && out->r == 0; i++) {
		Control__DebugTask e = CONTROL__DEBUG_TASK__INIT;

		e.tid = (s32)v[i].task->tid;
		e.text = text;
		task_in_words(v[i].task, text, sizeof(text));
		sink_put(out, &e.base);
	}
	if (mine)
		kernel_resume(b->kernel);
	reply->tasks = (u32)n;
	see_finish(v, n);
	return sink_end(out);
}

/* What processes that are gone have used: their parents were told, up to init. */
static void add_dead(struct thread_group *tg, Control__EventsReply *e)
{
	e->cpu_user_ns += tg->child_utime;
	e->cpu_kernel_ns += tg->child_stime;
	e->faults += tg->child_minflt;
	e->switches += tg->child_nvcsw;
}

static void add_group(struct thread_group *tg, Control__EventsReply *e)
{
	struct task *t;
	u64 u, s;

	thread_group_times_locked(tg, &u, &s);
	e->cpu_user_ns += u;
	e->cpu_kernel_ns += s;
	e->processes++;
	e->faults += tg->dead_minflt;
	e->switches += tg->dead_nvcsw;
	TAILQ_FOREACH (t, &tg->tasks, tg_link) {
		e->tasks++;
		e->faults += atomic_load(&t->minflt) + atomic_load(&t->majflt);
		e->switches += atomic_load(&t->nvcsw);
		e->kicks += atomic_load(&t->nivcsw);
	}
}

/* The counters of all tasks, and (*ret, malloc'd, references, NULL if none) their memory. */
static size_t add_groups(struct kernel *k, Control__EventsReply *e, struct mm ***ret)
{
	size_t room = kernel_task_count(k) + 256, n = 0;
	struct mm **mms = calloc(room, sizeof(*mms));
	struct task *t;

	BUG_ON(!mms);
	*ret = mms;
	kernel_settle_times(k);
	GUARD(&k->tasks_lock);
	for (u32 i = 1; i < PID_MAX; i++) {
		t = pid_task_locked(k->pidns, i);
		if (!t || t->tg->leader != t)
			continue;
		add_dead(t->tg, e);
		if (task_run_now(t) == &run_init)
			continue;
		add_group(t->tg, e);
		/* The first thread that still has it: a leader may be gone before. */
		TAILQ_FOREACH (t, &pid_task_locked(k->pidns, i)->tg->tasks, tg_link) {
			if (n < room && (mms[n] = task_get_mm(t))) {
				n++;
				break;
			}
		}
	}
	return n;
}

int boot_events(struct boot *b, Control__EventsReply *reply)
{
	struct mm_stat st;
	struct hold hold;
	struct mm **mms;
	size_t n_mms;

	GUARD(&b->look_lock);
	hold = hold_begin(b);
	n_mms = add_groups(b->kernel, reply, &mms);
	for (size_t i = 0; i < n_mms; i++) {
		hold_if_slow(&hold);
		mm_stat(mms[i], &st);
		reply->rss_bytes += st.rss_anon + st.rss_file + st.rss_shmem;
		obj_put(mms[i]);
	}
	free(mms);
	hold_end(&hold);
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
