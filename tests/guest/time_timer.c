#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>

/* Interval timers and POSIX timers. */

static sigset_t set;

static void block(int sig)
{
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

GUEST_TEST(itimer_real)
{
	struct itimerval it = {{0, 5000}, {0, 10000}}, old;
	siginfo_t si;
	int64_t start = guest_now(CLOCK_MONOTONIC);

	block(SIGALRM);
	EXPECT_OK(setitimer(ITIMER_REAL, &it, NULL));
	MAYBE_SAVE();
	EXPECT_EQ(sigwaitinfo(&set, &si), SIGALRM);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, 10000000);
	EXPECT_EQ(si.si_code, SI_KERNEL);
	EXPECT_EQ(sigwaitinfo(&set, NULL), SIGALRM);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, 15000000);
	EXPECT_OK(getitimer(ITIMER_REAL, &old));
	EXPECT_EQ(old.it_interval.tv_usec, 5000);
	memset(&it, 0, sizeof(it));
	EXPECT_OK(setitimer(ITIMER_REAL, &it, &old));
	EXPECT_EQ(old.it_interval.tv_usec, 5000);
	EXPECT_OK(getitimer(ITIMER_REAL, &old));
	EXPECT_EQ(old.it_value.tv_sec + old.it_value.tv_usec, 0);
}

static volatile sig_atomic_t hits;

static void on_signal(int sig)
{
	hits++;
}

static void burn_until_hits(int n)
{
	while (hits < n)
		for (volatile int i = 0; i < 1000; i++)
			;
}

GUEST_TEST(itimer_virtual_and_prof)
{
	struct itimerval it = {{0, 5000}, {0, 5000}}, zero = {{0, 0}, {0, 0}};

	signal(SIGVTALRM, on_signal);
	EXPECT_OK(setitimer(ITIMER_VIRTUAL, &it, NULL));
	burn_until_hits(2);
	EXPECT_OK(setitimer(ITIMER_VIRTUAL, &zero, NULL));
	hits = 0;
	signal(SIGPROF, on_signal);
	EXPECT_OK(setitimer(ITIMER_PROF, &it, NULL));
	MAYBE_SAVE();
	burn_until_hits(2);
	EXPECT_OK(setitimer(ITIMER_PROF, &zero, NULL));
	EXPECT_GE(guest_now(CLOCK_PROCESS_CPUTIME_ID), 10000000);
}

GUEST_TEST(itimer_errors)
{
	struct itimerval it = {{0, 0}, {0, 1000000}};

	EXPECT_ERRNO(setitimer(ITIMER_REAL, &it, NULL), EINVAL);
	it.it_value.tv_usec = 0;
	it.it_value.tv_sec = -1;
	EXPECT_ERRNO(setitimer(ITIMER_REAL, &it, NULL), EINVAL);
	EXPECT_ERRNO(getitimer((enum __itimer_which)9, &it), EINVAL);
}

static timer_t make(clockid_t clock, int notify, int sig, int value)
{
	struct sigevent ev = {.sigev_notify = notify, .sigev_signo = sig};
	timer_t t;

	ev.sigev_value.sival_int = value;
	ASSERT_EQ(timer_create(clock, &ev, &t), 0);
	return t;
}

static void arm(timer_t t, long ns, long interval_ns)
{
	struct itimerspec its = {{0, interval_ns}, {0, ns}};

	EXPECT_OK(timer_settime(t, 0, &its, NULL));
}

GUEST_TEST(signal_timer)
{
	timer_t t = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 4711);
	int64_t start = guest_now(CLOCK_MONOTONIC);
	siginfo_t si;

	block(SIGRTMIN);
	arm(t, 10000000, 0);
	MAYBE_SAVE();
	EXPECT_EQ(sigwaitinfo(&set, &si), SIGRTMIN);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, 10000000);
	EXPECT_EQ(si.si_code, SI_TIMER);
	EXPECT_EQ(si.si_value.sival_int, 4711);
	EXPECT_EQ(si.si_overrun, 0);
	EXPECT_OK(timer_delete(t));
	EXPECT_ERRNO(timer_delete(t), EINVAL);
}

GUEST_TEST(default_notification)
{
	struct itimerspec its = {{0, 0}, {0, 1000000}};
	timer_t t;
	siginfo_t si;

	block(SIGALRM);
	ASSERT_OK(timer_create(CLOCK_REALTIME, NULL, &t));
	EXPECT_OK(timer_settime(t, 0, &its, NULL));
	EXPECT_EQ(sigwaitinfo(&set, &si), SIGALRM);
	EXPECT_EQ(si.si_code, SI_TIMER);
}

GUEST_TEST(overruns)
{
	timer_t t = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 1);
	siginfo_t si;

	block(SIGRTMIN);
	arm(t, 1000000, 1000000);
	guest_sleep_ms(20);
	MAYBE_SAVE();
	EXPECT_EQ(sigwaitinfo(&set, &si), SIGRTMIN);
	EXPECT_GE(si.si_overrun, 15);
	EXPECT_GE(timer_getoverrun(t), 15);
	/* One signal was queued, not one per expiry. */
	arm(t, 0, 0);
	sigpending(&set);
	EXPECT_OK(timer_delete(t));
}

/* A timer's signal is queued beside one that somebody sent, and its periods are counted. */
GUEST_TEST(beside_a_pending_signal)
{
	struct itimerspec its = {{0, 2000000}, {0, 1000000}}, zero = {{0, 0}, {0, 0}};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct timespec nap = {0, 20000000};
	siginfo_t si;
	timer_t timer;

	block(SIGUSR1);
	EXPECT_OK(kill(getpid(), SIGUSR1));
	ASSERT_OK(timer_create(CLOCK_MONOTONIC, &ev, &timer));
	ASSERT_OK(timer_settime(timer, 0, &its, NULL));
	EXPECT_OK(nanosleep(&nap, NULL));
	MAYBE_SAVE();
	EXPECT_EQ(sigwaitinfo(&set, &si), SIGUSR1);
	EXPECT_EQ(si.si_code, SI_USER);
	EXPECT_OK(nanosleep(&nap, NULL));
	EXPECT_EQ(sigwaitinfo(&set, &si), SIGUSR1);
	EXPECT_EQ(si.si_code, SI_TIMER);
	EXPECT_GE(si.si_overrun, 1);
	EXPECT_OK(timer_settime(timer, 0, &zero, NULL));
	EXPECT_OK(timer_delete(timer));
}

/* What only looks like a timer's counts as everybody's. */
GUEST_TEST(claims_of_being_a_timer)
{
	struct rlimit lim = {0, 0};
	siginfo_t si = {0};
	int i;

	block(SIGRTMIN);
	ASSERT_OK(setrlimit(RLIMIT_SIGPENDING, &lim));
	si.si_signo = SIGRTMIN;
	si.si_code = SI_TIMER;
	for (i = 0; i < 10; i++)
		if (syscall(SYS_rt_sigqueueinfo, getpid(), SIGRTMIN, &si) < 0)
			break;
	EXPECT_LT(i, 10);
	EXPECT_EQ(errno, EAGAIN);
}

GUEST_TEST(gettime_and_disarm)
{
	timer_t t = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 0);
	struct itimerspec its = {{5, 0}, {100, 0}}, got;

	EXPECT_OK(timer_gettime(t, &got));
	EXPECT_EQ(got.it_value.tv_sec + got.it_value.tv_nsec, 0);
	EXPECT_OK(timer_settime(t, 0, &its, NULL));
	MAYBE_SAVE();
	EXPECT_OK(timer_gettime(t, &got));
	EXPECT_TRUE(got.it_value.tv_sec < 100 && got.it_value.tv_sec >= 1);
	EXPECT_EQ(got.it_interval.tv_sec, 5);
	memset(&its, 0, sizeof(its));
	EXPECT_OK(timer_settime(t, 0, &its, &got));
	EXPECT_EQ(got.it_interval.tv_sec, 5);
	EXPECT_OK(timer_gettime(t, &got));
	EXPECT_EQ(got.it_value.tv_sec, 0);
}

GUEST_TEST(none_timer_counts_silently)
{
	timer_t t = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
	struct itimerspec got;

	arm(t, 1000000, 0);
	guest_sleep_ms(10);
	EXPECT_OK(timer_gettime(t, &got));
	EXPECT_EQ(got.it_value.tv_sec + got.it_value.tv_nsec, 0);
}

GUEST_TEST(absolute)
{
	timer_t t = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 0);
	int64_t end = guest_now(CLOCK_MONOTONIC) + 10000000;
	struct itimerspec its = {{0, 0}, {end / 1000000000, end % 1000000000}};

	block(SIGRTMIN);
	EXPECT_OK(timer_settime(t, TIMER_ABSTIME, &its, NULL));
	EXPECT_EQ(sigwaitinfo(&set, NULL), SIGRTMIN);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC), end);
	its.it_value.tv_sec = 1; /* long ago */
	EXPECT_OK(timer_settime(t, TIMER_ABSTIME, &its, NULL));
	EXPECT_EQ(sigwaitinfo(&set, NULL), SIGRTMIN);
}

static sem_t sem;

static void in_thread(union sigval v)
{
	EXPECT_EQ(v.sival_int, 12);
	sem_post(&sem);
}

GUEST_TEST(thread_notification)
{
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD};
	timer_t t;

	sem_init(&sem, 0, 0);
	ev.sigev_notify_function = in_thread;
	ev.sigev_value.sival_int = 12;
	ASSERT_OK(timer_create(CLOCK_MONOTONIC, &ev, &t));
	arm(t, 5000000, 0);
	while (sem_wait(&sem) < 0)
		;
	EXPECT_OK(timer_delete(t));
}

GUEST_TEST(thread_id_notification)
{
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN};
	timer_t t;

	ev._sigev_un._tid = (int)syscall(SYS_gettid);
	block(SIGRTMIN);
	ASSERT_OK(timer_create(CLOCK_MONOTONIC, &ev, &t));
	arm(t, 1000000, 0);
	EXPECT_EQ(sigwaitinfo(&set, NULL), SIGRTMIN);
	ev._sigev_un._tid = 9999999;
	EXPECT_ERRNO(timer_create(CLOCK_MONOTONIC, &ev, &t), EINVAL);
}

GUEST_TEST(cpu_time_timer)
{
	timer_t t = make(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR1, 0);

	signal(SIGUSR1, on_signal);
	arm(t, 10000000, 0);
	burn_until_hits(1);
	EXPECT_GE(guest_now(CLOCK_PROCESS_CPUTIME_ID), 10000000);
}

GUEST_TEST(not_inherited)
{
	timer_t t = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
	pid_t pid;

	arm(t, 999999999, 0);
	pid = guest_fork();
	if (pid == 0) {
		struct itimerspec its;

		EXPECT_ERRNO(timer_gettime(t, &its), EINVAL);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(many_timers)
{
	enum {
		N = 50
	};
	timer_t t[N];
	int seen = 0;

	block(SIGRTMIN);
	for (int i = 0; i < N; i++)
		t[i] = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, i);
	for (int i = 0; i < N; i++)
		arm(t[i], 1000000 + i * 100000, 0);
	MAYBE_SAVE();
	for (int i = 0; i < N; i++) {
		siginfo_t si;

		EXPECT_EQ(sigwaitinfo(&set, &si), SIGRTMIN);
		seen += si.si_value.sival_int;
	}
	EXPECT_EQ(seen, N * (N - 1) / 2);
	for (int i = 0; i < N; i++)
		EXPECT_OK(timer_delete(t[i]));
}

GUEST_TEST(errors)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 99};
	struct itimerspec its = {{0, 0}, {0, 1000000000}};
	timer_t t;

	EXPECT_ERRNO(timer_create(CLOCK_MONOTONIC, &ev, &t), EINVAL);
	EXPECT_ERRNO(timer_create(99, NULL, &t), EINVAL);
	t = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
	EXPECT_ERRNO(timer_settime(t, 0, &its, NULL), EINVAL);
	EXPECT_ERRNO(syscall(SYS_timer_settime, 12345, 0, &its, NULL), EINVAL);
	EXPECT_ERRNO(syscall(SYS_timer_getoverrun, 12345), EINVAL);
}

static atomic_int prof_by_main, prof_by_worker;
static pid_t prof_main;

static void on_prof(int signo)
{
	if (gettid() == prof_main)
		prof_by_main++;
	else
		prof_by_worker++;
}

static void *burn(void *arg)
{
	while (prof_by_worker < 10)
		;
	return NULL;
}

/* Profilers: who burns is who is interrupted. */
GUEST_TEST(itimer_prof_tells_who_runs)
{
	struct itimerval it = {{0, 2000}, {0, 2000}}, off = {0};
	struct sigaction sa = {.sa_handler = on_prof, .sa_flags = SA_RESTART};
	pthread_t th;

	prof_main = gettid();
	ASSERT_OK(sigaction(SIGPROF, &sa, NULL));
	ASSERT_OK(setitimer(ITIMER_PROF, &it, NULL));
	ASSERT_EQ(pthread_create(&th, NULL, burn, NULL), 0);
	pthread_join(th, NULL);
	setitimer(ITIMER_PROF, &off, NULL);
	EXPECT_GE(prof_by_worker, 10);
}
