/*
 * Sending and taking signals. What a signal does when it is taken is in signal_deliver.c.
 *
 * A signal that will end the group anyway (default action, not blocked, nobody waits for it) ends
 * it at once, as Linux's complete_signal does: otherwise a thread that never enters the kernel
 * could keep the others alive.
 */
#include "sentry/kernel/signal.h"
#include "sentry/auth/creds.h"
#include "sentry/auth/user_count.h"
#include "sentry/kernel/itimer.h"
#include "sentry/kernel/pidns.h"
#include "sentry/kernel/posix_timer.h"
#include "sentry/kernel/sighand.h"
#include "sentry/kernel/task_run.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <string.h>

#define SIGSET_DEFAULT_IGNORE \
	(SIGBIT(SIGCHLD) | SIGBIT(SIGURG) | SIGBIT(SIGWINCH) | SIGBIT(SIGCONT))

siginfo_t siginfo_kernel(int signo)
{
	siginfo_t i;

	memset(&i, 0, sizeof(i));
	i.si_signo = signo;
	i.si_code = SI_KERNEL;
	return i;
}

siginfo_t siginfo_fault(int signo, int code, u64 addr, u32 trapno, u64 error_code)
{
	siginfo_t i;

	memset(&i, 0, sizeof(i));
	i.si_signo = signo;
	i.si_code = code;
	i.si_addr = (void *)(uintptr_t)addr;
	return i;
}

siginfo_t siginfo_user(int signo, int code, u32 pid, u32 uid)
{
	siginfo_t i;

	memset(&i, 0, sizeof(i));
	i.si_signo = signo;
	i.si_code = code;
	i.si_pid = (pid_t)pid;
	i.si_uid = uid;
	return i;
}

/* ---- queues ---- */

static int cmp_timer(const struct queued_signal *a, const struct queued_signal *b)
{
	return a->timer_id < b->timer_id ? -1 : a->timer_id > b->timer_id;
}

RB_GENERATE_INTERNAL(queued_timers, queued_signal, by_timer, cmp_timer, UNUSED static)

void sigqueue_init(struct sigqueue *q)
{
	TAILQ_INIT(&q->list);
	RB_INIT(&q->timers);
}

void sigqueue_append(struct sigqueue *q, struct queued_signal *qs)
{
	/* A timer has one signal queued at most; what an image says beyond that counts as
	 * nobody's. */
	if (qs->timer_id && queued_timers_RB_INSERT(&q->timers, qs) != NULL)
		qs->timer_id = 0;
	if (!qs->timer_id)
		user_add(qs->uid, USER_SIGNALS, 1);
	TAILQ_INSERT_TAIL(&q->list, qs, link);
	q->count++;
}

bool sigqueue_has_timer(const struct sigqueue *q, u64 timer_id)
{
	struct queued_signal key = {.timer_id = timer_id};

	return queued_timers_RB_FIND((struct queued_timers *)(uintptr_t)&q->timers, &key) != NULL;
}

static void sigqueue_drop(struct sigqueue *q, struct queued_signal *qs)
{
	if (qs->timer_id)
		queued_timers_RB_REMOVE(&q->timers, qs);
	else
		user_sub(qs->uid, USER_SIGNALS, 1);
	TAILQ_REMOVE(&q->list, qs, link);
	q->count--;
	free(qs);
}

void sigqueue_clear(struct sigqueue *q, sigset64_t which)
{
	struct queued_signal *qs, *next;

	q->pending &= ~which;
	for (qs = TAILQ_FIRST(&q->list); qs; qs = next) {
		next = TAILQ_NEXT(qs, link);
		if (SIGBIT(qs->info.si_signo) & which)
			sigqueue_drop(q, qs);
	}
}

void sigqueue_finish(struct sigqueue *q)
{
	sigqueue_clear(q, ~0ull);
}

/* 0 queued, 1 merged with one that is pending, -EAGAIN. uid: the receiver's, with his limit. timer:
 * it comes from one, whose id info has; it paid for its signal when it was made, and is queued
 * beside one that is pending. What a guest calls SI_TIMER is none. */
static int sigqueue_add(struct sigqueue *q, const siginfo_t *info, bool timer, u32 uid, u64 limit)
{
	int signo = info->si_signo;
	struct queued_signal *qs;

	if (signo < SIGRTMIN_KERNEL && !timer && (q->pending & SIGBIT(signo)))
		return 1;
	if (signo >= SIGRTMIN_KERNEL && info->si_code != SI_KERNEL && !timer &&
	    user_has(uid, USER_SIGNALS) >= limit) {
		/* kill(2) still marks the signal pending, sigqueue(3) reports the failure. */
		if (info->si_code != SI_USER)
			return -EAGAIN;
		q->pending |= SIGBIT(signo);
		return 0;
	}
	qs = calloc(1, sizeof(*qs));
	BUG_ON(!qs);
	qs->info = *info;
	qs->uid = uid;
	if (timer)
		qs->timer_id = (u64)(u32)info->si_timerid + 1;
	sigqueue_append(q, qs);
	q->pending |= SIGBIT(signo);
	return 0;
}

/* ---- who is to act ---- */

bool signal_pending_locked(const struct task *t)
{
	const struct thread_group *tg = t->tg;

	if (tg->exiting || (tg->execing && tg->execing != t))
		return true;
	if (tg->stop == STOP_STOPPED || (tg->stop == STOP_PENDING && t->group_stop_counted))
		return ((t->pending.pending | tg->shared.pending) & SIGBIT(SIGKILL)) != 0;
	if (tg->stop == STOP_PENDING)
		return true;
	return ((t->pending.pending | tg->shared.pending) & ~t->blocked) != 0;
}

void signal_recalc_locked(struct task *t)
{
	if (signal_pending_locked(t))
		ctx_interrupt(&t->ctx, INTERRUPT_SIGNAL);
	else
		atomic_fetch_and(&t->ctx.interrupt, ~(u32)INTERRUPT_SIGNAL);
}

static bool ignored_locked(struct task *t, int signo)
{
	u64 handler;

	/* Whoever is traced tells of every signal that comes. */
	if (unlikely(t->kernel->machine->strace) && signo != SIGKILL)
		return false;
	/* A blocked signal may get another action before it is unblocked. */
	if (t->blocked & SIGBIT(signo))
		return false;
	handler = sighand_get_action(t->tg->sighand, signo).handler;
	if (handler == (u64)(uintptr_t)SIG_IGN)
		return true;
	return handler == (u64)(uintptr_t)SIG_DFL && (SIGBIT(signo) & SIGSET_DEFAULT_IGNORE);
}

static bool fatal_locked(struct task *t, int signo)
{
	sigset64_t bit = SIGBIT(signo);

	if (bit & (SIGSET_DEFAULT_IGNORE | SIGSET_STOP))
		return false;
	if (bit & t->blocked)
		return false;
	return sighand_get_action(t->tg->sighand, signo).handler == (u64)(uintptr_t)SIG_DFL;
}

static bool wants_locked(const struct task *t, int signo)
{
	if (t->exit_state != TASK_ALIVE)
		return false;
	if (signo == SIGKILL)
		return true;
	/* A stopped task takes nothing before it is continued, not even its death. */
	if (t->tg->stop == STOP_STOPPED || t->group_stop_counted)
		return false;
	return !(t->blocked & SIGBIT(signo));
}

/* Undoes a group stop: SIGCONT, or a kill. */
static void group_continue_locked(struct thread_group *tg, bool report)
{
	struct task *t;

	if (tg->stop == STOP_NONE)
		return;
	if (tg->stop == STOP_STOPPED && report) {
		tg->continued = true;
		tg->stop_reported = true;
	}
	tg->stop = STOP_NONE;
	tg->n_stopped = 0;
	TAILQ_FOREACH (t, &tg->tasks, tg_link) {
		t->group_stop_counted = false;
		signal_recalc_locked(t);
	}
	waitq_wake(&tg->stop_wait, ~0u);
}

/* What stop and continue signals do to each other's queue entries. True: a stop was undone. */
static bool prepare_locked(struct thread_group *tg, int signo)
{
	struct task *t;
	sigset64_t flush = 0;
	bool resumed = false;

	if (SIGBIT(signo) & SIGSET_STOP)
		flush = SIGBIT(SIGCONT);
	else if (signo == SIGCONT)
		flush = SIGSET_STOP;
	if (flush) {
		sigqueue_clear(&tg->shared, flush);
		TAILQ_FOREACH (t, &tg->tasks, tg_link)
			sigqueue_clear(&t->pending, flush);
	}
	if (signo == SIGCONT && tg->stop != STOP_NONE) {
		resumed = tg->stop == STOP_STOPPED;
		group_continue_locked(tg, true);
	}
	return resumed;
}

void thread_group_exit_locked(struct thread_group *tg, int status)
{
	struct task *t;

	if (!tg->exiting) {
		tg->exiting = true;
		tg->exit_status = status;
	}
	group_continue_locked(tg, false);
	TAILQ_FOREACH (t, &tg->tasks, tg_link) {
		if (t->exit_state == TASK_ALIVE)
			ctx_interrupt(&t->ctx, INTERRUPT_KILL | INTERRUPT_SIGNAL);
	}
	waitq_wake(&tg->stop_wait, ~0u);
	waitq_wake(&tg->exec_wait, ~0u);
}

void thread_group_exit(struct thread_group *tg, int status)
{
	struct kernel *k = tg->kernel;

	/* The member list is stable only under tasks_lock. */
	GUARD(&k->tasks_lock);
	GUARD(&tg->lock);
	thread_group_exit_locked(tg, status);
}

/* target NULL: the group's queue. tasks_lock and tg->lock held. */
static int send_locked(struct thread_group *tg, struct task *target, struct task *near,
                       const siginfo_t *info, bool timer, bool *ret_resumed)
{
	int signo = info->si_signo;
	struct task *judge = target ? target : near ? near : tg->leader, *t, *chosen = NULL;
	int r;

	if (tg->exiting && signo != SIGCONT)
		return 0;
	*ret_resumed = prepare_locked(tg, signo);
	if (!judge)
		return 0;
	/* Processes of a sandbox can't kill its built-in init. */
	if (task_run_now(judge) == &run_init)
		return 0;
	if (ignored_locked(judge, signo))
		return 0;

	if (target) {
		if (wants_locked(target, signo))
			chosen = target;
	} else if (judge && wants_locked(judge, signo)) {
		chosen = judge;
	} else {
		TAILQ_FOREACH (t, &tg->tasks, tg_link) {
			if (wants_locked(t, signo)) {
				chosen = t;
				break;
			}
		}
	}
	/* Whoever is traced takes the signal that ends it first. */
	if (chosen &&
	    (signo == SIGKILL || (!tg->kernel->machine->strace && fatal_locked(chosen, signo)))) {
		/* Nothing dumps core here, so no status says so. */
		thread_group_exit_locked(tg, signo);
		return 0;
	}
	r = sigqueue_add(target ? &target->pending : &tg->shared, info, timer, task_uid(judge),
	                 tg->rlimits[RLIMIT_SIGPENDING].rlim_cur);
	if (r < 0)
		return r;
	if (chosen)
		ctx_interrupt(&chosen->ctx, INTERRUPT_SIGNAL);
	/* Readers of blocked signals: sigtimedwait and signalfd. */
	if (target) {
		waitq_wake(&target->signal_wait, EPOLLIN);
	} else {
		TAILQ_FOREACH (t, &tg->tasks, tg_link)
			waitq_wake(&t->signal_wait, EPOLLIN);
	}
	waitq_wake(&tg->kernel->signalfd_wait, EPOLLIN);
	return 0;
}

/* tasks_lock held. */
static int send(struct thread_group *tg, struct task *target, struct task *near,
                const siginfo_t *info, bool timer)
{
	bool resumed = false;
	int r;

	mutex_lock(&tg->lock);
	r = send_locked(tg, target, near, info, timer, &resumed);
	mutex_unlock(&tg->lock);
	/* The parent's lock has the same rank: only after ours is free. */
	if (resumed)
		notify_parent_stop_locked(tg, CLD_CONTINUED, SIGCONT);
	return r;
}

int signal_send_task_tasks_locked(struct task *t, const siginfo_t *info)
{
	return t->exit_state == TASK_ALIVE ? send(t->tg, t, NULL, info, false) : 0;
}

int signal_send_task(struct task *t, const siginfo_t *info)
{
	GUARD(&t->kernel->tasks_lock);
	return signal_send_task_tasks_locked(t, info);
}

int signal_send_group_tasks_locked(struct thread_group *tg, const siginfo_t *info)
{
	return send(tg, NULL, NULL, info, false);
}

int signal_send_group(struct thread_group *tg, const siginfo_t *info)
{
	GUARD(&tg->kernel->tasks_lock);
	return signal_send_group_tasks_locked(tg, info);
}

int signal_send_group_near(struct task *t, const siginfo_t *info)
{
	GUARD(&t->kernel->tasks_lock);
	if (t->exit_state != TASK_ALIVE)
		return 0;
	return send(t->tg, NULL, t, info, false);
}

int signal_send_timer(struct thread_group *tg, struct task *target, const siginfo_t *info)
{
	GUARD(&tg->kernel->tasks_lock);
	if (target && target->exit_state != TASK_ALIVE)
		return 0;
	return send(tg, target, NULL, info, true);
}

void signal_force(struct task *t, const siginfo_t *info)
{
	struct thread_group *tg = t->tg;
	int signo = info->si_signo;
	struct ksigaction act;

	GUARD(&t->kernel->tasks_lock);
	GUARD(&tg->lock);
	act = sighand_get_action(tg->sighand, signo);
	if ((t->blocked & SIGBIT(signo)) || act.handler == (u64)(uintptr_t)SIG_IGN) {
		act = (struct ksigaction){.handler = (u64)(uintptr_t)SIG_DFL};
		sighand_set_action(tg->sighand, signo, &act);
		t->blocked &= ~SIGBIT(signo);
	}
	/* Not through send_locked: its shortcut would skip the handler's siginfo for cores, and the
	 * order of synchronous signals first must hold. */
	if (tg->exiting)
		return;
	sigqueue_add(&t->pending, info, false, task_uid(t), UINT64_MAX);
	ctx_interrupt(&t->ctx, INTERRUPT_SIGNAL);
}

void ctx_signal_self(struct ctx *c, int signo)
{
	siginfo_t info = siginfo_kernel(signo);

	/* What comes of a call looks as if the caller had sent it. */
	if (signo == SIGPIPE || signo == SIGXFSZ)
		info = siginfo_user(signo, SI_USER, c->tgid, c->creds->uid);
	signal_send_task(ctx_task(c), &info);
}

bool signal_may_send(struct task *from, struct task *to, int signo)
{
	AUTO(creds) theirs = NULL;
	const struct creds *mine = from->ctx.creds;

	if (from->tg == to->tg || creds_capable(mine, CAP_KILL))
		return true;
	theirs = task_get_creds(to);
	if (!theirs)
		return true;
	if (mine->euid == theirs->suid || mine->euid == theirs->uid || mine->uid == theirs->suid ||
	    mine->uid == theirs->uid)
		return true;
	/* SIGCONT may go anywhere in the session. */
	return signo == SIGCONT && thread_group_sid(from->tg) == thread_group_sid(to->tg);
}

/* ---- masks ---- */

void signal_set_mask(struct task *t, sigset64_t mask)
{
	struct thread_group *tg = t->tg;
	sigset64_t newly = mask & ~SIGSET_UNBLOCKABLE & ~t->blocked;
	struct task *o;
	bool hand_on;

	if (mask == t->blocked)
		return;
	mutex_lock(&tg->lock);
	t->blocked = mask & ~SIGSET_UNBLOCKABLE;
	signal_recalc_locked(t);
	hand_on = (tg->shared.pending & newly) != 0;
	mutex_unlock(&tg->lock);
	if (!hand_on)
		return;
	/* A group signal that was this task's to take may now be another's. The member list is
	 * stable only under tasks_lock. */
	GUARD(&t->kernel->tasks_lock);
	GUARD(&tg->lock);
	TAILQ_FOREACH (o, &tg->tasks, tg_link) {
		if (o != t && o->exit_state == TASK_ALIVE)
			signal_recalc_locked(o);
	}
}

void signal_set_temp_mask(struct task *t, sigset64_t mask)
{
	if (!t->has_saved_mask) {
		t->saved_mask = t->blocked;
		t->has_saved_mask = true;
	}
	signal_set_mask(t, mask);
}

/* ---- taking ---- */

static bool take_from(struct sigqueue *q, int signo, siginfo_t *ret, u64 *ret_timer)
{
	struct queued_signal *qs, *found = NULL;
	bool more = false;

	TAILQ_FOREACH (qs, &q->list, link) {
		if (qs->info.si_signo != signo)
			continue;
		if (found) {
			more = true;
			break;
		}
		found = qs;
	}
	if (!more)
		q->pending &= ~SIGBIT(signo);
	if (found) {
		*ret = found->info;
		*ret_timer = found->timer_id;
		sigqueue_drop(q, found);
	} else {
		*ret = siginfo_user(signo, SI_USER, 0, 0);
		*ret_timer = 0;
	}
	return true;
}

bool signal_dequeue(struct task *t, sigset64_t set, siginfo_t *ret)
{
	struct thread_group *tg = t->tg;
	u64 timer = 0;
	bool got = false;

	mutex_lock(&tg->lock);
	{
		sigset64_t want = set ? set : ~t->blocked;
		sigset64_t own = t->pending.pending & want;
		sigset64_t shared = tg->shared.pending & want;
		sigset64_t sync = own & SIGSET_SYNCHRONOUS;

		if (sync)
			got = take_from(&t->pending, __builtin_ctzll(sync) + 1, ret, &timer);
		else if (own)
			got = take_from(&t->pending, __builtin_ctzll(own) + 1, ret, &timer);
		else if (shared)
			got = take_from(&tg->shared, __builtin_ctzll(shared) + 1, ret, &timer);
		signal_recalc_locked(t);
	}
	mutex_unlock(&tg->lock);
	if (got && timer && tg->timers)
		ret->si_overrun = posix_timer_delivered(tg->timers, timer - 1);
	if (got && ret->si_signo == SIGALRM)
		itimers_delivered(tg->itimers);
	return got;
}
