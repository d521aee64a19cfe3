#pragma once
/*
 * The run loop of a task's host thread, and what its steps share. Private to sentry/kernel.
 *
 * Locking: owner thread only, unless said otherwise. Lifetime, saved: see task.h.
 */
#include "sentry/kernel/task.h"

/* Runs steps until the task is gone or the kernel is torn down. */
void task_run_loop(struct task *t);
/* Brings into the task what its context holds, so that the task is whole when it is saved. */
void task_before_park(struct task *t);

extern const struct run_state run_stopped; /* group stop */
extern const struct run_state run_vfork;   /* waits until the child execs or exits */
extern const struct run_state run_init;    /* the built-in init: reaps */

/* Makes the system call at hand: t->sysno, arguments from t->regs. */
long syscall_dispatch(struct task *t);
/* A signal was taken, for --strace. */
void strace_signal_taken(struct task *t, const siginfo_t *info);
/* Likewise: the task stops; it is gone, with a wait(2) status. */
void strace_stopped(struct task *t, int signo);
void strace_ended(struct task *t, int status);
/* x86: result into rax; the call at hand is over. */
void task_syscall_done(struct task *t, long ret);
/* signal_deliver.c: one signal into a handler's frame, or its default action. */
void signal_deliver(struct task *t, const siginfo_t *info);
/* rt_sigreturn(2): 0, or -EFAULT for a bad frame (then SIGSEGV is due). */
int sigframe_restore(struct task *t);
/* Builds the frame for a handler. -EFAULT when the stack is bad. */
int sigframe_push(struct task *t, const siginfo_t *info, const struct ksigaction *act,
                  sigset64_t old_mask);
/* cpu_account.c: the CPU time since the last call goes to the task's counters, as the guest's, who
 * was in that aspace, or (NULL) as ours. */
void task_account(struct task *t, struct aspace *guest);
/* Ends vfork's hold on the parent: the child no longer uses its memory. */
void task_vfork_release(struct task *t);
/* Leaves the address space: the C library's exit words, vfork's parent, then the memory. */
void task_release_mm(struct task *t);
/* Everything of exit that can block or takes locks below tasks_lock. See task_exit.c. */
const struct run_state *task_exit_step(struct task *t);
/* One more task for t's user: 0 or -EAGAIN. tasks_lock held. */
MUST_CHECK int task_limit_locked(struct task *t);
/* The same, and whether there may be one more address space; before anything is copied, since a
 * bomb that is at its limit goes on asking. */
MUST_CHECK int task_limit(struct task *t, bool shares_mm);
void default_rlimits(struct rlimit r[RLIM_NLIMITS]);
/* tasks_lock and tg->lock are free. Marks the group as ending and interrupts its members. */
void thread_group_exit(struct thread_group *tg, int status);
/* The same with tg->lock held. */
void thread_group_exit_locked(struct thread_group *tg, int status);
/* SIGCHLD with the right code to tg's parent, and wakes its waiters. tasks_lock held. */
void notify_parent_stop_locked(struct thread_group *tg, int code, int signo);
/* Sets up what a loaded kernel's tasks don't save: lists, back pointers. -EBADMSG with *ret_why
 * static. */
MUST_CHECK int kernel_rewire(struct kernel *k, struct machine *m, const char **ret_why);

/* ---- shared by clone, exit and job control; tasks_lock held ---- */
/* Nobody outside tg's group in its session could continue it: the terminal's stop signals have no
 * effect on it (POSIX). */
bool pgrp_orphaned_locked(struct thread_group *tg);
void task_bind_ctx(struct task *t);
void pgrp_join_locked(struct thread_group *tg, struct pgrp *g);
void pgrp_leave_locked(struct thread_group *tg);
/* A reference for the caller; registered under its number. */
struct pgrp *pgrp_new_locked(struct kernel *k, u32 pgid, struct session *s);
struct session *session_new_locked(struct kernel *k, u32 sid, struct thread_group *leader);
