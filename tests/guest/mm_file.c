#include "tests/guest/guest_test.h"

/* Private and shared file mappings, write-back both ways. */

static int file_of(const char *name, int pages)
{
	int fd = ASSERT_OK(open(guest_path(name), O_RDWR | O_CREAT | O_EXCL, 0644));
	char buf[GUEST_PAGE];

	for (int i = 0; i < pages; i++) {
		memset(buf, 'a' + i, sizeof(buf));
		ASSERT_EQ(write(fd, buf, sizeof(buf)), sizeof(buf));
	}
	return fd;
}

static char *map_file(int fd, size_t len, int flags, off_t off)
{
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, fd, off);

	ASSERT_TRUE(p != MAP_FAILED);
	return p;
}

static char byte_at(int fd, off_t off)
{
	char c = 0;

	ASSERT_EQ(pread(fd, &c, 1, off), 1);
	return c;
}

GUEST_TEST(private_write_stays_private)
{
	int fd = file_of("f", 4);
	char *p = map_file(fd, 4 * GUEST_PAGE, MAP_PRIVATE, 0);

	p[0] = 'X';
	p[2 * GUEST_PAGE] = 'Y';
	MAYBE_SAVE();
	EXPECT_EQ(p[0], 'X');
	EXPECT_EQ(p[1], 'a');
	EXPECT_EQ(p[GUEST_PAGE], 'b');
	EXPECT_EQ(p[2 * GUEST_PAGE], 'Y');
	EXPECT_EQ(byte_at(fd, 0), 'a');
	EXPECT_EQ(byte_at(fd, 2 * GUEST_PAGE), 'c');
}

GUEST_TEST(private_at_an_offset)
{
	int fd = file_of("f", 4);
	char *p = map_file(fd, GUEST_PAGE, MAP_PRIVATE, 3 * GUEST_PAGE);

	EXPECT_EQ(p[0], 'd');
	EXPECT_EQ(p[GUEST_PAGE - 1], 'd');
}

GUEST_TEST(shared_write_reaches_read)
{
	int fd = file_of("f", 3);
	char *p = map_file(fd, 3 * GUEST_PAGE, MAP_SHARED, 0);

	p[GUEST_PAGE + 5] = 'S';
	EXPECT_EQ(byte_at(fd, GUEST_PAGE + 5), 'S');
	MAYBE_SAVE();
	EXPECT_EQ(byte_at(fd, GUEST_PAGE + 5), 'S');
	EXPECT_EQ(p[GUEST_PAGE + 5], 'S');
	p[1] = 'T';
	EXPECT_EQ(byte_at(fd, 1), 'T');
}

GUEST_TEST(write_reaches_the_shared_mapping)
{
	int fd = file_of("f", 2);
	char *p = map_file(fd, 2 * GUEST_PAGE, MAP_SHARED, 0);

	EXPECT_EQ(p[7], 'a');
	EXPECT_EQ(pwrite(fd, "W", 1, 7), 1);
	EXPECT_EQ(p[7], 'W');
	MAYBE_SAVE();
	EXPECT_EQ(pwrite(fd, "V", 1, GUEST_PAGE), 1);
	EXPECT_EQ(p[GUEST_PAGE], 'V');
}

GUEST_TEST(two_shared_mappings)
{
	int fd = file_of("f", 2);
	int fd2 = ASSERT_OK(open(guest_path("f"), O_RDWR));
	char *p = map_file(fd, 2 * GUEST_PAGE, MAP_SHARED, 0);
	char *q = map_file(fd2, GUEST_PAGE, MAP_SHARED, GUEST_PAGE);

	close(fd);
	close(fd2);
	p[GUEST_PAGE + 1] = '1';
	EXPECT_EQ(q[1], '1');
	MAYBE_SAVE();
	q[2] = '2';
	EXPECT_EQ(p[GUEST_PAGE + 2], '2');
}

GUEST_TEST(shared_between_processes)
{
	int fd = file_of("f", 1);
	char *p = map_file(fd, GUEST_PAGE, MAP_SHARED, 0);
	pid_t pid = guest_fork();

	if (pid == 0) {
		int own = ASSERT_OK(open(guest_path("f"), O_RDWR));
		char *q = map_file(own, GUEST_PAGE, MAP_SHARED, 0);

		q[9] = 'c';
		EXPECT_EQ(p[9], 'c');
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(p[9], 'c');
	EXPECT_EQ(byte_at(fd, 9), 'c');
}

GUEST_TEST(tail_of_the_last_page_is_zero)
{
	int fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));
	char *p;
	struct stat st;

	ASSERT_EQ(write(fd, "abc", 3), 3);
	p = map_file(fd, GUEST_PAGE, MAP_SHARED, 0);
	for (size_t i = 3; i < GUEST_PAGE; i++)
		EXPECT_EQ(p[i], 0);
	/* Writes behind the end change neither size nor what a read finds. */
	p[100] = 'z';
	ASSERT_OK(fstat(fd, &st));
	EXPECT_EQ(st.st_size, 3);
}

GUEST_TEST(unlinked_file_stays_mapped)
{
	int fd = file_of("f", 2);
	char *p = map_file(fd, 2 * GUEST_PAGE, MAP_SHARED, 0);
	char *q = map_file(fd, 2 * GUEST_PAGE, MAP_PRIVATE, 0);

	close(fd);
	ASSERT_OK(unlink(guest_path("f")));
	p[0] = 'u';
	MAYBE_SAVE();
	EXPECT_EQ(p[0], 'u');
	EXPECT_EQ(p[GUEST_PAGE], 'b');
	EXPECT_EQ(q[GUEST_PAGE + 1], 'b');
}

GUEST_TEST(msync)
{
	int fd = file_of("f", 2);
	char *p = map_file(fd, 2 * GUEST_PAGE, MAP_SHARED, 0);

	p[0] = 'm';
	EXPECT_OK(msync(p, 2 * GUEST_PAGE, MS_SYNC));
	EXPECT_OK(msync(p, GUEST_PAGE, MS_ASYNC));
	EXPECT_ERRNO(msync(p, GUEST_PAGE, MS_SYNC | MS_ASYNC), EINVAL);
	EXPECT_ERRNO(msync(p + 1, GUEST_PAGE, MS_SYNC), EINVAL);
	EXPECT_EQ(byte_at(fd, 0), 'm');
	ASSERT_OK(munmap(p + GUEST_PAGE, GUEST_PAGE));
	EXPECT_ERRNO(msync(p, 2 * GUEST_PAGE, MS_SYNC), ENOMEM);
}

GUEST_TEST(extended_after_mapping)
{
	int fd = file_of("f", 1);
	char *p = map_file(fd, 4 * GUEST_PAGE, MAP_SHARED, 0);

	EXPECT_EQ(pwrite(fd, "E", 1, 2 * GUEST_PAGE), 1);
	EXPECT_EQ(p[2 * GUEST_PAGE], 'E');
	EXPECT_EQ(p[GUEST_PAGE], 0);
	p[GUEST_PAGE] = 'F';
	MAYBE_SAVE();
	EXPECT_EQ(byte_at(fd, GUEST_PAGE), 'F');
}

GUEST_TEST(read_into_own_mapping)
{
	int fd = file_of("f", 2);
	char *p = map_file(fd, 2 * GUEST_PAGE, MAP_SHARED, 0);

	/* Source and target are the same file; the kernel must not lock itself out. */
	EXPECT_EQ(pread(fd, p, 100, GUEST_PAGE), 100);
	EXPECT_EQ(p[99], 'b');
	EXPECT_EQ(p[100], 'a');
	EXPECT_EQ(pwrite(fd, p + 2000, 100, GUEST_PAGE), 100);
	EXPECT_EQ(p[GUEST_PAGE + 99], 'a');
}
