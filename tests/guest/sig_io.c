#include "tests/guest/guest_test.h"

#include <netinet/in.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>

/* Signal-driven I/O: O_ASYNC, F_SETOWN, F_SETSIG, SIGURG. */

static int sig_of_file;

static int taken_within(int signo, int seconds, siginfo_t *ret)
{
	struct timespec limit = {.tv_sec = seconds};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signo);
	return sigtimedwait(&set, ret, &limit);
}

/* Waits for nothing: what does not concern a device is sent before its call is over. */
static int taken(int signo, siginfo_t *ret)
{
	return taken_within(signo, 0, ret);
}

static void block(int signo)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signo);
	ASSERT_OK(sigprocmask(SIG_BLOCK, &set, NULL));
}

static void own(int fd, int sig)
{
	sig_of_file = SIGRTMIN + sig;
	block(sig_of_file);
	block(SIGIO);
	block(SIGURG);
	EXPECT_OK(fcntl(fd, F_SETOWN, getpid()));
	EXPECT_OK(fcntl(fd, F_SETSIG, sig_of_file));
	EXPECT_OK(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC));
}

/* The next signal of the file says this. */
static void expect_told(int fd, int code)
{
	siginfo_t si = {0};

	EXPECT_EQ(taken_within(sig_of_file, 60, &si), sig_of_file);
	EXPECT_EQ(si.si_code, code);
	EXPECT_EQ(si.si_fd, fd);
}

static void expect_silence(void)
{
	siginfo_t si;

	EXPECT_ERRNO(taken(sig_of_file, &si), EAGAIN);
}

GUEST_TEST(plain_sigio)
{
	siginfo_t si = {0};
	int p[2];

	ASSERT_OK(pipe(p));
	block(SIGIO);
	EXPECT_EQ(fcntl(p[0], F_GETOWN), 0);
	EXPECT_EQ(fcntl(p[0], F_GETSIG), 0);
	EXPECT_OK(fcntl(p[0], F_SETFL, O_ASYNC));
	ASSERT_EQ(write(p[1], "a", 1), 1);
	EXPECT_ERRNO(taken(SIGIO, &si), EAGAIN);
	EXPECT_OK(fcntl(p[0], F_SETOWN, getpid()));
	MAYBE_SAVE();
	EXPECT_EQ(fcntl(p[0], F_GETOWN), getpid());
	EXPECT_TRUE(fcntl(p[0], F_GETFL) & O_ASYNC);
	ASSERT_EQ(write(p[1], "b", 1), 1);
	MAYBE_SAVE();
	EXPECT_EQ(taken(SIGIO, &si), SIGIO);
	EXPECT_EQ(si.si_code, SI_KERNEL);
	EXPECT_OK(fcntl(p[0], F_SETFL, 0));
	ASSERT_EQ(write(p[1], "c", 1), 1);
	EXPECT_ERRNO(taken(SIGIO, &si), EAGAIN);
}

GUEST_TEST(pipe_both_ends)
{
	char buf[8];
	int p[2];

	ASSERT_OK(pipe(p));
	own(p[0], 1);
	ASSERT_EQ(write(p[1], "ab", 2), 2);
	expect_told(p[0], POLL_IN);
	MAYBE_SAVE();
	/* Every write tells, whatever lies there. */
	ASSERT_EQ(write(p[1], "cd", 2), 2);
	expect_told(p[0], POLL_IN);
	expect_silence();
	own(p[1], 2);
	ASSERT_EQ(read(p[0], buf, 1), 1);
	expect_told(p[1], POLL_OUT);
	ASSERT_OK(close(p[0]));
	expect_told(p[1], POLL_OUT);
	expect_silence();
}

GUEST_TEST(signals_queue)
{
	int p[2];

	ASSERT_OK(pipe(p));
	own(p[0], 1);
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(write(p[1], "ab", 2), 2);
	MAYBE_SAVE();
	for (int i = 0; i < 3; i++)
		expect_told(p[0], POLL_IN);
	expect_silence();
}

GUEST_TEST(unix_stream)
{
	char buf[4096];
	int s[2];
	long sent = 0, r;

	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
	own(s[0], 1);
	ASSERT_EQ(write(s[1], "x", 1), 1);
	expect_told(s[0], POLL_IN);
	ASSERT_EQ(read(s[0], buf, 1), 1);
	memset(buf, 0, sizeof(buf));
	while ((r = write(s[0], buf, sizeof(buf))) > 0)
		sent += r;
	EXPECT_EQ(errno, EAGAIN);
	expect_silence();
	MAYBE_SAVE();
	while (sent > 0) {
		r = read(s[1], buf, sizeof(buf));
		ASSERT_TRUE(r > 0);
		sent -= r;
	}
	expect_told(s[0], POLL_OUT);
	expect_silence();
	ASSERT_OK(close(s[1]));
	expect_told(s[0], POLL_HUP);
	expect_silence();
}

static int tcp_listener(struct sockaddr_in *ret)
{
	socklen_t len = sizeof(*ret);
	int l = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0));

	*ret = (struct sockaddr_in){.sin_family = AF_INET,
	                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	ASSERT_OK(bind(l, (struct sockaddr *)ret, sizeof(*ret)));
	ASSERT_OK(listen(l, 5));
	ASSERT_OK(getsockname(l, (struct sockaddr *)ret, &len));
	return l;
}

GUEST_TEST(tcp)
{
	struct sockaddr_in a;
	siginfo_t si;
	int l = tcp_listener(&a), c, s;

	own(l, 1);
	c = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0));
	ASSERT_OK(connect(c, (struct sockaddr *)&a, sizeof(a)));
	expect_told(l, POLL_IN);
	s = ASSERT_OK(accept(l, NULL, NULL));
	MAYBE_SAVE();
	own(s, 2);
	ASSERT_EQ(send(c, "data", 4, 0), 4);
	expect_told(s, POLL_IN);
	/* Urgent data: SIGURG with or without O_ASYNC. */
	EXPECT_ERRNO(taken(SIGURG, &si), EAGAIN);
	ASSERT_EQ(send(c, "u", 1, MSG_OOB), 1);
	EXPECT_EQ(taken(SIGURG, &si), SIGURG);
	EXPECT_EQ(si.si_code, SI_KERNEL);
	expect_told(s, POLL_PRI);
	expect_told(s, POLL_IN);
	/* Linux may tell of an end twice. */
	ASSERT_OK(shutdown(c, SHUT_WR));
	expect_told(s, POLL_IN);
}

GUEST_TEST(urgent_needs_no_async)
{
	struct sockaddr_in a;
	siginfo_t si;
	int l = tcp_listener(&a), c, s;

	block(SIGURG);
	block(SIGIO);
	c = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0));
	ASSERT_OK(connect(c, (struct sockaddr *)&a, sizeof(a)));
	s = ASSERT_OK(accept(l, NULL, NULL));
	ASSERT_EQ(send(c, "u", 1, MSG_OOB), 1);
	EXPECT_ERRNO(taken(SIGURG, &si), EAGAIN);
	EXPECT_OK(fcntl(s, F_SETOWN, getpid()));
	MAYBE_SAVE();
	ASSERT_EQ(send(c, "v", 1, MSG_OOB), 1);
	EXPECT_EQ(taken(SIGURG, &si), SIGURG);
	EXPECT_ERRNO(taken(SIGIO, &si), EAGAIN);
}

GUEST_TEST(reset_and_connect)
{
	struct linger now = {.l_onoff = 1};
	struct sockaddr_in a;
	int l = tcp_listener(&a), c, s;

	c = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0));
	own(c, 1);
	ASSERT_OK(connect(c, (struct sockaddr *)&a, sizeof(a)));
	expect_told(c, POLL_OUT);
	s = ASSERT_OK(accept(l, NULL, NULL));
	MAYBE_SAVE();
	ASSERT_OK(setsockopt(s, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
	ASSERT_OK(close(s));
	expect_told(c, POLL_ERR);
	expect_silence();
}

GUEST_TEST(udp)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int r = ASSERT_OK(socket(AF_INET, SOCK_DGRAM, 0));
	int s = ASSERT_OK(socket(AF_INET, SOCK_DGRAM, 0));

	ASSERT_OK(bind(r, (struct sockaddr *)&a, sizeof(a)));
	ASSERT_OK(getsockname(r, (struct sockaddr *)&a, &len));
	own(r, 1);
	MAYBE_SAVE();
	ASSERT_EQ(sendto(s, "x", 1, 0, (struct sockaddr *)&a, len), 1);
	ASSERT_EQ(sendto(s, "y", 1, 0, (struct sockaddr *)&a, len), 1);
	expect_told(r, POLL_IN);
	expect_told(r, POLL_IN);
	expect_silence();
}

GUEST_TEST(terminal)
{
	int m = ASSERT_OK(open("/dev/ptmx", O_RDWR | O_NOCTTY)), s, pid = getpid();
	struct f_owner_ex ex;

	ASSERT_OK(unlockpt(m));
	s = ASSERT_OK(open(ptsname(m), O_RDWR | O_NOCTTY));
	block(SIGIO);
	sig_of_file = SIGRTMIN;
	block(sig_of_file);
	/* Without an owner the caller becomes it. */
	EXPECT_OK(fcntl(s, F_SETFL, O_RDWR | O_ASYNC));
	EXPECT_EQ(fcntl(s, F_GETOWN), pid);
	EXPECT_OK(fcntl(s, F_GETOWN_EX, &ex));
	EXPECT_EQ(ex.type, F_OWNER_PID);
	EXPECT_OK(fcntl(s, F_SETSIG, sig_of_file));
	MAYBE_SAVE();
	ASSERT_EQ(write(m, "a", 1), 1);
	expect_silence();
	ASSERT_EQ(write(m, "\n", 1), 1);
	expect_told(s, POLL_IN);
	expect_silence();
}

GUEST_TEST(inotify)
{
	char path[200];
	int in = ASSERT_OK(inotify_init1(IN_NONBLOCK)), fd;

	snprintf(path, sizeof(path), "%s/f", guest_tmp());
	fd = ASSERT_OK(open(path, O_CREAT | O_RDWR, 0600));
	ASSERT_OK(inotify_add_watch(in, path, IN_MODIFY));
	own(in, 1);
	MAYBE_SAVE();
	ASSERT_EQ(write(fd, "x", 1), 1);
	expect_told(in, POLL_IN);
	expect_silence();
}

/* ---- owners ---- */

GUEST_TEST(owner_kinds)
{
	struct f_owner_ex ex;
	int p[2], pid;

	ASSERT_OK(pipe(p));
	EXPECT_OK(fcntl(p[0], F_GETOWN_EX, &ex));
	EXPECT_EQ(ex.type, F_OWNER_TID);
	EXPECT_EQ(ex.pid, 0);
	ASSERT_OK(setpgid(0, 0));
	EXPECT_OK(fcntl(p[0], F_SETOWN, -getpid()));
	MAYBE_SAVE();
	EXPECT_EQ(fcntl(p[0], F_GETOWN), -getpid());
	EXPECT_OK(fcntl(p[0], F_GETOWN_EX, &ex));
	EXPECT_EQ(ex.type, F_OWNER_PGRP);
	EXPECT_EQ(ex.pid, getpid());
	ex = (struct f_owner_ex){F_OWNER_TID, gettid()};
	EXPECT_OK(fcntl(p[0], F_SETOWN_EX, &ex));
	EXPECT_EQ(fcntl(p[0], F_GETOWN), gettid());
	ex.type = 7;
	EXPECT_ERRNO(fcntl(p[0], F_SETOWN_EX, &ex), EINVAL);
	EXPECT_ERRNO(fcntl(p[0], F_SETSIG, 65), EINVAL);

	pid = ASSERT_OK(fork());
	if (pid == 0)
		_exit(0);
	EXPECT_OK(fcntl(p[0], F_SETOWN, pid));
	ASSERT_EQ(waitpid(pid, NULL, 0), pid);
	/* It is gone: nobody, and nobody can be it. */
	EXPECT_EQ(fcntl(p[0], F_GETOWN), 0);
	MAYBE_SAVE();
	EXPECT_ERRNO(fcntl(p[0], F_SETOWN, pid), ESRCH);
	EXPECT_OK(fcntl(p[0], F_SETOWN, 0));
	EXPECT_EQ(fcntl(p[0], F_GETOWN), 0);
}

GUEST_TEST(another_process_is_told)
{
	int p[2], back[2], pid;
	char c;

	ASSERT_OK(pipe(p));
	ASSERT_OK(pipe(back));
	block(SIGIO);
	pid = ASSERT_OK(fork());
	if (pid == 0) {
		sigset_t set;
		siginfo_t si;

		sigemptyset(&set);
		sigaddset(&set, SIGIO);
		EXPECT_EQ(sigwaitinfo(&set, &si), SIGIO);
		EXPECT_EQ(write(back[1], "!", 1), 1);
		_exit(0);
	}
	EXPECT_OK(fcntl(p[0], F_SETOWN, pid));
	EXPECT_OK(fcntl(p[0], F_SETFL, O_ASYNC));
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	ASSERT_EQ(write(p[1], "x", 1), 1);
	EXPECT_EQ(read(back[0], &c, 1), 1);
	EXPECT_EQ(waitpid(pid, NULL, 0), pid);
}

GUEST_TEST(socket_ioctls)
{
	int s[2], who = getpid(), on = 1;
	siginfo_t si;
	int e = ASSERT_OK(open(guest_tmp(), O_RDONLY | O_DIRECTORY));

	block(SIGIO);
	ASSERT_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	EXPECT_OK(ioctl(s[0], FIOSETOWN, &who));
	who = 0;
	EXPECT_OK(ioctl(s[0], FIOGETOWN, &who));
	EXPECT_EQ(who, getpid());
	EXPECT_OK(ioctl(s[0], SIOCGPGRP, &who));
	EXPECT_EQ(who, getpid());
	EXPECT_OK(ioctl(s[0], FIOASYNC, &on));
	MAYBE_SAVE();
	ASSERT_EQ(send(s[1], "x", 1, 0), 1);
	EXPECT_EQ(taken(SIGIO, &si), SIGIO);
	who = 0x7ffffff;
	EXPECT_ERRNO(ioctl(s[0], SIOCSPGRP, &who), ESRCH);
	/* What can't say so refuses, and only when asked to change. */
	EXPECT_ERRNO(ioctl(e, FIOASYNC, &on), ENOTTY);
	on = 0;
	EXPECT_OK(ioctl(e, FIOASYNC, &on));
}

GUEST_TEST(hung_up_terminal_is_silent)
{
	int m = ASSERT_OK(posix_openpt(O_RDWR | O_NOCTTY)), s;
	siginfo_t si;

	ASSERT_OK(unlockpt(m));
	s = ASSERT_OK(open(ptsname(m), O_RDWR | O_NOCTTY));
	own(s, 1);
	ASSERT_EQ(write(m, "x\n", 2), 2);
	EXPECT_EQ(taken_within(sig_of_file, 10, &si), sig_of_file);
	MAYBE_SAVE();
	while (taken(sig_of_file, &si) > 0)
		;
	EXPECT_OK(close(m));
	EXPECT_ERRNO(taken_within(sig_of_file, 0, &si), EAGAIN);
	EXPECT_ERRNO(taken_within(SIGIO, 0, &si), EAGAIN);
}
