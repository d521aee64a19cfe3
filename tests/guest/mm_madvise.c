#include "tests/guest/guest_test.h"

#include <sys/random.h>

/* madvise: DONTNEED drops, others keep the contents; errors. */

GUEST_TEST(dontneed_anon_reads_zero)
{
	char *p = guest_map(4 * GUEST_PAGE, 0);

	memset(p, 'x', 4 * GUEST_PAGE);
	EXPECT_OK(madvise(p + GUEST_PAGE, 2 * GUEST_PAGE, MADV_DONTNEED));
	MAYBE_SAVE();
	EXPECT_EQ(p[0], 'x');
	EXPECT_EQ(p[GUEST_PAGE], 0);
	EXPECT_EQ(p[3 * GUEST_PAGE - 1], 0);
	EXPECT_EQ(p[3 * GUEST_PAGE], 'x');
	p[GUEST_PAGE] = 'y';
	EXPECT_EQ(p[GUEST_PAGE], 'y');
}

GUEST_TEST(dontneed_private_file_reads_file_again)
{
	const char *path = guest_path("f");
	char *p;
	int fd;

	guest_write_file(path, "original", 0644);
	fd = ASSERT_OK(open(path, O_RDWR));
	p = mmap(NULL, GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ASSERT_TRUE(p != MAP_FAILED);
	memcpy(p, "changed!", 8);
	MAYBE_SAVE();
	EXPECT_EQ(memcmp(p, "changed!", 8), 0);
	EXPECT_OK(madvise(p, GUEST_PAGE, MADV_DONTNEED));
	EXPECT_EQ(memcmp(p, "original", 8), 0);
}

GUEST_TEST(dontneed_shared_keeps)
{
	char *p = guest_map_shared(2 * GUEST_PAGE);

	memset(p, 's', 2 * GUEST_PAGE);
	EXPECT_OK(madvise(p, 2 * GUEST_PAGE, MADV_DONTNEED));
	EXPECT_EQ(p[0], 's');
	EXPECT_EQ(p[2 * GUEST_PAGE - 1], 's');
}

GUEST_TEST(dontneed_after_fork_is_own)
{
	char *p = guest_map(GUEST_PAGE, 0);
	pid_t pid;

	p[0] = 'f';
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_OK(madvise(p, GUEST_PAGE, MADV_DONTNEED));
		EXPECT_EQ(p[0], 0);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(p[0], 'f');
}

GUEST_TEST(hints_keep_contents)
{
	static const int hints[] = {MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED};
	char *p = guest_map(4 * GUEST_PAGE, 0);

	memset(p, 'h', 4 * GUEST_PAGE);
	for (size_t i = 0; i < GUEST_COUNT(hints); i++)
		EXPECT_OK(madvise(p, 4 * GUEST_PAGE, hints[i]));
	madvise(p, 4 * GUEST_PAGE, MADV_HUGEPAGE);
	madvise(p, 4 * GUEST_PAGE, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < 4 * GUEST_PAGE; i += 256)
		EXPECT_EQ(p[i], 'h');
}

GUEST_TEST(dontfork)
{
	char *p = guest_map(2 * GUEST_PAGE, 0);
	pid_t pid;

	p[0] = 'd';
	EXPECT_OK(madvise(p, GUEST_PAGE, MADV_DONTFORK));
	MAYBE_SAVE();
	pid = guest_fork();
	if (pid == 0) {
		unsigned char vec;

		EXPECT_ERRNO(mincore(p, GUEST_PAGE, &vec), ENOMEM);
		EXPECT_OK(mincore(p + GUEST_PAGE, GUEST_PAGE, &vec));
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(p[0], 'd');
	EXPECT_OK(madvise(p, GUEST_PAGE, MADV_DOFORK));
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_EQ(p[0], 'd');
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(wipeonfork)
{
	char *p = guest_map(GUEST_PAGE, 0);
	pid_t pid;

	p[0] = 'w';
	EXPECT_OK(madvise(p, GUEST_PAGE, MADV_WIPEONFORK));
	MAYBE_SAVE();
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_EQ(p[0], 0);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(p[0], 'w');
}

GUEST_TEST(errors)
{
	char *p = guest_map(3 * GUEST_PAGE, 0);

	EXPECT_ERRNO(madvise(p + 1, GUEST_PAGE, MADV_DONTNEED), EINVAL);
	EXPECT_ERRNO(madvise(p, GUEST_PAGE, 12345), EINVAL);
	EXPECT_OK(madvise(p, 0, MADV_DONTNEED));
	p[0] = p[2 * GUEST_PAGE] = 1;
	ASSERT_OK(munmap(p + GUEST_PAGE, GUEST_PAGE));
	/* A hole is an error, but what is mapped is done. */
	EXPECT_ERRNO(madvise(p, 3 * GUEST_PAGE, MADV_DONTNEED), ENOMEM);
	EXPECT_EQ(p[0], 0);
	EXPECT_EQ(p[2 * GUEST_PAGE], 0);
}

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

GUEST_TEST(locked_pages)
{
	char *p = guest_map(2 * GUEST_PAGE, 0);

	memset(p, 'x', 2 * GUEST_PAGE);
	ASSERT_OK(mlock(p, GUEST_PAGE));
	EXPECT_ERRNO(madvise(p, GUEST_PAGE, MADV_DONTNEED), EINVAL);
	EXPECT_ERRNO(madvise(p, GUEST_PAGE, MADV_FREE), EINVAL);
	EXPECT_EQ(*p, 'x');
	MAYBE_SAVE();
	if (madvise(p + GUEST_PAGE, GUEST_PAGE, MADV_DONTNEED_LOCKED) < 0)
		SKIP("no MADV_DONTNEED_LOCKED");
	EXPECT_OK(madvise(p, GUEST_PAGE, MADV_DONTNEED_LOCKED));
	EXPECT_EQ(p[0], 0);
	EXPECT_EQ(p[GUEST_PAGE], 0);
}

GUEST_TEST(holes_are_told_last)
{
	char *p = guest_map(4 * GUEST_PAGE, 0);

	memset(p, 'x', 4 * GUEST_PAGE);
	ASSERT_OK(munmap(p + 2 * GUEST_PAGE, GUEST_PAGE));
	EXPECT_ERRNO(madvise(p, 4 * GUEST_PAGE, MADV_DONTNEED), ENOMEM);
	EXPECT_EQ(p[0], 0);
	EXPECT_EQ(p[3 * GUEST_PAGE], 0);
	*p = 'y';
	/* Beyond all addresses is a hole as well. */
	EXPECT_ERRNO(mprotect(p, 1ul << 47, PROT_READ), ENOMEM);
	EXPECT_ERRNO(getrandom(p, 1, 0), EFAULT);
	EXPECT_EQ(*p, 'y');
	if (madvise(p, GUEST_PAGE, MADV_POPULATE_READ) == 0)
		EXPECT_ERRNO(madvise(p, GUEST_PAGE, MADV_POPULATE_WRITE), EINVAL);
}

GUEST_TEST(files_do_not_grow_down)
{
	int fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0600));

	ASSERT_OK(ftruncate(fd, GUEST_PAGE));
	EXPECT_EQ(mmap(NULL, GUEST_PAGE, PROT_READ, MAP_PRIVATE | MAP_GROWSDOWN, fd, 0),
	          MAP_FAILED);
	EXPECT_EQ(errno, EINVAL);
}

GUEST_TEST(merging_is_there_or_it_is_not)
{
	bool merges = access("/sys/kernel/mm/ksm", F_OK) == 0;
	char *p = guest_map(GUEST_PAGE, 0);

	EXPECT_EQ(madvise(p, GUEST_PAGE, MADV_MERGEABLE), merges ? 0 : -1);
	EXPECT_EQ(madvise(p, GUEST_PAGE, MADV_UNMERGEABLE), merges ? 0 : -1);
}
