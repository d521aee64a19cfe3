/* Field tables of tasks, thread groups, process groups and sessions. */
#include "sentry/auth/creds.h"
#include "sentry/kernel/pidns.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/sighand.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/terminal.h"
#include "sentry/kernel/utsns.h"
#include "sentry/kernel/itimer.h"
#include "sentry/kernel/posix_timer.h"
#include "sentry/mm/mempolicy.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/fs_context.h"

#include "proto/task.pb-c.h"
#include "state/fields.h"

/* ---- plain structs ---- */

/* clang-format off */
#define REGS_FIELDS(F) \
	F(VAL, r15) F(VAL, r14) F(VAL, r13) F(VAL, r12) F(VAL, rbp) F(VAL, rbx) F(VAL, r11) \
	F(VAL, r10) F(VAL, r9) F(VAL, r8) F(VAL, rax) F(VAL, rcx) F(VAL, rdx) F(VAL, rsi) \
	F(VAL, rdi) F(VAL, orig_rax) F(VAL, rip) F(VAL, rflags) F(VAL, rsp) F(VAL, fs_base) F(VAL, gs_base)
/* clang-format on */
STRUCT_FIELDS(regs, Sentry__Regs, sentry__regs__descriptor, REGS_FIELDS);

#define IO_COUNTS_FIELDS(F) F(VAL, rchar) F(VAL, wchar) F(VAL, syscr) F(VAL, syscw)
STRUCT_FIELDS(io_counts, Sentry__IoCounts, sentry__io_counts__descriptor, IO_COUNTS_FIELDS);

#define DEADLINE_FIELDS(F) F(VAL, clock) F(VAL, ns)
STRUCT_FIELDS(deadline, Sentry__Deadline, sentry__deadline__descriptor, DEADLINE_FIELDS);

#define RESTART_FIELDS(F) \
	F(VAL, active) F(VAL, has_deadline) F(SUB, deadline, deadline) F(VAL, done) F(VAL, result)
STRUCT_FIELDS(restart, Sentry__Restart, sentry__restart__descriptor, RESTART_FIELDS);

static int sigqueue_save(struct saver *s, const struct sigqueue *q, Sentry__Sigqueue **ret)
{
	Sentry__Sigqueue *m = saver_msg(s, Sentry__Sigqueue, sentry__sigqueue__init);
	struct queued_signal *qs;

	m->pending = q->pending;
	m->list = saver_alloc(s, q->count * sizeof(*m->list));
	TAILQ_FOREACH (qs, &q->list, link) {
		Sentry__QueuedSignal *e =
			saver_msg(s, Sentry__QueuedSignal, sentry__queued_signal__init);

		e->info.data = (u8 *)&qs->info;
		e->info.len = sizeof(qs->info);
		e->timer_id = qs->timer_id;
		e->uid = qs->uid;
		m->list[m->n_list++] = e;
	}
	*ret = m;
	return 0;
}

static int sigqueue_load(struct loader *l, struct sigqueue *q, const Sentry__Sigqueue *m)
{
	if (!m)
		return loader_missing(l, "signal queue");
	for (size_t i = 0; i < m->n_list; i++) {
		const Sentry__QueuedSignal *e = m->list[i];
		struct queued_signal *qs;

		if (e->info.len != sizeof(siginfo_t))
			return loader_range(l, "info");
		qs = calloc(1, sizeof(*qs));
		BUG_ON(!qs);
		memcpy(&qs->info, e->info.data, sizeof(qs->info));
		qs->timer_id = e->timer_id;
		qs->uid = e->uid;
		if (qs->info.si_signo < 1 || qs->info.si_signo > SIGNAL_MAX) {
			free(qs);
			return loader_range(l, "si_signo");
		}
		sigqueue_append(q, qs);
	}
	q->pending = m->pending;
	return 0;
}

static void sigqueue_sample(struct sampler *sp, struct sigqueue *q)
{
	struct queued_signal *qs = calloc(1, sizeof(*qs));

	BUG_ON(!qs);
	qs->info.si_signo = SIGUSR1;
	qs->timer_id = sampler_value(sp);
	qs->uid = 1000;
	sigqueue_append(q, qs);
	q->pending = SIGBIT(SIGUSR1);
}

/* ---- session, process group ---- */

static void session_destroy(void *p)
{
	struct session *s = p;

	obj_put(s->tty);
}

static int session_after_load(struct loader *l, void *p)
{
	struct session *s = p;

	/* Each points at the other, or neither does. */
	if (s->tty && s->tty->session != s)
		return loader_error(l, "a session's terminal belongs to another one");
	return 0;
}

static void session_sample(struct sampler *sp, void *p)
{
	struct session *s = p;

	s->tty->session = s;
}

#define SESSION_FIELDS(F) \
	F(HDR, obj) F(VAL, sid) F(WEAK, leader, thread_group) F(REF, tty, terminal)
OBJECT_TYPE(session, Sentry__Session, sentry__session__descriptor, SESSION_FIELDS,
            .destroy = session_destroy, .after_load = session_after_load, .sample = session_sample);

static void pgrp_init(void *p)
{
	struct pgrp *g = p;

	TAILQ_INIT(&g->members);
}

static void pgrp_destroy(void *p)
{
	struct pgrp *g = p;

	obj_put(g->session);
}

#define PGRP_FIELDS(F) \
	F(HDR, obj)    \
	F(VAL, pgid) F(REF, session, session) F(SKIP, members) /* from the members' pgrp */
OBJECT_TYPE(pgrp, Sentry__Pgrp, sentry__pgrp__descriptor, PGRP_FIELDS, .init = pgrp_init,
            .destroy = pgrp_destroy);

/* ---- thread group ---- */

static void thread_group_init(void *p)
{
	struct thread_group *tg = p;

	TAILQ_INIT(&tg->tasks);
	TAILQ_INIT(&tg->children);
	mutex_init(&tg->lock, RANK_SIGHAND);
	sigqueue_init(&tg->shared);
	waitq_init(&tg->child_wait);
	waitq_init(&tg->stop_wait);
	waitq_init(&tg->pidfd_wait);
	waitq_init(&tg->exec_wait);
}

static void thread_group_destroy(void *p)
{
	struct thread_group *tg = p;

	obj_put(tg->pgrp);
	obj_put(tg->sighand);
	obj_put(tg->itimers);
	obj_put(tg->timers);
	sigqueue_finish(&tg->shared);
}

static int thread_group_save_shared(struct saver *s, const struct thread_group *tg,
                                    Sentry__ThreadGroup *m)
{
	return sigqueue_save(s, &tg->shared, &m->shared);
}

static int thread_group_load_shared(struct loader *l, struct thread_group *tg,
                                    const Sentry__ThreadGroup *m)
{
	return sigqueue_load(l, &tg->shared, m->shared);
}

static void thread_group_sample_shared(struct sampler *sp, struct thread_group *tg)
{
	sigqueue_sample(sp, &tg->shared);
}

static int thread_group_save_rlimits(struct saver *s, const struct thread_group *tg,
                                     Sentry__ThreadGroup *m)
{
	m->rlimits = saver_alloc(s, RLIM_NLIMITS * sizeof(*m->rlimits));
	for (unsigned i = 0; i < RLIM_NLIMITS; i++) {
		m->rlimits[i] = saver_msg(s, Sentry__Rlimit, sentry__rlimit__init);
		m->rlimits[i]->cur = tg->rlimits[i].rlim_cur;
		m->rlimits[i]->max = tg->rlimits[i].rlim_max;
	}
	m->n_rlimits = RLIM_NLIMITS;
	return 0;
}

static int thread_group_load_rlimits(struct loader *l, struct thread_group *tg,
                                     const Sentry__ThreadGroup *m)
{
	if (m->n_rlimits != RLIM_NLIMITS)
		return loader_range(l, "rlimits");
	for (unsigned i = 0; i < RLIM_NLIMITS; i++) {
		tg->rlimits[i].rlim_cur = m->rlimits[i]->cur;
		tg->rlimits[i].rlim_max = m->rlimits[i]->max;
	}
	return 0;
}

static void thread_group_sample_rlimits(struct sampler *sp, struct thread_group *tg)
{
	for (unsigned i = 0; i < RLIM_NLIMITS; i++)
		tg->rlimits[i] = (struct rlimit){sampler_value(sp), sampler_value(sp)};
}

static void thread_group_sample(struct sampler *sp, void *p)
{
	struct thread_group *tg = p;

	tg->stop = STOP_STOPPED;
	tg->exit_signal = SIGCHLD;
}

static int thread_group_after_load(struct loader *l, void *p)
{
	struct thread_group *tg = p;

	if (tg->tgid == 0 || tg->tgid >= PID_MAX)
		return loader_range(l, "tgid");
	if (tg->stop > STOP_STOPPED)
		return loader_range(l, "stop");
	if (!tg->pgrp || !tg->pgrp->session || !tg->sighand)
		return loader_missing(l, "pgrp, session or sighand");
	if (tg->exit_signal < 0 || tg->exit_signal > SIGNAL_MAX)
		return loader_range(l, "exit_signal");
	return 0;
}

#define THREAD_GROUP_FIELDS(F)                                         \
	F(HDR, obj)                                                    \
	F(WEAK, kernel, kernel)                                        \
	F(WEAK, container, container)                                  \
	F(VAL, tgid)                                                   \
	F(WEAK, leader, task)                                          \
	F(SKIP, tasks)     /* from the tasks' tg, by tid */            \
	F(SKIP, n_live)    /* counted again */                         \
	F(SKIP, n_exiting) /* an exit runs to its end */               \
	F(SKIP, zombie)    /* n_live == 0 */                           \
	F(SKIP, dead_link)                                             \
	F(WEAK, parent, thread_group)                                  \
	F(SKIP, children) /* from the children's parent, by tgid */    \
	F(SKIP, sibling)                                               \
	F(REF, pgrp, pgrp)                                             \
	F(SKIP, pgrp_link)                                             \
	F(VAL, child_subreaper)                                        \
	F(VAL, has_execed)                                             \
	F(VAL, exit_signal)                                            \
	F(VAL, pdeath_signal)                                          \
	F(SKIP, lock)                                                  \
	F(REF, sighand, sighand)                                       \
	F(CUSTOM, shared, thread_group)                                \
	F(VAL, exiting)                                                \
	F(VAL, exit_status)                                            \
	F(WEAK, execing, task)                                         \
	F(VAL, stop)                                                   \
	F(VAL, stop_signo)                                             \
	F(SKIP, n_stopped) /* counted again from group_stop_counted */ \
	F(VAL, stop_reported)                                          \
	F(VAL, continued)                                              \
	F(SKIP, child_wait) /* nobody waits while parked */            \
	F(SKIP, stop_wait)                                             \
	F(SKIP, pidfd_wait)                                            \
	F(SKIP, exec_wait)                                             \
	F(CUSTOM_ARRAY, rlimits, thread_group)                         \
	F(REF, itimers, itimers)                                       \
	F(REF, timers, posix_timers)                                   \
	F(VAL, dead_utime)                                             \
	F(VAL, dead_stime)                                             \
	F(VAL, child_utime)                                            \
	F(VAL, child_stime)                                            \
	F(VAL, dead_minflt)                                            \
	F(VAL, child_minflt)                                           \
	F(VAL, dead_nvcsw)                                             \
	F(VAL, child_nvcsw)                                            \
	F(SUB, dead_io, io_counts)                                     \
	F(VAL, maxrss)                                                 \
	F(VAL, child_maxrss)                                           \
	F(VAL, start_time)                                             \
	F(VAL, oom_score_adj)                                          \
	F(VAL, dump_filter)                                            \
	F(VAL, no_tty)                                                 \
	F(VAL, exec_id)
OBJECT_TYPE(thread_group, Sentry__ThreadGroup, sentry__thread_group__descriptor,
            THREAD_GROUP_FIELDS, .init = thread_group_init, .destroy = thread_group_destroy,
            .sample = thread_group_sample, .after_load = thread_group_after_load);

/* ---- task ---- */

static void task_init_runtime(void *p)
{
	struct task *t = p;

	mutex_init(&t->lock, RANK_TASK);
	sigqueue_init(&t->pending);
	waitq_init(&t->signal_wait);
	waitq_init(&t->vfork_done);
}

static void task_destroy(void *p)
{
	struct task *t = p;

	obj_put(t->ctx.mm);
	obj_put(t->ctx.creds);
	obj_put(t->ctx.fs);
	obj_put(t->ctx.fds);
	obj_put(t->utsns);
	obj_put(t->vfork_parent);
	obj_put(t->seccomp);
	obj_put(t->tg);
	sigqueue_finish(&t->pending);
	free(t->fp);
}

static int task_save_ctx(struct saver *s, const struct task *t, Sentry__Task *m)
{
	m->ctx = saver_msg(s, Sentry__TaskContext, sentry__task_context__init);
	m->ctx->mm = saver_ref(s, t->ctx.mm);
	m->ctx->creds = saver_ref(s, t->ctx.creds);
	m->ctx->fs = saver_ref(s, t->ctx.fs);
	m->ctx->fds = saver_ref(s, t->ctx.fds);
	m->ctx->restart = saver_msg(s, Sentry__Restart, sentry__restart__init);
	return restart_save_sub(s, &t->ctx.restart, m->ctx->restart);
}

static int task_load_ctx(struct loader *l, struct task *t, const Sentry__Task *m)
{
	int r;

	if (!m->ctx || !m->ctx->restart)
		return loader_missing(l, "ctx");
	r = loader_ref(l, m->ctx->mm, &mm_type, &t->ctx.mm);
	if (r == 0)
		r = loader_ref(l, m->ctx->creds, &creds_type, &t->ctx.creds);
	if (r == 0)
		r = loader_ref(l, m->ctx->fs, &fs_context_type, &t->ctx.fs);
	if (r == 0)
		r = loader_ref(l, m->ctx->fds, &fd_table_type, &t->ctx.fds);
	if (r == 0)
		r = restart_load_sub(l, &t->ctx.restart, m->ctx->restart);
	return r;
}

static void task_sample_ctx(struct sampler *sp, struct task *t)
{
	t->ctx.mm = sampler_ref(sp, &mm_type);
	t->ctx.creds = sampler_ref(sp, &creds_type);
	t->ctx.fs = sampler_ref(sp, &fs_context_type);
	t->ctx.fds = sampler_ref(sp, &fd_table_type);
	restart_sample_sub(sp, &t->ctx.restart);
}

static int task_save_fp(struct saver *s, const struct task *t, Sentry__Task *m)
{
	if (t->fp) {
		m->fp.data = t->fp->data;
		m->fp.len = t->fp->size;
	}
	return 0;
}

static int task_load_fp(struct loader *l, struct task *t, const Sentry__Task *m)
{
	if (m->fp.len == 0)
		return 0;
	if (m->fp.len > FPSTATE_MAX || m->fp.len < 576)
		return loader_range(l, "fp");
	t->fp = aligned_alloc(64, sizeof(*t->fp));
	BUG_ON(!t->fp);
	memset(t->fp, 0, sizeof(*t->fp));
	t->fp->size = (u32)m->fp.len;
	memcpy(t->fp->data, m->fp.data, m->fp.len);
	t->fp_dirty = true;
	return 0;
}

static void task_sample_fp(struct sampler *sp, struct task *t)
{
	t->fp = aligned_alloc(64, sizeof(*t->fp));
	BUG_ON(!t->fp);
	memset(t->fp, 1, sizeof(*t->fp));
	t->fp->size = 832;
}

static int task_save_run(struct saver *s, const struct task *t, Sentry__Task *m)
{
	m->run = t->run ? (char *)(uintptr_t)t->run->name : (char *)(uintptr_t) "";
	return 0;
}

static int task_load_run(struct loader *l, struct task *t, const Sentry__Task *m)
{
	if (!m->run[0])
		return 0;
	t->run = run_state_find(m->run);
	return t->run ? 0 : loader_error(l, "run state \"%s\" is unknown", m->run);
}

static void task_sample_run(struct sampler *sp, struct task *t)
{
	t->run = &run_app;
}

static int task_save_pending(struct saver *s, const struct task *t, Sentry__Task *m)
{
	return sigqueue_save(s, &t->pending, &m->pending);
}

static int task_load_pending(struct loader *l, struct task *t, const Sentry__Task *m)
{
	return sigqueue_load(l, &t->pending, m->pending);
}

static void task_sample_pending(struct sampler *sp, struct task *t)
{
	sigqueue_sample(sp, &t->pending);
}

static bool sched_valid(const struct task *t)
{
	switch (t->sched_policy) {
	case SCHED_OTHER:
	case SCHED_FIFO:
	case SCHED_RR:
	case SCHED_BATCH:
	case SCHED_IDLE:
	case SCHED_DEADLINE:
		break;
	default:
		return false;
	}
	return t->sched_priority >= 0 && t->sched_priority <= 99 && t->nice >= -20 &&
	       t->nice <= 19 && t->dl_runtime <= t->dl_deadline && t->dl_deadline <= t->dl_period;
}

static void task_sample(struct sampler *sp, void *p)
{
	struct task *t = p;

	t->sched_policy = SCHED_RR;
	t->sched_priority = 7;
	t->nice = -5;
	t->dl_runtime = t->dl_deadline = t->dl_period = 1 << 20;
	t->mempolicy = 1;

	t->exit_state = TASK_ZOMBIE;
	t->seccomp_mode = SECCOMP_MODE_FILTER;
	t->blocked = t->saved_mask = 3;
	t->comm[TASK_COMM_LEN - 1] = 0;
}

static int task_after_load(struct loader *l, void *p)
{
	struct task *t = p;

	if (t->exit_state > TASK_DEAD)
		return loader_range(l, "exit_state");
	if (!t->tg || !t->ctx.creds || !t->utsns)
		return loader_missing(l, "tg, creds or utsns");
	if (t->seccomp_mode > SECCOMP_MODE_FILTER ||
	    (t->seccomp_mode == SECCOMP_MODE_FILTER) != (t->seccomp != NULL))
		return loader_range(l, "seccomp_mode");
	if (t->exit_state == TASK_ALIVE && !t->run)
		return loader_missing(l, "run");
	if (!sched_valid(t))
		return loader_range(l, "sched_policy");
	if (!mempolicy_valid(t->mempolicy))
		return loader_range(l, "mempolicy");
	t->blocked &= ~SIGSET_UNBLOCKABLE;
	t->saved_mask &= ~SIGSET_UNBLOCKABLE;
	t->comm[TASK_COMM_LEN - 1] = 0;
	return 0;
}

#define TASK_FIELDS(F)                                              \
	F(HDR, obj)                                                 \
	F(CUSTOM, ctx, task)                                        \
	F(WEAK, kernel, kernel)                                     \
	F(REF, utsns, utsns)                                        \
	F(REF, tg, thread_group)                                    \
	F(SKIP, tg_link) /* by tid */                               \
	F(VAL, tid)                                                 \
	F(VAL, exit_state)                                          \
	F(VAL, exit_status)                                         \
	F(SKIP, lock)                                               \
	F(SUB, regs, regs)                                          \
	F(CUSTOM, fp, task)                                         \
	F(SKIP, fp_dirty) /* true after load: no context has it */  \
	F(CUSTOM, run, task)                                        \
	F(SKIP, run_next) /* used up within a step */               \
	F(VAL, syscall_ret)                                         \
	F(VAL, sysno)                                               \
	F(VAL, in_syscall)                                          \
	F(VAL, blocked)                                             \
	F(VAL, saved_mask)                                          \
	F(VAL, has_saved_mask)                                      \
	F(CUSTOM, pending, task)                                    \
	F(SKIP, signal_wait)                                        \
	F(VAL, altstack_sp)                                         \
	F(VAL, altstack_size)                                       \
	F(VAL, altstack_flags)                                      \
	F(VAL, group_stop_counted)                                  \
	F(VAL, fault_addr)                                          \
	F(VAL, fault_error)                                         \
	F(VAL, fault_trapno)                                        \
	F(VAL, set_child_tid)                                       \
	F(VAL, clear_child_tid)                                     \
	F(VAL, robust_list)                                         \
	F(SKIP, gave_up_pi)   /* nobody is saved between the two */ \
	F(SKIP, pi_waits_for) /* nobody waits while parked */       \
	F(VAL, rseq_addr)                                           \
	F(VAL, rseq_len)                                            \
	F(VAL, rseq_sig)                                            \
	F(VAL, rseq_cpu)                                            \
	F(BYTES, comm)                                              \
	F(REF, vfork_parent, task)                                  \
	F(WEAK, vfork_child, task)                                  \
	F(SKIP, vfork_done)                                         \
	F(VAL, personality)                                         \
	F(VAL, login_uid)                                           \
	F(VAL, login_session)                                       \
	F(VAL, tsc_mode)                                            \
	F(VAL, timer_slack)                                         \
	F(VAL, timer_slack_default)                                 \
	F(VAL, keep_caps)                                           \
	F(BYTES, affinity)                                          \
	F(VAL, nice)                                                \
	F(VAL, sched_policy)                                        \
	F(VAL, sched_priority)                                      \
	F(VAL, sched_reset)                                         \
	F(VAL, dl_runtime)                                          \
	F(VAL, dl_deadline)                                         \
	F(VAL, dl_period)                                           \
	F(VAL, dl_flags)                                            \
	F(VAL, ioprio)                                              \
	F(VAL, mempolicy)                                           \
	F(VAL, start_time)                                          \
	F(VAL, seccomp_mode)                                        \
	F(REF, seccomp, seccomp_filter)                             \
	F(ATOMIC, utime)                                            \
	F(ATOMIC, stime)                                            \
	F(ATOMIC, minflt)                                           \
	F(ATOMIC, majflt)                                           \
	F(ATOMIC, nvcsw)                                            \
	F(ATOMIC, nivcsw)                                           \
	F(ATOMIC, syscalls)                                         \
	F(SUB, io, io_counts)                                       \
	F(SKIP, last_tsc) /* host time */                           \
	F(SKIP, recent_utime)                                       \
	F(SKIP, recent_stime)                                       \
	F(SKIP, thread_cpu)                                         \
	F(SKIP, context) /* platform */                             \
	F(SKIP, thread)  /* host thread */                          \
	F(SKIP, has_thread)                                         \
	F(SKIP, run_flags)                                          \
	F(SKIP, waiting_on)
OBJECT_TYPE(task, Sentry__Task, sentry__task__descriptor, TASK_FIELDS, .init = task_init_runtime,
            .destroy = task_destroy, .sample = task_sample, .after_load = task_after_load);
