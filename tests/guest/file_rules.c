#include "tests/guest/guest_test.h"

#include <grp.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>

/* Small rules of files that programs seldom meet: each was once wrong in some kernel. */

static mode_t mode_of(const char *name)
{
	struct stat st = {0};

	EXPECT_OK(lstat(guest_path(name), &st));
	return st.st_mode & 07777;
}

static void need_root(void)
{
	if (geteuid() != 0)
		SKIP("not root");
	ASSERT_OK(setgroups(0, NULL));
	ASSERT_OK(chmod(guest_tmp(), 0755));
}

/* Who is not in a file's group cannot give it that group's powers, be it a directory. */
static void set_gid_elsewhere(void *arg)
{
	ASSERT_OK(setresgid(1000, 1000, 1000));
	ASSERT_OK(setresuid(1000, 1000, 1000));
	umask(0);
	EXPECT_OK(chmod(guest_path("d"), 02777));
	EXPECT_EQ(mode_of("d"), 0777);
	EXPECT_OK(close(open(guest_path("s/x"), O_CREAT | O_WRONLY, 02775)));
	EXPECT_EQ(mode_of("s/x"), 0775);
	EXPECT_OK(close(open(guest_path("s/y"), O_CREAT | O_WRONLY, 02764)));
	EXPECT_EQ(mode_of("s/y"), 02764);
	EXPECT_OK(mkdir(guest_path("s/d"), 0775));
	EXPECT_EQ(mode_of("s/d"), 02775);
}

GUEST_TEST(set_gid)
{
	need_root();
	ASSERT_OK(mkdir(guest_path("d"), 0777));
	ASSERT_OK(chown(guest_path("d"), 1000, 4000));
	ASSERT_OK(mkdir(guest_path("s"), 0777));
	ASSERT_OK(chown(guest_path("s"), 1000, 4000));
	ASSERT_OK(chmod(guest_path("s"), 02777));
	EXPECT_EQ(guest_in_child(set_gid_elsewhere, NULL), 0);
}

/* A write into a hole fills the pages that it touches and no others. */
GUEST_TEST(holes)
{
	int fd = open(guest_path("sparse"), O_CREAT | O_RDWR, 0600);
	struct stat st;

	ASSERT_OK(fd);
	ASSERT_OK(ftruncate(fd, 10ll << 30));
	ASSERT_EQ(pwrite(fd, "x", 1, 5ll << 30), 1);
	MAYBE_SAVE();
	ASSERT_OK(fstat(fd, &st));
	EXPECT_EQ(st.st_size, 10ll << 30);
	EXPECT_LE(st.st_blocks, 128);
	if (lseek(fd, 0, SEEK_HOLE) == 0) { /* others see no holes */
		EXPECT_EQ(lseek(fd, 0, SEEK_DATA), 5ll << 30);
		EXPECT_LE(lseek(fd, 5ll << 30, SEEK_HOLE), (5ll << 30) + 65536);
	}
	EXPECT_EQ(lseek(fd, INT64_MAX, SEEK_END), -1);
	EXPECT_EQ(errno, EINVAL);
	close(fd);
}

GUEST_TEST(no_positions)
{
	int p[2];
	char b[2] = "x";

	ASSERT_OK(pipe(p));
	EXPECT_ERRNO(pread(p[1], b, 1, 0), ESPIPE);
	EXPECT_ERRNO(pwrite(p[0], b, 1, 0), ESPIPE);
	EXPECT_ERRNO(fsync(p[0]), EINVAL);
	EXPECT_ERRNO(sync_file_range(p[0], 0, 1, 0), ESPIPE);
	close(p[0]);
	close(p[1]);
}

/* Access mode 3 checks for both and gives neither. */
GUEST_TEST(access_mode_three)
{
	char b;
	int fd;

	guest_write_file(guest_path("f"), "text", 0644);
	fd = open(guest_path("f"), 3);
	ASSERT_OK(fd);
	EXPECT_ERRNO(read(fd, &b, 1), EBADF);
	EXPECT_ERRNO(write(fd, &b, 1), EBADF);
	close(fd);
}

/* The end of a pipe that is opened once more waits for nobody. */
GUEST_TEST(pipe_again)
{
	char path[64], b[4] = "";
	int p[2], fd;

	ASSERT_OK(pipe(p));
	ASSERT_EQ(write(p[1], "abc", 3), 3);
	ASSERT_OK(close(p[1]));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p[0]);
	fd = open(path, O_RDONLY);
	ASSERT_OK(fd);
	MAYBE_SAVE();
	EXPECT_EQ(read(fd, b, 3), 3);
	EXPECT_STREQ(b, "abc");
	EXPECT_EQ(read(fd, b, 3), 0);
	close(fd);
	close(p[0]);
}

/* What a splice took out of a pipe and could not write is in the pipe again. */
GUEST_TEST(splice_back)
{
	int p[2], fd = open(guest_path("f"), O_CREAT | O_RDWR, 0600);
	struct rlimit lim = {4096, 4096};
	char b[6] = "";

	ASSERT_OK(fd);
	ASSERT_OK(pipe(p));
	ASSERT_EQ(write(p[1], "hello", 5), 5);
	signal(SIGXFSZ, SIG_IGN);
	ASSERT_OK(ftruncate(fd, 4096));
	ASSERT_OK(lseek(fd, 0, SEEK_END));
	ASSERT_OK(setrlimit(RLIMIT_FSIZE, &lim));
	EXPECT_ERRNO(splice(p[0], NULL, fd, NULL, 5, 0), EFBIG);
	MAYBE_SAVE();
	EXPECT_EQ(read(p[0], b, 5), 5);
	EXPECT_STREQ(b, "hello");
}

/* vmsplice fills what there is and comes back. */
GUEST_TEST(vmsplice_some)
{
	static char data[256 * 1024];
	struct iovec v = {data, sizeof(data)};
	ssize_t n;
	int p[2], left;

	ASSERT_OK(pipe(p));
	n = vmsplice(p[1], &v, 1, 0);
	EXPECT_GE(n, 1);
	EXPECT_LE(n, 65536);
	ASSERT_OK(ioctl(p[0], FIONREAD, &left));
	EXPECT_EQ(left, n);
}

/* A program that runs cannot be written, nor cut short. */
GUEST_TEST(text_busy)
{
	/* Who may not write it at all is told that. */
	int why = access("/proc/self/exe", W_OK) == 0 ? ETXTBSY : EACCES;

	EXPECT_ERRNO(open("/proc/self/exe", O_WRONLY), why);
	MAYBE_SAVE();
	EXPECT_ERRNO(open("/proc/self/exe", O_RDWR), why);
	EXPECT_ERRNO(truncate("/proc/self/exe", 0), why);
}

/* Of several locks in the way, the first is told. */
static void look_at_locks(void *arg)
{
	struct flock fl = {.l_type = F_WRLCK, .l_start = 0, .l_len = 0};
	int fd = *(int *)arg;

	ASSERT_OK(fcntl(fd, F_GETLK, &fl));
	EXPECT_EQ(fl.l_type, F_RDLCK);
	EXPECT_EQ(fl.l_start, 2);
	EXPECT_EQ(fl.l_len, 3);
	EXPECT_EQ(fl.l_pid, getppid());
}

GUEST_TEST(first_lock)
{
	struct flock late = {.l_type = F_WRLCK, .l_start = 20, .l_len = 5};
	struct flock early = {.l_type = F_RDLCK, .l_start = 2, .l_len = 3};
	int fd = open(guest_path("f"), O_CREAT | O_RDWR, 0600);

	ASSERT_OK(fcntl(fd, F_SETLK, &late));
	ASSERT_OK(fcntl(fd, F_SETLK, &early));
	MAYBE_SAVE();
	EXPECT_EQ(guest_in_child(look_at_locks, &fd), 0);
	close(fd);
}

/* A listing that does not fit into readable memory ends with what did. */
GUEST_TEST(listing_at_the_edge)
{
	char *map = guest_map(2 * GUEST_PAGE, 0), big[4096];
	int fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY);
	long first, n, total;

	ASSERT_OK(fd);
	ASSERT_OK(mprotect(map + GUEST_PAGE, GUEST_PAGE, PROT_NONE));
	total = syscall(SYS_getdents64, fd, big, sizeof(big));
	ASSERT_OK(total);
	first = *(unsigned short *)(big + 16);
	ASSERT_OK(lseek(fd, 0, SEEK_SET));
	n = syscall(SYS_getdents64, fd, map + GUEST_PAGE - first - 2, 4096);
	EXPECT_EQ(n, first);
	n = syscall(SYS_getdents64, fd, big, sizeof(big));
	EXPECT_EQ(n, total - first);
	ASSERT_OK(lseek(fd, 0, SEEK_SET));
	EXPECT_ERRNO(syscall(SYS_getdents64, fd, map + GUEST_PAGE, 1u << 31), EINVAL);
	close(fd);
}

/* ---- mounts; a namespace of its own leaves others alone ---- */

static void own_mounts(void *arg)
{
	struct statfs st;
	char cwd[256];

	ASSERT_OK(unshare(CLONE_NEWNS));
	ASSERT_OK(mount("", "/", "", MS_REC | MS_PRIVATE, NULL));
	EXPECT_ERRNO(mount("", "/", "", MS_SHARED | MS_PRIVATE, NULL), EINVAL);
	ASSERT_OK(mount("t", guest_path("m"), "tmpfs", MS_NOSUID | 256 /* NOSYMFOLLOW */, NULL));
	ASSERT_OK(statfs(guest_path("m"), &st));
	EXPECT_TRUE(st.f_flags & 0x1000); /* relatime */
	EXPECT_TRUE(st.f_flags & 0x2);
	ASSERT_OK(symlink("x", guest_path("m/link")));
	guest_write_file(guest_path("m/x"), "", 0644);
	EXPECT_ERRNO(open(guest_path("m/link"), O_RDONLY), ELOOP);
	ASSERT_OK(mount("", guest_path("m"), "", MS_REMOUNT | MS_STRICTATIME, NULL));
	ASSERT_OK(statfs(guest_path("m"), &st));
	EXPECT_FALSE(st.f_flags & 0x1000);
	/* As container runtimes change their root. */
	MAYBE_SAVE();
	ASSERT_OK(chdir(guest_path("m")));
	ASSERT_OK(syscall(SYS_pivot_root, ".", "."));
	ASSERT_OK(umount2(".", MNT_DETACH));
	MAYBE_SAVE();
	EXPECT_OK(access("/x", F_OK));
	EXPECT_ERRNO(access("/proc", F_OK), ENOENT);
	ASSERT_TRUE(getcwd(cwd, sizeof(cwd)));
	EXPECT_STREQ(cwd, "/");
}

GUEST_TEST(mounts)
{
	need_root();
	ASSERT_OK(mkdir(guest_path("m"), 0755));
	guest_write_file(guest_path("m/under"), "", 0644);
	if (guest_in_child(own_mounts, NULL) != 0) {
		if (unshare(CLONE_NEWNS) < 0)
			SKIP("may not have own mounts");
		guest_fail(__FILE__, __LINE__, "mounts in a namespace");
	}
	EXPECT_OK(access(guest_path("m/under"), F_OK));
	EXPECT_ERRNO(access(guest_path("m/x"), F_OK), ENOENT);
}

GUEST_TEST(small_file_systems_hold_many_empty_files)
{
	const char *path;
	char name[256];

	if (geteuid() != 0)
		SKIP("needs root");
	ASSERT_EQ(unshare(CLONE_NEWNS), 0);
	ASSERT_EQ(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	path = guest_path("small");
	ASSERT_EQ(mkdir(path, 0755), 0);
	ASSERT_EQ(mount("small", path, "tmpfs", 0, "size=4k"), 0);
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "%s/%d", path, i);
		close(ASSERT_OK(open(name, O_CREAT | O_WRONLY, 0600)));
	}
	ASSERT_EQ(umount2(path, MNT_DETACH), 0);
}

/* Where two things are wrong, which of them is told. */
GUEST_TEST(first_things_first)
{
	struct timespec bad[2] = {{1, 1000000000}, {1, 0}};
	const char *path = guest_path("f");
	int in, out, none;
	off_t at = -1;

	guest_write_file(path, "content", 0644);
	in = ASSERT_OK(open(path, O_RDONLY));
	out = ASSERT_OK(open(path, O_WRONLY));
	none = ASSERT_OK(open(path, O_ACCMODE));
	EXPECT_ERRNO(utimensat(AT_FDCWD, guest_path("missing"), bad, 0), ENOENT);
	EXPECT_ERRNO(utimensat(AT_FDCWD, path, bad, 0), EINVAL);
	EXPECT_ERRNO(futimens(-1, bad), EBADF);
	EXPECT_ERRNO(fallocate(in, 0, 0, 0), EINVAL);
	EXPECT_ERRNO(fallocate(in, 0, 0, 1), EBADF);
	EXPECT_ERRNO(fcntl(in, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
	EXPECT_ERRNO(sendfile(-1, in, &at, 1), EINVAL);
	EXPECT_ERRNO(sendfile(-1, out, NULL, 1), EBADF);
	EXPECT_ERRNO(copy_file_range(AT_FDCWD, NULL, in, NULL, 1, 0), EBADF);
	MAYBE_SAVE();
	EXPECT_ERRNO(flock(none, LOCK_EX | LOCK_NB), EBADF);
	EXPECT_OK(flock(none, LOCK_UN));
	EXPECT_OK(flock(in, LOCK_EX | LOCK_NB));
	EXPECT_ERRNO(setxattr(path, "nothing", "", 0, 0), EOPNOTSUPP);
	EXPECT_ERRNO(setxattr(path, "user.", "", 0, 0), EINVAL);
}

/* Positions, and transfers of nothing: what is told by the file and what before it is looked at. */
GUEST_TEST(asked_for_nothing)
{
	struct iovec none = {NULL, 0};
	struct statfs sf;
	int p[2], dir, m, e;
	loff_t at = 1;
	char c;

	dir = ASSERT_OK(open(guest_tmp(), O_RDONLY | O_DIRECTORY));
	m = ASSERT_OK(memfd_create("m", 0));
	e = ASSERT_OK(eventfd(1, EFD_NONBLOCK));
	ASSERT_OK(pipe(p));
	EXPECT_EQ(readv(dir, &none, 0), 0);
	EXPECT_EQ(readv(e, &none, 1), 0);
	EXPECT_ERRNO(read(dir, &c, 0), EISDIR);
	EXPECT_ERRNO(lseek(p[0], 0, 9), EINVAL);
	EXPECT_ERRNO(lseek(e, 0, 9), EINVAL);
	EXPECT_ERRNO(fallocate(p[0], FALLOC_FL_PUNCH_HOLE, 0, 1), EOPNOTSUPP);
	EXPECT_ERRNO(fallocate(p[1], 0, 0, 1), ESPIPE);
	EXPECT_ERRNO(splice(p[1], &at, m, NULL, 1, 0), ESPIPE);
	EXPECT_EQ(posix_fadvise(e, 0, 0, POSIX_FADV_DONTNEED), 0);
	EXPECT_EQ(posix_fadvise(p[0], 0, 0, POSIX_FADV_DONTNEED), ESPIPE);
	MAYBE_SAVE();
	EXPECT_OK(fsync(m));
	EXPECT_OK(sync_file_range(m, 0, 0, SYNC_FILE_RANGE_WRITE));
	EXPECT_OK(fstatfs(m, &sf));
	EXPECT_EQ(sf.f_type, TMPFS_MAGIC);
	/* An empty name is the file itself, whether there is a path to it or not. */
	EXPECT_OK(syscall(SYS_faccessat2, m, "", R_OK | W_OK, AT_EMPTY_PATH));
	EXPECT_OK(syscall(SYS_faccessat2, p[0], "", F_OK, AT_EMPTY_PATH));
	EXPECT_ERRNO(syscall(SYS_faccessat2, p[0], "", F_OK, 0), ENOENT);
	EXPECT_ERRNO(readlinkat(p[0], "", &c, 1), ENOENT);
	EXPECT_ERRNO(readlinkat(dir, "", &c, 1), ENOENT);
	/* No signals come from it, so none are asked for. */
	EXPECT_OK(fcntl(m, F_SETFL, O_ASYNC));
	EXPECT_EQ(fcntl(m, F_GETFL) & O_ASYNC, 0);
}
