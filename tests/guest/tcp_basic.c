#include "tests/guest/inet_util.h"

#include <sys/uio.h>

static const int families[] = {AF_INET, AF_INET6};

GUEST_TEST(connect_accept_and_names)
{
	for (size_t i = 0; i < GUEST_COUNT(families); i++) {
		int l = inet_listener(families[i], 4), c = inet_connected(l), s;
		struct inet_any at = inet_name(l), from = {.len = sizeof(from.u)}, n;

		s = ASSERT_OK(accept(l, &from.u.sa, &from.len));
		n = inet_name(c);
		EXPECT_EQ(from.len, n.len);
		EXPECT_EQ(memcmp(&from.u, &n.u, n.len), 0);
		n = inet_peer(c);
		EXPECT_EQ(inet_port(&n), inet_port(&at));
		n = inet_peer(s);
		EXPECT_EQ(inet_port(&n), inet_port(&from));
		n = inet_name(s);
		EXPECT_EQ(inet_port(&n), inet_port(&at));
		EXPECT_EQ(inet_getint(l, SOL_SOCKET, SO_ACCEPTCONN), 1);
		EXPECT_EQ(inet_getint(s, SOL_SOCKET, SO_ACCEPTCONN), 0);
		EXPECT_EQ(inet_getint(s, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
		EXPECT_EQ(inet_getint(s, SOL_SOCKET, SO_DOMAIN), families[i]);
		EXPECT_EQ(inet_getint(s, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
		close(c);
		close(s);
		close(l);
	}
}

GUEST_TEST(both_ways_in_order)
{
	static char out[300000], in[300000];

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 7 + i / 251);
	for (size_t f = 0; f < GUEST_COUNT(families); f++) {
		int fds[2];
		pid_t pid;

		inet_pair(families[f], fds);
		pid = guest_fork();
		if (pid == 0) {
			close(fds[0]);
			ASSERT_EQ(inet_recv_all(fds[1], in, sizeof(in)), sizeof(in));
			inet_send_all(fds[1], in, sizeof(in));
			_exit(0);
		}
		close(fds[1]);
		inet_send_all(fds[0], out, sizeof(out));
		memset(in, 0, sizeof(in));
		EXPECT_EQ(inet_recv_all(fds[0], in, sizeof(in)), sizeof(in));
		EXPECT_EQ(memcmp(in, out, sizeof(in)), 0);
		EXPECT_EQ(read(fds[0], in, 1), 0);
		EXPECT_EQ(guest_reap(pid), 0);
		close(fds[0]);
	}
}

GUEST_TEST(flags_of_receives)
{
	struct iovec iov[2];
	char a[4] = "", b[8] = "";
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
	int fds[2];

	inet_pair(AF_INET, fds);
	ASSERT_EQ(send(fds[0], "abcdefgh", 8, 0), 8);
	EXPECT_TRUE(inet_poll(fds[1], POLLIN) & POLLIN);
	MAYBE_SAVE();
	EXPECT_EQ(recv(fds[1], a, 3, MSG_PEEK), 3);
	EXPECT_EQ(memcmp(a, "abc", 3), 0);
	EXPECT_EQ(recv(fds[1], b, 8, MSG_PEEK | MSG_DONTWAIT), 8);
	EXPECT_EQ(recv(fds[1], b, 0, 0), 0);
	EXPECT_EQ(recv(fds[1], NULL, 2, MSG_TRUNC), 2);
	iov[0] = (struct iovec){a, 2};
	iov[1] = (struct iovec){b, 8};
	EXPECT_EQ(recvmsg(fds[1], &m, MSG_DONTWAIT), 6);
	EXPECT_EQ(memcmp(a, "cd", 2), 0);
	EXPECT_EQ(memcmp(b, "efgh", 4), 0);
	EXPECT_EQ(m.msg_flags, 0);
	EXPECT_ERRNO(recv(fds[1], b, 1, MSG_DONTWAIT), EAGAIN);
	ASSERT_EQ(send(fds[0], "12", 2, MSG_MORE), 2);
	ASSERT_EQ(send(fds[0], "34", 2, 0), 2);
	EXPECT_EQ(recv(fds[1], b, 4, MSG_WAITALL), 4);
	EXPECT_EQ(memcmp(b, "1234", 4), 0);
}

GUEST_TEST(waitall_waits)
{
	char b[10] = "";
	int fds[2];
	pid_t pid;

	inet_pair(AF_INET, fds);
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_EQ(recv(fds[1], b, 10, MSG_WAITALL), 10);
		EXPECT_EQ(memcmp(b, "0123456789", 10), 0);
		_exit(0);
	}
	ASSERT_EQ(write(fds[0], "0123", 4), 4);
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	ASSERT_EQ(write(fds[0], "456789", 6), 6);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(unconnected)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char b[4];

	EXPECT_ERRNO(recv(fd, b, 4, 0), ENOTCONN);
	EXPECT_ERRNO(send(fd, b, 4, MSG_NOSIGNAL), EPIPE);
	EXPECT_ERRNO(getpeername(fd, (struct sockaddr *)&ss, &len), ENOTCONN);
	EXPECT_ERRNO(accept(fd, NULL, NULL), EINVAL);
	EXPECT_ERRNO(shutdown(fd, SHUT_WR), ENOTCONN);
	EXPECT_EQ(inet_poll(fd, 0), POLLOUT | POLLHUP);
}

GUEST_TEST(refused)
{
	int l = inet_listener(AF_INET, 1), fd = socket(AF_INET, SOCK_STREAM, 0);
	struct inet_any a = inet_name(l);

	close(l);
	EXPECT_ERRNO(connect(fd, &a.u.sa, a.len), ECONNREFUSED);
	EXPECT_EQ(inet_getint(fd, SOL_SOCKET, SO_ERROR), 0);
	EXPECT_ERRNO(connect(fd, &a.u.sa, a.len), ECONNREFUSED);
	l = socket(AF_INET, SOCK_STREAM, 0);
	inet_setint(l, SOL_SOCKET, SO_REUSEADDR, 1);
	ASSERT_OK(bind(l, &a.u.sa, a.len));
	ASSERT_OK(listen(l, 1));
	/* The same socket may try again. */
	EXPECT_OK(connect(fd, &a.u.sa, a.len));
	EXPECT_ERRNO(connect(fd, &a.u.sa, a.len), EISCONN);
}

GUEST_TEST(addresses_that_do_not_fit)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), fd6 = socket(AF_INET6, SOCK_STREAM, 0);
	struct inet_any a = inet_loop(AF_INET, 0), a6 = inet_loop(AF_INET6, 0);

	EXPECT_ERRNO(bind(fd, &a.u.sa, 4), EINVAL);
	EXPECT_ERRNO(bind(fd, &a6.u.sa, a6.len), EAFNOSUPPORT);
	EXPECT_ERRNO(bind(fd6, &a.u.sa, a.len), EINVAL);
	EXPECT_ERRNO(connect(fd, &a6.u.sa, a6.len), EAFNOSUPPORT);
	a.u.in.sin_addr.s_addr = htonl(0xc0000201);
	EXPECT_ERRNO(bind(fd, &a.u.sa, a.len), EADDRNOTAVAIL);
	a = inet_loop(AF_INET, 0);
	ASSERT_OK(bind(fd, &a.u.sa, a.len));
	EXPECT_ERRNO(bind(fd, &a.u.sa, a.len), EINVAL);
	EXPECT_ERRNO(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
	EXPECT_ERRNO(socket(AF_INET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT);
	EXPECT_ERRNO(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP), EPROTONOSUPPORT);
	EXPECT_ERRNO(socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){0}), EOPNOTSUPP);
}

GUEST_TEST(wildcard_and_mapped)
{
	struct inet_any a = inet_loop(AF_INET6, 0), to, n;
	int l = socket(AF_INET6, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), s;

	a.u.in6.sin6_addr = in6addr_any;
	ASSERT_OK(bind(l, &a.u.sa, a.len));
	ASSERT_OK(listen(l, 1));
	n = inet_name(l);
	to = inet_loop(AF_INET, inet_port(&n));
	ASSERT_OK(connect(c, &to.u.sa, to.len));
	s = ASSERT_OK(accept(l, NULL, NULL));
	n = inet_peer(s);
	EXPECT_EQ(n.u.sa.sa_family, AF_INET6);
	EXPECT_TRUE(IN6_IS_ADDR_V4MAPPED(&n.u.in6.sin6_addr));
	MAYBE_SAVE();
	EXPECT_EQ(write(c, "x", 1), 1);
	EXPECT_EQ(read(s, &a, 1), 1);
	/* The wildcard as a destination is this machine. */
	close(c);
	c = socket(AF_INET, SOCK_STREAM, 0);
	to.u.in.sin_addr.s_addr = htonl(INADDR_ANY);
	ASSERT_OK(connect(c, &to.u.sa, to.len));
	n = inet_peer(c);
	EXPECT_EQ(n.u.in.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
}
