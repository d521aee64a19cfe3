#include "tests/guest/guest_test.h"

/* open flags. */

static int flags_of(int fd)
{
	return fcntl(fd, F_GETFL) & ~O_LARGEFILE & ~0100000;
}

GUEST_TEST(create_and_excl)
{
	const char *f = guest_path("f");
	struct stat st;
	int fd;

	EXPECT_ERRNO(open(f, O_RDONLY), ENOENT);
	fd = ASSERT_OK(open(f, O_RDWR | O_CREAT | O_EXCL, 0640));
	EXPECT_OK(fstat(fd, &st));
	EXPECT_EQ(st.st_mode, S_IFREG | 0640);
	EXPECT_EQ(st.st_size, 0);
	EXPECT_EQ(st.st_uid, geteuid());
	EXPECT_EQ(st.st_nlink, 1);
	EXPECT_ERRNO(open(f, O_RDWR | O_CREAT | O_EXCL, 0640), EEXIST);
	EXPECT_OK(open(f, O_RDWR | O_CREAT, 0777));
	MAYBE_SAVE();
	EXPECT_OK(stat(f, &st));
	EXPECT_EQ(st.st_mode, S_IFREG | 0640);
}

GUEST_TEST(mode_of_a_new_file_does_not_bind_its_creator)
{
	int fd = ASSERT_OK(open(guest_path("ro"), O_RDWR | O_CREAT, 0400));
	char c;

	EXPECT_EQ(write(fd, "w", 1), 1);
	EXPECT_EQ(pread(fd, &c, 1, 0), 1);
}

GUEST_TEST(access_modes)
{
	const char *f = guest_path("f");
	char c;
	int fd;

	guest_write_file(f, "text", 0644);
	fd = ASSERT_OK(open(f, O_RDONLY));
	EXPECT_EQ(flags_of(fd), O_RDONLY);
	EXPECT_ERRNO(write(fd, "x", 1), EBADF);
	EXPECT_ERRNO(ftruncate(fd, 0), EINVAL);
	fd = ASSERT_OK(open(f, O_WRONLY));
	EXPECT_EQ(flags_of(fd), O_WRONLY);
	EXPECT_ERRNO(read(fd, &c, 1), EBADF);
	EXPECT_EQ(write(fd, "T", 1), 1);
	MAYBE_SAVE();
	EXPECT_EQ(write(fd, "E", 1), 1);
	fd = ASSERT_OK(open(f, O_RDWR));
	EXPECT_EQ(read(fd, &c, 1), 1);
	EXPECT_EQ(c, 'T');
}

GUEST_TEST(append)
{
	const char *f = guest_path("f");
	char text[32];
	int a, b;

	guest_write_file(f, "start", 0644);
	a = ASSERT_OK(open(f, O_WRONLY | O_APPEND));
	b = ASSERT_OK(open(f, O_WRONLY | O_APPEND));
	EXPECT_EQ(flags_of(a), O_WRONLY | O_APPEND);
	EXPECT_EQ(lseek(a, 0, SEEK_CUR), 0);
	EXPECT_EQ(write(a, "1", 1), 1);
	EXPECT_EQ(write(b, "2", 1), 1);
	EXPECT_EQ(lseek(a, 0, SEEK_SET), 0);
	MAYBE_SAVE();
	EXPECT_EQ(write(a, "3", 1), 1);
	EXPECT_EQ(lseek(a, 0, SEEK_CUR), 8);
	/* pwrite appends as well, whatever the offset. */
	EXPECT_EQ(pwrite(a, "4", 1, 0), 1);
	EXPECT_EQ(guest_read_file(f, text, sizeof(text)), 9);
	EXPECT_STREQ(text, "start1234");
}

GUEST_TEST(truncate)
{
	const char *f = guest_path("f");
	struct stat st;

	guest_write_file(f, "content", 0644);
	ASSERT_OK(open(f, O_WRONLY | O_TRUNC));
	EXPECT_OK(stat(f, &st));
	EXPECT_EQ(st.st_size, 0);
	EXPECT_ERRNO(open(guest_path("none"), O_WRONLY | O_TRUNC), ENOENT);
}

GUEST_TEST(directory)
{
	const char *f = guest_path("f");
	char c;
	int fd;

	guest_write_file(f, "", 0644);
	EXPECT_ERRNO(open(f, O_RDONLY | O_DIRECTORY), ENOTDIR);
	fd = ASSERT_OK(open(guest_tmp(), O_RDONLY | O_DIRECTORY));
	EXPECT_ERRNO(read(fd, &c, 1), EISDIR);
	EXPECT_ERRNO(open(guest_tmp(), O_WRONLY), EISDIR);
	EXPECT_ERRNO(open(guest_tmp(), O_RDWR), EISDIR);
	EXPECT_ERRNO(open(guest_tmp(), O_RDONLY | O_CREAT, 0644), EISDIR);
	EXPECT_ERRNO(open(guest_path("f/x"), O_RDONLY), ENOTDIR);
	EXPECT_ERRNO(open(guest_path("new/"), O_RDWR | O_CREAT, 0644), EISDIR);
	EXPECT_ERRNO(open(guest_path("f/"), O_RDONLY), ENOTDIR);
}

GUEST_TEST(nofollow)
{
	const char *f = guest_path("f"), *l = guest_path("l"), *d = guest_path("d");

	guest_write_file(f, "x", 0644);
	ASSERT_OK(symlink("f", l));
	ASSERT_OK(symlink(".", d));
	EXPECT_OK(open(l, O_RDONLY));
	EXPECT_ERRNO(open(l, O_RDONLY | O_NOFOLLOW), ELOOP);
	EXPECT_ERRNO(open(l, O_RDWR | O_CREAT | O_NOFOLLOW, 0644), ELOOP);
	/* Only the last component is meant. */
	EXPECT_OK(open(guest_path("d/f"), O_RDONLY | O_NOFOLLOW));
	EXPECT_ERRNO(open(d, O_RDONLY | O_NOFOLLOW | O_DIRECTORY), ENOTDIR);
}

GUEST_TEST(create_through_symlinks)
{
	const char *l = guest_path("l");

	ASSERT_OK(symlink("target", l));
	EXPECT_ERRNO(open(l, O_RDONLY), ENOENT);
	EXPECT_ERRNO(open(l, O_RDWR | O_CREAT | O_EXCL, 0644), EEXIST);
	EXPECT_OK(open(l, O_RDWR | O_CREAT, 0644));
	EXPECT_OK(access(guest_path("target"), F_OK));
}

GUEST_TEST(o_path)
{
	const char *f = guest_path("f");
	struct stat st;
	char c, link[64];
	int fd, fd2;

	guest_write_file(f, "path", 0644);
	fd = ASSERT_OK(open(f, O_PATH));
	EXPECT_ERRNO(read(fd, &c, 1), EBADF);
	EXPECT_ERRNO(write(fd, &c, 1), EBADF);
	EXPECT_ERRNO(ftruncate(fd, 0), EBADF);
	EXPECT_ERRNO(fchmod(fd, 0600), EBADF);
	EXPECT_ERRNO(mmap(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0), EBADF);
	EXPECT_OK(fstat(fd, &st));
	EXPECT_EQ(st.st_size, 4);
	EXPECT_EQ(flags_of(fd), O_PATH);
	MAYBE_SAVE();
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	fd2 = ASSERT_OK(open(link, O_RDONLY));
	EXPECT_EQ(read(fd2, &c, 1), 1);
	EXPECT_EQ(c, 'p');
	/* With O_NOFOLLOW the symlink itself. */
	ASSERT_OK(symlink("nowhere", guest_path("l")));
	fd = ASSERT_OK(open(guest_path("l"), O_PATH | O_NOFOLLOW));
	EXPECT_OK(fstat(fd, &st));
	EXPECT_TRUE(S_ISLNK(st.st_mode));
	EXPECT_EQ(readlinkat(fd, "", link, sizeof(link)), 7);
	/* As a directory for *at. */
	fd = ASSERT_OK(open(guest_tmp(), O_PATH | O_DIRECTORY));
	EXPECT_OK(openat(fd, "f", O_RDONLY));
	EXPECT_OK(fchdir(fd));
}

GUEST_TEST(tmpfile)
{
	struct stat st;
	char c, link[64];
	int fd = open(guest_tmp(), O_TMPFILE | O_RDWR, 0600);

	if (fd < 0 && errno == EOPNOTSUPP)
		SKIP("no O_TMPFILE here");
	ASSERT_TRUE(fd >= 0);
	EXPECT_EQ(write(fd, "t", 1), 1);
	EXPECT_OK(fstat(fd, &st));
	EXPECT_EQ(st.st_nlink, 0);
	MAYBE_SAVE();
	EXPECT_EQ(pread(fd, &c, 1, 0), 1);
	EXPECT_EQ(c, 't');
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	EXPECT_OK(linkat(AT_FDCWD, link, AT_FDCWD, guest_path("named"), AT_SYMLINK_FOLLOW));
	EXPECT_OK(stat(guest_path("named"), &st));
	EXPECT_EQ(st.st_size, 1);
	EXPECT_EQ(st.st_nlink, 1);
	EXPECT_ERRNO(open(guest_tmp(), O_TMPFILE | O_RDONLY, 0600), EINVAL);
	EXPECT_ERRNO(open(guest_path("named"), O_TMPFILE | O_RDWR, 0600), ENOTDIR);
}

GUEST_TEST(cloexec_and_lowest)
{
	int a = ASSERT_OK(open("/dev/null", O_RDONLY | O_CLOEXEC));
	int b = ASSERT_OK(open("/dev/null", O_RDONLY));

	EXPECT_EQ(fcntl(a, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(b, F_GETFD), 0);
	EXPECT_EQ(b, a + 1);
	close(a);
	MAYBE_SAVE();
	EXPECT_EQ(open("/dev/null", O_RDONLY), a);
	EXPECT_ERRNO(close(100), EBADF);
	EXPECT_ERRNO(close(-1), EBADF);
}

GUEST_TEST(creat_call)
{
	const char *f = guest_path("f");
	int fd = ASSERT_OK(creat(f, 0600));
	char c;

	EXPECT_EQ(flags_of(fd), O_WRONLY);
	EXPECT_ERRNO(read(fd, &c, 1), EBADF);
	EXPECT_EQ(write(fd, "abc", 3), 3);
	ASSERT_OK(creat(f, 0600));
	EXPECT_EQ(lseek(fd, 0, SEEK_END), 0);
}

GUEST_TEST(close_range_call)
{
	int fds[6];

	for (int i = 0; i < 6; i++)
		fds[i] = ASSERT_OK(dup(0));
	EXPECT_OK(syscall(SYS_close_range, fds[1], fds[3], 0));
	EXPECT_OK(fcntl(fds[0], F_GETFD));
	EXPECT_ERRNO(fcntl(fds[1], F_GETFD), EBADF);
	EXPECT_ERRNO(fcntl(fds[3], F_GETFD), EBADF);
	EXPECT_OK(fcntl(fds[4], F_GETFD));
	EXPECT_OK(syscall(SYS_close_range, fds[4], fds[4], 4)); /* CLOSE_RANGE_CLOEXEC */
	EXPECT_EQ(fcntl(fds[4], F_GETFD), FD_CLOEXEC);
	EXPECT_ERRNO(syscall(SYS_close_range, 5, 4, 0), EINVAL);
	EXPECT_OK(syscall(SYS_close_range, fds[0], ~0u, 0));
	EXPECT_ERRNO(fcntl(fds[5], F_GETFD), EBADF);
}
