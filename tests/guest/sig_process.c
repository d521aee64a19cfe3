#include "tests/guest/guest_test.h"

#include <pthread.h>

/* Handlers that fork, exec, exit, and start threads. */

static volatile pid_t born;

static void forks(int sig)
{
	born = fork();
	if (born == 0)
		_exit(sig);
}

GUEST_TEST(fork_in_a_handler)
{
	signal(SIGUSR1, forks);
	raise(SIGUSR1);
	EXPECT_EQ(guest_reap(born), SIGUSR1);
}

static void fork_and_return(int sig)
{
	born = fork();
}

GUEST_TEST(child_returns_from_the_handler)
{
	signal(SIGUSR1, fork_and_return);
	raise(SIGUSR1);
	if (born == 0) {
		sigset_t s;

		sigprocmask(SIG_BLOCK, NULL, &s);
		EXPECT_FALSE(sigismember(&s, SIGUSR1));
		MAYBE_SAVE();
		_exit(3);
	}
	EXPECT_EQ(guest_reap(born), 3);
}

GUEST_ROLE(mask_is_clean)
{
	sigset_t s;

	sigprocmask(SIG_BLOCK, NULL, &s);
	return sigismember(&s, SIGUSR1) ? 1 : 0;
}

static void execs(int sig)
{
	char *argv[] = {(char *)"role:mask_is_clean", NULL};

	execv(guest_self(), argv);
	_exit(100);
}

GUEST_TEST(exec_in_a_handler_keeps_the_mask)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		signal(SIGUSR1, execs);
		raise(SIGUSR1);
		_exit(101);
	}
	EXPECT_EQ(guest_reap(pid), 1);
}

static void exits(int sig)
{
	_exit(sig + 100);
}

GUEST_TEST(exit_in_a_handler)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		signal(SIGALRM, exits);
		ualarm(1000, 0);
		for (;;)
			pause();
	}
	EXPECT_EQ(guest_reap(pid), SIGALRM + 100);
}

static void *noop(void *arg)
{
	return arg;
}

static volatile bool joined;

static void threads(int sig)
{
	pthread_t t;

	/* Not promised by POSIX, but it works where the interrupted code holds no lock. */
	if (pthread_create(&t, NULL, noop, NULL) == 0 && pthread_join(t, NULL) == 0)
		joined = true;
}

GUEST_TEST(thread_in_a_handler)
{
	signal(SIGUSR1, threads);
	kill(getpid(), SIGUSR1);
	EXPECT_TRUE(joined);
}

static int pipe_fds[2];

static void writes(int sig)
{
	int saved = errno;

	write(pipe_fds[1], "s", 1);
	errno = saved;
}

GUEST_TEST(self_pipe)
{
	struct pollfd p = {.events = POLLIN};
	pid_t self = getpid(), pid;
	int got = 0;
	char c;

	ASSERT_OK(pipe2(pipe_fds, O_NONBLOCK));
	signal(SIGUSR1, writes);
	p.fd = pipe_fds[0];
	pid = guest_fork();
	if (pid == 0) {
		guest_wait_blocked(self);
		MAYBE_SAVE();
		kill(self, SIGUSR1);
		_exit(0);
	}
	while (got == 0)
		if (poll(&p, 1, -1) > 0)
			got = (int)read(pipe_fds[0], &c, 1);
	EXPECT_EQ(c, 's');
	EXPECT_EQ(guest_reap(pid), 0);
}

static volatile int level;

static void raise_next(int sig)
{
	level++;
	if (sig < SIGRTMIN + 20)
		kill(getpid(), sig + 1);
	level--;
}

GUEST_TEST(twenty_levels)
{
	for (int i = 0; i <= 20; i++)
		signal(SIGRTMIN + i, raise_next);
	kill(getpid(), SIGRTMIN);
	EXPECT_EQ(level, 0);
}
