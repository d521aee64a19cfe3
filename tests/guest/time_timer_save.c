#include "tests/guest/guest_test.h"

#include <sys/time.h>

/* Timers of all kinds over a save: what remains, intervals, values, overruns. */

static sigset_t set;

static void block(int sig)
{
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

GUEST_TEST(remaining_time)
{
	struct itimerspec its = {{7, 5}, {500, 0}}, got;
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
	struct itimerval it = {{3, 0}, {400, 0}}, back;
	timer_t t;

	block(SIGRTMIN);
	ASSERT_OK(timer_create(CLOCK_MONOTONIC, &ev, &t));
	ASSERT_OK(timer_settime(t, 0, &its, NULL));
	ASSERT_OK(setitimer(ITIMER_REAL, &it, NULL));
	MAYBE_SAVE();
	ASSERT_OK(timer_gettime(t, &got));
	EXPECT_TRUE(got.it_value.tv_sec > 0 && got.it_value.tv_sec < 500);
	EXPECT_EQ(got.it_interval.tv_sec, 7);
	EXPECT_EQ(got.it_interval.tv_nsec, 5);
	ASSERT_OK(getitimer(ITIMER_REAL, &back));
	EXPECT_TRUE(back.it_value.tv_sec > 0 && back.it_value.tv_sec < 400);
	EXPECT_EQ(back.it_interval.tv_sec, 3);
}

GUEST_TEST(expired_and_not_taken)
{
	struct itimerspec its = {{0, 0}, {0, 1000000}};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
	siginfo_t si;
	timer_t t;

	block(SIGRTMIN);
	ev.sigev_value.sival_int = 808;
	ASSERT_OK(timer_create(CLOCK_MONOTONIC, &ev, &t));
	ASSERT_OK(timer_settime(t, 0, &its, NULL));
	guest_sleep_ms(5);
	MAYBE_SAVE();
	EXPECT_EQ(sigwaitinfo(&set, &si), SIGRTMIN);
	EXPECT_EQ(si.si_value.sival_int, 808);
	EXPECT_EQ(si.si_code, SI_TIMER);
	/* It can be armed again. */
	ASSERT_OK(timer_settime(t, 0, &its, NULL));
	EXPECT_EQ(sigwaitinfo(&set, &si), SIGRTMIN);
}

GUEST_TEST(periodic_goes_on)
{
	struct itimerspec its = {{0, 3000000}, {0, 3000000}};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
	int64_t start = guest_now(CLOCK_MONOTONIC);
	long expiries = 0;
	timer_t t;

	block(SIGRTMIN);
	ASSERT_OK(timer_create(CLOCK_MONOTONIC, &ev, &t));
	ASSERT_OK(timer_settime(t, 0, &its, NULL));
	for (int i = 0; i < 6; i++) {
		siginfo_t si;

		EXPECT_EQ(sigwaitinfo(&set, &si), SIGRTMIN);
		expiries += 1 + si.si_overrun;
		if (i == 2)
			MAYBE_SAVE();
	}
	EXPECT_GE(expiries, 6);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, expiries * 3000000);
}

GUEST_TEST(absolute_realtime)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
	int64_t end = guest_now(CLOCK_REALTIME) + 20000000;
	struct itimerspec its = {{0, 0}, {end / 1000000000, end % 1000000000}};
	timer_t t;

	block(SIGRTMIN);
	ASSERT_OK(timer_create(CLOCK_REALTIME, &ev, &t));
	ASSERT_OK(timer_settime(t, TIMER_ABSTIME, &its, NULL));
	MAYBE_SAVE();
	EXPECT_EQ(sigwaitinfo(&set, NULL), SIGRTMIN);
	EXPECT_GE(guest_now(CLOCK_REALTIME), end);
}

GUEST_TEST(ids_stay)
{
	struct sigevent ev = {.sigev_notify = SIGEV_NONE};
	timer_t t[5], extra;

	for (int i = 0; i < 5; i++)
		ASSERT_OK(timer_create(CLOCK_MONOTONIC, &ev, &t[i]));
	ASSERT_OK(timer_delete(t[2]));
	MAYBE_SAVE();
	ASSERT_OK(timer_create(CLOCK_MONOTONIC, &ev, &extra));
	for (int i = 0; i < 5; i++) {
		struct itimerspec its;

		if (i != 2) {
			EXPECT_OK(timer_gettime(t[i], &its));
			EXPECT_NE(extra, t[i]);
		}
	}
}

static volatile sig_atomic_t hits;

static void on_signal(int sig)
{
	hits++;
}

GUEST_TEST(cpu_timers)
{
	struct itimerval it = {{0, 4000}, {0, 4000}}, zero = {{0, 0}, {0, 0}};

	signal(SIGPROF, on_signal);
	signal(SIGVTALRM, on_signal);
	ASSERT_OK(setitimer(ITIMER_PROF, &it, NULL));
	ASSERT_OK(setitimer(ITIMER_VIRTUAL, &it, NULL));
	MAYBE_SAVE();
	while (hits < 4)
		for (volatile int i = 0; i < 1000; i++)
			;
	ASSERT_OK(setitimer(ITIMER_PROF, &zero, NULL));
	ASSERT_OK(setitimer(ITIMER_VIRTUAL, &zero, NULL));
}
