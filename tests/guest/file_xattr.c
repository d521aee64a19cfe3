#include "tests/guest/guest_test.h"

#include <limits.h>
#include <sys/xattr.h>

/* Extended attributes, where the file system has them. */

static void need_user_xattr(const char *f)
{
	guest_write_file(f, "x", 0644);
	if (setxattr(f, "user.probe", "1", 1, 0) < 0) {
		EXPECT_EQ(errno, EOPNOTSUPP);
		EXPECT_EQ(getxattr(f, "user.probe", NULL, 0), -1);
		EXPECT_TRUE(errno == EOPNOTSUPP || errno == ENODATA);
		SKIP("no user.* attributes here");
	}
	EXPECT_OK(removexattr(f, "user.probe"));
}

GUEST_TEST(errors_that_hold_everywhere)
{
	char buf[16];
	const char *f = guest_path("f");

	guest_write_file(f, "x", 0644);
	EXPECT_ERRNO(getxattr(guest_path("none"), "user.x", buf, 16), ENOENT);
	EXPECT_ERRNO(fgetxattr(777, "user.x", buf, 16), EBADF);
	EXPECT_ERRNO(setxattr(f, "", "1", 1, 0), ERANGE);
	EXPECT_ERRNO(setxattr(f, "user.x", "1", 1, 99), EINVAL);
	EXPECT_GE(listxattr(f, NULL, 0), 0);
}

/* The program's own file is on the host, also where new ones are not. */
GUEST_TEST(attribute_that_a_file_has_not)
{
	char exe[PATH_MAX] = "";

	ASSERT_OK(readlink("/proc/self/exe", exe, sizeof(exe) - 1));
	if (getxattr(exe, "user.none", NULL, 0) < 0 && errno == EOPNOTSUPP)
		SKIP("no attributes there");
	EXPECT_ERRNO(getxattr(exe, "security.none", NULL, 0), ENODATA);
	MAYBE_SAVE();
	EXPECT_ERRNO(getxattr(exe, "security.none", NULL, 0), ENODATA);
	EXPECT_ERRNO(getxattr(exe, "trusted.none", NULL, 0), ENODATA);
	EXPECT_ERRNO(getxattr(exe, "other.none", NULL, 0), EOPNOTSUPP);
}

GUEST_TEST(set_get_list_remove)
{
	char buf[64];
	const char *f = guest_path("f");
	int fd;

	need_user_xattr(f);
	EXPECT_OK(setxattr(f, "user.a", "alpha", 5, XATTR_CREATE));
	EXPECT_ERRNO(setxattr(f, "user.a", "x", 1, XATTR_CREATE), EEXIST);
	EXPECT_ERRNO(setxattr(f, "user.b", "x", 1, XATTR_REPLACE), ENODATA);
	EXPECT_OK(setxattr(f, "user.a", "beta", 4, XATTR_REPLACE));
	MAYBE_SAVE();
	EXPECT_EQ(getxattr(f, "user.a", buf, 64), 4);
	EXPECT_EQ(memcmp(buf, "beta", 4), 0);
	EXPECT_EQ(getxattr(f, "user.a", NULL, 0), 4);
	EXPECT_ERRNO(getxattr(f, "user.a", buf, 3), ERANGE);
	fd = ASSERT_OK(open(f, O_RDWR));
	EXPECT_OK(fsetxattr(fd, "user.empty", "", 0, 0));
	EXPECT_EQ(fgetxattr(fd, "user.empty", buf, 64), 0);
	EXPECT_GE(flistxattr(fd, buf, 64), 18);
	EXPECT_OK(fremovexattr(fd, "user.a"));
	EXPECT_ERRNO(getxattr(f, "user.a", buf, 64), ENODATA);
	EXPECT_ERRNO(removexattr(f, "user.a"), ENODATA);
}

/* A version 2 value: cap_net_raw, permitted and effective (linux/capability.h). */
static const unsigned char net_raw[20] = {1, 0, 0, 2, 0, 0x20};

static int trusted(const char *path)
{
	ASSERT_OK(setxattr(path, "security.capability", net_raw, sizeof(net_raw), 0));
	return (int)getxattr(path, "security.capability", NULL, 0);
}

GUEST_TEST(capabilities_end_with_the_content_or_the_owner)
{
	const char *path = guest_path("trusted");
	char buf[32];
	int fd = ASSERT_OK(open(path, O_CREAT | O_RDWR, 0755));

	if (geteuid() != 0)
		SKIP("an ordinary user trusts nobody");
	if (setxattr(path, "security.capability", net_raw, sizeof(net_raw), 0) < 0)
		SKIP("no such attributes here");
	MAYBE_SAVE();
	EXPECT_EQ(getxattr(path, "security.capability", buf, sizeof(buf)), sizeof(net_raw));
	EXPECT_EQ(memcmp(buf, net_raw, sizeof(net_raw)), 0);
	EXPECT_EQ(write(fd, "x", 1), 1);
	EXPECT_ERRNO(getxattr(path, "security.capability", buf, sizeof(buf)), ENODATA);
	EXPECT_TRUE(trusted(path) > 0);
	EXPECT_OK(ftruncate(fd, 100));
	EXPECT_ERRNO(getxattr(path, "security.capability", buf, sizeof(buf)), ENODATA);
	EXPECT_TRUE(trusted(path) > 0);
	EXPECT_OK(truncate(path, 10));
	EXPECT_ERRNO(getxattr(path, "security.capability", buf, sizeof(buf)), ENODATA);
	EXPECT_TRUE(trusted(path) > 0);
	EXPECT_OK(chown(path, 4711, 4711));
	EXPECT_ERRNO(getxattr(path, "security.capability", buf, sizeof(buf)), ENODATA);
	EXPECT_TRUE(trusted(path) > 0);
	close(ASSERT_OK(open(path, O_WRONLY | O_TRUNC)));
	EXPECT_ERRNO(getxattr(path, "security.capability", buf, sizeof(buf)), ENODATA);
	/* Reading and changing the mode leave them. */
	EXPECT_TRUE(trusted(path) > 0);
	EXPECT_OK(chmod(path, 0700));
	EXPECT_EQ(pread(fd, buf, 1, 0), 0);
	EXPECT_EQ(getxattr(path, "security.capability", buf, sizeof(buf)), sizeof(net_raw));
}
