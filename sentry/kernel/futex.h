#pragma once
/*
 * Futexes (futex(2)): words of guest memory that tasks sleep on.
 *
 * Locking: one lock per bucket (RANK_FUTEX). Lifetime: waiters live on the stacks of their calls.
 * Saved: nothing; a parked task makes its call again.
 */
#include "sentry/kernel/task.h"

/* A task ends or execs: marks and wakes what its robust list names (get_robust_list(2)). The list is
 * hostile and bounded. Holds no lock. */
void futex_exit_robust(struct task *t);
/* Wakes up to n waiters of the word, private and shared alike (CLONE_CHILD_CLEARTID). */
void futex_wake_addr(struct ctx *c, uaddr_t a, u32 n);
