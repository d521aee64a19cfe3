#include "tests/guest/pty_util.h"

#include <sys/time.h>

/* Raw reads (VMIN, VTIME) and what becomes of characters on their way in. */

GUEST_TEST(min_waits_for_enough)
{
	struct pty_pair p = pty_open_pair();
	pid_t pid;

	pty_raw(p.s, 5, 0);
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_ONE_READ(p.s, "abcde");
		_exit(0);
	}
	pty_put(p.m, "abc");
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	pty_put(p.m, "de");
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(min_zero_never_waits)
{
	struct pty_pair p = pty_open_pair();
	char c;

	pty_raw(p.s, 0, 0);
	EXPECT_EQ(read(p.s, &c, 1), 0);
	ASSERT_OK(fcntl(p.s, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(read(p.s, &c, 1), 0);
	pty_put(p.m, "x");
	pty_wait_input(p.s, 1);
	EXPECT_EQ(read(p.s, &c, 1), 1);
}

GUEST_TEST(time_alone_is_a_timeout)
{
	struct pty_pair p = pty_open_pair();
	int64_t before = guest_now(CLOCK_MONOTONIC);
	char c;

	pty_raw(p.s, 0, 2);
	EXPECT_EQ(read(p.s, &c, 1), 0);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC) - before, 190000000);
	MAYBE_SAVE();
	pty_raw(p.s, 0, 255);
	pty_put(p.m, "y");
	EXPECT_EQ(read(p.s, &c, 1), 1);
	EXPECT_EQ(c, 'y');
}

GUEST_TEST(time_between_bytes)
{
	struct pty_pair p = pty_open_pair();
	char buf[8];

	pty_raw(p.s, 5, 1);
	pty_put(p.m, "ab");
	EXPECT_EQ(read(p.s, buf, sizeof(buf)), 2);
	pty_raw(p.s, 2, 200);
	pty_put(p.m, "cd");
	MAYBE_SAVE();
	EXPECT_EQ(read(p.s, buf, sizeof(buf)), 2);
}

GUEST_TEST(a_short_buffer_is_enough)
{
	struct pty_pair p = pty_open_pair();
	char buf[4];

	pty_raw(p.s, 100, 0);
	pty_put(p.m, "abcdef");
	EXPECT_EQ(read(p.s, buf, 3), 3);
	EXPECT_EQ(read(p.s, buf, 3), 3);
}

GUEST_TEST(nonblocking_gives_what_there_is)
{
	struct pty_pair p = pty_open_pair();
	char buf[8];

	pty_raw(p.s, 5, 0);
	ASSERT_OK(fcntl(p.s, F_SETFL, O_NONBLOCK));
	EXPECT_ERRNO(read(p.s, buf, 8), EAGAIN);
	pty_put(p.m, "abc");
	pty_wait_input(p.s, 3);
	EXPECT_EQ(read(p.s, buf, 8), 3);
}

GUEST_TEST(poll_wants_min)
{
	struct pty_pair p = pty_open_pair();
	struct pollfd pf = {.fd = p.s, .events = POLLIN};

	pty_raw(p.s, 3, 0);
	pty_put(p.m, "ab");
	pty_wait_input(p.s, 2);
	EXPECT_EQ(poll(&pf, 1, 0), 0);
	pty_put(p.m, "c");
	EXPECT_EQ(poll(&pf, 1, -1), 1);
	EXPECT_ONE_READ(p.s, "abc");
}

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	alarms++;
}

GUEST_TEST(a_signal_ends_a_raw_read)
{
	struct pty_pair p = pty_open_pair();
	struct sigaction sa = {.sa_handler = on_alarm};
	struct itimerval it = {.it_value = {0, 50000}, .it_interval = {0, 50000}};
	char buf[8];

	sigaction(SIGALRM, &sa, NULL);
	pty_raw(p.s, 5, 0);
	setitimer(ITIMER_REAL, &it, NULL);
	EXPECT_ERRNO(read(p.s, buf, 8), EINTR);
	pty_put(p.m, "ab");
	EXPECT_EQ(read(p.s, buf, 8), 2);
}

GUEST_TEST(from_raw_to_lines_and_back)
{
	struct pty_pair p = pty_open_pair();

	pty_raw(p.s, 1, 0);
	pty_put(p.m, "abc");
	pty_wait_input(p.s, 3);
	pty_flags(p.s, 0, 0, 0, 0, ICANON, 0);
	MAYBE_SAVE();
	EXPECT_ONE_READ(p.s, "abc");
	pty_put(p.m, "de");
	pty_put(p.m, "f\n");
	pty_wait_input(p.s, 4);
	pty_flags(p.s, 0, 0, 0, 0, 0, ICANON);
	EXPECT_ONE_READ(p.s, "def\n");
}

static void mapped(tcflag_t iset, tcflag_t iclr, const char *in, const char *out, size_t n)
{
	struct pty_pair p = pty_open_pair();

	pty_raw(p.s, 1, 0);
	pty_flags(p.s, iset, iclr, 0, 0, 0, 0);
	pty_put(p.m, in);
	EXPECT_READ_N(p.s, out, n);
	close(p.m);
	close(p.s);
}

GUEST_TEST(newlines_and_returns)
{
	mapped(ICRNL, 0, "a\rb\nc", "a\nb\nc", 5);
	mapped(INLCR, 0, "a\rb\nc", "a\rb\rc", 5);
	mapped(IGNCR, 0, "a\rb\nc", "ab\nc", 4);
	mapped(ICRNL | INLCR, 0, "a\rb\nc", "a\nb\rc", 5);
}

GUEST_TEST(bits_and_marks)
{
	mapped(ISTRIP, 0,
	       "a\xe1"
	       "b",
	       "aab", 3);
	mapped(PARMRK, 0,
	       "a\xff"
	       "b",
	       "a\xff\xff"
	       "b",
	       4);
	mapped(0, 0,
	       "a\xff"
	       "b",
	       "a\xff"
	       "b",
	       3);
}

GUEST_TEST(a_newline_that_ends_no_line_is_a_control_character)
{
	struct pty_pair p = pty_open_pair();

	pty_flags(p.s, 0, 0, 0, 0, 0, ICANON);
	pty_put(p.m, "a\nb\rc\026");
	EXPECT_READ(p.m, "a^Jb\r\nc^V");
}

GUEST_TEST(letters_of_latin_1_have_cases)
{
	struct pty_pair p = pty_open_pair();

	pty_flags(p.s, IUCLC, 0, OLCUC, 0, 0, ECHO);
	pty_put(p.m, "aB\xc0\xd7\xde\n");
	EXPECT_ONE_READ(p.s, "ab\xe0\xd7\xfe\n");
	pty_put(p.s, "aB\xe0\xf7\xff");
	EXPECT_READ(p.m, "AB\xc0\xf7\xdf");
}

GUEST_TEST(with_extproc_nothing_is_processed)
{
	struct pty_pair p = pty_open_pair();

	pty_flags(p.s, 0, 0, 0, 0, EXTPROC, 0);
	pty_put(p.m, "ab\177\003c");
	pty_wait_input(p.s, 5);
	MAYBE_SAVE();
	EXPECT_ONE_READ(p.s, "ab\177\003c");
	EXPECT_QUIET(p);
	pty_flags(p.s, 0, 0, 0, 0, 0, EXTPROC);
	pty_put(p.m, "ab\177c\n");
	EXPECT_READ(p.m, "ab\b \bc\r\n");
	EXPECT_ONE_READ(p.s, "ac\n");
}

GUEST_TEST(settings_survive)
{
	struct pty_pair p = pty_open_pair();
	struct termios t, u;

	ASSERT_OK(tcgetattr(p.s, &t));
	EXPECT_EQ(t.c_iflag, ICRNL | IXON);
	EXPECT_EQ(t.c_oflag, OPOST | ONLCR);
	EXPECT_EQ(t.c_lflag, ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN);
	EXPECT_EQ(cfgetospeed(&t), B38400);
	EXPECT_EQ(t.c_cc[VINTR], 3);
	EXPECT_EQ(t.c_cc[VERASE], 0x7f);
	EXPECT_EQ(t.c_cc[VMIN], 1);
	t.c_cc[VINTR] = 'q';
	t.c_lflag |= NOFLSH;
	cfsetspeed(&t, B9600);
	ASSERT_OK(tcsetattr(p.m, TCSADRAIN, &t));
	MAYBE_SAVE();
	ASSERT_OK(tcgetattr(p.s, &u));
	EXPECT_EQ(u.c_cc[VINTR], 'q');
	EXPECT_TRUE(u.c_lflag & NOFLSH);
	EXPECT_EQ(cfgetospeed(&u), B9600);
}
