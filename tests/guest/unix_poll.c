#include "tests/guest/guest_test.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

/* What poll and epoll say of AF_UNIX sockets. */

#define ALL (POLLIN | POLLOUT | POLLRDHUP | POLLPRI)

static int s[2];

static int look(int fd)
{
	struct pollfd p = {fd, ALL, 0};

	EXPECT_GE(poll(&p, 1, 0), 0);
	return p.revents;
}

GUEST_TEST(states_of_a_stream)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), n;

	EXPECT_EQ(look(c), POLLOUT | POLLHUP);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", guest_path("l"));
	ASSERT_OK(bind(l, (void *)&a, sizeof(a)));
	ASSERT_OK(listen(l, 3));
	EXPECT_EQ(look(l), 0);
	EXPECT_OK(connect(c, (void *)&a, sizeof(a)));
	MAYBE_SAVE();
	EXPECT_EQ(look(l), POLLIN);
	EXPECT_EQ(look(c), POLLOUT);
	n = accept(l, NULL, NULL);
	EXPECT_EQ(look(l), 0);
	EXPECT_EQ(write(c, "x", 1), 1);
	EXPECT_EQ(look(n), POLLIN | POLLOUT);
	EXPECT_OK(shutdown(c, SHUT_WR));
	MAYBE_SAVE();
	EXPECT_EQ(look(n), POLLIN | POLLOUT | POLLRDHUP);
	EXPECT_EQ(look(c), POLLOUT);
	EXPECT_OK(shutdown(n, SHUT_WR));
	EXPECT_EQ(look(c), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	EXPECT_EQ(look(n), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	/* Closed with a byte unread. */
	close(n);
	EXPECT_EQ(look(c), POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR);
	close(l);
}

GUEST_TEST(states_of_packets)
{
	char c;

	EXPECT_EQ(look(socket(AF_UNIX, SOCK_DGRAM, 0)), POLLOUT);
	EXPECT_EQ(look(socket(AF_UNIX, SOCK_SEQPACKET, 0)), POLLOUT | POLLHUP);
	ASSERT_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	EXPECT_EQ(look(s[0]), POLLOUT);
	EXPECT_EQ(send(s[0], "", 0, 0), 0);
	MAYBE_SAVE();
	EXPECT_EQ(look(s[1]), POLLIN | POLLOUT);
	EXPECT_EQ(recv(s[1], &c, 1, 0), 0);
	EXPECT_EQ(look(s[1]), POLLOUT);
	close(s[0]);
	EXPECT_EQ(look(s[1]), POLLOUT);
	ASSERT_OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
	close(s[0]);
	EXPECT_EQ(look(s[1]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
}

static void fill(int fd)
{
	static char block[4096];

	while (send(fd, block, sizeof(block), MSG_DONTWAIT) > 0)
		;
	EXPECT_EQ(errno, EAGAIN);
}

GUEST_TEST(a_full_stream)
{
	static char block[1 << 20];

	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	fill(s[0]);
	EXPECT_EQ(look(s[0]), 0);
	MAYBE_SAVE();
	EXPECT_EQ(look(s[0]), 0);
	EXPECT_GT(recv(s[1], block, sizeof(block), 0), 0);
	while (recv(s[1], block, sizeof(block), MSG_DONTWAIT) > 0)
		;
	EXPECT_EQ(look(s[0]), POLLOUT);
}

static struct epoll_event wait_one(int ep, int timeout)
{
	struct epoll_event ev = {0};

	if (epoll_wait(ep, &ev, 1, timeout) != 1)
		ev.events = 0;
	return ev;
}

GUEST_TEST(edges)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
	int ep = epoll_create1(0);
	char c;

	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	ASSERT_OK(epoll_ctl(ep, EPOLL_CTL_ADD, s[1], &ev));
	EXPECT_EQ(wait_one(ep, 0).events, EPOLLOUT);
	EXPECT_EQ(wait_one(ep, 0).events, 0);
	EXPECT_EQ(write(s[0], "a", 1), 1);
	EXPECT_EQ(wait_one(ep, -1).events, EPOLLIN | EPOLLOUT);
	EXPECT_EQ(wait_one(ep, 0).events, 0);
	MAYBE_SAVE();
	/* Every arrival is an edge, though the first was not read. */
	EXPECT_EQ(write(s[0], "b", 1), 1);
	EXPECT_EQ(wait_one(ep, -1).events, EPOLLIN | EPOLLOUT);
	EXPECT_EQ(read(s[1], &c, 1), 1);
	EXPECT_EQ(shutdown(s[0], SHUT_WR), 0);
	EXPECT_EQ(wait_one(ep, -1).events, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	close(s[0]);
	EXPECT_EQ(wait_one(ep, -1).events, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
}

GUEST_TEST(a_waiter_for_each)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int l = socket(AF_UNIX, SOCK_STREAM, 0), ep, st[2], hup[2], full[2];
	static char block[1 << 20];
	pid_t pids[4];
	int fds[4];
	struct {
		int fd;
		unsigned events;
	} want[4];

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", guest_path("l"));
	ASSERT_OK(bind(l, (void *)&a, sizeof(a)));
	ASSERT_OK(listen(l, 3));
	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, st));
	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, hup));
	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, full));
	fill(full[0]);
	want[0].fd = l;
	want[0].events = EPOLLIN;
	want[1].fd = st[1];
	want[1].events = EPOLLIN;
	want[2].fd = hup[1];
	want[2].events = EPOLLRDHUP;
	want[3].fd = full[0];
	want[3].events = EPOLLOUT;
	(void)fds;
	for (int i = 0; i < 4; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0) {
			struct epoll_event ev = {.events = want[i].events};

			/* Or the child's copy would keep the other end open. */
			close(hup[0]);
			ep = epoll_create1(0);
			ASSERT_OK(epoll_ctl(ep, EPOLL_CTL_ADD, want[i].fd, &ev));
			EXPECT_TRUE(wait_one(ep, -1).events & want[i].events);
			_exit(0);
		}
	}
	for (int i = 0; i < 4; i++)
		guest_wait_blocked(pids[i]);
	MAYBE_SAVE();
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(waitpid(pids[i], NULL, WNOHANG), 0);
	EXPECT_OK(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, sizeof(a)));
	EXPECT_EQ(guest_reap(pids[0]), 0);
	EXPECT_EQ(write(st[0], "x", 1), 1);
	EXPECT_EQ(guest_reap(pids[1]), 0);
	close(hup[0]);
	EXPECT_EQ(guest_reap(pids[2]), 0);
	while (recv(full[1], block, sizeof(block), MSG_DONTWAIT) > 0)
		;
	EXPECT_EQ(guest_reap(pids[3]), 0);
}

GUEST_TEST(in_flight_and_watched)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 5};
	_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(sizeof(int))] = {0};
	char x[] = "x";
	struct iovec iov = {x, 1};
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = ctl,
	                   .msg_controllen = sizeof(ctl)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	int ep = epoll_create1(0), t[2];

	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, t));
	ASSERT_OK(epoll_ctl(ep, EPOLL_CTL_ADD, t[1], &ev));
	*h = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(h), &t[1], sizeof(int));
	EXPECT_EQ(sendmsg(s[0], &m, 0), 1);
	close(t[1]);
	MAYBE_SAVE();
	/* The description lives in the queue and is watched still. */
	EXPECT_EQ(write(t[0], "x", 1), 1);
	ev = wait_one(ep, -1);
	EXPECT_EQ(ev.events, EPOLLIN);
	EXPECT_EQ(ev.data.u32, 5);
	close(s[1]);
	EXPECT_EQ(wait_one(ep, 0).events, 0);
}
