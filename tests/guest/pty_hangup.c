#include "tests/guest/pty_util.h"

#include <sys/epoll.h>

/* Ends of sessions and of terminals. */

static int *caught;

static void on_signal(int sig)
{
	__atomic_add_fetch(&caught[sig], 1, __ATOMIC_SEQ_CST);
}

static void catch (int sig)
{
	struct sigaction sa = {.sa_handler = on_signal};

	sigaction(sig, &sa, NULL);
}

static void wait_caught(int sig)
{
	while (!__atomic_load_n(&caught[sig], __ATOMIC_SEQ_CST))
		guest_sleep_ms(1);
	EXPECT_EQ(caught[sig], 1);
}

GUEST_TEST(master_close_hangs_the_leader_up)
{
	struct pty_pair p = pty_open_pair();
	struct guest_gate ready;
	pid_t pid;

	caught = guest_map_shared(GUEST_PAGE);
	guest_gate_init(&ready);
	pid = guest_fork();
	if (pid == 0) {
		char c;

		close(p.m);
		catch (SIGHUP);
		catch (SIGCONT);
		pty_enter_session(&p);
		guest_gate_open(&ready);
		wait_caught(SIGHUP);
		wait_caught(SIGCONT);
		EXPECT_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
		EXPECT_EQ(read(p.s, &c, 1), 0);
		EXPECT_ERRNO(write(p.s, "x", 1), EIO);
		_exit(0);
	}
	guest_gate_wait(&ready);
	MAYBE_SAVE();
	close(p.m);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(leader_exit_hangs_the_foreground_up)
{
	struct pty_pair p = pty_open_pair();
	struct guest_gate ready, done;
	pid_t leader;

	caught = guest_map_shared(GUEST_PAGE);
	guest_gate_init(&ready);
	guest_gate_init(&done);
	leader = guest_fork();
	if (leader == 0) {
		pty_enter_session(&p);
		if (guest_fork() == 0) {
			catch (SIGHUP);
			guest_gate_open(&ready);
			wait_caught(SIGHUP);
			/* The session has no terminal any more. */
			EXPECT_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
			guest_gate_open(&done);
			_exit(0);
		}
		guest_gate_wait(&ready);
		MAYBE_SAVE();
		_exit(0);
	}
	EXPECT_EQ(guest_reap(leader), 0);
	guest_gate_wait(&done);
	/* Free for another session. */
	leader = guest_fork();
	if (leader == 0) {
		pty_enter_session(&p);
		EXPECT_EQ(tcgetpgrp(p.s), getpid());
		_exit(0);
	}
	EXPECT_EQ(guest_reap(leader), 0);
}

GUEST_TEST(blocked_reader_is_woken)
{
	struct pty_pair p = pty_open_pair();
	pid_t pid = guest_fork();

	if (pid == 0) {
		char c;
		ssize_t n;

		close(p.m);
		n = read(p.s, &c, 1);
		/* Which of the two depends on who is first. */
		EXPECT_TRUE(n == 0 || (n == -1 && errno == EIO));
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	close(p.m);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(epoll_sees_the_end)
{
	struct pty_pair p = pty_open_pair();
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 7};
	int ep = ASSERT_OK(epoll_create1(0));

	ASSERT_OK(epoll_ctl(ep, EPOLL_CTL_ADD, p.m, &ev));
	EXPECT_EQ(epoll_wait(ep, &ev, 1, 0), 0);
	pty_put(p.s, "x");
	EXPECT_EQ(epoll_wait(ep, &ev, 1, -1), 1);
	EXPECT_TRUE(ev.events & EPOLLIN);
	EXPECT_READ(p.m, "x");
	MAYBE_SAVE();
	close(p.s);
	EXPECT_EQ(epoll_wait(ep, &ev, 1, -1), 1);
	EXPECT_TRUE(ev.events & EPOLLHUP);
}

GUEST_TEST(leader_gives_the_terminal_up)
{
	struct pty_pair p = pty_open_pair();
	pid_t pid = guest_fork();

	caught = guest_map_shared(GUEST_PAGE);
	if (pid == 0) {
		catch (SIGHUP);
		catch (SIGCONT);
		pty_enter_session(&p);
		EXPECT_OK(ioctl(p.s, TIOCNOTTY));
		wait_caught(SIGHUP);
		wait_caught(SIGCONT);
		EXPECT_ERRNO(tcgetpgrp(p.s), ENOTTY);
		/* The file itself works on. */
		pty_put(p.s, "on");
		EXPECT_READ(p.m, "on");
		EXPECT_OK(ioctl(p.s, TIOCSCTTY, 0));
		EXPECT_EQ(tcgetpgrp(p.s), getpid());
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}
