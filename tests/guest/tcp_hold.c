#include "tests/guest/inet_util.h"

#include <linux/errqueue.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>

/* A connected pair: [0] sends. */
static void pair(int family, int fd[2])
{
	int l = inet_listener(family, 1);
	struct inet_any a = inet_name(l);

	fd[0] = ASSERT_OK(socket(family, SOCK_STREAM, 0));
	ASSERT_OK(connect(fd[0], &a.u.sa, a.len));
	fd[1] = ASSERT_OK(accept(l, NULL, NULL));
	close(l);
}

static int readable(int fd)
{
	int n = -1;

	EXPECT_OK(ioctl(fd, FIONREAD, &n));
	return n;
}

/* What is corked waits for the cork to go; the clock would pull it after 200 ms, so nothing is said
 * of what is not there yet. */
GUEST_TEST(cork)
{
	char buf[64];
	int fd[2];

	pair(AF_INET, fd);
	ASSERT_OK(inet_setint(fd[0], SOL_TCP, TCP_CORK, 1));
	EXPECT_EQ(send(fd[0], "one ", 4, 0), 4);
	EXPECT_EQ(send(fd[0], "two", 3, 0), 3);
	MAYBE_SAVE();
	ASSERT_OK(inet_setint(fd[0], SOL_TCP, TCP_CORK, 0));
	EXPECT_EQ(recv(fd[1], buf, sizeof(buf), 0), 7);
	/* One call is told that more comes, the next that it does not. */
	EXPECT_EQ(send(fd[0], "three ", 6, MSG_MORE), 6);
	EXPECT_EQ(send(fd[0], "four", 4, 0), 4);
	EXPECT_EQ(recv(fd[1], buf, 10, MSG_WAITALL | MSG_PEEK), 10);
	EXPECT_EQ(recv(fd[1], buf, sizeof(buf), 0), 10);
}

/* By the clock, and by the end. */
GUEST_TEST(cork_ends)
{
	char buf[64];
	int fd[2];

	pair(AF_INET6, fd);
	EXPECT_EQ(send(fd[0], "late", 4, MSG_MORE), 4);
	MAYBE_SAVE();
	EXPECT_EQ(recv(fd[1], buf, sizeof(buf), 0), 4);
	EXPECT_EQ(send(fd[0], "last", 4, MSG_MORE), 4);
	EXPECT_OK(shutdown(fd[0], SHUT_WR));
	EXPECT_EQ(recv(fd[1], buf, sizeof(buf), 0), 4);
	EXPECT_EQ(recv(fd[1], buf, sizeof(buf), 0), 0);
}

/* More than a segment does not wait. */
GUEST_TEST(cork_full)
{
	static char big[200000];
	int fd[2];

	pair(AF_INET, fd);
	ASSERT_OK(inet_setint(fd[0], SOL_TCP, TCP_CORK, 1));
	EXPECT_EQ(send(fd[0], big, 100000, 0), 100000);
	EXPECT_TRUE(readable(fd[1]) >= 32768);
	EXPECT_OK(inet_setint(fd[0], SOL_TCP, TCP_NODELAY, 1));
	EXPECT_EQ(recv(fd[1], big, 100000, MSG_WAITALL), 100000);
}

/* A silent client is not yet accepted; one that speaks is. */
/* What is held back has not arrived: closing does not throw it away. */
GUEST_TEST(cork_for_nobody)
{
	int fd[2];
	char c;

	inet_pair(AF_INET, fd);
	ASSERT_OK(inet_setint(fd[0], SOL_TCP, TCP_CORK, 1));
	ASSERT_EQ(send(fd[0], "held", 4, 0), 4);
	close(fd[1]);
	EXPECT_EQ(recv(fd[0], &c, 1, 0), 0);
	MAYBE_SAVE();
	signal(SIGPIPE, SIG_IGN);
	while (send(fd[0], "more", 4, 0) == 4) {
		EXPECT_OK(inet_setint(fd[0], SOL_TCP, TCP_CORK, 0));
		usleep(1000);
	}
	EXPECT_TRUE(errno == EPIPE || errno == ECONNRESET);
	close(fd[0]);
}

GUEST_TEST(defer)
{
	int l = inet_listener(AF_INET, 4), c = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0)), s;
	struct inet_any a = inet_name(l);
	struct pollfd p = {.fd = l, .events = POLLIN};
	char buf[8];

	ASSERT_OK(inet_setint(l, SOL_TCP, TCP_DEFER_ACCEPT, 60));
	ASSERT_OK(fcntl(l, F_SETFL, O_NONBLOCK));
	ASSERT_OK(connect(c, &a.u.sa, a.len));
	EXPECT_ERRNO(accept(l, NULL, NULL), EAGAIN);
	EXPECT_EQ(poll(&p, 1, 0), 0);
	MAYBE_SAVE();
	EXPECT_EQ(send(c, "hi", 2, 0), 2);
	EXPECT_EQ(poll(&p, 1, -1), 1);
	s = ASSERT_OK(accept(l, NULL, NULL));
	EXPECT_EQ(recv(s, buf, sizeof(buf), 0), 2);
}

/* A client that only leaves has said something, too; a listener that leaves refuses. */
GUEST_TEST(defer_ends)
{
	int l = inet_listener(AF_INET, 4), c, s;
	struct inet_any a = inet_name(l);
	struct pollfd p = {.fd = l, .events = POLLIN};
	char buf[8];

	ASSERT_OK(inet_setint(l, SOL_TCP, TCP_DEFER_ACCEPT, 60));
	c = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0));
	ASSERT_OK(connect(c, &a.u.sa, a.len));
	close(c);
	EXPECT_EQ(poll(&p, 1, -1), 1);
	s = ASSERT_OK(accept(l, NULL, NULL));
	EXPECT_EQ(recv(s, buf, sizeof(buf), 0), 0);
	c = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0));
	ASSERT_OK(connect(c, &a.u.sa, a.len));
	MAYBE_SAVE();
	close(l);
	/* Natively it finds out when it speaks. */
	send(c, "x", 1, MSG_NOSIGNAL);
	EXPECT_ERRNO(recv(c, buf, sizeof(buf), 0), ECONNRESET);
}

/* Nobody waits for ever: the shortest time is a second. */
GUEST_TEST(defer_times_out)
{
	int l = inet_listener(AF_INET, 4), c = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0));
	struct inet_any a = inet_name(l);

	ASSERT_OK(inet_setint(l, SOL_TCP, TCP_DEFER_ACCEPT, 1));
	ASSERT_OK(connect(c, &a.u.sa, a.len));
	MAYBE_SAVE();
	EXPECT_OK(accept(l, NULL, NULL));
}

/* A page that is not there, in the midst of a send: none of the piece goes. */
GUEST_TEST(bad_memory)
{
	char *page = mmap(NULL, 2 * GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	                  -1, 0);
	char buf[8];
	int fd[2];

	munmap(page + GUEST_PAGE, GUEST_PAGE);
	pair(AF_INET, fd);
	EXPECT_ERRNO(send(fd[0], page + GUEST_PAGE - 4, 8, 0), EFAULT);
	EXPECT_ERRNO(recv(fd[1], buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	EXPECT_EQ(send(fd[0], "good", 4, 0), 4);
	EXPECT_EQ(recv(fd[1], buf, sizeof(buf), 0), 4);
}

GUEST_TEST(stamps)
{
	char buf[8], control[256];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = control,
	                   .msg_controllen = sizeof(control)};
	struct cmsghdr *h = NULL;
	int fd[2];

	pair(AF_INET, fd);
	ASSERT_OK(inet_setint(fd[1], SOL_SOCKET, SO_TIMESTAMP, 1));
	EXPECT_EQ(send(fd[0], "now", 3, 0), 3);
	MAYBE_SAVE();
	/* Natively stamps begin a moment after somebody asked for the first. */
	for (unsigned i = 0; i < 1000; i++) {
		m.msg_controllen = sizeof(control);
		EXPECT_EQ(recvmsg(fd[1], &m, 0), 3);
		h = CMSG_FIRSTHDR(&m);
		if (h)
			break;
		usleep(1000);
		EXPECT_EQ(send(fd[0], "now", 3, 0), 3);
	}
	ASSERT_TRUE(h);
	EXPECT_EQ(h->cmsg_type, SO_TIMESTAMP);
	EXPECT_EQ(h->cmsg_len, CMSG_LEN(16));
}

/* IPv6 tells how much would have gone. */
GUEST_TEST(too_long)
{
	static char big[65600];
	char buf[8], control[256];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = control,
	                   .msg_controllen = sizeof(control)};
	struct sock_extended_err *ee;
	int r = inet_bound(AF_INET6, SOCK_DGRAM), s = ASSERT_OK(socket(AF_INET6, SOCK_DGRAM, 0));
	struct inet_any a = inet_name(r);

	ASSERT_OK(connect(s, &a.u.sa, a.len));
	EXPECT_ERRNO(send(s, big, 65530, 0), EMSGSIZE);
	EXPECT_ERRNO(recvmsg(s, &m, MSG_ERRQUEUE), EAGAIN);
	ASSERT_OK(inet_setint(s, SOL_IPV6, IPV6_RECVERR, 1));
	EXPECT_ERRNO(send(s, big, 65530, 0), EMSGSIZE);
	MAYBE_SAVE();
	EXPECT_EQ(recvmsg(s, &m, MSG_ERRQUEUE), 0);
	ASSERT_TRUE(CMSG_FIRSTHDR(&m));
	ee = (struct sock_extended_err *)(void *)CMSG_DATA(CMSG_FIRSTHDR(&m));
	EXPECT_EQ(ee->ee_errno, EMSGSIZE);
	EXPECT_EQ(ee->ee_origin, SO_EE_ORIGIN_LOCAL);
	EXPECT_EQ(ee->ee_info, 65536);
	EXPECT_EQ(inet_getint(s, SOL_SOCKET, SO_ERROR), 0);
}
