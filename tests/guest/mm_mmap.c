#include "tests/guest/guest_test.h"

#include <sys/resource.h>

/* mmap and munmap: placement, zeroing, splitting, errors. */

GUEST_TEST(anon_is_zero_and_writable)
{
	unsigned char *p = guest_map(8 * GUEST_PAGE, 0);

	for (size_t i = 0; i < 8 * GUEST_PAGE; i += 512)
		EXPECT_EQ(p[i], 0);
	memset(p, 0x5a, 8 * GUEST_PAGE);
	MAYBE_SAVE();
	for (size_t i = 0; i < 8 * GUEST_PAGE; i += 512)
		EXPECT_EQ(p[i], 0x5a);
	EXPECT_OK(munmap(p, 8 * GUEST_PAGE));
}

GUEST_TEST(hint_is_honoured_when_free)
{
	char *p = guest_map(16 * GUEST_PAGE, 0);
	char *want = p + 4 * GUEST_PAGE;

	ASSERT_EQ(munmap(p, 16 * GUEST_PAGE), 0);
	EXPECT_EQ(mmap(want, GUEST_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), want);
	/* An occupied hint is not an error: another place is found. */
	EXPECT_NE(mmap(want, GUEST_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), want);
}

GUEST_TEST(unaligned_hint_is_rounded)
{
	char *p = guest_map(4 * GUEST_PAGE, 0);
	char *q;

	ASSERT_EQ(munmap(p, 4 * GUEST_PAGE), 0);
	q = mmap(p + 100, 10, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(q != MAP_FAILED);
	EXPECT_EQ((uintptr_t)q % GUEST_PAGE, 0);
	/* The length is rounded up as well: the whole page is there. */
	EXPECT_EQ(q[GUEST_PAGE - 1], 0);
}

GUEST_TEST(munmap_splits)
{
	char *p = guest_map(5 * GUEST_PAGE, 0);
	unsigned char vec;

	for (int i = 0; i < 5; i++)
		p[i * GUEST_PAGE] = (char)('a' + i);
	EXPECT_OK(munmap(p + 2 * GUEST_PAGE, GUEST_PAGE));
	MAYBE_SAVE();
	EXPECT_EQ(p[0], 'a');
	EXPECT_EQ(p[GUEST_PAGE], 'b');
	EXPECT_EQ(p[3 * GUEST_PAGE], 'd');
	EXPECT_EQ(p[4 * GUEST_PAGE], 'e');
	EXPECT_ERRNO(mincore(p + 2 * GUEST_PAGE, GUEST_PAGE, &vec), ENOMEM);
	/* A range with a hole in it can be unmapped, and once more when nothing is left. */
	EXPECT_OK(munmap(p, 5 * GUEST_PAGE));
	EXPECT_OK(munmap(p, 5 * GUEST_PAGE));
}

GUEST_TEST(munmap_errors)
{
	char *p = guest_map(2 * GUEST_PAGE, 0);

	EXPECT_ERRNO(munmap(p + 1, GUEST_PAGE), EINVAL);
	EXPECT_ERRNO(munmap(p, 0), EINVAL);
	EXPECT_ERRNO(munmap(p, (size_t)-1 - 100), EINVAL);
	EXPECT_ERRNO(munmap((void *)(1ul << 62), GUEST_PAGE), EINVAL);
	/* A length that is no multiple of the page size takes the whole last page. */
	EXPECT_OK(munmap(p, GUEST_PAGE + 1));
}

GUEST_TEST(mmap_errors)
{
	int null = open("/dev/null", O_RDWR), dir = open("/", O_RDONLY), fds[2];
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;

	ASSERT_OK(pipe(fds));
	EXPECT_ERRNO(mmap(NULL, 0, PROT_READ, flags, -1, 0), EINVAL);
	EXPECT_ERRNO(mmap(NULL, GUEST_PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0), EINVAL);
	EXPECT_ERRNO(mmap(NULL, 1ul << 48, PROT_READ, flags, -1, 0), ENOMEM);
	EXPECT_ERRNO(mmap(NULL, GUEST_PAGE, PROT_READ, MAP_PRIVATE, -1, 0), EBADF);
	EXPECT_ERRNO(mmap(NULL, GUEST_PAGE, PROT_READ, MAP_PRIVATE, 999, 0), EBADF);
	EXPECT_ERRNO(mmap((void *)1, GUEST_PAGE, PROT_READ, flags | MAP_FIXED, -1, 0), EINVAL);
	EXPECT_ERRNO(syscall(SYS_mmap, NULL, GUEST_PAGE, PROT_READ, MAP_PRIVATE, null, 100),
	             EINVAL);
	EXPECT_ERRNO(mmap(NULL, GUEST_PAGE, PROT_READ, MAP_PRIVATE, dir, 0), ENODEV);
	EXPECT_ERRNO(mmap(NULL, GUEST_PAGE, PROT_READ, MAP_PRIVATE, fds[0], 0), ENODEV);
}

GUEST_TEST(mmap_needs_file_access)
{
	const char *path = guest_path("f");
	int rd, wr;
	char *p;

	guest_write_file(path, "text", 0644);
	rd = ASSERT_OK(open(path, O_RDONLY));
	wr = ASSERT_OK(open(path, O_WRONLY));
	EXPECT_ERRNO(mmap(NULL, 10, PROT_READ, MAP_PRIVATE, wr, 0), EACCES);
	EXPECT_ERRNO(mmap(NULL, 10, PROT_WRITE, MAP_SHARED, wr, 0), EACCES);
	EXPECT_ERRNO(mmap(NULL, 10, PROT_READ | PROT_WRITE, MAP_SHARED, rd, 0), EACCES);
	p = mmap(NULL, 10, PROT_READ, MAP_SHARED, rd, 0);
	ASSERT_TRUE(p != MAP_FAILED);
	EXPECT_ERRNO(mprotect(p, 10, PROT_READ | PROT_WRITE), EACCES);
	p = mmap(NULL, 10, PROT_READ | PROT_WRITE, MAP_PRIVATE, rd, 0);
	EXPECT_TRUE(p != MAP_FAILED);
}

GUEST_TEST(dev_zero_maps_as_anonymous)
{
	int fd = ASSERT_OK(open("/dev/zero", O_RDWR));
	char *p = mmap(NULL, 3 * GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	char *s = mmap(NULL, GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pid_t pid;

	ASSERT_TRUE(p != MAP_FAILED && s != MAP_FAILED);
	close(fd);
	EXPECT_EQ(p[2 * GUEST_PAGE], 0);
	p[100] = 1;
	MAYBE_SAVE();
	EXPECT_EQ(p[100], 1);
	pid = guest_fork();
	if (pid == 0) {
		s[7] = 'c';
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(s[7], 'c');
}

GUEST_TEST(populate_and_noreserve)
{
	unsigned char vec[4];
	char *p = guest_map(4 * GUEST_PAGE, MAP_POPULATE);
	char *q = guest_map(1ul << 32, MAP_NORESERVE);

	EXPECT_OK(mincore(p, 4 * GUEST_PAGE, vec));
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(vec[i] & 1, 1);
	q[(1ul << 32) - 1] = 3;
	q[1ul << 31] = 4;
	MAYBE_SAVE();
	EXPECT_EQ(q[(1ul << 32) - 1], 3);
	EXPECT_EQ(q[1ul << 31], 4);
	EXPECT_EQ(q[12345], 0);
	EXPECT_OK(munmap(q, 1ul << 32));
}

GUEST_TEST(validated_sharing_is_for_files)
{
	EXPECT_TRUE(mmap(NULL, 4096, PROT_READ, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0) ==
	            MAP_FAILED);
	EXPECT_EQ(errno, EINVAL);
}

GUEST_TEST(offsets_past_the_end_of_files)
{
	int fd = memfd_create("x", 0);
	off_t last = INT64_MAX & ~4095ll;

	ASSERT_OK(fd);
	EXPECT_TRUE(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, last) == MAP_FAILED);
	EXPECT_EQ(errno, EOVERFLOW);
	EXPECT_TRUE(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, INT64_MIN) == MAP_FAILED);
	EXPECT_EQ(errno, EOVERFLOW);
	EXPECT_TRUE(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, -8192) == MAP_FAILED);
	EXPECT_EQ(errno, EOVERFLOW);
	EXPECT_TRUE(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, last - 8192) != MAP_FAILED);
}

GUEST_TEST(locked_without_allowance)
{
	struct rlimit none = {0, 0};

	guest_drop_root();
	ASSERT_OK(setrlimit(RLIMIT_MEMLOCK, &none));
	EXPECT_TRUE(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0) ==
	            MAP_FAILED);
	EXPECT_EQ(errno, EPERM);
}
