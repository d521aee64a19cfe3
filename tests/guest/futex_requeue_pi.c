#include "tests/guest/guest_test.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>

/* FUTEX_WAIT_REQUEUE_PI and FUTEX_CMP_REQUEUE_PI; circles of PI mutexes; FUTEX_LOCK_PI2. */

#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif
#define WAITERS 4
#define PRIVATE FUTEX_PRIVATE_FLAG

static atomic_uint *words; /* [0] the condition, [1] and [2] mutexes */
static atomic_int inside, through;

static long futex(atomic_uint *w, int op, unsigned val, const void *arg, atomic_uint *w2,
                  unsigned val3)
{
	return syscall(SYS_futex, w, op, val, arg, w2, val3);
}

static unsigned self(void)
{
	return (unsigned)syscall(SYS_gettid);
}

static long requeue(int flags, unsigned n, unsigned cmp)
{
	return futex(&words[0], FUTEX_CMP_REQUEUE_PI | flags, 1, (void *)(unsigned long)n,
	             &words[1], cmp);
}

static void unlock(atomic_uint *w, int flags)
{
	unsigned mine = self();

	if (!atomic_compare_exchange_strong(w, &mine, 0))
		EXPECT_EQ(futex(w, FUTEX_UNLOCK_PI | flags, 0, NULL, NULL, 0), 0);
}

static void wait_once(int flags)
{
	long r;

	/* Any wait may end early: a program looks at its condition and waits again. */
	do
		r = futex(&words[0], FUTEX_WAIT_REQUEUE_PI | flags, 0, NULL, &words[1], 0);
	while (r < 0 && errno == EAGAIN && words[0] == 0);
	EXPECT_EQ(r, 0);
	EXPECT_EQ(words[1] & FUTEX_TID_MASK, self());
	EXPECT_EQ(atomic_fetch_add(&inside, 1), 0);
	sched_yield();
	atomic_fetch_sub(&inside, 1);
	atomic_fetch_add(&through, 1);
	unlock(&words[1], flags);
}

static void *waiter(void *arg)
{
	atomic_uint *tid = arg;

	*tid = self();
	wait_once(PRIVATE);
	return NULL;
}

static void start(pthread_t *t, int n, void *(*fn)(void *))
{
	static atomic_uint tids[WAITERS];

	if (!words)
		words = guest_map(GUEST_PAGE, 0);
	for (int i = 0; i < n; i++) {
		tids[i] = 0;
		ASSERT_EQ(pthread_create(&t[i], NULL, fn, &tids[i]), 0);
		while (tids[i] == 0)
			sched_yield();
		guest_wait_blocked((pid_t)tids[i]);
	}
}

/* Moves until n have been, as a save may have ended some waits for a moment. */
static void requeue_all(int flags, unsigned n)
{
	for (unsigned moved = 0; moved < n;) {
		long r = requeue(flags, n, 0);

		ASSERT_TRUE(r >= 0);
		moved += (unsigned)r;
		sched_yield();
	}
}

GUEST_TEST(a_free_mutex_goes_to_the_first)
{
	pthread_t t[WAITERS];

	start(t, WAITERS, waiter);
	MAYBE_SAVE();
	requeue_all(PRIVATE, WAITERS);
	for (int i = 0; i < WAITERS; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(through, WAITERS);
	EXPECT_EQ(words[1] & FUTEX_TID_MASK, 0);
	EXPECT_EQ(requeue(PRIVATE, 10, 0), 0);
}

GUEST_TEST(moved_waiters_wait_for_the_owner)
{
	pthread_t t[WAITERS];

	start(t, WAITERS, waiter);
	ASSERT_EQ(futex(&words[1], FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
	requeue_all(PRIVATE, WAITERS);
	EXPECT_EQ(words[1], self() | FUTEX_WAITERS);
	MAYBE_SAVE();
	guest_sleep_ms(5);
	EXPECT_EQ(through, 0);
	EXPECT_EQ(words[1], self() | FUTEX_WAITERS);
	unlock(&words[1], PRIVATE);
	for (int i = 0; i < WAITERS; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(through, WAITERS);
}

GUEST_TEST(processes_share_them)
{
	pid_t pid[WAITERS];
	atomic_int *done;

	words = guest_map_shared(GUEST_PAGE);
	done = (atomic_int *)(words + 8);
	for (int i = 0; i < WAITERS; i++) {
		pid[i] = guest_fork();
		if (pid[i] == 0) {
			wait_once(0);
			atomic_fetch_add(done, 1);
			_exit(0);
		}
		guest_wait_blocked(pid[i]);
	}
	MAYBE_SAVE();
	requeue_all(0, WAITERS);
	for (int i = 0; i < WAITERS; i++)
		EXPECT_EQ(guest_reap(pid[i]), 0);
	EXPECT_EQ(*done, WAITERS);
}

GUEST_TEST(an_owner_that_dies_leaves_it_to_one_that_was_moved)
{
	struct guest_gate *g = guest_map_shared(GUEST_PAGE);
	pid_t pid;

	guest_gate_init(g);
	guest_gate_init(g + 1);
	words = guest_map_shared(GUEST_PAGE);
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_EQ(futex(&words[1], FUTEX_LOCK_PI, 0, NULL, NULL, 0), 0);
		guest_gate_open(g);
		guest_gate_wait(g + 1);
		_exit(0);
	}
	guest_gate_wait(g);
	if (guest_fork() == 0) {
		long r;

		while ((r = futex(&words[0], FUTEX_WAIT_REQUEUE_PI, 0, NULL, &words[1], 0)) < 0 &&
		       errno == EAGAIN)
			;
		EXPECT_EQ(r, 0);
		EXPECT_EQ(words[1] & FUTEX_TID_MASK, self());
		EXPECT_TRUE(words[1] & FUTEX_OWNER_DIED);
		_exit(0);
	}
	requeue_all(0, 1);
	MAYBE_SAVE();
	guest_gate_open(g + 1);
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_TRUE(wait(NULL) > 0);
}

static struct timespec soon(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	ts.tv_nsec += 20 * 1000000;
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	return ts;
}

static void *late(void *arg)
{
	struct timespec ts = soon(CLOCK_MONOTONIC);

	*(atomic_uint *)arg = self();
	ts.tv_sec += 1;
	EXPECT_ERRNO(futex(&words[0], FUTEX_WAIT_REQUEUE_PI | PRIVATE, 0, &ts, &words[1], 0),
	             ETIMEDOUT);
	return NULL;
}

GUEST_TEST(deadlines_hold_before_and_after_the_move)
{
	struct timespec ts = soon(CLOCK_MONOTONIC), bad = {0, -1};
	pthread_t t[1];

	words = guest_map(GUEST_PAGE, 0);
	EXPECT_ERRNO(futex(&words[0], FUTEX_WAIT_REQUEUE_PI, 0, &ts, &words[1], 0), ETIMEDOUT);
	ts = soon(CLOCK_REALTIME);
	EXPECT_ERRNO(futex(&words[0], FUTEX_WAIT_REQUEUE_PI | FUTEX_CLOCK_REALTIME, 0, &ts,
	                   &words[1], 0),
	             ETIMEDOUT);
	EXPECT_ERRNO(futex(&words[0], FUTEX_WAIT_REQUEUE_PI, 0, &bad, &words[1], 0), EINVAL);
	start(t, 1, late);
	ASSERT_EQ(futex(&words[1], FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
	requeue(PRIVATE, 1, 0);
	MAYBE_SAVE();
	pthread_join(t[0], NULL);
	unlock(&words[1], PRIVATE);
	EXPECT_EQ(words[1], 0);
}

static atomic_int handled;

static void on_signal(int sig)
{
	handled++;
}

static void *interrupted(void *arg)
{
	*(atomic_uint *)arg = self();
	EXPECT_ERRNO(futex(&words[0], FUTEX_WAIT_REQUEUE_PI | PRIVATE, 0, NULL, &words[1], 0),
	             EAGAIN);
	return NULL;
}

GUEST_TEST(a_signal_after_the_move_ends_the_wait)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	pthread_t t[1];

	sigaction(SIGUSR1, &sa, NULL);
	start(t, 1, interrupted);
	ASSERT_EQ(futex(&words[1], FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
	/* Before the move a handler runs and the wait goes on. */
	pthread_kill(t[0], SIGUSR1);
	while (handled == 0)
		sched_yield();
	guest_sleep_ms(10);
	requeue_all(PRIVATE, 1);
	MAYBE_SAVE();
	pthread_kill(t[0], SIGUSR1);
	pthread_join(t[0], NULL);
	EXPECT_EQ(handled, 2);
	unlock(&words[1], PRIVATE);
}

GUEST_TEST(what_is_refused)
{
	pthread_t t[1];

	words = guest_map(GUEST_PAGE, 0);
	EXPECT_ERRNO(futex(&words[0], FUTEX_WAIT_REQUEUE_PI, 0, NULL, &words[0], 0), EINVAL);
	EXPECT_ERRNO(futex(&words[0], FUTEX_WAIT_REQUEUE_PI, 1, NULL, &words[1], 0), EAGAIN);
	EXPECT_ERRNO(futex(&words[0], FUTEX_CMP_REQUEUE_PI, 1, NULL, &words[0], 0), EINVAL);
	EXPECT_ERRNO(futex(&words[0], FUTEX_CMP_REQUEUE_PI, 2, NULL, &words[1], 0), EINVAL);
	EXPECT_ERRNO(futex(&words[0], FUTEX_CMP_REQUEUE_PI, 1, (void *)-1l, &words[1], 0), EINVAL);
	EXPECT_ERRNO(requeue(0, 1, 7), EAGAIN);
	start(t, 1, waiter);
	/* It waits for a mutex, and for that one. */
	EXPECT_ERRNO(futex(&words[0], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), EINVAL);
	EXPECT_ERRNO(futex(&words[0], FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)1l, &words[2], 0),
	             EINVAL);
	EXPECT_ERRNO(futex(&words[0], FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)1l, &words[2], 0),
	             EINVAL);
	words[1] = 0x3ffffffe;
	EXPECT_ERRNO(requeue(PRIVATE, 1, 0), ESRCH);
	words[1] = 0;
	requeue_all(PRIVATE, 1);
	pthread_join(t[0], NULL);
}

static void *plain_waiter(void *arg)
{
	*(atomic_uint *)arg = self();
	while (futex(&words[0], FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) < 0 && errno == EINTR)
		;
	return NULL;
}

GUEST_TEST(plain_waiters_are_not_moved_to_a_mutex)
{
	pthread_t t[1];

	start(t, 1, plain_waiter);
	EXPECT_ERRNO(requeue(PRIVATE, 1, 0), EINVAL);
	words[0] = 1;
	while (futex(&words[0], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 0)
		sched_yield();
	pthread_join(t[0], NULL);
}

static void *first_of_circle(void *arg)
{
	EXPECT_EQ(futex(&words[2], FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
	*(atomic_uint *)arg = self();
	EXPECT_EQ(futex(&words[1], FUTEX_LOCK_PI2 | PRIVATE, 0, NULL, NULL, 0), 0);
	unlock(&words[1], PRIVATE);
	unlock(&words[2], PRIVATE);
	return NULL;
}

GUEST_TEST(a_circle_of_owners_is_found)
{
	pthread_t t[1];

	words = guest_map(GUEST_PAGE, 0);
	ASSERT_EQ(futex(&words[1], FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
	start(t, 1, first_of_circle);
	while (!(words[1] & FUTEX_WAITERS))
		sched_yield();
	guest_sleep_ms(10);
	EXPECT_ERRNO(futex(&words[2], FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), EDEADLK);
	EXPECT_ERRNO(futex(&words[2], FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0), EAGAIN);
	unlock(&words[1], PRIVATE);
	pthread_join(t[0], NULL);
}

GUEST_TEST(lock_pi2_waits_by_the_clock_that_it_is_told)
{
	struct timespec ts = soon(CLOCK_MONOTONIC);
	pid_t pid;

	words = guest_map_shared(GUEST_PAGE);
	ASSERT_EQ(futex(&words[1], FUTEX_LOCK_PI2, 0, NULL, NULL, 0), 0);
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_ERRNO(futex(&words[1], FUTEX_LOCK_PI2, 0, &ts, NULL, 0), ETIMEDOUT);
		ts = soon(CLOCK_REALTIME);
		EXPECT_ERRNO(
			futex(&words[1], FUTEX_LOCK_PI2 | FUTEX_CLOCK_REALTIME, 0, &ts, NULL, 0),
			ETIMEDOUT);
		EXPECT_ERRNO(
			futex(&words[1], FUTEX_LOCK_PI | FUTEX_CLOCK_REALTIME, 0, &ts, NULL, 0),
			ENOSYS);
		_exit(0);
	}
	MAYBE_SAVE();
	EXPECT_EQ(guest_reap(pid), 0);
	unlock(&words[1], 0);
}
