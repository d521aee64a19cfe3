/*
 * execve(2). The new program is built completely beside the old one, so that everything that can
 * fail fails with the old one intact; then the other threads go, then the switch. A kick while
 * waiting for the threads drops what was built: the call is made again from the old memory.
 */
#include "sentry/auth/creds.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/pidns.h"
#include "sentry/kernel/posix_timer.h"
#include "sentry/kernel/sighand.h"
#include "sentry/kernel/task_run.h"
#include "sentry/loader/loader.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/file.h"

#include <string.h>

static bool alone(void *arg)
{
	struct task *t = arg;

	GUARD(&t->kernel->tasks_lock);
	return t->tg->n_live == 1 || t->tg->exiting;
}

/* Ends the other threads of the group. 0, or an error with which the call is made again or ends. */
static int dethread(struct task *t)
{
	struct thread_group *tg = t->tg;
	struct task *o;
	int r;

	mutex_lock(&t->kernel->tasks_lock);
	mutex_lock(&tg->lock);
	if (tg->exiting || (tg->execing && tg->execing != t)) {
		mutex_unlock(&tg->lock);
		mutex_unlock(&t->kernel->tasks_lock);
		return -ERESTARTNOINTR;
	}
	if (tg->n_live > 1) {
		tg->execing = t;
		TAILQ_FOREACH (o, &tg->tasks, tg_link) {
			if (o != t && o->exit_state == TASK_ALIVE)
				ctx_interrupt(&o->ctx, INTERRUPT_KILL | INTERRUPT_SIGNAL);
		}
	}
	mutex_unlock(&tg->lock);
	mutex_unlock(&t->kernel->tasks_lock);
	waitq_wake(&tg->stop_wait, ~0u);

	t->ctx.deaf_to = INTERRUPT_SIGNAL;
	t->waiting_on = "threads to end";
	r = ctx_block(&t->ctx, &tg->exec_wait, alone, t, NEVER);
	t->waiting_on = NULL;
	t->ctx.deaf_to = 0;
	return r < 0 || tg->exiting ? -ERESTARTNOINTR : 0;
}

/* A thread that execs takes over its dead leader's number. */
static void become_leader(struct task *t)
{
	struct thread_group *tg = t->tg;
	struct kernel *k = t->kernel;
	struct task *old, *self;

	mutex_lock(&k->tasks_lock);
	old = tg->leader;
	if (old == t) {
		mutex_unlock(&k->tasks_lock);
		return;
	}
	mutex_lock(&tg->lock);
	TAILQ_REMOVE(&tg->tasks, old, tg_link);
	tg->leader = t;
	mutex_unlock(&tg->lock);
	old->exit_state = TASK_DEAD;
	old = pid_remove_locked(k->pidns, tg->tgid);
	self = pid_remove_locked(k->pidns, t->tid);
	t->tid = tg->tgid;
	t->ctx.tid = t->tid;
	pid_add_locked(k->pidns, t);
	/* Its own number is gone. */
	waitq_wake(&tg->pidfd_wait, ~0u);
	mutex_unlock(&k->tasks_lock);
	obj_put(self);
	obj_put(old);
}

static void switch_memory(struct task *t, struct program *p)
{
	if (t->ctx.mm)
		mm_inherit_thp(p->mm, t->ctx.mm);
	task_release_mm(t);
	mm_use(p->mm);
	mutex_lock(&t->lock);
	t->ctx.mm = TAKE(p->mm);
	mutex_unlock(&t->lock);
	/* With the new memory the task owns mutexes again. */
	atomic_store(&t->gave_up_pi, false);
	t->robust_list = 0;
	t->clear_child_tid = t->set_child_tid = 0;
	t->rseq_addr = 0;
	t->rseq_len = t->rseq_sig = 0;
}

static void switch_creds(struct task *t, const struct program *p)
{
	struct creds *old = t->ctx.creds, *new = creds_copy(old);
	bool secure = creds_exec(new, p->suid, p->sgid);

	mutex_lock(&t->lock);
	t->ctx.creds = new;
	mutex_unlock(&t->lock);
	obj_put(old);
	if (secure) {
		t->tg->pdeath_signal = 0;
		mm_set_dumpable(t->ctx.mm, 0);
	}
}

static void switch_signals(struct task *t)
{
	struct thread_group *tg = t->tg;
	struct sighand *old = tg->sighand;

	if (obj_refs(old) > 1) {
		struct sighand *own = sighand_copy(old);

		mutex_lock(&t->kernel->tasks_lock);
		mutex_lock(&tg->lock);
		tg->sighand = own;
		mutex_unlock(&tg->lock);
		mutex_unlock(&t->kernel->tasks_lock);
		obj_put(old);
	}
	sighand_exec(tg->sighand);
	posix_timers_clear(tg->timers);
	t->altstack_sp = t->altstack_size = 0;
	t->altstack_flags = 0;
}

long task_exec(struct task *t, struct file *exe, const char *path, struct strings *argv,
               struct strings *envp)
{
	struct load_request rq = {
		.c = &t->ctx,
		.kernel = t->kernel,
		.exe = exe,
		.path = path,
		.argv = argv,
		.envp = envp,
	};
	struct program p;
	int r = loader_load(&rq, &p);

	if (r < 0) {
		/* An earlier entry of this call may have ended the threads already. */
		mutex_lock(&t->tg->lock);
		if (t->tg->execing == t)
			t->tg->execing = NULL;
		mutex_unlock(&t->tg->lock);
		return r;
	}
	r = dethread(t);
	if (r == 0 && task_pull_fp(t) < 0)
		r = -ENOMEM;
	if (r < 0) {
		program_finish(&p);
		return r;
	}
	become_leader(t);
	switch_memory(t, &p);
	switch_creds(t, &p);
	switch_signals(t);
	if (fd_table_users(t->ctx.fds) > 1) {
		struct fd_table *old = t->ctx.fds, *own = fd_table_copy(old);

		fd_table_use(own);
		mutex_lock(&t->lock);
		t->ctx.fds = own;
		mutex_unlock(&t->lock);
		fd_table_unuse(old, &t->ctx);
		obj_put(old);
	}
	fd_close_on_exec(&t->ctx);
	task_set_comm(t, p.name);
	mutex_lock(&t->kernel->tasks_lock);
	mutex_lock(&t->tg->lock);
	t->tg->execing = NULL;
	t->tg->has_execed = true;
	t->tg->exit_signal = SIGCHLD;
	signal_recalc_locked(t);
	mutex_unlock(&t->tg->lock);
	mutex_unlock(&t->kernel->tasks_lock);
	t->regs = program_regs(&p);
	task_reset_fp(t);
	t->keep_caps = 0;
	program_finish(&p);
	/* No call is in progress in the new program. */
	t->in_syscall = false;
	memset(&t->ctx.restart, 0, sizeof(t->ctx.restart));
	t->run_next = t->has_saved_mask ? &run_interrupt : &run_app;
	return 0;
}
