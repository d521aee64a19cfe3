#include "tests/guest/guest_test.h"

/* SIGCHLD: when, with what, and when not. */

static siginfo_t last;
static volatile sig_atomic_t hits;
static sigset_t chld;

static void on_child(int sig, siginfo_t *si, void *uc)
{
	last = *si;
	hits++;
}

static void handle(int flags)
{
	struct sigaction sa = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO | flags};

	sigaction(SIGCHLD, &sa, NULL);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
}

/* Waits for the next SIGCHLD without losing it. */
static void await(int n)
{
	sigset_t old, none;

	sigprocmask(SIG_BLOCK, &chld, &old);
	sigemptyset(&none);
	while (hits < n)
		sigsuspend(&none);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

GUEST_TEST(exit_info)
{
	pid_t pid;

	handle(0);
	pid = guest_fork();
	if (pid == 0) {
		MAYBE_SAVE();
		_exit(66);
	}
	await(1);
	EXPECT_EQ(last.si_signo, SIGCHLD);
	EXPECT_EQ(last.si_code, CLD_EXITED);
	EXPECT_EQ(last.si_pid, pid);
	EXPECT_EQ(last.si_uid, getuid());
	EXPECT_EQ(last.si_status, 66);
	EXPECT_EQ(guest_reap(pid), 66);
}

GUEST_TEST(killed_info)
{
	pid_t pid;

	handle(0);
	pid = guest_fork();
	if (pid == 0)
		for (;;)
			pause();
	kill(pid, SIGTERM);
	await(1);
	EXPECT_EQ(last.si_code, CLD_KILLED);
	EXPECT_EQ(last.si_status, SIGTERM);
	EXPECT_EQ(last.si_pid, pid);
	EXPECT_EQ(guest_reap(pid), 1000 + SIGTERM);
}

GUEST_TEST(stop_and_continue_info)
{
	pid_t pid;

	handle(0);
	pid = guest_fork();
	if (pid == 0)
		for (;;)
			pause();
	kill(pid, SIGSTOP);
	await(1);
	EXPECT_EQ(last.si_code, CLD_STOPPED);
	EXPECT_EQ(last.si_status, SIGSTOP);
	MAYBE_SAVE();
	kill(pid, SIGCONT);
	await(2);
	EXPECT_EQ(last.si_code, CLD_CONTINUED);
	EXPECT_EQ(last.si_status, SIGCONT);
	kill(pid, SIGKILL);
	await(3);
	EXPECT_EQ(guest_reap(pid), 1000 + SIGKILL);
}

GUEST_TEST(nocldstop)
{
	int status;
	pid_t pid;

	handle(SA_NOCLDSTOP);
	pid = guest_fork();
	if (pid == 0)
		for (;;)
			pause();
	kill(pid, SIGSTOP);
	while (waitpid(pid, &status, WUNTRACED) < 0)
		;
	EXPECT_TRUE(WIFSTOPPED(status));
	kill(pid, SIGCONT);
	while (waitpid(pid, &status, WCONTINUED) < 0)
		;
	EXPECT_EQ(hits, 0);
	kill(pid, SIGKILL);
	await(1);
	EXPECT_EQ(guest_reap(pid), 1000 + SIGKILL);
}

GUEST_TEST(nocldwait_still_signals)
{
	pid_t pid;

	handle(SA_NOCLDWAIT);
	pid = guest_fork();
	if (pid == 0)
		_exit(5);
	await(1);
	EXPECT_EQ(last.si_pid, pid);
	EXPECT_EQ(last.si_status, 5);
	EXPECT_ERRNO(waitpid(pid, NULL, 0), ECHILD);
}

GUEST_TEST(reaped_before_delivery)
{
	siginfo_t si;
	pid_t pid;

	handle(0);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	pid = guest_fork();
	if (pid == 0)
		_exit(9);
	EXPECT_EQ(guest_reap(pid), 9);
	MAYBE_SAVE();
	EXPECT_EQ(sigwaitinfo(&chld, &si), SIGCHLD);
	EXPECT_EQ(si.si_pid, pid);
	EXPECT_EQ(si.si_status, 9);
}

static volatile sig_atomic_t reaped;

static void reap_all(int sig)
{
	int saved = errno;

	while (waitpid(-1, NULL, WNOHANG) > 0)
		reaped++;
	errno = saved;
}

GUEST_TEST(reaping_handler)
{
	enum {
		N = 30
	};
	sigset_t none;

	signal(SIGCHLD, reap_all);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	for (int i = 0; i < N; i++)
		if (guest_fork() == 0)
			_exit(0);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	sigemptyset(&none);
	while (reaped < N)
		sigsuspend(&none);
	EXPECT_EQ(reaped, N);
	EXPECT_ERRNO(waitpid(-1, NULL, 0), ECHILD);
}
