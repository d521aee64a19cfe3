/*
 * The run loop: guest, system call, guest... The fast path (a call that completes, nothing pending)
 * stays inside app_step; every other course returns to the loop, whose top is the only place where
 * a task parks.
 */
#include "sentry/kernel/task_run.h"
#include "sentry/kernel/quiesce.h"
#include "sentry/mm/mm.h"

#include "state/base/later.h"
#include "state/base/log.h"

#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

extern const struct run_state *const __start_run_states[];
extern const struct run_state *const __stop_run_states[];

const struct run_state *run_state_find(const char *name)
{
	for (const struct run_state *const *s = __start_run_states; s < __stop_run_states; s++) {
		if (*s && strcmp((*s)->name, name) == 0)
			return *s;
	}
	return NULL;
}

void task_run_loop(struct task *t)
{
	t->last_tsc = __rdtsc();
	platform_runnable_add(1);
	ctx_bind(&t->ctx);
	while (t->run) {
		later_run();
		lock_assert_none();
		if (!runtime_park(t))
			break;
		__atomic_store_n(&t->run, t->run->step(t), __ATOMIC_RELAXED);
	}
	later_run();
	ctx_bind(NULL);
	platform_runnable_add(-1);
}

void task_before_park(struct task *t)
{
	task_account(t, NULL);
	if (task_pull_fp(t) < 0)
		log_warn("task %u: its FP state can't be read from a dead stub", t->tid);
}

/* ---- FP state ---- */

/* FCW and MXCSR of a fresh process; all else is zero. */
static void clear_fp(struct fpstate *fp)
{
	memset(fp->data, 0, fp->size);
	fp->data[0] = 0x7f;
	fp->data[1] = 0x03;
	fp->data[24] = 0x80;
	fp->data[25] = 0x1f;
}

int task_pull_fp(struct task *t)
{
	if (t->fp_dirty)
		return 0;
	if (!t->fp) {
		t->fp = aligned_alloc(64, sizeof(*t->fp));
		BUG_ON(!t->fp);
		memset(t->fp, 0, sizeof(*t->fp));
		t->fp->size = t->kernel->machine->platform->fpstate_size;
		clear_fp(t->fp);
	}
	if (!t->context) {
		t->fp_dirty = true;
		return 0;
	}
	return context_pull_fpstate(t->context, t->fp);
}

void task_fp_changed(struct task *t)
{
	t->fp_dirty = true;
}

void task_reset_fp(struct task *t)
{
	if (!t->fp)
		return;
	clear_fp(t->fp);
	task_fp_changed(t);
}

/* ---- the guest ---- */

static void deliver_fault(struct task *t, const struct exit_info *e)
{
	struct fault_info fi = {0};
	siginfo_t info;
	int r;

	atomic_fetch_add_explicit(&t->minflt, 1, memory_order_relaxed);
	if (e->bus) {
		/* Mapped already, but the host has nothing there: mapping it again would not help.
		 */
		fi = (struct fault_info){.signo = SIGBUS, .code = BUS_ADRERR};
		r = mm_starved_at(t->ctx.mm, e->addr);
	} else {
		r = mm_fault(t->ctx.mm, &t->ctx, e->addr, e->access, &fi);
	}
	/* With room made, or with other things to do first, the guest just tries again. */
	if (r == 0 || (r == -ENOMEM && oom_make_room(t) != OOM_NONE))
		return;
	t->fault_addr = e->addr;
	t->fault_trapno = 14;
	t->fault_error = 4 | (e->access & ACCESS_WRITE ? 2 : 0) |
	                 (e->access & ACCESS_EXEC ? 16 : 0) | (fi.code == SEGV_ACCERR ? 1 : 0);
	if (r == -EFAULT) {
		info = siginfo_fault(fi.signo, fi.code, e->addr, 14, t->fault_error);
		signal_force(t, &info);
		return;
	}
	log_warn("task %u (%s) is killed: no memory for the page at 0x%llx: %s", t->tid, t->comm,
	         (unsigned long long)e->addr, strerror(-r));
	thread_group_exit(t->tg, SIGKILL);
}

static void deliver_trap(struct task *t, const struct exit_info *e)
{
	siginfo_t info = siginfo_fault(e->signo, e->code, e->addr, e->trapno, e->error_code);

	t->fault_trapno = e->trapno;
	t->fault_error = e->error_code;
	signal_force(t, &info);
}

void task_syscall_done(struct task *t, long ret)
{
	t->regs.rax = (u64)ret;
	t->in_syscall = false;
	memset(&t->ctx.restart, 0, sizeof(t->ctx.restart));
}

static bool restarts(long r)
{
	return r == -ERESTARTSYS || r == -ERESTARTNOINTR || r == -ERESTARTNOHAND ||
	       r == -ERESTARTUNSTOPPED || r == -ERESTART_RESTARTBLOCK;
}

/* Makes the call; where to go next, or NULL: straight back to the guest. */
static const struct run_state *make_call(struct task *t)
{
	const struct run_state *next;
	long r;

	t->run_next = NULL;
	r = syscall_dispatch(t);
	later_run();
	next = t->run_next;
	if (next)
		return next;
	if (unlikely(r < 0) && unlikely(oom_retry_call(t, r)))
		r = -ERESTARTNOINTR;
	t->syscall_ret = r;
	if (unlikely(restarts(r)))
		return &run_interrupt;
	task_syscall_done(t, r);
	if (unlikely(t->has_saved_mask))
		return &run_interrupt;
	return NULL;
}

static void autosave_tick(struct task *t)
{
	struct machine *m = t->kernel->machine;

	if (atomic_fetch_add(&m->syscalls_since_save, 1) + 1 >= m->autosave_every) {
		atomic_store(&m->syscalls_since_save, 0);
		kernel_request_autosave(t->kernel);
	}
}

static const struct run_state *app_step(struct task *t)
{
	struct aspace *as;
	struct exit_info e;
	int r;

	if (unlikely(!t->context)) {
		r = context_create(t->kernel->machine->platform, &t->context);
		if (r < 0) {
			log_err("task %u: no context: %s", t->tid, strerror(-r));
			thread_group_exit(t->tg, SIGKILL);
			return &run_exit;
		}
		ctx_set_vehicle(&t->ctx, t->context);
		if (t->fp)
			t->fp_dirty = true;
	}
	for (;;) {
		if (unlikely(ctx_interrupted(&t->ctx))) {
			if (atomic_load(&t->ctx.interrupt) & ~(u32)INTERRUPT_STOP)
				return &run_interrupt;
			return &run_app;
		}
		r = mm_aspace(t->ctx.mm, &as);
		if (unlikely(t->fp_dirty) && r == 0) {
			r = context_push_fpstate(t->context, t->fp);
			t->fp_dirty = false;
		}
		task_account(t, NULL);
		if (r == 0) {
			r = context_switch(t->context, as, &t->regs, &e);
			task_account(t, as);
		}
		if (unlikely(r < 0)) {
			log_err("task %u (%s): the platform can't run it: %s", t->tid, t->comm,
			        strerror(-r));
			thread_group_exit(t->tg, SIGKILL);
			return &run_exit;
		}
		switch (e.reason) {
		case EXIT_SYSCALL: {
			const struct run_state *next;

			t->sysno = t->regs.orig_rax;
			t->in_syscall = true;
			atomic_fetch_add_explicit(&t->syscalls, 1, memory_order_relaxed);
			next = make_call(t);
			if (unlikely(t->kernel->machine->autosave_every))
				autosave_tick(t);
			if (next)
				return next;
			if (unlikely(kernel_is_paused(t->kernel)))
				return &run_app;
			break;
		}
		case EXIT_FAULT:
			deliver_fault(t, &e);
			break;
		case EXIT_SIGNAL:
			deliver_trap(t, &e);
			break;
		case EXIT_KICK:
			atomic_fetch_add_explicit(&t->nivcsw, 1, memory_order_relaxed);
			break;
		case EXIT_DEAD:
			log_err("task %u (%s): its stub process died", t->tid, t->comm);
			thread_group_exit(t->tg, SIGKILL);
			return &run_exit;
		}
	}
}
RUN_STATE(run_app, app_step);

/* A call that was interrupted without a handler is made again: its restart block holds. */
static const struct run_state *syscall_step(struct task *t)
{
	const struct run_state *next;

	t->ctx.restart.active = true;
	next = make_call(t);
	return next ? next : &run_app;
}
RUN_STATE(run_syscall, syscall_step);

static const struct run_state *exit_step(struct task *t)
{
	return task_exit_step(t);
}
RUN_STATE(run_exit, exit_step);
