#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <semaphore.h>

/* Timed waits of libc on both clocks. */

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;

static struct timespec after(clockid_t clock, long ms)
{
	int64_t at = guest_now(clock) + ms * 1000000;
	struct timespec ts = {at / 1000000000, at % 1000000000};

	return ts;
}

GUEST_TEST(condition_on_each_clock)
{
	static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC};

	for (int i = 0; i < 2; i++) {
		pthread_condattr_t attr;
		pthread_cond_t c;
		struct timespec ts;
		int64_t end;

		pthread_condattr_init(&attr);
		ASSERT_EQ(pthread_condattr_setclock(&attr, clocks[i]), 0);
		pthread_cond_init(&c, &attr);
		pthread_mutex_lock(&m);
		ts = after(clocks[i], 15);
		end = ts.tv_sec * 1000000000ll + ts.tv_nsec;
		EXPECT_EQ(pthread_cond_timedwait(&c, &m, &ts), ETIMEDOUT);
		EXPECT_GE(guest_now(clocks[i]), end);
		pthread_mutex_unlock(&m);
	}
}

GUEST_TEST(clock_locks)
{
	struct timespec ts = after(CLOCK_MONOTONIC, 10);
	sem_t s;

	sem_init(&s, 0, 0);
	EXPECT_ERRNO(sem_clockwait(&s, CLOCK_MONOTONIC, &ts), ETIMEDOUT);
	EXPECT_ERRNO(sem_clockwait(&s, CLOCK_MONOTONIC, &ts), ETIMEDOUT);
	ts = after(CLOCK_REALTIME, 10);
	EXPECT_ERRNO(sem_timedwait(&s, &ts), ETIMEDOUT);
}

static struct guest_gate first;

static void *locker(void *arg)
{
	struct timespec ts = after(CLOCK_MONOTONIC, 20);

	EXPECT_EQ(pthread_mutex_clocklock(&m, CLOCK_MONOTONIC, &ts), ETIMEDOUT);
	guest_gate_open(&first);
	ts = after(CLOCK_REALTIME, 100000);
	EXPECT_EQ(pthread_mutex_timedlock(&m, &ts), 0);
	pthread_mutex_unlock(&m);
	return NULL;
}

GUEST_TEST(timed_mutex)
{
	pthread_t t;

	guest_gate_init(&first);
	pthread_mutex_lock(&m);
	ASSERT_EQ(pthread_create(&t, NULL, locker, NULL), 0);
	guest_gate_wait(&first);
	MAYBE_SAVE();
	pthread_mutex_unlock(&m);
	pthread_join(t, NULL);
}

static void *joined_late(void *arg)
{
	guest_gate_wait(&first);
	return arg;
}

GUEST_TEST(timed_join)
{
	struct timespec ts = after(CLOCK_REALTIME, 10);
	pthread_t t;
	void *r;

	guest_gate_init(&first);
	ASSERT_EQ(pthread_create(&t, NULL, joined_late, &first), 0);
	EXPECT_EQ(pthread_timedjoin_np(t, &r, &ts), ETIMEDOUT);
	MAYBE_SAVE();
	guest_gate_open(&first);
	EXPECT_EQ(pthread_join(t, &r), 0);
	EXPECT_EQ(r, &first);
}
