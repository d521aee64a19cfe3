#include "tests/guest/guest_test.h"

#include <sys/ioctl.h>

/* dup, dup2, dup3 and fcntl on descriptors and descriptions. */

GUEST_TEST(dup_shares_the_description)
{
	int a = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));
	int b = ASSERT_OK(dup(a));

	ASSERT_EQ(write(a, "hello", 5), 5);
	EXPECT_EQ(lseek(b, 0, SEEK_CUR), 5);
	EXPECT_EQ(lseek(b, 1, SEEK_SET), 1);
	MAYBE_SAVE();
	EXPECT_EQ(lseek(a, 0, SEEK_CUR), 1);
	EXPECT_OK(fcntl(a, F_SETFL, O_APPEND));
	EXPECT_TRUE(fcntl(b, F_GETFL) & O_APPEND);
	EXPECT_OK(close(a));
	EXPECT_EQ(write(b, "!", 1), 1);
}

GUEST_TEST(descriptor_flags_are_own)
{
	int a = ASSERT_OK(open("/dev/null", O_RDONLY | O_CLOEXEC)), b = ASSERT_OK(dup(a));

	EXPECT_EQ(fcntl(b, F_GETFD), 0);
	EXPECT_OK(fcntl(b, F_SETFD, FD_CLOEXEC));
	EXPECT_OK(fcntl(a, F_SETFD, 0));
	MAYBE_SAVE();
	EXPECT_EQ(fcntl(a, F_GETFD), 0);
	EXPECT_EQ(fcntl(b, F_GETFD), FD_CLOEXEC);
}

GUEST_TEST(dup2_rules)
{
	int a = ASSERT_OK(open("/dev/null", O_RDONLY | O_CLOEXEC));
	int b = ASSERT_OK(open("/dev/zero", O_RDONLY));
	char c = 1;

	EXPECT_EQ(dup2(b, 200), 200);
	EXPECT_EQ(read(200, &c, 1), 1);
	EXPECT_EQ(dup2(a, 200), 200);
	EXPECT_EQ(read(200, &c, 1), 0);
	EXPECT_EQ(fcntl(200, F_GETFD), 0);
	/* Onto itself: nothing happens, the flag stays. */
	EXPECT_EQ(dup2(a, a), a);
	EXPECT_EQ(fcntl(a, F_GETFD), FD_CLOEXEC);
	EXPECT_ERRNO(dup2(777, 777), EBADF);
	EXPECT_ERRNO(dup2(777, b), EBADF);
	EXPECT_ERRNO(dup2(a, -1), EBADF);
	EXPECT_EQ(read(b, &c, 1), 1);
}

GUEST_TEST(dup3_rules)
{
	int a = ASSERT_OK(open("/dev/null", O_RDONLY));

	EXPECT_EQ(dup3(a, 50, O_CLOEXEC), 50);
	EXPECT_EQ(fcntl(50, F_GETFD), FD_CLOEXEC);
	EXPECT_ERRNO(dup3(a, a, 0), EINVAL);
	EXPECT_ERRNO(dup3(a, 51, O_APPEND), EINVAL);
	EXPECT_ERRNO(dup3(777, 51, 0), EBADF);
}

GUEST_TEST(dupfd)
{
	int a = ASSERT_OK(open("/dev/null", O_RDONLY));

	EXPECT_EQ(fcntl(a, F_DUPFD, 100), 100);
	EXPECT_EQ(fcntl(a, F_DUPFD, 100), 101);
	EXPECT_EQ(fcntl(a, F_DUPFD_CLOEXEC, 100), 102);
	EXPECT_EQ(fcntl(102, F_GETFD), FD_CLOEXEC);
	EXPECT_ERRNO(fcntl(a, F_DUPFD, -1), EINVAL);
	EXPECT_ERRNO(fcntl(777, F_DUPFD, 0), EBADF);
}

GUEST_TEST(status_flags)
{
	int fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644)), on = 1;

	/* Access mode and creation flags can't be changed. */
	EXPECT_OK(fcntl(fd, F_SETFL, O_RDONLY | O_CREAT | O_TRUNC | O_NONBLOCK));
	EXPECT_EQ(fcntl(fd, F_GETFL) & (O_ACCMODE | O_CREAT | O_TRUNC | O_NONBLOCK | O_APPEND),
	          O_RDWR | O_NONBLOCK);
	MAYBE_SAVE();
	EXPECT_TRUE(fcntl(fd, F_GETFL) & O_NONBLOCK);
	EXPECT_OK(fcntl(fd, F_SETFL, 0));
	EXPECT_OK(ioctl(fd, FIONBIO, &on));
	EXPECT_TRUE(fcntl(fd, F_GETFL) & O_NONBLOCK);
	EXPECT_OK(ioctl(fd, FIOCLEX));
	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EXPECT_OK(ioctl(fd, FIONCLEX));
	EXPECT_EQ(fcntl(fd, F_GETFD), 0);
	EXPECT_ERRNO(fcntl(fd, 9999), EINVAL);
	EXPECT_ERRNO(fcntl(777, F_GETFL), EBADF);
}

GUEST_TEST(owner)
{
	int fds[2];

	ASSERT_OK(pipe(fds));
	EXPECT_EQ(fcntl(fds[0], F_GETOWN), 0);
	EXPECT_OK(fcntl(fds[0], F_SETOWN, getpid()));
	MAYBE_SAVE();
	EXPECT_EQ(fcntl(fds[0], F_GETOWN), getpid());
}

GUEST_TEST(no_terminal)
{
	int fd = ASSERT_OK(open("/dev/null", O_RDWR));
	struct {
		unsigned short r, c, x, y;
	} ws;

	EXPECT_FALSE(isatty(fd));
	EXPECT_EQ(errno, ENOTTY);
	EXPECT_ERRNO(ioctl(fd, TIOCGWINSZ, &ws), ENOTTY);
	EXPECT_ERRNO(ioctl(777, TIOCGWINSZ, &ws), EBADF);
}

GUEST_TEST(many_descriptors)
{
	int n = 0, fd;
	enum {
		MAX = 900
	};

	while (n < MAX && (fd = dup(0)) >= 0)
		n++;
	EXPECT_GE(n, 200);
	MAYBE_SAVE();
	EXPECT_OK(fcntl(100, F_GETFD));
	for (fd = 3; fd < 60; fd += 2)
		close(fd);
	EXPECT_EQ(dup(0), 3);
	EXPECT_EQ(dup(0), 5);
}
