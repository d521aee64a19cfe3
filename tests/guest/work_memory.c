#include "tests/guest/guest_test.h"

/* Much memory with known contents over saves: zero, patterned, random, partly changed. */

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ull;
	return x ^ x >> 33;
}

static uint64_t digest(const uint64_t *p, size_t n)
{
	uint64_t d = 0;

	for (size_t i = 0; i < n; i++)
		d = (d << 7 | d >> 57) ^ p[i] * 0x9e3779b97f4a7c15ull;
	return d;
}

GUEST_TEST(random_contents)
{
	size_t n = (8 << 20) / 8;
	uint64_t *p = guest_map(n * 8, 0), d;

	for (size_t i = 0; i < n; i++)
		p[i] = mix(i);
	d = digest(p, n);
	MAYBE_SAVE();
	EXPECT_EQ(digest(p, n), d);
	for (size_t i = 0; i < n; i += 5000)
		p[i] = ~p[i];
	d = digest(p, n);
	MAYBE_SAVE();
	EXPECT_EQ(digest(p, n), d);
}

GUEST_TEST(checkerboard_of_pages)
{
	enum {
		PAGES = 1024
	};
	char *p = guest_map(PAGES * GUEST_PAGE, 0);

	for (int i = 0; i < PAGES; i++) {
		if (i % 4 == 1)
			memset(p + i * GUEST_PAGE, i, GUEST_PAGE);
		else if (i % 4 == 2)
			p[i * GUEST_PAGE + 4095] = 1;
		else if (i % 4 == 3)
			memset(p + i * GUEST_PAGE, 0, GUEST_PAGE);
	}
	MAYBE_SAVE();
	for (int i = 0; i < PAGES; i++) {
		char *q = p + i * GUEST_PAGE;

		if (i % 4 == 1)
			EXPECT_TRUE(q[0] == (char)i && q[4095] == (char)i);
		else
			EXPECT_TRUE(q[0] == 0 && q[4095] == (i % 4 == 2));
	}
}

GUEST_TEST(family_of_copies)
{
	enum {
		KIDS = 4,
		PAGES = 64
	};
	uint64_t *p = guest_map(PAGES * GUEST_PAGE, 0);
	struct guest_gate ready, go;
	pid_t pids[KIDS];

	guest_gate_init(&ready);
	guest_gate_init(&go);
	for (size_t i = 0; i < PAGES * 512; i++)
		p[i] = i;
	for (int k = 0; k < KIDS; k++) {
		pids[k] = guest_fork();
		if (pids[k] == 0) {
			for (size_t i = 0; i < PAGES; i++)
				if (i % KIDS == (size_t)k)
					p[i * 512 + 1] = 1000000 + i;
			guest_gate_open(&ready);
			guest_gate_wait(&go);
			for (size_t i = 0; i < PAGES; i++) {
				size_t at = i * 512 + 1;

				EXPECT_EQ(p[at], i % KIDS == (size_t)k ? 1000000 + i : at);
				EXPECT_EQ(p[at + 1], at + 1);
			}
			_exit(0);
		}
	}
	for (int k = 0; k < KIDS; k++)
		guest_gate_wait(&ready);
	p[5] = 55;
	MAYBE_SAVE();
	for (int k = 0; k < KIDS; k++)
		guest_gate_open(&go);
	for (int k = 0; k < KIDS; k++)
		EXPECT_EQ(guest_reap(pids[k]), 0);
	EXPECT_EQ(p[1], 1);
	EXPECT_EQ(p[5], 55);
}

GUEST_TEST(protections_over_a_save)
{
	char *p = guest_map(4 * GUEST_PAGE, 0);
	int fds[2];

	ASSERT_OK(pipe(fds));
	memset(p, 'p', 4 * GUEST_PAGE);
	ASSERT_OK(mprotect(p, GUEST_PAGE, PROT_NONE));
	ASSERT_OK(mprotect(p + GUEST_PAGE, GUEST_PAGE, PROT_READ));
	MAYBE_SAVE();
	EXPECT_ERRNO(write(fds[1], p, 1), EFAULT);
	EXPECT_EQ(write(fds[1], p + GUEST_PAGE, 1), 1);
	EXPECT_ERRNO(read(fds[0], p + GUEST_PAGE, 1), EFAULT);
	ASSERT_OK(mprotect(p, GUEST_PAGE, PROT_READ));
	EXPECT_EQ(p[100], 'p');
}

static __attribute__((noinline)) long recurse(int depth, long acc)
{
	volatile long local[64];

	for (int i = 0; i < 64; i++)
		local[i] = acc + i;
	if (depth == 0)
		MAYBE_SAVE();
	else
		acc = recurse(depth - 1, acc + 1);
	for (int i = 0; i < 64; i++)
		acc += local[i] & 1;
	return acc;
}

GUEST_TEST(deep_stack_over_a_save)
{
	EXPECT_EQ(recurse(1000, 0), 1000 + 1001 * 32);
}

GUEST_TEST(every_second_save)
{
	unsigned *p = guest_map(256 * GUEST_PAGE, 0);

	for (unsigned round = 0; round < 6; round++) {
		for (unsigned i = round; i < 256; i += 3)
			p[i * 1024] += i;
		MAYBE_SAVE();
	}
	for (unsigned i = 0; i < 256; i++) {
		unsigned times = 0;

		for (unsigned round = 0; round < 6; round++)
			times += i >= round && (i - round) % 3 == 0;
		EXPECT_EQ(p[i * 1024], times * i);
	}
}
