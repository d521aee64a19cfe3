#pragma once
/*
 * Out of memory: who is ended so that the others can go on, as Linux chooses (proc(5),
 * oom_score_adj).
 *
 * Locking: whoever sets choosing may write victim and since; a flag and no lock, since looking at
 * processes may drop the last reference to one. Lifetime: the kernel's.
 * Saved: the number of kills; a victim under way is chosen again.
 */
#include "sentry/ctx/waitq.h"
#include "state/base/types.h"

struct task;
struct thread_group;

struct oom {
	atomic_bool choosing;
	_Atomic u32 victim; /* tgid of who was told to end and may still hold memory; 0: nobody */
	s64 since;          /* guest monotonic ns */
	_Atomic u64 kills;
	struct waitq wait; /* those who wait for its memory */
};

enum oom_result {
	OOM_RETRY, /* there is room again, or may be */
	OOM_STOP,  /* the caller is wanted in its run loop first (it may be the victim) */
	OOM_NONE,  /* nobody is left who could be ended */
};

void oom_init(struct oom *o);
/* Makes room: caches first, then whoever has most. Waits for it. Holds no lock. */
MUST_CHECK enum oom_result oom_make_room(struct task *t);
/* An address space has given its memory back. */
void oom_memory_freed(struct oom *o);
/* A call that ended with r may have done so for want of memory, and is to be made again. */
bool oom_retry_call(struct task *t, long r);
/* /proc/PID/oom_score. */
u32 oom_score(struct thread_group *tg);
