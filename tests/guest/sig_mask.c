#include "tests/guest/guest_test.h"

#include <pthread.h>

/* Blocking, pending, delivery when unblocked. */

static volatile sig_atomic_t hits, order[16], norder;

static void on_signal(int sig)
{
	hits++;
	if (norder < 16)
		order[norder++] = sig;
}

static void set_of(sigset_t *set, int a, int b)
{
	sigemptyset(set);
	sigaddset(set, a);
	if (b)
		sigaddset(set, b);
}

GUEST_TEST(blocked_then_delivered_once)
{
	sigset_t set, old, pend;

	signal(SIGUSR1, on_signal);
	set_of(&set, SIGUSR1, 0);
	EXPECT_OK(sigprocmask(SIG_BLOCK, &set, &old));
	EXPECT_FALSE(sigismember(&old, SIGUSR1));
	for (int i = 0; i < 3; i++)
		kill(getpid(), SIGUSR1);
	EXPECT_EQ(hits, 0);
	sigpending(&pend);
	EXPECT_TRUE(sigismember(&pend, SIGUSR1));
	MAYBE_SAVE();
	EXPECT_EQ(hits, 0);
	EXPECT_OK(sigprocmask(SIG_SETMASK, &old, NULL));
	EXPECT_EQ(hits, 1);
	sigpending(&pend);
	EXPECT_FALSE(sigismember(&pend, SIGUSR1));
}

GUEST_TEST(lowest_first)
{
	sigset_t set, old;

	sigemptyset(&set);
	for (int sig = SIGUSR1; sig <= SIGALRM; sig++) {
		signal(sig, on_signal);
		sigaddset(&set, sig);
	}
	sigprocmask(SIG_BLOCK, &set, &old);
	kill(getpid(), SIGALRM);
	kill(getpid(), SIGUSR2);
	kill(getpid(), SIGUSR1);
	MAYBE_SAVE();
	sigprocmask(SIG_SETMASK, &old, NULL);
	EXPECT_EQ(norder, 3);
	/* Frames are stacked in order: the last one pushed runs first. */
	EXPECT_EQ(order[0], SIGALRM);
	EXPECT_EQ(order[1], SIGUSR2);
	EXPECT_EQ(order[2], SIGUSR1);
}

GUEST_TEST(kill_and_stop_cannot_be_blocked)
{
	sigset_t set, got;

	sigfillset(&set);
	EXPECT_OK(sigprocmask(SIG_SETMASK, &set, NULL));
	EXPECT_OK(sigprocmask(SIG_BLOCK, NULL, &got));
	EXPECT_FALSE(sigismember(&got, SIGKILL));
	EXPECT_FALSE(sigismember(&got, SIGSTOP));
	EXPECT_TRUE(sigismember(&got, SIGTERM));
	EXPECT_TRUE(sigismember(&got, 64));
}

GUEST_TEST(how_values)
{
	sigset_t a, b, got;

	set_of(&a, SIGUSR1, SIGUSR2);
	set_of(&b, SIGUSR2, SIGALRM);
	sigprocmask(SIG_SETMASK, &a, NULL);
	sigprocmask(SIG_BLOCK, &b, &got);
	EXPECT_FALSE(sigismember(&got, SIGALRM));
	sigprocmask(SIG_UNBLOCK, &a, &got);
	EXPECT_TRUE(sigismember(&got, SIGALRM));
	EXPECT_TRUE(sigismember(&got, SIGUSR1));
	sigprocmask(SIG_BLOCK, NULL, &got);
	EXPECT_TRUE(sigismember(&got, SIGALRM));
	EXPECT_FALSE(sigismember(&got, SIGUSR1));
	EXPECT_FALSE(sigismember(&got, SIGUSR2));
	EXPECT_ERRNO(sigprocmask(17, &a, NULL), EINVAL);
	/* Without a set, how is not looked at. */
	EXPECT_OK(sigprocmask(17, NULL, &got));
	EXPECT_ERRNO(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &a, NULL, 4), EINVAL);
}

GUEST_TEST(handler_mask)
{
	struct sigaction sa = {.sa_handler = on_signal};
	sigset_t during;

	sa.sa_handler = on_signal;
	set_of(&sa.sa_mask, SIGUSR2, 0);
	EXPECT_OK(sigaction(SIGUSR1, &sa, NULL));
	EXPECT_OK(sigaction(SIGUSR1, NULL, &sa));
	EXPECT_TRUE(sigismember(&sa.sa_mask, SIGUSR2));
	raise(SIGUSR1);
	EXPECT_EQ(hits, 1);
	sigprocmask(SIG_BLOCK, NULL, &during);
	EXPECT_FALSE(sigismember(&during, SIGUSR1));
	EXPECT_FALSE(sigismember(&during, SIGUSR2));
}

static sigset_t seen;

static void look(int sig)
{
	sigprocmask(SIG_BLOCK, NULL, &seen);
	if (hits++ == 0) {
		raise(SIGUSR1); /* waits for this handler */
		raise(SIGUSR2);
		MAYBE_SAVE();
		EXPECT_EQ(hits, 1);
	}
}

GUEST_TEST(mask_during_the_handler)
{
	struct sigaction sa = {.sa_handler = look};

	set_of(&sa.sa_mask, SIGUSR2, 0);
	sigaction(SIGUSR1, &sa, NULL);
	signal(SIGUSR2, on_signal);
	raise(SIGUSR1);
	EXPECT_EQ(hits, 3);
	EXPECT_TRUE(sigismember(&seen, SIGUSR1));
	EXPECT_TRUE(sigismember(&seen, SIGUSR2));
	EXPECT_FALSE(sigismember(&seen, SIGALRM));
}

GUEST_TEST(ignored_while_blocked_is_dropped)
{
	sigset_t set, pend;

	set_of(&set, SIGUSR1, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGUSR1, on_signal);
	raise(SIGUSR1);
	signal(SIGUSR1, SIG_IGN);
	sigpending(&pend);
	EXPECT_FALSE(sigismember(&pend, SIGUSR1));
	/* Ignored and blocked: still queued, for sigwait. */
	raise(SIGUSR1);
	sigpending(&pend);
	EXPECT_TRUE(sigismember(&pend, SIGUSR1));
}

static void *thread_mask(void *arg)
{
	sigset_t got;

	pthread_sigmask(SIG_BLOCK, NULL, &got);
	EXPECT_TRUE(sigismember(&got, SIGUSR1));
	sigemptyset(&got);
	pthread_sigmask(SIG_SETMASK, &got, NULL);
	return NULL;
}

GUEST_TEST(mask_is_per_thread)
{
	pthread_t t;
	sigset_t set, got;

	set_of(&set, SIGUSR1, 0);
	sigprocmask(SIG_BLOCK, &set, NULL);
	ASSERT_EQ(pthread_create(&t, NULL, thread_mask, NULL), 0);
	pthread_join(t, NULL);
	sigprocmask(SIG_BLOCK, NULL, &got);
	EXPECT_TRUE(sigismember(&got, SIGUSR1));
}

GUEST_TEST(cont_and_stop_cancel_each_other)
{
	sigset_t set, pend;

	set_of(&set, SIGCONT, SIGTSTP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGCONT, on_signal);
	signal(SIGTSTP, on_signal);
	raise(SIGTSTP);
	raise(SIGCONT);
	sigpending(&pend);
	EXPECT_FALSE(sigismember(&pend, SIGTSTP));
	EXPECT_TRUE(sigismember(&pend, SIGCONT));
	raise(SIGTSTP);
	sigpending(&pend);
	EXPECT_TRUE(sigismember(&pend, SIGTSTP));
	EXPECT_FALSE(sigismember(&pend, SIGCONT));
}
