#include "tests/guest/guest_test.h"

/* sigaction: flags, errors, what siginfo says. */

static volatile sig_atomic_t hits;
static siginfo_t last;

static void plain(int sig)
{
	hits++;
}

static void with_info(int sig, siginfo_t *si, void *uc)
{
	hits++;
	last = *si;
}

GUEST_TEST(old_action_is_returned)
{
	struct sigaction sa = {.sa_handler = plain, .sa_flags = SA_RESTART}, old;

	sigaddset(&sa.sa_mask, SIGALRM);
	EXPECT_OK(sigaction(SIGUSR1, &sa, &old));
	EXPECT_EQ(old.sa_handler, SIG_DFL);
	MAYBE_SAVE();
	EXPECT_OK(sigaction(SIGUSR1, NULL, &old));
	EXPECT_EQ(old.sa_handler, plain);
	EXPECT_TRUE(old.sa_flags & SA_RESTART);
	EXPECT_TRUE(sigismember(&old.sa_mask, SIGALRM));
	EXPECT_FALSE(sigismember(&old.sa_mask, SIGUSR1));
}

GUEST_TEST(errors)
{
	struct sigaction sa = {.sa_handler = plain}, old;

	EXPECT_ERRNO(sigaction(SIGKILL, &sa, NULL), EINVAL);
	EXPECT_ERRNO(sigaction(SIGSTOP, &sa, NULL), EINVAL);
	EXPECT_ERRNO(sigaction(0, &sa, NULL), EINVAL);
	EXPECT_ERRNO(sigaction(65, &sa, NULL), EINVAL);
	EXPECT_OK(sigaction(SIGKILL, NULL, &old));
	EXPECT_EQ(old.sa_handler, SIG_DFL);
	EXPECT_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4), EINVAL);
}

GUEST_TEST(kill_info)
{
	struct sigaction sa = {.sa_sigaction = with_info, .sa_flags = SA_SIGINFO};
	pid_t pid, self = getpid();

	sigaction(SIGUSR1, &sa, NULL);
	kill(self, SIGUSR1);
	EXPECT_EQ(hits, 1);
	EXPECT_EQ(last.si_signo, SIGUSR1);
	EXPECT_EQ(last.si_code, SI_USER);
	EXPECT_EQ(last.si_errno, 0);
	EXPECT_EQ(last.si_pid, self);
	EXPECT_EQ(last.si_uid, getuid());
	raise(SIGUSR1);
	EXPECT_EQ(last.si_code, SI_TKILL);
	EXPECT_EQ(last.si_pid, self);
	pid = guest_fork();
	if (pid == 0) {
		kill(self, SIGUSR1);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(hits, 3);
	EXPECT_EQ(last.si_pid, pid);
}

GUEST_TEST(reset_hand)
{
	struct sigaction sa = {.sa_handler = plain, .sa_flags = (int)SA_RESETHAND}, got;

	sigaction(SIGURG, &sa, NULL);
	raise(SIGURG);
	EXPECT_EQ(hits, 1);
	sigaction(SIGURG, NULL, &got);
	EXPECT_EQ(got.sa_handler, SIG_DFL);
	raise(SIGURG);
	EXPECT_EQ(hits, 1);
}

static void nested(int sig)
{
	if (++hits < 5)
		raise(sig);
	if (hits == 5)
		MAYBE_SAVE();
}

GUEST_TEST(no_defer)
{
	struct sigaction sa = {.sa_handler = nested, .sa_flags = SA_NODEFER};

	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	EXPECT_EQ(hits, 5);
}

static volatile int depth, deepest;

static void counts_depth(int sig)
{
	if (++depth > deepest)
		deepest = depth;
	if (++hits < 3)
		raise(sig);
	depth--;
}

GUEST_TEST(deferred_by_default)
{
	signal(SIGUSR1, counts_depth);
	raise(SIGUSR1);
	EXPECT_EQ(hits, 3);
	EXPECT_EQ(deepest, 1);
}

GUEST_TEST(different_signals_nest)
{
	struct sigaction sa = {.sa_handler = nested};

	signal(SIGUSR2, plain);
	sigaction(SIGUSR1, &sa, NULL);
	hits = 4;
	raise(SIGUSR1);
	raise(SIGUSR2);
	EXPECT_EQ(hits, 6);
}

GUEST_TEST(ignored_and_default)
{
	signal(SIGUSR1, SIG_IGN);
	raise(SIGUSR1);
	EXPECT_EQ(signal(SIGUSR1, SIG_DFL), SIG_IGN);
	raise(SIGCHLD);
	raise(SIGWINCH);
	raise(SIGURG);
}

GUEST_TEST(handlers_are_shared_by_the_process)
{
	struct sigaction got;
	pid_t pid;

	signal(SIGUSR1, plain);
	pid = guest_fork();
	if (pid == 0) {
		sigaction(SIGUSR1, NULL, &got);
		EXPECT_EQ(got.sa_handler, plain);
		signal(SIGUSR1, SIG_IGN);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	sigaction(SIGUSR1, NULL, &got);
	EXPECT_EQ(got.sa_handler, plain);
}

static void keeps_errno(int sig)
{
	int saved = errno;

	close(-1);
	errno = saved;
}

GUEST_TEST(errno_and_results_survive)
{
	signal(SIGUSR1, keeps_errno);
	errno = 42;
	EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
	EXPECT_EQ(errno, 42);
}
