#include "tests/guest/guest_test.h"

#include <pthread.h>

/* sigwaitinfo, sigtimedwait, sigwait, sigsuspend, pause. */

static sigset_t set;

static void block2(int a, int b)
{
	sigemptyset(&set);
	sigaddset(&set, a);
	sigaddset(&set, b);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

GUEST_TEST(pending_is_taken)
{
	siginfo_t si;
	int sig;

	block2(SIGUSR1, SIGUSR2);
	kill(getpid(), SIGUSR2);
	MAYBE_SAVE();
	EXPECT_EQ(sigwaitinfo(&set, &si), SIGUSR2);
	EXPECT_EQ(si.si_signo, SIGUSR2);
	EXPECT_EQ(si.si_code, SI_USER);
	EXPECT_EQ(si.si_pid, getpid());
	raise(SIGUSR1);
	EXPECT_EQ(sigwait(&set, &sig), 0);
	EXPECT_EQ(sig, SIGUSR1);
	sigpending(&set);
	EXPECT_FALSE(sigismember(&set, SIGUSR1));
}

GUEST_TEST(arrives_while_waiting)
{
	pid_t self = getpid(), pid;
	siginfo_t si;

	block2(SIGUSR1, SIGUSR2);
	pid = guest_fork();
	if (pid == 0) {
		guest_wait_blocked(self);
		MAYBE_SAVE();
		kill(self, SIGUSR1);
		_exit(0);
	}
	EXPECT_EQ(sigwaitinfo(&set, &si), SIGUSR1);
	EXPECT_EQ(si.si_pid, pid);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(timeout)
{
	struct timespec ts = {0, 20000000}, zero = {0, 0}, bad = {0, 2000000000};
	int64_t start;

	block2(SIGUSR1, SIGUSR2);
	start = guest_now(CLOCK_MONOTONIC);
	EXPECT_ERRNO(sigtimedwait(&set, NULL, &ts), EAGAIN);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, 20000000);
	EXPECT_ERRNO(sigtimedwait(&set, NULL, &zero), EAGAIN);
	EXPECT_ERRNO(sigtimedwait(&set, NULL, &bad), EINVAL);
	raise(SIGUSR1);
	EXPECT_EQ(sigtimedwait(&set, NULL, &zero), SIGUSR1);
}

GUEST_TEST(lowest_number_first)
{
	block2(SIGUSR1, SIGUSR2);
	raise(SIGUSR2);
	raise(SIGUSR1);
	EXPECT_EQ(sigwaitinfo(&set, NULL), SIGUSR1);
	EXPECT_EQ(sigwaitinfo(&set, NULL), SIGUSR2);
}

static volatile sig_atomic_t hits;

static void on_signal(int sig)
{
	hits++;
}

GUEST_TEST(unblocked_wait_takes_it_from_the_handler)
{
	pid_t self = getpid(), pid;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	signal(SIGUSR1, on_signal);
	sigprocmask(SIG_BLOCK, &set, NULL);
	pid = guest_fork();
	if (pid == 0) {
		guest_wait_blocked(self);
		kill(self, SIGUSR1);
		_exit(0);
	}
	EXPECT_EQ(sigwaitinfo(&set, NULL), SIGUSR1);
	EXPECT_EQ(hits, 0);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(suspend_restores_the_mask)
{
	sigset_t other, got;

	signal(SIGUSR1, on_signal);
	block2(SIGUSR1, SIGUSR2);
	raise(SIGUSR1);
	raise(SIGUSR2);
	sigemptyset(&other);
	sigaddset(&other, SIGUSR2);
	MAYBE_SAVE();
	EXPECT_ERRNO(sigsuspend(&other), EINTR);
	EXPECT_EQ(hits, 1);
	sigprocmask(SIG_BLOCK, NULL, &got);
	EXPECT_TRUE(sigismember(&got, SIGUSR1));
	EXPECT_TRUE(sigismember(&got, SIGUSR2));
}

GUEST_TEST(suspend_waits)
{
	pid_t self = getpid(), pid;
	sigset_t none;

	signal(SIGUSR1, on_signal);
	block2(SIGUSR1, SIGUSR2);
	sigemptyset(&none);
	pid = guest_fork();
	if (pid == 0) {
		guest_wait_blocked(self);
		MAYBE_SAVE();
		kill(self, SIGUSR1);
		_exit(0);
	}
	EXPECT_ERRNO(sigsuspend(&none), EINTR);
	EXPECT_EQ(hits, 1);
	EXPECT_EQ(guest_reap(pid), 0);
}

static void *wait_thread(void *arg)
{
	int sig = 0;

	EXPECT_EQ(sigwait(&set, &sig), 0);
	return (void *)(long)sig;
}

GUEST_TEST(one_thread_takes_it)
{
	pthread_t t[3];
	void *ret;

	block2(SIGUSR1, SIGUSR2);
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, wait_thread, NULL), 0);
	guest_sleep_ms(5);
	MAYBE_SAVE();
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR2);
	pthread_kill(t[0], SIGUSR1);
	for (int i = 0, left = 3; i < 200 && left > 0; i++) {
		left = 0;
		for (int j = 0; j < 3; j++) {
			if (!t[j])
				continue;
			if (pthread_tryjoin_np(t[j], &ret) == 0)
				t[j] = 0;
			else
				left++;
		}
		/* Two equal standard signals may have become one. */
		kill(getpid(), SIGUSR1);
		guest_sleep_ms(1);
	}
	for (int j = 0; j < 3; j++) {
		while (t[j] && pthread_tryjoin_np(t[j], &ret) != 0) {
			kill(getpid(), SIGUSR2);
			guest_sleep_ms(1);
		}
	}
}

GUEST_TEST(kill_signals_cannot_be_awaited)
{
	struct timespec zero = {0, 0};

	sigemptyset(&set);
	sigaddset(&set, SIGKILL);
	sigaddset(&set, SIGSTOP);
	EXPECT_ERRNO(sigtimedwait(&set, NULL, &zero), EAGAIN);
	EXPECT_ERRNO(syscall(SYS_rt_sigtimedwait, &set, NULL, &zero, 4), EINVAL);
}

static void *pauser(void *arg)
{
	EXPECT_EQ(pause(), -1);
	EXPECT_EQ(errno, EINTR);
	return NULL;
}

GUEST_TEST(pause_returns_after_a_handler)
{
	pthread_t t;

	signal(SIGUSR1, on_signal);
	ASSERT_EQ(pthread_create(&t, NULL, pauser, NULL), 0);
	MAYBE_SAVE();
	while (pthread_tryjoin_np(t, NULL) != 0) {
		pthread_kill(t, SIGUSR1);
		guest_sleep_ms(2);
	}
	EXPECT_GE(hits, 1);
}
