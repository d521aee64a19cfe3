#include "tests/guest/guest_test.h"

/* memfd_create: a file without a name. Seals are issue of their own and not asked here. */

#ifndef MFD_CLOEXEC
#define MFD_CLOEXEC 1u
#endif

GUEST_TEST(reads_and_writes)
{
	int fd = ASSERT_OK(memfd_create("name", MFD_CLOEXEC));
	struct stat st;
	char buf[8];

	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(write(fd, "hello", 5), 5);
	MAYBE_SAVE();
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 5);
	EXPECT_EQ(pread(fd, buf, 8, 1), 4);
	EXPECT_EQ(memcmp(buf, "ello", 4), 0);
	EXPECT_OK(fstat(fd, &st));
	EXPECT_EQ(st.st_size, 5);
	EXPECT_EQ(st.st_nlink, 0);
	EXPECT_TRUE(S_ISREG(st.st_mode));
}

GUEST_TEST(shared_mapping)
{
	int fd = ASSERT_OK(memfd_create("m", 0));
	char *p, *q;
	pid_t pid;

	ASSERT_OK(ftruncate(fd, 2 * GUEST_PAGE));
	p = mmap(NULL, 2 * GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	q = mmap(NULL, 2 * GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ASSERT_TRUE(p != MAP_FAILED && q != MAP_FAILED);
	close(fd);
	p[0] = 's';
	EXPECT_EQ(q[0], 's');
	q[0] = 'q';
	pid = guest_fork();
	if (pid == 0) {
		p[1] = 'c';
		q[1] = 'c';
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	MAYBE_SAVE();
	EXPECT_EQ(p[0], 's');
	EXPECT_EQ(p[1], 'c');
	EXPECT_EQ(q[0], 'q');
	EXPECT_EQ(q[1], 0);
}

GUEST_TEST(name_in_proc)
{
	char link[64], text[128] = "";
	int fd = ASSERT_OK(memfd_create("shown", 0));

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	EXPECT_GE(readlink(link, text, sizeof(text) - 1), 0);
	EXPECT_STREQ(text, "/memfd:shown (deleted)");
}

GUEST_TEST(reopened_through_proc)
{
	char link[64], text[64] = "", c = 0;
	int fd = ASSERT_OK(memfd_create("again", 0)), fd2;

	ASSERT_EQ(write(fd, "xy", 2), 2);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	fd2 = ASSERT_OK(open(link, O_RDONLY));
	EXPECT_EQ(read(fd2, &c, 1), 1);
	EXPECT_EQ(c, 'x');
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 2);
	MAYBE_SAVE();
	/* The name is the file's, by whatever way it was opened. */
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd2);
	ASSERT_OK(readlink(link, text, sizeof(text) - 1));
	EXPECT_STREQ(text, "/memfd:again (deleted)");
}

GUEST_TEST(long_names)
{
	char name[250], link[64], text[400] = "";
	int fd;

	memset(name, 'n', sizeof(name));
	name[249] = 0;
	fd = ASSERT_OK(memfd_create(name, 0));
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	EXPECT_EQ(readlink(link, text, sizeof(text)),
	          strlen("/memfd:") + 249 + strlen(" (deleted)"));
}

GUEST_TEST(errors)
{
	char name[300];

	memset(name, 'n', sizeof(name));
	name[299] = 0;
	EXPECT_ERRNO(memfd_create(name, 0), EINVAL);
	EXPECT_ERRNO(memfd_create("x", 0x10000), EINVAL);
	EXPECT_ERRNO(memfd_create((char *)8, 0), EFAULT);
}
