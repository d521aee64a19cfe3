#include "tests/guest/guest_test.h"

/* rename and renameat2. */

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE  2
#endif

static bool there(const char *name)
{
	struct stat st;

	return lstat(guest_path(name), &st) == 0;
}

static void has(const char *name, const char *text)
{
	char buf[64] = "";

	EXPECT_GE(guest_read_file(guest_path(name), buf, sizeof(buf)), 0);
	EXPECT_STREQ(buf, text);
}

static int mv(const char *a, const char *b)
{
	return rename(guest_path(a), guest_path(b));
}

GUEST_TEST(files)
{
	guest_write_file(guest_path("a"), "A", 0644);
	guest_write_file(guest_path("b"), "B", 0644);
	EXPECT_OK(mv("a", "c"));
	EXPECT_FALSE(there("a"));
	has("c", "A");
	EXPECT_OK(mv("c", "b"));
	MAYBE_SAVE();
	EXPECT_FALSE(there("c"));
	has("b", "A");
	EXPECT_OK(mv("b", "b"));
	EXPECT_ERRNO(mv("none", "x"), ENOENT);
	EXPECT_ERRNO(mv("b", "no/dir"), ENOENT);
}

GUEST_TEST(same_inode_does_nothing)
{
	guest_write_file(guest_path("a"), "A", 0644);
	ASSERT_OK(link(guest_path("a"), guest_path("b")));
	EXPECT_OK(mv("a", "b"));
	EXPECT_TRUE(there("a"));
	EXPECT_TRUE(there("b"));
}

GUEST_TEST(open_files_survive)
{
	char c;
	int fd, victim;

	guest_write_file(guest_path("a"), "A", 0644);
	guest_write_file(guest_path("b"), "B", 0644);
	fd = ASSERT_OK(open(guest_path("a"), O_RDWR));
	victim = ASSERT_OK(open(guest_path("b"), O_RDWR));
	EXPECT_OK(mv("a", "b"));
	MAYBE_SAVE();
	EXPECT_EQ(pread(victim, &c, 1, 0), 1);
	EXPECT_EQ(c, 'B');
	EXPECT_EQ(pread(fd, &c, 1, 0), 1);
	EXPECT_EQ(c, 'A');
	EXPECT_EQ(pwrite(fd, "Z", 1, 0), 1);
	has("b", "Z");
}

GUEST_TEST(directories)
{
	ASSERT_OK(mkdir(guest_path("d"), 0755));
	ASSERT_OK(mkdir(guest_path("d/sub"), 0755));
	guest_write_file(guest_path("d/sub/f"), "deep", 0644);
	ASSERT_OK(mkdir(guest_path("empty"), 0755));
	ASSERT_OK(mkdir(guest_path("full"), 0755));
	guest_write_file(guest_path("full/x"), "", 0644);
	EXPECT_OK(mv("d", "e"));
	has("e/sub/f", "deep");
	EXPECT_FALSE(there("d"));
	EXPECT_OK(mv("e", "empty")); /* an empty directory is replaced */
	has("empty/sub/f", "deep");
	MAYBE_SAVE();
	EXPECT_ERRNO(mv("empty", "full"), ENOTEMPTY);
	EXPECT_ERRNO(mv("empty", "empty/sub/inside"), EINVAL);
	EXPECT_OK(mv("empty/sub", "out"));
	has("out/f", "deep");
	EXPECT_ERRNO(mv("out", "empty/../out/f"), EINVAL);
}

GUEST_TEST(types_must_match)
{
	ASSERT_OK(mkdir(guest_path("d"), 0755));
	guest_write_file(guest_path("f"), "", 0644);
	EXPECT_ERRNO(mv("f", "d"), EISDIR);
	EXPECT_ERRNO(mv("d", "f"), ENOTDIR);
	EXPECT_ERRNO(mv("f", "f/x"), ENOTDIR);
	EXPECT_ERRNO(mv("f/", "x"), ENOTDIR);
	EXPECT_ERRNO(rename(guest_path("d/."), guest_path("x")), EBUSY);
	EXPECT_ERRNO(rename(guest_path("d"), guest_path("d/..")), EBUSY);
	EXPECT_OK(mv("d/", "e/"));
	EXPECT_TRUE(there("e"));
}

GUEST_TEST(symlinks_are_moved_themselves)
{
	char target[32] = "";

	guest_write_file(guest_path("f"), "F", 0644);
	ASSERT_OK(symlink("f", guest_path("l")));
	EXPECT_OK(mv("l", "m"));
	EXPECT_EQ(readlink(guest_path("m"), target, sizeof(target)), 1);
	guest_write_file(guest_path("g"), "G", 0644);
	EXPECT_OK(mv("g", "m")); /* the link is replaced, not its target */
	has("m", "G");
	has("f", "F");
}

GUEST_TEST(noreplace)
{
	guest_write_file(guest_path("a"), "A", 0644);
	guest_write_file(guest_path("b"), "B", 0644);
	EXPECT_ERRNO(
		renameat2(AT_FDCWD, guest_path("a"), AT_FDCWD, guest_path("b"), RENAME_NOREPLACE),
		EEXIST);
	EXPECT_OK(
		renameat2(AT_FDCWD, guest_path("a"), AT_FDCWD, guest_path("c"), RENAME_NOREPLACE));
	has("b", "B");
	has("c", "A");
	EXPECT_ERRNO(renameat2(AT_FDCWD, guest_path("c"), AT_FDCWD, guest_path("d"), 0x100),
	             EINVAL);
	EXPECT_ERRNO(renameat2(AT_FDCWD, guest_path("c"), AT_FDCWD, guest_path("b"),
	                       RENAME_NOREPLACE | RENAME_EXCHANGE),
	             EINVAL);
}

GUEST_TEST(exchange)
{
	guest_write_file(guest_path("f"), "F", 0644);
	ASSERT_OK(mkdir(guest_path("d"), 0755));
	guest_write_file(guest_path("d/in"), "I", 0644);
	EXPECT_OK(renameat2(AT_FDCWD, guest_path("f"), AT_FDCWD, guest_path("d"), RENAME_EXCHANGE));
	MAYBE_SAVE();
	has("f/in", "I");
	has("d", "F");
	EXPECT_ERRNO(
		renameat2(AT_FDCWD, guest_path("d"), AT_FDCWD, guest_path("none"), RENAME_EXCHANGE),
		ENOENT);
}

GUEST_TEST(current_directory_moves_along)
{
	char cwd[4096];

	ASSERT_OK(mkdir(guest_path("d"), 0755));
	ASSERT_OK(chdir(guest_path("d")));
	EXPECT_OK(mv("d", "renamed"));
	EXPECT_TRUE(getcwd(cwd, sizeof(cwd)) != NULL);
	EXPECT_STREQ(strrchr(cwd, '/'), "/renamed");
	EXPECT_OK(close(open("here", O_CREAT | O_WRONLY, 0644)));
	EXPECT_TRUE(there("renamed/here"));
}

GUEST_TEST(sticky_directory)
{
	guest_write_file(guest_path("roots"), "", 0666);
	if (geteuid() != 0)
		SKIP("not root");
	ASSERT_OK(chmod(guest_tmp(), 01777));
	ASSERT_OK(setresgid(65534, 65534, 65534));
	ASSERT_OK(setresuid(65534, 65534, 65534));
	EXPECT_ERRNO(mv("roots", "x"), EPERM);
	EXPECT_ERRNO(unlink(guest_path("roots")), EPERM);
	guest_write_file(guest_path("mine"), "", 0644);
	EXPECT_ERRNO(mv("mine", "roots"), EPERM);
	EXPECT_OK(mv("mine", "own"));
	EXPECT_OK(unlink(guest_path("own")));
}
