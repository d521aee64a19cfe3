/* Who polls /proc/PID/mountinfo is told of mounts that come and go. */
#include "tests/guest/guest_test.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/stat.h>

static short polled(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLPRI};

	EXPECT_EQ(poll(&p, 1, 0), 1);
	return p.revents;
}

static const char *place(void)
{
	const char *path = guest_path("mnt");

	EXPECT_TRUE(mkdir(path, 0755) == 0 || errno == EEXIST);
	return path;
}

/* Mounts of its own, which no other test changes. */
static void leave(void)
{
	ASSERT_EQ(unshare(CLONE_NEWNS), 0);
	ASSERT_EQ(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
}

GUEST_TEST(poll_tells_once)
{
	const char *path;
	int fd;

	if (geteuid() != 0)
		SKIP("needs root");
	leave();
	path = place();
	fd = open("/proc/self/mountinfo", O_RDONLY);
	ASSERT_TRUE(fd >= 0);
	EXPECT_EQ(polled(fd), POLLIN);
	ASSERT_EQ(mount("x", path, "tmpfs", 0, NULL), 0);
	MAYBE_SAVE();
	EXPECT_EQ(polled(fd), POLLIN | POLLERR | POLLPRI);
	EXPECT_EQ(polled(fd), POLLIN);
	MAYBE_SAVE();
	EXPECT_EQ(polled(fd), POLLIN);
	ASSERT_EQ(umount(path), 0);
	EXPECT_EQ(polled(fd), POLLIN | POLLERR | POLLPRI);
}

GUEST_TEST(sleeper_is_woken)
{
	const char *path;
	pid_t pid;

	if (geteuid() != 0)
		SKIP("needs root");
	leave();
	path = place();
	pid = guest_fork();
	if (pid == 0) {
		struct pollfd p = {.fd = open("/proc/self/mounts", O_RDONLY), .events = POLLPRI};

		EXPECT_EQ(poll(&p, 1, -1), 1);
		EXPECT_EQ(p.revents, POLLERR | POLLPRI);
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	ASSERT_EQ(mount("x", path, "tmpfs", 0, NULL), 0);
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(umount(path), 0);
}

GUEST_TEST(epoll_takes_it)
{
	struct epoll_event ev = {.events = EPOLLPRI | EPOLLET};
	const char *path;
	int ep, fd;

	if (geteuid() != 0)
		SKIP("needs root");
	leave();
	path = place();
	ep = epoll_create1(0);
	fd = open("/proc/self/mountinfo", O_RDONLY);
	ASSERT_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), 0);
	EXPECT_EQ(epoll_wait(ep, &ev, 1, 0), 0);
	MAYBE_SAVE();
	ASSERT_EQ(mount("x", path, "tmpfs", 0, NULL), 0);
	EXPECT_EQ(epoll_wait(ep, &ev, 1, -1), 1);
	EXPECT_EQ(ev.events, EPOLLERR | EPOLLPRI);
	EXPECT_EQ(umount(path), 0);
}

GUEST_TEST(other_files_are_refused)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int ep = epoll_create1(0), fd = open("/proc/self/status", O_RDONLY);

	EXPECT_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), -1);
	EXPECT_EQ(errno, EPERM);
}
