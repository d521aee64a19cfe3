#include "tests/guest/inet_util.h"

#include <sys/epoll.h>

GUEST_TEST(connect_in_progress)
{
	int l = inet_listener(AF_INET, 4), c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct inet_any a = inet_name(l);

	EXPECT_ERRNO(connect(c, &a.u.sa, a.len), EINPROGRESS);
	EXPECT_EQ(inet_poll(c, POLLOUT), POLLOUT);
	EXPECT_EQ(inet_getint(c, SOL_SOCKET, SO_ERROR), 0);
	MAYBE_SAVE();
	EXPECT_OK(connect(c, &a.u.sa, a.len));
	EXPECT_ERRNO(connect(c, &a.u.sa, a.len), EISCONN);
}

GUEST_TEST(connect_refused_later)
{
	int l = inet_listener(AF_INET, 4), c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct inet_any a = inet_name(l);

	close(l);
	EXPECT_ERRNO(connect(c, &a.u.sa, a.len), EINPROGRESS);
	EXPECT_EQ(inet_poll(c, POLLERR | POLLHUP),
	          POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP);
	MAYBE_SAVE();
	EXPECT_EQ(inet_getint(c, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
	EXPECT_EQ(inet_getint(c, SOL_SOCKET, SO_ERROR), 0);
	close(c);
	c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	EXPECT_ERRNO(connect(c, &a.u.sa, a.len), EINPROGRESS);
	EXPECT_TRUE(inet_poll(c, POLLERR) & POLLERR);
	EXPECT_ERRNO(connect(c, &a.u.sa, a.len), ECONNREFUSED);
}

GUEST_TEST(full_queue_keeps_connects_waiting)
{
	int l = inet_listener(AF_INET, 0), c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct inet_any a = inet_name(l);
	int first = inet_connected(l), s;

	EXPECT_ERRNO(connect(c, &a.u.sa, a.len), EINPROGRESS);
	EXPECT_ERRNO(connect(c, &a.u.sa, a.len), EALREADY);
	EXPECT_EQ(inet_poll(c, 0), 0);
	EXPECT_ERRNO(send(c, "x", 1, MSG_NOSIGNAL), EAGAIN);
	MAYBE_SAVE();
	s = ASSERT_OK(accept(l, NULL, NULL));
	EXPECT_EQ(inet_poll(c, POLLOUT), POLLOUT);
	EXPECT_OK(connect(c, &a.u.sa, a.len));
	close(s);
	s = ASSERT_OK(accept(l, NULL, NULL));
	EXPECT_EQ(write(c, "second", 6), 6);
	EXPECT_EQ(inet_poll(s, POLLIN) & POLLIN, POLLIN);
	close(first);
}

GUEST_TEST(blocked_connect_is_accepted)
{
	int l = inet_listener(AF_INET, 0), s;
	int first = inet_connected(l);
	char b[4];
	pid_t pid = guest_fork();

	if (pid == 0) {
		int c = inet_connected(l);

		EXPECT_EQ(write(c, "abc", 3), 3);
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	s = ASSERT_OK(accept(l, NULL, NULL));
	close(s);
	s = ASSERT_OK(accept(l, NULL, NULL));
	EXPECT_EQ(recv(s, b, 3, MSG_WAITALL), 3);
	EXPECT_EQ(guest_reap(pid), 0);
	close(first);
}

GUEST_TEST(accept_would_block)
{
	int l = inet_listener(AF_INET, 4), c, s;

	fcntl(l, F_SETFL, O_NONBLOCK);
	EXPECT_ERRNO(accept(l, NULL, NULL), EAGAIN);
	EXPECT_EQ(inet_poll(l, 0), 0);
	c = inet_connected(l);
	EXPECT_EQ(inet_poll(l, POLLIN), POLLIN);
	s = ASSERT_OK(accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
	EXPECT_EQ(fcntl(s, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	EXPECT_EQ(fcntl(s, F_GETFD), FD_CLOEXEC);
	EXPECT_ERRNO(read(s, &c, 1), EAGAIN);
}

GUEST_TEST(full_buffers)
{
	static char junk[65536];
	size_t sent = 0, got = 0;
	int fds[2];
	ssize_t r;

	inet_pair(AF_INET, fds);
	inet_setint(fds[0], SOL_SOCKET, SO_SNDBUF, 32768);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	for (;;) {
		r = write(fds[0], junk, sizeof(junk));
		if (r < 0) {
			/* Memory may come free once more while it settles. */
			EXPECT_EQ(errno, EAGAIN);
			guest_sleep_ms(20);
			r = write(fds[0], junk, sizeof(junk));
			if (r < 0)
				break;
		}
		sent += (size_t)r;
	}
	EXPECT_EQ(inet_poll(fds[0], 0) & POLLOUT, 0);
	MAYBE_SAVE();
	fcntl(fds[1], F_SETFL, O_NONBLOCK);
	while (got < sent) {
		r = read(fds[1], junk, sizeof(junk));
		if (r < 0 && errno == EAGAIN) {
			guest_sleep_ms(1);
			continue;
		}
		ASSERT_TRUE(r > 0);
		got += (size_t)r;
	}
	EXPECT_EQ(got, sent);
	EXPECT_TRUE(inet_poll(fds[0], POLLOUT) & POLLOUT);
}

GUEST_TEST(edges)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
	int ep = epoll_create1(0), fds[2];
	char b[8];

	inet_pair(AF_INET, fds);
	ASSERT_OK(epoll_ctl(ep, EPOLL_CTL_ADD, fds[1], &ev));
	EXPECT_EQ(epoll_wait(ep, &ev, 1, 0), 1);
	EXPECT_EQ(ev.events, EPOLLOUT);
	EXPECT_EQ(epoll_wait(ep, &ev, 1, 0), 0);
	ASSERT_EQ(write(fds[0], "abc", 3), 3);
	EXPECT_EQ(epoll_wait(ep, &ev, 1, 10000), 1);
	EXPECT_EQ(ev.events, EPOLLIN | EPOLLOUT);
	EXPECT_EQ(epoll_wait(ep, &ev, 1, 0), 0);
	MAYBE_SAVE();
	/* More of the same is another edge. */
	ASSERT_EQ(write(fds[0], "d", 1), 1);
	EXPECT_EQ(epoll_wait(ep, &ev, 1, 10000), 1);
	EXPECT_EQ(read(fds[1], b, 8), 4);
	close(fds[0]);
	EXPECT_EQ(epoll_wait(ep, &ev, 1, 10000), 1);
	EXPECT_EQ(ev.events, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
}

GUEST_TEST(timeouts)
{
	struct timeval tv = {0, 50000};
	int fds[2], l = inet_listener(AF_INET, 1);
	int64_t start = guest_now(CLOCK_MONOTONIC);

	inet_pair(AF_INET, fds);
	ASSERT_OK(setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	ASSERT_OK(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	EXPECT_ERRNO(read(fds[0], &tv, 1), EAGAIN);
	EXPECT_ERRNO(accept(l, NULL, NULL), EAGAIN);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, 90000000);
}
