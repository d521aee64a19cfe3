#include "tests/guest/guest_test.h"

#include <sys/time.h>

/* SIGPIPE, alarm, kill permissions and targets. */

static volatile sig_atomic_t hits;

static void on_signal(int sig)
{
	hits++;
}

GUEST_TEST(sigpipe)
{
	int fds[2];
	pid_t pid;

	ASSERT_OK(pipe(fds));
	close(fds[0]);
	pid = guest_fork();
	if (pid == 0) {
		write(fds[1], "x", 1);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 1000 + SIGPIPE);
	signal(SIGPIPE, on_signal);
	MAYBE_SAVE();
	EXPECT_ERRNO(write(fds[1], "x", 1), EPIPE);
	EXPECT_EQ(hits, 1);
	signal(SIGPIPE, SIG_IGN);
	EXPECT_ERRNO(write(fds[1], "x", 1), EPIPE);
}

GUEST_TEST(alarm_call)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	EXPECT_EQ(alarm(100), 0);
	EXPECT_GE(alarm(1000), 99);
	MAYBE_SAVE();
	EXPECT_GE(alarm(0), 1);
	EXPECT_EQ(alarm(0), 0);
	ualarm(1000, 0);
	EXPECT_EQ(sigwaitinfo(&set, NULL), SIGALRM);
}

GUEST_TEST(alarm_kills)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		ualarm(1000, 0);
		for (;;)
			pause();
	}
	EXPECT_EQ(guest_reap(pid), 1000 + SIGALRM);
}

GUEST_TEST(alarm_kills_a_busy_loop)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		ualarm(1000, 0);
		for (;;)
			__asm__ volatile("pause");
	}
	EXPECT_EQ(guest_reap(pid), 1000 + SIGALRM);
}

GUEST_TEST(kill_targets)
{
	EXPECT_OK(kill(getpid(), 0));
	EXPECT_ERRNO(kill(9999999, 0), ESRCH);
	EXPECT_ERRNO(kill(-9999999, 0), ESRCH);
	EXPECT_ERRNO(kill(getpid(), 65), EINVAL);
	EXPECT_ERRNO(kill(getpid(), -1), EINVAL);
	EXPECT_ERRNO(kill(INT32_MIN, 0), ESRCH);
}

GUEST_TEST(kill_permission)
{
	struct guest_gate g;
	pid_t root;

	if (geteuid() != 0)
		SKIP("not root");
	guest_gate_init(&g);
	root = guest_fork();
	if (root == 0) {
		guest_gate_wait(&g);
		_exit(0);
	}
	guest_drop_root();
	EXPECT_ERRNO(kill(root, 0), EPERM);
	EXPECT_ERRNO(kill(root, SIGTERM), EPERM);
	/* Within one session SIGCONT is allowed. */
	EXPECT_OK(kill(root, SIGCONT));
	EXPECT_OK(kill(getpid(), 0));
	guest_gate_open(&g);
	EXPECT_EQ(guest_reap(root), 0);
}

GUEST_TEST(kill_all_spares_the_caller)
{
	/* kill(-1) is limited here by being an ordinary user with one other process. */
	pid_t pid;

	if (geteuid() != 0)
		SKIP("not root");
	pid = guest_fork();
	if (pid == 0) {
		struct guest_gate never;
		pid_t kid;

		guest_gate_init(&never);
		if (setgid(64999) < 0 || setuid(64999) < 0)
			_exit(GUEST_SKIPPED);
		kid = guest_fork();
		if (kid == 0)
			guest_gate_wait(&never);
		signal(SIGTERM, on_signal);
		EXPECT_OK(kill(-1, SIGTERM));
		EXPECT_EQ(hits, 0);
		EXPECT_EQ(guest_reap(kid), 1000 + SIGTERM);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(signal_zero_for_a_zombie)
{
	siginfo_t si;
	pid_t pid = guest_fork();

	if (pid == 0)
		_exit(0);
	waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT);
	EXPECT_OK(kill(pid, 0));
	EXPECT_OK(kill(pid, SIGKILL));
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_ERRNO(kill(pid, 0), ESRCH);
}

GUEST_TEST(handler_in_child_of_a_storm)
{
	pid_t pid;
	int alive = 0;

	pid = guest_fork();
	if (pid == 0) {
		signal(SIGUSR1, on_signal);
		raise(SIGUSR1);
		while (hits < 50)
			pause();
		_exit(9);
	}
	while (waitpid(pid, &alive, WNOHANG) == 0) {
		if (alive == 0)
			guest_sleep_ms(1);
		kill(pid, SIGUSR1);
	}
	/* It may have died of the first one, before its handler was set. */
	EXPECT_TRUE(alive == 9 << 8 || alive == SIGUSR1);
}
