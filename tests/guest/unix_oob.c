#include "tests/guest/guest_test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/sockios.h>

/* Out-of-band bytes of AF_UNIX streams. */

static int s[2];
static char buf[32];

static void make_pair(void)
{
	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
}

static void put(const char *text, int flags)
{
	EXPECT_EQ(send(s[0], text, strlen(text), flags), (long)strlen(text));
}

static void expect_text(int flags, const char *text)
{
	memset(buf, 0, sizeof(buf));
	EXPECT_EQ(recv(s[1], buf, sizeof(buf) - 1, flags), (long)strlen(text));
	EXPECT_STREQ(buf, text);
}

static int number(unsigned long what)
{
	int n = -1;

	EXPECT_OK(ioctl(s[1], what, &n));
	return n;
}

static int events(void)
{
	struct pollfd p = {.fd = s[1], .events = POLLIN | POLLPRI};

	EXPECT_OK(poll(&p, 1, 0));
	return p.revents;
}

GUEST_TEST(the_last_byte_is_apart)
{
	make_pair();
	put("abc", MSG_OOB);
	put("def", 0);
	EXPECT_EQ(number(FIONREAD), 6);
	EXPECT_EQ(events(), POLLIN | POLLPRI);
	EXPECT_EQ(number(SIOCATMARK), 0);
	MAYBE_SAVE();
	expect_text(MSG_PEEK, "ab");
	expect_text(MSG_OOB | MSG_PEEK, "c");
	expect_text(MSG_OOB, "c");
	EXPECT_ERRNO(recv(s[1], buf, 1, MSG_OOB), EINVAL);
	EXPECT_EQ(events(), POLLIN);
	EXPECT_EQ(number(FIONREAD), 5);
	MAYBE_SAVE();
	expect_text(MSG_PEEK, "ab");
	expect_text(0, "ab");
	EXPECT_EQ(number(SIOCATMARK), 1);
	expect_text(MSG_PEEK, "def");
	expect_text(0, "def");
	EXPECT_EQ(events(), 0);
}

GUEST_TEST(a_receive_that_begins_there_loses_it)
{
	make_pair();
	put("ab!", MSG_OOB);
	put("cd", 0);
	expect_text(0, "ab");
	EXPECT_EQ(number(SIOCATMARK), 1);
	MAYBE_SAVE();
	expect_text(MSG_PEEK, "cd");
	EXPECT_EQ(events(), POLLIN | POLLPRI);
	expect_text(0, "cd");
	EXPECT_EQ(events(), 0);
	EXPECT_ERRNO(recv(s[1], buf, 1, MSG_OOB), EINVAL);
	put("!", MSG_OOB);
	EXPECT_ERRNO(recv(s[1], buf, 1, 0), EAGAIN);
}

GUEST_TEST(the_latest_is_the_urgent_one)
{
	make_pair();
	put("ab1", MSG_OOB);
	put("cd2", MSG_OOB);
	put("ef", 0);
	MAYBE_SAVE();
	expect_text(0, "ab1cd");
	expect_text(MSG_OOB, "2");
	expect_text(0, "ef");
}

GUEST_TEST(a_mark_is_none_before_a_later_one)
{
	make_pair();
	put("ab1", MSG_OOB);
	expect_text(MSG_OOB, "1");
	put("cd2", MSG_OOB);
	put("e", 0);
	MAYBE_SAVE();
	expect_text(0, "abcd");
	expect_text(MSG_OOB, "2");
	expect_text(0, "e");
	put("ab1", MSG_OOB);
	expect_text(MSG_OOB, "1");
	put("cd2", MSG_OOB);
	expect_text(MSG_OOB, "2");
	MAYBE_SAVE();
	expect_text(0, "ab");
	expect_text(0, "cd");
	EXPECT_EQ(number(SIOCATMARK), 1);
	EXPECT_ERRNO(recv(s[1], buf, 1, 0), EAGAIN);
	EXPECT_EQ(number(SIOCATMARK), 0);
}

GUEST_TEST(in_line)
{
	int one = 1;

	make_pair();
	ASSERT_OK(setsockopt(s[1], SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one)));
	put("abc", MSG_OOB);
	put("de", 0);
	EXPECT_ERRNO(recv(s[1], buf, 1, MSG_OOB), EINVAL);
	MAYBE_SAVE();
	expect_text(0, "ab");
	EXPECT_EQ(number(SIOCATMARK), 1);
	EXPECT_EQ(events(), POLLIN | POLLPRI);
	expect_text(MSG_PEEK, "cde");
	MAYBE_SAVE();
	expect_text(0, "cde");
	EXPECT_EQ(events(), 0);
}

static volatile sig_atomic_t urgent;

static void on_urgent(int sig)
{
	urgent++;
}

GUEST_TEST(the_owner_is_told)
{
	make_pair();
	ASSERT_TRUE(signal(SIGURG, on_urgent) != SIG_ERR);
	ASSERT_OK(fcntl(s[1], F_SETOWN, getpid()));
	put("a", 0);
	EXPECT_EQ(urgent, 0);
	MAYBE_SAVE();
	put("b", MSG_OOB);
	EXPECT_EQ(urgent, 1);
}

GUEST_TEST(what_came_with_it_is_dropped_with_it)
{
	char control[CMSG_SPACE(sizeof(int))] = "";
	char x[] = "x";
	struct iovec iov = {x, 1};
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = control,
	                   .msg_controllen = sizeof(control)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	int p[2];

	make_pair();
	ASSERT_OK(pipe2(p, O_NONBLOCK));
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &p[1], sizeof(int));
	EXPECT_EQ(sendmsg(s[0], &m, MSG_OOB), 1);
	ASSERT_OK(close(p[1]));
	EXPECT_ERRNO(read(p[0], buf, 1), EAGAIN);
	MAYBE_SAVE();
	iov.iov_base = buf;
	m.msg_controllen = sizeof(control);
	EXPECT_EQ(recvmsg(s[1], &m, MSG_OOB), 1);
	EXPECT_EQ(m.msg_flags & MSG_OOB, MSG_OOB);
	EXPECT_EQ(m.msg_controllen, 0);
	EXPECT_ERRNO(read(p[0], buf, 1), EAGAIN);
	MAYBE_SAVE();
	EXPECT_ERRNO(recv(s[1], buf, 1, 0), EAGAIN);
	EXPECT_EQ(read(p[0], buf, 1), 0);
}

GUEST_TEST(a_mark_is_not_left_unread)
{
	make_pair();
	put("a", MSG_OOB);
	expect_text(MSG_OOB, "a");
	EXPECT_OK(close(s[1]));
	EXPECT_EQ(recv(s[0], buf, 1, 0), 0);
	make_pair();
	put("a", MSG_OOB);
	MAYBE_SAVE();
	EXPECT_OK(close(s[1]));
	EXPECT_ERRNO(recv(s[0], buf, 1, 0), ECONNRESET);
}

GUEST_TEST(refused)
{
	make_pair();
	EXPECT_ERRNO(recv(s[1], buf, 1, MSG_OOB), EINVAL);
	EXPECT_ERRNO(send(s[0], "", 0, MSG_OOB), EOPNOTSUPP);
	ASSERT_OK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, s));
	EXPECT_ERRNO(send(s[0], "a", 1, MSG_OOB), EOPNOTSUPP);
	EXPECT_ERRNO(recv(s[1], buf, 1, MSG_OOB), EOPNOTSUPP);
	EXPECT_ERRNO(ioctl(s[1], SIOCATMARK, buf), EOPNOTSUPP);
}
