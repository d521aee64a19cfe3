#include "tests/guest/pty_util.h"

/* Output processing, flow control, packet mode. */

static void shown(tcflag_t oset, tcflag_t oclr, const char *in, const char *out)
{
	struct pty_pair p = pty_open_pair();

	pty_flags(p.s, 0, 0, oset, oclr, 0, 0);
	pty_put(p.s, in);
	EXPECT_READ(p.m, out);
	EXPECT_QUIET(p);
	close(p.m);
	close(p.s);
}

GUEST_TEST(post_processing)
{
	shown(0, 0, "a\nb\n", "a\r\nb\r\n");
	shown(0, ONLCR, "a\nb\n", "a\nb\n");
	shown(0, OPOST, "a\nb\tc\r", "a\nb\tc\r");
	shown(OCRNL, ONLCR, "a\rb", "a\nb");
	shown(ONOCR, 0, "\ra\rb", "a\rb");
	shown(OLCUC, 0, "aBc\n", "ABC\r\n");
	shown(XTABS, 0, "\ta\tb\n\tc", "        a       b\r\n        c");
	shown(0, 0, "\ta\tb", "\ta\tb");
}

GUEST_TEST(stop_and_start_by_key)
{
	struct pty_pair p = pty_open_pair();
	struct pollfd pf = {.fd = p.s, .events = POLLOUT};

	pty_put(p.m, "\023");
	while (poll(&pf, 1, 0) == 1)
		guest_sleep_ms(1);
	ASSERT_OK(fcntl(p.s, F_SETFL, O_NONBLOCK));
	EXPECT_ERRNO(write(p.s, "x", 1), EAGAIN);
	pty_put(p.m, "ab");
	MAYBE_SAVE();
	EXPECT_ERRNO(write(p.s, "x", 1), EAGAIN);
	pty_put(p.m, "\021");
	EXPECT_READ(p.m, "ab");
	EXPECT_EQ(poll(&pf, 1, -1), 1);
	EXPECT_QUIET(p);
}

GUEST_TEST(any_key_starts)
{
	struct pty_pair p = pty_open_pair();
	pid_t pid;

	pty_flags(p.s, IXANY, 0, 0, 0, 0, ECHO);
	pty_put(p.m, "\023");
	pid = guest_fork();
	if (pid == 0) {
		struct pollfd pf = {.fd = p.s, .events = POLLOUT};

		while (poll(&pf, 1, 0) == 1)
			guest_sleep_ms(1);
		kill(getpid(), SIGSTOP);
		pty_put(p.s, "waited");
		_exit(0);
	}
	ASSERT_EQ(waitpid(pid, NULL, WUNTRACED), pid);
	kill(pid, SIGCONT);
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	pty_put(p.m, "k");
	EXPECT_READ(p.m, "waited");
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(stop_and_start_by_call)
{
	struct pty_pair p = pty_open_pair();

	EXPECT_OK(tcflow(p.s, TCOOFF));
	ASSERT_OK(fcntl(p.s, F_SETFL, O_NONBLOCK));
	EXPECT_ERRNO(write(p.s, "x", 1), EAGAIN);
	/* ^Q does not start what the program stopped. */
	pty_put(p.m, "\021abc\n");
	pty_wait_input(p.s, 4);
	MAYBE_SAVE();
	EXPECT_ERRNO(write(p.s, "x", 1), EAGAIN);
	EXPECT_OK(tcflow(p.s, TCOON));
	/* What was held back comes before what is written next. */
	pty_put(p.s, "z");
	EXPECT_READ(p.m, "abc\r\nz");
	EXPECT_OK(tcflow(p.s, TCIOFF));
	EXPECT_OK(tcflow(p.s, TCION));
	EXPECT_READ(p.m, "\023\021");
	EXPECT_ERRNO(ioctl(p.s, TCXONC, 77), EINVAL);
	EXPECT_OK(tcdrain(p.s));
	EXPECT_OK(tcsendbreak(p.s, 0));
}

GUEST_TEST(what_the_master_writes_is_stopped_by_call)
{
	struct pty_pair p = pty_open_pair();
	struct pollfd pf = {.fd = p.m, .events = POLLOUT};

	ASSERT_OK(fcntl(p.m, F_SETFL, O_NONBLOCK));
	EXPECT_OK(tcflow(p.m, TCOOFF));
	MAYBE_SAVE();
	EXPECT_ERRNO(write(p.m, "x", 1), EAGAIN);
	EXPECT_OK(tcflow(p.m, TCOON));
	EXPECT_EQ(poll(&pf, 1, 0), 1);
	pty_put(p.m, "y\n");
	EXPECT_ONE_READ(p.s, "y\n");
}

GUEST_TEST(packets)
{
	struct pty_pair p = pty_open_pair();
	struct pollfd pf = {.fd = p.m, .events = POLLIN | POLLPRI};
	int on = 1, got = 0;
	char buf[32];

	ASSERT_OK(ioctl(p.m, TIOCPKT, &on));
	EXPECT_OK(ioctl(p.m, TIOCGPKT, &got));
	EXPECT_EQ(got, 1);
	pty_put(p.s, "data");
	EXPECT_EQ(poll(&pf, 1, -1), 1);
	MAYBE_SAVE();
	EXPECT_EQ(read(p.m, buf, sizeof(buf)), 5);
	EXPECT_EQ(memcmp(buf, "\0data", 5), 0);
	tcflush(p.s, TCIFLUSH);
	MAYBE_SAVE();
	pf.events = POLLPRI;
	EXPECT_EQ(poll(&pf, 1, -1), 1);
	EXPECT_EQ(read(p.m, buf, sizeof(buf)), 1);
	EXPECT_EQ(buf[0], TIOCPKT_FLUSHREAD);
	pty_flags(p.s, 0, IXON, 0, 0, 0, 0);
	EXPECT_EQ(poll(&pf, 1, -1), 1);
	EXPECT_EQ(read(p.m, buf, sizeof(buf)), 1);
	EXPECT_EQ(buf[0], TIOCPKT_NOSTOP);
	pty_flags(p.s, IXON, 0, 0, 0, 0, 0);
	EXPECT_EQ(poll(&pf, 1, -1), 1);
	EXPECT_EQ(read(p.m, buf, sizeof(buf)), 1);
	EXPECT_EQ(buf[0], TIOCPKT_DOSTOP);
	pty_flags(p.s, 0, 0, 0, 0, EXTPROC, 0);
	EXPECT_EQ(poll(&pf, 1, -1), 1);
	EXPECT_EQ(read(p.m, buf, sizeof(buf)), 1);
	EXPECT_EQ(buf[0], TIOCPKT_IOCTL);
	pty_flags(p.s, 0, 0, 0, 0, 0, EXTPROC);
	EXPECT_EQ(read(p.m, buf, sizeof(buf)), 1);
	EXPECT_EQ(buf[0], TIOCPKT_IOCTL);
	on = 0;
	ASSERT_OK(ioctl(p.m, TIOCPKT, &on));
	pty_put(p.s, "plain");
	EXPECT_READ(p.m, "plain");
}

GUEST_TEST(a_master_that_does_not_read_stops_the_writer)
{
	struct pty_pair p = pty_open_pair();
	static char block[1000], buf[4096];
	struct pollfd pf = {.fd = p.s, .events = POLLOUT};
	long written = 0, got = 0;
	ssize_t n;

	memset(block, 'z', sizeof(block));
	ASSERT_OK(fcntl(p.s, F_SETFL, O_NONBLOCK));
	while ((n = write(p.s, block, sizeof(block))) > 0)
		written += n;
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_LT(written, 1 << 20);
	EXPECT_EQ(poll(&pf, 1, 0), 0);
	MAYBE_SAVE();
	while (got < written && (n = read(p.m, buf, sizeof(buf))) > 0)
		got += n;
	EXPECT_EQ(got, written);
	EXPECT_EQ(poll(&pf, 1, -1), 1);
}

GUEST_TEST(a_reader_that_does_not_read_stops_the_master)
{
	struct pty_pair p = pty_open_pair();
	static char block[1000], buf[4096];
	long written = 0, got = 0;
	ssize_t n;

	pty_raw(p.s, 1, 0);
	memset(block, 'y', sizeof(block));
	ASSERT_OK(fcntl(p.m, F_SETFL, O_NONBLOCK));
	while ((n = write(p.m, block, sizeof(block))) > 0)
		written += n;
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_LT(written, 1 << 20);
	MAYBE_SAVE();
	while (got < written && (n = read(p.s, buf, sizeof(buf))) > 0)
		got += n;
	EXPECT_EQ(got, written);
}

GUEST_TEST(software_carrier)
{
	struct pty_pair p = pty_open_pair();
	struct termios t;
	int v = 1;

	ASSERT_OK(ioctl(p.s, TIOCSSOFTCAR, &v));
	ASSERT_OK(tcgetattr(p.s, &t));
	EXPECT_TRUE(t.c_cflag & CLOCAL);
	MAYBE_SAVE();
	v = 0;
	EXPECT_OK(ioctl(p.s, TIOCGSOFTCAR, &v));
	EXPECT_EQ(v, 1);
	v = 0;
	EXPECT_OK(ioctl(p.s, TIOCSSOFTCAR, &v));
	EXPECT_OK(ioctl(p.s, TIOCGSOFTCAR, &v));
	EXPECT_EQ(v, 0);
}
