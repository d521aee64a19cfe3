#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

/* Connected AF_UNIX streams. */

static int s[2];

static void make_pair(int type)
{
	ASSERT_OK(socketpair(AF_UNIX, type, 0, s));
}

GUEST_TEST(both_ways)
{
	char buf[16] = "";

	make_pair(SOCK_STREAM);
	EXPECT_EQ(write(s[0], "hello", 5), 5);
	EXPECT_EQ(write(s[1], "world!", 6), 6);
	MAYBE_SAVE();
	EXPECT_EQ(read(s[1], buf, sizeof(buf)), 5);
	EXPECT_TRUE(memcmp(buf, "hello", 5) == 0);
	EXPECT_EQ(recv(s[0], buf, 3, 0), 3);
	EXPECT_EQ(recv(s[0], buf + 3, 13, 0), 3);
	EXPECT_TRUE(memcmp(buf, "world!", 6) == 0);
	EXPECT_ERRNO(recv(s[0], buf, 1, MSG_DONTWAIT), EAGAIN);
}

GUEST_TEST(bytes_merge_and_split)
{
	char buf[16] = "", text[] = "abcde";
	struct iovec iov[3] = {{text, 2}, {text, 0}, {text + 2, 3}};
	int n;

	make_pair(SOCK_STREAM);
	EXPECT_EQ(writev(s[0], iov, 3), 5);
	EXPECT_EQ(send(s[0], "fg", 2, 0), 2);
	EXPECT_OK(ioctl(s[1], FIONREAD, &n));
	EXPECT_EQ(n, 7);
	EXPECT_EQ(recv(s[1], buf, 16, MSG_PEEK), 7);
	EXPECT_EQ(recv(s[1], buf, 2, MSG_PEEK), 2);
	MAYBE_SAVE();
	EXPECT_EQ(read(s[1], buf, 4), 4);
	EXPECT_EQ(read(s[1], buf + 4, 12), 3);
	EXPECT_STREQ(buf, "abcdefg");
	EXPECT_OK(ioctl(s[1], FIONREAD, &n));
	EXPECT_EQ(n, 0);
}

GUEST_TEST(end_of_file)
{
	char c;

	make_pair(SOCK_STREAM);
	EXPECT_EQ(write(s[0], "x", 1), 1);
	close(s[0]);
	MAYBE_SAVE();
	EXPECT_EQ(read(s[1], &c, 1), 1);
	EXPECT_EQ(read(s[1], &c, 1), 0);
	EXPECT_EQ(read(s[1], &c, 1), 0);
	signal(SIGPIPE, SIG_IGN);
	EXPECT_ERRNO(write(s[1], "y", 1), EPIPE);
}

GUEST_TEST(reset_by_unread_data)
{
	char c;
	int err;
	socklen_t len = sizeof(err);

	make_pair(SOCK_STREAM);
	EXPECT_EQ(write(s[1], "never read", 10), 10);
	EXPECT_EQ(write(s[0], "z", 1), 1);
	close(s[0]);
	MAYBE_SAVE();
	/* What was sent before is still there. */
	EXPECT_EQ(read(s[1], &c, 1), 1);
	EXPECT_ERRNO(read(s[1], &c, 1), ECONNRESET);
	EXPECT_EQ(read(s[1], &c, 1), 0);

	make_pair(SOCK_STREAM);
	EXPECT_EQ(write(s[1], "never read", 10), 10);
	close(s[0]);
	EXPECT_OK(getsockopt(s[1], SOL_SOCKET, SO_ERROR, &err, &len));
	EXPECT_EQ(err, ECONNRESET);
	EXPECT_OK(getsockopt(s[1], SOL_SOCKET, SO_ERROR, &err, &len));
	EXPECT_EQ(err, 0);
}

static volatile sig_atomic_t pipes;

static void on_pipe(int sig)
{
	pipes++;
}

GUEST_TEST(sigpipe_or_not)
{
	signal(SIGPIPE, on_pipe);
	make_pair(SOCK_STREAM);
	close(s[0]);
	EXPECT_ERRNO(write(s[1], "x", 1), EPIPE);
	EXPECT_EQ(pipes, 1);
	EXPECT_ERRNO(send(s[1], "x", 1, MSG_NOSIGNAL), EPIPE);
	EXPECT_EQ(pipes, 1);
	EXPECT_ERRNO(send(s[1], "x", 1, 0), EPIPE);
	EXPECT_EQ(pipes, 2);
	/* Packets raise none. */
	make_pair(SOCK_SEQPACKET);
	close(s[0]);
	EXPECT_ERRNO(send(s[1], "x", 1, 0), EPIPE);
	EXPECT_EQ(pipes, 2);
}

GUEST_TEST(half_close)
{
	char buf[8];

	signal(SIGPIPE, SIG_IGN);
	make_pair(SOCK_STREAM);
	EXPECT_EQ(write(s[0], "last", 4), 4);
	EXPECT_OK(shutdown(s[0], SHUT_WR));
	EXPECT_ERRNO(write(s[0], "x", 1), EPIPE);
	MAYBE_SAVE();
	EXPECT_EQ(read(s[1], buf, 8), 4);
	EXPECT_EQ(read(s[1], buf, 8), 0);
	EXPECT_EQ(write(s[1], "back", 4), 4);
	EXPECT_EQ(read(s[0], buf, 8), 4);
	EXPECT_OK(shutdown(s[0], SHUT_RD));
	EXPECT_ERRNO(write(s[1], "x", 1), EPIPE);
	EXPECT_EQ(read(s[0], buf, 8), 0);
	EXPECT_ERRNO(shutdown(s[0], 3), EINVAL);
	EXPECT_ERRNO(shutdown(s[0], -1), EINVAL);
}

GUEST_TEST(shut_down_with_data_left)
{
	char buf[8];

	make_pair(SOCK_STREAM);
	EXPECT_EQ(write(s[1], "abc", 3), 3);
	EXPECT_OK(shutdown(s[0], SHUT_RDWR));
	MAYBE_SAVE();
	EXPECT_EQ(read(s[0], buf, 8), 3);
	EXPECT_EQ(read(s[0], buf, 8), 0);
}

/* Fills the socket without blocking; how much went in. */
static long fill(int fd)
{
	static char block[8192];
	long total = 0;

	for (;;) {
		ssize_t n = send(fd, block, sizeof(block), MSG_DONTWAIT);

		if (n < 0) {
			EXPECT_EQ(errno, EAGAIN);
			return total;
		}
		total += n;
	}
}

static long drain(int fd, long want)
{
	static char block[65536];
	long total = 0;

	while (total < want) {
		ssize_t n = recv(fd, block,
		                 (size_t)(want - total) < sizeof(block) ? (size_t)(want - total)
		                                                        : sizeof(block),
		                 0);

		if (n <= 0)
			break;
		total += n;
	}
	return total;
}

GUEST_TEST(a_full_buffer_blocks)
{
	struct pollfd p;
	long n;
	pid_t pid;

	make_pair(SOCK_STREAM);
	n = fill(s[0]);
	EXPECT_GT(n, 1000);
	p = (struct pollfd){s[0], POLLOUT, 0};
	EXPECT_EQ(poll(&p, 1, 0), 0);
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_EQ(write(s[0], "behind", 6), 6);
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
	EXPECT_EQ(drain(s[1], n), n);
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(drain(s[1], 6), 6);
	EXPECT_EQ(poll(&p, 1, 0), 1);
	EXPECT_EQ(p.revents, POLLOUT);
}

/* A transfer that is longer than the buffer, with saves while both sides are in it. */
GUEST_TEST(long_write)
{
	enum {
		LEN = 3000000
	};
	unsigned char *out = malloc(LEN), *in = malloc(LEN);
	pid_t pid;

	for (int i = 0; i < LEN; i++)
		out[i] = (unsigned char)(i * 7 + i / 251);
	make_pair(SOCK_STREAM);
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_EQ(send(s[0], out, LEN, 0), LEN);
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	EXPECT_EQ(recv(s[1], in, 100000, MSG_WAITALL), 100000);
	MAYBE_SAVE();
	EXPECT_EQ(recv(s[1], in + 100000, LEN - 100000, MSG_WAITALL), LEN - 100000);
	EXPECT_TRUE(memcmp(in, out, LEN) == 0);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(a_reader_waits)
{
	char buf[8] = "";
	pid_t pid;

	make_pair(SOCK_STREAM);
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_EQ(recv(s[1], buf, 6, MSG_WAITALL), 6);
		EXPECT_STREQ(buf, "abcdef");
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	EXPECT_EQ(write(s[0], "abc", 3), 3);
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	EXPECT_EQ(write(s[0], "def", 3), 3);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(waitall_ends_early)
{
	char buf[8] = "";

	make_pair(SOCK_STREAM);
	EXPECT_EQ(write(s[0], "abc", 3), 3);
	EXPECT_OK(shutdown(s[0], SHUT_WR));
	EXPECT_EQ(recv(s[1], buf, 6, MSG_WAITALL), 3);
	EXPECT_EQ(recv(s[1], buf, 6, MSG_WAITALL), 0);
	/* Not with MSG_DONTWAIT. */
	make_pair(SOCK_STREAM);
	EXPECT_EQ(write(s[0], "abc", 3), 3);
	EXPECT_EQ(recv(s[1], buf, 6, MSG_WAITALL | MSG_DONTWAIT), 3);
}

GUEST_TEST(nonblocking)
{
	int f[2], one = 1;
	char c;

	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, f));
	EXPECT_EQ(fcntl(f[0], F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(f[0], F_GETFL) & (O_NONBLOCK | O_ACCMODE), O_NONBLOCK | O_RDWR);
	EXPECT_ERRNO(read(f[0], &c, 1), EAGAIN);
	EXPECT_OK(fcntl(f[0], F_SETFL, 0));
	EXPECT_OK(ioctl(f[0], FIONBIO, &one));
	EXPECT_ERRNO(read(f[0], &c, 1), EAGAIN);
	MAYBE_SAVE();
	EXPECT_ERRNO(read(f[0], &c, 1), EAGAIN);
	EXPECT_ERRNO(lseek(f[0], 0, SEEK_SET), ESPIPE);
	EXPECT_EQ(read(f[0], &c, 0), 0);
}

GUEST_TEST(timeouts)
{
	struct timeval tv = {0, 50000};
	int64_t start = guest_now(CLOCK_MONOTONIC);
	socklen_t len = sizeof(tv);
	char c;

	make_pair(SOCK_STREAM);
	EXPECT_OK(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	EXPECT_OK(setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
	MAYBE_SAVE();
	memset(&tv, 0, sizeof(tv));
	EXPECT_OK(getsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, &len));
	EXPECT_EQ(tv.tv_usec / 10000, 5);
	EXPECT_ERRNO(read(s[0], &c, 1), EAGAIN);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, 40000000);
	start = guest_now(CLOCK_MONOTONIC);
	fill(s[0]);
	EXPECT_ERRNO(write(s[0], &c, 1), EAGAIN);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, 40000000);
	tv = (struct timeval){0, 1000000};
	EXPECT_ERRNO(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), EDOM);
}

GUEST_TEST(a_timeout_runs_on)
{
	struct timeval tv = {0, 200000};
	int64_t start = guest_now(CLOCK_MONOTONIC);
	pid_t pid;
	char c;

	make_pair(SOCK_STREAM);
	EXPECT_OK(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_ERRNO(read(s[0], &c, 1), EAGAIN);
		EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, 150000000);
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	EXPECT_EQ(guest_reap(pid), 0);
}

static void on_alarm(int sig)
{
}

GUEST_TEST(interrupted)
{
	struct sigaction sa = {.sa_handler = on_alarm};
	struct timeval tv = {1000, 0};
	pid_t pid;
	char c;

	make_pair(SOCK_STREAM);
	for (int how = 0; how < 3; how++) {
		sa.sa_flags = how == 0 ? 0 : SA_RESTART;
		pid = guest_fork();
		if (pid == 0) {
			sigaction(SIGUSR1, &sa, NULL);
			/* With a timeout no call is started again. */
			if (how == 2)
				setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
			if (how == 1)
				EXPECT_EQ(read(s[1], &c, 1), 1);
			else
				EXPECT_ERRNO(read(s[1], &c, 1), EINTR);
			_exit(0);
		}
		guest_wait_blocked(pid);
		MAYBE_SAVE();
		/* It may not have blocked yet, so again and again. */
		for (int i = 0; i < 2000 && waitpid(pid, NULL, WNOHANG) == 0; i++) {
			if (i > 0 || how == 1)
				guest_sleep_ms(5);
			if (how == 1) {
				kill(pid, SIGUSR1);
				guest_sleep_ms(5);
				EXPECT_EQ(write(s[0], "x", 1), 1);
				EXPECT_EQ(guest_reap(pid), 0);
				break;
			}
			kill(pid, SIGUSR1);
		}
	}
}

GUEST_TEST(a_partial_write_counts)
{
	static char block[2000000];
	struct sigaction sa = {.sa_handler = on_alarm};
	int out[2];
	long n = 0;
	pid_t pid;

	make_pair(SOCK_STREAM);
	ASSERT_OK(pipe(out));
	pid = guest_fork();
	if (pid == 0) {
		sigaction(SIGUSR1, &sa, NULL);
		n = write(s[0], block, sizeof(block));
		EXPECT_EQ(write(out[1], &n, sizeof(n)), sizeof(n));
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	for (;;) {
		struct pollfd p = {out[0], POLLIN, 0};

		kill(pid, SIGUSR1);
		if (poll(&p, 1, 20) == 1)
			break;
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(read(out[0], &n, sizeof(n)), sizeof(n));
	if (n < 0)
		n = 0; /* the signal came first */
	close(s[0]);
	EXPECT_EQ(drain(s[1], 1 << 30), n);
}

/* A small write goes as a whole or waits: nobody reads half a record. */
GUEST_TEST(small_writes_are_not_split)
{
	static char record[1000], got[1000];
	int sent = 0;
	pid_t pid;

	make_pair(SOCK_STREAM);
	EXPECT_OK(fcntl(s[0], F_SETFL, O_NONBLOCK));
	for (;;) {
		ssize_t n = write(s[0], record, sizeof(record));

		if (n < 0)
			break;
		ASSERT_EQ(n, sizeof(record));
		sent++;
	}
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_OK(fcntl(s[0], F_SETFL, 0));
	pid = guest_fork();
	if (pid == 0) {
		for (int i = 0; i < 1000; i++)
			ASSERT_EQ(write(s[0], record, sizeof(record)), sizeof(record));
		_exit(0);
	}
	close(s[0]);
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	for (int i = 0; i < sent + 1000; i++)
		ASSERT_EQ(read(s[1], got, sizeof(got)), sizeof(got));
	EXPECT_EQ(read(s[1], got, sizeof(got)), 0);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(bad_arguments)
{
	char buf[4];
	int f[2];

	EXPECT_ERRNO(socketpair(AF_UNIX, 77, 0, f), EINVAL);
	EXPECT_ERRNO(socketpair(AF_UNIX, SOCK_RDM, 0, f), ESOCKTNOSUPPORT);
	EXPECT_ERRNO(socketpair(AF_UNIX, SOCK_STREAM, 5, f), EPROTONOSUPPORT);
	EXPECT_ERRNO(socketpair(AF_UNIX, SOCK_STREAM | 0x100000, 0, f), EINVAL);
	EXPECT_ERRNO(socket(AF_UNIX, SOCK_RDM, 0), ESOCKTNOSUPPORT);
	EXPECT_ERRNO(socket(9999, SOCK_STREAM, 0), EAFNOSUPPORT);
	EXPECT_ERRNO(socket(-1, SOCK_STREAM, 0), EAFNOSUPPORT);
	make_pair(SOCK_STREAM);
	EXPECT_ERRNO(send(s[0], (void *)8, 4, 0), EFAULT);
	EXPECT_ERRNO(socketpair(AF_UNIX, SOCK_STREAM, 0, (int *)8), EFAULT);
	EXPECT_ERRNO(send(0x7fffff, buf, 4, 0), EBADF);
	f[0] = open("/dev/null", O_RDWR);
	EXPECT_ERRNO(send(f[0], buf, 4, 0), ENOTSOCK);
	EXPECT_ERRNO(shutdown(f[0], 0), ENOTSOCK);
	EXPECT_ERRNO(listen(f[0], 0), ENOTSOCK);
	f[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	EXPECT_ERRNO(send(f[0], buf, 4, 0), ENOTCONN);
	EXPECT_ERRNO(recv(f[0], buf, 4, 0), EINVAL);
	EXPECT_EQ(write(s[0], "ab", 2), 2);
	EXPECT_ERRNO(recv(s[1], (void *)8, 2, 0), EFAULT);
	EXPECT_EQ(recv(s[1], buf, 2, 0), 2);
}

static void *pump(void *arg)
{
	char buf[1000];
	long n, sum = 0;

	while ((n = read(s[1], buf, sizeof(buf))) > 0)
		for (long i = 0; i < n; i++)
			sum += (unsigned char)buf[i];
	*(long *)arg = sum;
	return NULL;
}

GUEST_TEST(many_threads)
{
	enum {
		WRITERS = 3
	};
	pid_t writers[WRITERS];
	pthread_t readers[2];
	long sums[2] = {0}, want = 0;

	make_pair(SOCK_STREAM);
	for (int w = 0; w < WRITERS; w++) {
		writers[w] = guest_fork();
		if (writers[w] == 0) {
			char buf[777];

			memset(buf, w + 1, sizeof(buf));
			for (int i = 0; i < 100; i++)
				EXPECT_EQ(write(s[0], buf, sizeof(buf)), sizeof(buf));
			_exit(0);
		}
		want += (w + 1) * 777L * 100;
	}
	close(s[0]);
	pthread_create(&readers[0], NULL, pump, &sums[0]);
	pthread_create(&readers[1], NULL, pump, &sums[1]);
	MAYBE_SAVE();
	for (int w = 0; w < WRITERS; w++)
		EXPECT_EQ(guest_reap(writers[w]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(readers[i], NULL);
	EXPECT_EQ(sums[0] + sums[1], want);
}

GUEST_TEST(peek_offset)
{
	int off = 1;
	socklen_t len = sizeof(off);
	char buf[8] = "";

	make_pair(SOCK_STREAM);
	EXPECT_OK(getsockopt(s[1], SOL_SOCKET, SO_PEEK_OFF, &off, &len));
	EXPECT_EQ(off, -1);
	off = 1;
	EXPECT_OK(setsockopt(s[1], SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)));
	EXPECT_EQ(write(s[0], "abcdef", 6), 6);
	EXPECT_EQ(recv(s[1], buf, 2, MSG_PEEK), 2);
	EXPECT_TRUE(memcmp(buf, "bc", 2) == 0);
	MAYBE_SAVE();
	EXPECT_EQ(recv(s[1], buf, 2, MSG_PEEK), 2);
	EXPECT_TRUE(memcmp(buf, "de", 2) == 0);
	EXPECT_EQ(recv(s[1], buf, 3, 0), 3);
	EXPECT_TRUE(memcmp(buf, "abc", 3) == 0);
	EXPECT_EQ(recv(s[1], buf, 8, MSG_PEEK), 1);
	EXPECT_EQ(buf[0], 'f');
}

GUEST_TEST(many_pairs)
{
	enum {
		N = 200
	};
	int p[N][2];
	char c;

	for (int i = 0; i < N; i++) {
		ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, p[i]));
		for (int j = 0; j <= i % 5; j++) {
			c = (char)(i + j);
			EXPECT_EQ(write(p[i][0], &c, 1), 1);
		}
	}
	MAYBE_SAVE();
	for (int i = 0; i < N; i++) {
		for (int j = 0; j <= i % 5; j++) {
			EXPECT_EQ(read(p[i][1], &c, 1), 1);
			EXPECT_EQ(c, (char)(i + j));
		}
	}
}
