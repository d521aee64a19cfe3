#include "tests/guest/guest_test.h"

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

/* inotify: the calls, their flags and limits, and the queue. */

#define EVENT_SIZE sizeof(struct inotify_event)
#ifndef IN_MASK_CREATE
#define IN_MASK_CREATE 0x10000000
#endif

static void touch(const char *name)
{
	int fd = ASSERT_OK(open(guest_path(name), O_CREAT | O_WRONLY, 0644));

	close(fd);
}

GUEST_TEST(errors)
{
	int in = ASSERT_OK(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)), p[2];
	char buf[256];

	touch("f");
	EXPECT_OK(symlink("f", guest_path("s")));
	ASSERT_EQ(pipe(p), 0);
	EXPECT_EQ(fcntl(in, F_GETFD), FD_CLOEXEC);
	EXPECT_ERRNO(inotify_init1(4), EINVAL);
	EXPECT_ERRNO(inotify_add_watch(in, guest_tmp(), 0), EINVAL);
	EXPECT_ERRNO(inotify_add_watch(in, guest_path("no"), IN_OPEN), ENOENT);
	EXPECT_ERRNO(inotify_add_watch(in, guest_path("f"), IN_OPEN | IN_ONLYDIR), ENOTDIR);
	EXPECT_ERRNO(inotify_add_watch(p[0], guest_tmp(), IN_OPEN), EINVAL);
	EXPECT_ERRNO(inotify_add_watch(9999, guest_tmp(), IN_OPEN), EBADF);
	EXPECT_ERRNO(inotify_add_watch(in, (char *)8, IN_OPEN), EFAULT);
	EXPECT_ERRNO(inotify_add_watch(in, guest_tmp(), IN_OPEN | IN_MASK_ADD | IN_MASK_CREATE),
	             EINVAL);
	EXPECT_ERRNO(inotify_rm_watch(in, 1), EINVAL);
	EXPECT_ERRNO(inotify_rm_watch(p[0], 1), EINVAL);
	EXPECT_ERRNO(read(in, buf, sizeof(buf)), EAGAIN);
	EXPECT_ERRNO(write(in, buf, 1), EBADF);
	/* The link or what it names. */
	EXPECT_EQ(inotify_add_watch(in, guest_path("f"), IN_OPEN), 1);
	EXPECT_EQ(inotify_add_watch(in, guest_path("s"), IN_OPEN), 1);
	EXPECT_EQ(inotify_add_watch(in, guest_path("s"), IN_ATTRIB | IN_DONT_FOLLOW), 2);
	MAYBE_SAVE();
	EXPECT_ERRNO(inotify_add_watch(in, guest_path("f"), IN_OPEN | IN_MASK_CREATE), EEXIST);
	EXPECT_EQ(inotify_add_watch(in, guest_tmp(), IN_OPEN | IN_MASK_CREATE), 3);
	/* The buffer must have room for the first event. */
	touch("f");
	EXPECT_ERRNO(read(in, buf, EVENT_SIZE), EINVAL);
	EXPECT_EQ(read(in, buf, EVENT_SIZE + 16), EVENT_SIZE + 16);
	EXPECT_EQ(read(in, buf, EVENT_SIZE), EVENT_SIZE);
}

GUEST_TEST(needs_read_permission)
{
	int in;

	touch("f");
	EXPECT_OK(chmod(guest_path("f"), 0200));
	guest_drop_root();
	in = ASSERT_OK(inotify_init1(IN_NONBLOCK));
	EXPECT_ERRNO(inotify_add_watch(in, guest_path("f"), IN_OPEN), EACCES);
}

GUEST_TEST(masks_are_replaced_or_added)
{
	int in = ASSERT_OK(inotify_init1(IN_NONBLOCK));
	struct inotify_event e[8];

	touch("f");
	EXPECT_EQ(inotify_add_watch(in, guest_path("f"), IN_OPEN), 1);
	EXPECT_EQ(inotify_add_watch(in, guest_path("f"), IN_CLOSE | IN_MASK_ADD), 1);
	touch("f");
	EXPECT_EQ(read(in, e, sizeof(e)), 2 * EVENT_SIZE);
	EXPECT_EQ(e[0].mask, IN_OPEN);
	EXPECT_EQ(e[1].mask, IN_CLOSE_WRITE);
	EXPECT_EQ(inotify_add_watch(in, guest_path("f"), IN_ATTRIB), 1);
	MAYBE_SAVE();
	touch("f");
	EXPECT_ERRNO(read(in, e, sizeof(e)), EAGAIN);
	EXPECT_OK(chmod(guest_path("f"), 0600));
	EXPECT_EQ(read(in, e, sizeof(e)), EVENT_SIZE);
	EXPECT_OK(inotify_rm_watch(in, 1));
	EXPECT_EQ(read(in, e, sizeof(e)), EVENT_SIZE);
	EXPECT_EQ(e[0].mask, IN_IGNORED);
	/* Numbers are not used again at once. */
	EXPECT_EQ(inotify_add_watch(in, guest_path("f"), IN_ATTRIB), 2);
}

GUEST_TEST(oneshot)
{
	int in = ASSERT_OK(inotify_init1(IN_NONBLOCK));
	struct inotify_event e[8];

	touch("f");
	EXPECT_EQ(inotify_add_watch(in, guest_path("f"), IN_ATTRIB | IN_ONESHOT), 1);
	MAYBE_SAVE();
	EXPECT_OK(chmod(guest_path("f"), 0600));
	EXPECT_OK(chmod(guest_path("f"), 0644));
	EXPECT_EQ(read(in, e, sizeof(e)), 2 * EVENT_SIZE);
	EXPECT_EQ(e[0].mask, IN_ATTRIB);
	EXPECT_EQ(e[1].mask, IN_IGNORED);
	EXPECT_ERRNO(inotify_rm_watch(in, 1), EINVAL);
}

GUEST_TEST(sizes_and_names)
{
	int in = ASSERT_OK(inotify_init1(IN_NONBLOCK)), n = 0;
	char buf[1024], name[64];
	struct inotify_event *e = (struct inotify_event *)buf;

	EXPECT_EQ(inotify_add_watch(in, guest_tmp(), IN_CREATE), 1);
	touch("123456789012345");
	touch("1234567890123456");
	MAYBE_SAVE();
	EXPECT_OK(ioctl(in, FIONREAD, &n));
	EXPECT_EQ(n, 2 * EVENT_SIZE + 16 + 32);
	EXPECT_EQ(read(in, buf, sizeof(buf)), n);
	EXPECT_EQ(e->len, 16);
	e = (struct inotify_event *)(buf + EVENT_SIZE + 16);
	EXPECT_EQ(e->len, 32);
	snprintf(name, sizeof(name), "%s", e->name);
	EXPECT_STREQ(name, "1234567890123456");
	for (int i = 16; i < 32; i++)
		EXPECT_EQ(e->name[i], 0);
	EXPECT_OK(ioctl(in, FIONREAD, &n));
	EXPECT_EQ(n, 0);
}

static long limit(const char *name)
{
	char path[128], text[64] = "";

	snprintf(path, sizeof(path), "/proc/sys/fs/inotify/%s", name);
	EXPECT_GT(guest_read_file(path, text, sizeof(text)), 0);
	return atol(text);
}

GUEST_TEST(overflow)
{
	long max = limit("max_queued_events"), seen = 0;
	int in = ASSERT_OK(inotify_init1(IN_NONBLOCK));
	struct inotify_event e, last = {0};

	if (max > 100000)
		SKIP("the queue is too long to fill");
	touch("f");
	EXPECT_EQ(inotify_add_watch(in, guest_path("f"), IN_ATTRIB | IN_MODIFY), 1);
	/* Neighbours differ, so they are not merged. */
	for (long i = 0; i < max / 2 + 10; i++) {
		EXPECT_OK(chmod(guest_path("f"), 0600));
		EXPECT_OK(truncate(guest_path("f"), i));
	}
	MAYBE_SAVE();
	while (read(in, &e, sizeof(e)) == sizeof(e)) {
		last = e;
		seen++;
	}
	EXPECT_EQ(seen, max + 1);
	EXPECT_EQ(last.wd, -1);
	EXPECT_EQ(last.mask, IN_Q_OVERFLOW);
	EXPECT_OK(chmod(guest_path("f"), 0600));
	EXPECT_EQ(read(in, &e, sizeof(e)), EVENT_SIZE);
	EXPECT_EQ(e.mask, IN_ATTRIB);
}

GUEST_TEST(instances_are_bounded)
{
	long max = limit("max_user_instances"), n = 0;

	if (max > 900)
		SKIP("too many to open");
	while (inotify_init1(0) >= 0 && n <= max)
		n++;
	EXPECT_EQ(errno, EMFILE);
	EXPECT_LE(n, max);
	EXPECT_GT(limit("max_user_watches"), 0);
}

GUEST_TEST(fdinfo)
{
	int in = ASSERT_OK(inotify_init1(0));
	char path[64], text[512], want[100];
	struct stat st;

	EXPECT_EQ(inotify_add_watch(in, guest_tmp(), IN_CREATE | IN_DELETE), 1);
	ASSERT_EQ(stat(guest_tmp(), &st), 0);
	MAYBE_SAVE();
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", in);
	EXPECT_GT(guest_read_file(path, text, sizeof(text)), 0);
	snprintf(want, sizeof(want), "inotify wd:1 ino:%lx sdev:", (unsigned long)st.st_ino);
	EXPECT_TRUE(strstr(text, want) != NULL);
	EXPECT_TRUE(strstr(text, " mask:300 ignored_mask:0 ") != NULL);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", in);
	text[readlink(path, text, sizeof(text) - 1)] = 0;
	EXPECT_STREQ(text, "anon_inode:inotify");
}

GUEST_TEST(blocked_reader)
{
	int in = ASSERT_OK(inotify_init1(0));
	struct guest_gate done;
	char buf[256];
	pid_t pid;

	guest_gate_init(&done);
	EXPECT_EQ(inotify_add_watch(in, guest_tmp(), IN_CREATE), 1);
	pid = guest_fork();
	if (pid == 0) {
		struct inotify_event *e = (struct inotify_event *)buf;

		EXPECT_EQ(read(in, buf, sizeof(buf)), EVENT_SIZE + 16);
		EXPECT_STREQ(e->name, "made");
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	touch("made");
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(epoll)
{
	int in = ASSERT_OK(inotify_init1(IN_NONBLOCK)), ep = ASSERT_OK(epoll_create1(0));
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u32 = 8}, out;
	pid_t self = getpid(), pid;
	char buf[256];

	EXPECT_EQ(inotify_add_watch(in, guest_tmp(), IN_CREATE), 1);
	EXPECT_OK(epoll_ctl(ep, EPOLL_CTL_ADD, in, &ev));
	pid = guest_fork();
	if (pid == 0) {
		guest_wait_blocked(self);
		MAYBE_SAVE();
		touch("made");
		_exit(0);
	}
	EXPECT_EQ(epoll_wait(ep, &out, 1, -1), 1);
	EXPECT_EQ(out.data.u32, 8);
	EXPECT_EQ(epoll_wait(ep, &out, 1, 0), 0);
	EXPECT_EQ(read(in, buf, sizeof(buf)), EVENT_SIZE + 16);
	EXPECT_EQ(guest_reap(pid), 0);
}
