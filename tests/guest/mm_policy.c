#include "tests/guest/guest_test.h"

#include <linux/mempolicy.h>

/* Memory policies, on whatever nodes there are, and what /proc/PID/pagemap says of pages. */

#define ONLY_0      1ul
#define BITS        65ul /* 64, as the calls count */
#define MF_MOVE_ALL 4u

static void needs_nodes(void)
{
	int mode;

	if (syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0) < 0 && errno == ENOSYS)
		SKIP("a kernel without nodes");
}

static long set(int mode, unsigned long nodes)
{
	return syscall(SYS_set_mempolicy, mode, nodes ? &nodes : NULL, nodes ? BITS : 0);
}

static int own(unsigned long *nodes)
{
	int mode = -1;

	*nodes = 0;
	ASSERT_OK(syscall(SYS_get_mempolicy, &mode, nodes, BITS, NULL, 0));
	return mode;
}

static int of(const void *p, unsigned long *nodes)
{
	int mode = -1;

	*nodes = 0;
	ASSERT_OK(syscall(SYS_get_mempolicy, &mode, nodes, BITS, p, MPOL_F_ADDR));
	return mode;
}

GUEST_TEST(a_tasks_policy_is_kept_and_inherited)
{
	unsigned long nodes;
	pid_t pid;

	needs_nodes();
	EXPECT_EQ(own(&nodes), MPOL_DEFAULT);
	EXPECT_EQ(nodes, 0);
	EXPECT_OK(set(MPOL_BIND, ONLY_0));
	MAYBE_SAVE();
	EXPECT_EQ(own(&nodes), MPOL_BIND);
	EXPECT_EQ(nodes, ONLY_0);
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_EQ(own(&nodes), MPOL_BIND);
		EXPECT_OK(set(MPOL_DEFAULT, 0));
		EXPECT_EQ(own(&nodes), MPOL_DEFAULT);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_OK(set(MPOL_PREFERRED, ONLY_0));
	EXPECT_EQ(own(&nodes), MPOL_PREFERRED);
	EXPECT_OK(set(MPOL_PREFERRED, 0));
	EXPECT_EQ(own(&nodes), MPOL_LOCAL);
	EXPECT_EQ(nodes, 0);
	EXPECT_OK(set(MPOL_INTERLEAVE | MPOL_F_STATIC_NODES, ONLY_0));
	EXPECT_EQ(own(&nodes), MPOL_INTERLEAVE | MPOL_F_STATIC_NODES);
	EXPECT_EQ(nodes, ONLY_0);
}

GUEST_TEST(a_mappings_policy_is_its_own)
{
	unsigned long nodes, mask = ONLY_0;
	char *p;

	needs_nodes();
	p = guest_map(6 * GUEST_PAGE, 0);
	ASSERT_OK(set(MPOL_PREFERRED, ONLY_0));
	EXPECT_EQ(of(p, &nodes), MPOL_DEFAULT);
	EXPECT_OK(syscall(SYS_mbind, p + GUEST_PAGE, 2 * GUEST_PAGE, MPOL_BIND, &mask, BITS, 0));
	memset(p, 1, 6 * GUEST_PAGE);
	MAYBE_SAVE();
	EXPECT_EQ(of(p, &nodes), MPOL_DEFAULT);
	EXPECT_EQ(of(p + GUEST_PAGE, &nodes), MPOL_BIND);
	EXPECT_EQ(nodes, ONLY_0);
	EXPECT_EQ(of(p + 3 * GUEST_PAGE - 1, &nodes), MPOL_BIND);
	EXPECT_EQ(of(p + 3 * GUEST_PAGE, &nodes), MPOL_DEFAULT);
	EXPECT_OK(syscall(SYS_mbind, p, 6 * GUEST_PAGE, MPOL_DEFAULT, NULL, 0, 0));
	EXPECT_EQ(of(p + GUEST_PAGE, &nodes), MPOL_DEFAULT);
	EXPECT_EQ(p[2 * GUEST_PAGE], 1);
	munmap(p + 5 * GUEST_PAGE, GUEST_PAGE);
	EXPECT_ERRNO(syscall(SYS_mbind, p, 6 * GUEST_PAGE, MPOL_BIND, &mask, BITS, 0), EFAULT);
	EXPECT_OK(syscall(SYS_mbind, p, 6 * GUEST_PAGE, MPOL_DEFAULT, NULL, 0, 0));
	EXPECT_ERRNO(syscall(SYS_mbind, p + 5 * GUEST_PAGE, GUEST_PAGE, MPOL_DEFAULT, NULL, 0, 0),
	             EFAULT);
}

GUEST_TEST(what_there_is_is_told)
{
	unsigned long nodes = 0, words[2] = {7, 7};
	int node = -1;
	char *p;

	needs_nodes();
	EXPECT_OK(syscall(SYS_get_mempolicy, NULL, words, 129, NULL, MPOL_F_MEMS_ALLOWED));
	EXPECT_TRUE(words[0] & ONLY_0);
	EXPECT_EQ(words[1], 0);
	p = guest_map(GUEST_PAGE, 0);
	EXPECT_OK(syscall(SYS_get_mempolicy, &node, NULL, 0, p, MPOL_F_ADDR | MPOL_F_NODE));
	EXPECT_TRUE(node >= 0);
	EXPECT_ERRNO(syscall(SYS_get_mempolicy, &node, NULL, 0, NULL, MPOL_F_NODE), EINVAL);
	ASSERT_OK(set(MPOL_INTERLEAVE, ONLY_0));
	EXPECT_OK(syscall(SYS_get_mempolicy, &node, NULL, 0, NULL, MPOL_F_NODE));
	EXPECT_EQ(node, 0);
	EXPECT_ERRNO(syscall(SYS_get_mempolicy, &node, &nodes, 0, NULL, 0), EINVAL);
	EXPECT_ERRNO(syscall(SYS_get_mempolicy, &node, NULL, 0, p, 0), EINVAL);
	EXPECT_ERRNO(syscall(SYS_get_mempolicy, &node, NULL, 0, (void *)8, MPOL_F_ADDR), EFAULT);
	EXPECT_ERRNO(syscall(SYS_get_mempolicy, &node, NULL, 0, NULL, 64), EINVAL);
}

GUEST_TEST(policies_that_make_no_sense)
{
	unsigned long far[17] = {0}, mask = ONLY_0;
	char *p;

	needs_nodes();
	p = guest_map(GUEST_PAGE, 0);
	EXPECT_ERRNO(set(77, ONLY_0), EINVAL);
	EXPECT_ERRNO(set(MPOL_BIND, 0), EINVAL);
	EXPECT_ERRNO(set(MPOL_DEFAULT, ONLY_0), EINVAL);
	EXPECT_ERRNO(set(MPOL_LOCAL, ONLY_0), EINVAL);
	EXPECT_ERRNO(set(MPOL_BIND | MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES, ONLY_0), EINVAL);
	/* A node that is not there. */
	EXPECT_ERRNO(set(MPOL_BIND, 1ul << 63), EINVAL);
	EXPECT_OK(set(MPOL_BIND | MPOL_F_RELATIVE_NODES, 1ul << 63));
	far[16] = 1;
	EXPECT_ERRNO(syscall(SYS_set_mempolicy, MPOL_BIND, far, 17 * 64 + 1), EINVAL);
	EXPECT_ERRNO(syscall(SYS_set_mempolicy, MPOL_BIND, (void *)8, BITS), EFAULT);
	EXPECT_ERRNO(syscall(SYS_mbind, p + 1, GUEST_PAGE, MPOL_BIND, &mask, BITS, 0), EINVAL);
	EXPECT_ERRNO(syscall(SYS_mbind, p, GUEST_PAGE, MPOL_BIND, &mask, BITS, 64), EINVAL);
	EXPECT_OK(syscall(SYS_mbind, p, 0, MPOL_BIND, &mask, BITS, 0));
	if (geteuid() == 0) {
		guest_drop_root();
		EXPECT_ERRNO(syscall(SYS_mbind, p, GUEST_PAGE, MPOL_BIND, &mask, BITS, MF_MOVE_ALL),
		             EPERM);
	}
}

GUEST_TEST(pages_are_where_they_are)
{
	char *p = guest_map(4 * GUEST_PAGE, 0);
	char *none = mmap(NULL, GUEST_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *pages[4] = {p, p + GUEST_PAGE, none, (void *)8};
	unsigned long mask = ONLY_0;
	int status[4], to[4] = {0, 0, 0, 0};

	needs_nodes();
	madvise(p, 4 * GUEST_PAGE, MADV_NOHUGEPAGE);
	p[0] = p[GUEST_PAGE] = 1;
	MAYBE_SAVE();
	ASSERT_OK(syscall(SYS_move_pages, 0, 4, pages, NULL, status, 0));
	EXPECT_EQ(status[0], 0);
	EXPECT_EQ(status[1], 0);
	EXPECT_EQ(status[2], -ENOENT);
	EXPECT_EQ(status[3], -EFAULT);
	ASSERT_OK(syscall(SYS_move_pages, getpid(), 2, pages, to, status, MPOL_MF_MOVE));
	EXPECT_EQ(status[0], 0);
	to[1] = 999;
	EXPECT_ERRNO(syscall(SYS_move_pages, 0, 2, pages, to, status, MPOL_MF_MOVE), ENODEV);
	EXPECT_ERRNO(syscall(SYS_move_pages, 0, 1, pages, to, status, 64), EINVAL);
	EXPECT_ERRNO(syscall(SYS_move_pages, 9999999, 1, pages, to, status, 0), ESRCH);
	EXPECT_EQ(syscall(SYS_migrate_pages, 0, BITS, &mask, &mask), 0);
	EXPECT_ERRNO(syscall(SYS_migrate_pages, 9999999, BITS, &mask, &mask), ESRCH);
}

static uint64_t entry(int fd, const void *p)
{
	uint64_t e = 0;

	EXPECT_EQ(pread(fd, &e, 8, (off_t)((uintptr_t)p / GUEST_PAGE * 8)), 8);
	return e;
}

#define PRESENT (1ull << 63)
#define FILED   (1ull << 61)

GUEST_TEST(pagemap_tells_which_pages_are_there)
{
	int fd = ASSERT_OK(open("/proc/self/pagemap", O_RDONLY)), file;
	char *none = mmap(NULL, GUEST_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *p = guest_map(3 * GUEST_PAGE, 0), *f;
	uint64_t all[3], e;

	madvise(p, 3 * GUEST_PAGE, MADV_NOHUGEPAGE);
	p[GUEST_PAGE] = 1;
	MAYBE_SAVE();
	EXPECT_EQ(pread(fd, all, 24, (off_t)((uintptr_t)p / GUEST_PAGE * 8)), 24);
	EXPECT_TRUE(all[1] & PRESENT);
	EXPECT_FALSE(all[1] & FILED);
	/* What nobody can touch is not there; pages beside one that is may be. */
	EXPECT_FALSE(entry(fd, none) & PRESENT);
	file = ASSERT_OK(open(guest_path("paged"), O_CREAT | O_RDWR, 0600));
	ASSERT_OK(ftruncate(file, GUEST_PAGE));
	f = mmap(NULL, GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	f[0] = 1;
	e = entry(fd, f);
	EXPECT_TRUE(e & PRESENT);
	EXPECT_TRUE(e & FILED);
	EXPECT_EQ(entry(fd, (void *)(8 * GUEST_PAGE)) & PRESENT, 0);
	EXPECT_ERRNO(pread(fd, &e, 7, 0), EINVAL);
	EXPECT_ERRNO(pread(fd, &e, 8, 4), EINVAL);
	EXPECT_EQ(pread(fd, &e, 8, (off_t)((1ull << 62) / GUEST_PAGE * 8)), 0);
	if (geteuid() != 0) {
		/* Where they are is not. */
		EXPECT_EQ(all[1] & ((1ull << 55) - 1), 0);
	}
}
