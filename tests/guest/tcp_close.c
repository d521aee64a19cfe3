#include "tests/guest/inet_util.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/uio.h>

static volatile sig_atomic_t pipes;

static void on_pipe(int sig)
{
	pipes++;
}

GUEST_TEST(half_close_both_ways)
{
	char b[8];
	int fds[2];

	inet_pair(AF_INET, fds);
	ASSERT_EQ(write(fds[0], "last", 4), 4);
	ASSERT_OK(shutdown(fds[0], SHUT_WR));
	EXPECT_EQ(inet_poll(fds[1], POLLRDHUP), POLLIN | POLLOUT | POLLRDHUP);
	MAYBE_SAVE();
	EXPECT_EQ(read(fds[1], b, 8), 4);
	EXPECT_EQ(read(fds[1], b, 8), 0);
	EXPECT_EQ(read(fds[1], b, 8), 0);
	EXPECT_EQ(write(fds[1], "still", 5), 5);
	EXPECT_EQ(read(fds[0], b, 8), 5);
	EXPECT_ERRNO(send(fds[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	ASSERT_OK(shutdown(fds[1], SHUT_WR));
	EXPECT_EQ(read(fds[0], b, 8), 0);
	EXPECT_EQ(inet_poll(fds[0], POLLHUP), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	EXPECT_EQ(inet_poll(fds[1], POLLHUP), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	EXPECT_EQ(inet_getint(fds[0], SOL_SOCKET, SO_ERROR), 0);
	EXPECT_ERRNO(shutdown(fds[0], SHUT_RD), ENOTCONN);
}

GUEST_TEST(shut_rd_alone)
{
	char b[8];
	int fds[2];

	inet_pair(AF_INET, fds);
	ASSERT_OK(shutdown(fds[0], SHUT_RD));
	EXPECT_EQ(read(fds[0], b, 8), 0);
	EXPECT_EQ(inet_poll(fds[0], POLLIN), POLLIN | POLLOUT | POLLRDHUP);
	EXPECT_EQ(write(fds[1], "abc", 3), 3);
	EXPECT_EQ(write(fds[0], "abc", 3), 3);
	EXPECT_EQ(read(fds[1], b, 8), 3);
}

GUEST_TEST(close_with_unread_data_resets)
{
	char b[8];
	int fds[2];

	inet_pair(AF_INET, fds);
	ASSERT_EQ(write(fds[0], "unread", 6), 6);
	EXPECT_TRUE(inet_poll(fds[1], POLLIN) & POLLIN);
	ASSERT_EQ(write(fds[1], "seen", 4), 4);
	EXPECT_TRUE(inet_poll(fds[0], POLLIN) & POLLIN);
	close(fds[1]);
	EXPECT_EQ(inet_poll(fds[0], POLLERR | POLLHUP),
	          POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP);
	MAYBE_SAVE();
	EXPECT_ERRNO(getpeername(fds[0], (struct sockaddr *)b, &(socklen_t){sizeof(b)}), ENOTCONN);
	/* What arrived before is still there. */
	EXPECT_EQ(read(fds[0], b, 8), 4);
	EXPECT_ERRNO(read(fds[0], b, 8), ECONNRESET);
	EXPECT_EQ(read(fds[0], b, 8), 0);
	EXPECT_ERRNO(send(fds[0], "x", 1, MSG_NOSIGNAL), EPIPE);
}

GUEST_TEST(linger_zero_resets)
{
	struct linger lg = {1, 0};
	char b[8];
	int fds[2];

	inet_pair(AF_INET6, fds);
	ASSERT_OK(setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)));
	close(fds[1]);
	EXPECT_ERRNO(read(fds[0], b, 8), ECONNRESET);
	EXPECT_EQ(inet_getint(fds[0], SOL_SOCKET, SO_ERROR), 0);
}

GUEST_TEST(writing_to_a_closed_peer)
{
	char b[8];
	int fds[2];

	signal(SIGPIPE, on_pipe);
	inet_pair(AF_INET, fds);
	ASSERT_EQ(write(fds[1], "bye", 3), 3);
	close(fds[1]);
	EXPECT_TRUE(inet_poll(fds[0], POLLRDHUP) & POLLRDHUP);
	MAYBE_SAVE();
	/* The first is sent, and answered with a reset. */
	EXPECT_EQ(write(fds[0], "x", 1), 1);
	EXPECT_TRUE(inet_poll(fds[0], POLLHUP) & POLLERR);
	EXPECT_EQ(pipes, 0);
	EXPECT_ERRNO(write(fds[0], "x", 1), EPIPE);
	EXPECT_EQ(pipes, 1);
	EXPECT_ERRNO(write(fds[0], "x", 1), EPIPE);
	EXPECT_EQ(pipes, 2);
	EXPECT_EQ(read(fds[0], b, 8), 3);
	EXPECT_EQ(read(fds[0], b, 8), 0);
}

GUEST_TEST(listener_closes_with_connections_waiting)
{
	int l = inet_listener(AF_INET, 4), c = inet_connected(l);
	char b[4];

	ASSERT_EQ(write(c, "x", 1), 1);
	close(l);
	EXPECT_TRUE(inet_poll(c, POLLHUP) & POLLERR);
	EXPECT_ERRNO(read(c, b, 4), ECONNRESET);
}

GUEST_TEST(shutdown_of_a_listener)
{
	int l = inet_listener(AF_INET, 4), c = socket(AF_INET, SOCK_STREAM, 0);
	struct inet_any a = inet_name(l);
	pid_t pid = guest_fork();

	if (pid == 0) {
		EXPECT_ERRNO(accept(l, NULL, NULL), EINVAL);
		_exit(0);
	}
	guest_wait_blocked(pid);
	ASSERT_OK(shutdown(l, SHUT_RD));
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_ERRNO(connect(c, &a.u.sa, a.len), ECONNREFUSED);
	/* It may listen again. */
	EXPECT_OK(listen(l, 4));
}

GUEST_TEST(disconnect)
{
	int l = inet_listener(AF_INET, 4), c = inet_connected(l), s = accept(l, NULL, NULL);
	struct inet_any a = inet_name(l);
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	char b[4];

	ASSERT_OK(connect(c, &none, sizeof(none)));
	EXPECT_ERRNO(read(s, b, 4), ECONNRESET);
	EXPECT_ERRNO(getpeername(c, &none, &(socklen_t){sizeof(none)}), ENOTCONN);
	inet_getint(c, SOL_SOCKET, SO_ERROR);
	ASSERT_OK(connect(c, &a.u.sa, a.len));
	close(s);
	s = ASSERT_OK(accept(l, NULL, NULL));
	MAYBE_SAVE();
	EXPECT_EQ(write(s, "hi", 2), 2);
	EXPECT_EQ(read(c, b, 4), 2);
}

GUEST_TEST(states_of_tcp_info)
{
	struct tcp_info ti;
	socklen_t len = sizeof(ti);
	int l = inet_listener(AF_INET, 4), c = inet_connected(l), s = accept(l, NULL, NULL);

	ASSERT_OK(getsockopt(l, SOL_TCP, TCP_INFO, &ti, &len));
	EXPECT_EQ(ti.tcpi_state, TCP_LISTEN);
	ASSERT_OK(getsockopt(c, SOL_TCP, TCP_INFO, &ti, &len));
	EXPECT_EQ(ti.tcpi_state, TCP_ESTABLISHED);
	ASSERT_OK(shutdown(c, SHUT_WR));
	EXPECT_TRUE(inet_poll(s, POLLRDHUP) & POLLRDHUP);
	ASSERT_OK(getsockopt(s, SOL_TCP, TCP_INFO, &ti, &len));
	EXPECT_EQ(ti.tcpi_state, TCP_CLOSE_WAIT);
	MAYBE_SAVE();
	ASSERT_OK(shutdown(s, SHUT_WR));
	EXPECT_TRUE(inet_poll(c, POLLHUP) & POLLHUP);
	ASSERT_OK(getsockopt(c, SOL_TCP, TCP_INFO, &ti, &len));
	EXPECT_EQ(ti.tcpi_state, TCP_CLOSE);
}

GUEST_TEST(shutdown_of_a_listener_resets_those_waiting)
{
	int l = inet_listener(AF_INET, 4), c = inet_connected(l);

	ASSERT_EQ(send(c, "lost", 4, 0), 4);
	MAYBE_SAVE();
	ASSERT_OK(shutdown(l, SHUT_RD));
	EXPECT_TRUE(inet_poll(c, POLLHUP) & POLLERR);
	EXPECT_EQ(inet_getint(c, SOL_SOCKET, SO_ERROR), ECONNRESET);
}

/* A connection that was reset while it waited is accepted, with its address. */
GUEST_TEST(accepted_after_a_reset)
{
	int l = inet_listener(AF_INET, 1), c = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0)), s;
	struct inet_any a = inet_name(l), peer = {.len = sizeof(peer.u)}, mine;
	struct linger linger = {1, 0};
	char b;

	ASSERT_OK(connect(c, &a.u.sa, a.len));
	mine = inet_name(c);
	ASSERT_OK(setsockopt(c, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	close(c);
	MAYBE_SAVE();
	s = ASSERT_OK(accept(l, &peer.u.sa, &peer.len));
	EXPECT_EQ(inet_port(&peer), inet_port(&mine));
	peer.len = sizeof(peer.u);
	EXPECT_ERRNO(getpeername(s, &peer.u.sa, &peer.len), ENOTCONN);
	EXPECT_ERRNO(recv(s, &b, 1, 0), ECONNRESET);
}

/* Without bytes there is no segment that a peer who is gone could answer. */
GUEST_TEST(sending_nothing_to_a_closed_peer)
{
	char b[8];
	int fds[2];

	inet_pair(AF_INET, fds);
	close(fds[1]);
	EXPECT_EQ(inet_poll(fds[0], POLLRDHUP), POLLIN | POLLOUT | POLLRDHUP);
	EXPECT_EQ(send(fds[0], "", 0, MSG_NOSIGNAL), 0);
	MAYBE_SAVE();
	EXPECT_EQ(send(fds[0], "", 0, MSG_NOSIGNAL), 0);
	EXPECT_EQ(read(fds[0], b, 8), 0);
	EXPECT_EQ(send(fds[0], "some", 4, MSG_NOSIGNAL), 4);
	EXPECT_TRUE(inet_poll(fds[0], POLLHUP) & POLLHUP);
	EXPECT_ERRNO(send(fds[0], "", 0, MSG_NOSIGNAL), EPIPE);
	close(fds[0]);
}

/* What has no room to be under way is not sent, when it turns out that nobody is there. */
GUEST_TEST(much_for_a_closed_peer)
{
	static char b[1 << 20];
	struct iovec v[64];
	ssize_t n;
	int fds[2];

	for (int i = 0; i < 64; i++)
		v[i] = (struct iovec){b, sizeof(b)};
	signal(SIGPIPE, SIG_IGN);
	inet_pair(AF_INET, fds);
	close(fds[1]);
	EXPECT_EQ(inet_poll(fds[0], POLLRDHUP), POLLIN | POLLOUT | POLLRDHUP);
	n = writev(fds[0], v, 64);
	EXPECT_TRUE(n > 0 && n < 64 << 20);
	MAYBE_SAVE();
	EXPECT_ERRNO(writev(fds[0], v, 64), EPIPE);
	close(fds[0]);
}
