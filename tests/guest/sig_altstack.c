#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <ucontext.h>

/* sigaltstack: where handlers run, what may be set when. */

static char stack_a[65536], stack_b[65536];
static volatile uintptr_t sp_seen;
static volatile sig_atomic_t hits;

static bool on(const char *s, size_t len, uintptr_t sp)
{
	return sp >= (uintptr_t)s && sp < (uintptr_t)s + len;
}

static void note_sp(int sig, siginfo_t *si, void *uc)
{
	hits++;
	sp_seen = (uintptr_t)__builtin_frame_address(0);
}

static void handle(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa = {.sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags};

	ASSERT_OK(sigaction(sig, &sa, NULL));
}

static void use(char *s, size_t len, int flags)
{
	stack_t ss = {.ss_sp = s, .ss_size = len, .ss_flags = flags};

	ASSERT_OK(sigaltstack(&ss, NULL));
}

GUEST_TEST(disabled_at_first)
{
	stack_t ss;

	memset(&ss, 0xff, sizeof(ss));
	EXPECT_OK(sigaltstack(NULL, &ss));
	EXPECT_EQ(ss.ss_flags, SS_DISABLE);
	EXPECT_EQ(ss.ss_sp, 0);
	EXPECT_EQ(ss.ss_size, 0);
}

GUEST_TEST(only_with_onstack)
{
	use(stack_a, sizeof(stack_a), 0);
	handle(SIGUSR1, note_sp, SA_ONSTACK);
	handle(SIGUSR2, note_sp, 0);
	MAYBE_SAVE();
	raise(SIGUSR1);
	EXPECT_TRUE(on(stack_a, sizeof(stack_a), sp_seen));
	raise(SIGUSR2);
	EXPECT_FALSE(on(stack_a, sizeof(stack_a), sp_seen));
}

static void on_stack_now(int sig, siginfo_t *si, void *uc)
{
	stack_t ss = {.ss_sp = stack_b, .ss_size = sizeof(stack_b)}, got;
	ucontext_t *c = uc;

	hits++;
	MAYBE_SAVE();
	EXPECT_OK(sigaltstack(NULL, &got));
	EXPECT_EQ(got.ss_flags & SS_ONSTACK, SS_ONSTACK);
	EXPECT_ERRNO(sigaltstack(&ss, NULL), EPERM);
	EXPECT_EQ(c->uc_stack.ss_sp, stack_a);
	EXPECT_EQ(c->uc_stack.ss_size, sizeof(stack_a));
	handle(SIGUSR2, note_sp, SA_ONSTACK);
	/* A second signal goes on further down the same stack. */
	raise(SIGUSR2);
	EXPECT_TRUE(on(stack_a, sizeof(stack_a), sp_seen));
	EXPECT_LT(sp_seen, (uintptr_t)__builtin_frame_address(0));
}

GUEST_TEST(in_use)
{
	stack_t got;

	use(stack_a, sizeof(stack_a), 0);
	handle(SIGUSR1, on_stack_now, SA_ONSTACK);
	raise(SIGUSR1);
	EXPECT_EQ(hits, 2);
	EXPECT_OK(sigaltstack(NULL, &got));
	EXPECT_EQ(got.ss_flags, 0);
	EXPECT_EQ(got.ss_sp, stack_a);
}

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

static void disarmed(int sig, siginfo_t *si, void *uc)
{
	stack_t got;

	hits++;
	EXPECT_OK(sigaltstack(NULL, &got));
	EXPECT_EQ(got.ss_flags, SS_DISABLE);
	use(stack_b, sizeof(stack_b), 0);
}

GUEST_TEST(autodisarm)
{
	stack_t got;

	use(stack_a, sizeof(stack_a), (int)SS_AUTODISARM);
	handle(SIGUSR1, disarmed, SA_ONSTACK);
	raise(SIGUSR1);
	EXPECT_EQ(hits, 1);
	/* Return from the handler put the first one back. */
	EXPECT_OK(sigaltstack(NULL, &got));
	EXPECT_EQ(got.ss_sp, stack_a);
	EXPECT_EQ((unsigned)got.ss_flags, SS_AUTODISARM);
}

GUEST_TEST(errors)
{
	stack_t ss = {.ss_sp = stack_a, .ss_size = 100}, got;

	EXPECT_ERRNO(sigaltstack(&ss, NULL), ENOMEM);
	ss.ss_size = sizeof(stack_a);
	ss.ss_flags = 0x100;
	EXPECT_ERRNO(sigaltstack(&ss, NULL), EINVAL);
	ss.ss_flags = SS_DISABLE;
	ss.ss_size = 1;
	EXPECT_OK(sigaltstack(&ss, &got));
	EXPECT_EQ(got.ss_flags, SS_DISABLE);
}

GUEST_TEST(child_inherits_thread_does_not)
{
	stack_t got;
	pid_t pid;

	use(stack_a, sizeof(stack_a), 0);
	pid = guest_fork();
	if (pid == 0) {
		sigaltstack(NULL, &got);
		EXPECT_EQ(got.ss_sp, stack_a);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

static void *thread_stack(void *arg)
{
	stack_t got;

	sigaltstack(NULL, &got);
	EXPECT_EQ(got.ss_flags, SS_DISABLE);
	use(stack_b, sizeof(stack_b), 0);
	MAYBE_SAVE();
	pthread_kill(pthread_self(), SIGUSR1);
	EXPECT_TRUE(on(stack_b, sizeof(stack_b), sp_seen));
	return NULL;
}

GUEST_TEST(each_thread_has_its_own)
{
	pthread_t t;

	use(stack_a, sizeof(stack_a), 0);
	handle(SIGUSR1, note_sp, SA_ONSTACK);
	ASSERT_EQ(pthread_create(&t, NULL, thread_stack, NULL), 0);
	pthread_join(t, NULL);
	raise(SIGUSR1);
	EXPECT_TRUE(on(stack_a, sizeof(stack_a), sp_seen));
}

GUEST_TEST(overflow_of_the_alternate_stack_kills)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		char *p = guest_map(64 * GUEST_PAGE, 0);

		/* The pages below can't be written: the frame does not fit. */
		mprotect(p, 62 * GUEST_PAGE, PROT_NONE);
		use(p, 62 * GUEST_PAGE, 0);
		handle(SIGUSR1, note_sp, SA_ONSTACK);
		raise(SIGUSR1);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 1000 + SIGSEGV);
}
