#include "tests/guest/guest_test.h"

#include <sys/resource.h>

/* Limits on memory and running out of address space. */

static void limit(int what, rlim_t v)
{
	struct rlimit rl;

	ASSERT_OK(getrlimit((enum __rlimit_resource)what, &rl));
	rl.rlim_cur = v;
	ASSERT_OK(setrlimit((enum __rlimit_resource)what, &rl));
}

static bool can_map(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		EXPECT_EQ(errno, ENOMEM);
		return false;
	}
	munmap(p, len);
	return true;
}

GUEST_TEST(address_space)
{
	limit(RLIMIT_AS, 256 << 20);
	EXPECT_TRUE(can_map(64 << 20));
	EXPECT_FALSE(can_map(300 << 20));
	MAYBE_SAVE();
	EXPECT_FALSE(can_map(300 << 20));
	limit(RLIMIT_AS, RLIM_INFINITY);
	EXPECT_TRUE(can_map(300 << 20));
}

GUEST_TEST(growth_counts)
{
	char *p;

	limit(RLIMIT_AS, 64 << 20);
	p = guest_map(16 << 20, 0);
	EXPECT_ERRNO(mremap(p, 16 << 20, 128 << 20, MREMAP_MAYMOVE), ENOMEM);
	EXPECT_EQ(p[0], 0);
	EXPECT_EQ(sbrk(128 << 20), (void *)-1);
	EXPECT_EQ(errno, ENOMEM);
}

GUEST_TEST(data)
{
	limit(RLIMIT_DATA, 32 << 20);
	EXPECT_FALSE(can_map(64 << 20));
	/* Shared and read-only memory is no data. */
	EXPECT_TRUE(mmap(NULL, 64 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
	            MAP_FAILED);
	EXPECT_TRUE(mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	                 0) != MAP_FAILED);
}

GUEST_TEST(child_inherits_the_limit)
{
	pid_t pid;

	limit(RLIMIT_AS, 128 << 20);
	pid = guest_fork();
	if (pid == 0)
		_exit(can_map(256 << 20) ? 1 : 0);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(malloc_fails_cleanly)
{
	size_t sum = 0;
	void *p;

	limit(RLIMIT_AS, 64 << 20);
	while ((p = malloc(1 << 20)) != NULL) {
		memset(p, 1, 64);
		sum += 1 << 20;
	}
	EXPECT_EQ(errno, ENOMEM);
	EXPECT_TRUE(sum > 8 << 20 && sum < 64 << 20);
}

GUEST_TEST(whole_address_space)
{
	/* 127 TiB of nothing may or may not be had; what is had is usable. */
	char *p = mmap(NULL, 1ul << 46, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
	               0);

	if (p == MAP_FAILED)
		return;
	ASSERT_OK(mprotect(p + (1ul << 45), GUEST_PAGE, PROT_READ | PROT_WRITE));
	p[1ul << 45] = 1;
	MAYBE_SAVE();
	EXPECT_EQ(p[1ul << 45], 1);
	EXPECT_OK(munmap(p, 1ul << 46));
}
