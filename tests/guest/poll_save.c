#include "tests/guest/guest_test.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>

/* Pollers of every kind that sleep while all is saved. */

static int fds[2];

static void in_poll(void)
{
	struct pollfd p = {fds[0], POLLIN, 0};

	EXPECT_EQ(poll(&p, 1, -1), 1);
}

static void in_ppoll(void)
{
	struct pollfd p = {fds[0], POLLIN, 0};
	struct timespec ts = {1000, 0};
	sigset_t set;

	sigfillset(&set);
	EXPECT_EQ(ppoll(&p, 1, &ts, &set), 1);
}

static void in_select(void)
{
	struct timeval tv = {1000, 0};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fds[0], &set);
	EXPECT_EQ(select(fds[0] + 1, &set, NULL, NULL, &tv), 1);
}

static void in_pselect(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fds[0], &set);
	EXPECT_EQ(pselect(fds[0] + 1, &set, NULL, NULL, NULL, NULL), 1);
}

static void in_epoll(void)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 99};
	int ep = epoll_create1(0);

	EXPECT_OK(epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &ev));
	ev.data.u64 = 0;
	EXPECT_EQ(epoll_wait(ep, &ev, 1, 1000000), 1);
	EXPECT_EQ(ev.data.u64, 99);
}

static void in_nested_epoll(void)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 98};
	int inner = epoll_create1(0), outer = epoll_create1(0);

	EXPECT_OK(epoll_ctl(inner, EPOLL_CTL_ADD, fds[0], &ev));
	EXPECT_OK(epoll_ctl(outer, EPOLL_CTL_ADD, inner, &ev));
	EXPECT_EQ(epoll_wait(outer, &ev, 1, -1), 1);
}

static void (*const kinds[])(void) = {in_poll,    in_ppoll, in_select,
                                      in_pselect, in_epoll, in_nested_epoll};

GUEST_TEST(every_kind)
{
	pid_t pids[GUEST_COUNT(kinds)];

	ASSERT_OK(pipe(fds));
	for (size_t i = 0; i < GUEST_COUNT(kinds); i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0) {
			kinds[i]();
			_exit(0);
		}
	}
	for (size_t i = 0; i < GUEST_COUNT(kinds); i++)
		guest_wait_blocked(pids[i]);
	MAYBE_SAVE();
	for (size_t i = 0; i < GUEST_COUNT(kinds); i++)
		EXPECT_EQ(waitpid(pids[i], NULL, WNOHANG), 0);
	EXPECT_EQ(write(fds[1], "x", 1), 1);
	for (size_t i = 0; i < GUEST_COUNT(kinds); i++)
		EXPECT_EQ(guest_reap(pids[i]), 0);
}

GUEST_TEST(timeouts_run_on)
{
	struct pollfd p = {.events = POLLIN};
	pid_t pid;

	ASSERT_OK(pipe(fds));
	p.fd = fds[0];
	pid = guest_fork();
	if (pid == 0) {
		int64_t start = guest_now(CLOCK_MONOTONIC);

		EXPECT_EQ(poll(&p, 1, 60), 0);
		EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, 60000000);
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(epoll_interest_list)
{
	enum {
		N = 20
	};
	struct epoll_event ev;
	int ep = epoll_create1(0), e[N], copies[N];
	unsigned seen = 0;

	for (int i = 0; i < N; i++) {
		e[i] = ASSERT_OK(eventfd(0, 0));
		copies[i] = ASSERT_OK(dup(e[i]));
		ev.events = i % 2 ? EPOLLIN : EPOLLIN | EPOLLET;
		ev.data.u64 = (uint64_t)i << 32 | 7;
		ASSERT_OK(epoll_ctl(ep, EPOLL_CTL_ADD, e[i], &ev));
		if (i % 5 == 0)
			close(e[i]); /* the copy keeps it watched */
	}
	MAYBE_SAVE();
	for (int i = 0; i < N; i++)
		eventfd_write(copies[i], 1);
	for (int i = 0; i < N; i++) {
		ASSERT_EQ(epoll_wait(ep, &ev, 1, 0), 1);
		EXPECT_EQ(ev.data.u32, 7);
		seen |= 1u << (ev.data.u64 >> 32);
	}
	EXPECT_EQ(seen, (1u << N) - 1);
}

GUEST_TEST(edge_state)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	int ep = epoll_create1(0), a = eventfd(1, 0), b = eventfd(1, 0);

	ev.data.u32 = 1;
	ASSERT_OK(epoll_ctl(ep, EPOLL_CTL_ADD, a, &ev));
	ASSERT_EQ(epoll_wait(ep, &ev, 1, 0), 1);
	ev.events = EPOLLIN | EPOLLET;
	ev.data.u32 = 2;
	ASSERT_OK(epoll_ctl(ep, EPOLL_CTL_ADD, b, &ev));
	/* a was reported, b not yet. */
	MAYBE_SAVE();
	ASSERT_EQ(epoll_wait(ep, &ev, 1, 0), 1);
	EXPECT_EQ(ev.data.u32, 2);
	EXPECT_EQ(epoll_wait(ep, &ev, 1, 0), 0);
	eventfd_write(a, 1);
	ASSERT_EQ(epoll_wait(ep, &ev, 1, 0), 1);
	EXPECT_EQ(ev.data.u32, 1);
}
