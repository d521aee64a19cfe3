#pragma once
/*
 * Futexes (futex(2)): words of guest memory that tasks sleep on.
 *
 * Locking: one lock per bucket (RANK_FUTEX). Lifetime: waiters live on the stacks of their calls.
 * Saved: nothing; a parked task makes its call again, and a PI mutex is where its word says. A
 * waiter that was woken returns 0 even if it is interrupted at the same time, so no wake-up is
 * consumed and then forgotten.
 */
#include "sentry/kernel/task.h"
#include "sentry/mm/usercopy.h"

#define FUTEX_WAITV_LIMIT 128u

/* One word that a call waits on. The caller fills addr to bitset; the rest is futex.c's. */
struct futex_waiter {
	uaddr_t addr;
	bool private;
	u32 val, bitset;
	TAILQ_ENTRY(futex_waiter) link;
	struct futex_key key;
	struct futex_bucket *_Atomic bucket; /* NULL while somebody hands a PI mutex over */
	struct ctx *c;
	_Atomic bool queued;
	u32 pi_owner; /* FUTEX_LOCK_PI: whose mutex it is; 0: no such waiter */
	int pi_error; /* the hand-over did not happen */
	/* FUTEX_WAIT_REQUEUE_PI: it waits to be moved to the mutex at pi_addr, and was. */
	bool to_pi, moved;
	uaddr_t pi_addr;
	struct futex_key pi_key;
};

/* Waits on n words at once (n > 1: futex_waitv(2)). The index of one that was woken; -EAGAIN if a
 * word has another value, -ETIMEDOUT, -ERESTARTSYS (no deadline) or -ERESTART_RESTARTBLOCK. */
MUST_CHECK long futex_wait(struct ctx *c, struct futex_waiter *w, unsigned n, struct deadline d);
/* Wakes up to n (at least one) whose bitset meets; how many. -EINVAL, as from the next two calls:
 * one waits for a PI mutex there. */
MUST_CHECK long futex_wake(struct ctx *c, uaddr_t a, bool private, u32 n, u32 bitset);
/* Wakes up to n_wake waiters of a and moves up to n_move more to b; with check, only if *a is cmp
 * (-EAGAIN). How many were woken, with check: and moved. */
MUST_CHECK long futex_requeue(struct ctx *c, uaddr_t a, uaddr_t b, bool private, u32 n_wake,
                              u32 n_move, bool check, u32 cmp);
/* FUTEX_WAKE_OP. */
MUST_CHECK long futex_wake_op(struct ctx *c, uaddr_t a, uaddr_t b, bool private, u32 n_a, u32 n_b,
                              u32 op);

/*
 * FUTEX_LOCK_PI, FUTEX_TRYLOCK_PI, FUTEX_UNLOCK_PI. The word holds the owner's tid; whoever unlocks
 * hands it to the one that has waited longest. Priorities are not lent, as none are enforced.
 * -EDEADLK (the owner waits, over any number of mutexes, for the caller), -EPERM, -ESRCH, -EAGAIN
 * (trylock), -ETIMEDOUT, -ERESTARTNOINTR (d is absolute).
 */
MUST_CHECK long futex_lock_pi(struct ctx *c, uaddr_t a, bool private, bool try_only,
                              struct deadline d);
MUST_CHECK long futex_unlock_pi(struct ctx *c, uaddr_t a, bool private);
/*
 * FUTEX_WAIT_REQUEUE_PI: waits on a until somebody moves it to the mutex b, and for that. 0: the
 * mutex is ours; -EAGAIN also if a signal came after the move; else as the other waits.
 * FUTEX_CMP_REQUEUE_PI: gives the mutex b to the first waiter of a if it is free, and lets it and
 * up to n_move others wait for b. How many that were in all; -EAGAIN, -EDEADLK, -EINVAL, -ESRCH.
 */
MUST_CHECK long futex_wait_requeue_pi(struct ctx *c, uaddr_t a, uaddr_t b, bool private, u32 val,
                                      u32 bitset, struct deadline d);
MUST_CHECK long futex_requeue_pi(struct ctx *c, uaddr_t a, uaddr_t b, bool private, u32 n_move,
                                 u32 cmp);
/* A task ends: the PI mutexes that others wait for are theirs now, marked FUTEX_OWNER_DIED. */
void futex_exit_pi(struct task *t);

/* A task ends or execs: marks and wakes what its robust list names (get_robust_list(2)). The list
 * is hostile and bounded. Holds no lock. */
void futex_exit_robust(struct task *t);
/* Wakes up to n waiters of the word, private and shared alike (CLONE_CHILD_CLEARTID). */
void futex_wake_addr(struct ctx *c, uaddr_t a, u32 n);
