#include "tests/guest/guest_test.h"

/* mremap: shrink, grow in place, move, fixed, dontunmap, errors. */

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static void stamp(char *p, int pages)
{
	for (int i = 0; i < pages; i++)
		p[i * GUEST_PAGE] = (char)('A' + i);
}

static void check(const char *p, int pages)
{
	for (int i = 0; i < pages; i++)
		EXPECT_EQ(p[i * GUEST_PAGE], 'A' + i);
}

static bool mapped(void *p)
{
	unsigned char vec;

	return mincore(p, GUEST_PAGE, &vec) == 0;
}

GUEST_TEST(shrink)
{
	char *p = guest_map(6 * GUEST_PAGE, 0);

	stamp(p, 6);
	EXPECT_EQ(mremap(p, 6 * GUEST_PAGE, 2 * GUEST_PAGE, 0), p);
	check(p, 2);
	EXPECT_FALSE(mapped(p + 2 * GUEST_PAGE));
	EXPECT_FALSE(mapped(p + 5 * GUEST_PAGE));
}

GUEST_TEST(grow_in_place)
{
	char *p = guest_map(8 * GUEST_PAGE, 0);

	ASSERT_OK(munmap(p + 2 * GUEST_PAGE, 6 * GUEST_PAGE));
	stamp(p, 2);
	EXPECT_EQ(mremap(p, 2 * GUEST_PAGE, 5 * GUEST_PAGE, 0), p);
	check(p, 2);
	EXPECT_EQ(p[4 * GUEST_PAGE], 0);
	p[4 * GUEST_PAGE] = 1;
}

GUEST_TEST(grow_without_room)
{
	char *p = guest_map(3 * GUEST_PAGE, 0), *q;

	ASSERT_OK(mprotect(p + 2 * GUEST_PAGE, GUEST_PAGE, PROT_READ));
	stamp(p, 2);
	EXPECT_ERRNO(mremap(p, 2 * GUEST_PAGE, 4 * GUEST_PAGE, 0), ENOMEM);
	check(p, 2);
	q = mremap(p, 2 * GUEST_PAGE, 64 * GUEST_PAGE, MREMAP_MAYMOVE);
	ASSERT_TRUE(q != MAP_FAILED);
	EXPECT_NE(q, p);
	MAYBE_SAVE();
	check(q, 2);
	EXPECT_EQ(q[63 * GUEST_PAGE], 0);
	EXPECT_FALSE(mapped(p));
	EXPECT_TRUE(mapped(p + 2 * GUEST_PAGE));
}

GUEST_TEST(move_fixed)
{
	char *p = guest_map(4 * GUEST_PAGE, 0);
	char *to = guest_map(8 * GUEST_PAGE, 0);

	stamp(p, 4);
	memset(to, 'z', 8 * GUEST_PAGE);
	EXPECT_EQ(mremap(p, 4 * GUEST_PAGE, 6 * GUEST_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
	                 to + GUEST_PAGE),
	          to + GUEST_PAGE);
	MAYBE_SAVE();
	EXPECT_EQ(to[0], 'z');
	check(to + GUEST_PAGE, 4);
	EXPECT_EQ(to[5 * GUEST_PAGE], 0);
	EXPECT_EQ(to[7 * GUEST_PAGE], 'z');
	EXPECT_FALSE(mapped(p));
}

GUEST_TEST(move_the_middle)
{
	char *p = guest_map(5 * GUEST_PAGE, 0), *q;

	stamp(p, 5);
	q = mremap(p + GUEST_PAGE, 2 * GUEST_PAGE, 16 * GUEST_PAGE, MREMAP_MAYMOVE);
	ASSERT_TRUE(q != MAP_FAILED);
	EXPECT_EQ(q[0], 'B');
	EXPECT_EQ(q[GUEST_PAGE], 'C');
	EXPECT_EQ(p[0], 'A');
	EXPECT_EQ(p[3 * GUEST_PAGE], 'D');
	EXPECT_FALSE(mapped(p + GUEST_PAGE));
}

GUEST_TEST(dontunmap)
{
	char *p = guest_map(3 * GUEST_PAGE, 0), *q;

	stamp(p, 3);
	q = mremap(p, 3 * GUEST_PAGE, 3 * GUEST_PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
	ASSERT_TRUE(q != MAP_FAILED);
	EXPECT_NE(q, p);
	MAYBE_SAVE();
	check(q, 3);
	/* The old range stays mapped, and is empty. */
	EXPECT_EQ(p[0], 0);
	EXPECT_EQ(p[2 * GUEST_PAGE], 0);
	p[0] = 1;
	EXPECT_EQ(q[0], 'A');
}

GUEST_TEST(old_size_zero_duplicates_shared)
{
	char *p = guest_map_shared(2 * GUEST_PAGE), *q;

	q = mremap(p, 0, 2 * GUEST_PAGE, MREMAP_MAYMOVE);
	ASSERT_TRUE(q != MAP_FAILED);
	EXPECT_NE(q, p);
	p[5] = 'p';
	MAYBE_SAVE();
	EXPECT_EQ(q[5], 'p');
	q[6] = 'q';
	EXPECT_EQ(p[6], 'q');
}

GUEST_TEST(shared_stays_shared)
{
	char *p = guest_map_shared(2 * GUEST_PAGE), *q;
	struct guest_gate g;
	pid_t pid;

	guest_gate_init(&g);
	p[0] = 'x';
	pid = guest_fork();
	if (pid == 0) {
		guest_gate_wait(&g);
		EXPECT_EQ(p[1], 'y');
		p[2] = 'z';
		_exit(0);
	}
	q = mremap(p, 2 * GUEST_PAGE, 32 * GUEST_PAGE, MREMAP_MAYMOVE);
	ASSERT_TRUE(q != MAP_FAILED);
	q[1] = 'y';
	MAYBE_SAVE();
	guest_gate_open(&g);
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(q[0], 'x');
	EXPECT_EQ(q[2], 'z');
}

GUEST_TEST(file_mapping_moves)
{
	int fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));
	char *p, *q, buf[2];

	ASSERT_OK(ftruncate(fd, 8 * GUEST_PAGE));
	p = mmap(NULL, GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, GUEST_PAGE);
	ASSERT_TRUE(p != MAP_FAILED);
	p[0] = 'a';
	q = mremap(p, GUEST_PAGE, 6 * GUEST_PAGE, MREMAP_MAYMOVE);
	ASSERT_TRUE(q != MAP_FAILED);
	EXPECT_EQ(q[0], 'a');
	q[5 * GUEST_PAGE] = 'b';
	MAYBE_SAVE();
	EXPECT_EQ(pread(fd, buf, 1, GUEST_PAGE), 1);
	EXPECT_EQ(pread(fd, buf + 1, 1, 6 * GUEST_PAGE), 1);
	EXPECT_EQ(buf[0], 'a');
	EXPECT_EQ(buf[1], 'b');
}

GUEST_TEST(errors)
{
	char *p = guest_map(4 * GUEST_PAGE, 0);

	EXPECT_ERRNO(mremap(p + 1, GUEST_PAGE, GUEST_PAGE, 0), EINVAL);
	EXPECT_ERRNO(mremap(p, GUEST_PAGE, 0, 0), EINVAL);
	EXPECT_ERRNO(mremap(p, GUEST_PAGE, GUEST_PAGE, 0x100), EINVAL);
	EXPECT_ERRNO(mremap(p, GUEST_PAGE, GUEST_PAGE, MREMAP_FIXED, p), EINVAL);
	EXPECT_ERRNO(mremap(p, GUEST_PAGE, GUEST_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + 5),
	             EINVAL);
	/* Old and new range overlap. */
	EXPECT_ERRNO(mremap(p, 2 * GUEST_PAGE, 2 * GUEST_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
	                    p + GUEST_PAGE),
	             EINVAL);
	ASSERT_OK(munmap(p + GUEST_PAGE, GUEST_PAGE));
	EXPECT_ERRNO(mremap(p + GUEST_PAGE, GUEST_PAGE, 2 * GUEST_PAGE, MREMAP_MAYMOVE), EFAULT);
	/* Private memory can't be duplicated. */
	EXPECT_ERRNO(mremap(p, 0, GUEST_PAGE, MREMAP_MAYMOVE), EINVAL);
}

GUEST_TEST(shrinking_drops_other_mappings_too)
{
	char *p = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char vec;

	ASSERT_TRUE(p != MAP_FAILED);
	memset(p, 7, 4 * 4096);
	ASSERT_EQ(mprotect(p + 2 * 4096, 4096, PROT_READ), 0);
	ASSERT_EQ(munmap(p + 3 * 4096, 4096), 0);
	EXPECT_TRUE(mremap(p, 4 * 4096, 4096, 0) == p);
	MAYBE_SAVE();
	EXPECT_EQ(p[4095], 7);
	EXPECT_EQ(mincore(p + 4096, 4096, &vec), -1);
	EXPECT_EQ(errno, ENOMEM);
	EXPECT_EQ(mincore(p + 2 * 4096, 4096, &vec), -1);
}
