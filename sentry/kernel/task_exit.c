/*
 * How tasks leave: resources go first (they may block), then the tree is updated under tasks_lock,
 * parents hear of it, children get a new parent. A zombie keeps its number and its status until it
 * is reaped (task_wait.c).
 */
#include "sentry/ipc/ipc.h"
#include "sentry/auth/creds.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/itimer.h"
#include "sentry/kernel/pidns.h"
#include "sentry/kernel/posix_timer.h"
#include "sentry/kernel/quiesce.h"
#include "sentry/kernel/sighand.h"
#include "sentry/kernel/task_run.h"
#include "sentry/kernel/task_wait.h"
#include "sentry/kernel/terminal.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/usercopy.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/fs_context.h"

#include "state/base/log.h"

#include <string.h>
#include <sys/wait.h>

void task_exit(struct task *t, int status)
{
	t->exit_status = status;
	t->run_next = &run_exit;
}

void task_exit_group(struct task *t, int status)
{
	thread_group_exit(t->tg, status);
	t->exit_status = status;
	t->run_next = &run_exit;
}

/* Memory: the C library's words first, while the task can still write to them. */
void task_release_mm(struct task *t)
{
	struct mm *mm = t->ctx.mm;

	if (!mm)
		return;
	futex_exit_robust(t);
	futex_exit_pi(t);
	if (t->clear_child_tid) {
		uaddr_t a = UADDR(t->clear_child_tid);

		t->clear_child_tid = 0;
		if (user_put_u32(&t->ctx, a, 0) == 0)
			futex_wake_addr(&t->ctx, a, 1);
	}
	task_vfork_release(t);
	mutex_lock(&t->lock);
	t->ctx.mm = NULL;
	mutex_unlock(&t->lock);
	mm_unuse(mm);
	obj_put(mm);
	oom_memory_freed(&t->kernel->oom);
}

static void note_maxrss(struct task *t)
{
	struct mm_stat st;

	if (!t->ctx.mm)
		return;
	mm_stat(t->ctx.mm, &st);
	mutex_lock(&t->kernel->tasks_lock);
	t->tg->maxrss = MAX(t->tg->maxrss, st.vm_hwm);
	mutex_unlock(&t->kernel->tasks_lock);
}

static void release_files(struct task *t)
{
	struct fd_table *fds = t->ctx.fds;
	struct fs_context *fs = t->ctx.fs;

	if (fds) {
		fd_table_unuse(fds, &t->ctx);
		mutex_lock(&t->lock);
		t->ctx.fds = NULL;
		mutex_unlock(&t->lock);
		obj_put(fds);
	}
	mutex_lock(&t->lock);
	t->ctx.fs = NULL;
	mutex_unlock(&t->lock);
	obj_put(fs);
}

/* ---- telling the parent ---- */

static siginfo_t child_info(struct thread_group *tg, int code, int status)
{
	siginfo_t i;

	memset(&i, 0, sizeof(i));
	i.si_signo = SIGCHLD;
	i.si_code = code;
	i.si_pid = (pid_t)tg->tgid;
	i.si_uid = tg->leader ? task_uid(tg->leader) : 0;
	i.si_status = status;
	i.si_utime = (clock_t)(tg->dead_utime / (NSEC_PER_SEC / 100));
	i.si_stime = (clock_t)(tg->dead_stime / (NSEC_PER_SEC / 100));
	return i;
}

static bool parent_ignores_children(struct thread_group *parent)
{
	struct ksigaction a = sighand_get_action(parent->sighand, SIGCHLD);

	return a.handler == (u64)(uintptr_t)SIG_IGN || (a.flags & SA_NOCLDWAIT);
}

void notify_parent_stop_locked(struct thread_group *tg, int code, int signo)
{
	struct thread_group *p = tg->parent;
	siginfo_t info;

	if (!p)
		return;
	waitq_wake(&p->child_wait, ~0u);
	if (sighand_get_action(p->sighand, SIGCHLD).flags & SA_NOCLDSTOP)
		return;
	info = child_info(tg, code, signo);
	if (signal_send_group_tasks_locked(p, &info) < 0)
		return; /* SIGCHLD doesn't queue: it can't fail */
}

/* The whole group is a zombie: its parent hears of it. True: nobody will wait, reap at once. */
static bool notify_parent_exit_locked(struct thread_group *tg)
{
	struct thread_group *p = tg->parent;
	int status = tg->exit_status;
	siginfo_t info;
	bool reap;

	if (!p)
		return true;
	reap = tg->exit_signal == SIGCHLD && parent_ignores_children(p);
	if (tg->exit_signal) {
		int code = WIFEXITED(status)   ? CLD_EXITED
		           : WCOREDUMP(status) ? CLD_DUMPED
		                               : CLD_KILLED;

		info = child_info(tg, code,
		                  WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
		info.si_signo = tg->exit_signal;
		if (signal_send_group_tasks_locked(p, &info) < 0)
			log_debug("exit signal %d of %u is not queued", tg->exit_signal, tg->tgid);
	}
	waitq_wake(&p->child_wait, ~0u);
	return reap;
}

/* ---- the tree ---- */

static struct thread_group *find_reaper_locked(struct thread_group *tg)
{
	struct thread_group *p;

	for (p = tg->parent; p; p = p->parent) {
		if (p->child_subreaper && !p->zombie)
			return p;
	}
	return tg->kernel->pidns->init != tg ? tg->kernel->pidns->init : NULL;
}

/* parent, of a member of g, is what keeps a group from being orphaned. */
static bool is_link(const struct thread_group *parent, const struct pgrp *g)
{
	return parent->pgrp && g && parent->pgrp != g && parent->pgrp->session == g->session;
}

/* SIGHUP and SIGCONT for stopped members of a group that loses its last outside parent. */
static void check_orphaned_pgrp_locked(struct pgrp *g, struct thread_group *leaving)
{
	struct thread_group *m;
	bool stopped = false;

	if (!g)
		return;
	TAILQ_FOREACH (m, &g->members, pgrp_link) {
		if (m == leaving || m->zombie)
			continue;
		if (m->stop == STOP_STOPPED)
			stopped = true;
		if (m->parent && m->parent != leaving && is_link(m->parent, g))
			return;
	}
	if (!stopped)
		return;
	TAILQ_FOREACH (m, &g->members, pgrp_link) {
		siginfo_t hup = siginfo_kernel(SIGHUP), cont = siginfo_kernel(SIGCONT);

		if (m == leaving || m->zombie)
			continue;
		if (signal_send_group_tasks_locked(m, &hup) == 0 &&
		    signal_send_group_tasks_locked(m, &cont) < 0)
			continue;
	}
}

static void reparent_children_locked(struct thread_group *tg, struct thread_group_list *ret_dead)
{
	struct thread_group *to = find_reaper_locked(tg), *c;

	while ((c = TAILQ_FIRST(&tg->children))) {
		struct pgrp *g = c->pgrp;

		TAILQ_REMOVE(&tg->children, c, sibling);
		c->parent = to;
		c->exit_signal = SIGCHLD;
		if (to)
			TAILQ_INSERT_TAIL(&to->children, c, sibling);
		if (c->pdeath_signal && !c->zombie) {
			siginfo_t i = siginfo_user(c->pdeath_signal, SI_USER, tg->tgid, 0);

			if (signal_send_group_tasks_locked(c, &i) < 0)
				continue;
		}
		if (c->zombie) {
			if (notify_parent_exit_locked(c))
				TAILQ_INSERT_TAIL(ret_dead, c, dead_link);
		} else if (g && is_link(tg, g)) {
			check_orphaned_pgrp_locked(g, NULL);
		}
	}
}

/* Ends everything that is left in the sandbox when its first process has gone. */
static void kill_rest_locked(struct kernel *k, struct thread_group *except)
{
	for (u32 i = 1; i < PID_MAX; i++) {
		struct task *o = k->pidns->slots[i].task;

		if (o && o->tg->leader == o && o->tg != except) {
			mutex_lock(&o->tg->lock);
			thread_group_exit_locked(o->tg, SIGKILL);
			mutex_unlock(&o->tg->lock);
		}
	}
}

/* Its terminal, for the caller to put without the lock; NULL: none. */
static struct terminal *session_leader_exit_locked(struct thread_group *tg)
{
	struct session *s = tg->pgrp ? tg->pgrp->session : NULL;
	struct terminal *tty;

	if (!s || s->leader != tg)
		return NULL;
	tty = terminal_leader_exits_locked(s);
	s->leader = NULL;
	return tty;
}

static void add_times_locked(struct thread_group *tg, struct task *t)
{
	u64 u, s;

	task_times(t, &u, &s);
	tg->dead_utime += u;
	tg->dead_stime += s;
	tg->dead_minflt += t->minflt;
	tg->dead_nvcsw += t->nvcsw;
	io_counts_add(&tg->dead_io, &t->io);
}

/* Takes a member that nobody can wait for out of its group and frees its number. */
static struct task *detach_member_locked(struct task *t)
{
	struct thread_group *tg = t->tg;

	mutex_lock(&tg->lock);
	TAILQ_REMOVE(&tg->tasks, t, tg_link);
	mutex_unlock(&tg->lock);
	t->exit_state = TASK_DEAD;
	waitq_wake(&tg->pidfd_wait, ~0u);
	return pid_remove_locked(t->kernel->pidns, t->tid);
}

struct task *thread_group_reap_locked(struct thread_group *tg, bool waited)
{
	struct thread_group *p = tg->parent;
	struct task *leader = tg->leader;

	/* Who is not waited for is not counted. */
	if (p && waited) {
		p->child_utime += tg->dead_utime + tg->child_utime;
		p->child_stime += tg->dead_stime + tg->child_stime;
		p->child_minflt += tg->dead_minflt + tg->child_minflt;
		p->child_nvcsw += tg->dead_nvcsw + tg->child_nvcsw;
		io_counts_add(&p->dead_io, &tg->dead_io);
		p->child_maxrss = MAX(p->child_maxrss, tg->maxrss);
		p->child_maxrss = MAX(p->child_maxrss, tg->child_maxrss);
	}
	if (p) {
		TAILQ_REMOVE(&p->children, tg, sibling);
		tg->parent = NULL;
	}
	pgrp_leave_locked(tg);
	tg->leader = NULL;
	return detach_member_locked(leader);
}

const struct run_state *task_exit_step(struct task *t)
{
	struct thread_group *tg = t->tg;
	struct kernel *k = t->kernel;
	struct thread_group_list dead = TAILQ_HEAD_INITIALIZER(dead);
	struct thread_group *d;
	struct terminal *tty = NULL;
	struct task *self = NULL;
	bool last, stopped = false, alone;

	t->ctx.deaf_to = INTERRUPT_SIGNAL | INTERRUPT_KILL;
	task_account(t, NULL);
	mutex_lock(&tg->lock);
	if (tg->exiting)
		t->exit_status = tg->exit_status;
	/* Of threads that exit together, the last one to begin still sees all memory. */
	alone = ++tg->n_exiting >= READ_ONCE(tg->n_live);
	mutex_unlock(&tg->lock);

	if (unlikely(k->machine->strace))
		strace_ended(t, t->exit_status);
	if (alone)
		note_maxrss(t);
	/* Before the C library hears that the thread is gone: its number must be free by then. */
	if (t != tg->leader) {
		mutex_lock(&k->tasks_lock);
		self = t == tg->leader ? NULL : detach_member_locked(t);
		/* Nobody finds it in the group any more. */
		if (self)
			add_times_locked(tg, t);
		mutex_unlock(&k->tasks_lock);
	}
	task_release_mm(t);
	release_files(t);

	mutex_lock(&k->tasks_lock);
	mutex_lock(&tg->lock);
	WRITE_ONCE(tg->n_live, tg->n_live - 1);
	last = tg->n_live == 0;
	tg->n_exiting--;
	/* The others of a group stop may have been waiting for this one. */
	if (!last && tg->stop == STOP_PENDING && tg->n_stopped >= tg->n_live && !tg->exiting) {
		tg->stop = STOP_STOPPED;
		tg->stop_reported = false;
		stopped = true;
	}
	t->exit_state = self ? TASK_DEAD : TASK_ZOMBIE;
	if (t->group_stop_counted) {
		t->group_stop_counted = false;
		tg->n_stopped--;
	}
	/* A group exit already has its status; otherwise the last one out decides: the leader's. */
	if (last && !tg->exiting) {
		tg->exiting = true;
		tg->exit_status = tg->leader->exit_status;
	}
	mutex_unlock(&tg->lock);
	if (!self)
		add_times_locked(tg, t);
	waitq_wake(&tg->exec_wait, ~0u);
	if (stopped)
		notify_parent_stop_locked(tg, CLD_STOPPED, tg->stop_signo);
	if (last) {
		ipc_exit(k->ipcns, &k->clocks, tg->tgid);
		tg->zombie = true;
		waitq_wake(&tg->pidfd_wait, ~0u);
		tty = session_leader_exit_locked(tg);
		reparent_children_locked(tg, &dead);
		if (tg->parent && is_link(tg->parent, tg->pgrp))
			check_orphaned_pgrp_locked(tg->pgrp, tg);
		if (tg->container && tg->container->init == tg) {
			tg->container->init = NULL;
			tg->container->exited = true;
			tg->container->exit_status = tg->exit_status;
			kill_rest_locked(k, tg);
		}
		if (k->pidns->init == tg) {
			k->pidns->init = NULL;
			kill_rest_locked(k, tg);
		}
		if (notify_parent_exit_locked(tg))
			TAILQ_INSERT_TAIL(&dead, tg, dead_link);
	}
	while ((d = TAILQ_FIRST(&dead))) {
		TAILQ_REMOVE(&dead, d, dead_link);
		obj_put(thread_group_reap_locked(d, false));
	}
	mutex_unlock(&k->tasks_lock);
	terminal_put(tty);
	if (last && tg->exec_id)
		kernel_note(k, NOTE_EXEC_ENDED, tg->exec_id, tg->exit_status);
	/* Waits for expiries under way, which take tasks_lock; t still holds the group. */
	if (last) {
		itimers_stop(tg->itimers);
		posix_timers_clear(tg->timers);
	}
	obj_put(self);
	t->ctx.deaf_to = 0;
	return NULL;
}
