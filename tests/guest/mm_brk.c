#include "tests/guest/guest_test.h"

#include <sys/resource.h>

/* The break through the raw call; glibc's malloc shares it, so it is put back. */

static char *raw_brk(void *to)
{
	return (char *)syscall(SYS_brk, to);
}

GUEST_TEST(grow_and_shrink)
{
	char *base = raw_brk(NULL), *p;

	EXPECT_EQ(raw_brk(base + 10 * GUEST_PAGE), base + 10 * GUEST_PAGE);
	p = (char *)(((uintptr_t)base + GUEST_PAGE - 1) & -GUEST_PAGE);
	p[0] = 'x';
	p[8 * GUEST_PAGE] = 'y';
	MAYBE_SAVE();
	EXPECT_EQ(raw_brk(NULL), base + 10 * GUEST_PAGE);
	EXPECT_EQ(p[0], 'x');
	EXPECT_EQ(p[8 * GUEST_PAGE], 'y');
	/* What was given back and taken again is zero. */
	EXPECT_EQ(raw_brk(p + GUEST_PAGE), p + GUEST_PAGE);
	EXPECT_EQ(raw_brk(base + 10 * GUEST_PAGE), base + 10 * GUEST_PAGE);
	EXPECT_EQ(p[0], 'x');
	EXPECT_EQ(p[8 * GUEST_PAGE], 0);
	EXPECT_EQ(raw_brk(base), base);
}

GUEST_TEST(unaligned_break)
{
	char *base = raw_brk(NULL);

	EXPECT_EQ(raw_brk(base + 123), base + 123);
	EXPECT_EQ(raw_brk(NULL), base + 123);
	EXPECT_EQ(raw_brk(base), base);
}

GUEST_TEST(refusals_return_the_old_break)
{
	char *base = raw_brk(NULL);

	EXPECT_EQ(raw_brk((void *)1), base);
	EXPECT_EQ(raw_brk((void *)(1ul << 47)), base);
	EXPECT_EQ(raw_brk((void *)-1l), base);
}

GUEST_TEST(does_not_grow_into_a_mapping)
{
	char *base = raw_brk(NULL);
	char *next = (char *)(((uintptr_t)base + 4 * GUEST_PAGE) & -GUEST_PAGE);

	ASSERT_EQ(mmap(next, GUEST_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
	          next);
	EXPECT_EQ(raw_brk(next + GUEST_PAGE), base);
	EXPECT_EQ(raw_brk(next - GUEST_PAGE), next - GUEST_PAGE);
	EXPECT_EQ(raw_brk(base), base);
	ASSERT_OK(munmap(next, GUEST_PAGE));
}

GUEST_TEST(child_has_its_own)
{
	char *base = raw_brk(NULL);
	pid_t pid = guest_fork();

	if (pid == 0) {
		EXPECT_EQ(raw_brk(NULL), base);
		EXPECT_EQ(raw_brk(base + 5 * GUEST_PAGE), base + 5 * GUEST_PAGE);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(raw_brk(NULL), base);
}

GUEST_TEST(rlimit_data)
{
	struct rlimit rl = {0, RLIM_INFINITY};
	char *base = raw_brk(NULL);

	ASSERT_OK(setrlimit(RLIMIT_DATA, &rl));
	EXPECT_EQ(raw_brk(base + 100 * GUEST_PAGE), base);
}

GUEST_TEST(malloc_survives)
{
	char *p[64];

	for (int i = 0; i < 64; i++) {
		p[i] = malloc((size_t)(i + 1) * 1000);
		ASSERT_TRUE(p[i] != NULL);
		memset(p[i], i, (size_t)(i + 1) * 1000);
	}
	MAYBE_SAVE();
	for (int i = 0; i < 64; i++) {
		EXPECT_EQ(p[i][0], i);
		EXPECT_EQ(p[i][(i + 1) * 1000 - 1], i);
		free(p[i]);
	}
}
