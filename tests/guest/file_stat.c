#include "tests/guest/guest_test.h"

#include <sys/sysmacros.h>

/* stat, fstatat, statx; chmod, chown, utimensat. */

GUEST_TEST(all_forms_agree)
{
	struct stat a, b, c, d;
	struct statx x;
	int fd, dir = ASSERT_OK(open(guest_tmp(), O_RDONLY | O_DIRECTORY));

	guest_write_file(guest_path("f"), "12345", 0640);
	fd = ASSERT_OK(open(guest_path("f"), O_RDONLY));
	EXPECT_OK(stat(guest_path("f"), &a));
	EXPECT_OK(fstat(fd, &b));
	EXPECT_OK(fstatat(dir, "f", &c, 0));
	EXPECT_OK(fstatat(fd, "", &d, AT_EMPTY_PATH));
	MAYBE_SAVE();
	EXPECT_EQ(a.st_ino, b.st_ino);
	EXPECT_EQ(a.st_ino, c.st_ino);
	EXPECT_EQ(a.st_ino, d.st_ino);
	EXPECT_EQ(a.st_dev, b.st_dev);
	EXPECT_EQ(a.st_size, 5);
	EXPECT_EQ(a.st_mode, S_IFREG | 0640);
	EXPECT_EQ(a.st_nlink, 1);
	EXPECT_EQ(a.st_uid, geteuid());
	EXPECT_GT(a.st_blksize, 0);
	EXPECT_OK(statx(dir, "f", 0, STATX_BASIC_STATS, &x));
	EXPECT_EQ(x.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
	EXPECT_EQ(x.stx_ino, a.st_ino);
	EXPECT_EQ(x.stx_size, 5);
	EXPECT_EQ(x.stx_mode, S_IFREG | 0640);
	EXPECT_EQ(x.stx_nlink, 1);
	EXPECT_EQ(makedev(x.stx_dev_major, x.stx_dev_minor), a.st_dev);
	EXPECT_EQ(x.stx_mtime.tv_sec, a.st_mtim.tv_sec);
	EXPECT_EQ(x.stx_mtime.tv_nsec, a.st_mtim.tv_nsec);
	EXPECT_OK(statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &x));
	EXPECT_TRUE(x.stx_mask & STATX_SIZE);
	EXPECT_OK(fstat(fd, &b));
	EXPECT_EQ(a.st_ino, b.st_ino);
}

GUEST_TEST(errors)
{
	struct stat st;
	struct statx x;

	EXPECT_ERRNO(stat("", &st), ENOENT);
	EXPECT_ERRNO(stat("/does/not/exist", &st), ENOENT);
	EXPECT_ERRNO(fstat(777, &st), EBADF);
	EXPECT_ERRNO(fstatat(777, "x", &st, 0), EBADF);
	EXPECT_OK(fstatat(777, "/", &st, 0));
	EXPECT_ERRNO(fstatat(AT_FDCWD, "/", &st, 0x40000), EINVAL);
	EXPECT_ERRNO(statx(AT_FDCWD, "/", 0, 0x80000000, &x), EINVAL);
	EXPECT_ERRNO(statx(AT_FDCWD, "/", AT_STATX_SYNC_TYPE, 0, &x), EINVAL);
}

GUEST_TEST(special_files)
{
	struct stat st;
	int fds[2];

	EXPECT_OK(stat("/dev/null", &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(st.st_rdev, makedev(1, 3));
	EXPECT_OK(stat("/dev/zero", &st));
	EXPECT_EQ(st.st_rdev, makedev(1, 5));
	ASSERT_OK(pipe(fds));
	EXPECT_OK(fstat(fds[0], &st));
	EXPECT_TRUE(S_ISFIFO(st.st_mode));
	ASSERT_OK(symlink("gone", guest_path("l")));
	EXPECT_OK(lstat(guest_path("l"), &st));
	EXPECT_TRUE(S_ISLNK(st.st_mode));
	EXPECT_ERRNO(stat(guest_path("l"), &st), ENOENT);
	EXPECT_OK(fstatat(AT_FDCWD, guest_path("l"), &st, AT_SYMLINK_NOFOLLOW));
}

static mode_t mode_of(const char *name)
{
	struct stat st;

	return stat(guest_path(name), &st) < 0 ? 0 : st.st_mode & 07777;
}

GUEST_TEST(chmod_forms)
{
	int fd;

	guest_write_file(guest_path("f"), "", 0600);
	EXPECT_OK(chmod(guest_path("f"), 0751));
	EXPECT_EQ(mode_of("f"), 0751);
	fd = ASSERT_OK(open(guest_path("f"), O_RDONLY));
	EXPECT_OK(fchmod(fd, 04711));
	MAYBE_SAVE();
	EXPECT_EQ(mode_of("f"), 04711);
	EXPECT_OK(fchmodat(AT_FDCWD, guest_path("f"), 0, 0));
	EXPECT_EQ(mode_of("f"), 0);
	EXPECT_ERRNO(chmod(guest_path("none"), 0), ENOENT);
	EXPECT_ERRNO(fchmod(777, 0), EBADF);
	/* Through a symlink. */
	ASSERT_OK(symlink("f", guest_path("l")));
	EXPECT_OK(chmod(guest_path("l"), 0644));
	EXPECT_EQ(mode_of("f"), 0644);
}

GUEST_TEST(chown_forms)
{
	struct stat st;
	int fd;

	if (geteuid() != 0)
		SKIP("not root");
	guest_write_file(guest_path("f"), "", 06755);
	ASSERT_OK(chmod(guest_path("f"), 06755));
	fd = ASSERT_OK(open(guest_path("f"), O_RDONLY));
	EXPECT_OK(chown(guest_path("f"), 10, 20));
	EXPECT_OK(fstat(fd, &st));
	EXPECT_EQ(st.st_uid, 10);
	EXPECT_EQ(st.st_gid, 20);
	EXPECT_EQ(st.st_mode & 07777, 0755); /* set-id bits are dropped */
	EXPECT_OK(fchown(fd, (uid_t)-1, 30));
	MAYBE_SAVE();
	EXPECT_OK(fstat(fd, &st));
	EXPECT_EQ(st.st_uid, 10);
	EXPECT_EQ(st.st_gid, 30);
	ASSERT_OK(symlink("f", guest_path("l")));
	EXPECT_OK(lchown(guest_path("l"), 40, 50));
	EXPECT_OK(lstat(guest_path("l"), &st));
	EXPECT_EQ(st.st_uid, 40);
	EXPECT_OK(stat(guest_path("l"), &st));
	EXPECT_EQ(st.st_uid, 10);
	EXPECT_OK(fchownat(fd, "", 60, 70, AT_EMPTY_PATH));
	EXPECT_OK(fstat(fd, &st));
	EXPECT_EQ(st.st_gid, 70);
}

GUEST_TEST(chmod_rules_for_users)
{
	if (geteuid() != 0)
		SKIP("not root");
	guest_write_file(guest_path("roots"), "", 0666);
	guest_drop_root();
	guest_write_file(guest_path("mine"), "", 0644);
	EXPECT_ERRNO(chmod(guest_path("roots"), 0600), EPERM);
	EXPECT_OK(chmod(guest_path("mine"), 0600));
	EXPECT_OK(chown(guest_path("mine"), (uid_t)-1, 65534));
	EXPECT_OK(chown(guest_path("mine"), 65534, 65534));
	EXPECT_ERRNO(chown(guest_path("mine"), 0, (gid_t)-1), EPERM);
	EXPECT_ERRNO(chown(guest_path("mine"), (uid_t)-1, 0), EPERM);
}

GUEST_TEST(umask_applies)
{
	umask(027);
	close(ASSERT_OK(open(guest_path("f"), O_CREAT | O_WRONLY, 0666)));
	ASSERT_OK(mkdir(guest_path("d"), 0777));
	ASSERT_OK(mkfifo(guest_path("p"), 0666));
	MAYBE_SAVE();
	EXPECT_EQ(mode_of("f"), 0640);
	EXPECT_EQ(mode_of("d"), 0750);
	EXPECT_EQ(mode_of("p"), 0640);
	EXPECT_EQ(umask(0777777), 027);
	EXPECT_EQ(umask(022), 0777);
}

GUEST_TEST(setgid_directory)
{
	struct stat st;

	if (geteuid() != 0)
		SKIP("not root");
	ASSERT_OK(mkdir(guest_path("d"), 0755));
	ASSERT_OK(chown(guest_path("d"), 0, 77));
	ASSERT_OK(chmod(guest_path("d"), 02755));
	close(ASSERT_OK(open(guest_path("d/f"), O_CREAT | O_WRONLY, 0644)));
	EXPECT_OK(stat(guest_path("d/f"), &st));
	EXPECT_EQ(st.st_gid, 77);
	ASSERT_OK(mkdir(guest_path("d/e"), 0755));
	EXPECT_OK(stat(guest_path("d/e"), &st));
	EXPECT_EQ(st.st_gid, 77);
	EXPECT_EQ(st.st_mode & 07777, 02755);
}

GUEST_TEST(utimes)
{
	struct timespec ts[2] = {{1000000000, 123456789}, {1500000000, 987654321}};
	struct stat st, st2;
	int fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));

	EXPECT_OK(utimensat(AT_FDCWD, guest_path("f"), ts, 0));
	MAYBE_SAVE();
	EXPECT_OK(fstat(fd, &st));
	EXPECT_EQ(st.st_atim.tv_sec, 1000000000);
	EXPECT_EQ(st.st_atim.tv_nsec, 123456789);
	EXPECT_EQ(st.st_mtim.tv_sec, 1500000000);
	EXPECT_EQ(st.st_mtim.tv_nsec, 987654321);
	ts[0].tv_nsec = UTIME_OMIT;
	ts[1].tv_nsec = UTIME_NOW;
	EXPECT_OK(futimens(fd, ts));
	EXPECT_OK(fstat(fd, &st2));
	EXPECT_EQ(st2.st_atim.tv_sec, 1000000000);
	EXPECT_GT(st2.st_mtim.tv_sec, 1500000000);
	ts[0].tv_nsec = 1000000000;
	EXPECT_ERRNO(futimens(fd, ts), EINVAL);
	ts[0].tv_nsec = 0;
	ts[1].tv_nsec = 0;
	ASSERT_OK(symlink("f", guest_path("l")));
	EXPECT_OK(utimensat(AT_FDCWD, guest_path("l"), ts, AT_SYMLINK_NOFOLLOW));
	EXPECT_OK(lstat(guest_path("l"), &st));
	EXPECT_EQ(st.st_mtim.tv_sec, 1500000000);
	EXPECT_ERRNO(utimensat(AT_FDCWD, guest_path("none"), ts, 0), ENOENT);
	EXPECT_OK(utimensat(AT_FDCWD, guest_path("f"), NULL, 0));
}

static bool later(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

GUEST_TEST(times_move)
{
	struct timespec old[2] = {{1000, 0}, {1000, 0}};
	struct stat st, d;
	int fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));

	ASSERT_OK(futimens(fd, old));
	EXPECT_EQ(write(fd, "x", 1), 1);
	EXPECT_OK(fstat(fd, &st));
	EXPECT_GT(st.st_mtim.tv_sec, 1000);
	EXPECT_GT(st.st_ctim.tv_sec, 1000);
	EXPECT_EQ(st.st_atim.tv_sec, 1000);
	ASSERT_OK(futimens(fd, old));
	ASSERT_OK(ftruncate(fd, 100));
	EXPECT_OK(fstat(fd, &st));
	EXPECT_GT(st.st_mtim.tv_sec, 1000);
	ASSERT_OK(utimensat(AT_FDCWD, guest_tmp(), old, 0));
	ASSERT_OK(stat(guest_tmp(), &d));
	EXPECT_EQ(d.st_mtim.tv_sec, 1000);
	guest_write_file(guest_path("new"), "", 0644);
	ASSERT_OK(stat(guest_tmp(), &d));
	EXPECT_GT(d.st_mtim.tv_sec, 1000);
	st = d;
	guest_sleep_ms(20);
	ASSERT_OK(unlink(guest_path("new")));
	ASSERT_OK(stat(guest_tmp(), &d));
	EXPECT_TRUE(later(d.st_mtim, st.st_mtim));
}
