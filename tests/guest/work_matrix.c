#include "tests/guest/guest_test.h"

#include <pthread.h>

/* Floating point in many threads at once, checked to the last bit, over saves and signals. */

enum {
	N = 48,
	THREADS = 4
};

static double a[N][N], b[N][N], c[THREADS][N][N], want[N][N];

static void multiply(double (*out)[N])
{
	for (int i = 0; i < N; i++) {
		for (int j = 0; j < N; j++) {
			double s = 0;

			for (int k = 0; k < N; k++)
				s += a[i][k] * b[k][j];
			out[i][j] = s;
		}
	}
}

static void *worker(void *arg)
{
	long id = (long)arg;

	for (int round = 0; round < 6; round++) {
		multiply(c[id]);
		if (memcmp(c[id], want, sizeof(want)) != 0)
			EXPECT_TRUE(false);
		if (round == 3 && id == 0)
			MAYBE_SAVE();
		sched_yield();
	}
	return NULL;
}

static void fill(void)
{
	for (int i = 0; i < N; i++) {
		for (int j = 0; j < N; j++) {
			a[i][j] = 1.0 / (i + j + 1);
			b[i][j] = (i * 7 + j * 3) % 11 / 3.0;
		}
	}
	multiply(want);
}

GUEST_TEST(same_product_everywhere)
{
	pthread_t t[THREADS];

	fill();
	for (long i = 0; i < THREADS; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, worker, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

static void handler(int sig)
{
	volatile double x = 1.5;

	for (int i = 0; i < 20; i++)
		x = x * 1.01 + 0.3;
}

GUEST_TEST(under_signals)
{
	pthread_t t[THREADS];

	fill();
	signal(SIGUSR1, handler);
	for (long i = 0; i < THREADS; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, worker, (void *)i), 0);
	for (int i = 0; i < 60; i++) {
		pthread_kill(t[i % THREADS], SIGUSR1);
		sched_yield();
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

GUEST_TEST(in_processes)
{
	pid_t pids[THREADS];

	fill();
	for (long i = 0; i < THREADS; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0) {
			worker((void *)i);
			_exit(0);
		}
	}
	for (int i = 0; i < THREADS; i++)
		EXPECT_EQ(guest_reap(pids[i]), 0);
}

static void *rounding(void *arg)
{
	/* Each thread has a rounding mode of its own, and keeps it. */
	unsigned mode = (unsigned)(long)arg << 13 | 0x1f80, got = 0;
	volatile float third = 1.0f, three = 3.0f;
	float first;

	__asm__ volatile("ldmxcsr %0" : : "m"(mode));
	first = third / three;
	for (int i = 0; i < 200; i++) {
		if (i == 100 && arg == NULL)
			MAYBE_SAVE();
		if (third / three != first)
			EXPECT_TRUE(false);
		sched_yield();
	}
	__asm__ volatile("stmxcsr %0" : "=m"(got));
	EXPECT_EQ(got & 0x6000, mode & 0x6000);
	return NULL;
}

GUEST_TEST(rounding_modes)
{
	pthread_t t[THREADS];

	for (long i = 0; i < THREADS; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, rounding, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}
