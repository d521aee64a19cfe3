#include "tests/guest/guest_test.h"

#include <sched.h>
#include <spawn.h>

/* vfork: the parent waits for exec or exit; memory is shared. posix_spawn and popen use it. */

extern char **environ;

GUEST_ROLE(exit5)
{
	return 5;
}

GUEST_ROLE(wait_stdin)
{
	char c;

	return read(0, &c, 1) == 1 ? 6 : 7;
}

GUEST_TEST(child_runs_first_and_shares_memory)
{
	volatile int shared = 0;
	pid_t pid = vfork();

	if (pid == 0) {
		shared = 1;
		_exit(9);
	}
	EXPECT_EQ(shared, 1);
	EXPECT_EQ(guest_reap(pid), 9);
}

GUEST_TEST(until_exec)
{
	char *argv[] = {(char *)"x", (char *)"role:exit5", NULL};
	volatile int step = 0;
	pid_t pid = vfork();

	if (pid == 0) {
		step = 1;
		execv(guest_self(), argv);
		_exit(100);
	}
	EXPECT_EQ(step, 1);
	EXPECT_EQ(guest_reap(pid), 5);
}

GUEST_TEST(save_while_the_parent_waits)
{
	volatile int step = 0;
	pid_t pid = vfork();

	if (pid == 0) {
		MAYBE_SAVE();
		step = 2;
		MAYBE_SAVE();
		_exit(1);
	}
	EXPECT_EQ(step, 2);
	EXPECT_EQ(guest_reap(pid), 1);
}

GUEST_TEST(failed_exec_keeps_waiting)
{
	char *argv[] = {(char *)"x", NULL};
	volatile int err = 0;
	pid_t pid = vfork();

	if (pid == 0) {
		execv("/does/not/exist", argv);
		err = errno;
		_exit(3);
	}
	EXPECT_EQ(err, ENOENT);
	EXPECT_EQ(guest_reap(pid), 3);
}

GUEST_TEST(killed_child_lets_go)
{
	pid_t pid = vfork();

	if (pid == 0) {
		kill(getpid(), SIGKILL);
		for (;;)
			pause();
	}
	EXPECT_EQ(guest_reap(pid), 1000 + SIGKILL);
}

GUEST_TEST(signals_wait_for_the_parent)
{
	/* A signal for the waiting parent is delivered only after the child let go. */
	volatile int step = 0;
	sigset_t pend;
	pid_t pid;

	signal(SIGUSR1, SIG_IGN);
	pid = vfork();
	if (pid == 0) {
		kill(getppid(), SIGUSR1);
		sigpending(&pend);
		step = 1;
		_exit(0);
	}
	EXPECT_EQ(step, 1);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(spawn)
{
	char *argv[] = {(char *)"x", (char *)"role:wait_stdin", NULL};
	posix_spawn_file_actions_t fa;
	pid_t pid;
	int fds[2];

	ASSERT_OK(pipe2(fds, O_CLOEXEC));
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, fds[0], 0);
	ASSERT_EQ(posix_spawn(&pid, guest_self(), &fa, NULL, argv, environ), 0);
	MAYBE_SAVE();
	EXPECT_EQ(write(fds[1], "x", 1), 1);
	EXPECT_EQ(guest_reap(pid), 6);
	EXPECT_EQ(posix_spawn(&pid, "/does/not/exist", NULL, NULL, argv, environ), ENOENT);
	posix_spawn_file_actions_destroy(&fa);
}

GUEST_TEST(shell)
{
	char text[32] = "";
	FILE *f;

	if (access("/bin/sh", X_OK) < 0)
		SKIP("no shell");
	EXPECT_EQ(system("exit 4"), 4 << 8);
	f = popen("echo from the shell", "r");
	ASSERT_TRUE(f != NULL);
	EXPECT_TRUE(fgets(text, sizeof(text), f) != NULL);
	EXPECT_STREQ(text, "from the shell\n");
	EXPECT_EQ(pclose(f), 0);
}
