#include "tests/guest/guest_test.h"

#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

/* splice, tee, vmsplice, sendfile and copy_file_range between pipes and files. */

static int a[2], b[2];

static void pipes(void)
{
	ASSERT_EQ(pipe(a), 0);
	ASSERT_EQ(pipe(b), 0);
}

static int file_of(const char *name, const char *text)
{
	int fd = ASSERT_OK(open(guest_path(name), O_RDWR | O_CREAT | O_TRUNC, 0644));

	EXPECT_EQ(write(fd, text, strlen(text)), (long)strlen(text));
	EXPECT_EQ(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void expect_read(int fd, const char *want)
{
	char buf[256] = "";
	ssize_t n = read(fd, buf, sizeof(buf) - 1);

	EXPECT_EQ(n, (long)strlen(want));
	EXPECT_STREQ(buf, want);
}

GUEST_TEST(errors)
{
	int f, ap;
	struct iovec iov = {(char *)"v", 1};
	loff_t off = 0, neg = -1;

	pipes();
	f = file_of("f", "text");
	EXPECT_ERRNO(splice(a[0], NULL, a[1], NULL, 1, 0), EINVAL);
	EXPECT_ERRNO(splice(f, NULL, f, NULL, 1, 0), EINVAL);
	EXPECT_ERRNO(splice(f, NULL, a[0], NULL, 1, 0), EBADF);
	EXPECT_ERRNO(splice(a[1], NULL, f, NULL, 1, 0), EBADF);
	EXPECT_ERRNO(splice(a[0], &off, b[1], NULL, 1, 0), ESPIPE);
	EXPECT_ERRNO(splice(f, NULL, a[1], &off, 1, 0), ESPIPE);
	EXPECT_ERRNO(splice(f, &neg, a[1], NULL, 1, 0), EINVAL);
	EXPECT_ERRNO(splice(a[0], NULL, b[1], NULL, 1, 0x100), EINVAL);
	EXPECT_ERRNO(splice(a[0], NULL, b[1], NULL, 1, SPLICE_F_NONBLOCK), EAGAIN);
	EXPECT_EQ(splice(a[0], NULL, b[1], NULL, 0, 0), 0);
	EXPECT_ERRNO(tee(a[0], a[1], 1, 0), EINVAL);
	EXPECT_ERRNO(tee(a[0], f, 1, 0), EINVAL);
	EXPECT_ERRNO(tee(a[0], b[1], 1, SPLICE_F_NONBLOCK), EAGAIN);
	EXPECT_ERRNO(vmsplice(f, &iov, 1, 0), EBADF);
	ap = ASSERT_OK(open(guest_path("f"), O_WRONLY | O_APPEND));
	EXPECT_EQ(write(a[1], "x", 1), 1);
	EXPECT_ERRNO(splice(a[0], NULL, ap, NULL, 1, 0), EINVAL);
	EXPECT_ERRNO(sendfile(b[1], a[0], NULL, 1), EINVAL);
	expect_read(a[0], "x");
}

GUEST_TEST(from_pipe_to_pipe)
{
	pipes();
	EXPECT_EQ(write(a[1], "abcdef", 6), 6);
	EXPECT_EQ(splice(a[0], NULL, b[1], NULL, 4, 0), 4);
	MAYBE_SAVE();
	expect_read(b[0], "abcd");
	expect_read(a[0], "ef");
	close(a[1]);
	EXPECT_EQ(splice(a[0], NULL, b[1], NULL, 4, 0), 0);
}

GUEST_TEST(positions)
{
	int f = file_of("f", "0123456789"), g = file_of("g", "----------");
	loff_t off = 6;

	pipes();
	EXPECT_EQ(splice(f, NULL, a[1], NULL, 3, 0), 3);
	EXPECT_EQ(lseek(f, 0, SEEK_CUR), 3);
	EXPECT_EQ(splice(f, &off, a[1], NULL, 100, 0), 4);
	EXPECT_EQ(off, 10);
	EXPECT_EQ(lseek(f, 0, SEEK_CUR), 3);
	MAYBE_SAVE();
	off = 1;
	EXPECT_EQ(splice(a[0], NULL, g, &off, 3, 0), 3);
	EXPECT_EQ(off, 4);
	EXPECT_EQ(splice(a[0], NULL, g, NULL, 100, 0), 4);
	EXPECT_EQ(lseek(g, 0, SEEK_SET), 0);
	expect_read(g, "6789------");
	EXPECT_EQ(splice(f, &(loff_t){10}, a[1], NULL, 5, 0), 0);
}

/* A full pipe takes what it has room for. */
GUEST_TEST(into_a_full_pipe)
{
	static char zeros[65536];
	int f = file_of("f", "0123456789"), n;
	pid_t pid;

	pipes();
	EXPECT_EQ(write(a[1], zeros, sizeof(zeros)), sizeof(zeros));
	EXPECT_ERRNO(splice(f, NULL, a[1], NULL, 10, SPLICE_F_NONBLOCK), EAGAIN);
	EXPECT_EQ(lseek(f, 0, SEEK_CUR), 0);
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_EQ(splice(f, NULL, a[1], NULL, 10, 0), 10);
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	for (n = 0; n < (int)sizeof(zeros);) {
		ssize_t r = read(a[0], zeros, sizeof(zeros) - (size_t)n);

		ASSERT_GE(r, 1);
		n += (int)r;
	}
	EXPECT_EQ(guest_reap(pid), 0);
	expect_read(a[0], "0123456789");
}

/* What was taken out of a pipe is never lost when the other side can't take it. */
GUEST_TEST(blocked_between_pipes)
{
	static char zeros[65536];
	pid_t pid;
	int n;

	pipes();
	EXPECT_EQ(write(b[1], zeros, sizeof(zeros)), sizeof(zeros));
	EXPECT_EQ(write(a[1], "precious", 8), 8);
	EXPECT_ERRNO(splice(a[0], NULL, b[1], NULL, 8, SPLICE_F_NONBLOCK), EAGAIN);
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_EQ(splice(a[0], NULL, b[1], NULL, 8, 0), 8);
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	for (n = 0; n < (int)sizeof(zeros);) {
		ssize_t r = read(b[0], zeros, sizeof(zeros) - (size_t)n);

		ASSERT_GE(r, 1);
		n += (int)r;
	}
	EXPECT_EQ(guest_reap(pid), 0);
	expect_read(b[0], "precious");
}

static void nothing(int sig)
{
}

GUEST_TEST(interrupted_keeps_the_data)
{
	static char zeros[65536];
	struct sigaction sa = {.sa_handler = nothing};
	pid_t self = getpid(), pid;

	pipes();
	EXPECT_OK(sigaction(SIGUSR1, &sa, NULL));
	EXPECT_EQ(write(b[1], zeros, sizeof(zeros)), sizeof(zeros));
	EXPECT_EQ(write(a[1], "precious", 8), 8);
	pid = guest_fork();
	if (pid == 0) {
		guest_wait_blocked(self);
		MAYBE_SAVE();
		/* Until one of them has found it asleep. */
		for (;;) {
			kill(self, SIGUSR1);
			guest_sleep_ms(20);
		}
	}
	EXPECT_ERRNO(splice(a[0], NULL, b[1], NULL, 8, 0), EINTR);
	kill(pid, SIGKILL);
	EXPECT_EQ(guest_reap(pid), 1000 + SIGKILL);
	expect_read(a[0], "precious");
}

GUEST_TEST(blocked_reader_of_an_empty_pipe)
{
	pid_t pid;

	pipes();
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_EQ(splice(a[0], NULL, b[1], NULL, 100, 0), 4);
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	EXPECT_EQ(write(a[1], "late", 4), 4);
	EXPECT_EQ(guest_reap(pid), 0);
	expect_read(b[0], "late");
}

GUEST_TEST(broken_pipe)
{
	int f = file_of("f", "text");

	pipes();
	signal(SIGPIPE, SIG_IGN);
	close(a[0]);
	EXPECT_ERRNO(splice(f, NULL, a[1], NULL, 4, 0), EPIPE);
	EXPECT_EQ(lseek(f, 0, SEEK_CUR), 0);
	EXPECT_EQ(write(b[1], "stay", 4), 4);
	EXPECT_ERRNO(splice(b[0], NULL, a[1], NULL, 4, 0), EPIPE);
	expect_read(b[0], "stay");
	EXPECT_ERRNO(sendfile(a[1], f, NULL, 4), EPIPE);
}

GUEST_TEST(tee_and_vmsplice)
{
	struct iovec in[2] = {{(char *)"ab", 2}, {(char *)"cde", 3}}, out;
	char buf[16] = "";

	pipes();
	EXPECT_EQ(vmsplice(a[1], in, 2, 0), 5);
	EXPECT_EQ(tee(a[0], b[1], 3, 0), 3);
	MAYBE_SAVE();
	expect_read(b[0], "abc");
	out = (struct iovec){buf, sizeof(buf)};
	EXPECT_EQ(vmsplice(a[0], &out, 1, 0), 5);
	EXPECT_STREQ(buf, "abcde");
}

/* All of the file, in as many calls as it takes. */
static void send_all(int from, loff_t *off, size_t size)
{
	while (size > 0) {
		ssize_t n = sendfile(a[1], from, off, size);

		ASSERT_GE(n, 1);
		size -= (size_t)n;
	}
}

/* A sendfile that has to wait goes on where it was. */
GUEST_TEST(sendfile_in_pieces)
{
	enum {
		SIZE = 300000
	};
	char *data = malloc(SIZE), *back = malloc(SIZE);
	int f = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644)), n = 0;
	loff_t off = 0;
	pid_t pid;

	pipes();
	for (int i = 0; i < SIZE; i++)
		data[i] = (char)(i * 7 + i / 251);
	EXPECT_EQ(write(f, data, SIZE), SIZE);
	EXPECT_EQ(lseek(f, 0, SEEK_SET), 0);
	pid = guest_fork();
	if (pid == 0) {
		send_all(f, NULL, SIZE);
		send_all(f, &off, SIZE);
		EXPECT_EQ(off, SIZE);
		_exit(0);
	}
	close(a[1]);
	for (int round = 0; round < 2; round++) {
		guest_wait_blocked(pid);
		MAYBE_SAVE();
		for (n = 0; n < SIZE;) {
			ssize_t r =
				read(a[0], back + n, (size_t)(SIZE - n < 50000 ? SIZE - n : 50000));

			ASSERT_GE(r, 1);
			n += (int)r;
		}
		EXPECT_EQ(memcmp(data, back, SIZE), 0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(lseek(f, 0, SEEK_CUR), SIZE);
}

GUEST_TEST(copy_ranges)
{
	int f = file_of("f", "0123456789"), g = file_of("g", "");
	loff_t in = 2, out = 4;

	pipes();
	EXPECT_EQ(syscall(SYS_copy_file_range, f, &in, g, &out, 5, 0), 5);
	EXPECT_EQ(in, 7);
	EXPECT_EQ(out, 9);
	MAYBE_SAVE();
	EXPECT_EQ(syscall(SYS_copy_file_range, f, NULL, g, NULL, 3, 0), 3);
	EXPECT_EQ(lseek(f, 0, SEEK_CUR), 3);
	EXPECT_EQ(lseek(g, 0, SEEK_CUR), 3);
	EXPECT_EQ(lseek(g, 4, SEEK_SET), 4);
	expect_read(g, "23456");
	EXPECT_ERRNO(syscall(SYS_copy_file_range, f, NULL, a[1], NULL, 3, 0), EINVAL);
	EXPECT_ERRNO(syscall(SYS_copy_file_range, f, NULL, g, NULL, 3, 1), EINVAL);
	in = 0;
	out = 2;
	EXPECT_ERRNO(syscall(SYS_copy_file_range, f, &in, f, &out, 5, 0), EINVAL);
	in = 100;
	EXPECT_EQ(syscall(SYS_copy_file_range, f, &in, g, NULL, 5, 0), 0);
	/* What lies past the end overlaps nothing. */
	in = out = 100;
	EXPECT_EQ(syscall(SYS_copy_file_range, f, &in, f, &out, 5, 0), 0);
}

/* Files that give records are no end of a splice. */
GUEST_TEST(no_streams)
{
	int e = ASSERT_OK(eventfd(8, EFD_NONBLOCK));

	pipes();
	EXPECT_ERRNO(splice(e, NULL, a[1], NULL, 8, 0), EINVAL);
	EXPECT_ERRNO(splice(ASSERT_OK(open("/", O_RDONLY)), NULL, a[1], NULL, 8, 0), EINVAL);
	EXPECT_EQ(write(a[1], "eight by", 8), 8);
	EXPECT_ERRNO(splice(a[0], NULL, e, NULL, 8, 0), EINVAL);
	MAYBE_SAVE();
	expect_read(a[0], "eight by");
}
