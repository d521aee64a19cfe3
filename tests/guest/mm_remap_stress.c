#include "tests/guest/guest_test.h"

/* realloc-like growth by mremap, swaps of mappings, and fork in between. */

GUEST_TEST(doubling)
{
	size_t pages = 1;
	char *p = guest_map(GUEST_PAGE, 0);

	p[0] = 1;
	while (pages < 4096) {
		p = mremap(p, pages * GUEST_PAGE, 2 * pages * GUEST_PAGE, MREMAP_MAYMOVE);
		ASSERT_TRUE(p != MAP_FAILED);
		p[pages * GUEST_PAGE] = (char)(pages * 3);
		pages *= 2;
	}
	MAYBE_SAVE();
	EXPECT_EQ(p[0], 1);
	for (size_t i = 1; i < pages; i *= 2)
		EXPECT_EQ(p[i * GUEST_PAGE], (char)(i * 3));
	while (pages > 1) {
		pages /= 2;
		EXPECT_EQ(mremap(p, 2 * pages * GUEST_PAGE, pages * GUEST_PAGE, 0), p);
	}
	EXPECT_EQ(p[0], 1);
}

GUEST_TEST(swap_two_ranges)
{
	char *area = guest_map(24 * GUEST_PAGE, 0);
	char *a = area, *b = area + 8 * GUEST_PAGE, *tmp = area + 16 * GUEST_PAGE;
	size_t len = 8 * GUEST_PAGE;

	memset(a, 'a', len);
	memset(b, 'b', len);
	for (int i = 0; i < 7; i++) {
		ASSERT_EQ(mremap(a, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, tmp), tmp);
		ASSERT_EQ(mremap(b, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, a), a);
		ASSERT_EQ(mremap(tmp, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, b), b);
		if (i == 3)
			MAYBE_SAVE();
	}
	EXPECT_EQ(a[0], 'b');
	EXPECT_EQ(a[len - 1], 'b');
	EXPECT_EQ(b[0], 'a');
}

GUEST_TEST(moved_after_fork)
{
	char *p = guest_map(16 * GUEST_PAGE, 0), *q;
	struct guest_gate go;
	pid_t pid;

	guest_gate_init(&go);
	memset(p, 'f', 16 * GUEST_PAGE);
	pid = guest_fork();
	if (pid == 0) {
		guest_gate_wait(&go);
		EXPECT_EQ(p[0], 'f');
		EXPECT_EQ(p[16 * GUEST_PAGE - 1], 'f');
		p[5] = 'c';
		_exit(0);
	}
	q = mremap(p, 16 * GUEST_PAGE, 64 * GUEST_PAGE, MREMAP_MAYMOVE);
	ASSERT_TRUE(q != MAP_FAILED);
	memset(q, 'p', GUEST_PAGE);
	MAYBE_SAVE();
	guest_gate_open(&go);
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(q[5], 'p');
	EXPECT_EQ(q[GUEST_PAGE], 'f');
	EXPECT_EQ(q[63 * GUEST_PAGE], 0);
}

GUEST_TEST(page_shuffle)
{
	enum {
		N = 32
	};
	char *area = guest_map(2 * N * GUEST_PAGE, 0), *to = area + N * GUEST_PAGE;

	for (int i = 0; i < N; i++)
		area[i * GUEST_PAGE] = (char)i;
	for (int i = 0; i < N; i++) {
		char *want = to + (i * 7 % N) * GUEST_PAGE;

		ASSERT_EQ(mremap(area + i * GUEST_PAGE, GUEST_PAGE, GUEST_PAGE,
		                 MREMAP_MAYMOVE | MREMAP_FIXED, want),
		          want);
	}
	MAYBE_SAVE();
	for (int i = 0; i < N; i++)
		EXPECT_EQ(to[(i * 7 % N) * GUEST_PAGE], i);
}

GUEST_TEST(realloc_of_libc)
{
	char *p = malloc(10);

	strcpy(p, "start");
	for (size_t n = 1000; n < 4 << 20; n = n * 3 / 2) {
		p = realloc(p, n);
		ASSERT_TRUE(p != NULL);
		p[n - 1] = 'e';
		EXPECT_STREQ(p, "start");
	}
	free(p);
}
