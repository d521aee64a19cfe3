#include "tests/guest/guest_test.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>

/* Many waiters, hand-over in rings, timeouts in number. */

static long futex(atomic_int *w, int op, int val, const struct timespec *ts)
{
	return syscall(SYS_futex, w, op, val, ts, NULL, 0);
}

enum {
	RING = 8,
	TURNS = 200
};

static atomic_int *turn;

static void *member(void *arg)
{
	int me = (int)(long)arg;

	for (int i = 0; i < TURNS / RING; i++) {
		int now;

		while ((now = atomic_load(turn)) % RING != me)
			futex(turn, FUTEX_WAIT, now, NULL);
		if (me == 0 && i == TURNS / RING / 2)
			MAYBE_SAVE();
		atomic_fetch_add(turn, 1);
		futex(turn, FUTEX_WAKE, RING, NULL);
	}
	return NULL;
}

GUEST_TEST(ring_of_threads)
{
	pthread_t t[RING];

	turn = guest_map(GUEST_PAGE, 0);
	for (long i = 0; i < RING; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, member, (void *)i), 0);
	for (int i = 0; i < RING; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(atomic_load(turn), TURNS);
}

GUEST_TEST(ring_of_processes)
{
	pid_t pids[RING];

	turn = guest_map_shared(GUEST_PAGE);
	for (long i = 0; i < RING; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0) {
			member((void *)i);
			_exit(0);
		}
	}
	for (int i = 0; i < RING; i++)
		EXPECT_EQ(guest_reap(pids[i]), 0);
	EXPECT_EQ(atomic_load(turn), TURNS);
}

static atomic_int gate_word;

static void *wait_gate(void *arg)
{
	while (atomic_load(&gate_word) == 0)
		futex(&gate_word, FUTEX_WAIT_PRIVATE, 0, NULL);
	return NULL;
}

GUEST_TEST(eighty_waiters)
{
	enum {
		N = 80
	};
	static pthread_t t[N];
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (int i = 0; i < N; i++)
		ASSERT_EQ(pthread_create(&t[i], &attr, wait_gate, NULL), 0);
	guest_sleep_ms(5);
	MAYBE_SAVE();
	atomic_store(&gate_word, 1);
	futex(&gate_word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL);
	for (int i = 0; i < N; i++)
		pthread_join(t[i], NULL);
}

static void *times_out(void *arg)
{
	struct timespec ts = {0, (long)arg * 1000000};
	int64_t start = guest_now(CLOCK_MONOTONIC);
	atomic_int word = 0;

	while (futex(&word, FUTEX_WAIT_PRIVATE, 0, &ts) == 0 || errno == EINTR)
		;
	EXPECT_EQ(errno, ETIMEDOUT);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, (long)arg * 1000000);
	return NULL;
}

GUEST_TEST(many_timeouts)
{
	pthread_t t[20];

	for (long i = 0; i < 20; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, times_out, (void *)(i + 1)), 0);
	MAYBE_SAVE();
	for (int i = 0; i < 20; i++)
		pthread_join(t[i], NULL);
}

GUEST_TEST(wake_races_with_timeout)
{
	atomic_int *w = guest_map_shared(GUEST_PAGE);
	pid_t pid = guest_fork();
	int woken = 0;

	if (pid == 0) {
		struct timespec ts = {0, 100000};

		for (int i = 0; i < 200; i++)
			futex(w, FUTEX_WAIT, 0, &ts);
		atomic_store(w, 1);
		_exit(0);
	}
	while (atomic_load(w) == 0) {
		long r = futex(w, FUTEX_WAKE, 1, NULL);

		EXPECT_GE(r, 0);
		woken += (int)r;
	}
	EXPECT_LE(woken, 200);
	EXPECT_EQ(guest_reap(pid), 0);
}
