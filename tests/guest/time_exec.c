#include "tests/guest/guest_test.h"

#include <sys/time.h>

/* Timers and clocks over fork and exec. */

static int spawn(char **argv)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		execv(guest_self(), argv);
		_exit(100);
	}
	return guest_reap(pid);
}

GUEST_ROLE(timers)
{
	struct itimerval it;
	struct itimerspec its;

	/* The interval timer survived the exec, the POSIX timer did not. */
	if (getitimer(ITIMER_REAL, &it) < 0 || it.it_value.tv_sec < 1 ||
	    it.it_interval.tv_sec != 77)
		return 1;
	if (syscall(SYS_timer_gettime, 0, &its) == 0 || errno != EINVAL)
		return 2;
	return 0;
}

GUEST_TEST(exec)
{
	char *argv[] = {(char *)"role:timers", NULL};
	pid_t pid = guest_fork();

	if (pid == 0) {
		struct itimerval it = {{77, 0}, {1000, 0}};
		struct itimerspec its = {{0, 0}, {1000, 0}};
		timer_t t;

		timer_create(CLOCK_MONOTONIC, NULL, &t);
		timer_settime(t, 0, &its, NULL);
		setitimer(ITIMER_REAL, &it, NULL);
		MAYBE_SAVE();
		execv(guest_self(), argv);
		_exit(100);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_ROLE(dies_of_alarm)
{
	while (pause() < 0)
		;
	return 0;
}

GUEST_TEST(alarm_fires_in_the_new_image)
{
	char *argv[] = {(char *)"role:dies_of_alarm", NULL};
	pid_t pid = guest_fork();

	if (pid == 0) {
		ualarm(20000, 0);
		execv(guest_self(), argv);
		_exit(100);
	}
	EXPECT_EQ(guest_reap(pid), 1000 + SIGALRM);
}

GUEST_ROLE(cpu_time)
{
	/* The process is the same: so is its CPU time. */
	return guest_now(CLOCK_PROCESS_CPUTIME_ID) >= 20000000 ? 0 : 1;
}

GUEST_TEST(cpu_time_goes_on)
{
	char *argv[] = {(char *)"role:cpu_time", NULL};
	pid_t pid = guest_fork();

	if (pid == 0) {
		while (guest_now(CLOCK_PROCESS_CPUTIME_ID) < 20000000)
			;
		execv(guest_self(), argv);
		_exit(100);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(child_starts_at_zero)
{
	int64_t mine;
	pid_t pid;

	while ((mine = guest_now(CLOCK_PROCESS_CPUTIME_ID)) < 100000000)
		;
	pid = guest_fork();
	if (pid == 0)
		_exit(guest_now(CLOCK_PROCESS_CPUTIME_ID) < mine ? 0 : 1);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_ROLE(monotonic)
{
	return guest_now(CLOCK_MONOTONIC) >= atoll(argv[2]) ? 0 : 1;
}

GUEST_TEST(one_clock_for_all)
{
	char text[32];
	char *argv[] = {(char *)"x", (char *)"role:monotonic", text, NULL};

	for (int i = 0; i < 5; i++) {
		snprintf(text, sizeof(text), "%lld", (long long)guest_now(CLOCK_MONOTONIC));
		EXPECT_EQ(spawn(argv), 0);
	}
}
