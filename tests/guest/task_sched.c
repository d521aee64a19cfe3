#include "tests/guest/guest_test.h"

#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/prctl.h>
#include <sys/personality.h>
#include <sys/select.h>

/* Scheduling attributes over fork, clone's refusals, CPU time of threads that are gone. */

GUEST_TEST(fork_resets_the_policy)
{
	struct sched_param p = {0}, got;
	pid_t pid;
	int st;

	ASSERT_EQ(sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &p), 0);
	EXPECT_EQ(sched_getscheduler(0), SCHED_BATCH | SCHED_RESET_ON_FORK);
	MAYBE_SAVE();
	EXPECT_EQ(sched_getscheduler(0), SCHED_BATCH | SCHED_RESET_ON_FORK);
	p.sched_priority = 10;
	if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &p) != 0)
		return;
	pid = fork();
	if (pid == 0) {
		EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
		EXPECT_OK(sched_getparam(0, &got));
		EXPECT_EQ(got.sched_priority, 0);
		_exit(0);
	}
	EXPECT_EQ(waitpid(pid, &st, 0), pid);
	p.sched_priority = 0;
	EXPECT_EQ(sched_setscheduler(0, SCHED_OTHER, &p), 0);
}

GUEST_TEST(nobody_has_a_negative_number)
{
	struct sched_param p = {0};
	cpu_set_t set;

	ASSERT_OK(sched_getaffinity(0, sizeof(set), &set));
	EXPECT_ERRNO(sched_getaffinity(-1, sizeof(set), &set), ESRCH);
	EXPECT_ERRNO(sched_setaffinity(-1, sizeof(set), &set), ESRCH);
	EXPECT_ERRNO(sched_getscheduler(-1), EINVAL);
	EXPECT_ERRNO(sched_getparam(-1, &p), EINVAL);
}

GUEST_TEST(slack_of_the_parent_is_the_childs_default)
{
	pid_t pid;
	int st;

	ASSERT_OK(prctl(PR_SET_TIMERSLACK, 70000));
	pid = fork();
	if (pid == 0) {
		EXPECT_EQ(prctl(PR_GET_TIMERSLACK), 70000);
		EXPECT_OK(prctl(PR_SET_TIMERSLACK, 0));
		MAYBE_SAVE();
		EXPECT_EQ(prctl(PR_GET_TIMERSLACK), 70000);
		_exit(0);
	}
	EXPECT_EQ(waitpid(pid, &st, 0), pid);
	EXPECT_OK(prctl(PR_SET_TIMERSLACK, 0));
	EXPECT_NE(prctl(PR_GET_TIMERSLACK), 70000);
}

GUEST_TEST(timeouts_stick_if_asked)
{
	struct timespec ts = {0, 1000};

	ASSERT_TRUE(personality(PER_LINUX | STICKY_TIMEOUTS) >= 0);
	EXPECT_EQ(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &ts, NULL), 0);
	EXPECT_EQ(ts.tv_nsec, 1000);
	personality(PER_LINUX);
	EXPECT_EQ(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &ts, NULL), 0);
	EXPECT_EQ(ts.tv_nsec, 0);
}

GUEST_TEST(clone_refuses)
{
	struct clone_args a = {.flags = 1ull << 60, .exit_signal = SIGCHLD};
	char stack[64];

	EXPECT_ERRNO(syscall(SYS_clone3, &a, sizeof(a)), EINVAL);
	EXPECT_ERRNO(syscall(SYS_clone, CLONE_SETTLS | SIGCHLD, NULL, NULL, NULL, 1ull << 63),
	             EPERM);
	EXPECT_ERRNO(syscall(SYS_clone, CLONE_THREAD, stack, NULL, NULL, 0), EINVAL);
	guest_drop_root();
	EXPECT_ERRNO(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, 0), EPERM);
	EXPECT_ERRNO(unshare(CLONE_NEWNS), EPERM);
	EXPECT_ERRNO(unshare(CLONE_NEWUTS), EPERM);
}

static int64_t cpu_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static void *spin(void *arg)
{
	int64_t *spent = arg, start = cpu_ns(CLOCK_THREAD_CPUTIME_ID);

	while (cpu_ns(CLOCK_THREAD_CPUTIME_ID) - start < 5 * 1000000) {
	}
	*spent = cpu_ns(CLOCK_THREAD_CPUTIME_ID) - start;
	return NULL;
}

GUEST_TEST(process_time_has_its_dead_threads)
{
	int64_t start = cpu_ns(CLOCK_PROCESS_CPUTIME_ID), spent[6] = {0}, sum = 0;
	pthread_t t[6];

	for (int i = 0; i < 6; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, spin, &spent[i]), 0);
	for (int i = 0; i < 6; i++) {
		pthread_join(t[i], NULL);
		sum += spent[i];
	}
	EXPECT_TRUE(cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - start >= sum);
}

GUEST_TEST(what_is_wrong_first)
{
	struct sched_param none = {0};
	struct rlimit l;

	EXPECT_ERRNO(sched_setscheduler(0, 6 /* SCHED_DEADLINE */, &none), EINVAL);
	EXPECT_ERRNO(prlimit(99999999, 99, NULL, &l), ESRCH);
	EXPECT_ERRNO(prlimit(0, 99, NULL, &l), EINVAL);
	EXPECT_ERRNO(prlimit(99999999, RLIMIT_CORE, (void *)8, NULL), EFAULT);
}

struct sched_attr_0 {
	unsigned size, policy;
	unsigned long flags;
	int nice;
	unsigned priority;
	unsigned long runtime, deadline, period, later[8];
};

GUEST_TEST(attributes_of_a_later_kernel)
{
	struct sched_attr_0 a = {.size = sizeof(a)};

	EXPECT_OK(syscall(SYS_sched_setattr, 0, &a, 0));
	a.later[7] = 1;
	EXPECT_ERRNO(syscall(SYS_sched_setattr, 0, &a, 0), E2BIG);
	/* It says how much it knows. */
	EXPECT_GE(a.size, 48);
	EXPECT_LT(a.size, sizeof(a));
	a.size = 12;
	EXPECT_ERRNO(syscall(SYS_sched_setattr, 0, &a, 0), E2BIG);
	EXPECT_GE(a.size, 48);
	a = (struct sched_attr_0){.size = 48, .policy = 6, .runtime = 5, .deadline = 3};
	EXPECT_ERRNO(syscall(SYS_sched_setattr, 0, &a, 0), EINVAL);
}
