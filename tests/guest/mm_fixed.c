#include "tests/guest/guest_test.h"

/* MAP_FIXED replaces, MAP_FIXED_NOREPLACE does not. */

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static void *fixed(void *at, size_t len, int prot, int extra)
{
	return mmap(at, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | extra, -1, 0);
}

GUEST_TEST(fixed_replaces_the_middle)
{
	char *p = guest_map(8 * GUEST_PAGE, 0);
	char *mid = p + 3 * GUEST_PAGE;

	memset(p, 'x', 8 * GUEST_PAGE);
	EXPECT_EQ(fixed(mid, 2 * GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_FIXED), mid);
	MAYBE_SAVE();
	EXPECT_EQ(mid[-1], 'x');
	EXPECT_EQ(mid[0], 0);
	EXPECT_EQ(mid[2 * GUEST_PAGE - 1], 0);
	EXPECT_EQ(mid[2 * GUEST_PAGE], 'x');
}

GUEST_TEST(fixed_over_several_mappings)
{
	char *p = guest_map(6 * GUEST_PAGE, 0);

	mprotect(p + GUEST_PAGE, GUEST_PAGE, PROT_READ);
	munmap(p + 2 * GUEST_PAGE, GUEST_PAGE);
	mprotect(p + 4 * GUEST_PAGE, GUEST_PAGE, PROT_NONE);
	EXPECT_EQ(fixed(p, 6 * GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_FIXED), p);
	memset(p, 1, 6 * GUEST_PAGE);
	EXPECT_EQ(p[5 * GUEST_PAGE], 1);
}

GUEST_TEST(fixed_file_over_anon)
{
	const char *path = guest_path("f");
	char *p = guest_map(3 * GUEST_PAGE, 0);
	int fd;

	guest_write_file(path, "hello", 0644);
	fd = ASSERT_OK(open(path, O_RDONLY));
	memset(p, 'x', 3 * GUEST_PAGE);
	EXPECT_EQ(mmap(p + GUEST_PAGE, GUEST_PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0),
	          p + GUEST_PAGE);
	close(fd);
	MAYBE_SAVE();
	EXPECT_EQ(memcmp(p + GUEST_PAGE, "hello\0\0", 7), 0);
	EXPECT_EQ(p[2 * GUEST_PAGE], 'x');
}

GUEST_TEST(a_failed_fixed_changes_nothing)
{
	char *p = guest_map(2 * GUEST_PAGE, 0);

	p[0] = 7;
	EXPECT_ERRNO(mmap(p, GUEST_PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, 999, 0), EBADF);
	EXPECT_EQ(p[0], 7);
	EXPECT_ERRNO(
		mmap(p + 1, GUEST_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		EINVAL);
	EXPECT_EQ(p[0], 7);
}

GUEST_TEST(noreplace)
{
	char *p = guest_map(4 * GUEST_PAGE, 0);

	p[0] = 9;
	EXPECT_ERRNO(fixed(p, GUEST_PAGE, PROT_READ, MAP_FIXED_NOREPLACE), EEXIST);
	EXPECT_ERRNO(fixed(p - GUEST_PAGE, 2 * GUEST_PAGE, PROT_READ, MAP_FIXED_NOREPLACE), EEXIST);
	EXPECT_EQ(p[0], 9);
	ASSERT_OK(munmap(p + GUEST_PAGE, GUEST_PAGE));
	EXPECT_EQ(fixed(p + GUEST_PAGE, GUEST_PAGE, PROT_READ, MAP_FIXED_NOREPLACE),
	          p + GUEST_PAGE);
}

GUEST_TEST(fixed_beyond_the_user_range)
{
	EXPECT_ERRNO(fixed((void *)0x7ffffffff000, GUEST_PAGE, PROT_READ, MAP_FIXED), ENOMEM);
	EXPECT_ERRNO(fixed((void *)0xffff800000000000, GUEST_PAGE, PROT_READ, MAP_FIXED), ENOMEM);
	EXPECT_ERRNO(fixed((void *)(-4096l), GUEST_PAGE, PROT_READ, MAP_FIXED), ENOMEM);
}

GUEST_TEST(fixed_low_address)
{
	void *low = (void *)0x200000;

	EXPECT_EQ(fixed(low, GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_FIXED_NOREPLACE), low);
	*(volatile int *)low = 5;
	MAYBE_SAVE();
	EXPECT_EQ(*(volatile int *)low, 5);
}

GUEST_TEST(mapping_32bit)
{
	char *p = guest_map(GUEST_PAGE, MAP_32BIT);

	EXPECT_LT((uintptr_t)p, 1ul << 31);
	p[0] = 1;
	EXPECT_EQ(p[0], 1);
}
