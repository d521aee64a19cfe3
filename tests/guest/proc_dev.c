#include "tests/guest/guest_test.h"

#include <sys/sysmacros.h>

/* The device nodes that every program expects. */

GUEST_TEST(null)
{
	int fd = ASSERT_OK(open("/dev/null", O_RDWR));
	char c;

	EXPECT_EQ(read(fd, &c, 1), 0);
	EXPECT_EQ(write(fd, "anything", 8), 8);
	MAYBE_SAVE();
	EXPECT_EQ(write(fd, "anything", 8), 8);
	EXPECT_EQ(lseek(fd, 100, SEEK_SET), 0);
	EXPECT_OK(open("/dev/null", O_WRONLY | O_TRUNC | O_CREAT, 0644));
	EXPECT_OK(open("/dev/null", O_WRONLY | O_APPEND));
}

GUEST_TEST(zero)
{
	int fd = ASSERT_OK(open("/dev/zero", O_RDWR));
	char buf[100];

	memset(buf, 1, sizeof(buf));
	EXPECT_EQ(read(fd, buf, 100), 100);
	MAYBE_SAVE();
	for (int i = 0; i < 100; i++)
		EXPECT_EQ(buf[i], 0);
	EXPECT_EQ(write(fd, buf, 100), 100);
}

GUEST_TEST(full)
{
	int fd = ASSERT_OK(open("/dev/full", O_RDWR));
	char c = 1;

	EXPECT_EQ(read(fd, &c, 1), 1);
	EXPECT_EQ(c, 0);
	EXPECT_ERRNO(write(fd, &c, 1), ENOSPC);
}

static void randomness(const char *path)
{
	int fd = ASSERT_OK(open(path, O_RDONLY));
	unsigned char a[256], b[256];
	int ones = 0;

	EXPECT_EQ(read(fd, a, 256), 256);
	MAYBE_SAVE();
	EXPECT_EQ(read(fd, b, 256), 256);
	EXPECT_NE(memcmp(a, b, 256), 0);
	for (int i = 0; i < 256; i++)
		ones += __builtin_popcount(a[i]);
	EXPECT_TRUE(ones > 800 && ones < 1250);
}

GUEST_TEST(urandom)
{
	randomness("/dev/urandom");
}

GUEST_TEST(random_device)
{
	randomness("/dev/random");
}

GUEST_TEST(tty_without_a_terminal)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		setsid();
		EXPECT_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(fd_links)
{
	char link[64] = "", path[64], c = 0;
	int fds[2], fd;

	EXPECT_GT(readlink("/dev/fd", link, sizeof(link) - 1), 0);
	EXPECT_STREQ(link, "/proc/self/fd");
	ASSERT_OK(pipe(fds));
	ASSERT_EQ(write(fds[1], "d", 1), 1);
	snprintf(path, sizeof(path), "/dev/fd/%d", fds[0]);
	fd = ASSERT_OK(open(path, O_RDONLY));
	EXPECT_EQ(read(fd, &c, 1), 1);
	EXPECT_EQ(c, 'd');
	ASSERT_OK(dup2(fds[0], 0));
	ASSERT_EQ(write(fds[1], "s", 1), 1);
	fd = ASSERT_OK(open("/dev/stdin", O_RDONLY));
	EXPECT_EQ(read(fd, &c, 1), 1);
	EXPECT_EQ(c, 's');
	EXPECT_GT(readlink("/dev/stdout", link, sizeof(link)), 0);
	EXPECT_GT(readlink("/dev/stderr", link, sizeof(link)), 0);
}

GUEST_TEST(shm)
{
	char path[64];
	struct stat st;
	char *p;
	int fd;

	EXPECT_OK(stat("/dev/shm", &st));
	EXPECT_TRUE(S_ISDIR(st.st_mode));
	EXPECT_EQ(st.st_mode & 07777, 01777);
	snprintf(path, sizeof(path), "/guest-test-%d", getpid());
	fd = ASSERT_OK(shm_open(path, O_RDWR | O_CREAT | O_EXCL, 0600));
	ASSERT_OK(ftruncate(fd, 8192));
	p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_TRUE(p != MAP_FAILED);
	p[5000] = 's';
	EXPECT_OK(shm_unlink(path));
	MAYBE_SAVE();
	EXPECT_EQ(p[5000], 's');
}

GUEST_TEST(numbers)
{
	static const struct {
		const char *path;
		unsigned major, minor;
	} nodes[] = {{"/dev/null", 1, 3},   {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
	             {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0}};
	struct stat st;

	for (size_t i = 0; i < GUEST_COUNT(nodes); i++) {
		EXPECT_OK(stat(nodes[i].path, &st));
		EXPECT_TRUE(S_ISCHR(st.st_mode));
		EXPECT_EQ(st.st_rdev, makedev(nodes[i].major, nodes[i].minor));
	}
}
