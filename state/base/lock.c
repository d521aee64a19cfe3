#include "state/base/lock.h"
#include "state/base/bug.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WAKES_MAX 8u

/* Of this thread: wake-ups put off until the last unlock, and how it takes locks. */
static __thread struct {
	u32 depth; /* locks held */
	u32 n;
	bool never_queues;
	_Atomic u32 *words[WAKES_MAX];
} wakes;

static void wake(_Atomic u32 *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void lock_flush_wakes(void)
{
	while (wakes.n > 0)
		wake(wakes.words[--wakes.n]);
}

void lock_futex_wake(_Atomic u32 *word)
{
	if (wakes.depth == 0 || wakes.n == WAKES_MAX)
		wake(word);
	else
		wakes.words[wakes.n++] = word;
}

static void taken(void)
{
	wakes.depth++;
}

static void dropped(void)
{
	wakes.depth--;
	if (unlikely(wakes.n > 0) && wakes.depth == 0)
		lock_flush_wakes();
}

#if LOCK_DEBUG
static __thread u64 tls_held;

static const char *const rank_names[] = {
#define LOCK_RANK(name, what) #name,
#include "state/base/lock_ranks.def"
#undef LOCK_RANK
};

static void note_lock(u8 rank)
{
	/* Every held rank must lie above: a held bit at or past rank is an inversion. */
	if (unlikely(tls_held >> rank))
		bug_at(rank_names[63 - __builtin_clzll(tls_held)], rank,
		       "lock order: the named rank is held while taking a rank above it");
	tls_held |= 1ull << rank;
}

static void note_unlock(u8 rank)
{
	BUG_ON(!(tls_held & (1ull << rank)));
	tls_held &= ~(1ull << rank);
}

void lock_assert_none(void)
{
	BUG_ON(tls_held != 0);
}
#else
static void note_lock(u8 rank)
{
}

static void note_unlock(u8 rank)
{
}

void lock_assert_none(void)
{
}
#endif

void mutex_init(struct mutex *m, enum lock_rank rank)
{
	pthread_mutex_init(&m->m, NULL);
	m->rank = (u8)rank;
}

void lock_never_queue(void)
{
	wakes.never_queues = true;
}

static void lock_when_free(pthread_mutex_t *m)
{
	struct timespec pause = {.tv_nsec = 20000};

	while (pthread_mutex_trylock(m) != 0) {
		nanosleep(&pause, NULL);
		pause.tv_nsec = MIN(pause.tv_nsec * 2, 500000l);
	}
}

static void lock_one(pthread_mutex_t *m)
{
	if (unlikely(wakes.never_queues))
		lock_when_free(m);
	else
		BUG_ON(pthread_mutex_lock(m) != 0);
}

void mutex_lock(struct mutex *m) NO_LOCK_ANALYSIS
{
	note_lock(m->rank);
	lock_one(&m->m);
	taken();
}

bool mutex_trylock(struct mutex *m) NO_LOCK_ANALYSIS
{
	if (pthread_mutex_trylock(&m->m) != 0)
		return false;
#if LOCK_DEBUG
	tls_held |= 1ull << m->rank;
#endif
	taken();
	return true;
}

void mutex_unlock(struct mutex *m) NO_LOCK_ANALYSIS
{
	note_unlock(m->rank);
	BUG_ON(pthread_mutex_unlock(&m->m) != 0);
	dropped();
}

void mutex_lock_pair(struct mutex *a, struct mutex *b)
{
	BUG_ON(a->rank != b->rank);
	note_lock(a->rank);
	if (a > b) {
		struct mutex *t = a;

		a = b;
		b = t;
	}
	lock_one(&a->m);
	if (a != b)
		lock_one(&b->m);
	taken();
}

void mutex_unlock_pair(struct mutex *a, struct mutex *b)
{
	note_unlock(a->rank);
	BUG_ON(pthread_mutex_unlock(&a->m) != 0);
	if (a != b)
		BUG_ON(pthread_mutex_unlock(&b->m) != 0);
	dropped();
}

void rwlock_init(struct rwlock *l, enum lock_rank rank)
{
	pthread_rwlock_init(&l->l, NULL);
	l->rank = (u8)rank;
}

void rwlock_rdlock(struct rwlock *l)
{
	note_lock(l->rank);
	BUG_ON(pthread_rwlock_rdlock(&l->l) != 0);
	taken();
}

void rwlock_wrlock(struct rwlock *l)
{
	note_lock(l->rank);
	BUG_ON(pthread_rwlock_wrlock(&l->l) != 0);
	taken();
}

void rwlock_unlock(struct rwlock *l)
{
	note_unlock(l->rank);
	BUG_ON(pthread_rwlock_unlock(&l->l) != 0);
	dropped();
}

void rwlock_wrlock_pair(struct rwlock *a, struct rwlock *b)
{
	BUG_ON(a->rank != b->rank || a == b);
	note_lock(a->rank);
	BUG_ON(pthread_rwlock_wrlock(a < b ? &a->l : &b->l) != 0);
	BUG_ON(pthread_rwlock_wrlock(a < b ? &b->l : &a->l) != 0);
	taken();
}

void rwlock_unlock_pair(struct rwlock *a, struct rwlock *b)
{
	note_unlock(a->rank);
	BUG_ON(pthread_rwlock_unlock(&a->l) != 0);
	BUG_ON(pthread_rwlock_unlock(&b->l) != 0);
	dropped();
}
