/* Signals: sigaction(2), sigprocmask(2), kill(2), sigreturn(2), sigtimedwait(2), sigaltstack(2)...
 */
#include "sentry/auth/creds.h"
#include "sentry/kernel/pidns.h"
#include "sentry/kernel/sighand.h"
#include "sentry/kernel/task_run.h"
#include "sentry/syscall/sysarg.h"

#include <string.h>

#define SIGSET_SIZE        8
#define SS_AUTODISARM_FLAG (1u << 31)

SYSCALL4(rt_sigaction, int, signo, uaddr_t, act, uaddr_t, oldact, size_t, size)
{
	struct ksigaction new, old;
	int r;

	if (size != SIGSET_SIZE)
		return -EINVAL;
	if (!uaddr_null(act)) {
		r = user_get(&t->ctx, act, &new);
		if (r < 0)
			return r;
	}
	if (signo < 1 || signo > SIGNAL_MAX)
		return -EINVAL;
	if (!uaddr_null(act) && (signo == SIGKILL || signo == SIGSTOP))
		return -EINVAL;
	if (uaddr_null(act)) {
		old = sighand_get_action(t->tg->sighand, signo);
	} else {
		old = sighand_set_action(t->tg->sighand, signo, &new);
		/* POSIX: ignoring a signal discards what is pending of it. */
		if (new.handler == (u64)(uintptr_t)SIG_IGN ||
		    (new.handler == (u64)(uintptr_t)SIG_DFL &&
		     (signo == SIGCHLD || signo == SIGURG || signo == SIGWINCH ||
		      signo == SIGCONT))) {
			struct task *o;

			GUARD(&t->kernel->tasks_lock);
			GUARD(&t->tg->lock);
			sigqueue_clear(&t->tg->shared, SIGBIT(signo));
			TAILQ_FOREACH (o, &t->tg->tasks, tg_link)
				sigqueue_clear(&o->pending, SIGBIT(signo));
		}
	}
	return uaddr_null(oldact) ? 0 : user_put(&t->ctx, oldact, &old);
}

SYSCALL4(rt_sigprocmask, int, how, uaddr_t, set, uaddr_t, oldset, size_t, size)
{
	sigset64_t mask, old = t->blocked;
	int r;

	if (size != SIGSET_SIZE)
		return -EINVAL;
	if (!uaddr_null(set)) {
		r = user_get(&t->ctx, set, &mask);
		if (r < 0)
			return r;
		switch (how) {
		case SIG_BLOCK:
			mask |= old;
			break;
		case SIG_UNBLOCK:
			mask = old & ~mask;
			break;
		case SIG_SETMASK:
			break;
		default:
			return -EINVAL;
		}
		signal_set_mask(t, mask);
	}
	return uaddr_null(oldset) ? 0 : user_put(&t->ctx, oldset, &old);
}

SYSCALL2(rt_sigpending, uaddr_t, set, size_t, size)
{
	sigset64_t pending;

	if (size > SIGSET_SIZE)
		return -EINVAL;
	mutex_lock(&t->tg->lock);
	pending = (t->pending.pending | t->tg->shared.pending) & t->blocked;
	mutex_unlock(&t->tg->lock);
	return user_copy_out(&t->ctx, set, &pending, size);
}

SYSCALL2(rt_sigsuspend, uaddr_t, set, size_t, size)
{
	sigset64_t mask;
	int r;

	if (size != SIGSET_SIZE)
		return -EINVAL;
	r = user_get(&t->ctx, set, &mask);
	if (r < 0)
		return r;
	signal_set_temp_mask(t, mask);
	t->waiting_on = "sigsuspend";
	do {
		ctx_prepare(&t->ctx);
		r = ctx_sleep(&t->ctx, NEVER);
	} while (r == 0);
	t->waiting_on = NULL;
	return -ERESTARTNOHAND;
}

SYSCALL0(pause)
{
	int r;

	t->waiting_on = "pause";
	do {
		ctx_prepare(&t->ctx);
		r = ctx_sleep(&t->ctx, NEVER);
	} while (r == 0);
	t->waiting_on = NULL;
	return -ERESTARTNOHAND;
}

SYSCALL0(rt_sigreturn)
{
	/* The frame replaces every register; nothing of this call remains. */
	t->in_syscall = false;
	memset(&t->ctx.restart, 0, sizeof(t->ctx.restart));
	if (sigframe_restore(t) < 0) {
		siginfo_t segv = siginfo_kernel(SIGSEGV);

		signal_force(t, &segv);
	}
	t->run_next = &run_interrupt;
	return 0;
}

struct wait_set {
	struct task *t;
	sigset64_t set;
	siginfo_t info;
};

static bool take_one(void *arg)
{
	struct wait_set *w = arg;

	return signal_dequeue(w->t, w->set, &w->info);
}

static bool never(void *arg)
{
	return false;
}

SYSCALL4(rt_sigtimedwait, uaddr_t, set, uaddr_t, info, uaddr_t, timeout, size_t, size)
{
	struct wait_set w = {.t = t};
	struct timespec ts;
	struct deadline d = NEVER;
	int r;

	if (size != SIGSET_SIZE)
		return -EINVAL;
	r = user_get(&t->ctx, set, &w.set);
	if (r < 0)
		return r;
	w.set &= ~SIGSET_UNBLOCKABLE;
	if (!uaddr_null(timeout)) {
		r = user_get(&t->ctx, timeout, &ts);
		if (r < 0)
			return r;
		if (!timespec_valid(&ts))
			return -EINVAL;
		d = ctx_deadline(&t->ctx, timespec_ns(&ts));
	}
	/* The signals stay blocked meanwhile: one that arrives is queued and wakes this queue. */
	if (w.set == 0 || !take_one(&w)) {
		if (!uaddr_null(timeout) && deadline_passed(t->ctx.clocks, d))
			return -EAGAIN;
		t->waiting_on = "sigtimedwait";
		r = ctx_block(&t->ctx, &t->signal_wait, w.set ? take_one : never, &w, d);
		t->waiting_on = NULL;
		if (r == -ETIMEDOUT)
			return -EAGAIN;
		/* A handler for another signal runs, or a stop: EINTR; a kick: wait on. */
		if (r < 0)
			return -ERESTARTUNSTOPPED;
	}
	if (!uaddr_null(info)) {
		r = user_put(&t->ctx, info, &w.info);
		if (r < 0)
			return r;
	}
	return w.info.si_signo;
}

/* ---- sending ---- */

static int kill_one(struct task *t, struct thread_group *tg, const siginfo_t *info, int signo)
{
	AUTO(task) leader = NULL;

	mutex_lock(&t->kernel->tasks_lock);
	leader = obj_get(tg->leader);
	mutex_unlock(&t->kernel->tasks_lock);
	if (!leader)
		return -ESRCH;
	if (!signal_may_send(t, leader, signo))
		return -EPERM;
	return signo == 0 ? 0 : signal_send_group(tg, info);
}

static long kill_pgrp(struct task *t, u32 pgid, const siginfo_t *info, int signo)
{
	struct kernel *k = t->kernel;
	bool any = false, ok = false;
	u32 at = 0;
	struct thread_group *tg;
	int r = -ESRCH;

	while ((tg = thread_group_next(k, at))) {
		at = tg->tgid;
		if (thread_group_pgid(tg) == pgid) {
			any = true;
			r = kill_one(t, tg, info, signo);
			ok = ok || r == 0;
		}
		obj_put(tg);
	}
	if (ok)
		return 0;
	return any ? r : -ESRCH;
}

static long kill_all(struct task *t, const siginfo_t *info, int signo)
{
	struct thread_group *tg;
	u32 at = 1;
	bool any = false;

	while ((tg = thread_group_next(t->kernel, at))) {
		at = tg->tgid;
		if (tg != t->tg && kill_one(t, tg, info, signo) != -EPERM)
			any = true;
		obj_put(tg);
	}
	return any ? 0 : -ESRCH;
}

SYSCALL2(kill, int, pid, int, signo)
{
	siginfo_t info = siginfo_user(signo, SI_USER, t->tg->tgid, t->ctx.creds->uid);
	AUTO(thread_group) tg = NULL;
	AUTO(task) other = NULL;

	if (signo < 0 || signo > SIGNAL_MAX)
		return -EINVAL;
	if (pid == 0)
		return kill_pgrp(t, thread_group_pgid(t->tg), &info, signo);
	if (pid == -1)
		return kill_all(t, &info, signo);
	if (pid == INT32_MIN)
		return -ESRCH;
	if (pid < 0)
		return kill_pgrp(t, (u32)-pid, &info, signo);
	other = task_find(t->kernel, (u32)pid);
	if (!other)
		return -ESRCH;
	tg = obj_get(other->tg);
	return kill_one(t, tg, &info, signo);
}

static long send_thread(struct task *t, int tgid, int tid, const siginfo_t *info, int signo)
{
	AUTO(task) target = NULL;

	if (signo < 0 || signo > SIGNAL_MAX)
		return -EINVAL;
	target = task_find(t->kernel, (u32)tid);
	if (!target || (tgid > 0 && target->tg->tgid != (u32)tgid))
		return -ESRCH;
	if (!signal_may_send(t, target, signo))
		return -EPERM;
	return signo == 0 ? 0 : signal_send_task(target, info);
}

SYSCALL3(tgkill, int, tgid, int, tid, int, signo)
{
	siginfo_t info = siginfo_user(signo, SI_TKILL, t->tg->tgid, t->ctx.creds->uid);

	if (tgid <= 0 || tid <= 0)
		return -EINVAL;
	return send_thread(t, tgid, tid, &info, signo);
}

SYSCALL2(tkill, int, tid, int, signo)
{
	siginfo_t info = siginfo_user(signo, SI_TKILL, t->tg->tgid, t->ctx.creds->uid);

	if (tid <= 0)
		return -EINVAL;
	return send_thread(t, 0, tid, &info, signo);
}

/* The sender may invent everything but a signal from the kernel or from kill(2). */
static int get_info(struct task *t, uaddr_t uinfo, int signo, u32 target, siginfo_t *ret)
{
	int r = user_get(&t->ctx, uinfo, ret);

	if (r < 0)
		return r;
	ret->si_signo = signo;
	if ((ret->si_code >= 0 || ret->si_code == SI_TKILL) && target != t->tg->tgid)
		return -EPERM;
	return 0;
}

SYSCALL3(rt_sigqueueinfo, int, pid, int, signo, uaddr_t, uinfo)
{
	AUTO(task) target = NULL;
	siginfo_t info;
	int r = get_info(t, uinfo, signo, (u32)pid, &info);

	if (r < 0)
		return r;
	if (signo < 0 || signo > SIGNAL_MAX)
		return -EINVAL;
	target = task_find(t->kernel, (u32)pid);
	if (!target)
		return -ESRCH;
	return kill_one(t, target->tg, &info, signo);
}

SYSCALL4(rt_tgsigqueueinfo, int, tgid, int, tid, int, signo, uaddr_t, uinfo)
{
	siginfo_t info;
	int r = get_info(t, uinfo, signo, (u32)tgid, &info);

	if (r < 0)
		return r;
	if (tgid <= 0 || tid <= 0)
		return -EINVAL;
	return send_thread(t, tgid, tid, &info, signo);
}

/* ---- alternate stack ---- */

struct k_stack {
	u64 sp;
	s32 flags;
	u32 pad;
	u64 size;
};

SYSCALL2(sigaltstack, uaddr_t, new, uaddr_t, old)
{
	struct k_stack n, o = {.sp = t->altstack_sp, .size = t->altstack_size};
	u32 mode;
	int r;

	o.flags = (s32)task_altstack_state(t);
	if (!uaddr_null(new)) {
		r = user_get(&t->ctx, new, &n);
		if (r < 0)
			return r;
		if (o.flags & SS_ONSTACK)
			return -EPERM;
		mode = (u32)n.flags & ~SS_AUTODISARM_FLAG;
		if (mode != 0 && mode != SS_DISABLE && mode != SS_ONSTACK)
			return -EINVAL;
		if (mode == SS_DISABLE) {
			n.sp = 0;
			n.size = 0;
		} else if (n.size < 2048) {
			return -ENOMEM;
		}
		t->altstack_sp = n.sp;
		t->altstack_size = n.size;
		t->altstack_flags = (u32)n.flags & SS_AUTODISARM_FLAG;
	}
	return uaddr_null(old) ? 0 : user_put(&t->ctx, old, &o);
}

SYSCALL1(restart_syscall, int, unused)
{
	return -EINTR;
}
