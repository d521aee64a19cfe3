#include "tests/guest/guest_test.h"

#include <sys/ioctl.h>
#include <sys/uio.h>

/* Pipes: order, capacity, atomicity, ends. */

static int fds[2];

static void make(int flags)
{
	ASSERT_OK(pipe2(fds, flags));
}

GUEST_TEST(bytes_in_order)
{
	char buf[32];
	int avail = 0;

	make(0);
	EXPECT_EQ(write(fds[1], "hello ", 6), 6);
	EXPECT_EQ(write(fds[1], "world", 5), 5);
	EXPECT_OK(ioctl(fds[0], FIONREAD, &avail));
	EXPECT_EQ(avail, 11);
	EXPECT_EQ(read(fds[0], buf, 4), 4);
	MAYBE_SAVE();
	EXPECT_OK(ioctl(fds[0], FIONREAD, &avail));
	EXPECT_EQ(avail, 7);
	EXPECT_EQ(read(fds[0], buf + 4, 32), 7);
	EXPECT_EQ(memcmp(buf, "hello world", 11), 0);
	EXPECT_EQ(write(fds[1], "", 0), 0);
	EXPECT_OK(ioctl(fds[0], FIONREAD, &avail));
	EXPECT_EQ(avail, 0);
}

GUEST_TEST(ends_and_flags)
{
	char c;

	make(O_CLOEXEC | O_NONBLOCK);
	EXPECT_EQ(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(fds[1], F_GETFL), O_WRONLY | O_NONBLOCK);
	EXPECT_EQ(fcntl(fds[0], F_GETFL), O_RDONLY | O_NONBLOCK);
	EXPECT_ERRNO(write(fds[0], "x", 1), EBADF);
	EXPECT_ERRNO(read(fds[1], &c, 1), EBADF);
	EXPECT_ERRNO(read(fds[0], &c, 1), EAGAIN);
	close(fds[1]);
	EXPECT_EQ(read(fds[0], &c, 1), 0);
	EXPECT_ERRNO(pipe2(fds, 0x1), EINVAL);
}

GUEST_TEST(eof_only_after_the_data)
{
	char buf[8];

	make(0);
	ASSERT_EQ(write(fds[1], "abc", 3), 3);
	close(fds[1]);
	MAYBE_SAVE();
	EXPECT_EQ(read(fds[0], buf, 8), 3);
	EXPECT_EQ(read(fds[0], buf, 8), 0);
	EXPECT_EQ(read(fds[0], buf, 8), 0);
}

GUEST_TEST(capacity)
{
	static char page[4096];
	size_t total = 0;
	ssize_t n;

	make(O_NONBLOCK);
	EXPECT_EQ(fcntl(fds[0], F_GETPIPE_SZ), 65536);
	while ((n = write(fds[1], page, sizeof(page))) > 0)
		total += (size_t)n;
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_EQ(total, 65536);
	MAYBE_SAVE();
	EXPECT_ERRNO(write(fds[1], page, 1), EAGAIN);
	EXPECT_EQ(read(fds[0], page, 4096), 4096);
	EXPECT_EQ(write(fds[1], page, 4096), 4096);
	EXPECT_ERRNO(write(fds[1], page, 1), EAGAIN);
}

GUEST_TEST(set_capacity)
{
	static char buf[1 << 17];

	make(O_NONBLOCK);
	EXPECT_EQ(fcntl(fds[1], F_SETPIPE_SZ, 5000), 8192);
	EXPECT_EQ(fcntl(fds[0], F_GETPIPE_SZ), 8192);
	EXPECT_EQ(write(fds[1], buf, sizeof(buf)), 8192);
	EXPECT_ERRNO(fcntl(fds[1], F_SETPIPE_SZ, 4096), EBUSY);
	EXPECT_EQ(fcntl(fds[1], F_SETPIPE_SZ, 1 << 17), 1 << 17);
	MAYBE_SAVE();
	EXPECT_EQ(write(fds[1], buf, sizeof(buf)), (1 << 17) - 8192);
	EXPECT_ERRNO(fcntl(fds[1], F_SETPIPE_SZ, -1), EINVAL);
}

GUEST_TEST(small_writes_are_atomic)
{
	static char buf[4096];
	pid_t pids[4];
	int lines = 0;
	size_t have = 0;
	ssize_t n;

	make(0);
	for (int i = 0; i < 4; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0) {
			memset(buf, 'a' + i, 1024);
			for (int j = 0; j < 100; j++)
				if (write(fds[1], buf, 1024) != 1024)
					_exit(1);
			_exit(0);
		}
	}
	close(fds[1]);
	while ((n = read(fds[0], buf + have, 1024 - have)) > 0) {
		have += (size_t)n;
		if (have < 1024)
			continue;
		for (int i = 1; i < 1024; i++)
			if (buf[i] != buf[0])
				EXPECT_EQ(buf[i], buf[0]);
		have = 0;
		if (++lines == 50)
			MAYBE_SAVE();
	}
	EXPECT_EQ(lines, 400);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(guest_reap(pids[i]), 0);
}

GUEST_TEST(nonblocking_atomic_writes_all_or_nothing)
{
	static char buf[65536];

	make(O_NONBLOCK);
	ASSERT_EQ(write(fds[1], buf, 65536 - 100), 65536 - 100);
	EXPECT_ERRNO(write(fds[1], buf, 4096), EAGAIN);
	/* A large one may be cut. */
	ASSERT_EQ(read(fds[0], buf, 8192), 8192);
	EXPECT_GT(write(fds[1], buf, 20000), 0);
}

GUEST_TEST(large_transfer)
{
	enum {
		LEN = 1 << 20
	};
	unsigned *buf = guest_map(LEN, 0);
	size_t got = 0;
	pid_t pid;

	make(0);
	pid = guest_fork();
	if (pid == 0) {
		for (size_t i = 0; i < LEN / 4; i++)
			buf[i] = (unsigned)i * 7;
		_exit(write(fds[1], buf, LEN) == LEN ? 0 : 1);
	}
	close(fds[1]);
	while (got < LEN) {
		ssize_t n = read(fds[0], (char *)buf + got, LEN - got);

		ASSERT_TRUE(n > 0);
		if (got < LEN / 2 && got + (size_t)n >= LEN / 2)
			MAYBE_SAVE();
		got += (size_t)n;
	}
	for (size_t i = 0; i < LEN / 4; i += 1023)
		EXPECT_EQ(buf[i], (unsigned)i * 7);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(reader_blocks_until_data)
{
	char c = 0;
	pid_t pid, self = getpid();

	make(0);
	pid = guest_fork();
	if (pid == 0) {
		guest_wait_blocked(self);
		MAYBE_SAVE();
		_exit(write(fds[1], "z", 1) == 1 ? 0 : 1);
	}
	EXPECT_EQ(read(fds[0], &c, 1), 1);
	EXPECT_EQ(c, 'z');
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(last_writer_wakes_readers)
{
	char c;
	pid_t pid, self = getpid();

	make(0);
	pid = guest_fork();
	if (pid == 0) {
		guest_wait_blocked(self);
		_exit(0);
	}
	close(fds[1]);
	EXPECT_EQ(read(fds[0], &c, 1), 0);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(last_reader_wakes_writers)
{
	static char buf[65536];
	pid_t pid;

	make(0);
	ASSERT_EQ(write(fds[1], buf, sizeof(buf)), sizeof(buf));
	pid = guest_fork();
	if (pid == 0) {
		close(fds[0]);
		signal(SIGPIPE, SIG_IGN);
		_exit(write(fds[1], buf, 1) < 0 && errno == EPIPE ? 0 : 1);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	close(fds[0]);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(packet_mode)
{
	char buf[8192];

	if (pipe2(fds, O_DIRECT) < 0)
		SKIP("no packet pipes");
	EXPECT_EQ(write(fds[1], "one", 3), 3);
	EXPECT_EQ(write(fds[1], "three", 5), 5);
	MAYBE_SAVE();
	EXPECT_EQ(read(fds[0], buf, sizeof(buf)), 3);
	EXPECT_EQ(read(fds[0], buf, 2), 2); /* the rest of the packet is lost */
	EXPECT_EQ(write(fds[1], buf, 5000), 5000);
	EXPECT_EQ(read(fds[0], buf, sizeof(buf)), 4096);
	EXPECT_EQ(read(fds[0], buf, sizeof(buf)), 904);
}

GUEST_TEST(vectors)
{
	char a[4] = "", b[8] = "";
	struct iovec out[2] = {{(char *)"abc", 3}, {(char *)"defgh", 5}};
	struct iovec in[2] = {{a, 4}, {b, 8}};

	make(0);
	EXPECT_EQ(writev(fds[1], out, 2), 8);
	EXPECT_EQ(readv(fds[0], in, 2), 8);
	EXPECT_EQ(memcmp(a, "abcd", 4), 0);
	EXPECT_EQ(memcmp(b, "efgh", 4), 0);
}

GUEST_TEST(chain_of_processes)
{
	enum {
		N = 10
	};
	int in, next[2];
	char buf[64] = "";

	make(0);
	in = fds[0];
	for (int i = 0; i < N; i++) {
		ASSERT_OK(pipe(next));
		if (guest_fork() == 0) {
			char c;

			close(fds[1]);
			close(next[0]);
			while (read(in, &c, 1) == 1) {
				c++;
				if (write(next[1], &c, 1) != 1)
					_exit(1);
			}
			_exit(0);
		}
		close(in);
		close(next[1]);
		in = next[0];
	}
	EXPECT_EQ(write(fds[1], "abc", 3), 3);
	MAYBE_SAVE();
	EXPECT_EQ(read(in, buf, 1), 1);
	EXPECT_EQ(buf[0], 'a' + N);
	close(fds[1]);
	while (read(in, buf, 1) == 1)
		;
	EXPECT_EQ(buf[0], 'c' + N);
	for (int i = 0; i < N; i++)
		EXPECT_EQ(guest_reap(-1), 0);
}

GUEST_TEST(reopened_through_proc)
{
	char link[64], c = 0;
	int w;

	make(0);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fds[0]);
	w = ASSERT_OK(open(link, O_WRONLY));
	EXPECT_EQ(write(w, "p", 1), 1);
	EXPECT_EQ(read(fds[0], &c, 1), 1);
	EXPECT_EQ(c, 'p');
}
