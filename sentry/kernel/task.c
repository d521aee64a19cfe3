/* Looking tasks up, looking at them, and putting a loaded process tree together again. */
#include "sentry/kernel/utsns.h"
#include "sentry/kernel/task.h"
#include "sentry/auth/creds.h"
#include "sentry/kernel/itimer.h"
#include "sentry/kernel/pidns.h"
#include "sentry/kernel/posix_timer.h"
#include "sentry/kernel/task_run.h"
#include "sentry/loader/vdso.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/fasync.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/fs_context.h"

#include <linux/capability.h>
#include <string.h>

struct task *task_find(struct kernel *k, u32 tid)
{
	GUARD(&k->tasks_lock);
	return obj_get(pid_task_locked(k->pidns, tid));
}

struct thread_group *thread_group_find(struct kernel *k, u32 tgid)
{
	struct task *t;

	GUARD(&k->tasks_lock);
	t = pid_task_locked(k->pidns, tgid);
	return t && t->tg->tgid == tgid ? obj_get(t->tg) : NULL;
}

struct pgrp *pgrp_find_locked(struct kernel *k, u32 pgid)
{
	return pgid < PID_MAX ? k->pidns->slots[pgid].pgrp : NULL;
}

struct thread_group *thread_group_next(struct kernel *k, u32 after)
{
	GUARD(&k->tasks_lock);
	for (u32 i = after + 1; i < PID_MAX; i++) {
		struct task *t = k->pidns->slots[i].task;

		if (t && t->tg->leader == t)
			return obj_get(t->tg);
	}
	return NULL;
}

struct task *task_next(struct thread_group *tg, u32 after)
{
	struct task *t, *best = NULL;

	GUARD(&tg->kernel->tasks_lock);
	TAILQ_FOREACH (t, &tg->tasks, tg_link) {
		if (t->tid > after && (!best || t->tid < best->tid))
			best = t;
	}
	return obj_get(best);
}

u32 kernel_task_count(struct kernel *k)
{
	GUARD(&k->tasks_lock);
	return k->pidns->n_tasks;
}

struct mm *task_get_mm(struct task *t)
{
	GUARD(&t->lock);
	return obj_get(t->ctx.mm);
}

struct fd_table *task_get_fds(struct task *t)
{
	GUARD(&t->lock);
	return obj_get(t->ctx.fds);
}

struct fs_context *task_get_fs(struct task *t)
{
	GUARD(&t->lock);
	return obj_get(t->ctx.fs);
}

struct creds *task_get_creds(struct task *t)
{
	GUARD(&t->lock);
	return obj_get(t->ctx.creds);
}

u32 task_uid(struct task *t)
{
	GUARD(&t->lock);
	return t->ctx.creds ? t->ctx.creds->uid : 0;
}

void task_get_comm(struct task *t, char comm[TASK_COMM_LEN])
{
	GUARD(&t->lock);
	memcpy(comm, t->comm, TASK_COMM_LEN);
}

void task_set_comm(struct task *t, const char *comm)
{
	GUARD(&t->lock);
	memset(t->comm, 0, TASK_COMM_LEN);
	strncpy(t->comm, comm, TASK_COMM_LEN - 1);
}

char task_state_letter(struct task *t)
{
	if (t->exit_state != TASK_ALIVE)
		return t->exit_state == TASK_ZOMBIE ? 'Z' : 'X';
	/* From before the parent is told to when a SIGCONT comes, as on Linux. */
	if (READ_ONCE(t->group_stop_counted))
		return 'T';
	if (task_run_now(t) == &run_vfork)
		return 'D';
	return READ_ONCE(t->ctx.sleeping) ? 'S' : 'R';
}

bool task_may_inspect(struct task *looker, struct task *target)
{
	const struct creds *me = looker->ctx.creds;
	AUTO(creds) c = NULL;
	AUTO(mm) mm = NULL;

	if (looker->tg == target->tg || creds_capable(me, CAP_SYS_PTRACE))
		return true;
	c = task_get_creds(target);
	if (!c || me->fsuid != c->euid || me->fsuid != c->suid || me->fsuid != c->uid ||
	    me->fsgid != c->egid || me->fsgid != c->sgid || me->fsgid != c->gid)
		return false;
	mm = task_get_mm(target);
	if (mm && mm_dumpable(mm) != 1)
		return false;
	return (c->cap_permitted & ~me->cap_permitted) == 0;
}

u32 thread_group_ppid(struct thread_group *tg)
{
	GUARD(&tg->kernel->tasks_lock);
	return tg->parent ? tg->parent->tgid : 0;
}

u32 thread_group_pgid(struct thread_group *tg)
{
	GUARD(&tg->kernel->tasks_lock);
	return tg->pgrp ? tg->pgrp->pgid : 0;
}

u32 thread_group_sid(struct thread_group *tg)
{
	GUARD(&tg->kernel->tasks_lock);
	return tg->pgrp ? tg->pgrp->session->sid : 0;
}

u64 task_rlimit(struct task *t, int resource)
{
	GUARD(&t->tg->lock);
	return t->tg->rlimits[resource].rlim_cur;
}

void task_times(struct task *t, u64 *ret_utime, u64 *ret_stime)
{
	*ret_utime = atomic_load_explicit(&t->utime, memory_order_relaxed);
	*ret_stime = atomic_load_explicit(&t->stime, memory_order_relaxed);
}

void thread_group_times(struct thread_group *tg, u64 *ret_utime, u64 *ret_stime)
{
	GUARD(&tg->kernel->tasks_lock);
	thread_group_times_locked(tg, ret_utime, ret_stime);
}

void thread_group_times_locked(struct thread_group *tg, u64 *ret_utime, u64 *ret_stime)
{
	u64 u, s;
	struct task *t;

	*ret_utime = tg->dead_utime;
	*ret_stime = tg->dead_stime;
	TAILQ_FOREACH (t, &tg->tasks, tg_link) {
		/* A zombie's time is in dead_* already. */
		if (t->exit_state != TASK_ALIVE)
			continue;
		task_times(t, &u, &s);
		*ret_utime += u;
		*ret_stime += s;
	}
}

void io_counts_add(struct io_counts *sum, const struct io_counts *more)
{
	sum->rchar += READ_ONCE(more->rchar);
	sum->wchar += READ_ONCE(more->wchar);
	sum->syscr += READ_ONCE(more->syscr);
	sum->syscw += READ_ONCE(more->syscw);
}

void task_io(struct task *t, bool whole, struct io_counts *ret)
{
	struct io_counts sum = {0};
	struct task *o;

	if (!whole) {
		io_counts_add(&sum, &t->io);
		*ret = sum;
		return;
	}
	GUARD(&t->kernel->tasks_lock);
	sum = t->tg->dead_io;
	TAILQ_FOREACH (o, &t->tg->tasks, tg_link) {
		if (o->exit_state == TASK_ALIVE)
			io_counts_add(&sum, &o->io);
	}
	*ret = sum;
}

/* ---- after a load ---- */

/* Every pointer below came from an image: nothing is taken on trust that a list could be corrupted
 * by. */
static const char *rewire_task(struct kernel *k, struct task *t)
{
	struct thread_group *tg = t->tg;

	t->kernel = k;
	if (tg->kernel && tg->kernel != k)
		return "a thread group belongs to another kernel";
	tg->kernel = k;
	if (t->exit_state == TASK_DEAD)
		return "a dead task is in the pid table";
	if (t->exit_state == TASK_ALIVE && t->run != &run_init &&
	    (!t->ctx.mm || !t->ctx.fs || !t->ctx.fds) && t->run != &run_exit)
		return "a live task lacks memory or files";
	if (t->exit_state == TASK_ALIVE)
		WRITE_ONCE(tg->n_live, tg->n_live + 1);
	if (t->group_stop_counted)
		tg->n_stopped++;
	TAILQ_INSERT_TAIL(&tg->tasks, t, tg_link);
	if (t->exit_state == TASK_ALIVE && t->ctx.mm)
		mm_use(t->ctx.mm);
	if (t->exit_state == TASK_ALIVE && t->ctx.fds)
		fd_table_use(t->ctx.fds);
	task_bind_ctx(t);
	return NULL;
}

static const char *rewire_group(struct kernel *k, struct thread_group *tg)
{
	struct pid_slot *slots = k->pidns->slots;
	struct session *s = tg->pgrp->session;
	struct thread_group *p;
	unsigned depth = 0;

	if (!tg->leader || tg->leader->tg != tg || tg->leader->tid != tg->tgid)
		return "a thread group has no leader under its number";
	if (tg->pgrp->pgid == 0 || tg->pgrp->pgid >= PID_MAX || s->sid == 0 || s->sid >= PID_MAX)
		return "a process group or session has no valid number";
	if (slots[tg->pgrp->pgid].pgrp && slots[tg->pgrp->pgid].pgrp != tg->pgrp)
		return "two process groups have one number";
	if (slots[s->sid].session && slots[s->sid].session != s)
		return "two sessions have one number";
	slots[tg->pgrp->pgid].pgrp = tg->pgrp;
	slots[s->sid].session = s;
	TAILQ_INSERT_TAIL(&tg->pgrp->members, tg, pgrp_link);
	for (p = tg->parent; p; p = p->parent) {
		if (++depth > PID_MAX)
			return "the process tree has a cycle";
	}
	p = tg->parent;
	if (p) {
		if (p->tgid >= PID_MAX || !slots[p->tgid].task || slots[p->tgid].task->tg != p)
			return "a parent is not in the pid table";
		TAILQ_INSERT_TAIL(&p->children, tg, sibling);
	}
	tg->zombie = tg->n_live == 0;
	itimers_attach(tg->itimers, tg);
	posix_timers_attach(tg->timers, tg);
	return NULL;
}

struct utsns *task_get_utsns(struct task *t)
{
	GUARD(&t->lock);
	return utsns_get(t->utsns);
}

void task_set_utsns(struct task *t, struct utsns *u)
{
	struct utsns *old = t->utsns;

	mutex_lock(&t->lock);
	t->utsns = u;
	mutex_unlock(&t->lock);
	obj_put(old);
}

void task_set_creds(struct task *t, struct creds *new)
{
	struct creds *old = t->ctx.creds;

	/* Linux: who changes what others may do to it becomes undumpable. */
	if (new->euid != old->euid || new->egid != old->egid || new->fsuid != old->fsuid ||
	    new->fsgid != old->fsgid || new->cap_permitted & ~old->cap_permitted) {
		mm_set_dumpable(t->ctx.mm, 0);
		mutex_lock(&t->tg->lock);
		t->tg->pdeath_signal = 0;
		mutex_unlock(&t->tg->lock);
	}
	mutex_lock(&t->lock);
	t->ctx.creds = new;
	mutex_unlock(&t->lock);
	obj_put(old);
}

/* What was pending when the save was made is pending still: the flags that say so are not saved. */
static void rewire_interrupts(struct task *t)
{
	struct thread_group *tg = t->tg;

	if (t->exit_state != TASK_ALIVE)
		return;
	GUARD(&tg->lock);
	signal_recalc_locked(t);
	if (tg->exiting || (tg->execing && tg->execing != t))
		ctx_interrupt(&t->ctx, INTERRUPT_KILL);
}

int kernel_rewire(struct kernel *k, struct machine *m, const char **ret_why)
{
	const char *why = NULL;

	k->machine = m;
	k->generation++;
	vdso_attach(k);
	if (!k->pidns || !k->utsns) {
		*ret_why = "the kernel lacks its namespaces";
		return -EBADMSG;
	}
	for (u32 i = 1; i < PID_MAX && !why; i++) {
		if (k->pidns->slots[i].task)
			why = rewire_task(k, k->pidns->slots[i].task);
	}
	for (u32 i = 1; i < PID_MAX && !why; i++) {
		struct task *t = k->pidns->slots[i].task;

		if (!t)
			continue;
		if (!t->tg->itimers || !t->tg->timers)
			why = "a thread group lacks its timers";
		else if (t->tg->leader == t)
			why = rewire_group(k, t->tg);
		else if (!t->tg->leader)
			why = "a thread group lacks its leader";
		if (!why && t->vfork_child && t->vfork_child->vfork_parent != t)
			t->vfork_child = NULL;
	}
	if (why) {
		*ret_why = why;
		return -EBADMSG;
	}
	fasync_attach_loaded(k);
	for (u32 i = 1; i < PID_MAX; i++) {
		if (k->pidns->slots[i].task)
			rewire_interrupts(k->pidns->slots[i].task);
	}
	return 0;
}
