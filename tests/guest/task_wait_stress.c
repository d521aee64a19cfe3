#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <stdatomic.h>

/* Many children, many waiters, waits that race with stops, exits and signals. */

enum {
	KIDS = 60,
	WAITERS = 4
};

static atomic_int reaped, sum;

static void *waiter(void *arg)
{
	int status;

	while (waitpid(-1, &status, 0) > 0) {
		atomic_fetch_add(&reaped, 1);
		atomic_fetch_add(&sum, WEXITSTATUS(status));
	}
	EXPECT_EQ(errno, ECHILD);
	return NULL;
}

GUEST_TEST(each_child_is_reaped_once)
{
	pthread_t t[WAITERS];
	struct guest_gate go;

	guest_gate_init(&go);
	for (int i = 0; i < KIDS; i++) {
		if (guest_fork() == 0) {
			guest_gate_wait(&go);
			_exit(i);
		}
	}
	for (int i = 0; i < WAITERS; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, waiter, NULL), 0);
	MAYBE_SAVE();
	for (int i = 0; i < KIDS; i++)
		guest_gate_open(&go);
	for (int i = 0; i < WAITERS; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(atomic_load(&reaped), KIDS);
	EXPECT_EQ(atomic_load(&sum), KIDS * (KIDS - 1) / 2);
}

GUEST_TEST(stop_and_continue_many_times)
{
	pid_t pid = guest_fork();
	int status;

	if (pid == 0)
		for (;;)
			pause();
	for (int i = 0; i < 40; i++) {
		kill(pid, SIGSTOP);
		EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
		EXPECT_TRUE(WIFSTOPPED(status));
		if (i == 20)
			MAYBE_SAVE();
		kill(pid, SIGCONT);
		EXPECT_EQ(waitpid(pid, &status, WCONTINUED), pid);
		EXPECT_TRUE(WIFCONTINUED(status));
	}
	kill(pid, SIGKILL);
	EXPECT_EQ(guest_reap(pid), 1000 + SIGKILL);
}

GUEST_TEST(nohang_polling)
{
	pid_t pid = guest_fork();
	int status, polls = 0;

	if (pid == 0) {
		guest_sleep_ms(10);
		_exit(5);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		polls++;
		sched_yield();
	}
	EXPECT_EQ(status, 5 << 8);
	EXPECT_GE(polls, 0);
}

GUEST_TEST(waits_of_two_generations)
{
	int codes[3];

	for (int i = 0; i < 3; i++) {
		pid_t pid = guest_fork();

		if (pid == 0) {
			pid_t kids[5];
			int total = 0;

			for (int j = 0; j < 5; j++) {
				kids[j] = guest_fork();
				if (kids[j] == 0)
					_exit(j + i);
			}
			for (int j = 4; j >= 0; j--)
				total += guest_reap(kids[j]);
			_exit(total);
		}
		codes[i] = guest_reap(pid);
		EXPECT_EQ(codes[i], 10 + 5 * i);
	}
}

GUEST_TEST(info_of_every_event)
{
	siginfo_t si;
	pid_t pid = guest_fork();
	int seen = 0;

	if (pid == 0) {
		raise(SIGSTOP);
		abort();
	}
	for (int i = 0; i < 3; i++) {
		EXPECT_OK(waitid(P_PID, (id_t)pid, &si, WEXITED | WSTOPPED | WCONTINUED));
		EXPECT_EQ(si.si_pid, pid);
		if (si.si_code == CLD_STOPPED) {
			seen |= 1;
			kill(pid, SIGCONT);
		} else if (si.si_code == CLD_CONTINUED) {
			seen |= 2;
		} else {
			seen |= 4;
			EXPECT_EQ(si.si_status, SIGABRT);
			break;
		}
	}
	/* The continuation may be overtaken by the death. */
	EXPECT_EQ(seen & 5, 5);
}
