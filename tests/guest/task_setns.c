/* Namespaces as files: their numbers, and entering those of others. */
#include "tests/guest/guest_test.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static ino_t number(pid_t pid, const char *kind)
{
	struct stat st = {0};
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, kind);
	EXPECT_EQ(stat(path, &st), 0);
	return st.st_ino;
}

static int open_ns(pid_t pid, const char *kind)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, kind);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static struct guest_gate ready, done;

/* A child in namespaces of its own, until the gate opens. */
static pid_t child_in(int flags, const char *host)
{
	pid_t pid;

	guest_gate_init(&ready);
	guest_gate_init(&done);
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_EQ(unshare(flags), 0);
		if (flags & CLONE_NEWUTS)
			EXPECT_EQ(sethostname(host, strlen(host)), 0);
		if (flags & CLONE_NEWNS) {
			EXPECT_EQ(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
			EXPECT_EQ(mount("theirs", "/tmp", "tmpfs", 0, NULL), 0);
			EXPECT_EQ(mkdir("/tmp/only-here", 0700), 0);
		}
		guest_gate_open(&ready);
		guest_gate_wait(&done);
		_exit(0);
	}
	guest_gate_wait(&ready);
	return pid;
}

static void end(pid_t pid)
{
	guest_gate_open(&done);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(numbers_tell_namespaces_apart)
{
	pid_t pid;

	if (geteuid() != 0)
		SKIP("needs root");
	pid = child_in(CLONE_NEWUTS, "other");
	MAYBE_SAVE();
	EXPECT_TRUE(number(pid, "uts") != number(getpid(), "uts"));
	EXPECT_EQ(number(pid, "mnt"), number(getpid(), "mnt"));
	EXPECT_EQ(number(pid, "pid"), number(getpid(), "pid"));
	end(pid);
	pid = child_in(CLONE_NEWNS, "");
	MAYBE_SAVE();
	EXPECT_EQ(number(pid, "uts"), number(getpid(), "uts"));
	EXPECT_TRUE(number(pid, "mnt") != number(getpid(), "mnt"));
	end(pid);
}

GUEST_TEST(links_name_them)
{
	char text[64] = "", expected[64];
	int fd = open_ns(getpid(), "uts");

	ASSERT_OK(fd);
	snprintf(expected, sizeof(expected), "uts:[%lu]", (unsigned long)number(getpid(), "uts"));
	EXPECT_TRUE(readlink("/proc/self/ns/uts", text, sizeof(text) - 1) > 0);
	EXPECT_EQ(strcmp(text, expected), 0);
	EXPECT_EQ(ioctl(fd, NS_GET_NSTYPE), CLONE_NEWUTS);
	EXPECT_EQ(ioctl(fd, _IO('x', 1)), -1);
	EXPECT_EQ(errno, ENOTTY);
}

GUEST_TEST(entering_names)
{
	char host[65], mine[65];
	pid_t pid;
	int fd, own;

	if (geteuid() != 0)
		SKIP("needs root");
	gethostname(mine, sizeof(mine));
	pid = child_in(CLONE_NEWUTS, "other");
	own = open_ns(getpid(), "uts");
	fd = open_ns(pid, "uts");
	ASSERT_OK(fd);
	EXPECT_EQ(setns(fd, CLONE_NEWNS), -1);
	EXPECT_EQ(errno, EINVAL);
	MAYBE_SAVE();
	EXPECT_EQ(setns(fd, CLONE_NEWUTS), 0);
	gethostname(host, sizeof(host));
	EXPECT_EQ(strcmp(host, "other"), 0);
	/* What keeps it is the file. */
	end(pid);
	EXPECT_EQ(setns(own, 0), 0);
	MAYBE_SAVE();
	EXPECT_EQ(setns(fd, 0), 0);
	gethostname(host, sizeof(host));
	EXPECT_EQ(strcmp(host, "other"), 0);
	EXPECT_EQ(setns(own, 0), 0);
	gethostname(host, sizeof(host));
	EXPECT_EQ(strcmp(host, mine), 0);
}

GUEST_TEST(entering_mounts)
{
	char cwd[64] = "";
	pid_t pid;
	int fd, own;

	if (geteuid() != 0)
		SKIP("needs root");
	pid = child_in(CLONE_NEWNS, "");
	own = open_ns(getpid(), "mnt");
	fd = open_ns(pid, "mnt");
	ASSERT_OK(fd);
	EXPECT_EQ(access("/tmp/only-here", F_OK), -1);
	MAYBE_SAVE();
	EXPECT_EQ(setns(fd, CLONE_NEWNS), 0);
	EXPECT_EQ(access("/tmp/only-here", F_OK), 0);
	EXPECT_TRUE(getcwd(cwd, sizeof(cwd)) != NULL);
	EXPECT_EQ(strcmp(cwd, "/"), 0);
	EXPECT_EQ(number(getpid(), "mnt"), number(pid, "mnt"));
	MAYBE_SAVE();
	EXPECT_EQ(setns(own, CLONE_NEWNS), 0);
	EXPECT_EQ(access("/tmp/only-here", F_OK), -1);
	end(pid);
}

GUEST_TEST(by_pidfd)
{
	char host[65];
	pid_t pid;
	int fd;

	if (geteuid() != 0)
		SKIP("needs root");
	pid = child_in(CLONE_NEWUTS | CLONE_NEWNS, "both");
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	ASSERT_OK(fd);
	EXPECT_EQ(setns(fd, 0), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(setns(fd, CLONE_NEWUTS | CLONE_NEWNS), 0);
	MAYBE_SAVE();
	gethostname(host, sizeof(host));
	EXPECT_EQ(strcmp(host, "both"), 0);
	EXPECT_EQ(access("/tmp/only-here", F_OK), 0);
	end(pid);
}

GUEST_TEST(refusals)
{
	int uts = open_ns(getpid(), "uts"), file = open("/proc/self/exe", O_RDONLY);

	ASSERT_OK(uts);
	EXPECT_EQ(setns(-1, 0), -1);
	EXPECT_EQ(errno, EBADF);
	EXPECT_EQ(setns(file, 0), -1);
	EXPECT_EQ(errno, EINVAL);
	guest_drop_root();
	EXPECT_EQ(setns(uts, 0), -1);
	EXPECT_EQ(errno, EPERM);
}
