#include "tests/guest/guest_test.h"

#include <pthread.h>

/* Trees of processes, fork bombs of a bounded kind, forks from threads, kills of subtrees. */

static int grow(int depth)
{
	pid_t pids[3];
	int n = 1;

	if (depth == 0) {
		MAYBE_SAVE();
		return 1;
	}
	for (int i = 0; i < 2; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0)
			_exit(grow(depth - 1));
	}
	for (int i = 0; i < 2; i++)
		n += guest_reap(pids[i]);
	return n;
}

GUEST_TEST(binary_tree)
{
	EXPECT_EQ(grow(4), 31);
}

static void *fork_some(void *arg)
{
	for (int i = 0; i < 5; i++) {
		pid_t pid = guest_fork();

		if (pid == 0)
			_exit(i);
		EXPECT_EQ(guest_reap(pid), i);
	}
	return NULL;
}

GUEST_TEST(forks_from_threads)
{
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, fork_some, NULL), 0);
	MAYBE_SAVE();
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

GUEST_TEST(kill_a_subtree)
{
	struct guest_gate ready;
	int alive[2];
	pid_t top;
	char c;

	guest_gate_init(&ready);
	ASSERT_OK(pipe(alive));
	top = guest_fork();
	if (top == 0) {
		setpgid(0, 0);
		for (int i = 0; i < 5; i++) {
			if (guest_fork() == 0) {
				guest_gate_open(&ready);
				for (;;)
					pause();
			}
		}
		for (;;)
			pause();
	}
	for (int i = 0; i < 5; i++)
		guest_gate_wait(&ready);
	MAYBE_SAVE();
	EXPECT_OK(kill(-top, SIGKILL));
	EXPECT_EQ(guest_reap(top), 1000 + SIGKILL);
	close(alive[1]);
	/* All of them had the write end open: it closes when the last one is gone. */
	EXPECT_EQ(read(alive[0], &c, 1), 0);
}

GUEST_TEST(zombies_of_a_busy_parent)
{
	enum {
		N = 50
	};
	pid_t pids[N];

	for (int i = 0; i < N; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0)
			_exit(i);
	}
	for (int i = 0; i < N; i++)
		waitid(P_PID, (id_t)pids[i], NULL, WEXITED | WNOWAIT);
	MAYBE_SAVE();
	for (int i = N - 1; i >= 0; i--)
		EXPECT_EQ(guest_reap(pids[i]), i);
}

static int hooks;

static void before(void)
{
	hooks = 1;
}

static void in_parent(void)
{
	hooks = 2;
}

static void in_child(void)
{
	hooks = 3;
}

GUEST_TEST(atfork_hooks)
{
	pid_t pid;

	pthread_atfork(before, in_parent, in_child);
	pid = guest_fork();
	if (pid == 0)
		_exit(hooks);
	EXPECT_EQ(hooks, 2);
	EXPECT_EQ(guest_reap(pid), 3);
}

static int last_born(int n)
{
	pid_t pid;

	if (n == 0)
		return 77;
	pid = guest_fork();
	if (pid == 0)
		_exit(last_born(n - 1));
	return guest_reap(pid);
}

GUEST_TEST(chain_of_parents)
{
	EXPECT_EQ(last_born(25), 77);
}

GUEST_TEST(pids_are_unique)
{
	enum {
		N = 60
	};
	struct guest_gate go;
	pid_t pids[N];

	guest_gate_init(&go);
	for (int i = 0; i < N; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0) {
			guest_gate_wait(&go);
			_exit(0);
		}
		for (int j = 0; j < i; j++)
			EXPECT_NE(pids[i], pids[j]);
	}
	for (int i = 0; i < N; i++)
		guest_gate_open(&go);
	for (int i = 0; i < N; i++)
		EXPECT_EQ(guest_reap(pids[i]), 0);
}
