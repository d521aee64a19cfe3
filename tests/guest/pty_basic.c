#include "tests/guest/pty_util.h"

#include <dirent.h>
#include <sys/sysmacros.h>

/* Making ptys, their names, and what happens when an end goes. */

GUEST_TEST(slave_is_locked_at_first)
{
	int m = ASSERT_OK(posix_openpt(O_RDWR | O_NOCTTY));
	int locked = -1;
	char name[64];

	ASSERT_EQ(ptsname_r(m, name, sizeof(name)), 0);
	EXPECT_ERRNO(open(name, O_RDWR | O_NOCTTY), EIO);
	EXPECT_OK(ioctl(m, TIOCGPTLCK, &locked));
	EXPECT_EQ(locked, 1);
	EXPECT_OK(unlockpt(m));
	EXPECT_OK(ioctl(m, TIOCGPTLCK, &locked));
	EXPECT_EQ(locked, 0);
	EXPECT_OK(open(name, O_RDWR | O_NOCTTY));
}

GUEST_TEST(names_lead_to_the_slave)
{
	struct pty_pair p = pty_open_pair();
	unsigned n = 0;
	struct stat st, by_name;
	char link[64], path[64], name[64];
	ssize_t len;

	EXPECT_OK(ioctl(p.m, TIOCGPTN, &n));
	snprintf(path, sizeof(path), "/dev/pts/%u", n);
	EXPECT_STREQ(p.name, path);
	EXPECT_TRUE(isatty(p.s) && isatty(p.m));
	EXPECT_EQ(ttyname_r(p.s, name, sizeof(name)), 0);
	EXPECT_STREQ(name, path);
	ASSERT_OK(fstat(p.s, &st));
	ASSERT_OK(stat(path, &by_name));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(major(st.st_rdev), 136);
	EXPECT_EQ(minor(st.st_rdev), n);
	EXPECT_EQ(st.st_ino, by_name.st_ino);
	EXPECT_EQ(st.st_dev, by_name.st_dev);
	EXPECT_EQ(st.st_uid, geteuid());
	MAYBE_SAVE();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p.s);
	len = readlink(path, link, sizeof(link) - 1);
	ASSERT_GE(len, 1);
	link[len] = 0;
	EXPECT_STREQ(link, p.name);
	EXPECT_EQ(ttyname_r(p.s, name, sizeof(name)), 0);
}

GUEST_TEST(listed_while_the_master_is_open)
{
	struct pty_pair p = pty_open_pair();
	struct dirent *e;
	bool seen = false;
	DIR *d = opendir("/dev/pts");

	ASSERT_TRUE(d);
	while ((e = readdir(d)))
		seen |= strcmp(e->d_name, p.name + strlen("/dev/pts/")) == 0;
	closedir(d);
	EXPECT_TRUE(seen);
	MAYBE_SAVE();
	EXPECT_OK(access(p.name, F_OK));
	close(p.m);
	EXPECT_ERRNO(open(p.name, O_RDWR | O_NOCTTY), ENOENT);
}

GUEST_TEST(bytes_go_both_ways)
{
	struct pty_pair p = pty_open_pair();

	pty_put(p.m, "hello\n");
	EXPECT_READ(p.m, "hello\r\n");
	MAYBE_SAVE();
	EXPECT_ONE_READ(p.s, "hello\n");
	pty_put(p.s, "there\n");
	MAYBE_SAVE();
	EXPECT_READ(p.m, "there\r\n");
}

GUEST_TEST(open_by_the_master_alone)
{
	struct pty_pair p = pty_open_pair();
	int s = ASSERT_OK(ioctl(p.m, TIOCGPTPEER, O_RDWR | O_NOCTTY));
	char name[64];

	EXPECT_EQ(ttyname_r(s, name, sizeof(name)), 0);
	EXPECT_STREQ(name, p.name);
	close(p.s);
	pty_put(s, "x");
	EXPECT_READ(p.m, "x");
}

GUEST_TEST(master_hears_of_the_last_close)
{
	struct pty_pair p = pty_open_pair();
	struct pollfd pf = {.fd = p.m, .events = POLLIN};
	int again = dup(p.s);
	char c;

	pty_put(p.s, "last words");
	close(p.s);
	close(again);
	MAYBE_SAVE();
	EXPECT_READ(p.m, "last words");
	EXPECT_EQ(read(p.m, &c, 1), -1);
	EXPECT_EQ(errno, EIO);
	EXPECT_EQ(poll(&pf, 1, -1), 1);
	EXPECT_TRUE(pf.revents & POLLHUP);
	/* It can be opened again. */
	p.s = ASSERT_OK(open(p.name, O_RDWR | O_NOCTTY));
	pty_put(p.s, "back");
	EXPECT_READ(p.m, "back");
}

GUEST_TEST(slave_is_hung_up_by_the_masters_close)
{
	struct pty_pair p = pty_open_pair();
	struct pollfd pf = {.fd = p.s, .events = POLLIN | POLLOUT};
	struct termios t;
	char c;

	close(p.m);
	MAYBE_SAVE();
	EXPECT_EQ(read(p.s, &c, 1), 0);
	EXPECT_ERRNO(write(p.s, "x", 1), EIO);
	EXPECT_ERRNO(tcgetattr(p.s, &t), EIO);
	EXPECT_EQ(poll(&pf, 1, -1), 1);
	EXPECT_TRUE((pf.revents & (POLLHUP | POLLERR | POLLIN)) == (POLLHUP | POLLERR | POLLIN));
}

GUEST_TEST(numbers_are_used_again)
{
	struct pty_pair p = pty_open_pair(), q;
	char old[64];

	strcpy(old, p.name);
	close(p.s);
	close(p.m);
	q = pty_open_pair();
	/* Others may have taken it meanwhile; whatever it is, the name is the right one. */
	pty_put(q.s, "new");
	EXPECT_READ(q.m, "new");
}

GUEST_TEST(written_before_anybody_opened)
{
	int m = ASSERT_OK(posix_openpt(O_RDWR | O_NOCTTY)), s;
	char name[64];

	ASSERT_OK(unlockpt(m));
	ASSERT_EQ(ptsname_r(m, name, sizeof(name)), 0);
	pty_put(m, "early\n");
	MAYBE_SAVE();
	s = ASSERT_OK(open(name, O_RDWR | O_NOCTTY));
	EXPECT_ONE_READ(s, "early\n");
}

GUEST_TEST(window_size_is_shared)
{
	struct pty_pair p = pty_open_pair();
	struct winsize w = {33, 77, 1, 2}, got;

	EXPECT_OK(ioctl(p.m, TIOCGWINSZ, &got));
	EXPECT_EQ(got.ws_row, 0);
	EXPECT_OK(ioctl(p.m, TIOCSWINSZ, &w));
	MAYBE_SAVE();
	EXPECT_OK(ioctl(p.s, TIOCGWINSZ, &got));
	EXPECT_EQ(memcmp(&w, &got, sizeof(w)), 0);
}

GUEST_TEST(not_seekable)
{
	struct pty_pair p = pty_open_pair();
	char c;

	EXPECT_ERRNO(lseek(p.s, 0, SEEK_SET), ESPIPE);
	EXPECT_ERRNO(pread(p.s, &c, 1, 0), ESPIPE);
	EXPECT_ERRNO(ioctl(p.s, TIOCGPTN, &c), ENOTTY);
	EXPECT_ERRNO(ioctl(p.s, 0x1234, &c), ENOTTY);
}

/* TIOCSLCKTRMIOS: what is locked no setting changes, whoever makes it. */
GUEST_TEST(locked_settings)
{
	struct pty_pair p = pty_open_pair();
	struct termios t, none = {0}, got;

	EXPECT_OK(ioctl(p.s, TIOCGLCKTRMIOS, &got));
	EXPECT_TRUE(memcmp(&got, &none, 36) == 0);
	none.c_lflag = ECHO;
	none.c_cc[VINTR] = 1;
	if (ioctl(p.s, TIOCSLCKTRMIOS, &none) < 0 && errno == EPERM)
		SKIP("settings are locked by root");
	MAYBE_SAVE();
	EXPECT_OK(ioctl(p.m, TIOCGLCKTRMIOS, &got));
	EXPECT_TRUE(memcmp(&got, &none, 36) == 0);
	ASSERT_OK(tcgetattr(p.s, &t));
	t.c_lflag &= ~(tcflag_t)(ECHO | ICANON);
	t.c_cc[VINTR] = 7;
	t.c_cc[VQUIT] = 8;
	EXPECT_OK(tcsetattr(p.s, TCSANOW, &t));
	ASSERT_OK(tcgetattr(p.m, &t));
	EXPECT_EQ(t.c_lflag & (ECHO | ICANON), ECHO);
	EXPECT_EQ(t.c_cc[VINTR], 3);
	EXPECT_EQ(t.c_cc[VQUIT], 8);
	EXPECT_ERRNO(ioctl(p.s, TIOCSLCKTRMIOS, 8), EFAULT);
	none.c_lflag = 0;
	EXPECT_OK(ioctl(p.s, TIOCSLCKTRMIOS, &none));
	t.c_lflag &= ~(tcflag_t)ECHO;
	EXPECT_OK(tcsetattr(p.s, TCSANOW, &t));
	ASSERT_OK(tcgetattr(p.m, &t));
	EXPECT_EQ(t.c_lflag & ECHO, 0);
}
