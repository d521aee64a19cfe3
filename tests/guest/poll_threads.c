#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>

/* Several threads that wait for readiness at the same time. */

enum {
	THREADS = 4,
	EVENTS = 200
};

static int ep, ev_fd;
static atomic_long taken;

static void *epoll_worker(void *arg)
{
	for (;;) {
		struct epoll_event ev;
		uint64_t v;

		if (epoll_wait(ep, &ev, 1, -1) != 1)
			continue;
		if (read(ev.data.fd, &v, 8) != 8)
			continue;
		if (atomic_fetch_add(&taken, 1) + 1 >= EVENTS)
			return NULL;
		struct epoll_event again = {.events = EPOLLIN | EPOLLONESHOT,
		                            .data.fd = ev.data.fd};
		epoll_ctl(ep, EPOLL_CTL_MOD, ev.data.fd, &again);
	}
}

GUEST_TEST(workers_on_one_epoll)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT};
	pthread_t t[THREADS];

	ep = ASSERT_OK(epoll_create1(0));
	ev_fd = ASSERT_OK(eventfd(EVENTS + THREADS, EFD_SEMAPHORE | EFD_NONBLOCK));
	ev.data.fd = ev_fd;
	ASSERT_OK(epoll_ctl(ep, EPOLL_CTL_ADD, ev_fd, &ev));
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, epoll_worker, NULL), 0);
	MAYBE_SAVE();
	while (atomic_load(&taken) < EVENTS)
		guest_sleep_ms(1);
	/* The last one left without re-arming: the others get one event each to leave with. */
	for (int i = 0, left = THREADS; left > 0 && i < 10000; i++) {
		ev.events = EPOLLIN | EPOLLONESHOT;
		epoll_ctl(ep, EPOLL_CTL_MOD, ev_fd, &ev);
		eventfd_write(ev_fd, 1);
		guest_sleep_ms(1);
		left = 0;
		for (int j = 0; j < THREADS; j++) {
			if (t[j] && pthread_tryjoin_np(t[j], NULL) == 0)
				t[j] = 0;
			left += t[j] != 0;
		}
	}
	for (int j = 0; j < THREADS; j++)
		EXPECT_EQ(t[j], 0);
}

static int fds[2];

static void *poller(void *arg)
{
	struct pollfd p = {fds[0], POLLIN, 0};

	EXPECT_EQ(poll(&p, 1, -1), 1);
	EXPECT_TRUE(p.revents & (POLLIN | POLLHUP));
	return NULL;
}

GUEST_TEST(all_pollers_are_woken)
{
	pthread_t t[THREADS];

	ASSERT_OK(pipe(fds));
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, poller, NULL), 0);
	guest_sleep_ms(5);
	MAYBE_SAVE();
	EXPECT_EQ(write(fds[1], "x", 1), 1);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

static void *selecter(void *arg)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fds[0], &set);
	EXPECT_EQ(select(fds[0] + 1, &set, NULL, NULL, NULL), 1);
	return NULL;
}

GUEST_TEST(all_selecters_see_the_hangup)
{
	pthread_t t[THREADS];

	ASSERT_OK(pipe(fds));
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, selecter, NULL), 0);
	guest_sleep_ms(5);
	MAYBE_SAVE();
	close(fds[1]);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

static void *relay(void *arg)
{
	int *p = arg;
	char c;

	for (int i = 0; i < 100; i++) {
		struct pollfd in = {p[0], POLLIN, 0};

		while (poll(&in, 1, -1) != 1)
			;
		if (read(p[0], &c, 1) != 1 || write(p[1], &c, 1) != 1)
			EXPECT_OK(-1);
	}
	return NULL;
}

GUEST_TEST(relay_of_threads)
{
	int p[5][2], ends[4][2];
	pthread_t t[4];
	char c;

	for (int i = 0; i < 5; i++)
		ASSERT_OK(pipe(p[i]));
	for (int i = 0; i < 4; i++) {
		ends[i][0] = p[i][0];
		ends[i][1] = p[i + 1][1];
		ASSERT_EQ(pthread_create(&t[i], NULL, relay, ends[i]), 0);
	}
	for (int i = 0; i < 100; i++) {
		c = (char)i;
		ASSERT_EQ(write(p[0][1], &c, 1), 1);
		ASSERT_EQ(read(p[4][0], &c, 1), 1);
		EXPECT_EQ(c, i);
		if (i == 50)
			MAYBE_SAVE();
	}
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}
