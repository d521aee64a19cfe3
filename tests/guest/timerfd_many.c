#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

/* Many timers at once, and readers that share one. */

#define TIMERS 200

GUEST_TEST(all_expire)
{
	int ep = ASSERT_OK(epoll_create1(0)), fd[TIMERS], seen = 0;
	bool done[TIMERS] = {false};

	for (int i = 0; i < TIMERS; i++) {
		struct itimerspec s = {.it_value = {0, 1 + (TIMERS - i) * 100000}};
		struct epoll_event ev = {.events = EPOLLIN, .data.u32 = (uint32_t)i};

		fd[i] = ASSERT_OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
		EXPECT_OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd[i], &ev));
		EXPECT_OK(timerfd_settime(fd[i], 0, &s, NULL));
	}
	MAYBE_SAVE();
	while (seen < TIMERS) {
		struct epoll_event out[16];
		int n = epoll_wait(ep, out, 16, -1);

		ASSERT_GE(n, 1);
		for (int k = 0; k < n; k++) {
			uint64_t ticks = 0;

			EXPECT_FALSE(done[out[k].data.u32]);
			done[out[k].data.u32] = true;
			EXPECT_EQ(read(fd[out[k].data.u32], &ticks, 8), 8);
			EXPECT_EQ(ticks, 1);
			seen++;
		}
	}
}

static int shared;
static _Atomic uint64_t total;

static void *reader(void *arg)
{
	uint64_t n;

	for (int i = 0; i < 10; i++) {
		EXPECT_EQ(read(shared, &n, 8), 8);
		EXPECT_GE(n, 1);
		total += n;
	}
	return NULL;
}

GUEST_TEST(shared_by_threads)
{
	struct itimerspec s = {.it_value = {0, 1000000}, .it_interval = {0, 1000000}};
	int64_t start = guest_now(CLOCK_MONOTONIC);
	pthread_t t[3];

	shared = ASSERT_OK(timerfd_create(CLOCK_MONOTONIC, 0));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, reader, NULL), 0);
	EXPECT_OK(timerfd_settime(shared, 0, &s, NULL));
	MAYBE_SAVE();
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	EXPECT_GE(total, 30);
	EXPECT_LE(total, (uint64_t)(guest_now(CLOCK_MONOTONIC) - start) / 1000000);
}

/* A period far too short for anybody keeps nobody busy, and nothing is lost. */
GUEST_TEST(tiny_period)
{
	struct itimerspec s = {.it_value = {0, 1}, .it_interval = {0, 1000}};
	int fd = ASSERT_OK(timerfd_create(CLOCK_MONOTONIC, 0));
	int64_t start = guest_now(CLOCK_MONOTONIC);
	uint64_t n = 0;

	EXPECT_OK(timerfd_settime(fd, 0, &s, NULL));
	guest_sleep_ms(20);
	MAYBE_SAVE();
	EXPECT_EQ(read(fd, &n, 8), 8);
	EXPECT_GE(n, 20000);
	EXPECT_LE((int64_t)n, (guest_now(CLOCK_MONOTONIC) - start) / 1000 + 1);
}
