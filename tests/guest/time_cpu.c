#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

/* Clocks of the CPU time of processes and threads: read, slept on, counted on by timers. */

#define MS 1000000ll
/* Linux: include/linux/posix-timers.h. */
#define PROCESS_CLOCK(pid) ((clockid_t)(~(unsigned)(pid) << 3 | 2))
#define THREAD_CLOCK(tid)  ((clockid_t)(~(unsigned)(tid) << 3 | 6))

static long sleep_on(clockid_t clock, int flags, int64_t ns)
{
	struct timespec ts = {ns / 1000000000, ns % 1000000000}, left = {0};

	return syscall(SYS_clock_nanosleep, clock, flags, &ts, &left);
}

static pid_t spinner(void)
{
	pid_t pid = guest_fork();

	/* No calls: it never looks into its kernel by itself. */
	if (pid == 0)
		for (volatile long i = 0;; i++)
			;
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	EXPECT_EQ(guest_reap(pid), 1000 + SIGKILL);
}

static void *spin(void *stop)
{
	while (!atomic_load((atomic_bool *)stop))
		;
	return NULL;
}

static long stat_ticks(pid_t pid)
{
	char path[64], buf[1024], *p;
	unsigned long u = 0, s = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY);
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	ASSERT_TRUE(n > 0);
	buf[n] = 0;
	p = strrchr(buf, ')');
	ASSERT_EQ(sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &u, &s), 2);
	return (long)(u + s);
}

GUEST_TEST(the_time_of_one_that_never_calls_is_seen)
{
	pid_t pid = spinner();
	clockid_t clock;
	int64_t start;

	ASSERT_EQ(clock_getcpuclockid(pid, &clock), 0);
	EXPECT_EQ(clock, PROCESS_CLOCK(pid));
	start = guest_now(clock);
	while (guest_now(clock) - start < 30 * MS)
		guest_sleep_ms(1);
	MAYBE_SAVE();
	start = guest_now(clock);
	while (guest_now(clock) - start < 30 * MS)
		guest_sleep_ms(1);
	while (stat_ticks(pid) < 10)
		guest_sleep_ms(1);
	end(pid);
	EXPECT_EQ(clock_getcpuclockid(pid, &clock), ESRCH);
}

GUEST_TEST(the_time_of_other_threads_counts)
{
	atomic_bool stop = false;
	struct rusage ru;
	int64_t start;
	pthread_t t;

	ASSERT_EQ(pthread_create(&t, NULL, spin, &stop), 0);
	start = guest_now(CLOCK_PROCESS_CPUTIME_ID);
	while (guest_now(CLOCK_PROCESS_CPUTIME_ID) - start < 30 * MS)
		guest_sleep_ms(5);
	MAYBE_SAVE();
	do {
		guest_sleep_ms(5);
		getrusage(RUSAGE_SELF, &ru);
	} while (ru.ru_utime.tv_sec == 0 && ru.ru_utime.tv_usec < 60000);
	stop = true;
	pthread_join(t, NULL);
}

GUEST_TEST(sleep_until_ones_own_process_has_run)
{
	int64_t start = guest_now(CLOCK_PROCESS_CPUTIME_ID);
	atomic_bool stop = false;
	pthread_t t;

	ASSERT_EQ(pthread_create(&t, NULL, spin, &stop), 0);
	EXPECT_EQ(sleep_on(CLOCK_PROCESS_CPUTIME_ID, 0, 20 * MS), 0);
	EXPECT_GE(guest_now(CLOCK_PROCESS_CPUTIME_ID), start + 20 * MS);
	start = guest_now(CLOCK_PROCESS_CPUTIME_ID) + 20 * MS;
	EXPECT_EQ(sleep_on(PROCESS_CLOCK(0), TIMER_ABSTIME, start), 0);
	EXPECT_GE(guest_now(CLOCK_PROCESS_CPUTIME_ID), start);
	EXPECT_EQ(sleep_on(CLOCK_PROCESS_CPUTIME_ID, TIMER_ABSTIME, 1), 0);
	stop = true;
	pthread_join(t, NULL);
}

GUEST_TEST(sleep_until_another_process_has_run)
{
	pid_t pid = spinner(), sleeper;
	int64_t until = guest_now(PROCESS_CLOCK(pid)) + 60 * MS;

	sleeper = guest_fork();
	if (sleeper == 0) {
		EXPECT_EQ(sleep_on(PROCESS_CLOCK(pid), TIMER_ABSTIME, until), 0);
		EXPECT_GE(guest_now(PROCESS_CLOCK(pid)), until);
		EXPECT_EQ(sleep_on(PROCESS_CLOCK(pid), 0, 10 * MS), 0);
		EXPECT_GE(guest_now(PROCESS_CLOCK(pid)), until + 10 * MS);
		_exit(0);
	}
	guest_wait_blocked(sleeper);
	MAYBE_SAVE();
	EXPECT_EQ(guest_reap(sleeper), 0);
	end(pid);
}

static void *spin_and_tell(void *arg)
{
	atomic_int *tid = arg;

	*tid = (int)syscall(SYS_gettid);
	while (*tid)
		;
	return NULL;
}

GUEST_TEST(sleep_until_another_thread_has_run)
{
	atomic_int tid = 0;
	pthread_t t;
	clockid_t clock;
	int64_t start;

	ASSERT_EQ(pthread_create(&t, NULL, spin_and_tell, &tid), 0);
	while (tid == 0)
		sched_yield();
	ASSERT_EQ(pthread_getcpuclockid(t, &clock), 0);
	EXPECT_EQ(clock, THREAD_CLOCK(tid));
	start = guest_now(clock);
	EXPECT_EQ(sleep_on(clock, 0, 20 * MS), 0);
	EXPECT_GE(guest_now(clock), start + 20 * MS);
	MAYBE_SAVE();
	EXPECT_EQ(sleep_on(clock, TIMER_ABSTIME, start + 50 * MS), 0);
	EXPECT_GE(guest_now(clock), start + 50 * MS);
	tid = 0;
	pthread_join(t, NULL);
}

static void on_alarm(int sig)
{
}

GUEST_TEST(a_signal_ends_the_sleep_and_tells_what_is_left)
{
	struct timespec ts = {1000, 0}, left = {0};
	pid_t idle = guest_fork(), pester;

	if (idle == 0)
		for (;;)
			pause();
	signal(SIGUSR1, on_alarm);
	pester = guest_pester(SIGUSR1);
	EXPECT_ERRNO(syscall(SYS_clock_nanosleep, PROCESS_CLOCK(idle), 0, &ts, &left), EINTR);
	EXPECT_GE(left.tv_sec, 990);
	EXPECT_LE(left.tv_sec, 1000);
	EXPECT_ERRNO(sleep_on(PROCESS_CLOCK(idle), TIMER_ABSTIME, 1000 * 1000 * MS), EINTR);
	guest_pester_end(pester);
	end(idle);
}

static timer_t make(clockid_t clock)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
	int id;

	/* The library's own takes only ids that it knows. */
	ASSERT_OK(syscall(SYS_timer_create, clock, &ev, &id));
	return (timer_t)(intptr_t)id;
}

static long arm(timer_t t, int flags, int64_t ns, int64_t every)
{
	struct itimerspec its = {{every / 1000000000, every % 1000000000},
	                         {ns / 1000000000, ns % 1000000000}};

	return syscall(SYS_timer_settime, (int)(intptr_t)t, flags, &its, NULL);
}

GUEST_TEST(timers_count_the_time_of_another_process)
{
	pid_t pid = spinner();
	struct itimerspec its;
	sigset_t set;
	int64_t until;
	timer_t t;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	t = make(PROCESS_CLOCK(pid));
	until = guest_now(PROCESS_CLOCK(pid)) + 40 * MS;
	ASSERT_OK(arm(t, TIMER_ABSTIME, until, 10 * MS));
	MAYBE_SAVE();
	EXPECT_EQ(sigwaitinfo(&set, NULL), SIGRTMIN);
	EXPECT_GE(guest_now(PROCESS_CLOCK(pid)), until);
	EXPECT_EQ(sigwaitinfo(&set, NULL), SIGRTMIN);
	EXPECT_GE(guest_now(PROCESS_CLOCK(pid)), until + 10 * MS);
	ASSERT_OK(arm(t, 0, 1000 * 1000 * MS, 0));
	end(pid);
	/* What it counted is gone. */
	EXPECT_OK(syscall(SYS_timer_gettime, (int)(intptr_t)t, &its));
	EXPECT_EQ(its.it_value.tv_sec, 0);
	EXPECT_EQ(its.it_value.tv_nsec, 0);
	EXPECT_ERRNO(arm(t, 0, MS, 0), ESRCH);
	EXPECT_OK(syscall(SYS_timer_delete, (int)(intptr_t)t));
}

GUEST_TEST(what_is_refused)
{
	struct sigevent ev = {.sigev_notify = SIGEV_NONE};
	unsigned self = (unsigned)syscall(SYS_gettid);
	pid_t other = guest_fork();
	struct timespec ts;
	int id;

	if (other == 0)
		for (;;)
			pause();
	EXPECT_ERRNO(sleep_on(CLOCK_THREAD_CPUTIME_ID, 0, MS), EOPNOTSUPP);
	EXPECT_ERRNO(sleep_on(THREAD_CLOCK(0), 0, MS), EINVAL);
	EXPECT_ERRNO(sleep_on(THREAD_CLOCK(self), 0, MS), EINVAL);
	EXPECT_ERRNO(sleep_on(THREAD_CLOCK(other), 0, MS), EINVAL);
	EXPECT_ERRNO(sleep_on(PROCESS_CLOCK(0x3ffff), 0, MS), EINVAL);
	EXPECT_ERRNO(sleep_on(PROCESS_CLOCK(0) | 7, 0, MS), EINVAL);
	EXPECT_ERRNO(sleep_on(PROCESS_CLOCK(5) | 3, 0, MS), EOPNOTSUPP);
	EXPECT_ERRNO(syscall(SYS_timer_create, PROCESS_CLOCK(5) | 3, &ev, &id), EOPNOTSUPP);
	EXPECT_ERRNO(syscall(SYS_timer_create, THREAD_CLOCK(other), &ev, &id), EINVAL);
	EXPECT_ERRNO(syscall(SYS_timer_create, PROCESS_CLOCK(0x3ffff), &ev, &id), EINVAL);
	EXPECT_ERRNO(clock_gettime(PROCESS_CLOCK(5) | 3, &ts), EINVAL);
	EXPECT_ERRNO(clock_gettime(THREAD_CLOCK(other), &ts), EINVAL);
	EXPECT_OK(clock_gettime(PROCESS_CLOCK(self), &ts));
	EXPECT_OK(clock_gettime(PROCESS_CLOCK(other), &ts));
	end(other);
}
