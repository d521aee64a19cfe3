#pragma once
/*
 * Ptys for the guest programs: a pair, exact reads, settings.
 *
 * Locking: none. Lifetime: descriptors are the case's. Saved: nothing.
 */
#include "tests/guest/guest_test.h"

#include <sys/ioctl.h>
#include <termios.h>

struct pty_pair {
	int m, s;
	char name[64];
};

/* Both ends open, unlocked, the slave not anybody's controlling terminal. */
__attribute__((unused)) static struct pty_pair pty_open_pair(void)
{
	struct pty_pair p;

	p.m = ASSERT_OK(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
	ASSERT_OK(grantpt(p.m));
	ASSERT_OK(unlockpt(p.m));
	ASSERT_EQ(ptsname_r(p.m, p.name, sizeof(p.name)), 0);
	p.s = ASSERT_OK(open(p.name, O_RDWR | O_NOCTTY | O_CLOEXEC));
	return p;
}

/* Reads exactly what is expected, however it comes in pieces. */
__attribute__((unused)) static void pty_expect_n(const char *file, int line, int fd,
                                                 const char *want, size_t n)
{
	char buf[8192];
	size_t got = 0;

	if (n >= sizeof(buf))
		_exit(1);
	while (got < n) {
		ssize_t r = read(fd, buf + got, n - got);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0) {
			guest_fail(file, line, "read %zd, errno %d, after %zu of %zu bytes", r,
			           errno, got, n);
			_exit(1);
		}
		got += (size_t)r;
	}
	if (memcmp(buf, want, n) != 0) {
		char shown[3 * 64 + 1] = "";

		for (size_t i = 0; i < n && i < 64; i++)
			sprintf(shown + 3 * i, "%02x ", (unsigned char)buf[i]);
		guest_fail(file, line, "read %s instead of \"%s\"", shown, want);
	}
}
#define EXPECT_READ(fd, text)      pty_expect_n(__FILE__, __LINE__, fd, text, strlen(text))
#define EXPECT_READ_N(fd, text, n) pty_expect_n(__FILE__, __LINE__, fd, text, n)

/* One read gives exactly this. */
#define EXPECT_ONE_READ(fd, text)                                             \
	({                                                                    \
		char guest_buf[8192];                                         \
		ssize_t guest_n = read(fd, guest_buf, sizeof(guest_buf) - 1); \
                                                                              \
		EXPECT_EQ(guest_n, (ssize_t)strlen(text));                    \
		guest_buf[guest_n > 0 ? guest_n : 0] = 0;                     \
		EXPECT_STREQ(guest_buf, text);                                \
	})

/* Nothing else came at the master: a mark written at the slave is the next thing to be read. */
#define EXPECT_QUIET(p)                             \
	({                                          \
		ASSERT_EQ(write((p).s, "#", 1), 1); \
		EXPECT_READ((p).m, "#");            \
	})

__attribute__((unused)) static void pty_put(int fd, const char *text)
{
	ASSERT_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* Changes flags: sets and clears. */
__attribute__((unused)) static void pty_flags(int fd, tcflag_t iset, tcflag_t iclr, tcflag_t oset,
                                              tcflag_t oclr, tcflag_t lset, tcflag_t lclr)
{
	struct termios t;

	ASSERT_OK(tcgetattr(fd, &t));
	t.c_iflag = (t.c_iflag & ~iclr) | iset;
	t.c_oflag = (t.c_oflag & ~oclr) | oset;
	t.c_lflag = (t.c_lflag & ~lclr) | lset;
	ASSERT_OK(tcsetattr(fd, TCSANOW, &t));
}

__attribute__((unused)) static void pty_raw(int fd, cc_t min, cc_t time)
{
	struct termios t;

	ASSERT_OK(tcgetattr(fd, &t));
	cfmakeraw(&t);
	t.c_cc[VMIN] = min;
	t.c_cc[VTIME] = time;
	ASSERT_OK(tcsetattr(fd, TCSANOW, &t));
}

/* Waits until the slave has this many bytes to read (input is processed in its own time). */
__attribute__((unused)) static void pty_wait_input(int fd, int n)
{
	int have = -1;

	while (ioctl(fd, FIONREAD, &have) == 0 && have < n)
		guest_sleep_ms(1);
	EXPECT_EQ(have, n);
}

/* A session of its own with the slave as its terminal, in a child; stdin is the slave. */
__attribute__((unused)) static void pty_enter_session(const struct pty_pair *p)
{
	ASSERT_OK(setsid());
	ASSERT_OK(ioctl(p->s, TIOCSCTTY, 0));
}
