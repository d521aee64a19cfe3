#include "tests/guest/guest_test.h"

#include <sys/prctl.h>

/* Orphans, subreapers, parent death signals. */

static struct guest_gate go, done;

GUEST_TEST(orphan_gets_another_parent)
{
	pid_t mid;

	guest_gate_init(&go);
	guest_gate_init(&done);
	mid = guest_fork();
	if (mid == 0) {
		pid_t self = getpid();

		if (guest_fork() == 0) {
			guest_gate_wait(&go);
			EXPECT_NE(getppid(), self);
			EXPECT_GE(getppid(), 1);
			MAYBE_SAVE();
			EXPECT_NE(getppid(), self);
			guest_gate_open(&done);
		}
		_exit(0);
	}
	EXPECT_EQ(guest_reap(mid), 0);
	EXPECT_ERRNO(waitpid(-1, NULL, 0), ECHILD);
	guest_gate_open(&go);
	guest_gate_wait(&done);
}

GUEST_TEST(subreaper_adopts)
{
	int on = 0;
	pid_t mid, *inner = guest_map_shared(GUEST_PAGE);

	guest_gate_init(&go);
	EXPECT_OK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
	EXPECT_OK(prctl(PR_GET_CHILD_SUBREAPER, &on, 0, 0, 0));
	EXPECT_EQ(on, 1);
	mid = guest_fork();
	if (mid == 0) {
		pid_t pid;

		/* Not inherited. */
		prctl(PR_GET_CHILD_SUBREAPER, &on, 0, 0, 0);
		EXPECT_EQ(on, 0);
		pid = guest_fork();
		if (pid == 0) {
			guest_gate_wait(&go);
			_exit(51);
		}
		*inner = pid;
		_exit(50);
	}
	EXPECT_EQ(guest_reap(mid), 50);
	MAYBE_SAVE();
	EXPECT_EQ(waitpid(*inner, NULL, WNOHANG), 0);
	guest_gate_open(&go);
	EXPECT_EQ(guest_reap(*inner), 51);
	EXPECT_ERRNO(waitpid(-1, NULL, 0), ECHILD);
}

GUEST_TEST(subreaper_reaps_adopted_zombies)
{
	pid_t mid;
	siginfo_t si;
	int sum = 0;

	EXPECT_OK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
	mid = guest_fork();
	if (mid == 0) {
		for (int i = 1; i <= 3; i++) {
			pid_t pid = guest_fork();

			if (pid == 0)
				_exit(i);
			/* It is a zombie before its parent leaves. */
			waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT);
		}
		_exit(40);
	}
	for (int i = 0; i < 4; i++)
		sum += guest_reap(-1);
	EXPECT_EQ(sum, 46);
	EXPECT_ERRNO(waitpid(-1, NULL, 0), ECHILD);
}

static volatile sig_atomic_t got;

static void on_signal(int sig)
{
	got = sig;
}

GUEST_TEST(parent_death_signal)
{
	pid_t mid;
	int sig = -1;

	guest_gate_init(&go);
	guest_gate_init(&done);
	EXPECT_OK(prctl(PR_GET_PDEATHSIG, &sig));
	EXPECT_EQ(sig, 0);
	EXPECT_ERRNO(prctl(PR_SET_PDEATHSIG, 100), EINVAL);
	mid = guest_fork();
	if (mid == 0) {
		if (guest_fork() == 0) {
			sigset_t set, old;

			signal(SIGUSR1, on_signal);
			sigemptyset(&set);
			sigaddset(&set, SIGUSR1);
			sigprocmask(SIG_BLOCK, &set, &old);
			EXPECT_OK(prctl(PR_SET_PDEATHSIG, SIGUSR1));
			EXPECT_OK(prctl(PR_GET_PDEATHSIG, &sig));
			EXPECT_EQ(sig, SIGUSR1);
			MAYBE_SAVE();
			guest_gate_open(&go);
			sigsuspend(&old);
			EXPECT_EQ(got, SIGUSR1);
			guest_gate_open(&done);
			_exit(0);
		}
		guest_gate_wait(&go);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(mid), 0);
	guest_gate_wait(&done);
}

GUEST_TEST(pdeathsig_is_not_inherited)
{
	pid_t pid;

	EXPECT_OK(prctl(PR_SET_PDEATHSIG, SIGTERM));
	pid = guest_fork();
	if (pid == 0) {
		int sig = -1;

		prctl(PR_GET_PDEATHSIG, &sig);
		_exit(sig);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(daemonize)
{
	pid_t *id = guest_map_shared(GUEST_PAGE), mid;

	guest_gate_init(&done);
	mid = guest_fork();
	if (mid == 0) {
		setsid();
		if (guest_fork() != 0)
			_exit(0);
		id[0] = getpid();
		id[1] = getsid(0);
		id[2] = getpgrp();
		guest_gate_open(&done);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(mid), 0);
	guest_gate_wait(&done);
	EXPECT_EQ(id[1], mid);
	EXPECT_EQ(id[2], mid);
	EXPECT_NE(id[0], mid);
}
