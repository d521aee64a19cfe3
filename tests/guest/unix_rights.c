#include "tests/guest/guest_test.h"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

/* SCM_RIGHTS. */

static int s[2];

static void pair(int type)
{
	ASSERT_OK(socketpair(AF_UNIX, type, 0, s));
}

struct control {
	_Alignas(struct cmsghdr) char buf[2048];
};

static ssize_t send_fds(int to, const char *text, const int *fds, int n)
{
	struct control c = {{0}};
	struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = c.buf,
	                   .msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)n)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)n);
	memcpy(CMSG_DATA(h), fds, sizeof(int) * (size_t)n);
	return sendmsg(to, &m, 0);
}

/* How many came; *ret_len: bytes. */
static int recv_fds(int from, char *buf, size_t size, int *fds, int room, int flags,
                    ssize_t *ret_len, int *ret_flags)
{
	struct control c;
	struct iovec iov = {buf, size};
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = c.buf,
	                   .msg_controllen = room ? CMSG_SPACE(sizeof(int) * (size_t)room) : 0};
	ssize_t n = recvmsg(from, &m, flags);
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	int got = 0;

	if (ret_len)
		*ret_len = n;
	if (ret_flags)
		*ret_flags = m.msg_flags;
	if (n >= 0 && h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) {
		got = (int)((h->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(h), (size_t)got * sizeof(int));
	}
	return got;
}

GUEST_TEST(a_descriptor_travels)
{
	for (int i = 0; i < 3; i++) {
		int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
		int e = eventfd(41, 0), got = -1;
		char buf[8];
		uint64_t v;
		ssize_t n;

		pair(types[i]);
		EXPECT_EQ(send_fds(s[0], "one", &e, 1), 3);
		close(e);
		MAYBE_SAVE();
		EXPECT_EQ(recv_fds(s[1], buf, 8, &got, 4, MSG_CMSG_CLOEXEC, &n, NULL), 1);
		EXPECT_EQ(n, 3);
		EXPECT_EQ(fcntl(got, F_GETFD), FD_CLOEXEC);
		EXPECT_EQ(read(got, &v, 8), 8);
		EXPECT_EQ(v, 41);
		close(got);
	}
}

GUEST_TEST(the_description_is_shared)
{
	int fd, got;
	char buf[8];

	guest_write_file(guest_path("f"), "0123456789", 0600);
	fd = ASSERT_OK(open(guest_path("f"), O_RDONLY));
	pair(SOCK_STREAM);
	EXPECT_EQ(send_fds(s[0], "x", &fd, 1), 1);
	EXPECT_EQ(read(fd, buf, 4), 4);
	MAYBE_SAVE();
	EXPECT_EQ(recv_fds(s[1], buf, 8, &got, 1, 0, NULL, NULL), 1);
	EXPECT_EQ(fcntl(got, F_GETFD), 0);
	EXPECT_EQ(read(got, buf, 2), 2);
	EXPECT_TRUE(memcmp(buf, "45", 2) == 0);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 6);
}

GUEST_TEST(streams_stop_behind_descriptors)
{
	int e = eventfd(0, 0), got[4];
	char buf[16];
	ssize_t n;

	pair(SOCK_STREAM);
	EXPECT_EQ(write(s[0], "ab", 2), 2);
	EXPECT_EQ(send_fds(s[0], "cd", &e, 1), 2);
	EXPECT_EQ(write(s[0], "ef", 2), 2);
	EXPECT_EQ(send_fds(s[0], "gh", &e, 1), 2);
	MAYBE_SAVE();
	/* What is before comes with it, what is behind does not. */
	EXPECT_EQ(recv_fds(s[1], buf, 16, got, 4, 0, &n, NULL), 1);
	EXPECT_EQ(n, 4);
	EXPECT_EQ(recv_fds(s[1], buf, 3, got, 4, 0, &n, NULL), 1);
	EXPECT_EQ(n, 3);
	/* They came with the first byte. */
	EXPECT_EQ(recv_fds(s[1], buf, 16, got, 4, 0, &n, NULL), 0);
	EXPECT_EQ(n, 1);
	EXPECT_EQ(buf[0], 'h');
}

GUEST_TEST(peeked_descriptors)
{
	int e = eventfd(5, 0), a, b;
	uint64_t v = 1;
	char buf[4];

	pair(SOCK_DGRAM);
	EXPECT_EQ(send_fds(s[0], "x", &e, 1), 1);
	EXPECT_EQ(recv_fds(s[1], buf, 4, &a, 1, MSG_PEEK, NULL, NULL), 1);
	MAYBE_SAVE();
	EXPECT_EQ(recv_fds(s[1], buf, 4, &b, 1, 0, NULL, NULL), 1);
	EXPECT_NE(a, b);
	EXPECT_EQ(write(a, &v, 8), 8);
	EXPECT_EQ(read(b, &v, 8), 8);
	EXPECT_EQ(v, 6);
}

GUEST_TEST(a_receive_of_nothing)
{
	int e = ASSERT_OK(eventfd(0, 0)), got = -1;
	char buf[4];

	pair(SOCK_STREAM);
	EXPECT_EQ(send_fds(s[0], "x", &e, 1), 1);
	MAYBE_SAVE();
	/* It takes what is attached to the byte, and not the byte. */
	EXPECT_EQ(recv_fds(s[1], buf, 0, &got, 1, 0, NULL, NULL), 1);
	EXPECT_OK(close(got));
	MAYBE_SAVE();
	EXPECT_EQ(recv(s[1], buf, sizeof(buf), 0), 1);
	EXPECT_EQ(buf[0], 'x');
}

GUEST_TEST(too_little_room)
{
	int e[4], got[4] = {-1, -1, -1, -1}, flags, first, before;
	char buf[4];
	ssize_t n;

	pair(SOCK_STREAM);
	for (int i = 0; i < 4; i++)
		e[i] = eventfd((unsigned)i, 0);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(send_fds(s[0], "x", e, 4), 1);
	for (int i = 0; i < 4; i++)
		close(e[i]);
	before = dup(0);
	close(before);
	MAYBE_SAVE();
	/* Room for one and a bit. */
	EXPECT_EQ(recv_fds(s[1], buf, 4, got, 1, 0, &n, &flags), 2);
	EXPECT_EQ(flags, MSG_CTRUNC);
	close(got[0]);
	close(got[1]);
	EXPECT_EQ(recv_fds(s[1], buf, 4, got, 0, 0, &n, &flags), 0);
	EXPECT_EQ(flags, MSG_CTRUNC);
	/* read(2) drops them. */
	EXPECT_EQ(read(s[1], buf, 4), 1);
	first = dup(0);
	EXPECT_EQ(first, before);
}

GUEST_TEST(many_and_too_many)
{
	static int fds[300], got[300];
	int e = eventfd(0, 0);
	char buf[4];

	pair(SOCK_STREAM);
	for (int i = 0; i < 300; i++)
		fds[i] = e;
	EXPECT_ERRNO(send_fds(s[0], "x", fds, 254), EINVAL);
	EXPECT_EQ(send_fds(s[0], "x", fds, 253), 1);
	MAYBE_SAVE();
	EXPECT_EQ(recv_fds(s[1], buf, 4, got, 253, 0, NULL, NULL), 253);
	fds[1] = 0x7fffff;
	EXPECT_ERRNO(send_fds(s[0], "x", fds, 2), EBADF);
	fds[1] = -1;
	EXPECT_ERRNO(send_fds(s[0], "x", fds, 2), EBADF);
	EXPECT_ERRNO(recv(s[1], buf, 1, MSG_DONTWAIT), EAGAIN);
}

GUEST_TEST(no_free_descriptor)
{
	struct rlimit rl;
	int e[3], got[3], flags, fd;
	char buf[4];

	pair(SOCK_DGRAM);
	for (int i = 0; i < 3; i++)
		e[i] = eventfd(0, 0);
	EXPECT_EQ(send_fds(s[0], "x", e, 3), 1);
	fd = dup(0);
	close(fd);
	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = (rlim_t)fd + 2;
	EXPECT_OK(setrlimit(RLIMIT_NOFILE, &rl));
	MAYBE_SAVE();
	EXPECT_EQ(recv_fds(s[1], buf, 4, got, 3, 0, NULL, &flags), 2);
	EXPECT_EQ(flags, MSG_CTRUNC);
}

GUEST_TEST(too_many_in_flight)
{
	struct rlimit rl = {20, 20};
	int e = eventfd(0, 0), n = 0;

	guest_drop_root();
	EXPECT_OK(setrlimit(RLIMIT_NOFILE, &rl));
	pair(SOCK_DGRAM);
	while (send_fds(s[0], "x", &e, 1) == 1 && n < 1000)
		n++;
	EXPECT_EQ(errno, ETOOMANYREFS);
	/* Natively others of the same user may have some under way. */
	EXPECT_LE(n, 21);
	MAYBE_SAVE();
	EXPECT_ERRNO(send_fds(s[0], "x", &e, 1), ETOOMANYREFS);
}

GUEST_TEST(sockets_in_sockets)
{
	int a[2], b[2], got;
	char buf[8];

	/* a's end in b, b's end in s, both closed here. */
	pair(SOCK_STREAM);
	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, a));
	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, b));
	EXPECT_EQ(write(a[0], "deep", 4), 4);
	EXPECT_EQ(send_fds(b[0], "1", &a[1], 1), 1);
	EXPECT_EQ(send_fds(s[0], "2", &b[1], 1), 1);
	close(a[1]);
	close(b[1]);
	MAYBE_SAVE();
	EXPECT_EQ(write(a[0], "er", 2), 2);
	EXPECT_EQ(recv_fds(s[1], buf, 8, &got, 1, 0, NULL, NULL), 1);
	b[1] = got;
	EXPECT_EQ(recv_fds(b[1], buf, 8, &got, 1, 0, NULL, NULL), 1);
	EXPECT_EQ(read(got, buf, 8), 6);
	EXPECT_TRUE(memcmp(buf, "deeper", 6) == 0);
	/* And the peer of one in flight sees it go with the queue. */
	EXPECT_EQ(send_fds(b[0], "1", &got, 1), 1);
	close(got);
	close(b[1]);
	EXPECT_EQ(read(a[0], buf, 8), 0);
}

/* The other end of a tells whether b still lives. */
static bool hung_up(int fd)
{
	struct pollfd p = {fd, POLLIN, 0};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP);
}

static void until_hung_up(int fd)
{
	struct pollfd p = {fd, POLLIN, 0};

	/* Natively it is collected in the background, when some socket closes. */
	for (int i = 0; i < 500 && !hung_up(fd); i++) {
		int t[2];

		if (socketpair(AF_UNIX, SOCK_STREAM, 0, t) == 0) {
			close(t[0]);
			close(t[1]);
		}
		poll(&p, 1, 10);
	}
	EXPECT_TRUE(hung_up(fd));
}

GUEST_TEST(a_cycle_is_collected)
{
	int p[2], w[2];

	/* The write end of a pipe goes where nobody can reach it. */
	ASSERT_OK(pipe(w));
	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	EXPECT_EQ(send_fds(p[0], "x", &w[1], 1), 1);
	EXPECT_EQ(send_fds(p[0], "x", &p[1], 1), 1); /* p[1] is in its own queue */
	close(w[1]);
	close(p[1]);
	EXPECT_FALSE(hung_up(w[0]));
	MAYBE_SAVE();
	/* Only p[0] can still be talked to: not a cycle that nobody reaches, but for p[1]. */
	close(p[0]);
	until_hung_up(w[0]);
}

GUEST_TEST(a_wider_cycle)
{
	enum {
		N = 6
	};
	int ring[N][2], w[2];

	ASSERT_OK(pipe(w));
	for (int i = 0; i < N; i++)
		ASSERT_OK(socketpair(AF_UNIX, i % 2 ? SOCK_DGRAM : SOCK_STREAM, 0, ring[i]));
	/* Each one's receiving end lies in the next one's queue. */
	for (int i = 0; i < N; i++)
		EXPECT_EQ(send_fds(ring[(i + 1) % N][0], "x", &ring[i][1], 1), 1);
	EXPECT_EQ(send_fds(ring[3][0], "x", &w[1], 1), 1);
	close(w[1]);
	for (int i = 0; i < N; i++)
		close(ring[i][1]);
	for (int i = 1; i < N; i++)
		close(ring[i][0]);
	MAYBE_SAVE();
	close(ring[0][0]);
	until_hung_up(w[0]);
}

GUEST_TEST(what_is_reachable_stays)
{
	int a[2], b[2], got;
	char buf[4];

	pair(SOCK_STREAM);
	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, a));
	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, b));
	/* a and b hold each other, and s holds a. */
	EXPECT_EQ(send_fds(a[0], "b", &b[1], 1), 1);
	EXPECT_EQ(send_fds(b[0], "a", &a[1], 1), 1);
	EXPECT_EQ(send_fds(s[0], "a", &a[1], 1), 1);
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
	}
	MAYBE_SAVE();
	close(eventfd(0, 0));
	EXPECT_EQ(recv_fds(s[1], buf, 4, &got, 1, 0, NULL, NULL), 1);
	EXPECT_EQ(recv_fds(got, buf, 4, &got, 1, 0, NULL, NULL), 1);
	EXPECT_EQ(buf[0], 'b');
	EXPECT_EQ(recv_fds(got, buf, 4, &got, 1, 0, NULL, NULL), 1);
	EXPECT_EQ(buf[0], 'a');
}

GUEST_TEST(a_listener_in_flight)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), got, e;
	char buf[8];

	e = eventfd(3, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", guest_path("l"));
	ASSERT_OK(bind(l, (void *)&a, sizeof(a)));
	ASSERT_OK(listen(l, 3));
	pair(SOCK_STREAM);
	EXPECT_EQ(send_fds(s[0], "l", &l, 1), 1);
	close(l);
	EXPECT_OK(connect(c, (void *)&a, sizeof(a)));
	EXPECT_EQ(send_fds(c, "e", &e, 1), 1);
	MAYBE_SAVE();
	EXPECT_EQ(recv_fds(s[1], buf, 8, &l, 1, 0, NULL, NULL), 1);
	c = ASSERT_OK(accept(l, NULL, NULL));
	EXPECT_EQ(recv_fds(c, buf, 8, &got, 1, 0, NULL, NULL), 1);
	EXPECT_OK(fcntl(got, F_GETFD));
}

/* A long chain, each in the queue of the next: it goes without using the stack. */
GUEST_TEST(a_long_chain)
{
	int prev = -1, w[2];

	ASSERT_OK(pipe(w));
	for (int i = 0; i < 500; i++) {
		int p[2];

		ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
		if (send_fds(p[0], "x", prev < 0 ? &w[1] : &prev, 1) != 1) {
			/* An old kernel says so of chains. */
			EXPECT_EQ(errno, ETOOMANYREFS);
			close(p[0]);
			close(p[1]);
			break;
		}
		if (prev >= 0)
			close(prev);
		close(p[0]);
		prev = p[1];
	}
	close(w[1]);
	MAYBE_SAVE();
	close(prev);
	until_hung_up(w[0]);
}

GUEST_TEST(passing_while_others_close)
{
	pid_t pids[3];

	for (int k = 0; k < 3; k++) {
		pids[k] = guest_fork();
		if (pids[k] != 0)
			continue;
		for (int i = 0; i < 60; i++) {
			int a[2], got, e = eventfd((unsigned)i, 0);
			uint64_t v = 0;
			char buf[4];

			ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, a));
			EXPECT_EQ(send_fds(a[0], "1", &a[1], 1), 1);
			EXPECT_EQ(send_fds(a[0], "2", &e, 1), 1);
			close(e);
			if (i % 2) {
				EXPECT_EQ(recv_fds(a[1], buf, 4, &got, 1, 0, NULL, NULL), 1);
				close(a[1]);
				EXPECT_EQ(recv_fds(got, buf, 4, &e, 1, 0, NULL, NULL), 1);
				if (i > 0)
					EXPECT_EQ(read(e, &v, 8), 8);
				EXPECT_EQ(v, i);
				close(e);
				close(got);
			} else {
				close(a[1]);
			}
			close(a[0]);
		}
		_exit(0);
	}
	MAYBE_SAVE();
	for (int k = 0; k < 3; k++)
		EXPECT_EQ(guest_reap(pids[k]), 0);
}
