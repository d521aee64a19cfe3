#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <sched.h>

/* SCHED_DEADLINE: who may have it, what is told of it, and what it keeps others from. */

#define MS       1000000ull
#define DEADLINE 6

struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static long set(uint64_t flags, uint64_t runtime, uint64_t deadline, uint64_t period)
{
	struct attr a = {sizeof(a), DEADLINE, flags, 0, 0, runtime, deadline, period};

	return syscall(SYS_sched_setattr, 0, &a, 0);
}

static struct attr get(void)
{
	struct attr a = {0};

	EXPECT_OK(syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0));
	return a;
}

static void needs_right(void)
{
	if (set(0, MS, 100 * MS, 100 * MS) < 0)
		SKIP("no deadlines here");
}

GUEST_TEST(what_was_asked_for_is_told)
{
	struct sched_param sp = {.sched_priority = 7};
	struct timespec ts = {1, 1};
	struct attr a;

	needs_right();
	ASSERT_OK(set(0, MS, 20 * MS, 0));
	a = get();
	EXPECT_EQ(a.policy, DEADLINE);
	EXPECT_EQ(a.runtime, MS);
	EXPECT_EQ(a.deadline, 20 * MS);
	EXPECT_EQ(a.period, 20 * MS);
	ASSERT_OK(set(2 /* RECLAIM */, 2 * MS, 20 * MS, 40 * MS));
	MAYBE_SAVE();
	a = get();
	EXPECT_EQ(a.policy, DEADLINE);
	EXPECT_EQ(a.flags, 2);
	EXPECT_EQ(a.runtime, 2 * MS);
	EXPECT_EQ(a.deadline, 20 * MS);
	EXPECT_EQ(a.period, 40 * MS);
	EXPECT_EQ(sched_getscheduler(0), DEADLINE);
	EXPECT_OK(sched_getparam(0, &sp));
	EXPECT_EQ(sp.sched_priority, 0);
	EXPECT_OK(sched_rr_get_interval(0, &ts));
	EXPECT_EQ(ts.tv_sec + ts.tv_nsec, 0);
	sp.sched_priority = 0;
	EXPECT_OK(sched_setscheduler(0, SCHED_OTHER, &sp));
	a = get();
	EXPECT_EQ(a.policy, SCHED_OTHER);
	EXPECT_EQ(a.flags, 0);
}

static void *nothing(void *arg)
{
	return arg;
}

GUEST_TEST(children_do_not_inherit_it)
{
	pthread_t t;
	pid_t pid;

	needs_right();
	EXPECT_EQ(pthread_create(&t, NULL, nothing, NULL), EAGAIN);
	EXPECT_ERRNO(fork(), EAGAIN);
	ASSERT_OK(set(1 /* RESET_ON_FORK */, MS, 100 * MS, 0));
	EXPECT_EQ(get().flags, 1);
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_EQ(get().policy, SCHED_OTHER);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(it_goes_wherever_there_is_time)
{
	cpu_set_t all, one;

	ASSERT_OK(sched_getaffinity(0, sizeof(all), &all));
	if (CPU_COUNT(&all) < 2)
		SKIP("one core");
	needs_right();
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	EXPECT_ERRNO(sched_setaffinity(0, sizeof(one), &one), EBUSY);
	MAYBE_SAVE();
	EXPECT_OK(sched_setaffinity(0, sizeof(all), &all));
}

GUEST_TEST(times_that_make_no_sense)
{
	struct attr keep = {sizeof(keep), 0, 8 | 16, 0, 0, 0, 0, 0};

	needs_right();
	EXPECT_ERRNO(set(0, 1000, 20 * MS, 0), EINVAL);
	EXPECT_ERRNO(set(0, 30 * MS, 20 * MS, 0), EINVAL);
	EXPECT_ERRNO(set(0, MS, 20 * MS, 10 * MS), EINVAL);
	EXPECT_ERRNO(set(0, MS, 0, 10 * MS), EINVAL);
	EXPECT_ERRNO(set(0, 2000, 50000, 0), EINVAL);
	EXPECT_ERRNO(set(0, MS, 20 * MS, 1ull << 63), EINVAL);
	EXPECT_ERRNO(set(0, 99999 * MS, 99999 * MS, 0), EINVAL);
	/* Everything as it is. */
	EXPECT_OK(syscall(SYS_sched_setattr, 0, &keep, 0));
	EXPECT_EQ(get().policy, DEADLINE);
	EXPECT_EQ(get().runtime, MS);
}

GUEST_TEST(an_ordinary_user_has_none)
{
	guest_drop_root();
	EXPECT_ERRNO(set(0, MS, 100 * MS, 0), EPERM);
	EXPECT_ERRNO(set(0, 200 * MS, 100 * MS, 0), EINVAL);
}

GUEST_TEST(a_policy_that_is_kept_keeps_its_reset)
{
	struct attr keep = {sizeof(keep), 0, 8 | 16, 0, 0, 0, 0, 0};
	struct sched_param sp = {0};

	ASSERT_OK(sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &sp));
	EXPECT_OK(syscall(SYS_sched_setattr, 0, &keep, 0));
	MAYBE_SAVE();
	EXPECT_EQ(sched_getscheduler(0), SCHED_BATCH | SCHED_RESET_ON_FORK);
	EXPECT_EQ(get().flags, 1);
}
