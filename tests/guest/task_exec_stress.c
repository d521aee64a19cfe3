#include "tests/guest/guest_test.h"

#include <pthread.h>

/* execve again and again, from threads, with signals and open files. */

static int spawn(char **argv)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		execv(guest_self(), argv);
		_exit(100);
	}
	return guest_reap(pid);
}

GUEST_ROLE(code)
{
	return atoi(argv[2]);
}

GUEST_TEST(forty_in_a_row)
{
	char text[8];
	char *argv[] = {(char *)"x", (char *)"role:code", text, NULL};

	for (int i = 0; i < 40; i++) {
		snprintf(text, sizeof(text), "%d", i);
		EXPECT_EQ(spawn(argv), i);
		if (i == 20)
			MAYBE_SAVE();
	}
}

static void *spawner(void *arg)
{
	char text[8];
	char *argv[] = {(char *)"x", (char *)"role:code", text, NULL};

	for (int i = 0; i < 8; i++) {
		snprintf(text, sizeof(text), "%ld", (long)arg * 10 + i);
		EXPECT_EQ(spawn(argv), (long)arg * 10 + i);
	}
	return NULL;
}

GUEST_TEST(from_four_threads)
{
	pthread_t t[4];

	for (long i = 0; i < 4; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, spawner, (void *)i), 0);
	MAYBE_SAVE();
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

GUEST_ROLE(countdown)
{
	char text[16];
	char *next[] = {(char *)"x", (char *)"role:countdown", text, argv[3], NULL};
	int n = atoi(argv[2]);

	/* The image changes, the process and its pipe stay. */
	if (getpid() != atoi(argv[3]))
		return 1;
	if (n % 5 == 0)
		MAYBE_SAVE();
	if (n == 0)
		return 55;
	snprintf(text, sizeof(text), "%d", n - 1);
	execv("/proc/self/exe", next);
	return 2;
}

GUEST_TEST(one_process_many_images)
{
	char text[16];
	char *argv[] = {(char *)"x", (char *)"role:countdown", (char *)"15", text, NULL};
	pid_t pid = guest_fork();

	if (pid == 0) {
		snprintf(text, sizeof(text), "%d", getpid());
		execv(guest_self(), argv);
		_exit(100);
	}
	EXPECT_EQ(guest_reap(pid), 55);
}

static void *execs(void *arg)
{
	char *argv[] = {(char *)"x", (char *)"role:code", (char *)"66", NULL};

	execv(guest_self(), argv);
	_exit(100);
}

GUEST_TEST(all_threads_exec_at_once)
{
	for (int round = 0; round < 5; round++) {
		pid_t pid = guest_fork();

		if (pid == 0) {
			pthread_t t;

			for (int i = 0; i < 4; i++)
				if (pthread_create(&t, NULL, execs, NULL) != 0)
					break;
			for (;;)
				pause();
		}
		EXPECT_EQ(guest_reap(pid), 66);
	}
}

GUEST_TEST(killed_while_executing)
{
	char *argv[] = {(char *)"x", (char *)"role:code", (char *)"0", NULL};

	for (int i = 0; i < 10; i++) {
		pid_t pid = guest_fork();
		int status;

		if (pid == 0) {
			execv(guest_self(), argv);
			_exit(100);
		}
		for (int j = 0; j < i; j++)
			sched_yield();
		kill(pid, SIGKILL);
		status = guest_reap(pid);
		EXPECT_TRUE(status == 0 || status == 1000 + SIGKILL);
	}
}
