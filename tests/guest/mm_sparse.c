#include "tests/guest/guest_test.h"

/* Large, mostly empty mappings, and very many small ones. */

GUEST_TEST(one_gib_sparse)
{
	size_t size = 1ul << 30, step = 16ul << 20;
	char *p = guest_map(size, 0);

	for (size_t i = 0; i < size; i += step)
		p[i + i / step] = (char)(i / step + 1);
	MAYBE_SAVE();
	for (size_t i = 0; i < size; i += step) {
		EXPECT_EQ(p[i + i / step], (char)(i / step + 1));
		EXPECT_EQ(p[i + step / 2], 0);
	}
	EXPECT_OK(munmap(p, size));
}

GUEST_TEST(thousands_of_mappings)
{
	enum {
		N = 3000
	};
	/* Alternate protections keep neighbours from merging. */
	char *p = guest_map(N * GUEST_PAGE, MAP_NORESERVE);

	for (int i = 0; i < N; i += 2)
		ASSERT_OK(mprotect(p + i * GUEST_PAGE, GUEST_PAGE, PROT_READ));
	for (int i = 1; i < N; i += 2)
		*(int *)(p + i * GUEST_PAGE) = i;
	MAYBE_SAVE();
	for (int i = 1; i < N; i += 2)
		EXPECT_EQ(*(int *)(p + i * GUEST_PAGE), i);
	for (int i = 0; i < N; i += 2)
		EXPECT_EQ(*(int *)(p + i * GUEST_PAGE), 0);
	for (int i = 0; i < N; i += 3)
		ASSERT_OK(munmap(p + i * GUEST_PAGE, GUEST_PAGE));
	EXPECT_EQ(*(int *)(p + GUEST_PAGE), 1);
	EXPECT_OK(munmap(p, N * GUEST_PAGE));
}

GUEST_TEST(many_separate_maps)
{
	enum {
		N = 1000
	};
	static char *p[N];

	for (int i = 0; i < N; i++) {
		p[i] = guest_map((size_t)(i % 5 + 1) * GUEST_PAGE, 0);
		p[i][i % 5 * (int)GUEST_PAGE] = (char)i;
	}
	for (int i = 0; i < N; i += 2)
		ASSERT_OK(munmap(p[i], (size_t)(i % 5 + 1) * GUEST_PAGE));
	MAYBE_SAVE();
	for (int i = 1; i < N; i += 2)
		EXPECT_EQ(p[i][i % 5 * (int)GUEST_PAGE], (char)i);
}

GUEST_TEST(map_unmap_loop)
{
	for (int i = 0; i < 500; i++) {
		char *p = guest_map(3 * GUEST_PAGE, 0);

		EXPECT_EQ(p[GUEST_PAGE], 0);
		p[GUEST_PAGE] = 1;
		if (munmap(p, 3 * GUEST_PAGE) < 0)
			EXPECT_OK(-1);
	}
}

GUEST_TEST(map_count_limit)
{
	/* The kernel's own limit is 65530 maps; ours may be higher, but a map either works or is
	 * ENOMEM. */
	enum {
		N = 8000
	};
	char *p = guest_map(N * GUEST_PAGE, MAP_NORESERVE);
	int r = 0;

	for (int i = 0; i < N && r == 0; i += 2)
		r = mprotect(p + i * GUEST_PAGE, GUEST_PAGE, PROT_READ);
	EXPECT_TRUE(r == 0 || errno == ENOMEM);
}

GUEST_TEST(sparse_after_fork)
{
	size_t size = 256ul << 20;
	char *p = guest_map(size, 0);
	pid_t pid;

	p[0] = 'a';
	p[size - 1] = 'z';
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_EQ(p[0], 'a');
		EXPECT_EQ(p[size - 1], 'z');
		p[size / 2] = 'm';
		MAYBE_SAVE();
		EXPECT_EQ(p[size / 2], 'm');
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(p[size / 2], 0);
}
