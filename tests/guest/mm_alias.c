#include "tests/guest/guest_test.h"

/* The same pages mapped more than once, in one process and in several. */

static int memory(int pages)
{
	int fd = ASSERT_OK(memfd_create("alias", 0));

	ASSERT_OK(ftruncate(fd, pages * (off_t)GUEST_PAGE));
	return fd;
}

static char *at(int fd, int page, int pages)
{
	char *p = mmap(NULL, (size_t)pages * GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
	               page * (off_t)GUEST_PAGE);

	ASSERT_TRUE(p != MAP_FAILED);
	return p;
}

GUEST_TEST(overlapping_views)
{
	int fd = memory(8);
	char *a = at(fd, 0, 8), *b = at(fd, 2, 4), *c = at(fd, 4, 1);

	a[4 * GUEST_PAGE] = 'x';
	EXPECT_EQ(b[2 * GUEST_PAGE], 'x');
	EXPECT_EQ(c[0], 'x');
	MAYBE_SAVE();
	c[1] = 'y';
	EXPECT_EQ(a[4 * GUEST_PAGE + 1], 'y');
	EXPECT_EQ(b[2 * GUEST_PAGE + 1], 'y');
}

GUEST_TEST(reversed_pages)
{
	enum {
		N = 16
	};
	int fd = memory(N);
	char *area = guest_map(N * GUEST_PAGE, 0), *plain = at(fd, 0, N);

	for (int i = 0; i < N; i++)
		ASSERT_TRUE(mmap(area + i * GUEST_PAGE, GUEST_PAGE, PROT_READ | PROT_WRITE,
		                 MAP_SHARED | MAP_FIXED, fd,
		                 (N - 1 - i) * (off_t)GUEST_PAGE) != MAP_FAILED);
	for (int i = 0; i < N; i++)
		area[i * GUEST_PAGE] = (char)i;
	MAYBE_SAVE();
	for (int i = 0; i < N; i++)
		EXPECT_EQ(plain[i * GUEST_PAGE], N - 1 - i);
}

GUEST_TEST(ring_buffer_trick)
{
	int fd = memory(1);
	char *p = guest_map(2 * GUEST_PAGE, 0);

	for (int i = 0; i < 2; i++)
		ASSERT_TRUE(mmap(p + i * GUEST_PAGE, GUEST_PAGE, PROT_READ | PROT_WRITE,
		                 MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED);
	memcpy(p + GUEST_PAGE - 3, "wrapped", 7);
	EXPECT_EQ(memcmp(p, "pped", 4), 0);
	MAYBE_SAVE();
	EXPECT_EQ(memcmp(p + GUEST_PAGE - 3, "wrapped", 7), 0);
}

GUEST_TEST(read_only_and_writable_view)
{
	int fd = memory(1);
	char *w = at(fd, 0, 1);
	const char *r = mmap(NULL, GUEST_PAGE, PROT_READ, MAP_SHARED, fd, 0);
	const char *p = mmap(NULL, GUEST_PAGE, PROT_READ, MAP_PRIVATE, fd, 0);

	for (int i = 0; i < 100; i++) {
		w[i] = (char)i;
		EXPECT_EQ(r[i], i);
		EXPECT_EQ(p[i], i);
	}
}

GUEST_TEST(between_processes)
{
	int fd = memory(4);
	struct guest_gate go, back;
	char *a = at(fd, 0, 4);
	pid_t pid;

	guest_gate_init(&go);
	guest_gate_init(&back);
	pid = guest_fork();
	if (pid == 0) {
		char *b = at(fd, 3, 1);

		munmap(a, 4 * GUEST_PAGE);
		guest_gate_wait(&go);
		EXPECT_EQ(b[0], 'p');
		b[1] = 'c';
		guest_gate_open(&back);
		guest_gate_wait(&go);
		EXPECT_EQ(b[2], 'q');
		_exit(0);
	}
	a[3 * GUEST_PAGE] = 'p';
	MAYBE_SAVE();
	guest_gate_open(&go);
	guest_gate_wait(&back);
	EXPECT_EQ(a[3 * GUEST_PAGE + 1], 'c');
	a[3 * GUEST_PAGE + 2] = 'q';
	MAYBE_SAVE();
	guest_gate_open(&go);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(write_call_seen_by_all_views)
{
	int fd = memory(2);
	char *a = at(fd, 0, 2), *b = at(fd, 1, 1);

	EXPECT_EQ(pwrite(fd, "call", 4, GUEST_PAGE - 2), 4);
	EXPECT_EQ(memcmp(a + GUEST_PAGE - 2, "call", 4), 0);
	EXPECT_EQ(memcmp(b, "ll", 2), 0);
}
