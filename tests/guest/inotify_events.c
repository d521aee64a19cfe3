#include "tests/guest/guest_test.h"

#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

/* inotify: which events, with which names, in which order. */

#define EVENT_SIZE sizeof(struct inotify_event)

static int in;

/* The next event of the queue as text: "wd MASK name". Empty when there is none. */
static const char *next_event(void)
{
	static char text[400];
	static char buf[4096];
	static size_t at, len;
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = {
		{IN_ACCESS, "ACCESS"},
		{IN_MODIFY, "MODIFY"},
		{IN_ATTRIB, "ATTRIB"},
		{IN_CLOSE_WRITE, "CLOSE_WRITE"},
		{IN_CLOSE_NOWRITE, "CLOSE_NOWRITE"},
		{IN_OPEN, "OPEN"},
		{IN_MOVED_FROM, "MOVED_FROM"},
		{IN_MOVED_TO, "MOVED_TO"},
		{IN_CREATE, "CREATE"},
		{IN_DELETE, "DELETE"},
		{IN_DELETE_SELF, "DELETE_SELF"},
		{IN_MOVE_SELF, "MOVE_SELF"},
		{IN_UNMOUNT, "UNMOUNT"},
		{IN_Q_OVERFLOW, "Q_OVERFLOW"},
		{IN_IGNORED, "IGNORED"},
		{IN_ISDIR, "ISDIR"},
	};
	struct inotify_event *e;
	char mask[200] = "";

	if (at >= len) {
		ssize_t n = read(in, buf, sizeof(buf));

		at = len = 0;
		if (n <= 0)
			return "";
		len = (size_t)n;
	}
	e = (struct inotify_event *)(buf + at);
	at += EVENT_SIZE + e->len;
	for (size_t i = 0; i < GUEST_COUNT(names); i++) {
		if (e->mask & names[i].bit) {
			if (mask[0])
				strcat(mask, "|");
			strcat(mask, names[i].name);
		}
	}
	snprintf(text, sizeof(text), "%d %s%s%s", e->wd, mask, e->len ? " " : "",
	         e->len ? e->name : "");
	return text;
}

#define EXPECT_EVENT(s) EXPECT_STREQ(next_event(), s)
#define EXPECT_NONE()   EXPECT_STREQ(next_event(), "")

static void start(void)
{
	in = ASSERT_OK(inotify_init1(IN_NONBLOCK));
}

GUEST_TEST(file_in_directory)
{
	char b[8];
	int fd;

	start();
	EXPECT_EQ(inotify_add_watch(in, guest_tmp(), IN_ALL_EVENTS), 1);
	fd = ASSERT_OK(open(guest_path("f"), O_CREAT | O_RDWR, 0644));
	EXPECT_EVENT("1 CREATE f");
	EXPECT_EVENT("1 OPEN f");
	EXPECT_EQ(write(fd, "hello", 5), 5);
	EXPECT_EQ(write(fd, "again", 5), 5);
	MAYBE_SAVE();
	EXPECT_EVENT("1 MODIFY f");
	EXPECT_NONE();
	EXPECT_EQ(pread(fd, b, 5, 0), 5);
	EXPECT_EVENT("1 ACCESS f");
	EXPECT_EQ(pread(fd, b, 5, 100), 0);
	EXPECT_NONE();
	EXPECT_OK(ftruncate(fd, 2));
	EXPECT_EVENT("1 MODIFY f");
	EXPECT_OK(fchmod(fd, 0600));
	EXPECT_EVENT("1 ATTRIB f");
	close(fd);
	EXPECT_EVENT("1 CLOSE_WRITE f");
	fd = ASSERT_OK(open(guest_path("f"), O_RDONLY));
	EXPECT_EVENT("1 OPEN f");
	close(fd);
	EXPECT_EVENT("1 CLOSE_NOWRITE f");
	fd = ASSERT_OK(open(guest_path("f"), O_WRONLY | O_TRUNC));
	EXPECT_EVENT("1 OPEN f");
	EXPECT_EVENT("1 MODIFY f");
	close(fd);
	EXPECT_EVENT("1 CLOSE_WRITE f");
	fd = ASSERT_OK(open(guest_path("f"), O_PATH));
	close(fd);
	EXPECT_NONE();
	EXPECT_OK(unlink(guest_path("f")));
	EXPECT_EVENT("1 DELETE f");
	EXPECT_NONE();
}

GUEST_TEST(file_itself)
{
	struct timespec both[2] = {{100, 0}, {200, 0}}, one[2] = {{100, 0}, {0, UTIME_OMIT}};
	int fd;

	guest_write_file(guest_path("f"), "text", 0644);
	start();
	EXPECT_EQ(inotify_add_watch(in, guest_path("f"), IN_ALL_EVENTS), 1);
	EXPECT_OK(link(guest_path("f"), guest_path("g")));
	EXPECT_EVENT("1 ATTRIB");
	EXPECT_OK(utimensat(AT_FDCWD, guest_path("g"), both, 0));
	EXPECT_EVENT("1 ATTRIB");
	EXPECT_OK(utimensat(AT_FDCWD, guest_path("f"), one, 0));
	EXPECT_EVENT("1 ACCESS");
	MAYBE_SAVE();
	EXPECT_OK(truncate(guest_path("f"), 1));
	EXPECT_EVENT("1 MODIFY");
	EXPECT_OK(rename(guest_path("f"), guest_path("h")));
	EXPECT_EVENT("1 MOVE_SELF");
	EXPECT_OK(unlink(guest_path("g")));
	EXPECT_EVENT("1 ATTRIB");
	fd = ASSERT_OK(open(guest_path("h"), O_RDONLY));
	EXPECT_EVENT("1 OPEN");
	/* It lives on while it is open. */
	EXPECT_OK(unlink(guest_path("h")));
	EXPECT_EVENT("1 ATTRIB");
	EXPECT_NONE();
	MAYBE_SAVE();
	close(fd);
	EXPECT_EVENT("1 CLOSE_NOWRITE");
	EXPECT_EVENT("1 DELETE_SELF");
	EXPECT_EVENT("1 IGNORED");
	EXPECT_NONE();
	EXPECT_ERRNO(inotify_rm_watch(in, 1), EINVAL);
}

GUEST_TEST(directories)
{
	start();
	EXPECT_OK(mkdir(guest_path("d"), 0755));
	EXPECT_EQ(inotify_add_watch(in, guest_tmp(), IN_ALL_EVENTS & ~(IN_OPEN | IN_CLOSE)), 1);
	EXPECT_EQ(inotify_add_watch(in, guest_path("d"), IN_ALL_EVENTS), 2);
	EXPECT_OK(mkdir(guest_path("e"), 0755));
	EXPECT_EVENT("1 CREATE|ISDIR e");
	EXPECT_OK(symlink("x", guest_path("d/s")));
	EXPECT_EVENT("2 CREATE s");
	EXPECT_OK(mkfifo(guest_path("d/p"), 0644));
	EXPECT_EVENT("2 CREATE p");
	MAYBE_SAVE();
	EXPECT_OK(unlink(guest_path("d/s")));
	EXPECT_EVENT("2 DELETE s");
	EXPECT_OK(unlink(guest_path("d/p")));
	EXPECT_EVENT("2 DELETE p");
	EXPECT_OK(chmod(guest_path("d"), 0700));
	EXPECT_EVENT("1 ATTRIB|ISDIR d");
	EXPECT_EVENT("2 ATTRIB|ISDIR");
	EXPECT_OK(rmdir(guest_path("e")));
	EXPECT_EVENT("1 DELETE|ISDIR e");
	EXPECT_OK(rmdir(guest_path("d")));
	EXPECT_EVENT("2 DELETE_SELF");
	EXPECT_EVENT("2 IGNORED");
	EXPECT_EVENT("1 DELETE|ISDIR d");
	EXPECT_NONE();
}

GUEST_TEST(unlink_order)
{
	guest_write_file(guest_path("f"), "", 0644);
	start();
	EXPECT_EQ(inotify_add_watch(in, guest_tmp(), IN_ALL_EVENTS), 1);
	EXPECT_EQ(inotify_add_watch(in, guest_path("f"), IN_ALL_EVENTS), 2);
	MAYBE_SAVE();
	EXPECT_OK(unlink(guest_path("f")));
	EXPECT_EVENT("2 ATTRIB");
	EXPECT_EVENT("2 DELETE_SELF");
	EXPECT_EVENT("2 IGNORED");
	EXPECT_EVENT("1 DELETE f");
	EXPECT_NONE();
}

GUEST_TEST(moves_with_cookies)
{
	char buf[4096];
	struct inotify_event *a, *b;

	EXPECT_OK(mkdir(guest_path("d"), 0755));
	guest_write_file(guest_path("f"), "", 0644);
	guest_write_file(guest_path("d/old"), "", 0644);
	start();
	EXPECT_EQ(inotify_add_watch(in, guest_tmp(), IN_MOVE), 1);
	EXPECT_EQ(inotify_add_watch(in, guest_path("d"), IN_MOVE | IN_DELETE), 2);
	EXPECT_EQ(inotify_add_watch(in, guest_path("d/old"), IN_ALL_EVENTS), 3);
	EXPECT_OK(rename(guest_path("f"), guest_path("d/g")));
	EXPECT_EQ(read(in, buf, sizeof(buf)), 2 * (long)(EVENT_SIZE + 16));
	a = (struct inotify_event *)buf;
	b = (struct inotify_event *)(buf + EVENT_SIZE + 16);
	EXPECT_EQ(a->mask, IN_MOVED_FROM);
	EXPECT_STREQ(a->name, "f");
	EXPECT_EQ(b->mask, IN_MOVED_TO);
	EXPECT_STREQ(b->name, "g");
	EXPECT_EQ(a->cookie, b->cookie);
	EXPECT_NE(a->cookie, 0);
	MAYBE_SAVE();
	/* Over another file, which goes. */
	EXPECT_OK(rename(guest_path("d/g"), guest_path("d/old")));
	EXPECT_EVENT("2 MOVED_FROM g");
	EXPECT_EVENT("2 MOVED_TO old");
	EXPECT_EVENT("3 ATTRIB");
	EXPECT_EVENT("3 DELETE_SELF");
	EXPECT_EVENT("3 IGNORED");
	EXPECT_NONE();
	/* A directory out of the watched one. */
	EXPECT_OK(rename(guest_path("d"), guest_path("e")));
	EXPECT_EVENT("1 MOVED_FROM|ISDIR d");
	EXPECT_EVENT("1 MOVED_TO|ISDIR e");
	EXPECT_NONE();
	/* The watch went along. */
	EXPECT_OK(unlink(guest_path("e/old")));
	EXPECT_EVENT("2 DELETE old");
}

GUEST_TEST(exchange)
{
	guest_write_file(guest_path("a"), "", 0644);
	EXPECT_OK(mkdir(guest_path("b"), 0755));
	start();
	EXPECT_EQ(inotify_add_watch(in, guest_tmp(), IN_MOVE), 1);
	if (syscall(SYS_renameat2, AT_FDCWD, guest_path("a"), AT_FDCWD, guest_path("b"), 2) < 0)
		SKIP("no RENAME_EXCHANGE here");
	MAYBE_SAVE();
	EXPECT_EVENT("1 MOVED_FROM a");
	EXPECT_EVENT("1 MOVED_TO b");
	EXPECT_EVENT("1 MOVED_FROM|ISDIR b");
	EXPECT_EVENT("1 MOVED_TO|ISDIR a");
	EXPECT_NONE();
}

GUEST_TEST(listing_and_xattr)
{
	char buf[1024];
	int fd;

	guest_write_file(guest_path("f"), "", 0644);
	start();
	EXPECT_EQ(inotify_add_watch(in, guest_tmp(), IN_ALL_EVENTS), 1);
	fd = ASSERT_OK(open(guest_tmp(), O_RDONLY | O_DIRECTORY));
	EXPECT_EVENT("1 OPEN|ISDIR");
	EXPECT_GT(syscall(SYS_getdents64, fd, buf, sizeof(buf)), 0);
	EXPECT_EVENT("1 ACCESS|ISDIR");
	MAYBE_SAVE();
	close(fd);
	EXPECT_EVENT("1 CLOSE_NOWRITE|ISDIR");
	if (setxattr(guest_path("f"), "user.x", "1", 1, 0) == 0) {
		EXPECT_EVENT("1 ATTRIB f");
		EXPECT_OK(removexattr(guest_path("f"), "user.x"));
		EXPECT_EVENT("1 ATTRIB f");
	}
	EXPECT_NONE();
}

/* Two names of a file are one file to its watch and two to the directory's. */
GUEST_TEST(hard_links)
{
	int fd;

	guest_write_file(guest_path("a"), "", 0644);
	EXPECT_OK(link(guest_path("a"), guest_path("b")));
	start();
	EXPECT_EQ(inotify_add_watch(in, guest_path("a"), IN_OPEN | IN_DELETE_SELF), 1);
	EXPECT_EQ(inotify_add_watch(in, guest_path("b"), IN_OPEN | IN_DELETE_SELF), 1);
	EXPECT_EQ(inotify_add_watch(in, guest_tmp(), IN_OPEN), 2);
	fd = ASSERT_OK(open(guest_path("b"), O_RDONLY));
	MAYBE_SAVE();
	EXPECT_EVENT("2 OPEN b");
	EXPECT_EVENT("1 OPEN");
	close(fd);
	EXPECT_OK(unlink(guest_path("a")));
	EXPECT_NONE();
	EXPECT_OK(unlink(guest_path("b")));
	EXPECT_EVENT("1 DELETE_SELF");
	EXPECT_EVENT("1 IGNORED");
}

/* A file without a name still tells its old directory, unless that was declined. */
GUEST_TEST(after_unlink)
{
	int other = ASSERT_OK(inotify_init1(IN_NONBLOCK)), fd;
	char buf[256];

	fd = ASSERT_OK(open(guest_path("f"), O_CREAT | O_RDWR, 0644));
	start();
	EXPECT_EQ(inotify_add_watch(in, guest_tmp(), IN_MODIFY | IN_CLOSE), 1);
	EXPECT_EQ(inotify_add_watch(other, guest_tmp(), IN_MODIFY | IN_CLOSE | IN_EXCL_UNLINK), 1);
	EXPECT_OK(unlink(guest_path("f")));
	MAYBE_SAVE();
	EXPECT_EQ(write(fd, "x", 1), 1);
	close(fd);
	EXPECT_EVENT("1 MODIFY f");
	EXPECT_EVENT("1 CLOSE_WRITE f");
	EXPECT_NONE();
	EXPECT_ERRNO(read(other, buf, sizeof(buf)), EAGAIN);
}

GUEST_TEST(what_has_no_name_may_be_left_out)
{
	int fd = ASSERT_OK(open(guest_path("f"), O_CREAT | O_RDWR, 0600));
	int wd;

	start();
	wd = ASSERT_OK(inotify_add_watch(in, guest_path("f"), IN_ALL_EVENTS | IN_EXCL_UNLINK));
	EXPECT_EQ(wd, 1);
	ASSERT_OK(unlink(guest_path("f")));
	ASSERT_EQ(write(fd, "x", 1), 1);
	MAYBE_SAVE();
	ASSERT_OK(close(fd));
	EXPECT_EVENT("1 ATTRIB");
	EXPECT_EVENT("1 DELETE_SELF");
	EXPECT_EVENT("1 IGNORED");
	EXPECT_NONE();
}

/* A directory that is moved itself, and one that goes. */
GUEST_TEST(directories_themselves)
{
	EXPECT_OK(mkdir(guest_path("d"), 0755));
	start();
	EXPECT_EQ(inotify_add_watch(in, guest_path("d"), IN_MOVE_SELF | IN_DELETE_SELF | IN_ATTRIB),
	          1);
	EXPECT_OK(chmod(guest_path("d"), 0700));
	EXPECT_OK(rename(guest_path("d"), guest_path("e")));
	MAYBE_SAVE();
	EXPECT_EVENT("1 ATTRIB|ISDIR");
	EXPECT_EVENT("1 MOVE_SELF");
	EXPECT_OK(rmdir(guest_path("e")));
	EXPECT_EVENT("1 DELETE_SELF");
	EXPECT_EVENT("1 IGNORED");
}
