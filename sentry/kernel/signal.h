#pragma once
/*
 * Signals (signal(7)): numbers, sets, what is queued, actions, and how one reaches a task.
 *
 * Locking: actions and queues of a thread group under its sighand lock (RANK_SIGHAND). A task's
 * blocked mask is written by the task itself under that lock, so others may read it there.
 * Lifetime: embedded in task and thread_group. Saved: everything.
 */
#include "sentry/mm/uaddr.h"
#include "state/base/types.h"

#include <bsd/sys/cdefs.h>
#include <bsd/sys/tree.h>
#include <signal.h>
#include <sys/queue.h>

struct kernel;
struct task;
struct thread_group;

#define SIGNAL_MAX      64 /* numbers 1..64 */
#define SIGRTMIN_KERNEL 32 /* the first that queues; the C library keeps 32 and 33 */
typedef u64 sigset64_t;    /* bit signo-1 */
#define SIGBIT(signo)      (1ull << ((signo)-1))
#define SIGSET_UNBLOCKABLE (SIGBIT(SIGKILL) | SIGBIT(SIGSTOP))
#define SIGSET_STOP        (SIGBIT(SIGSTOP) | SIGBIT(SIGTSTP) | SIGBIT(SIGTTIN) | SIGBIT(SIGTTOU))
/* Raised by the instruction at hand: can't be blocked or ignored away. */
#define SIGSET_SYNCHRONOUS                                                                      \
	(SIGBIT(SIGSEGV) | SIGBIT(SIGBUS) | SIGBIT(SIGILL) | SIGBIT(SIGTRAP) | SIGBIT(SIGFPE) | \
	 SIGBIT(SIGSYS))

/* siginfo_t as the guest sees it: 128 bytes. The C library's type has the same layout. */
struct ksiginfo {
	siginfo_t info;
};

/* What is queued for a task or a group. Real-time signals queue; others are merged. */
struct queued_signal {
	TAILQ_ENTRY(queued_signal) link;
	RB_ENTRY(queued_signal) by_timer; /* if timer_id is not 0 */
	siginfo_t info;
	u32 uid;      /* whose RLIMIT_SIGPENDING it counts against, unless a timer's does */
	u64 timer_id; /* the POSIX timer that sent it, 0: none; it counts overruns while queued */
};
RB_HEAD(queued_timers, queued_signal);
struct sigqueue {
	sigset64_t pending;
	struct queued_timers timers; /* those of timers, by timer_id */
	TAILQ_HEAD(, queued_signal) list;
	u32 count;
};

/* struct sigaction as the kernel ABI has it. */
struct ksigaction {
	u64 handler; /* SIG_DFL, SIG_IGN or a guest address */
	u64 flags;
	u64 restorer;
	u64 mask;
};

/* A siginfo of si_code SI_KERNEL / SI_USER etc. */
siginfo_t siginfo_kernel(int signo);
siginfo_t siginfo_fault(int signo, int code, u64 addr, u32 trapno, u64 error_code);
siginfo_t siginfo_user(int signo, int code, u32 pid, u32 uid);

void sigqueue_init(struct sigqueue *q);
void sigqueue_clear(struct sigqueue *q, sigset64_t which);
void sigqueue_finish(struct sigqueue *q);
/* Takes over qs, which is malloc'd; pending is the caller's matter. */
void sigqueue_append(struct sigqueue *q, struct queued_signal *qs);
/* A signal of this timer waits to be taken. */
bool sigqueue_has_timer(const struct sigqueue *q, u64 timer_id);

/*
 * Sends to one task or to its whole group. Takes the sighand lock. Honours ignore and merge rules;
 * wakes whoever should take it; SIGKILL and SIGCONT do what they must at once. 0, or -EAGAIN when a
 * real-time signal exceeds RLIMIT_SIGPENDING. Permission is the caller's matter.
 */
int signal_send_task(struct task *t, const siginfo_t *info);
int signal_send_group(struct thread_group *tg, const siginfo_t *info);
/* A POSIX timer's; target NULL: for the group. Queued also beside one that is pending. */
int signal_send_timer(struct thread_group *tg, struct task *target, const siginfo_t *info);
/* To t's group, of which t takes it if it may. */
int signal_send_group_near(struct task *t, const siginfo_t *info);
/* A synchronous signal (fault): if blocked or ignored the default action is forced. */
void signal_force(struct task *t, const siginfo_t *info);
/* The same for callers that hold tasks_lock. */
int signal_send_group_tasks_locked(struct thread_group *tg, const siginfo_t *info);
int signal_send_task_tasks_locked(struct task *t, const siginfo_t *info);
/* kill(2)'s permission check. */
bool signal_may_send(struct task *from, struct task *to, int signo);

/* The task has something to do before it may run guest code; sighand lock held. */
bool signal_pending_locked(const struct task *t);
/* Recomputes INTERRUPT_SIGNAL after the mask or a queue changed; sighand lock held. */
void signal_recalc_locked(struct task *t);
/* Replaces the blocked mask (never SIGKILL, SIGSTOP); wakes others who may now have to take a group
 * signal instead. Takes the lock. */
void signal_set_mask(struct task *t, sigset64_t mask);
/* For calls that swap the mask while they wait (ppoll, sigsuspend): sets the temporary mask; it is
 * put back when the call ends, or, if a handler runs, after the handler. */
void signal_set_temp_mask(struct task *t, sigset64_t mask);

/* Takes the next deliverable signal of set (of all that are not blocked if set is 0) out of the
 * task's or group's queue; synchronous ones first, then the lowest number. False: none. */
bool signal_dequeue(struct task *t, sigset64_t set, siginfo_t *ret);
