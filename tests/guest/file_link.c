#include "tests/guest/guest_test.h"

/* Hard links, symbolic links, unlinked files. */

static nlink_t nlink(const char *name)
{
	struct stat st;

	return lstat(guest_path(name), &st) < 0 ? 0 : st.st_nlink;
}

static ino_t ino(const char *name)
{
	struct stat st;

	return stat(guest_path(name), &st) < 0 ? 0 : st.st_ino;
}

GUEST_TEST(hard_links)
{
	char c;
	int fd;

	guest_write_file(guest_path("a"), "1", 0644);
	EXPECT_OK(link(guest_path("a"), guest_path("b")));
	EXPECT_EQ(nlink("a"), 2);
	EXPECT_EQ(ino("a"), ino("b"));
	fd = ASSERT_OK(open(guest_path("b"), O_RDWR));
	EXPECT_EQ(write(fd, "2", 1), 1);
	close(fd);
	MAYBE_SAVE();
	fd = ASSERT_OK(open(guest_path("a"), O_RDWR));
	EXPECT_EQ(read(fd, &c, 1), 1);
	EXPECT_EQ(c, '2');
	EXPECT_OK(unlink(guest_path("a")));
	EXPECT_EQ(nlink("b"), 1);
	EXPECT_OK(chmod(guest_path("b"), 0600));
}

GUEST_TEST(link_errors)
{
	guest_write_file(guest_path("a"), "", 0644);
	ASSERT_OK(mkdir(guest_path("d"), 0755));
	EXPECT_ERRNO(link(guest_path("none"), guest_path("x")), ENOENT);
	EXPECT_ERRNO(link(guest_path("a"), guest_path("a")), EEXIST);
	EXPECT_ERRNO(link(guest_path("d"), guest_path("e")), EPERM);
	EXPECT_ERRNO(link(guest_path("a"), guest_path("none/x")), ENOENT);
	EXPECT_ERRNO(linkat(AT_FDCWD, guest_path("a"), AT_FDCWD, guest_path("x"), 0x8000), EINVAL);
}

GUEST_TEST(link_to_a_symlink)
{
	struct stat st;

	guest_write_file(guest_path("f"), "", 0644);
	ASSERT_OK(symlink("f", guest_path("l")));
	EXPECT_OK(link(guest_path("l"), guest_path("l2")));
	EXPECT_OK(lstat(guest_path("l2"), &st));
	EXPECT_TRUE(S_ISLNK(st.st_mode));
	EXPECT_OK(linkat(AT_FDCWD, guest_path("l"), AT_FDCWD, guest_path("f2"), AT_SYMLINK_FOLLOW));
	EXPECT_OK(lstat(guest_path("f2"), &st));
	EXPECT_TRUE(S_ISREG(st.st_mode));
}

GUEST_TEST(symlink_contents)
{
	char buf[64], longer[4100];
	struct stat st;

	EXPECT_OK(symlink("any text //", guest_path("l")));
	MAYBE_SAVE();
	memset(buf, 'x', sizeof(buf));
	EXPECT_EQ(readlink(guest_path("l"), buf, sizeof(buf)), 11);
	EXPECT_EQ(memcmp(buf, "any text //x", 12), 0);
	EXPECT_EQ(readlink(guest_path("l"), buf, 3), 3);
	EXPECT_OK(lstat(guest_path("l"), &st));
	EXPECT_EQ(st.st_size, 11);
	EXPECT_EQ(st.st_mode, S_IFLNK | 0777);
	EXPECT_ERRNO(readlink(guest_path("l"), buf, 0), EINVAL);
	EXPECT_ERRNO(readlink(guest_tmp(), buf, 10), EINVAL);
	EXPECT_ERRNO(symlink("", guest_path("e")), ENOENT);
	EXPECT_ERRNO(symlink("x", guest_path("l")), EEXIST);
	memset(longer, 'p', sizeof(longer));
	longer[4096] = 0;
	EXPECT_ERRNO(symlink(longer, guest_path("long")), ENAMETOOLONG);
	longer[3000] = 0;
	EXPECT_OK(symlink(longer, guest_path("long")));
	EXPECT_EQ(readlink(guest_path("long"), longer, sizeof(longer)), 3000);
}

GUEST_TEST(loops)
{
	char name[16], prev[16];

	ASSERT_OK(symlink("self", guest_path("self")));
	ASSERT_OK(symlink("pong", guest_path("ping")));
	ASSERT_OK(symlink("ping", guest_path("pong")));
	EXPECT_ERRNO(open(guest_path("self"), O_RDONLY), ELOOP);
	EXPECT_ERRNO(open(guest_path("ping"), O_RDONLY), ELOOP);
	EXPECT_ERRNO(open(guest_path("ping/x"), O_RDONLY), ELOOP);
	guest_write_file(guest_path("l0"), "x", 0644);
	for (int i = 1; i <= 45; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		snprintf(prev, sizeof(prev), "l%d", i - 1);
		ASSERT_OK(symlink(prev, guest_path(name)));
	}
	/* Not 40: Linux counts on when a walk without locks has to begin again with them. */
	EXPECT_OK(open(guest_path("l20"), O_RDONLY));
	EXPECT_ERRNO(open(guest_path("l41"), O_RDONLY), ELOOP);
}

GUEST_TEST(symlinks_in_the_middle)
{
	char text[64];

	ASSERT_OK(mkdir(guest_path("d"), 0755));
	ASSERT_OK(mkdir(guest_path("d/e"), 0755));
	guest_write_file(guest_path("d/f"), "x", 0644);
	ASSERT_OK(symlink("d/e", guest_path("l")));
	/* .. is of the target. */
	EXPECT_OK(open(guest_path("l/../f"), O_RDONLY));
	ASSERT_OK(symlink(guest_path("d"), guest_path("abs")));
	EXPECT_OK(open(guest_path("abs/f"), O_RDONLY));
	ASSERT_OK(symlink("../d/./e/..//f", guest_path("d/odd")));
	EXPECT_GE(guest_read_file(guest_path("d/odd"), text, sizeof(text)), 1);
	ASSERT_OK(symlink("d/f", guest_path("tofile")));
	EXPECT_ERRNO(open(guest_path("tofile/x"), O_RDONLY), ENOTDIR);
	EXPECT_ERRNO(open(guest_path("tofile/"), O_RDONLY), ENOTDIR);
}

GUEST_TEST(unlinked_but_open)
{
	char buf[64];
	struct stat st;
	int fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));

	ASSERT_EQ(write(fd, "still here", 10), 10);
	EXPECT_OK(unlink(guest_path("f")));
	EXPECT_EQ(nlink("f"), 0);
	MAYBE_SAVE();
	EXPECT_EQ(pread(fd, buf, 64, 0), 10);
	EXPECT_EQ(memcmp(buf, "still here", 10), 0);
	EXPECT_EQ(write(fd, "!", 1), 1);
	EXPECT_OK(fstat(fd, &st));
	EXPECT_EQ(st.st_nlink, 0);
	EXPECT_EQ(st.st_size, 11);
	/* The name can be used again, by another file. */
	guest_write_file(guest_path("f"), "new", 0644);
	EXPECT_EQ(pread(fd, buf, 64, 0), 11);
	snprintf(buf, sizeof(buf), "/proc/self/fd/%d", fd);
	EXPECT_ERRNO(linkat(AT_FDCWD, buf, AT_FDCWD, guest_path("back"), AT_SYMLINK_FOLLOW),
	             ENOENT);
}

GUEST_TEST(unlink_errors)
{
	ASSERT_OK(mkdir(guest_path("d"), 0755));
	guest_write_file(guest_path("f"), "", 0644);
	EXPECT_ERRNO(unlink(guest_path("none")), ENOENT);
	EXPECT_ERRNO(unlink(guest_path("d")), EISDIR);
	EXPECT_ERRNO(unlink(guest_path("f/")), ENOTDIR);
	EXPECT_ERRNO(unlink(guest_path("f/x")), ENOTDIR);
	EXPECT_ERRNO(unlinkat(AT_FDCWD, guest_path("f"), AT_REMOVEDIR), ENOTDIR);
	EXPECT_ERRNO(unlinkat(AT_FDCWD, guest_path("f"), 0x8000), EINVAL);
	EXPECT_OK(unlinkat(AT_FDCWD, guest_path("d"), AT_REMOVEDIR));
	EXPECT_ERRNO(unlink(""), ENOENT);
}

GUEST_TEST(link_of_a_running_file)
{
	/* A file that is mapped and executed elsewhere can be unlinked and linked. */
	guest_write_file(guest_path("s"), "#!/bin/true\n", 0755);
	EXPECT_OK(link(guest_path("s"), guest_path("t")));
	EXPECT_OK(unlink(guest_path("s")));
	EXPECT_OK(access(guest_path("t"), X_OK));
}
