#include "tests/guest/pty_util.h"

#include <sys/sysmacros.h>

/* Controlling terminals and who may use them. */

/* Runs fn as the leader of a session whose terminal is the pty. */
static void as_leader(void (*fn)(const struct pty_pair *p))
{
	struct pty_pair p = pty_open_pair();
	pid_t pid = guest_fork();

	if (pid == 0) {
		pty_enter_session(&p);
		fn(&p);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

static long stat_field(int n)
{
	char buf[1024], *at;

	if (guest_read_file("/proc/self/stat", buf, sizeof(buf)) <= 0)
		return -2;
	at = strrchr(buf, ')') + 2;
	for (int i = 3; i < n; i++)
		at = strchr(at, ' ') + 1;
	return strtol(at, NULL, 10);
}

static void leader_knows(const struct pty_pair *p)
{
	struct stat st;
	pid_t sid = -1;
	int fd;

	ASSERT_OK(fstat(p->s, &st));
	EXPECT_EQ(tcgetpgrp(p->s), getpid());
	EXPECT_OK(ioctl(p->s, TIOCGSID, &sid));
	EXPECT_EQ(sid, getpid());
	EXPECT_EQ(stat_field(8), getpid());
	/* The number as /proc has it: minor low byte, major, minor high bits. */
	EXPECT_EQ(stat_field(7), (long)(minor(st.st_rdev) & 0xff) | 136 << 8 |
	                                 (long)(minor(st.st_rdev) >> 8) << 20);
	MAYBE_SAVE();
	fd = ASSERT_OK(open("/dev/tty", O_RDWR));
	EXPECT_TRUE(isatty(fd));
	pty_put(fd, "via tty");
	EXPECT_READ(p->m, "via tty");
	/* Asked at the other end. */
	EXPECT_EQ(tcgetpgrp(p->m), getpid());
	/* But it can't be given up there. */
	EXPECT_ERRNO(ioctl(p->m, TIOCNOTTY), ENOTTY);
	EXPECT_EQ(tcgetpgrp(p->s), getpid());
}

GUEST_TEST(the_leader_and_its_terminal)
{
	as_leader(leader_knows);
}

GUEST_TEST(without_a_terminal)
{
	struct pty_pair p = pty_open_pair();
	pid_t pid = guest_fork();

	if (pid == 0) {
		pid_t sid;

		ASSERT_OK(setsid());
		EXPECT_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
		EXPECT_ERRNO(tcgetpgrp(p.s), ENOTTY);
		EXPECT_ERRNO(ioctl(p.s, TIOCGSID, &sid), ENOTTY);
		EXPECT_ERRNO(ioctl(p.s, TIOCNOTTY), ENOTTY);
		EXPECT_EQ(stat_field(7), 0);
		EXPECT_EQ(stat_field(8), -1);
		/* Asked of a master whose slave controls nobody. */
		EXPECT_EQ(tcgetpgrp(p.m), 0);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(open_takes_a_terminal)
{
	struct pty_pair p = pty_open_pair();
	pid_t pid = guest_fork();

	if (pid == 0) {
		int fd;

		ASSERT_OK(setsid());
		fd = ASSERT_OK(open(p.name, O_RDWR | O_NOCTTY));
		EXPECT_ERRNO(tcgetpgrp(fd), ENOTTY);
		fd = ASSERT_OK(open(p.name, O_WRONLY));
		EXPECT_ERRNO(tcgetpgrp(fd), ENOTTY);
		fd = ASSERT_OK(open(p.name, O_RDWR));
		EXPECT_EQ(tcgetpgrp(fd), getpid());
		EXPECT_EQ(fcntl(fd, F_GETFL) & O_NOCTTY, 0);
		MAYBE_SAVE();
		/* One is enough. */
		{
			struct pty_pair q = pty_open_pair();

			fd = ASSERT_OK(open(q.name, O_RDWR));
			EXPECT_ERRNO(tcgetpgrp(fd), ENOTTY);
			EXPECT_ERRNO(ioctl(fd, TIOCSCTTY, 0), EPERM);
		}
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(a_terminal_has_one_session)
{
	struct pty_pair p = pty_open_pair();
	struct guest_gate ready, done;
	pid_t a;

	guest_gate_init(&ready);
	guest_gate_init(&done);
	a = guest_fork();
	if (a == 0) {
		pty_enter_session(&p);
		guest_gate_open(&ready);
		guest_gate_wait(&done);
		_exit(0);
	}
	guest_gate_wait(&ready);
	MAYBE_SAVE();
	if (guest_fork() == 0) {
		int fd;

		ASSERT_OK(setsid());
		EXPECT_ERRNO(ioctl(p.s, TIOCSCTTY, 0), EPERM);
		fd = ASSERT_OK(open(p.name, O_RDWR));
		EXPECT_ERRNO(tcgetpgrp(fd), ENOTTY);
		guest_gate_open(&done);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(a), 0);
	wait(NULL);
}

static void not_a_leader(const struct pty_pair *p)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		EXPECT_ERRNO(ioctl(p->s, TIOCSCTTY, 0), EPERM);
		EXPECT_EQ(tcgetpgrp(p->s), getppid());
		/* It gives it up for itself. */
		EXPECT_OK(ioctl(p->s, TIOCNOTTY));
		EXPECT_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(tcgetpgrp(p->s), getpid());
}

GUEST_TEST(others_in_the_session)
{
	as_leader(not_a_leader);
}

/* A child in a background group: what it does is fn; returns its wait status after a stop (with
 * WUNTRACED) or its end. */
static pid_t background(void (*fn)(const struct pty_pair *p), const struct pty_pair *p, int *status)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		ASSERT_OK(setpgid(0, 0));
		fn(p);
		_exit(0);
	}
	setpgid(pid, pid);
	ASSERT_EQ(waitpid(pid, status, WUNTRACED), pid);
	return pid;
}

static void read_line(const struct pty_pair *p)
{
	EXPECT_ONE_READ(p->s, "for you\n");
}

static void stopped_reader(const struct pty_pair *p)
{
	int status = 0;
	pid_t pid = background(read_line, p, &status);

	EXPECT_TRUE(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTTIN);
	MAYBE_SAVE();
	/* fg: the terminal, and on. */
	ASSERT_OK(tcsetpgrp(p->s, pid));
	kill(pid, SIGCONT);
	pty_put(p->m, "for you\n");
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(background_reads_stop)
{
	as_leader(stopped_reader);
}

static void read_deaf(const struct pty_pair *p)
{
	char c;

	signal(SIGTTIN, SIG_IGN);
	EXPECT_ERRNO(read(p->s, &c, 1), EIO);
	signal(SIGTTIN, SIG_DFL);
	{
		sigset_t s;

		sigemptyset(&s);
		sigaddset(&s, SIGTTIN);
		sigprocmask(SIG_BLOCK, &s, NULL);
	}
	EXPECT_ERRNO(read(p->s, &c, 1), EIO);
	/* Writing is free without TOSTOP. */
	pty_put(p->s, "x");
	EXPECT_READ(p->m, "x");
}

static void deaf_reader(const struct pty_pair *p)
{
	int status = 0;

	background(read_deaf, p, &status);
	EXPECT_EQ(status, 0);
}

GUEST_TEST(background_reads_of_the_deaf_fail)
{
	as_leader(deaf_reader);
}

static void write_text(const struct pty_pair *p)
{
	pty_put(p->s, "text");
}

static void set_modes(const struct pty_pair *p)
{
	pty_flags(p->s, 0, 0, 0, 0, 0, ECHO);
}

static void stopped_writer(const struct pty_pair *p)
{
	int status = 0;
	pid_t pid;

	pty_flags(p->s, 0, 0, 0, 0, TOSTOP, 0);
	pid = background(write_text, p, &status);
	EXPECT_TRUE(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTTOU);
	MAYBE_SAVE();
	ASSERT_OK(tcsetpgrp(p->s, pid));
	kill(pid, SIGCONT);
	EXPECT_READ(p->m, "text");
	EXPECT_EQ(guest_reap(pid), 0);
	/* Back: the leader is in the background now, and must not stop itself. */
	signal(SIGTTOU, SIG_IGN);
	ASSERT_OK(tcsetpgrp(p->s, getpid()));
	pty_flags(p->s, 0, 0, 0, 0, 0, TOSTOP);
	signal(SIGTTOU, SIG_DFL);
	pid = background(set_modes, p, &status);
	EXPECT_TRUE(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTTOU);
	kill(pid, SIGKILL);
	EXPECT_EQ(guest_reap(pid), 1000 + SIGKILL);
}

GUEST_TEST(background_changes_stop)
{
	as_leader(stopped_writer);
}

GUEST_TEST(orphans_get_errors)
{
	struct pty_pair p = pty_open_pair();
	struct guest_gate gone, done;
	pid_t pid;

	guest_gate_init(&gone);
	guest_gate_init(&done);
	pid = guest_fork();
	if (pid == 0) {
		pid_t mid;

		pty_enter_session(&p);
		mid = guest_fork();
		if (mid == 0) {
			pid_t group = getpid();

			ASSERT_OK(setpgid(0, 0));
			if (guest_fork() == 0) {
				char c;

				guest_gate_wait(&gone);
				/* Parentless in the session, in the background. */
				EXPECT_EQ(getpgrp(), group);
				EXPECT_ERRNO(read(p.s, &c, 1), EIO);
				EXPECT_ERRNO(tcsetpgrp(p.s, getpgrp()), ENOTTY);
				guest_gate_open(&done);
				_exit(0);
			}
			_exit(0);
		}
		EXPECT_EQ(guest_reap(mid), 0);
		guest_gate_open(&gone);
		guest_gate_wait(&done);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

static void foreground_rules(const struct pty_pair *p)
{
	EXPECT_ERRNO(tcsetpgrp(p->s, -1), EINVAL);
	EXPECT_ERRNO(tcsetpgrp(p->s, 0x7ffffff0), ESRCH);
	EXPECT_ERRNO(tcsetpgrp(p->s, getpgid(getppid())), EPERM);
	EXPECT_OK(tcsetpgrp(p->s, getpid()));
}

GUEST_TEST(only_groups_of_the_session)
{
	as_leader(foreground_rules);
}

static void typed_for_it(const struct pty_pair *p)
{
	char c = 'x';

	/* Hosts may have it switched off. */
	if (ioctl(p->s, TIOCSTI, &c) < 0) {
		EXPECT_TRUE(errno == EIO || errno == EPERM);
		return;
	}
	EXPECT_READ(p->m, "x");
}

GUEST_TEST(simulated_input)
{
	as_leader(typed_for_it);
}
