#include "tests/guest/pty_util.h"

/* Canonical mode: what editing a line gives, and what is seen of it. */

static void typed(const char *keys, const char *seen, const char *line)
{
	struct pty_pair p = pty_open_pair();

	pty_put(p.m, keys);
	EXPECT_READ(p.m, seen);
	EXPECT_ONE_READ(p.s, line);
	EXPECT_QUIET(p);
	close(p.m);
	close(p.s);
}

GUEST_TEST(erase_a_character)
{
	typed("abX\177c\n", "abX\b \bc\r\n", "abc\n");
	typed("\177\177a\n", "a\r\n", "a\n");
	typed("a\001\177b\n", "a^A\b \b\b \bb\r\n", "ab\n");
}

GUEST_TEST(erase_a_word)
{
	typed("one two\027x\n", "one two\b \b\b \b\b \bx\r\n", "one x\n");
	typed("a b  \027c\n", "a b  \b \b\b \b\b \bc\r\n", "a c\n");
}

GUEST_TEST(kill_the_line)
{
	typed("abc\025x\n", "abc\b \b\b \b\b \bx\r\n", "x\n");
}

GUEST_TEST(kill_without_echoke)
{
	struct pty_pair p = pty_open_pair();

	pty_flags(p.s, 0, 0, 0, 0, 0, ECHOKE);
	pty_put(p.m, "abc\025x\n");
	EXPECT_READ(p.m, "abc^U\r\nx\r\n");
	EXPECT_ONE_READ(p.s, "x\n");
}

GUEST_TEST(erase_without_echoe)
{
	struct pty_pair p = pty_open_pair();

	pty_flags(p.s, 0, 0, 0, 0, 0, ECHOE);
	pty_put(p.m, "ab\177c\n");
	EXPECT_READ(p.m, "ab^?c\r\n");
	EXPECT_ONE_READ(p.s, "ac\n");
}

GUEST_TEST(erase_a_tab)
{
	typed("ab\t\177c\n", "ab\t\b\b\b\b\b\bc\r\n", "abc\n");
}

GUEST_TEST(echoprt_shows_what_is_erased)
{
	struct pty_pair p = pty_open_pair();

	pty_flags(p.s, 0, 0, 0, 0, ECHOPRT, 0);
	pty_put(p.m, "abc\177\177d\n");
	EXPECT_READ(p.m, "abc\\cb/d\r\n");
	EXPECT_ONE_READ(p.s, "ad\n");
}

GUEST_TEST(literal_next)
{
	typed("a\026\003b\n", "a^\b^Cb\r\n", "a\003b\n");
	typed("a\026\177b\n", "a^\b^?b\r\n", "a\177b\n");
}

GUEST_TEST(reprint)
{
	typed("ab\022c\n", "ab^R\r\nabc\r\n", "abc\n");
}

GUEST_TEST(end_of_file)
{
	struct pty_pair p = pty_open_pair();
	char c;

	pty_put(p.m, "\004");
	EXPECT_EQ(read(p.s, &c, 1), 0);
	pty_put(p.m, "abc\004");
	EXPECT_READ(p.m, "abc");
	MAYBE_SAVE();
	EXPECT_ONE_READ(p.s, "abc");
	pty_put(p.m, "x\n\004y\n");
	EXPECT_READ(p.m, "x\r\ny\r\n");
	EXPECT_ONE_READ(p.s, "x\n");
	MAYBE_SAVE();
	EXPECT_EQ(read(p.s, &c, 1), 0);
	EXPECT_ONE_READ(p.s, "y\n");
}

GUEST_TEST(end_of_file_with_an_exact_buffer)
{
	struct pty_pair p = pty_open_pair();
	char buf[8];

	pty_put(p.m, "abc\004def\n");
	EXPECT_READ(p.m, "abcdef\r\n");
	EXPECT_EQ(read(p.s, buf, 3), 3);
	EXPECT_EQ(read(p.s, buf, 8), 4);
	EXPECT_EQ(memcmp(buf, "def\n", 4), 0);
}

GUEST_TEST(other_line_ends)
{
	struct pty_pair p = pty_open_pair();
	struct termios t;

	ASSERT_OK(tcgetattr(p.s, &t));
	t.c_cc[VEOL] = ';';
	t.c_cc[VEOL2] = '!';
	ASSERT_OK(tcsetattr(p.s, TCSANOW, &t));
	pty_put(p.m, "a;b!c\n");
	EXPECT_READ(p.m, "a;b!c\r\n");
	EXPECT_ONE_READ(p.s, "a;");
	MAYBE_SAVE();
	EXPECT_ONE_READ(p.s, "b!");
	EXPECT_ONE_READ(p.s, "c\n");
}

GUEST_TEST(a_line_in_pieces)
{
	struct pty_pair p = pty_open_pair();
	char buf[4];

	pty_put(p.m, "abcdef\n");
	EXPECT_READ(p.m, "abcdef\r\n");
	EXPECT_EQ(read(p.s, buf, 4), 4);
	MAYBE_SAVE();
	EXPECT_EQ(memcmp(buf, "abcd", 4), 0);
	EXPECT_ONE_READ(p.s, "ef\n");
}

GUEST_TEST(a_line_is_read_only_when_whole)
{
	struct pty_pair p = pty_open_pair();
	struct pollfd pf = {.fd = p.s, .events = POLLIN};
	char c;

	pty_put(p.m, "abc");
	EXPECT_READ(p.m, "abc");
	EXPECT_EQ(poll(&pf, 1, 0), 0);
	ASSERT_OK(fcntl(p.s, F_SETFL, O_NONBLOCK));
	EXPECT_ERRNO(read(p.s, &c, 1), EAGAIN);
	MAYBE_SAVE();
	pty_put(p.m, "\177d\n");
	EXPECT_READ(p.m, "\b \bd\r\n");
	EXPECT_EQ(poll(&pf, 1, -1), 1);
	EXPECT_ONE_READ(p.s, "abd\n");
}

GUEST_TEST(a_line_too_long_keeps_its_head)
{
	struct pty_pair p = pty_open_pair();
	static char in[5000], got[8192];
	ssize_t n;

	pty_flags(p.s, 0, 0, 0, 0, 0, ECHO);
	memset(in, 'a', sizeof(in));
	in[sizeof(in) - 1] = '\n';
	for (size_t at = 0; at < sizeof(in); at += 500)
		ASSERT_EQ(write(p.m, in + at, 500), 500);
	n = read(p.s, got, sizeof(got));
	EXPECT_EQ(n, 4096);
	EXPECT_EQ(got[4095], '\n');
	EXPECT_EQ(got[4094], 'a');
}

GUEST_TEST(echo_of_nothing_but_newlines)
{
	struct pty_pair p = pty_open_pair();

	pty_flags(p.s, 0, 0, 0, 0, ECHONL, ECHO);
	pty_put(p.m, "secret\n");
	EXPECT_READ(p.m, "\r\n");
	EXPECT_ONE_READ(p.s, "secret\n");
	EXPECT_QUIET(p);
}

GUEST_TEST(control_characters_plain)
{
	struct pty_pair p = pty_open_pair();

	pty_flags(p.s, 0, 0, 0, 0, 0, ECHOCTL);
	pty_put(p.m, "a\001b\n");
	EXPECT_READ(p.m, "a\001b\r\n");
	EXPECT_ONE_READ(p.s, "a\001b\n");
}

GUEST_TEST(utf8_is_erased_whole)
{
	struct pty_pair p = pty_open_pair();

	pty_flags(p.s, IUTF8, 0, 0, 0, 0, 0);
	pty_put(p.m, "a\xc3\xa9\177"
	             "b\n");
	EXPECT_READ(p.m, "a\xc3\xa9\b \bb\r\n");
	EXPECT_ONE_READ(p.s, "ab\n");
}

GUEST_TEST(settings_flush_and_count)
{
	struct pty_pair p = pty_open_pair();
	int n = -1;
	struct termios t;

	pty_put(p.m, "abc\nde");
	EXPECT_READ(p.m, "abc\r\nde");
	EXPECT_OK(ioctl(p.s, FIONREAD, &n));
	EXPECT_EQ(n, 4);
	EXPECT_OK(tcflush(p.s, TCIFLUSH));
	EXPECT_OK(ioctl(p.s, FIONREAD, &n));
	EXPECT_EQ(n, 0);
	pty_put(p.m, "xyz\n");
	EXPECT_READ(p.m, "xyz\r\n");
	ASSERT_OK(tcgetattr(p.s, &t));
	ASSERT_OK(tcsetattr(p.s, TCSAFLUSH, &t));
	EXPECT_OK(ioctl(p.s, FIONREAD, &n));
	EXPECT_EQ(n, 0);
}

GUEST_TEST(a_blocked_read_goes_on_after_a_save)
{
	struct pty_pair p = pty_open_pair();
	pid_t pid = guest_fork();

	if (pid == 0) {
		EXPECT_ONE_READ(p.s, "late\n");
		_exit(0);
	}
	guest_wait_blocked(pid);
	pty_put(p.m, "la");
	EXPECT_READ(p.m, "la");
	MAYBE_SAVE();
	pty_put(p.m, "te\n");
	EXPECT_EQ(guest_reap(pid), 0);
}
