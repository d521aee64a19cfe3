#include "tests/guest/guest_test.h"

#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

/* AF_UNIX datagrams and sequenced packets. */

static socklen_t name(struct sockaddr_un *a, const char *file)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	snprintf(a->sun_path, sizeof(a->sun_path), "%s", guest_path(file));
	return sizeof(*a);
}

static int bound(const char *file)
{
	struct sockaddr_un a;
	int fd = ASSERT_OK(socket(AF_UNIX, SOCK_DGRAM, 0));

	ASSERT_OK(bind(fd, (void *)&a, name(&a, file)));
	return fd;
}

static void connect_to(int fd, const char *file)
{
	struct sockaddr_un a;

	ASSERT_OK(connect(fd, (void *)&a, name(&a, file)));
}

static ssize_t send_to(int fd, const char *file, const char *text, int flags)
{
	struct sockaddr_un a;

	return sendto(fd, text, strlen(text), flags, (void *)&a, name(&a, file));
}

GUEST_TEST(boundaries)
{
	char buf[16] = "";
	int s[2], n;

	for (int type = 0; type < 2; type++) {
		ASSERT_OK(socketpair(AF_UNIX, type ? SOCK_SEQPACKET : SOCK_DGRAM, 0, s));
		EXPECT_EQ(send(s[0], "abc", 3, 0), 3);
		EXPECT_EQ(send(s[0], "", 0, 0), 0);
		EXPECT_EQ(write(s[0], "defgh", 5), 5);
		EXPECT_OK(ioctl(s[1], FIONREAD, &n));
		EXPECT_EQ(n, type ? 8 : 3);
		MAYBE_SAVE();
		EXPECT_EQ(recv(s[1], buf, 16, MSG_PEEK), 3);
		EXPECT_EQ(recv(s[1], buf, 16, 0), 3);
		EXPECT_EQ(recv(s[1], buf, 16, 0), 0);
		EXPECT_EQ(recv(s[1], buf, 2, 0), 2);
		EXPECT_TRUE(memcmp(buf, "de", 2) == 0);
		EXPECT_ERRNO(recv(s[1], buf, 16, MSG_DONTWAIT), EAGAIN);
	}
}

GUEST_TEST(truncation)
{
	char buf[16];
	struct iovec iov = {buf, 2};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	int s[2];

	ASSERT_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(send(s[0], "abcdef", 6, 0), 6);
	EXPECT_EQ(recvmsg(s[1], &m, MSG_PEEK | MSG_TRUNC), 6);
	EXPECT_EQ(m.msg_flags, MSG_TRUNC);
	EXPECT_EQ(recvmsg(s[1], &m, 0), 2);
	EXPECT_EQ(m.msg_flags, MSG_TRUNC);
	MAYBE_SAVE();
	EXPECT_EQ(recv(s[1], buf, 1, MSG_TRUNC), 6);
	iov.iov_len = 6;
	EXPECT_EQ(recvmsg(s[1], &m, 0), 6);
	EXPECT_EQ(m.msg_flags, 0);
}

GUEST_TEST(names_of_senders)
{
	int a = bound("a"), b = bound("b"), c = socket(AF_UNIX, SOCK_DGRAM, 0);
	struct sockaddr_un from;
	socklen_t len;
	char buf[8];

	EXPECT_EQ(send_to(a, "b", "one", 0), 3);
	EXPECT_EQ(send_to(c, "b", "two!", 0), 4);
	close(a);
	MAYBE_SAVE();
	len = sizeof(from);
	EXPECT_EQ(recvfrom(b, buf, 8, 0, (void *)&from, &len), 3);
	EXPECT_EQ(from.sun_family, AF_UNIX);
	EXPECT_STREQ(from.sun_path, guest_path("a"));
	EXPECT_EQ(len, offsetof(struct sockaddr_un, sun_path) + strlen(from.sun_path) + 1);
	len = sizeof(from);
	EXPECT_EQ(recvfrom(b, buf, 8, 0, (void *)&from, &len), 4);
	EXPECT_EQ(len, 0);
}

GUEST_TEST(connected)
{
	int a = bound("a"), b = bound("b"), c = bound("c");
	struct sockaddr_un sa;
	char buf[8];

	EXPECT_ERRNO(send(a, "x", 1, 0), ENOTCONN);
	connect_to(a, "b");
	EXPECT_EQ(send(a, "to b", 4, 0), 4);
	/* b is not connected: it takes from anybody; a is, to b. */
	EXPECT_EQ(send_to(c, "b", "too", 0), 3);
	EXPECT_ERRNO(send_to(c, "a", "no", 0), EPERM);
	EXPECT_ERRNO(connect(c, (void *)&sa, name(&sa, "a")), EPERM);
	EXPECT_EQ(send_to(b, "a", "back", 0), 4);
	MAYBE_SAVE();
	EXPECT_ERRNO(send_to(c, "a", "no", 0), EPERM);
	EXPECT_EQ(recv(b, buf, 8, 0), 4);
	EXPECT_EQ(recv(b, buf, 8, 0), 3);
	EXPECT_EQ(recv(a, buf, 8, 0), 4);
	/* Another peer by name for one message, and another for good. */
	EXPECT_EQ(send_to(a, "c", "hey", 0), 3);
	EXPECT_EQ(recv(c, buf, 8, 0), 3);
	connect_to(a, "c");
	EXPECT_EQ(send(a, "c", 1, 0), 1);
	EXPECT_EQ(recv(c, buf, 8, 0), 1);
	sa.sun_family = AF_UNSPEC;
	EXPECT_OK(connect(a, (void *)&sa, sizeof(sa)));
	EXPECT_ERRNO(send(a, "x", 1, 0), ENOTCONN);
	EXPECT_EQ(send_to(c, "a", "now", 0), 3);
	EXPECT_EQ(recv(a, buf, 8, 0), 3);
}

GUEST_TEST(peer_that_leaves)
{
	int a = bound("a"), b = bound("b"), err;
	socklen_t len = sizeof(err);

	connect_to(a, "b");
	EXPECT_EQ(send(a, "x", 1, 0), 1);
	close(b);
	MAYBE_SAVE();
	EXPECT_ERRNO(send(a, "x", 1, 0), ECONNREFUSED);
	EXPECT_ERRNO(send(a, "x", 1, 0), ENOTCONN);
	EXPECT_ERRNO(send_to(a, "b", "x", 0), ECONNREFUSED);
	EXPECT_OK(unlink(guest_path("b")));
	EXPECT_ERRNO(send_to(a, "b", "x", 0), ENOENT);
	/* Of a mutual connection the other side hears when one turns away from its messages. */
	b = bound("b");
	connect_to(a, "b");
	connect_to(b, "a");
	struct sockaddr un = {.sa_family = AF_UNSPEC};

	EXPECT_EQ(send(b, "lost", 4, 0), 4);
	EXPECT_OK(connect(a, &un, sizeof(un)));
	EXPECT_OK(getsockopt(b, SOL_SOCKET, SO_ERROR, &err, &len));
	EXPECT_EQ(err, ECONNRESET);
}

GUEST_TEST(too_long)
{
	int s[2], size = 8000, got;
	socklen_t len = sizeof(got);
	char *big = calloc(1, 300000);

	ASSERT_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	EXPECT_ERRNO(send(s[0], big, 300000, 0), EMSGSIZE);
	EXPECT_EQ(send(s[0], big, 100000, 0), 100000);
	MAYBE_SAVE();
	EXPECT_EQ(recv(s[1], big, 300000, 0), 100000);
	EXPECT_OK(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
	EXPECT_OK(getsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &got, &len));
	EXPECT_EQ(got, 16000);
	EXPECT_ERRNO(send(s[0], big, 16000, 0), EMSGSIZE);
	EXPECT_EQ(send(s[0], big, 4000, 0), 4000);
}

static long fill(int fd)
{
	long n = 0;

	while (send(fd, "datagram", 8, MSG_DONTWAIT) == 8)
		n++;
	EXPECT_EQ(errno, EAGAIN);
	return n;
}

/* How many the receiver's queue takes, unless the sender's buffer is full before. */
static long queue_length(void)
{
	char text[32] = "10";

	guest_read_file("/proc/sys/net/unix/max_dgram_qlen", text, sizeof(text));
	return strtol(text, NULL, 10) + 1;
}

static void drain(int fd, long n)
{
	char buf[8];

	for (long i = 0; i < n; i++)
		EXPECT_EQ(recv(fd, buf, 8, 0), 8);
}

GUEST_TEST(a_queue_is_short)
{
	int a = bound("a"), b = bound("b");
	struct pollfd p = {a, POLLOUT, 0};
	char buf[8];
	pid_t pid;
	long n;

	connect_to(a, "b");
	n = fill(a);
	if (queue_length() < 100)
		EXPECT_EQ(n, queue_length());
	EXPECT_EQ(poll(&p, 1, 0), 0);
	EXPECT_ERRNO(send_to(a, "b", "x", MSG_DONTWAIT), EAGAIN);
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_EQ(send(a, "late", 4, 0), 4);
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
	EXPECT_EQ(poll(&p, 1, 0), 0);
	if (queue_length() < 100) {
		/* One that goes makes room for one. */
		drain(b, 1);
		n--;
		EXPECT_EQ(guest_reap(pid), 0);
		drain(b, n);
	} else {
		drain(b, n);
		EXPECT_EQ(guest_reap(pid), 0);
	}
	EXPECT_EQ(recv(b, buf, 8, 0), 4);
	EXPECT_EQ(poll(&p, 1, 0), 1);
}

GUEST_TEST(a_poller_waits_for_room)
{
	int a = bound("a"), b = bound("b");
	struct pollfd p = {a, POLLOUT, 0};
	pid_t pid;
	long n;

	connect_to(a, "b");
	n = fill(a);
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_EQ(poll(&p, 1, -1), 1);
		EXPECT_EQ(p.revents, POLLOUT);
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
	drain(b, queue_length() < 100 ? 1 : n);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(a_pair_is_bounded_by_bytes)
{
	int s[2];
	long n, m;
	char buf[8];

	ASSERT_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	n = fill(s[0]);
	EXPECT_GT(n, 50);
	MAYBE_SAVE();
	EXPECT_ERRNO(send(s[0], "x", 1, MSG_DONTWAIT), EAGAIN);
	for (m = 0; m < n; m++)
		EXPECT_EQ(recv(s[1], buf, 8, MSG_DONTWAIT), 8);
	EXPECT_EQ(send(s[0], "x", 1, MSG_DONTWAIT), 1);
}

GUEST_TEST(shut_down)
{
	char buf[8];
	int s[2];

	ASSERT_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	EXPECT_EQ(send(s[0], "x", 1, 0), 1);
	EXPECT_OK(shutdown(s[1], SHUT_RD));
	MAYBE_SAVE();
	EXPECT_ERRNO(send(s[0], "y", 1, 0), EPIPE);
	EXPECT_EQ(recv(s[1], buf, 8, 0), 1);
	EXPECT_EQ(recv(s[1], buf, 8, 0), 0);
	EXPECT_ERRNO(recv(s[1], buf, 8, MSG_DONTWAIT), EAGAIN);
	EXPECT_OK(shutdown(s[1], SHUT_WR));
	EXPECT_ERRNO(send(s[1], "y", 1, 0), EPIPE);

	ASSERT_OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
	EXPECT_OK(shutdown(s[0], SHUT_WR));
	EXPECT_EQ(recv(s[1], buf, 8, 0), 0);
	EXPECT_EQ(recv(s[1], buf, 8, MSG_DONTWAIT), 0);
	EXPECT_ERRNO(send(s[0], "y", 1, 0), EPIPE);
	close(s[0]);
	EXPECT_ERRNO(send(s[1], "y", 1, MSG_NOSIGNAL), EPIPE);
}

GUEST_TEST(to_itself)
{
	int a = bound("a");
	char buf[8];

	connect_to(a, "a");
	EXPECT_EQ(send(a, "me", 2, 0), 2);
	MAYBE_SAVE();
	EXPECT_EQ(recv(a, buf, 8, 0), 2);
	EXPECT_EQ(send_to(a, "a", "me!", 0), 3);
	close(a);
}

GUEST_TEST(a_receiver_waits)
{
	int b = bound("b");
	char buf[8] = "";
	pid_t pid = guest_fork();

	if (pid == 0) {
		EXPECT_EQ(recv(b, buf, 8, 0), 3);
		EXPECT_STREQ(buf, "now");
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	EXPECT_EQ(send_to(socket(AF_UNIX, SOCK_DGRAM, 0), "b", "now", 0), 3);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(many_at_once)
{
	struct mmsghdr m[5];
	struct iovec iov[5];
	char buf[5][8], digits[] = "01234567";
	struct timespec ts = {1000, 0};
	int s[2];

	memset(m, 0, sizeof(m));
	for (int i = 0; i < 5; i++) {
		iov[i] = (struct iovec){digits, (size_t)i};
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	ASSERT_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	EXPECT_EQ(sendmmsg(s[0], m, 5, 0), 5);
	for (int i = 0; i < 5; i++) {
		EXPECT_EQ(m[i].msg_len, i);
		iov[i] = (struct iovec){buf[i], 8};
		m[i].msg_len = 99;
	}
	MAYBE_SAVE();
	EXPECT_EQ(recvmmsg(s[1], m, 3, 0, &ts), 3);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(m[i].msg_len, i);
	EXPECT_EQ(recvmmsg(s[1], m, 5, MSG_WAITFORONE, NULL), 2);
	EXPECT_EQ(m[0].msg_len, 3);
	EXPECT_EQ(m[1].msg_len, 4);
	EXPECT_ERRNO(recvmmsg(s[1], m, 5, MSG_DONTWAIT, NULL), EAGAIN);
	ts.tv_nsec = 1000000000;
	EXPECT_ERRNO(recvmmsg(s[1], m, 5, MSG_DONTWAIT, &ts), EINVAL);
}

GUEST_TEST(many_at_once_in_pieces)
{
	struct mmsghdr m[4];
	struct iovec iov[4];
	char buf[4][8];
	int s[2];
	pid_t pid;

	memset(m, 0, sizeof(m));
	for (int i = 0; i < 4; i++) {
		iov[i] = (struct iovec){buf[i], 8};
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	ASSERT_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_EQ(recvmmsg(s[1], m, 4, 0, NULL), 4);
		for (int i = 0; i < 4; i++) {
			EXPECT_EQ(m[i].msg_len, i + 1);
			EXPECT_EQ(buf[i][0], 'a' + i);
		}
		_exit(0);
	}
	EXPECT_EQ(send(s[0], "a", 1, 0), 1);
	EXPECT_EQ(send(s[0], "bb", 2, 0), 2);
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	EXPECT_EQ(send(s[0], "ccc", 3, 0), 3);
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	EXPECT_EQ(send(s[0], "dddd", 4, 0), 4);
	EXPECT_EQ(guest_reap(pid), 0);
}
