#include "tests/guest/guest_test.h"

/* memfd_create: seals and what they forbid, modes, flags. */

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#define MFD_EXEC        16u
#endif
#define RW (PROT_READ | PROT_WRITE)

static int sealable(void)
{
	int fd = ASSERT_OK(memfd_create("s", MFD_ALLOW_SEALING));

	EXPECT_EQ(write(fd, "0123456789", 10), 10);
	return fd;
}

static void *map(int fd, int prot, int flags)
{
	return mmap(NULL, GUEST_PAGE, prot, flags, fd, 0);
}

GUEST_TEST(without_permission)
{
	int fd = ASSERT_OK(memfd_create("n", 0));
	char path[64];

	EXPECT_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL);
	EXPECT_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
	fd = sealable();
	EXPECT_EQ(fcntl(fd, F_GET_SEALS), 0);
	EXPECT_ERRNO(fcntl(fd, F_ADD_SEALS, 0x4000), EINVAL);
	/* Only one that may write may seal. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	EXPECT_ERRNO(fcntl(ASSERT_OK(open(path, O_RDONLY)), F_ADD_SEALS, F_SEAL_WRITE), EPERM);
	EXPECT_ERRNO(fcntl(ASSERT_OK(open("/dev/null", O_RDWR)), F_GET_SEALS), EINVAL);
	EXPECT_ERRNO(memfd_create("x", 0x4000), EINVAL);
}

GUEST_TEST(seal)
{
	int fd = sealable();

	EXPECT_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	EXPECT_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
	MAYBE_SAVE();
	EXPECT_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL | F_SEAL_SHRINK);
	EXPECT_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), EPERM);
	EXPECT_ERRNO(fcntl(fd, F_ADD_SEALS, 0), EPERM);
}

GUEST_TEST(seals_belong_to_the_file_however_opened)
{
	int fd = sealable(), other, named;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	other = ASSERT_OK(open(path, O_RDWR));
	EXPECT_EQ(fcntl(other, F_GET_SEALS), 0);
	EXPECT_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
	EXPECT_EQ(fcntl(other, F_GET_SEALS), F_SEAL_GROW);
	EXPECT_OK(fcntl(other, F_ADD_SEALS, F_SEAL_SHRINK));
	MAYBE_SAVE();
	EXPECT_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_GROW | F_SEAL_SHRINK);
	EXPECT_OK(close(fd));
	EXPECT_OK(fcntl(other, F_ADD_SEALS, F_SEAL_SEAL));
	EXPECT_ERRNO(fcntl(other, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
	/* A file of a tree in memory has one seal from the beginning: against others. */
	named = open("/dev/shm", O_TMPFILE | O_RDWR, 0600);
	if (named >= 0) {
		EXPECT_EQ(fcntl(named, F_GET_SEALS), F_SEAL_SEAL);
		EXPECT_ERRNO(fcntl(named, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
	}
}

GUEST_TEST(shrink_and_grow)
{
	int fd = sealable();
	struct stat st;

	EXPECT_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	MAYBE_SAVE();
	EXPECT_ERRNO(ftruncate(fd, 9), EPERM);
	EXPECT_OK(ftruncate(fd, 10));
	EXPECT_OK(ftruncate(fd, 20));
	EXPECT_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
	MAYBE_SAVE();
	EXPECT_ERRNO(ftruncate(fd, 21), EPERM);
	EXPECT_ERRNO(pwrite(fd, "x", 1, GUEST_PAGE), EPERM);
	EXPECT_ERRNO(fallocate(fd, 0, 0, 3 * GUEST_PAGE), EPERM);
	EXPECT_EQ(pwrite(fd, "x", 1, 19), 1);
	ASSERT_EQ(fstat(fd, &st), 0);
	EXPECT_EQ(st.st_size, 20);
}

GUEST_TEST(write_seal)
{
	int fd = sealable();
	char *p = map(fd, RW, MAP_SHARED), *q;

	ASSERT_TRUE(p != MAP_FAILED);
	/* Somebody can write. */
	EXPECT_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
	EXPECT_OK(munmap(p, GUEST_PAGE));
	p = map(fd, PROT_READ, MAP_PRIVATE);
	ASSERT_TRUE(p != MAP_FAILED);
	EXPECT_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	MAYBE_SAVE();
	EXPECT_ERRNO(write(fd, "x", 1), EPERM);
	EXPECT_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, GUEST_PAGE),
	             EPERM);
	EXPECT_TRUE(map(fd, RW, MAP_SHARED) == MAP_FAILED && errno == EPERM);
	q = map(fd, RW, MAP_PRIVATE);
	ASSERT_TRUE(q != MAP_FAILED);
	q[0] = 'q';
	EXPECT_EQ(p[0], '0');
	/* It may still change its size: that is another seal's matter. */
	EXPECT_OK(ftruncate(fd, 5));
}

GUEST_TEST(future_write_seal)
{
	int fd = sealable();
	char *p = map(fd, RW, MAP_SHARED), *r, b[4];

	ASSERT_TRUE(p != MAP_FAILED);
	EXPECT_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
	MAYBE_SAVE();
	/* Who could write still can. */
	p[0] = 'w';
	EXPECT_ERRNO(write(fd, "x", 1), EPERM);
	EXPECT_EQ(pread(fd, b, 1, 0), 1);
	EXPECT_EQ(b[0], 'w');
	EXPECT_TRUE(map(fd, RW, MAP_SHARED) == MAP_FAILED && errno == EPERM);
	r = map(fd, PROT_READ, MAP_SHARED);
	ASSERT_TRUE(r != MAP_FAILED);
	EXPECT_ERRNO(mprotect(r, GUEST_PAGE, RW), EACCES);
	EXPECT_EQ(r[0], 'w');
}

GUEST_TEST(sealed_for_a_reader)
{
	int fd = sealable();
	pid_t pid;

	EXPECT_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL));
	pid = guest_fork();
	if (pid == 0) {
		char *p = map(fd, PROT_READ, MAP_PRIVATE);

		MAYBE_SAVE();
		EXPECT_EQ(fcntl(fd, F_GET_SEALS),
		          F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
		EXPECT_EQ(memcmp(p, "0123456789", 10), 0);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(modes)
{
	struct stat st;
	int fd = ASSERT_OK(memfd_create("m", 0));

	ASSERT_EQ(fstat(fd, &st), 0);
	EXPECT_EQ(st.st_mode, S_IFREG | 0777);
	fd = memfd_create("m", MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL)
		SKIP("an old kernel");
	MAYBE_SAVE();
	ASSERT_EQ(fstat(fd, &st), 0);
	EXPECT_EQ(st.st_mode, S_IFREG | 0666);
	EXPECT_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_EXEC);
	EXPECT_ERRNO(fchmod(fd, 0777), EPERM);
	EXPECT_OK(fchmod(fd, 0600));
	fd = ASSERT_OK(memfd_create("m", MFD_EXEC | MFD_ALLOW_SEALING));
	ASSERT_EQ(fstat(fd, &st), 0);
	EXPECT_EQ(st.st_mode, S_IFREG | 0777);
	EXPECT_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_EXEC));
	/* One that may be executed is thereby sealed altogether. */
	EXPECT_EQ(fcntl(fd, F_GET_SEALS),
	          F_SEAL_EXEC | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
	EXPECT_ERRNO(memfd_create("m", MFD_EXEC | MFD_NOEXEC_SEAL), EINVAL);
}

GUEST_TEST(a_write_that_would_grow)
{
	static char buf[3 * GUEST_PAGE];
	int fd = sealable();

	ASSERT_OK(ftruncate(fd, GUEST_PAGE + GUEST_PAGE / 2));
	EXPECT_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
	MAYBE_SAVE();
	/* Pages that need no growth are written, the one that would grow is not touched. */
	EXPECT_EQ(pwrite(fd, buf, sizeof(buf), 10), (long)GUEST_PAGE - 10);
	EXPECT_ERRNO(pwrite(fd, buf, GUEST_PAGE, GUEST_PAGE + 10), EPERM);
	EXPECT_EQ(pwrite(fd, buf, GUEST_PAGE / 2 - 10, GUEST_PAGE + 10), GUEST_PAGE / 2 - 10);
}

/* What would seal a file against writing waits for who may write to it. */
GUEST_TEST(exec_seal_and_a_writer)
{
	int fd = sealable();
	char *m;

	ASSERT_OK(ftruncate(fd, GUEST_PAGE));
	m = mmap(NULL, GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_TRUE(m != MAP_FAILED);
	MAYBE_SAVE();
	EXPECT_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_EXEC), EBUSY);
	munmap(m, GUEST_PAGE);
	EXPECT_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_EXEC));
}
