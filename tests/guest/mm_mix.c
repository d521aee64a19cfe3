#include "tests/guest/guest_test.h"

/* A random walk over map, unmap, protect, move, fork and writes, checked against a model. */

enum {
	PAGES = 48,
	STEPS = 400
};

static char *base;
static struct {
	bool mapped, writable;
	unsigned char value;
} model[PAGES];

static unsigned seed = 12345;

static unsigned rnd(unsigned n)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 8) % n;
}

static void verify(void)
{
	for (int i = 0; i < PAGES; i++) {
		unsigned char vec;
		bool there = mincore(base + i * GUEST_PAGE, GUEST_PAGE, &vec) == 0;

		EXPECT_EQ(there, model[i].mapped);
		if (there && model[i].mapped) {
			EXPECT_EQ((unsigned char)base[i * GUEST_PAGE], model[i].value);
			EXPECT_EQ((unsigned char)base[i * GUEST_PAGE + 4095], model[i].value);
		}
	}
}

static void do_map(int at, int n)
{
	ASSERT_TRUE(mmap(base + at * GUEST_PAGE, n * GUEST_PAGE, PROT_READ | PROT_WRITE,
	                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	for (int i = at; i < at + n; i++) {
		model[i].mapped = model[i].writable = true;
		model[i].value = 0;
	}
}

static void do_unmap(int at, int n)
{
	ASSERT_OK(munmap(base + at * GUEST_PAGE, n * GUEST_PAGE));
	for (int i = at; i < at + n; i++)
		model[i].mapped = false;
}

static bool all_mapped(int at, int n)
{
	for (int i = at; i < at + n; i++)
		if (!model[i].mapped)
			return false;
	return true;
}

static void do_protect(int at, int n, bool writable)
{
	int r = mprotect(base + at * GUEST_PAGE, n * GUEST_PAGE,
	                 PROT_READ | (writable ? PROT_WRITE : 0));
	bool whole = all_mapped(at, n);

	EXPECT_EQ(r, whole ? 0 : -1);
	/* Up to the first hole it is done in any case. */
	for (int i = at; i < at + n && model[i].mapped; i++)
		model[i].writable = writable;
}

static void do_write(int at, unsigned char v)
{
	if (!model[at].mapped || !model[at].writable)
		return;
	memset(base + at * GUEST_PAGE, v, GUEST_PAGE);
	model[at].value = v;
}

static void do_discard(int at, int n)
{
	if (!all_mapped(at, n))
		return;
	ASSERT_OK(madvise(base + at * GUEST_PAGE, n * GUEST_PAGE, MADV_DONTNEED));
	for (int i = at; i < at + n; i++)
		model[i].value = 0;
}

static void do_fork(void)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		verify();
		for (int i = 0; i < PAGES; i++)
			do_write(i, (unsigned char)rnd(256));
		verify();
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(random_walk)
{
	base = guest_map((PAGES + 2) * GUEST_PAGE, 0);
	ASSERT_OK(munmap(base, (PAGES + 2) * GUEST_PAGE));
	base += GUEST_PAGE;
	for (int step = 0; step < STEPS; step++) {
		int n = 1 + (int)rnd(6), at = (int)rnd(PAGES - 6);

		switch (rnd(8)) {
		case 0:
			do_map(at, n);
			break;
		case 1:
			do_unmap(at, n);
			break;
		case 2:
			do_protect(at, n, rnd(2));
			break;
		case 3:
			do_discard(at, n);
			break;
		case 4:
			if (step % 8 == 0)
				do_fork();
			break;
		default:
			do_write(at, (unsigned char)(1 + rnd(255)));
		}
		if (step % 100 == 99)
			MAYBE_SAVE();
		if (step % 10 == 0)
			verify();
	}
	verify();
}
