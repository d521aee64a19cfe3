#include "tests/guest/guest_test.h"

/* What /proc says before and after a save must agree. */

static char a[1 << 16], b[1 << 16];

static void same(const char *path)
{
	int fd = ASSERT_OK(open(path, O_RDONLY));

	ASSERT_TRUE(guest_read_file(path, a, sizeof(a)) > 0);
	MAYBE_SAVE();
	ASSERT_TRUE(guest_read_file(path, b, sizeof(b)) > 0);
	EXPECT_STREQ(a, b);
	/* And through the descriptor of before. */
	memset(b, 0, sizeof(b));
	for (size_t n = 0; n < sizeof(b) - 1;) {
		ssize_t r = read(fd, b + n, sizeof(b) - 1 - n);

		if (r <= 0)
			break;
		n += (size_t)r;
	}
	EXPECT_STREQ(a, b);
	close(fd);
}

GUEST_TEST(maps)
{
	guest_map(3 * GUEST_PAGE, 0);
	guest_map_shared(GUEST_PAGE);
	same("/proc/self/maps");
}

GUEST_TEST(cmdline)
{
	same("/proc/self/cmdline");
}

GUEST_TEST(limits)
{
	same("/proc/self/limits");
}

GUEST_TEST(mounts)
{
	same("/proc/self/mounts");
}

GUEST_TEST(version)
{
	same("/proc/version");
}

GUEST_TEST(boot_id)
{
	same("/proc/sys/kernel/random/boot_id");
}

GUEST_TEST(start_time_of_a_process)
{
	long start[2];

	for (int i = 0; i < 2; i++) {
		char *p;

		ASSERT_TRUE(guest_read_file("/proc/self/stat", a, sizeof(a)) > 0);
		p = strrchr(a, ')');
		ASSERT_TRUE(p != NULL);
		for (int field = 2; field < 22; field++)
			p = strchr(p + 1, ' ');
		start[i] = atol(p);
		if (i == 0)
			MAYBE_SAVE();
	}
	EXPECT_EQ(start[0], start[1]);
	EXPECT_GT(start[0], 0);
}

GUEST_TEST(inode_numbers)
{
	static const char *const paths[] = {
		"/proc", "/proc/self/stat", "/proc/meminfo", "/dev/null", "/", "/dev", "/tmp"};
	struct stat st[GUEST_COUNT(paths)], now;

	for (size_t i = 0; i < GUEST_COUNT(paths); i++)
		ASSERT_OK(stat(paths[i], &st[i]));
	MAYBE_SAVE();
	for (size_t i = 0; i < GUEST_COUNT(paths); i++) {
		ASSERT_OK(stat(paths[i], &now));
		EXPECT_EQ(now.st_mode, st[i].st_mode);
		EXPECT_EQ(now.st_dev, st[i].st_dev);
		if (i != 1)
			EXPECT_EQ(now.st_ino, st[i].st_ino);
	}
}
