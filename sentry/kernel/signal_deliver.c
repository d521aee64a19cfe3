/* Taking a signal: default actions, group stops, handlers; and the run state that does it. */
#include "sentry/kernel/quiesce.h"
#include "sentry/kernel/rseq.h"
#include "sentry/kernel/sighand.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task_run.h"

#include "state/base/log.h"

#include <string.h>

#define HANDLER(h) ((u64)(uintptr_t)(h))

/* A stop signal takes effect: this task starts or joins the group stop. */
static void start_group_stop(struct task *t, int signo)
{
	struct thread_group *tg = t->tg;
	struct task *o;

	GUARD(&t->kernel->tasks_lock);
	GUARD(&tg->lock);
	/* SIGCONT or a kill came between taking the signal and here. */
	if (tg->exiting)
		return;
	if (tg->stop == STOP_NONE) {
		tg->stop = STOP_PENDING;
		tg->stop_signo = signo;
		tg->n_stopped = 0;
		tg->stop_reported = false;
		tg->continued = false;
		TAILQ_FOREACH (o, &tg->tasks, tg_link) {
			o->group_stop_counted = false;
			if (o->exit_state == TASK_ALIVE)
				ctx_interrupt(&o->ctx, INTERRUPT_SIGNAL);
		}
	}
}

bool pgrp_orphaned_locked(struct thread_group *tg)
{
	struct pgrp *g = tg->pgrp;
	struct thread_group *m;

	TAILQ_FOREACH (m, &g->members, pgrp_link) {
		struct thread_group *p = m->parent;

		/* A program under the built-in init is a job of whoever called the command, which
		 * stops and continues with it. */
		if (p && p->leader && task_run_now(p->leader) == &run_init && m->container &&
		    m->container->init == m)
			return false;
		if (p && p->pgrp != g && p->pgrp->session == g->session)
			return false;
	}
	return true;
}

static void default_action(struct task *t, const siginfo_t *info)
{
	int signo = info->si_signo;

	switch (signo) {
	case SIGCHLD:
	case SIGCONT:
	case SIGURG:
	case SIGWINCH:
		return;
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU: {
		bool orphaned;

		mutex_lock(&t->kernel->tasks_lock);
		orphaned = pgrp_orphaned_locked(t->tg);
		mutex_unlock(&t->kernel->tasks_lock);
		if (orphaned)
			return;
		start_group_stop(t, signo);
		return;
	}
	case SIGSTOP:
		start_group_stop(t, signo);
		return;
	case SIGQUIT:
	case SIGILL:
	case SIGTRAP:
	case SIGABRT:
	case SIGFPE:
	case SIGSEGV:
	case SIGBUS:
	case SIGSYS:
	case SIGXCPU:
	case SIGXFSZ:
		log_debug("task %u (%s) dies of signal %d, code %d, at 0x%llx, rip 0x%llx", t->tid,
		          t->comm, signo, info->si_code,
		          (unsigned long long)(uintptr_t)info->si_addr,
		          (unsigned long long)t->regs.rip);
		break;
	}
	/* Nothing dumps core here, so no status says so. */
	thread_group_exit(t->tg, signo);
}

/* It had moved bytes when a stop interrupted it: they count, as they would without the stop. */
static bool end_with_what_was_done(struct task *t)
{
	struct restart *re = &t->ctx.restart;

	if (re->done == 0)
		return false;
	task_syscall_done(t, (long)(re->result ? re->result : re->done));
	return true;
}

/* A call that is not made again after a group stop ends when the stop begins. */
static void settle_for_stop(struct task *t)
{
	if (t->in_syscall && t->syscall_ret == -ERESTARTUNSTOPPED && !end_with_what_was_done(t))
		task_syscall_done(t, -EINTR);
}

/* What becomes of an interrupted call when a handler runs. */
static void restart_for_handler(struct task *t, const struct ksigaction *act)
{
	bool again = false;

	if (!t->in_syscall || end_with_what_was_done(t))
		return;
	switch (-t->syscall_ret) {
	case ERESTARTNOINTR:
		again = true;
		break;
	case ERESTARTSYS:
		again = (act->flags & SA_RESTART) != 0;
		break;
	case ERESTARTNOHAND:
	case ERESTARTUNSTOPPED:
	case ERESTART_RESTARTBLOCK:
		break;
	default:
		BUG("a finished call is still marked as in progress");
	}
	if (again) {
		/* The frame's return re-executes the instruction: a call of its own, from fresh. */
		t->regs.rip -= 2;
		t->regs.rax = t->sysno;
		t->in_syscall = false;
		memset(&t->ctx.restart, 0, sizeof(t->ctx.restart));
	} else {
		task_syscall_done(t, -EINTR);
	}
}

void signal_deliver(struct task *t, const siginfo_t *info)
{
	int signo = info->si_signo;
	struct ksigaction act = sighand_get_action(t->tg->sighand, signo);
	sigset64_t old, new;

	if (unlikely(t->kernel->machine->strace))
		strace_signal_taken(t, info);
	if (act.handler == HANDLER(SIG_IGN))
		return;
	if (act.handler == HANDLER(SIG_DFL)) {
		default_action(t, info);
		return;
	}
	restart_for_handler(t, &act);
	rseq_signal_fixup(t, signo);
	old = t->has_saved_mask ? t->saved_mask : t->blocked;
	if (act.flags & SA_RESETHAND)
		sighand_reset(t->tg->sighand, signo);
	if (sigframe_push(t, info, &act, old) < 0) {
		siginfo_t segv = siginfo_kernel(SIGSEGV);
		struct ksigaction dfl = {.handler = HANDLER(SIG_DFL)};

		/* No stack for the handler of SIGSEGV itself: nothing but the default is left. */
		if (signo == SIGSEGV)
			sighand_set_action(t->tg->sighand, SIGSEGV, &dfl);
		signal_force(t, &segv);
		return;
	}
	t->has_saved_mask = false;
	new = t->blocked | act.mask;
	if (!(act.flags & SA_NODEFER))
		new |= SIGBIT(signo);
	signal_set_mask(t, new);
}

/* Parks in a group stop if there is one. Returns true if the task is to sleep in it. */
static bool join_group_stop(struct task *t)
{
	struct thread_group *tg = t->tg;
	bool last = false, first;

	mutex_lock(&t->kernel->tasks_lock);
	mutex_lock(&tg->lock);
	if (tg->stop == STOP_NONE || tg->exiting) {
		mutex_unlock(&tg->lock);
		mutex_unlock(&t->kernel->tasks_lock);
		return false;
	}
	if (!t->group_stop_counted) {
		t->group_stop_counted = true;
		tg->n_stopped++;
	}
	if (tg->stop == STOP_PENDING && tg->n_stopped >= tg->n_live) {
		tg->stop = STOP_STOPPED;
		tg->stop_reported = false;
		last = true;
	}
	signal_recalc_locked(t);
	mutex_unlock(&tg->lock);
	if (last)
		notify_parent_stop_locked(tg, CLD_STOPPED, tg->stop_signo);
	first = tg->container && tg->container->init == tg;
	mutex_unlock(&t->kernel->tasks_lock);
	if (last && first)
		kernel_note(t->kernel, NOTE_STOPPED, 0, 0);
	return true;
}

/*
 * Signals, stops and exits between the guest's instructions. An interrupted call is settled last,
 * so that several signals nest as in Linux: the first handler's frame returns into the next one's.
 */
static const struct run_state *interrupt_step(struct task *t)
{
	struct thread_group *tg = t->tg;
	siginfo_t info;

	for (;;) {
		bool exiting, stopping, dethread;

		mutex_lock(&tg->lock);
		signal_recalc_locked(t);
		exiting = tg->exiting;
		stopping = tg->stop != STOP_NONE;
		dethread = tg->execing && tg->execing != t;
		mutex_unlock(&tg->lock);
		if (exiting || dethread)
			return &run_exit;
		if (stopping && join_group_stop(t)) {
			if (unlikely(t->kernel->machine->strace))
				strace_stopped(t, READ_ONCE(tg->stop_signo));
			settle_for_stop(t);
			return &run_stopped;
		}
		if (!signal_dequeue(t, 0, &info))
			break;
		signal_deliver(t, &info);
	}
	if (t->in_syscall)
		return &run_syscall;
	if (t->has_saved_mask) {
		t->has_saved_mask = false;
		signal_set_mask(t, t->saved_mask);
		return &run_interrupt;
	}
	return &run_app;
}
RUN_STATE(run_interrupt, interrupt_step);

static bool stop_over(void *arg)
{
	struct thread_group *tg = arg;

	GUARD(&tg->lock);
	return tg->stop == STOP_NONE || tg->exiting;
}

static const struct run_state *stopped_step(struct task *t)
{
	/* signal_recalc leaves INTERRUPT_SIGNAL down while the group is stopped, so only a kill, a
	 * continue or a park ends the sleep. */
	t->waiting_on = "group stop";
	if (ctx_block(&t->ctx, &t->tg->stop_wait, stop_over, t->tg, NEVER) < 0) {
		t->waiting_on = NULL;
		if (!stop_over(t->tg) && !ctx_killed(&t->ctx))
			return &run_stopped;
	}
	t->waiting_on = NULL;
	mutex_lock(&t->tg->lock);
	signal_recalc_locked(t);
	mutex_unlock(&t->tg->lock);
	return &run_interrupt;
}
RUN_STATE(run_stopped, stopped_step);
