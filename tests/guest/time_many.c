#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <stdatomic.h>

/* Many sleepers, timers and waiters at once. */

enum {
	THREADS = 24
};

static atomic_int awake;

static void *sleeper(void *arg)
{
	long ms = (long)arg;
	int64_t start = guest_now(CLOCK_MONOTONIC);

	guest_sleep_ms((int)ms);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, ms * 1000000);
	atomic_fetch_add(&awake, 1);
	return NULL;
}

GUEST_TEST(sleeping_threads)
{
	pthread_t t[THREADS];

	for (long i = 0; i < THREADS; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, sleeper, (void *)((i * 7) % THREADS + 1)), 0);
	MAYBE_SAVE();
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(atomic_load(&awake), THREADS);
}

GUEST_TEST(sleeping_processes)
{
	pid_t pids[10];

	for (int i = 0; i < 10; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0) {
			sleeper((void *)(long)(30 - 3 * i));
			_exit(i);
		}
	}
	MAYBE_SAVE();
	for (int i = 0; i < 10; i++)
		EXPECT_EQ(guest_reap(pids[i]), i);
}

GUEST_TEST(absolute_deadlines_far_apart)
{
	int64_t start = guest_now(CLOCK_MONOTONIC);

	for (int i = 1; i <= 10; i++) {
		int64_t at = start + i * 3000000;
		struct timespec ts = {at / 1000000000, at % 1000000000};

		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) != 0)
			;
		EXPECT_GE(guest_now(CLOCK_MONOTONIC), at);
		if (i == 5)
			MAYBE_SAVE();
	}
}

GUEST_TEST(monotonic_time_goes_on_over_saves)
{
	int64_t last = guest_now(CLOCK_MONOTONIC), boot = guest_now(CLOCK_BOOTTIME);

	for (int i = 0; i < 5; i++) {
		int64_t now;

		MAYBE_SAVE();
		now = guest_now(CLOCK_MONOTONIC);
		EXPECT_GE(now, last);
		/* Nobody's clock jumps by hours. */
		EXPECT_LT(now - last, 3600ll * 1000000000);
		last = now;
	}
	EXPECT_GE(guest_now(CLOCK_BOOTTIME), boot);
}

GUEST_TEST(cpu_time_over_a_save)
{
	int64_t before, after;

	while (guest_now(CLOCK_THREAD_CPUTIME_ID) < 5000000)
		;
	before = guest_now(CLOCK_PROCESS_CPUTIME_ID);
	MAYBE_SAVE();
	after = guest_now(CLOCK_PROCESS_CPUTIME_ID);
	EXPECT_GE(after, before);
	EXPECT_GE(guest_now(CLOCK_THREAD_CPUTIME_ID), 5000000);
}

GUEST_TEST(zero_and_tiny_sleeps)
{
	for (long ns = 0; ns < 100; ns++) {
		struct timespec ts = {0, ns};

		if (nanosleep(&ts, NULL) != 0)
			EXPECT_OK(-1);
	}
}
