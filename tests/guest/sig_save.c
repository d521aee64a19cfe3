#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <setjmp.h>

/* Signals in every state at the moment of a save. */

static volatile sig_atomic_t hits, order[64], n;

static void note(int sig)
{
	hits++;
	if (n < 64)
		order[n++] = sig;
}

static void with(int sig, void (*fn)(int), int flags)
{
	struct sigaction sa = {.sa_handler = fn, .sa_flags = flags};

	sigaction(sig, &sa, NULL);
}

static sigset_t only(int sig)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, sig);
	return s;
}

GUEST_TEST(thread_and_process_pending)
{
	sigset_t set = only(SIGUSR1), pend;

	with(SIGUSR1, note, 0);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR1);
	kill(getpid(), SIGUSR1);
	MAYBE_SAVE();
	sigpending(&pend);
	EXPECT_TRUE(sigismember(&pend, SIGUSR1));
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	/* Both queues had one. */
	EXPECT_EQ(hits, 2);
}

static char alt[65536];

static void in_handler(int sig)
{
	char local[2000];

	memset(local, sig, sizeof(local));
	MAYBE_SAVE();
	for (size_t i = 0; i < sizeof(local); i++)
		if (local[i] != sig)
			EXPECT_EQ(local[i], sig);
	hits++;
	if (sig < SIGRTMIN + 3)
		raise(sig + 1);
	MAYBE_SAVE();
}

GUEST_TEST(nested_handlers_on_the_alternate_stack)
{
	stack_t ss = {.ss_sp = alt, .ss_size = sizeof(alt)};

	sigaltstack(&ss, NULL);
	for (int i = 0; i < 4; i++)
		with(SIGRTMIN + i, in_handler, SA_ONSTACK);
	raise(SIGRTMIN);
	EXPECT_EQ(hits, 4);
	sigaltstack(NULL, &ss);
	EXPECT_EQ(ss.ss_flags, 0);
}

static sigjmp_buf env;

static void jumps(int sig)
{
	MAYBE_SAVE();
	siglongjmp(env, 5);
}

GUEST_TEST(longjmp_after_a_save_in_a_handler)
{
	volatile int before = 1;
	double d = 1.25;

	with(SIGUSR1, jumps, 0);
	if (sigsetjmp(env, 1) == 0) {
		before = 2;
		raise(SIGUSR1);
	}
	EXPECT_EQ(before, 2);
	EXPECT_TRUE(d * 4 == 5);
}

GUEST_TEST(stopped_child)
{
	int status;
	pid_t pid = guest_fork();

	if (pid == 0) {
		raise(SIGSTOP);
		_exit(7);
	}
	EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
	MAYBE_SAVE();
	kill(pid, SIGCONT);
	MAYBE_SAVE();
	EXPECT_EQ(guest_reap(pid), 7);
}

GUEST_TEST(zombie_child_and_pending_sigchld)
{
	sigset_t set = only(SIGCHLD);
	siginfo_t si;
	pid_t pid;

	sigprocmask(SIG_BLOCK, &set, NULL);
	pid = guest_fork();
	if (pid == 0)
		_exit(11);
	waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT);
	MAYBE_SAVE();
	EXPECT_EQ(sigwaitinfo(&set, &si), SIGCHLD);
	EXPECT_EQ(si.si_pid, pid);
	EXPECT_EQ(si.si_status, 11);
	EXPECT_EQ(guest_reap(pid), 11);
}

static void *waits(void *arg)
{
	sigset_t set = only(SIGRTMIN);
	siginfo_t si;
	long sum = 0;

	for (int i = 0; i < 10; i++) {
		EXPECT_EQ(sigwaitinfo(&set, &si), SIGRTMIN);
		sum = sum * 3 + si.si_value.sival_int;
	}
	return (void *)sum;
}

GUEST_TEST(thread_in_sigwaitinfo)
{
	sigset_t set = only(SIGRTMIN);
	long want = 0;
	pthread_t t;
	void *sum;

	sigprocmask(SIG_BLOCK, &set, NULL);
	ASSERT_EQ(pthread_create(&t, NULL, waits, NULL), 0);
	for (int i = 0; i < 10; i++) {
		union sigval v = {.sival_int = i};

		if (i == 5)
			MAYBE_SAVE();
		EXPECT_OK(sigqueue(getpid(), SIGRTMIN, v));
		want = want * 3 + i;
	}
	pthread_join(t, &sum);
	EXPECT_EQ((long)sum, want);
}

GUEST_TEST(masks_of_many_threads)
{
	sigset_t full, got;

	sigfillset(&full);
	sigprocmask(SIG_SETMASK, &full, NULL);
	MAYBE_SAVE();
	sigprocmask(SIG_BLOCK, NULL, &got);
	for (int sig = 1; sig <= 64; sig++)
		if (sig != SIGKILL && sig != SIGSTOP && sig != 32 && sig != 33)
			EXPECT_TRUE(sigismember(&got, sig));
}

GUEST_TEST(alarm_over_a_save)
{
	sigset_t set = only(SIGALRM);

	sigprocmask(SIG_BLOCK, &set, NULL);
	alarm(1000);
	MAYBE_SAVE();
	EXPECT_GT(alarm(0), 1);
	ualarm(20000, 0);
	MAYBE_SAVE();
	EXPECT_EQ(sigwaitinfo(&set, NULL), SIGALRM);
}

GUEST_TEST(dispositions)
{
	struct sigaction sa;

	for (int sig = 1; sig <= 31; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			with(sig,
			     sig % 3 == 0   ? SIG_IGN
			     : sig % 3 == 1 ? note
			                    : SIG_DFL,
			     sig % 2 ? SA_RESTART : SA_NODEFER);
	MAYBE_SAVE();
	for (int sig = 1; sig <= 31; sig++) {
		if (sig == SIGKILL || sig == SIGSTOP)
			continue;
		sigaction(sig, NULL, &sa);
		EXPECT_EQ(sa.sa_handler, sig % 3 == 0 ? SIG_IGN : sig % 3 == 1 ? note : SIG_DFL);
		EXPECT_EQ(!!(sa.sa_flags & SA_RESTART), sig % 2);
	}
}
