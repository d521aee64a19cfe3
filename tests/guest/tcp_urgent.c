#include "tests/guest/inet_util.h"

GUEST_TEST(out_of_band)
{
	char b[16] = "";
	int fds[2], mark = -1;

	inet_pair(AF_INET, fds);
	EXPECT_ERRNO(recv(fds[1], b, 1, MSG_OOB), EINVAL);
	ASSERT_EQ(send(fds[0], "abcX", 4, MSG_OOB), 4);
	EXPECT_TRUE(inet_poll(fds[1], POLLPRI) & POLLPRI);
	ASSERT_EQ(send(fds[0], "def", 3, 0), 3);
	EXPECT_TRUE(inet_poll(fds[1], POLLIN) & POLLIN);
	MAYBE_SAVE();
	ASSERT_OK(ioctl(fds[1], SIOCATMARK, &mark));
	EXPECT_EQ(mark, 0);
	EXPECT_EQ(recv(fds[1], b, 16, MSG_OOB | MSG_PEEK), 1);
	EXPECT_EQ(b[0], 'X');
	EXPECT_EQ(recv(fds[1], b, 16, 0), 3);
	EXPECT_EQ(memcmp(b, "abc", 3), 0);
	ASSERT_OK(ioctl(fds[1], SIOCATMARK, &mark));
	EXPECT_EQ(mark, 1);
	EXPECT_EQ(recv(fds[1], b, 16, MSG_OOB), 1);
	EXPECT_EQ(b[0], 'X');
	EXPECT_ERRNO(recv(fds[1], b, 1, MSG_OOB), EINVAL);
	EXPECT_EQ(inet_poll(fds[1], 0) & POLLPRI, 0);
	EXPECT_EQ(recv(fds[1], b, 3, MSG_WAITALL), 3);
	EXPECT_EQ(memcmp(b, "def", 3), 0);
	ASSERT_OK(ioctl(fds[1], SIOCATMARK, &mark));
	EXPECT_EQ(mark, 0);
}

GUEST_TEST(inline_urgent)
{
	char b[16] = "";
	int fds[2], mark = -1;

	inet_pair(AF_INET6, fds);
	ASSERT_OK(inet_setint(fds[1], SOL_SOCKET, SO_OOBINLINE, 1));
	ASSERT_EQ(send(fds[0], "ab", 2, 0), 2);
	ASSERT_EQ(send(fds[0], "U", 1, MSG_OOB), 1);
	EXPECT_TRUE(inet_poll(fds[1], POLLPRI) & POLLPRI);
	MAYBE_SAVE();
	EXPECT_ERRNO(recv(fds[1], b, 1, MSG_OOB), EINVAL);
	EXPECT_EQ(recv(fds[1], b, 16, 0), 2);
	ASSERT_OK(ioctl(fds[1], SIOCATMARK, &mark));
	EXPECT_EQ(mark, 1);
	EXPECT_EQ(recv(fds[1], b, 16, 0), 1);
	EXPECT_EQ(b[0], 'U');
}

GUEST_TEST(counts)
{
	int fds[2], n = -1, l = inet_listener(AF_INET, 1);

	inet_pair(AF_INET, fds);
	ASSERT_OK(ioctl(fds[1], FIONREAD, &n));
	EXPECT_EQ(n, 0);
	ASSERT_EQ(write(fds[0], "12345", 5), 5);
	EXPECT_TRUE(inet_poll(fds[1], POLLIN) & POLLIN);
	ASSERT_OK(ioctl(fds[1], FIONREAD, &n));
	EXPECT_EQ(n, 5);
	EXPECT_ERRNO(ioctl(l, FIONREAD, &n), EINVAL);
}
