#include "tests/guest/guest_test.h"

/* FIFOs: the rules of open, sharing, reopening. */

static const char *fifo(void)
{
	const char *path = guest_path("fifo");

	ASSERT_OK(mkfifo(path, 0644));
	return path;
}

GUEST_TEST(nonblocking_opens)
{
	const char *path = fifo();
	int rd, wr;
	char c;

	EXPECT_ERRNO(open(path, O_WRONLY | O_NONBLOCK), ENXIO);
	rd = ASSERT_OK(open(path, O_RDONLY | O_NONBLOCK));
	EXPECT_EQ(read(rd, &c, 1), 0); /* no writer yet */
	wr = ASSERT_OK(open(path, O_WRONLY | O_NONBLOCK));
	EXPECT_ERRNO(read(rd, &c, 1), EAGAIN);
	EXPECT_EQ(write(wr, "f", 1), 1);
	MAYBE_SAVE();
	EXPECT_EQ(read(rd, &c, 1), 1);
	EXPECT_EQ(c, 'f');
	close(rd);
	EXPECT_ERRNO(open(path, O_WRONLY | O_NONBLOCK), ENXIO);
	signal(SIGPIPE, SIG_IGN);
	EXPECT_ERRNO(write(wr, "f", 1), EPIPE);
}

GUEST_TEST(open_waits_for_the_other_end)
{
	const char *path = fifo();
	pid_t pid;
	char c = 0;
	int fd;

	pid = guest_fork();
	if (pid == 0) {
		fd = open(path, O_WRONLY);
		_exit(write(fd, "w", 1) == 1 ? 0 : 1);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	fd = ASSERT_OK(open(path, O_RDONLY));
	EXPECT_EQ(read(fd, &c, 1), 1);
	EXPECT_EQ(c, 'w');
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(read(fd, &c, 1), 0);
	close(fd);
	pid = guest_fork();
	if (pid == 0) {
		fd = open(path, O_RDONLY);
		_exit(read(fd, &c, 1) == 1 && c == 'r' ? 0 : 1);
	}
	guest_wait_blocked(pid);
	fd = ASSERT_OK(open(path, O_WRONLY));
	EXPECT_EQ(write(fd, "r", 1), 1);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(read_write_never_blocks)
{
	const char *path = fifo();
	int fd = ASSERT_OK(open(path, O_RDWR));
	char c = 0;

	EXPECT_EQ(write(fd, "b", 1), 1);
	EXPECT_EQ(read(fd, &c, 1), 1);
	EXPECT_EQ(c, 'b');
}

GUEST_TEST(many_writers)
{
	const char *path = fifo();
	pid_t pids[5];
	int sum = 0, fd;
	char c;

	for (int i = 0; i < 5; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0) {
			char b = (char)i;

			fd = open(path, O_WRONLY);
			_exit(write(fd, &b, 1) == 1 ? 0 : 1);
		}
	}
	fd = ASSERT_OK(open(path, O_RDWR)); /* keeps an end open */
	for (int i = 0; i < 5; i++) {
		EXPECT_EQ(read(fd, &c, 1), 1);
		sum += c;
	}
	EXPECT_EQ(sum, 10);
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(guest_reap(pids[i]), 0);
}

GUEST_TEST(contents_go_with_the_last_close)
{
	const char *path = fifo();
	int fd = ASSERT_OK(open(path, O_RDWR | O_NONBLOCK));
	char c;

	EXPECT_EQ(write(fd, "gone", 4), 4);
	close(fd);
	fd = ASSERT_OK(open(path, O_RDWR | O_NONBLOCK));
	EXPECT_ERRNO(read(fd, &c, 1), EAGAIN);
}

GUEST_TEST(unlinked_fifo_goes_on)
{
	const char *path = fifo();
	int rd = ASSERT_OK(open(path, O_RDONLY | O_NONBLOCK));
	int wr = ASSERT_OK(open(path, O_WRONLY));
	char c;

	EXPECT_OK(unlink(path));
	EXPECT_EQ(write(wr, "u", 1), 1);
	MAYBE_SAVE();
	EXPECT_EQ(read(rd, &c, 1), 1);
	EXPECT_EQ(c, 'u');
}

GUEST_TEST(attributes)
{
	const char *path = fifo();
	struct stat st;

	EXPECT_OK(stat(path, &st));
	EXPECT_TRUE(S_ISFIFO(st.st_mode));
	EXPECT_EQ(st.st_size, 0);
	EXPECT_ERRNO(mkfifo(path, 0644), EEXIST);
	EXPECT_ERRNO(truncate(path, 0), EINVAL);
	EXPECT_OK(chmod(path, 0600));
	EXPECT_ERRNO(open(path, O_RDONLY | O_DIRECTORY), ENOTDIR);
}
