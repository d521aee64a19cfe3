#include "tests/guest/guest_test.h"

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/resource.h>

/* mlock and what it makes present, mmap's order of checks, remap_file_pages, membarrier. */

static long locked_kb(void)
{
	char line[256];
	long kb = -1;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmLck: %ld", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}

static void expect_present(char *p, size_t pages)
{
	unsigned char vec[16];

	ASSERT_OK(mincore(p, pages * GUEST_PAGE, vec));
	for (size_t i = 0; i < pages; i++)
		EXPECT_EQ(vec[i] & 1, 1);
}

GUEST_TEST(locked_pages_are_present)
{
	char *p = guest_map(8 * GUEST_PAGE, 0);
	long before = locked_kb();

	EXPECT_OK(mlock(p, 8 * GUEST_PAGE));
	expect_present(p, 8);
	EXPECT_EQ(locked_kb() - before, 32);
	MAYBE_SAVE();
	EXPECT_EQ(locked_kb() - before, 32);
	EXPECT_EQ(p[5 * GUEST_PAGE], 0);
	EXPECT_OK(munlock(p, 4 * GUEST_PAGE));
	EXPECT_EQ(locked_kb() - before, 16);
}

GUEST_TEST(on_fault_locks_without_touching)
{
	char *p = guest_map(4 * GUEST_PAGE, 0);
	long before = locked_kb();

	EXPECT_OK(mlock2(p, 4 * GUEST_PAGE, MLOCK_ONFAULT));
	EXPECT_EQ(locked_kb() - before, 16);
	EXPECT_ERRNO(mlock2(p, GUEST_PAGE, 0x80), EINVAL);
	EXPECT_ERRNO(mlockall(MCL_ONFAULT), EINVAL);
}

GUEST_TEST(future_mappings_are_locked)
{
	char *p;

	ASSERT_OK(mlockall(MCL_FUTURE));
	p = guest_map(2 * GUEST_PAGE, 0);
	expect_present(p, 2);
	ASSERT_OK(munlockall());
}

GUEST_TEST(what_nobody_may_read_is_not_locked)
{
	char *p = mmap(NULL, GUEST_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	EXPECT_ERRNO(mlock(p, GUEST_PAGE), ENOMEM);
}

GUEST_TEST(limit_holds_for_ordinary_users)
{
	struct rlimit r = {2 * GUEST_PAGE, 2 * GUEST_PAGE};
	char *p = guest_map(4 * GUEST_PAGE, 0);

	ASSERT_OK(setrlimit(RLIMIT_MEMLOCK, &r));
	guest_drop_root();
	EXPECT_ERRNO(mlock(p, 4 * GUEST_PAGE), ENOMEM);
	EXPECT_ERRNO(mlockall(MCL_CURRENT), ENOMEM);
	r.rlim_cur = r.rlim_max = 0;
	ASSERT_OK(setrlimit(RLIMIT_MEMLOCK, &r));
	EXPECT_ERRNO(mlock(p, GUEST_PAGE), EPERM);
}

static void *raw_mmap(size_t len, int prot, int flags, int fd)
{
	return (void *)syscall(SYS_mmap, NULL, len, prot, flags, fd, 0);
}

GUEST_TEST(mmap_checks_in_order)
{
	int fd = memfd_create("m", 0), zero = open("/dev/zero", O_RDONLY);
	char *p;

	EXPECT_ERRNO((long)raw_mmap(0, PROT_READ, MAP_PRIVATE, 999), EBADF);
	EXPECT_ERRNO((long)raw_mmap(0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1), EINVAL);
	ASSERT_OK(ftruncate(fd, GUEST_PAGE));
	EXPECT_ERRNO((long)raw_mmap(GUEST_PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, fd),
	             EOPNOTSUPP);
	p = raw_mmap(GUEST_PAGE, PROT_READ, MAP_SHARED_VALIDATE, fd);
	EXPECT_TRUE(p != MAP_FAILED);
	/* Shared zeros through a descriptor that can't write stay read-only. */
	p = raw_mmap(GUEST_PAGE, PROT_READ, MAP_SHARED, zero);
	ASSERT_TRUE(p != MAP_FAILED);
	EXPECT_ERRNO(mprotect(p, GUEST_PAGE, PROT_READ | PROT_WRITE), EACCES);
	p = raw_mmap(GUEST_PAGE, PROT_READ, MAP_PRIVATE, zero);
	EXPECT_OK(mprotect(p, GUEST_PAGE, PROT_READ | PROT_WRITE));
}

GUEST_TEST(file_pages_in_another_order)
{
	int fd = memfd_create("m", 0);
	char *p;

	ASSERT_OK(ftruncate(fd, 4 * GUEST_PAGE));
	p = mmap(NULL, 4 * GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_TRUE(p != MAP_FAILED);
	for (int i = 0; i < 4; i++)
		p[i * GUEST_PAGE] = (char)('a' + i);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(
			syscall(SYS_remap_file_pages, p + i * GUEST_PAGE, GUEST_PAGE, 0, 3 - i, 0),
			0);
	MAYBE_SAVE();
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(p[i * GUEST_PAGE], 'd' - i);
	p[0] = 'D';
	EXPECT_EQ(pread(fd, p, 1, 3 * GUEST_PAGE), 1);
	EXPECT_EQ(p[0], 'D');
	EXPECT_ERRNO(syscall(SYS_remap_file_pages, p, GUEST_PAGE, PROT_READ, 0, 0), EINVAL);
	p = guest_map(GUEST_PAGE, 0);
	EXPECT_ERRNO(syscall(SYS_remap_file_pages, p, GUEST_PAGE, 0, 0, 0), EINVAL);
}

GUEST_TEST(barriers_want_registration)
{
	long offered = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	if (offered < 0 || !(offered & MEMBARRIER_CMD_PRIVATE_EXPEDITED))
		SKIP("no membarrier");
	EXPECT_ERRNO(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0), EPERM);
	EXPECT_EQ(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0), 0);
	MAYBE_SAVE();
	EXPECT_EQ(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0), 0);
}

GUEST_TEST(futex_of_a_page_that_was_cut_off)
{
	int fd = memfd_create("m", 0);
	unsigned *p;

	ASSERT_OK(ftruncate(fd, GUEST_PAGE));
	p = mmap(NULL, GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_TRUE(p != MAP_FAILED);
	EXPECT_EQ(syscall(SYS_futex, p, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
	ASSERT_OK(ftruncate(fd, 0));
	EXPECT_ERRNO(syscall(SYS_futex, p, FUTEX_WAKE, 1, NULL, NULL, 0), EFAULT);
}

/* What is to be replaced counts against the limit as long as it is there. */
static void replace_locked(void *arg)
{
	struct rlimit two = {2 * GUEST_PAGE, 2 * GUEST_PAGE};
	char *p = guest_map(2 * GUEST_PAGE, 0);

	guest_drop_root();
	ASSERT_OK(setrlimit(RLIMIT_MEMLOCK, &two));
	EXPECT_OK(mlock(p, GUEST_PAGE));
	EXPECT_EQ(mmap(p, 2 * GUEST_PAGE, PROT_READ,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_LOCKED, -1, 0),
	          MAP_FAILED);
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_EQ(mmap(p, GUEST_PAGE, PROT_READ,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_LOCKED, -1, 0),
	          p);
	/* A length that is none when it is rounded up. */
	EXPECT_OK(mlock(p, ~0ul));
	EXPECT_EQ(locked_kb(), 4);
}

GUEST_TEST(locked_and_replaced)
{
	EXPECT_EQ(guest_in_child(replace_locked, NULL), 0);
}
