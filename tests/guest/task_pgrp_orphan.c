#include "tests/guest/guest_test.h"

/* Orphaned process groups: SIGHUP and SIGCONT when the last link to the session goes. */

static int *note;

static void on_hup(int sig)
{
	note[0] += sig == SIGHUP;
	note[1] += sig == SIGCONT;
}

GUEST_TEST(stopped_group_gets_hup_and_cont)
{
	struct guest_gate done, ready;
	pid_t leader;

	note = guest_map_shared(GUEST_PAGE);
	guest_gate_init(&done);
	guest_gate_init(&ready);
	leader = guest_fork();
	if (leader == 0) {
		pid_t member;

		setsid();
		member = guest_fork();
		if (member == 0) {
			setpgid(0, 0);
			signal(SIGHUP, on_hup);
			signal(SIGCONT, on_hup);
			guest_gate_open(&ready);
			raise(SIGSTOP);
			/* Reached after SIGCONT, with SIGHUP delivered as well. */
			guest_gate_open(&done);
			_exit(0);
		}
		guest_gate_wait(&ready);
		waitpid(member, NULL, WUNTRACED);
		MAYBE_SAVE();
		_exit(0);
	}
	EXPECT_EQ(guest_reap(leader), 0);
	guest_gate_wait(&done);
	EXPECT_EQ(note[0], 1);
	EXPECT_EQ(note[1], 1);
}

GUEST_TEST(running_group_is_left_alone)
{
	struct guest_gate done, go;
	pid_t leader;

	note = guest_map_shared(GUEST_PAGE);
	guest_gate_init(&done);
	guest_gate_init(&go);
	leader = guest_fork();
	if (leader == 0) {
		setsid();
		if (guest_fork() == 0) {
			setpgid(0, 0);
			signal(SIGHUP, on_hup);
			guest_gate_wait(&go);
			guest_gate_open(&done);
			_exit(0);
		}
		_exit(0);
	}
	EXPECT_EQ(guest_reap(leader), 0);
	guest_sleep_ms(5);
	guest_gate_open(&go);
	guest_gate_wait(&done);
	EXPECT_EQ(note[0], 0);
}

GUEST_TEST(default_hup_ends_the_stopped)
{
	struct guest_gate ready;
	int alive[2];
	pid_t leader;
	char c;

	guest_gate_init(&ready);
	ASSERT_OK(pipe(alive));
	leader = guest_fork();
	if (leader == 0) {
		pid_t member;

		setsid();
		member = guest_fork();
		if (member == 0) {
			setpgid(0, 0);
			guest_gate_open(&ready);
			raise(SIGSTOP);
			for (;;)
				pause();
		}
		guest_gate_wait(&ready);
		waitpid(member, NULL, WUNTRACED);
		_exit(0);
	}
	close(alive[1]);
	EXPECT_EQ(guest_reap(leader), 0);
	EXPECT_EQ(read(alive[0], &c, 1), 0);
}
