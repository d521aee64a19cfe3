#include "tests/guest/guest_test.h"

#include <grp.h>

/* Path resolution: odd paths, limits, *at calls, permissions on the way. */

GUEST_TEST(slashes_and_dots)
{
	char path[4096];
	struct stat a, b;

	ASSERT_OK(mkdir(guest_path("d"), 0755));
	guest_write_file(guest_path("d/f"), "x", 0644);
	EXPECT_OK(stat(guest_path("d/f"), &a));
	EXPECT_OK(stat(guest_path("d//./../d/.//f"), &b));
	EXPECT_EQ(a.st_ino, b.st_ino);
	snprintf(path, sizeof(path), "/../..//%s/d/f", guest_tmp());
	EXPECT_OK(stat(path, &b));
	EXPECT_EQ(a.st_ino, b.st_ino);
	EXPECT_OK(stat(guest_path("d/"), &b));
	EXPECT_OK(stat(guest_path("d/."), &b));
	EXPECT_ERRNO(stat(guest_path("d/f/."), &b), ENOTDIR);
	EXPECT_ERRNO(stat(guest_path("d/f/.."), &b), ENOTDIR);
	EXPECT_ERRNO(stat(guest_path("none/.."), &b), ENOENT);
}

GUEST_TEST(name_limits)
{
	char name[300], path[5000];
	struct stat st;

	memset(name, 'n', sizeof(name));
	name[255] = 0;
	guest_write_file(guest_path(name), "", 0644);
	EXPECT_OK(stat(guest_path(name), &st));
	name[255] = 'n';
	name[256] = 0;
	EXPECT_ERRNO(open(guest_path(name), O_CREAT | O_WRONLY, 0644), ENAMETOOLONG);
	EXPECT_ERRNO(stat(guest_path(name), &st), ENAMETOOLONG);
	EXPECT_ERRNO(mkdir(guest_path(name), 0755), ENAMETOOLONG);
	memset(path, '/', sizeof(path));
	path[4095] = 0;
	EXPECT_OK(stat(path, &st));
	path[4095] = '/';
	path[4096] = 0;
	EXPECT_ERRNO(stat(path, &st), ENAMETOOLONG);
}

GUEST_TEST(odd_names)
{
	static const char *const names[] = {" ", "...", "-rf", "\xff\xfe", "new\nline", "*"};
	struct stat st;

	for (size_t i = 0; i < GUEST_COUNT(names); i++) {
		guest_write_file(guest_path(names[i]), "", 0644);
		EXPECT_OK(stat(guest_path(names[i]), &st));
		EXPECT_OK(unlink(guest_path(names[i])));
	}
}

GUEST_TEST(at_calls)
{
	char buf[16];
	struct stat st;
	int dir = ASSERT_OK(open(guest_tmp(), O_RDONLY | O_DIRECTORY)), fd;

	EXPECT_OK(mkdirat(dir, "d", 0755));
	fd = ASSERT_OK(openat(dir, "d/f", O_CREAT | O_RDWR, 0644));
	EXPECT_OK(linkat(dir, "d/f", dir, "g", 0));
	EXPECT_OK(symlinkat("g", dir, "l"));
	EXPECT_EQ(readlinkat(dir, "l", buf, sizeof(buf)), 1);
	EXPECT_OK(renameat(dir, "g", dir, "h"));
	MAYBE_SAVE();
	EXPECT_OK(fstatat(dir, "h", &st, 0));
	EXPECT_EQ(st.st_nlink, 2);
	EXPECT_OK(faccessat(dir, "h", R_OK, 0));
	EXPECT_OK(fchmodat(dir, "h", 0600, 0));
	EXPECT_OK(mknodat(dir, "fifo", S_IFIFO | 0644, 0));
	EXPECT_OK(unlinkat(dir, "h", 0));
	EXPECT_OK(unlinkat(dir, "d/f", 0));
	EXPECT_OK(unlinkat(dir, "d", AT_REMOVEDIR));
	EXPECT_ERRNO(openat(fd, "x", O_RDONLY), ENOTDIR);
	EXPECT_ERRNO(openat(777, "x", O_RDONLY), EBADF);
	EXPECT_OK(openat(777, "/", O_RDONLY));
	ASSERT_OK(fchdir(dir));
	EXPECT_OK(fstatat(AT_FDCWD, "l", &st, AT_SYMLINK_NOFOLLOW));
}

GUEST_TEST(descriptor_of_a_moved_directory)
{
	int dir;

	ASSERT_OK(mkdir(guest_path("a"), 0755));
	dir = ASSERT_OK(open(guest_path("a"), O_RDONLY | O_DIRECTORY));
	ASSERT_OK(rename(guest_path("a"), guest_path("b")));
	MAYBE_SAVE();
	close(ASSERT_OK(openat(dir, "in", O_CREAT | O_WRONLY, 0644)));
	EXPECT_OK(access(guest_path("b/in"), F_OK));
}

GUEST_TEST(permissions)
{
	char c;
	int fd;

	guest_drop_root();
	guest_write_file(guest_path("none"), "x", 0);
	guest_write_file(guest_path("w"), "x", 0200);
	guest_write_file(guest_path("r"), "x", 0400);
	EXPECT_ERRNO(open(guest_path("none"), O_RDONLY), EACCES);
	EXPECT_ERRNO(open(guest_path("w"), O_RDONLY), EACCES);
	EXPECT_ERRNO(open(guest_path("r"), O_WRONLY), EACCES);
	EXPECT_ERRNO(open(guest_path("r"), O_RDWR), EACCES);
	EXPECT_ERRNO(open(guest_path("r"), O_RDONLY | O_TRUNC), EACCES);
	EXPECT_OK(open(guest_path("w"), O_WRONLY));
	fd = ASSERT_OK(open(guest_path("r"), O_RDONLY));
	/* What is open stays open. */
	ASSERT_OK(chmod(guest_path("r"), 0));
	MAYBE_SAVE();
	EXPECT_EQ(read(fd, &c, 1), 1);
}

GUEST_TEST(directory_permissions)
{
	struct stat st;

	guest_drop_root();
	ASSERT_OK(mkdir(guest_path("d"), 0755));
	guest_write_file(guest_path("d/f"), "x", 0644);
	ASSERT_OK(chmod(guest_path("d"), 0600)); /* no search */
	EXPECT_ERRNO(stat(guest_path("d/f"), &st), EACCES);
	EXPECT_ERRNO(open(guest_path("d/f"), O_RDONLY), EACCES);
	EXPECT_ERRNO(chdir(guest_path("d")), EACCES);
	EXPECT_OK(open(guest_path("d"), O_RDONLY));
	ASSERT_OK(chmod(guest_path("d"), 0100)); /* search only */
	EXPECT_OK(open(guest_path("d/f"), O_RDONLY));
	EXPECT_ERRNO(open(guest_path("d"), O_RDONLY), EACCES);
	EXPECT_ERRNO(unlink(guest_path("d/f")), EACCES);
	EXPECT_ERRNO(open(guest_path("d/new"), O_CREAT | O_WRONLY, 0644), EACCES);
	ASSERT_OK(chmod(guest_path("d"), 0500));
	EXPECT_ERRNO(mkdir(guest_path("d/e"), 0755), EACCES);
	EXPECT_ERRNO(rename(guest_path("d/f"), guest_path("f")), EACCES);
	EXPECT_ERRNO(symlink("x", guest_path("d/l")), EACCES);
	ASSERT_OK(chmod(guest_path("d"), 0300));
	EXPECT_OK(unlink(guest_path("d/f")));
}

GUEST_TEST(owner_group_other)
{
	gid_t g = 500;

	if (geteuid() != 0)
		SKIP("not root");
	ASSERT_OK(chmod(guest_tmp(), 0755));
	guest_write_file(guest_path("f"), "x", 0);
	ASSERT_OK(chown(guest_path("f"), 1000, 500));
	ASSERT_OK(chmod(guest_path("f"), 0077));
	ASSERT_OK(setgroups(1, &g));
	ASSERT_OK(setresuid(1000, 1000, 0));
	EXPECT_ERRNO(open(guest_path("f"), O_RDONLY), EACCES); /* the owner's bits decide */
	ASSERT_OK(setresuid(0, 0, 0));
	ASSERT_OK(setresuid(1001, 1001, 0));
	EXPECT_OK(open(guest_path("f"), O_RDONLY));
	ASSERT_OK(setresuid(0, 0, 0));
	ASSERT_OK(chmod(guest_path("f"), 0707));
	ASSERT_OK(setresuid(1001, 1001, 0));
	EXPECT_ERRNO(open(guest_path("f"), O_RDONLY), EACCES); /* the group's bits decide */
}

GUEST_TEST(access_call)
{
	guest_write_file(guest_path("f"), "", 0644);
	EXPECT_OK(access(guest_path("f"), F_OK));
	EXPECT_OK(access(guest_path("f"), R_OK | W_OK));
	EXPECT_ERRNO(access(guest_path("f"), X_OK), EACCES);
	EXPECT_OK(access(guest_tmp(), X_OK));
	EXPECT_ERRNO(access(guest_path("none"), F_OK), ENOENT);
	EXPECT_ERRNO(access(guest_path("f"), 8), EINVAL);
	EXPECT_ERRNO(faccessat(AT_FDCWD, guest_path("f"), R_OK, 0x8000), EINVAL);
	ASSERT_OK(symlink("none", guest_path("l")));
	EXPECT_ERRNO(access(guest_path("l"), F_OK), ENOENT);
	EXPECT_OK(syscall(SYS_faccessat2, AT_FDCWD, guest_path("l"), F_OK, AT_SYMLINK_NOFOLLOW));
	guest_drop_root();
	EXPECT_ERRNO(access("/", W_OK), EACCES);
}

GUEST_TEST(access_uses_the_real_ids)
{
	if (geteuid() != 0)
		SKIP("not root");
	ASSERT_OK(chmod(guest_tmp(), 0755));
	guest_write_file(guest_path("f"), "", 0600);
	ASSERT_OK(setresuid(1000, 0, 0));
	EXPECT_ERRNO(access(guest_path("f"), R_OK), EACCES);
	EXPECT_OK(syscall(SYS_faccessat2, AT_FDCWD, guest_path("f"), R_OK, AT_EACCESS));
	EXPECT_OK(open(guest_path("f"), O_RDONLY));
}

GUEST_TEST(chroot_call)
{
	char cwd[64];

	if (geteuid() != 0)
		SKIP("not root");
	ASSERT_OK(mkdir(guest_path("d"), 0755));
	guest_write_file(guest_path("d/f"), "in", 0644);
	guest_write_file(guest_path("out"), "", 0644);
	ASSERT_OK(chroot(guest_path("d")));
	ASSERT_OK(chdir("/"));
	EXPECT_STREQ(getcwd(cwd, sizeof(cwd)), "/");
	MAYBE_SAVE();
	EXPECT_OK(access("/f", F_OK));
	EXPECT_OK(access("/../f", F_OK));
	EXPECT_ERRNO(access("/../out", F_OK), ENOENT);
}
