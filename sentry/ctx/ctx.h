#pragma once
/*
 * The caller as the layers below the kernel see it: whose memory, whose rights, whose limits, and
 * how to sleep. Embedded in struct task (task->ctx), so that arrows point down.
 *
 * Locking: mm, creds and fs are replaced only by their own task (exec, setuid, unshare) and read by
 * it without a lock; others take task->lock. interrupt and wake are atomic.
 * Lifetime: the task's. Saved: through the task (restart block); the rest is SKIP.
 */
#include "sentry/ctx/errno.h"
#include "sentry/ctx/waitq.h"
#include "sentry/time/clock.h"
#include "state/base/types.h"

#include <sys/resource.h>

struct context;
struct creds;
struct fd_table;
struct file;
struct fs_context;
struct kernel;
struct mm;

/* Reasons to leave a sleep or the guest; a set bit stays until the task's run loop has seen to it.
 */
enum interrupt {
	INTERRUPT_SIGNAL = 1, /* a signal may be deliverable, or a group stop/exit is due */
	INTERRUPT_STOP = 2,   /* the kernel wants everybody parked (checkpoint, pause) */
	INTERRUPT_KILL = 4,   /* SIGKILL or exit_group: also ends waits that signals don't */
};

/* What a call must remember when it is interrupted and called again without a handler having run.
 * Zeroed when a call starts fresh; kept across a save. */
struct restart {
	bool active; /* this entry is a repetition: the fields below hold */
	bool has_deadline;
	struct deadline deadline;
	u64 done;   /* bytes or items that an earlier entry already moved */
	u64 result; /* what the call returns if a handler runs before it is made again; 0: as usual
	             */
};

struct ctx {
	struct mm *mm; /* NULL in a zombie */
	struct creds *creds;
	struct fs_context *fs;
	struct fd_table *fds;
	struct kernel *kernel; /* immutable */
	struct clocks *clocks; /* immutable: the kernel's */
	/* The platform context to kick; NULL before the first switch. Set by ctx_set_vehicle. */
	_Atomic(struct context *) vehicle;
	_Atomic u32 kickers; /* threads that are about to kick vehicle */
	/* Soft limits are read through it; the thread group's array, guarded by its lock. */
	const struct rlimit *rlimits;
	u32 tid, tgid; /* as the task's own pid namespace sees them; immutable */
	struct restart restart;
	_Atomic u32 interrupt; /* enum interrupt */
	bool sleeping;         /* in ctx_sleep: for ps; written by the owner */
	u32 deaf_to;           /* bits that don't end a sleep now (vfork, stopped); owner only */
	u64 slept_ns;          /* time in ctx_sleep, for CPU accounting; owner only */
	u64 sleeps;            /* times in ctx_sleep, likewise */
	_Atomic u32 wake;      /* futex word: 1 = a wake came since the last look */
};

/* Something that the caller is not deaf to wants it back in its run loop. */
static inline bool ctx_interrupted(struct ctx *c)
{
	return (atomic_load_explicit(&c->interrupt, memory_order_acquire) & ~c->deaf_to) != 0;
}
static inline bool ctx_killed(struct ctx *c)
{
	return (atomic_load_explicit(&c->interrupt, memory_order_acquire) & INTERRUPT_KILL) != 0;
}

/* The calling host thread's, NULL if it runs no task. Its task binds it when its thread starts. */
struct ctx *ctx_current(void);
void ctx_bind(struct ctx *c);

/* The context that an interrupt kicks from now on; NULL: none. When it returns nobody uses the old
 * one, which may then be released. The owner, between two switches. */
void ctx_set_vehicle(struct ctx *c, struct context *vehicle);
/* Sets the bits and gets the task out of a sleep or out of the guest. Any thread. */
void ctx_interrupt(struct ctx *c, u32 bits);
/* Ends a sleep without a reason: the sleeper looks at its condition again. Any thread. */
void ctx_wake(struct ctx *c);

/* The waiter that wakes a ctx, for calls that wait on several queues. */
struct ctx_waiter {
	struct waiter w;
	struct ctx *c;
};
void ctx_waiter_init(struct ctx_waiter *cw, struct ctx *c);

/*
 * One sleep until ctx_wake, an interrupt or the deadline. Protocol, which loses no wake-up:
 *     ctx_prepare(c); <register waiters>; if (<condition>) done; r = ctx_sleep(c, d); look again
 * Holds no lock. 0 (look again), -ETIMEDOUT, or -ERESTARTSYS if interrupted.
 */
void ctx_prepare(struct ctx *c);
MUST_CHECK int ctx_sleep(struct ctx *c, struct deadline d);

/*
 * The usual wait: registers on q, tests ready(arg), sleeps, until ready says true (0), the deadline
 * passes (-ETIMEDOUT) or the caller is interrupted (-ERESTARTSYS; a call that must remember its
 * deadline returns -ERESTART_RESTARTBLOCK instead). ready takes the locks it needs itself.
 */
MUST_CHECK int ctx_block(struct ctx *c, struct waitq *q, bool (*ready)(void *arg), void *arg,
                         struct deadline d);

/*
 * The deadline of a call that was given a relative timeout: from now at its first entry, the
 * remembered one when it is called again after an invisible interruption. rel_ns < 0: never.
 */
struct deadline ctx_deadline(struct ctx *c, s64 rel_ns);
/* Remembers an absolute one likewise. */
struct deadline ctx_deadline_abs(struct ctx *c, struct deadline d);
/* Bytes that earlier entries of this same call moved; 0 at a first entry. */
static inline u64 ctx_done(const struct ctx *c)
{
	return c->restart.active ? c->restart.done : 0;
}
/*
 * How a transfer of done bytes (all entries together) that was interrupted ends: if nothing but a
 * kick interrupts, done is remembered and -ERESTARTSYS returned, so that a checkpoint shortens no
 * write; with a signal pending a partial transfer returns done, an empty one -ERESTARTSYS.
 */
long ctx_partial(struct ctx *c, u64 done);
/* The same where what the call returns for that much (result > 0) is another number. */
long ctx_partial_as(struct ctx *c, u64 done, u64 result);

/* A signal that the caller's own action raised (SIGPIPE, SIGXFSZ), sent to the calling task. Holds
 * no lock of RANK_SIGHAND or lower. Defined by sentry/kernel. */
void ctx_signal_self(struct ctx *c, int signo);
/* Is there a process with this id (of c's pid namespace)? Holds nothing of RANK_TASKS or lower.
 * Defined by sentry/kernel. */
MUST_CHECK bool ctx_pid_exists(struct ctx *c, u32 tgid);
/* A pidfd for that process, a reference: -ESRCH. The same. */
MUST_CHECK int ctx_pidfd(struct ctx *c, u32 tgid, struct file **ret);
