#include "tests/guest/inet_util.h"

#include <netinet/udp.h>

static const int families[] = {AF_INET, AF_INET6};

GUEST_TEST(datagrams_keep_their_borders)
{
	for (size_t i = 0; i < GUEST_COUNT(families); i++) {
		int a = inet_bound(families[i], SOCK_DGRAM),
		    b = inet_bound(families[i], SOCK_DGRAM);
		struct inet_any to = inet_name(a), own = inet_name(b),
				from = {.len = sizeof(from.u)};
		char buf[16] = "";
		int n;

		ASSERT_EQ(sendto(b, "one", 3, 0, &to.u.sa, to.len), 3);
		ASSERT_EQ(sendto(b, "", 0, 0, &to.u.sa, to.len), 0);
		ASSERT_EQ(sendto(b, "three", 5, 0, &to.u.sa, to.len), 5);
		EXPECT_TRUE(inet_poll(a, POLLIN) & POLLIN);
		MAYBE_SAVE();
		ASSERT_OK(ioctl(a, FIONREAD, &n));
		EXPECT_EQ(n, 3);
		EXPECT_EQ(recv(a, buf, 16, MSG_PEEK), 3);
		EXPECT_EQ(recvfrom(a, buf, 16, 0, &from.u.sa, &from.len), 3);
		EXPECT_EQ(memcmp(buf, "one", 3), 0);
		EXPECT_EQ(from.len, own.len);
		EXPECT_EQ(inet_port(&from), inet_port(&own));
		EXPECT_EQ(recv(a, buf, 16, 0), 0);
		EXPECT_EQ(recv(a, buf, 2, MSG_TRUNC), 5);
		EXPECT_ERRNO(recv(a, buf, 16, MSG_DONTWAIT), EAGAIN);
		EXPECT_EQ(inet_poll(a, 0), POLLOUT);
		close(a);
		close(b);
	}
}

GUEST_TEST(truncation_is_told)
{
	int a = inet_bound(AF_INET, SOCK_DGRAM);
	struct inet_any to = inet_name(a);
	char buf[4];
	struct iovec iov = {buf, 4};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	ASSERT_EQ(sendto(a, "longer", 6, 0, &to.u.sa, to.len), 6);
	EXPECT_EQ(recvmsg(a, &m, 0), 4);
	EXPECT_EQ(m.msg_flags, MSG_TRUNC);
	EXPECT_ERRNO(sendto(a, NULL, 70000, 0, &to.u.sa, to.len), EMSGSIZE);
	EXPECT_ERRNO(send(a, "x", 1, 0), EDESTADDRREQ);
}

GUEST_TEST(connected)
{
	int a = inet_bound(AF_INET, SOCK_DGRAM), b = inet_bound(AF_INET, SOCK_DGRAM);
	int c = socket(AF_INET, SOCK_DGRAM, 0);
	struct inet_any na = inet_name(a), nb = inet_name(b), n;
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	char buf[8];

	ASSERT_OK(connect(a, &nb.u.sa, nb.len));
	n = inet_peer(a);
	EXPECT_EQ(inet_port(&n), inet_port(&nb));
	/* Others are not heard. */
	ASSERT_EQ(sendto(c, "no", 2, 0, &na.u.sa, na.len), 2);
	ASSERT_EQ(sendto(b, "yes", 3, 0, &na.u.sa, na.len), 3);
	MAYBE_SAVE();
	EXPECT_EQ(recv(a, buf, 8, 0), 3);
	EXPECT_ERRNO(recv(a, buf, 8, MSG_DONTWAIT), EAGAIN);
	EXPECT_EQ(send(a, "back", 4, 0), 4);
	EXPECT_EQ(recv(b, buf, 8, 0), 4);
	ASSERT_OK(connect(a, &none, sizeof(none)));
	EXPECT_ERRNO(send(a, "x", 1, 0), EDESTADDRREQ);
	ASSERT_OK(connect(c, &nb.u.sa, nb.len));
	n = inet_name(c);
	EXPECT_EQ(n.u.in.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	EXPECT_NE(inet_port(&n), 0);
}

GUEST_TEST(refused)
{
	int a = inet_bound(AF_INET, SOCK_DGRAM), b = socket(AF_INET, SOCK_DGRAM, 0);
	struct inet_any na = inet_name(a);
	char buf[8];

	close(a);
	/* Nobody tells a socket that is not connected. */
	EXPECT_EQ(sendto(b, "x", 1, 0, &na.u.sa, na.len), 1);
	EXPECT_ERRNO(recv(b, buf, 8, MSG_DONTWAIT), EAGAIN);
	ASSERT_OK(connect(b, &na.u.sa, na.len));
	EXPECT_EQ(send(b, "x", 1, 0), 1);
	EXPECT_TRUE(inet_poll(b, POLLERR) & POLLERR);
	MAYBE_SAVE();
	EXPECT_ERRNO(recv(b, buf, 8, 0), ECONNREFUSED);
	EXPECT_EQ(send(b, "x", 1, 0), 1);
	EXPECT_TRUE(inet_poll(b, POLLERR) & POLLERR);
	EXPECT_EQ(inet_getint(b, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
	EXPECT_EQ(inet_getint(b, SOL_SOCKET, SO_ERROR), 0);
}

GUEST_TEST(shutdown_of_datagram_sockets)
{
	int a = inet_bound(AF_INET, SOCK_DGRAM), b = socket(AF_INET, SOCK_DGRAM, 0);
	struct inet_any na = inet_name(a);

	EXPECT_ERRNO(shutdown(b, SHUT_RD), ENOTCONN);
	ASSERT_OK(connect(b, &na.u.sa, na.len));
	ASSERT_OK(shutdown(b, SHUT_WR));
	EXPECT_ERRNO(send(b, "x", 1, MSG_NOSIGNAL), EPIPE);
	ASSERT_OK(shutdown(b, SHUT_RD));
	EXPECT_EQ(inet_poll(b, POLLHUP), POLLIN | POLLOUT | POLLHUP | POLLRDHUP);
	EXPECT_EQ(recv(b, &na, 1, 0), 0);
}

GUEST_TEST(corked)
{
	int a = inet_bound(AF_INET, SOCK_DGRAM), b = socket(AF_INET, SOCK_DGRAM, 0);
	struct inet_any na = inet_name(a);
	char buf[16];

	ASSERT_OK(connect(b, &na.u.sa, na.len));
	EXPECT_EQ(send(b, "ab", 2, MSG_MORE), 2);
	EXPECT_ERRNO(recv(a, buf, 16, MSG_DONTWAIT), EAGAIN);
	MAYBE_SAVE();
	EXPECT_EQ(send(b, "cd", 2, 0), 2);
	EXPECT_EQ(recv(a, buf, 16, 0), 4);
	ASSERT_OK(inet_setint(b, SOL_UDP, UDP_CORK, 1));
	EXPECT_EQ(send(b, "123", 3, 0), 3);
	EXPECT_EQ(send(b, "45", 2, 0), 2);
	ASSERT_OK(inet_setint(b, SOL_UDP, UDP_CORK, 0));
	EXPECT_EQ(recv(a, buf, 16, 0), 5);
	EXPECT_EQ(memcmp(buf, "12345", 5), 0);
}

GUEST_TEST(full_receivers_drop)
{
	static char junk[1000];
	int a = inet_bound(AF_INET, SOCK_DGRAM), b = socket(AF_INET, SOCK_DGRAM, 0), n = 0;
	struct inet_any na = inet_name(a);

	ASSERT_OK(inet_setint(a, SOL_SOCKET, SO_RCVBUF, 4096));
	for (int i = 0; i < 100; i++)
		ASSERT_EQ(sendto(b, junk, sizeof(junk), 0, &na.u.sa, na.len), sizeof(junk));
	MAYBE_SAVE();
	while (recv(a, junk, sizeof(junk), MSG_DONTWAIT) > 0)
		n++;
	EXPECT_GE(n, 1);
	EXPECT_LT(n, 50);
}

GUEST_TEST(blocked_receive)
{
	int a = inet_bound(AF_INET, SOCK_DGRAM), b = socket(AF_INET, SOCK_DGRAM, 0);
	struct inet_any na = inet_name(a);
	char buf[8];
	pid_t pid = guest_fork();

	if (pid == 0) {
		EXPECT_EQ(recv(a, buf, 8, 0), 4);
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	ASSERT_EQ(sendto(b, "wake", 4, 0, &na.u.sa, na.len), 4);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(many_at_once)
{
	int a = inet_bound(AF_INET, SOCK_DGRAM), b = socket(AF_INET, SOCK_DGRAM, 0);
	struct inet_any na = inet_name(a);
	struct mmsghdr mm[4] = {0};
	struct iovec iov[4];
	char buf[4][8];

	for (int i = 0; i < 4; i++) {
		iov[i] = (struct iovec){(void *)"abcd", (size_t)i + 1};
		mm[i].msg_hdr.msg_iov = &iov[i];
		mm[i].msg_hdr.msg_iovlen = 1;
		mm[i].msg_hdr.msg_name = &na.u;
		mm[i].msg_hdr.msg_namelen = na.len;
	}
	EXPECT_EQ(sendmmsg(b, mm, 4, 0), 4);
	EXPECT_EQ(mm[3].msg_len, 4);
	for (int i = 0; i < 4; i++) {
		iov[i] = (struct iovec){buf[i], 8};
		mm[i].msg_hdr.msg_name = NULL;
	}
	EXPECT_EQ(recvmmsg(a, mm, 4, MSG_WAITFORONE, NULL), 4);
	for (unsigned i = 0; i < 4; i++)
		EXPECT_EQ(mm[i].msg_len, i + 1);
}
