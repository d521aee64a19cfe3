#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

/* epoll: level and edge triggering, one-shot, nesting, removal. */

static int ep, fds[2];

static int ctl(int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};

	return epoll_ctl(ep, op, fd, &ev);
}

/* Events that are ready now; the data and events of the first. */
static int ready(uint64_t *ret_data, uint32_t *ret_events)
{
	struct epoll_event ev[8];
	int n = epoll_wait(ep, ev, 8, 0);

	*ret_data = n > 0 ? ev[0].data.u64 : 0;
	*ret_events = n > 0 ? ev[0].events : 0;
	return n;
}

static uint64_t data;
static uint32_t events;

static void setup(void)
{
	ep = ASSERT_OK(epoll_create1(EPOLL_CLOEXEC));
	ASSERT_OK(pipe2(fds, O_NONBLOCK));
}

GUEST_TEST(level_triggered)
{
	char c;

	setup();
	EXPECT_OK(ctl(EPOLL_CTL_ADD, fds[0], EPOLLIN, 0x123456789abcdef));
	EXPECT_EQ(ready(&data, &events), 0);
	ASSERT_EQ(write(fds[1], "ab", 2), 2);
	EXPECT_EQ(ready(&data, &events), 1);
	EXPECT_EQ(data, 0x123456789abcdef);
	EXPECT_EQ(events, EPOLLIN);
	MAYBE_SAVE();
	EXPECT_EQ(ready(&data, &events), 1);
	EXPECT_EQ(data, 0x123456789abcdef);
	ASSERT_EQ(read(fds[0], &c, 1), 1);
	EXPECT_EQ(ready(&data, &events), 1);
	ASSERT_EQ(read(fds[0], &c, 1), 1);
	EXPECT_EQ(ready(&data, &events), 0);
}

GUEST_TEST(edge_triggered)
{
	setup();
	EXPECT_OK(ctl(EPOLL_CTL_ADD, fds[0], EPOLLIN | EPOLLET, 5));
	ASSERT_EQ(write(fds[1], "a", 1), 1);
	EXPECT_EQ(ready(&data, &events), 1);
	EXPECT_EQ(ready(&data, &events), 0);
	MAYBE_SAVE();
	EXPECT_EQ(ready(&data, &events), 0);
	ASSERT_EQ(write(fds[1], "b", 1), 1);
	EXPECT_EQ(ready(&data, &events), 1);
	EXPECT_EQ(ready(&data, &events), 0);
	/* A modification looks anew. */
	EXPECT_OK(ctl(EPOLL_CTL_MOD, fds[0], EPOLLIN | EPOLLET, 6));
	EXPECT_EQ(ready(&data, &events), 1);
	EXPECT_EQ(data, 6);
}

GUEST_TEST(one_shot)
{
	setup();
	EXPECT_OK(ctl(EPOLL_CTL_ADD, fds[0], EPOLLIN | EPOLLONESHOT, 1));
	ASSERT_EQ(write(fds[1], "a", 1), 1);
	EXPECT_EQ(ready(&data, &events), 1);
	ASSERT_EQ(write(fds[1], "b", 1), 1);
	EXPECT_EQ(ready(&data, &events), 0);
	MAYBE_SAVE();
	EXPECT_EQ(ready(&data, &events), 0);
	EXPECT_OK(ctl(EPOLL_CTL_MOD, fds[0], EPOLLIN | EPOLLONESHOT, 2));
	EXPECT_EQ(ready(&data, &events), 1);
	EXPECT_EQ(data, 2);
}

GUEST_TEST(hangup_and_error)
{
	setup();
	EXPECT_OK(ctl(EPOLL_CTL_ADD, fds[0], 0, 1));
	close(fds[1]);
	EXPECT_EQ(ready(&data, &events), 1);
	EXPECT_EQ(events, EPOLLHUP);
	ASSERT_OK(pipe(fds));
	EXPECT_OK(ctl(EPOLL_CTL_ADD, fds[1], EPOLLOUT, 2));
	close(fds[0]);
	MAYBE_SAVE();
	for (int i = 0; i < 2; i++) {
		struct epoll_event ev;

		/* Two are ready: they take turns. */
		EXPECT_EQ(epoll_wait(ep, &ev, 1, 0), 1);
		EXPECT_EQ(ev.events, ev.data.u64 == 1 ? EPOLLHUP : EPOLLOUT | EPOLLERR);
	}
}

GUEST_TEST(ctl_errors)
{
	int file;

	setup();
	file = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));
	EXPECT_OK(ctl(EPOLL_CTL_ADD, fds[0], EPOLLIN, 1));
	EXPECT_ERRNO(ctl(EPOLL_CTL_ADD, fds[0], EPOLLIN, 1), EEXIST);
	EXPECT_ERRNO(ctl(EPOLL_CTL_MOD, fds[1], EPOLLIN, 1), ENOENT);
	EXPECT_ERRNO(ctl(EPOLL_CTL_DEL, fds[1], 0, 0), ENOENT);
	EXPECT_ERRNO(ctl(EPOLL_CTL_ADD, 999, EPOLLIN, 1), EBADF);
	EXPECT_ERRNO(ctl(EPOLL_CTL_ADD, ep, EPOLLIN, 1), EINVAL);
	EXPECT_ERRNO(ctl(77, fds[1], EPOLLIN, 1), EINVAL);
	EXPECT_ERRNO(ctl(EPOLL_CTL_ADD, file, EPOLLIN, 1), EPERM);
	EXPECT_OK(epoll_ctl(ep, EPOLL_CTL_DEL, fds[0], NULL));
	ep = fds[0];
	EXPECT_ERRNO(ctl(EPOLL_CTL_ADD, fds[1], EPOLLIN, 1), EINVAL);
	EXPECT_ERRNO(epoll_create1(1), EINVAL);
	EXPECT_ERRNO(epoll_create(0), EINVAL);
	EXPECT_ERRNO(epoll_wait(fds[0], NULL, 1, 0), EINVAL);
}

GUEST_TEST(wait_errors)
{
	struct epoll_event ev;

	setup();
	EXPECT_ERRNO(epoll_wait(ep, &ev, 0, 0), EINVAL);
	EXPECT_ERRNO(epoll_wait(ep, &ev, -1, 0), EINVAL);
	EXPECT_ERRNO(epoll_wait(999, &ev, 1, 0), EBADF);
}

GUEST_TEST(close_removes)
{
	int copy;

	setup();
	copy = dup(fds[1]);
	EXPECT_OK(ctl(EPOLL_CTL_ADD, fds[1], EPOLLOUT, 1));
	close(fds[1]);
	/* The description lives on in the copy: so does the entry. */
	EXPECT_EQ(ready(&data, &events), 1);
	MAYBE_SAVE();
	EXPECT_EQ(ready(&data, &events), 1);
	close(copy);
	EXPECT_EQ(ready(&data, &events), 0);
}

GUEST_TEST(timeouts)
{
	struct epoll_event ev;
	int64_t start;

	setup();
	EXPECT_OK(ctl(EPOLL_CTL_ADD, fds[0], EPOLLIN, 1));
	start = guest_now(CLOCK_MONOTONIC);
	EXPECT_EQ(epoll_wait(ep, &ev, 1, 15), 0);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, 15000000);
}

static void *late_writer(void *arg)
{
	guest_sleep_ms(5);
	MAYBE_SAVE();
	EXPECT_EQ(write(fds[1], "l", 1), 1);
	return NULL;
}

GUEST_TEST(blocked_wait_is_woken)
{
	struct epoll_event ev;
	pthread_t t;

	setup();
	EXPECT_OK(ctl(EPOLL_CTL_ADD, fds[0], EPOLLIN, 9));
	ASSERT_EQ(pthread_create(&t, NULL, late_writer, NULL), 0);
	EXPECT_EQ(epoll_wait(ep, &ev, 1, -1), 1);
	EXPECT_EQ(ev.data.u64, 9);
	pthread_join(t, NULL);
}

static void *late_adder(void *arg)
{
	guest_sleep_ms(5);
	MAYBE_SAVE();
	EXPECT_OK(ctl(EPOLL_CTL_ADD, fds[1], EPOLLOUT, 10));
	return NULL;
}

GUEST_TEST(adding_a_ready_one_wakes)
{
	struct epoll_event ev;
	pthread_t t;

	setup();
	ASSERT_EQ(pthread_create(&t, NULL, late_adder, NULL), 0);
	EXPECT_EQ(epoll_wait(ep, &ev, 1, -1), 1);
	EXPECT_EQ(ev.data.u64, 10);
	pthread_join(t, NULL);
}

GUEST_TEST(nested)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 77}, got;
	int outer = ASSERT_OK(epoll_create1(0));
	struct pollfd p = {outer, POLLIN, 0};

	setup();
	EXPECT_OK(ctl(EPOLL_CTL_ADD, fds[0], EPOLLIN, 1));
	EXPECT_OK(epoll_ctl(outer, EPOLL_CTL_ADD, ep, &ev));
	EXPECT_EQ(epoll_wait(outer, &got, 1, 0), 0);
	ASSERT_EQ(write(fds[1], "n", 1), 1);
	MAYBE_SAVE();
	EXPECT_EQ(epoll_wait(outer, &got, 1, 0), 1);
	EXPECT_EQ(got.data.u64, 77);
	EXPECT_EQ(poll(&p, 1, 0), 1);
	/* No cycles. */
	EXPECT_ERRNO(ctl(EPOLL_CTL_ADD, outer, EPOLLIN, 1), ELOOP);
}

GUEST_TEST(many_members)
{
	enum {
		N = 100
	};
	struct epoll_event ev[N];
	int e[N], seen = 0;

	setup();
	for (int i = 0; i < N; i++) {
		e[i] = ASSERT_OK(eventfd(i % 3 == 0, 0));
		ASSERT_OK(ctl(EPOLL_CTL_ADD, e[i], EPOLLIN, (uint64_t)i));
	}
	MAYBE_SAVE();
	/* In portions of ten all are seen: those reported go to the end of the queue. */
	for (int round = 0; round < 4; round++) {
		int n = epoll_wait(ep, ev, 10, 0);

		for (int i = 0; i < n; i++) {
			EXPECT_EQ(ev[i].data.u64 % 3, 0);
			EXPECT_OK(epoll_ctl(ep, EPOLL_CTL_DEL, e[ev[i].data.u64], NULL));
			seen++;
		}
	}
	EXPECT_EQ(seen, 34);
}

GUEST_TEST(exclusive_and_wakeup_flags)
{
	setup();
	EXPECT_OK(ctl(EPOLL_CTL_ADD, fds[0], EPOLLIN | EPOLLEXCLUSIVE, 1));
	EXPECT_ERRNO(ctl(EPOLL_CTL_MOD, fds[0], EPOLLIN, 1), EINVAL);
	ASSERT_EQ(write(fds[1], "x", 1), 1);
	EXPECT_EQ(ready(&data, &events), 1);
}

static volatile sig_atomic_t hits;

static void on_signal(int sig)
{
	hits++;
}

GUEST_TEST(pwait_mask)
{
	struct epoll_event ev;
	sigset_t block, none;

	setup();
	signal(SIGUSR1, on_signal);
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, NULL);
	raise(SIGUSR1);
	EXPECT_EQ(epoll_pwait(ep, &ev, 1, 0, NULL), 0);
	EXPECT_EQ(hits, 0);
	EXPECT_ERRNO(epoll_pwait(ep, &ev, 1, 10000, &none), EINTR);
	EXPECT_EQ(hits, 1);
}

GUEST_TEST(shared_after_fork)
{
	pid_t pid;

	setup();
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_OK(ctl(EPOLL_CTL_ADD, fds[1], EPOLLOUT, 3));
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(ready(&data, &events), 1);
	EXPECT_EQ(data, 3);
}
