/* clone(2) and the first task of a container. */
#include "sentry/auth/creds.h"
#include "sentry/kernel/itimer.h"
#include "sentry/kernel/pidfd.h"
#include "sentry/kernel/pidns.h"
#include "sentry/kernel/posix_timer.h"
#include "sentry/kernel/quiesce.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/sighand.h"
#include "sentry/kernel/task_run.h"
#include "sentry/kernel/utsns.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/usercopy.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/fs_context.h"

#include "state/base/log.h"

#include <linux/capability.h>
#include <linux/sched.h>
#include <string.h>

void task_bind_ctx(struct task *t)
{
	t->ctx.kernel = t->kernel;
	t->ctx.clocks = &t->kernel->clocks;
	t->ctx.rlimits = t->tg->rlimits;
	t->ctx.tid = t->tid;
	t->ctx.tgid = t->tg->tgid;
}

static struct task *task_alloc(struct kernel *k, struct thread_group *tg)
{
	struct task *t = obj_new(task);

	t->kernel = k;
	t->tg = obj_get(tg);
	t->run = &run_app;
	t->exit_state = TASK_ALIVE;
	t->start_time = clock_mono(&k->clocks);
	t->timer_slack = t->timer_slack_default = 50 * NSEC_PER_USEC;
	t->altstack_flags = 0;
	t->regs.orig_rax = ~0ull;
	return t;
}

static struct thread_group *thread_group_new(struct kernel *k, struct container *c)
{
	struct thread_group *tg = obj_new(thread_group);

	tg->kernel = k;
	tg->container = c;
	tg->start_time = clock_mono(&k->clocks);
	tg->itimers = itimers_new(tg);
	tg->timers = posix_timers_new(tg);
	return tg;
}

void pgrp_join_locked(struct thread_group *tg, struct pgrp *g)
{
	tg->pgrp = obj_get(g);
	TAILQ_INSERT_TAIL(&g->members, tg, pgrp_link);
}

struct pgrp *pgrp_new_locked(struct kernel *k, u32 pgid, struct session *s)
{
	struct pgrp *g = obj_new(pgrp);

	g->pgid = pgid;
	g->session = obj_get(s);
	k->pidns->slots[pgid].pgrp = g;
	return g;
}

struct session *session_new_locked(struct kernel *k, u32 sid, struct thread_group *leader)
{
	struct session *s = obj_new(session);

	s->sid = sid;
	s->leader = leader;
	k->pidns->slots[sid].session = s;
	return s;
}

/* Leaves the group; its numbers become free with its last member. */
void pgrp_leave_locked(struct thread_group *tg)
{
	struct kernel *k = tg->kernel;
	struct pgrp *g = tg->pgrp;
	struct session *s;

	if (!g)
		return;
	tg->pgrp = NULL;
	TAILQ_REMOVE(&g->members, tg, pgrp_link);
	if (!TAILQ_EMPTY(&g->members)) {
		obj_put(g);
		return;
	}
	k->pidns->slots[g->pgid].pgrp = NULL;
	s = obj_get(g->session);
	obj_put(g);
	if (obj_refs(s) == 1)
		k->pidns->slots[s->sid].session = NULL;
	obj_put(s);
}

static int check_flags(struct task *t, const struct clone_args_k *a)
{
	u64 f = a->flags;

	if ((f & CLONE_SIGHAND) && !(f & CLONE_VM))
		return -EINVAL;
	if ((f & CLONE_THREAD) && !(f & CLONE_SIGHAND))
		return -EINVAL;
	if ((f & (CLONE_FS | CLONE_NEWNS)) == (CLONE_FS | CLONE_NEWNS))
		return -EINVAL;
	/* Init has no siblings. */
	if ((f & CLONE_PARENT) && t->tg == t->kernel->pidns->init)
		return -EINVAL;
	if ((f & CLONE_SETTLS) && a->tls >= t->kernel->machine->platform->max_user_addr &&
	    a->tls >= 1ull << 47)
		return -EPERM;
	/* clone(2) has one pointer for both. */
	if ((f & CLONE_PIDFD) && (f & CLONE_PARENT_SETTID) && a->pidfd.a == a->parent_tid.a)
		return -EINVAL;
	if ((f & CLONE_CLEAR_SIGHAND) && (f & CLONE_SIGHAND))
		return -EINVAL;
	if (a->exit_signal < 0 || a->exit_signal > SIGNAL_MAX)
		return -EINVAL;
	if ((f & TASK_CLONE_NEW) && !(f & CLONE_NEWUSER) &&
	    !creds_capable(t->ctx.creds, CAP_SYS_ADMIN))
		return -EPERM;
	/* Namespaces beyond UTS and mounts are not offered. */
	if (f & (CLONE_NEWPID | CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWCGROUP |
	         CLONE_INTO_CGROUP))
		return -EINVAL;
	if (a->set_tid && !creds_capable(t->ctx.creds, CAP_SYS_ADMIN))
		return -EPERM;
	return 0;
}

/* Memory, files, credentials: what is shared and what is copied. */
static int copy_resources(struct task *t, struct task *n, u64 flags)
{
	int r;

	n->ctx.creds = obj_get(t->ctx.creds);
	n->utsns = flags & CLONE_NEWUTS ? utsns_copy(t->utsns, kernel_new_ns_ino(t->kernel))
	                                : obj_get(t->utsns);
	if (flags & CLONE_VM) {
		n->ctx.mm = obj_get(t->ctx.mm);
	} else {
		r = mm_fork(t->ctx.mm, &n->ctx.mm);
		if (r < 0)
			return r;
	}
	mm_use(n->ctx.mm);
	n->ctx.fs = flags & CLONE_FS ? obj_get(t->ctx.fs) : fs_context_copy(t->ctx.fs);
	if (flags & CLONE_NEWNS) {
		r = fs_new_mount_ns(n->ctx.fs, t->kernel);
		if (r < 0)
			return r;
	}
	n->ctx.fds = flags & CLONE_FILES ? obj_get(t->ctx.fds) : fd_table_copy(t->ctx.fds);
	fd_table_use(n->ctx.fds);
	return 0;
}

static void drop_resources(struct task *n)
{
	if (n->ctx.mm)
		mm_unuse(n->ctx.mm);
	if (n->ctx.fds)
		fd_table_unuse(n->ctx.fds, &n->ctx);
}

static void inherit(struct task *t, struct task *n)
{
	mutex_lock(&t->tg->lock);
	n->blocked = t->has_saved_mask ? t->saved_mask : t->blocked;
	mutex_unlock(&t->tg->lock);
	task_get_comm(t, n->comm);
	n->personality = t->personality;
	n->login_uid = t->login_uid;
	n->login_session = t->login_session;
	n->tsc_mode = t->tsc_mode;
	n->mempolicy = t->mempolicy;
	n->timer_slack = n->timer_slack_default = t->timer_slack;
	n->affinity = t->affinity;
	n->nice = t->nice;
	n->sched_policy = t->sched_policy;
	n->sched_priority = t->sched_priority;
	if (t->sched_reset) {
		n->sched_policy = SCHED_OTHER;
		n->sched_priority = 0;
		n->nice = MAX(n->nice, 0);
	}
	n->ioprio = t->ioprio;
	n->keep_caps = t->keep_caps;
}

static struct thread_group *fork_group(struct task *t, const struct clone_args_k *a)
{
	struct thread_group *tg = thread_group_new(t->kernel, t->tg->container);

	if (a->flags & CLONE_SIGHAND)
		tg->sighand = obj_get(t->tg->sighand);
	else
		tg->sighand = sighand_copy(t->tg->sighand);
	if (a->flags & CLONE_CLEAR_SIGHAND) {
		for (int s = 1; s <= SIGNAL_MAX; s++) {
			if (sighand_get_action(tg->sighand, s).handler != 1)
				sighand_reset(tg->sighand, s);
		}
	}
	mutex_lock(&t->tg->lock);
	memcpy(tg->rlimits, t->tg->rlimits, sizeof(tg->rlimits));
	mutex_unlock(&t->tg->lock);
	itimers_limit_changed(tg->itimers);
	tg->exit_signal = a->exit_signal;
	tg->oom_score_adj = t->tg->oom_score_adj;
	tg->dump_filter = READ_ONCE(t->tg->dump_filter);
	tg->no_tty = t->tg->no_tty;
	return tg;
}

/* Enters the new task into the tree. Everything that can fail is before this or undone by it. */
static int link_task(struct task *t, struct task *n, const struct clone_args_k *a)
{
	struct kernel *k = t->kernel;
	struct thread_group *tg = n->tg;
	bool thread = (a->flags & CLONE_THREAD) != 0;
	int r;

	GUARD(&k->tasks_lock);
	r = task_limit_locked(t);
	if (r < 0)
		return r;
	mutex_lock(&t->tg->lock);
	/* Linux: a pending signal restarts fork, so that a group that is being killed or stopped
	 * grows no member behind the killer's back. */
	if (t->tg->exiting || (t->tg->execing && t->tg->execing != t) ||
	    (t->tg->stop == STOP_PENDING))
		r = -ERESTARTNOINTR;
	mutex_unlock(&t->tg->lock);
	if (r < 0)
		return r;
	r = pid_alloc_locked(k->pidns, a->set_tid, &n->tid);
	if (r < 0)
		return r;
	if (!thread) {
		struct thread_group *parent = a->flags & CLONE_PARENT ? t->tg->parent : t->tg;

		if (a->flags & CLONE_PARENT)
			tg->exit_signal = t->tg->exit_signal;
		tg->tgid = n->tid;
		tg->leader = n;
		tg->parent = parent;
		if (parent)
			TAILQ_INSERT_TAIL(&parent->children, tg, sibling);
		pgrp_join_locked(tg, t->tg->pgrp);
	}
	mutex_lock(&tg->lock);
	TAILQ_INSERT_TAIL(&tg->tasks, n, tg_link);
	WRITE_ONCE(tg->n_live, tg->n_live + 1);
	mutex_unlock(&tg->lock);
	pid_add_locked(k->pidns, n);
	task_bind_ctx(n);
	seccomp_inherit_locked(t, n);
	return 0;
}

static void unlink_task(struct task *n)
{
	struct kernel *k = n->kernel;
	struct thread_group *tg = n->tg;

	GUARD(&k->tasks_lock);
	mutex_lock(&tg->lock);
	TAILQ_REMOVE(&tg->tasks, n, tg_link);
	WRITE_ONCE(tg->n_live, tg->n_live - 1);
	mutex_unlock(&tg->lock);
	obj_put(pid_remove_locked(k->pidns, n->tid));
	if (tg->leader == n) {
		if (tg->parent)
			TAILQ_REMOVE(&tg->parent->children, tg, sibling);
		pgrp_leave_locked(tg);
		tg->leader = NULL;
	}
}

/* CLONE_PIDFD: unlike the ids, a bad address fails the call. */
static int install_pidfd(struct task *t, struct task *n, uaddr_t where, int *ret)
{
	AUTO(file) f = pidfd_create(&t->ctx, n, n->tg == t->tg ? PIDFD_OF_THREAD : 0);
	int fd = fd_install(&t->ctx, f, 0, true), r;

	if (fd < 0)
		return fd;
	r = user_put_u32(&t->ctx, where, (u32)fd);
	if (r < 0 && fd_close(&t->ctx, fd) < 0)
		return r;
	if (r == 0)
		*ret = fd;
	return r;
}

long task_clone(struct task *t, const struct clone_args_k *a)
{
	AUTO(thread_group) tg = NULL;
	AUTO(task) n = NULL;
	u64 flags = a->flags;
	u32 tid;
	int pidfd = -1, r;

	r = check_flags(t, a);
	if (r < 0)
		return r;
	/* Its share of the time was given to it alone. */
	if (t->sched_policy == SCHED_DEADLINE && !t->sched_reset)
		return -EAGAIN;
	r = task_limit(t, (flags & CLONE_VM) != 0);
	if (r == 0)
		r = task_pull_fp(t);
	if (r < 0)
		return r;
	tg = flags & CLONE_THREAD ? obj_get(t->tg) : fork_group(t, a);
	n = task_alloc(t->kernel, tg);
	r = copy_resources(t, n, flags);
	if (r < 0) {
		drop_resources(n);
		return r;
	}
	inherit(t, n);
	n->regs = t->regs;
	n->regs.rax = 0;
	n->regs.orig_rax = ~0ull;
	if (a->stack)
		n->regs.rsp = a->stack + a->stack_size;
	if (flags & CLONE_SETTLS)
		n->regs.fs_base = a->tls;
	n->fp = aligned_alloc(64, sizeof(*n->fp));
	BUG_ON(!n->fp);
	*n->fp = *t->fp;
	n->fp_dirty = true;
	/* fork keeps the alternate stack, a thread starts without; CLONE_VFORK keeps it too. */
	if (!(flags & CLONE_VM) || (flags & CLONE_VFORK)) {
		n->altstack_sp = t->altstack_sp;
		n->altstack_size = t->altstack_size;
		n->altstack_flags = t->altstack_flags;
	}
	if (flags & CLONE_CHILD_CLEARTID)
		n->clear_child_tid = a->child_tid.a;
	if (!(flags & CLONE_VM)) {
		n->rseq_addr = t->rseq_addr;
		n->rseq_len = t->rseq_len;
		n->rseq_sig = t->rseq_sig;
		n->rseq_cpu = t->rseq_cpu;
	}

	r = link_task(t, n, a);
	if (r < 0) {
		drop_resources(n);
		return r;
	}
	tid = n->tid;
	/* Written before either runs; a bad address is ignored, as in Linux. */
	if ((flags & CLONE_PARENT_SETTID) && user_put_u32(&t->ctx, a->parent_tid, tid) < 0)
		log_debug("task %u: CLONE_PARENT_SETTID at a bad address", t->tid);
	if ((flags & CLONE_CHILD_SETTID) && user_put_u32(&n->ctx, a->child_tid, tid) < 0)
		log_debug("task %u: CLONE_CHILD_SETTID at a bad address", t->tid);
	if (flags & CLONE_PIDFD) {
		r = install_pidfd(t, n, a->pidfd, &pidfd);
		if (r < 0) {
			unlink_task(n);
			drop_resources(n);
			return r;
		}
	}
	if (flags & CLONE_VFORK) {
		n->vfork_parent = obj_get(t);
		t->vfork_child = n;
	}
	r = runtime_start_task(n);
	if (r < 0) {
		if (pidfd >= 0 && fd_close(&t->ctx, pidfd) < 0)
			log_debug("task %u: its new pidfd is gone already", t->tid);
		if (n->vfork_parent) {
			t->vfork_child = NULL;
			obj_put(TAKE(n->vfork_parent));
		}
		unlink_task(n);
		drop_resources(n);
		return r;
	}
	if (flags & CLONE_VFORK) {
		task_syscall_done(t, (long)tid);
		t->run_next = &run_vfork;
	}
	return (long)tid;
}

static bool vfork_over(void *arg)
{
	struct task *t = arg;

	GUARD(&t->kernel->tasks_lock);
	return t->vfork_child == NULL;
}

/* Signals wait until the child lets go, kills don't: its memory is the parent's. */
static const struct run_state *vfork_step(struct task *t)
{
	int r;

	t->waiting_on = "vfork";
	t->ctx.deaf_to = INTERRUPT_SIGNAL;
	r = ctx_block(&t->ctx, &t->vfork_done, vfork_over, t, NEVER);
	t->ctx.deaf_to = 0;
	t->waiting_on = NULL;
	if (r < 0 && !ctx_killed(&t->ctx))
		return &run_vfork;
	return &run_interrupt;
}
RUN_STATE(run_vfork, vfork_step);

void task_vfork_release(struct task *t)
{
	struct task *parent;

	mutex_lock(&t->kernel->tasks_lock);
	parent = TAKE(t->vfork_parent);
	if (parent && parent->vfork_child == t)
		parent->vfork_child = NULL;
	mutex_unlock(&t->kernel->tasks_lock);
	if (parent) {
		waitq_wake(&parent->vfork_done, ~0u);
		obj_put(parent);
	}
}

/* ---- first tasks ---- */

void default_rlimits(struct rlimit r[RLIM_NLIMITS])
{
	for (unsigned i = 0; i < RLIM_NLIMITS; i++)
		r[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
	r[RLIMIT_STACK] = (struct rlimit){8 * MIB, RLIM_INFINITY};
	r[RLIMIT_CORE] = (struct rlimit){0, RLIM_INFINITY};
	r[RLIMIT_NOFILE] = (struct rlimit){1024, 1048576};
	r[RLIMIT_MEMLOCK] = (struct rlimit){8 * MIB, 8 * MIB};
	r[RLIMIT_SIGPENDING] = (struct rlimit){65536, 65536};
	r[RLIMIT_MSGQUEUE] = (struct rlimit){819200, 819200};
	r[RLIMIT_NICE] = (struct rlimit){0, 0};
	r[RLIMIT_RTPRIO] = (struct rlimit){0, 0};
}

/* The built-in init: a process without memory that reaps orphans, for sandboxes whose program
 * expects to be an ordinary process (stasis do). */
int task_create_reaper(struct kernel *k, struct creds *creds)
{
	struct thread_group *tg = thread_group_new(k, NULL);
	struct task *t = task_alloc(k, tg);
	struct session *s;
	struct pgrp *g;
	int r;

	tg->sighand = sighand_new(0);
	default_rlimits(tg->rlimits);
	t->utsns = obj_get(k->utsns);
	t->ctx.creds = obj_get(creds);
	strcpy(t->comm, "init");
	t->run = &run_init;
	mutex_lock(&k->tasks_lock);
	r = pid_alloc_locked(k->pidns, 1, &t->tid);
	BUG_ON(r < 0);
	k->pidns->last_pid = 1;
	tg->tgid = 1;
	tg->leader = t;
	s = session_new_locked(k, 1, tg);
	g = pgrp_new_locked(k, 1, s);
	pgrp_join_locked(tg, g);
	obj_put(g);
	obj_put(s);
	TAILQ_INSERT_TAIL(&tg->tasks, t, tg_link);
	tg->n_live = 1;
	pid_add_locked(k->pidns, t);
	k->pidns->init = tg;
	task_bind_ctx(t);
	mutex_unlock(&k->tasks_lock);
	obj_put(tg);
	obj_put(t);
	return 0;
}

int task_create_init(struct kernel *k, const struct task_init *init, struct task **ret)
{
	struct thread_group *tg = thread_group_new(k, init->container);
	struct task *t = task_alloc(k, tg);
	struct thread_group *parent;
	int r;

	tg->sighand = sighand_new(init->ignored);
	tg->exit_signal = SIGCHLD;
	if (init->rlimits)
		memcpy(tg->rlimits, init->rlimits, sizeof(tg->rlimits));
	else
		default_rlimits(tg->rlimits);
	itimers_limit_changed(tg->itimers);
	t->utsns = obj_get(k->utsns);
	t->ctx.creds = obj_get(init->creds);
	t->ctx.mm = obj_get(init->mm);
	mm_use(t->ctx.mm);
	t->ctx.fs = obj_get(init->fs);
	t->ctx.fds = obj_get(init->fds);
	fd_table_use(t->ctx.fds);
	t->regs = init->regs;
	t->blocked = init->blocked & ~SIGSET_UNBLOCKABLE;
	t->nice = MAX(-20, MIN(init->nice, 19));
	task_set_comm(t, init->comm);
	CPU_ZERO(&t->affinity);
	for (unsigned i = 0; i < k->machine->ncpu; i++)
		CPU_SET(i, &t->affinity);

	mutex_lock(&k->tasks_lock);
	r = init->exec_id && !init->container->init ? -ESRCH
	                                            : pid_alloc_locked(k->pidns, 0, &t->tid);
	if (r < 0) {
		mutex_unlock(&k->tasks_lock);
		drop_resources(t);
		obj_put(tg);
		obj_put(t);
		return r;
	}
	tg->tgid = t->tid;
	tg->leader = t;
	tg->has_execed = true;
	tg->exec_id = init->exec_id;
	parent = init->exec_id ? NULL : k->pidns->init;
	tg->parent = parent;
	if (parent) {
		TAILQ_INSERT_TAIL(&parent->children, tg, sibling);
		pgrp_join_locked(tg, parent->pgrp);
	} else {
		struct session *s = session_new_locked(k, t->tid, tg);
		struct pgrp *g = pgrp_new_locked(k, t->tid, s);

		pgrp_join_locked(tg, g);
		obj_put(g);
		obj_put(s);
		if (!init->exec_id)
			k->pidns->init = tg;
	}
	TAILQ_INSERT_TAIL(&tg->tasks, t, tg_link);
	tg->n_live = 1;
	pid_add_locked(k->pidns, t);
	if (!init->exec_id)
		init->container->init = tg;
	task_bind_ctx(t);
	mutex_unlock(&k->tasks_lock);
	obj_put(tg);
	*ret = t;
	return 0;
}

int task_start(struct task *t)
{
	return runtime_start_task(t);
}
