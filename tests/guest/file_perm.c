#include "tests/guest/guest_test.h"

#include <grp.h>

/* The whole matrix of permission bits against owner, group and others, and what root may. */

struct who {
	uid_t uid;
	gid_t gid;
	int shift; /* of the bits that count for a file of 1000:1000 */
};

static const struct who people[] = {
	{1000, 1000, 6}, {1000, 2000, 6}, {2000, 1000, 3}, {2000, 2000, 0}};

static void become(const struct who *w)
{
	ASSERT_OK(setresgid(w->gid, w->gid, 0));
	ASSERT_OK(setresuid(w->uid, w->uid, 0));
}

static void back(void)
{
	ASSERT_OK(setresuid(0, 0, 0));
	ASSERT_OK(setresgid(0, 0, 0));
}

static void need_root(void)
{
	if (geteuid() != 0)
		SKIP("not root");
	ASSERT_OK(setgroups(0, NULL));
	ASSERT_OK(chmod(guest_tmp(), 0755));
}

static void check_open(int flags, bool allowed)
{
	int fd = open(guest_path("f"), flags);

	if (allowed) {
		EXPECT_OK(fd);
	} else {
		EXPECT_EQ(fd, -1);
		EXPECT_EQ(errno, EACCES);
	}
	if (fd >= 0)
		close(fd);
}

GUEST_TEST(files)
{
	need_root();
	guest_write_file(guest_path("f"), "x", 0);
	ASSERT_OK(chown(guest_path("f"), 1000, 1000));
	for (mode_t mode = 0; mode < 01000; mode += 011) {
		ASSERT_OK(chmod(guest_path("f"), mode));
		for (size_t i = 0; i < GUEST_COUNT(people); i++) {
			int bits = (int)(mode >> people[i].shift) & 7;

			become(&people[i]);
			check_open(O_RDONLY, bits & 4);
			check_open(O_WRONLY, bits & 2);
			check_open(O_RDWR, (bits & 6) == 6);
			back();
		}
	}
}

GUEST_TEST(directories)
{
	struct stat st;

	need_root();
	ASSERT_OK(mkdir(guest_path("d"), 0755));
	guest_write_file(guest_path("d/f"), "x", 0644);
	ASSERT_OK(chown(guest_path("d"), 1000, 1000));
	for (mode_t bits = 0; bits < 8; bits++) {
		for (size_t i = 0; i < GUEST_COUNT(people); i++) {
			int fd;

			ASSERT_OK(chmod(guest_path("d"), bits << people[i].shift));
			become(&people[i]);
			EXPECT_EQ(stat(guest_path("d/f"), &st), bits & 1 ? 0 : -1);
			EXPECT_EQ(open(guest_path("d"), O_RDONLY) >= 0, (bits & 4) != 0);
			fd = open(guest_path("d/new"), O_CREAT | O_WRONLY, 0644);
			EXPECT_EQ(fd >= 0, (bits & 3) == 3);
			if (fd >= 0)
				EXPECT_OK(unlink(guest_path("d/new")));
			back();
		}
	}
}

GUEST_TEST(root_overrides)
{
	need_root();
	guest_write_file(guest_path("f"), "x", 0);
	EXPECT_OK(open(guest_path("f"), O_RDWR));
	EXPECT_OK(access(guest_path("f"), R_OK | W_OK));
	EXPECT_ERRNO(access(guest_path("f"), X_OK), EACCES);
	ASSERT_OK(chmod(guest_path("f"), 0001));
	EXPECT_OK(access(guest_path("f"), X_OK));
	ASSERT_OK(mkdir(guest_path("d"), 0));
	EXPECT_OK(access(guest_path("d"), R_OK | W_OK | X_OK));
	guest_write_file(guest_path("d/in"), "", 0644);
}

GUEST_TEST(set_id_bits_fall_on_write)
{
	struct stat st;
	int fd;

	need_root();
	guest_write_file(guest_path("f"), "x", 0777);
	ASSERT_OK(chown(guest_path("f"), 1000, 1000));
	ASSERT_OK(chmod(guest_path("f"), 06777));
	become(&people[3]);
	fd = ASSERT_OK(open(guest_path("f"), O_WRONLY));
	EXPECT_EQ(write(fd, "y", 1), 1);
	back();
	MAYBE_SAVE();
	ASSERT_OK(stat(guest_path("f"), &st));
	EXPECT_EQ(st.st_mode & 07777, 0777);
}

GUEST_TEST(setgid_needs_membership)
{
	struct stat st;

	need_root();
	guest_write_file(guest_path("f"), "x", 0755);
	ASSERT_OK(chown(guest_path("f"), 1000, 3000));
	become(&people[0]);
	EXPECT_OK(chmod(guest_path("f"), 02755)); /* not of that group: the bit is dropped */
	back();
	ASSERT_OK(stat(guest_path("f"), &st));
	EXPECT_EQ(st.st_mode & 07777, 0755);
}

GUEST_TEST(owner_rights)
{
	struct timespec ts[2] = {{1, 0}, {1, 0}};

	need_root();
	guest_write_file(guest_path("f"), "x", 0666);
	ASSERT_OK(chown(guest_path("f"), 1000, 1000));
	ASSERT_OK(chmod(guest_path("f"), 0666));
	become(&people[3]);
	EXPECT_ERRNO(chmod(guest_path("f"), 0600), EPERM);
	EXPECT_ERRNO(utimensat(AT_FDCWD, guest_path("f"), ts, 0), EPERM);
	EXPECT_OK(utimensat(AT_FDCWD, guest_path("f"), NULL, 0)); /* now: write access is enough */
	EXPECT_ERRNO(link(guest_path("f"), guest_path("g")), EACCES);
	back();
	become(&people[0]);
	EXPECT_OK(utimensat(AT_FDCWD, guest_path("f"), ts, 0));
	EXPECT_OK(chmod(guest_path("f"), 0444));
	EXPECT_ERRNO(open(guest_path("f"), O_WRONLY), EACCES);
}
