#pragma once
/*
 * Ranked locks. Every lock names its rank in lock_ranks.def; builds with LOCK_DEBUG abort when a
 * thread takes a lock whose rank is not below all those it holds.
 *
 * Locking: see lock_ranks.def. Lifetime: embedded in the object it guards. Saved: never (SKIP);
 * obj_type.init runs before any field is loaded and makes them fresh.
 */
#include "state/base/types.h"

#include <pthread.h>

enum lock_rank {
#define LOCK_RANK(name, what) RANK_##name,
#include "state/base/lock_ranks.def"
#undef LOCK_RANK
	RANK_COUNT
};
_Static_assert(RANK_COUNT <= 64, "ranks are bits of a u64");

#if defined(__clang__) && !defined(SWIG)
#define CAPABILITY(x)    __attribute__((capability(x)))
#define ACQUIRES(...)    __attribute__((acquire_capability(__VA_ARGS__)))
#define RELEASES(...)    __attribute__((release_capability(__VA_ARGS__)))
#define REQUIRES(...)    __attribute__((requires_capability(__VA_ARGS__)))
#define ASSERTS(...)     __attribute__((assert_capability(__VA_ARGS__)))
#define NO_LOCK_ANALYSIS __attribute__((no_thread_safety_analysis))
#else
#define CAPABILITY(x)
#define ACQUIRES(...)
#define RELEASES(...)
#define REQUIRES(...)
#define ASSERTS(...)
#define NO_LOCK_ANALYSIS
#endif
#define GUARDED_BY(x) /* documentation: clang 14 cannot name a sibling field in C */

struct CAPABILITY("mutex") mutex {
	pthread_mutex_t m;
	u8 rank;
};

struct CAPABILITY("rwlock") rwlock {
	pthread_rwlock_t l;
	u8 rank;
};

void mutex_init(struct mutex *m, enum lock_rank rank);
void mutex_lock(struct mutex *m) ACQUIRES(m);
void mutex_unlock(struct mutex *m) RELEASES(m);
/* True if the lock was free and is now held. */
MUST_CHECK bool mutex_trylock(struct mutex *m);
/* Locks two of the same rank in address order; a == b locks once. Undone by mutex_unlock_pair. */
void mutex_lock_pair(struct mutex *a, struct mutex *b);
void mutex_unlock_pair(struct mutex *a, struct mutex *b);

/*
 * The calling thread does not queue for mutexes from now on: it looks again and again until one is
 * free. Thousands of tasks that queue for the lock of the process tree would keep whoever serves
 * commands for minutes, because each must get a core before it can pass the lock on; but all that
 * while the lock is free.
 */
void lock_never_queue(void);

void rwlock_init(struct rwlock *l, enum lock_rank rank);
void rwlock_rdlock(struct rwlock *l);
void rwlock_wrlock(struct rwlock *l);
void rwlock_unlock(struct rwlock *l);
/* The pair of fork: two of the same rank for writing, in address order. */
void rwlock_wrlock_pair(struct rwlock *a, struct rwlock *b);
void rwlock_unlock_pair(struct rwlock *a, struct rwlock *b);

/* Aborts in LOCK_DEBUG builds if the calling thread holds any ranked lock. */
void lock_assert_none(void);

/*
 * Wakes one private waiter of the futex word, now or when the caller holds no ranked lock any more:
 * whoever wakes up at once, on the caller's core, would only meet its locks. The memory may be gone
 * or another's by then; what sleeps there must bear being woken for nothing, as all users of
 * futex(2) do.
 */
void lock_futex_wake(_Atomic u32 *word);
/* Makes wake-ups that wait for an unlock now: before a sleep that holds a lock. */
void lock_flush_wakes(void);

static inline void mutex_guard_drop(struct mutex **m) NO_LOCK_ANALYSIS
{
	if (*m)
		mutex_unlock(*m);
}
static inline struct mutex *mutex_guard_take(struct mutex *m) NO_LOCK_ANALYSIS
{
	mutex_lock(m);
	return m;
}
/* Tells the analysis what it can't see of a guard. */
static inline void mutex_guard_holds(struct mutex *m) ASSERTS(m)
{
}
static inline void rwlock_guard_drop(struct rwlock **l)
{
	if (*l)
		rwlock_unlock(*l);
}
static inline struct rwlock *rwlock_guard_rd(struct rwlock *l)
{
	rwlock_rdlock(l);
	return l;
}
static inline struct rwlock *rwlock_guard_wr(struct rwlock *l)
{
	rwlock_wrlock(l);
	return l;
}

#define GUARD_NAME2(a, b) a##b
#define GUARD_NAME(a, b)  GUARD_NAME2(a, b)
/* Held to the end of the enclosing scope. */
#define GUARD(m)                                                                    \
	UNUSED __attribute__((cleanup(mutex_guard_drop))) struct mutex *GUARD_NAME( \
		guard_, __LINE__) = mutex_guard_take(m);                            \
	mutex_guard_holds(m)
#define GUARD_READ(l)                                                                 \
	UNUSED __attribute__((cleanup(rwlock_guard_drop))) struct rwlock *GUARD_NAME( \
		guard_, __LINE__) = rwlock_guard_rd(l)
#define GUARD_WRITE(l)                                                                \
	UNUSED __attribute__((cleanup(rwlock_guard_drop))) struct rwlock *GUARD_NAME( \
		guard_, __LINE__) = rwlock_guard_wr(l)
