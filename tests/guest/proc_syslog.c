#include "tests/guest/guest_test.h"

/* syslog(2): the kernel's log, of which nothing is changed here. */

enum {
	CLOSE,
	OPEN,
	READ,
	READ_ALL,
	READ_CLEAR,
	CLEAR,
	CONSOLE_LEVEL = 8,
	SIZE_BUFFER = 10
};

static long klog(int type, void *buf, int len)
{
	return syscall(SYS_syslog, type, buf, len);
}

GUEST_TEST(whoever_may_reads_it)
{
	char buf[64];

	if (klog(OPEN, NULL, 0) < 0)
		SKIP("not allowed");
	EXPECT_TRUE(klog(SIZE_BUFFER, NULL, 0) > 0);
	MAYBE_SAVE();
	EXPECT_TRUE(klog(READ_ALL, buf, sizeof(buf)) >= 0);
	EXPECT_EQ(klog(READ_ALL, buf, 0), 0);
	EXPECT_EQ(klog(READ, buf, 0), 0);
	EXPECT_ERRNO(klog(READ_ALL, NULL, 10), EINVAL);
	EXPECT_ERRNO(klog(READ_ALL, buf, -1), EINVAL);
	EXPECT_ERRNO(klog(READ, NULL, 10), EINVAL);
	EXPECT_ERRNO(klog(CONSOLE_LEVEL, NULL, 0), EINVAL);
	EXPECT_ERRNO(klog(CONSOLE_LEVEL, NULL, 9), EINVAL);
	EXPECT_ERRNO(klog(100, buf, 0), EINVAL);
	EXPECT_ERRNO(klog(-1, buf, 0), EINVAL);
	EXPECT_EQ(klog(CLOSE, NULL, 0), 0);
}

GUEST_TEST(an_ordinary_user_does_not)
{
	char buf[64];

	guest_drop_root();
	EXPECT_ERRNO(klog(CLEAR, NULL, 0), EPERM);
	EXPECT_ERRNO(klog(READ, buf, sizeof(buf)), EPERM);
	EXPECT_ERRNO(klog(CONSOLE_LEVEL, NULL, 7), EPERM);
	EXPECT_ERRNO(klog(100, NULL, 0), EPERM);
}

GUEST_TEST(levels_are_told)
{
	char text[64] = "";
	int fd = ASSERT_OK(open("/proc/sys/kernel/printk", O_RDONLY)), v[4];

	EXPECT_TRUE(read(fd, text, sizeof(text) - 1) > 0);
	EXPECT_EQ(sscanf(text, "%d\t%d\t%d\t%d\n", &v[0], &v[1], &v[2], &v[3]), 4);
}
