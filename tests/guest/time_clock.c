#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>

/* Clocks and sleeping. */

static const clockid_t clocks[] = {
	CLOCK_REALTIME,          CLOCK_MONOTONIC,     CLOCK_PROCESS_CPUTIME_ID,
	CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
	CLOCK_MONOTONIC_COARSE,  CLOCK_BOOTTIME,      CLOCK_TAI};

GUEST_TEST(all_clocks)
{
	struct timespec ts;

	for (size_t i = 0; i < GUEST_COUNT(clocks); i++) {
		EXPECT_OK(clock_gettime(clocks[i], &ts));
		EXPECT_TRUE(ts.tv_nsec >= 0 && ts.tv_nsec < 1000000000);
		EXPECT_OK(syscall(SYS_clock_gettime, clocks[i], &ts));
		EXPECT_OK(clock_getres(clocks[i], &ts));
		EXPECT_EQ(ts.tv_sec, 0);
		EXPECT_GT(ts.tv_nsec, 0);
	}
	EXPECT_ERRNO(clock_gettime(99, &ts), EINVAL);
	EXPECT_ERRNO(clock_getres(99, &ts), EINVAL);
}

GUEST_TEST(monotone)
{
	int64_t last = 0;

	for (int i = 0; i < 2000; i++) {
		int64_t now = guest_now(CLOCK_MONOTONIC);

		if (now < last)
			EXPECT_GE(now, last);
		last = now;
		if (i == 1000)
			MAYBE_SAVE();
	}
	last = 0;
	for (int i = 0; i < 200; i++) {
		struct timespec ts;
		int64_t now;

		if (i % 2)
			syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
		else
			clock_gettime(CLOCK_MONOTONIC, &ts);
		now = ts.tv_sec * 1000000000ll + ts.tv_nsec;
		EXPECT_GE(now, last);
		last = now;
	}
}

GUEST_TEST(relations)
{
	struct timeval tv;
	time_t t, t2;
	int64_t a, b;

	t = time(NULL);
	gettimeofday(&tv, NULL);
	t2 = time(&t2);
	EXPECT_TRUE(tv.tv_sec >= t - 1 && tv.tv_sec <= t2 + 1);
	EXPECT_GT(t, 1600000000);
	EXPECT_LT(tv.tv_usec, 1000000);
	a = guest_now(CLOCK_REALTIME_COARSE);
	b = guest_now(CLOCK_REALTIME);
	EXPECT_LE(a, b);
	a = guest_now(CLOCK_MONOTONIC);
	b = guest_now(CLOCK_BOOTTIME);
	EXPECT_LE(a, b);
	a = guest_now(CLOCK_THREAD_CPUTIME_ID);
	b = guest_now(CLOCK_PROCESS_CPUTIME_ID);
	EXPECT_LE(a, b);
}

GUEST_TEST(cpu_time_stands_while_sleeping)
{
	int64_t start = guest_now(CLOCK_PROCESS_CPUTIME_ID), wall = guest_now(CLOCK_MONOTONIC);

	guest_sleep_ms(50);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC) - wall, 50000000);
	EXPECT_LT(guest_now(CLOCK_PROCESS_CPUTIME_ID) - start, 45000000);
}

GUEST_TEST(cpu_clock_of_another_process)
{
	clockid_t c;
	struct timespec ts;

	EXPECT_EQ(clock_getcpuclockid(getpid(), &c), 0);
	EXPECT_OK(clock_gettime(c, &ts));
	EXPECT_EQ(clock_getcpuclockid(9999999, &c), ESRCH);
}

GUEST_TEST(nanosleep_call)
{
	struct timespec ts = {0, 20000000}, zero = {0, 0}, bad = {0, -1}, bad2 = {0, 1000000000},
			neg = {-1, 0};
	int64_t start = guest_now(CLOCK_MONOTONIC);

	EXPECT_OK(nanosleep(&ts, NULL));
	EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, 20000000);
	EXPECT_OK(nanosleep(&zero, NULL));
	EXPECT_ERRNO(nanosleep(&bad, NULL), EINVAL);
	EXPECT_ERRNO(nanosleep(&bad2, NULL), EINVAL);
	EXPECT_ERRNO(nanosleep(&neg, NULL), EINVAL);
}

GUEST_TEST(absolute_sleep)
{
	static const clockid_t can[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI};
	struct timespec ts;

	for (size_t i = 0; i < GUEST_COUNT(can); i++) {
		int64_t end = guest_now(can[i]) + 15000000;

		ts.tv_sec = end / 1000000000;
		ts.tv_nsec = end % 1000000000;
		EXPECT_EQ(clock_nanosleep(can[i], TIMER_ABSTIME, &ts, NULL), 0);
		EXPECT_GE(guest_now(can[i]), end);
		/* In the past: at once. */
		EXPECT_EQ(clock_nanosleep(can[i], TIMER_ABSTIME, &ts, NULL), 0);
	}
	EXPECT_EQ(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &ts, NULL), EINVAL);
	EXPECT_EQ(clock_nanosleep(99, 0, &ts, NULL), EINVAL);
}

GUEST_TEST(sleeper_over_a_save)
{
	int64_t start = guest_now(CLOCK_MONOTONIC);
	pid_t pid = guest_fork();

	if (pid == 0) {
		struct timespec ts = {0, 60000000};

		EXPECT_OK(nanosleep(&ts, NULL));
		EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, 60000000);
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, 60000000);
}

static volatile sig_atomic_t hits;

static void on_signal(int sig)
{
	hits++;
}

GUEST_TEST(remaining_time)
{
	struct timespec ts = {1000, 0}, rem = {0, 0};
	pid_t pid;

	signal(SIGUSR1, on_signal);
	pid = guest_pester(SIGUSR1);
	EXPECT_ERRNO(nanosleep(&ts, &rem), EINTR);
	EXPECT_GT(rem.tv_sec, 0);
	EXPECT_LT(rem.tv_sec, 1000);
	guest_pester_end(pid);
}

GUEST_TEST(setting_needs_privilege)
{
	struct timespec ts;

	guest_drop_root();
	ASSERT_OK(clock_gettime(CLOCK_REALTIME, &ts));
	EXPECT_ERRNO(clock_settime(CLOCK_REALTIME, &ts), EPERM);
	EXPECT_ERRNO(clock_settime(CLOCK_MONOTONIC, &ts), EINVAL);
}

GUEST_TEST(file_times_agree_with_the_clock)
{
	struct stat st;
	time_t before = time(NULL);

	guest_write_file(guest_path("f"), "x", 0644);
	ASSERT_OK(stat(guest_path("f"), &st));
	EXPECT_GE(st.st_mtime, before - 1);
	EXPECT_LE(st.st_mtime, time(NULL) + 1);
}

/* ---- where more tasks want to run than there are cores: waiting for a core is not running ---- */

#define SPIN_NS 400000000ll

static int64_t usage_ns(int who)
{
	struct rusage ru;

	EXPECT_OK(getrusage(who, &ru));
	return (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000000ll +
	       (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1000ll;
}

static long cores(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN);
}

/* Computes until the moment has come. */
static void spin_until(int64_t end)
{
	while (guest_now(CLOCK_MONOTONIC) < end)
		;
}

/* n tasks can't have had more than all cores from start to now, but for a tick of the host's each.
 */
static void expect_possible(int64_t cpu, int64_t start, long n)
{
	int64_t real = guest_now(CLOCK_MONOTONIC) - start;

	EXPECT_TRUE(cpu > 0);
	EXPECT_TRUE(cpu <= real * cores() + n * 40000000ll);
}

GUEST_TEST(processes_share_the_cores)
{
	long n = cores() * 4;
	int64_t start = guest_now(CLOCK_MONOTONIC), before = usage_ns(RUSAGE_CHILDREN);

	for (long i = 0; i < n; i++) {
		pid_t pid = fork();

		ASSERT_TRUE(pid >= 0);
		if (pid == 0) {
			spin_until(start + SPIN_NS);
			_exit(0);
		}
	}
	MAYBE_SAVE();
	for (long i = 0; i < n; i++)
		EXPECT_EQ(guest_reap(-1), 0);
	expect_possible(usage_ns(RUSAGE_CHILDREN) - before, start, n);
}

static void *spinner(void *arg)
{
	spin_until(*(int64_t *)arg + SPIN_NS);
	return NULL;
}

GUEST_TEST(threads_share_the_cores)
{
	long n = cores() * 4;
	int64_t start = guest_now(CLOCK_MONOTONIC), before = guest_now(CLOCK_PROCESS_CPUTIME_ID);
	pthread_t *t = calloc((size_t)n, sizeof(*t));

	ASSERT_TRUE(t != NULL);
	for (long i = 0; i < n; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, spinner, &start), 0);
	MAYBE_SAVE();
	for (long i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	expect_possible(guest_now(CLOCK_PROCESS_CPUTIME_ID) - before, start, n);
	free(t);
}

/* Alone it gets what it uses, whoever else there is: its clock goes on while it computes. */
GUEST_TEST(computing_is_counted)
{
	int64_t start = guest_now(CLOCK_PROCESS_CPUTIME_ID);

	while (guest_now(CLOCK_PROCESS_CPUTIME_ID) - start < 50000000)
		;
	MAYBE_SAVE();
	EXPECT_TRUE(guest_now(CLOCK_PROCESS_CPUTIME_ID) - start >= 50000000);
	EXPECT_TRUE(usage_ns(RUSAGE_SELF) >= 40000000);
}
