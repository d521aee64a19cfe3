#include "tests/guest/guest_test.h"

#include <sys/uio.h>

/* splice, tee, vmsplice: rarely used, but coreutils may. Each either works or is refused clearly.
 */

GUEST_TEST(splice_between_file_and_pipe)
{
	int fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644)), fds[2];
	char buf[16];
	loff_t off = 2;
	ssize_t n;

	ASSERT_EQ(write(fd, "0123456789", 10), 10);
	ASSERT_OK(pipe(fds));
	n = splice(fd, &off, fds[1], NULL, 4, 0);
	if (n < 0 && (errno == ENOSYS || errno == EINVAL))
		return;
	EXPECT_EQ(n, 4);
	EXPECT_EQ(off, 6);
	EXPECT_EQ(read(fds[0], buf, 16), 4);
	EXPECT_EQ(memcmp(buf, "2345", 4), 0);
	ASSERT_EQ(write(fds[1], "XY", 2), 2);
	off = 8;
	EXPECT_EQ(splice(fds[0], NULL, fd, &off, 10, 0), 2);
	EXPECT_EQ(pread(fd, buf, 16, 0), 10);
	EXPECT_EQ(memcmp(buf, "01234567XY", 10), 0);
	EXPECT_ERRNO(splice(fd, NULL, fd, NULL, 1, 0), EINVAL);
}

GUEST_TEST(tee_copies)
{
	int a[2], b[2];
	char buf[8];
	ssize_t n;

	ASSERT_OK(pipe(a));
	ASSERT_OK(pipe(b));
	ASSERT_EQ(write(a[1], "tee", 3), 3);
	n = tee(a[0], b[1], 100, 0);
	if (n < 0 && (errno == ENOSYS || errno == EINVAL))
		return;
	EXPECT_EQ(n, 3);
	EXPECT_EQ(read(a[0], buf, 8), 3);
	EXPECT_EQ(read(b[0], buf, 8), 3);
}

GUEST_TEST(vmsplice_gives)
{
	int a[2];
	struct iovec iov = {(char *)"vm", 2};
	char buf[8];
	ssize_t n;

	ASSERT_OK(pipe(a));
	n = vmsplice(a[1], &iov, 1, 0);
	if (n < 0 && (errno == ENOSYS || errno == EINVAL))
		return;
	EXPECT_EQ(n, 2);
	EXPECT_EQ(read(a[0], buf, 8), 2);
}
