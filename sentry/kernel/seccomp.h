#pragma once
/*
 * The guest's own seccomp: filters of system calls in classic BPF, and strict mode.
 *
 * Locking: a filter is immutable. task->seccomp and seccomp_mode are set under tasks_lock, by the
 * task itself or by a sibling that synchronizes its threads; the owner reads them without a lock.
 * What replaces a filter has the old one in its chain, so a reader's filter never goes.
 * Lifetime: a filter owns the one that was there before it; tasks own the newest.
 * Saved: all of it; a loaded program is checked like the guest's.
 */
#include "state/object.h"

#include <linux/filter.h>
#include <linux/seccomp.h>

struct task;

struct seccomp_filter {
	struct obj obj;
	struct seccomp_filter *prev; /* owned */
	struct sock_filter *insns;   /* owned */
	u32 n_insns;
	u32 n_chain;       /* filters from here to the first */
	bool no_new_privs; /* whoever it holds for gains none */
};
OBJECT_DECL(seccomp_filter);

/*
 * Puts a filter on t for good; insns is taken over. flags: SECCOMP_FILTER_FLAG_TSYNC and what
 * needs nothing. 0; the id of a thread that can't follow (-ESRCH with TSYNC_ESRCH); -EACCES,
 * -EINVAL, -ENOMEM.
 */
MUST_CHECK long seccomp_attach(struct task *t, struct sock_filter *insns, u32 n, u64 flags);
/* Nothing but read, write, exit and rt_sigreturn from now on. -EINVAL with filters. */
MUST_CHECK int seccomp_set_strict(struct task *t);
/* A new task of t's has t's filters; tasks_lock. */
void seccomp_inherit_locked(struct task *t, struct task *n);
/*
 * Judges the call at hand of a task with seccomp_mode. True: make it. False: the task has been told
 * (its result, a signal, its end) and goes on where run_next says.
 */
MUST_CHECK bool seccomp_allows(struct task *t);
