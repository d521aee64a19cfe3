#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/resource.h>

/* The main stack grows on demand up to its limit; MAP_GROWSDOWN does the same. */

static sigjmp_buf env;
static char alt[32768];

static void on_fault(int sig, siginfo_t *si, void *uc)
{
	siglongjmp(env, sig);
}

static void catch_on_altstack(void)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	stack_t ss = {.ss_sp = alt, .ss_size = sizeof(alt)};

	ASSERT_OK(sigaltstack(&ss, NULL));
	ASSERT_OK(sigaction(SIGSEGV, &sa, NULL));
	ASSERT_OK(sigaction(SIGBUS, &sa, NULL));
}

static __attribute__((noinline)) int eat(int depth)
{
	volatile char room[4096];

	room[0] = (char)depth;
	room[4095] = 1;
	if (depth == 0)
		return room[0];
	return eat(depth - 1) + room[4095];
}

static __attribute__((noinline)) int forever(int depth)
{
	volatile char room[4096];

	room[0] = (char)depth;
	return forever(depth + 1) + room[0];
}

GUEST_TEST(grows_by_megabytes)
{
	EXPECT_EQ(eat(1000), 1000);
	MAYBE_SAVE();
	EXPECT_EQ(eat(1500), 1500);
}

GUEST_TEST(large_step_down)
{
	/* A jump of more than a page below the touched part is allowed for the stack. */
	volatile char *p = (volatile char *)__builtin_frame_address(0) - 2 * 1024 * 1024;

	*p = 'x';
	MAYBE_SAVE();
	EXPECT_EQ(*p, 'x');
}

GUEST_TEST(overflow_is_segv)
{
	int sig;

	catch_on_altstack();
	sig = sigsetjmp(env, 1);
	if (sig == 0)
		forever(0);
	EXPECT_EQ(sig, SIGSEGV);
	EXPECT_EQ(eat(100), 100);
}

GUEST_TEST(overflow_without_altstack_kills)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		_exit(forever(0));
	}
	EXPECT_EQ(guest_reap(pid), 1000 + SIGSEGV);
}

GUEST_TEST(handler_without_room_kills)
{
	/* The handler runs on the overflown stack itself: the frame can't be written. */
	pid_t pid = guest_fork();

	if (pid == 0) {
		struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

		sigaction(SIGSEGV, &sa, NULL);
		if (sigsetjmp(env, 1) != 0)
			_exit(1);
		_exit(forever(0));
	}
	EXPECT_EQ(guest_reap(pid), 1000 + SIGSEGV);
}

GUEST_TEST(limit_is_obeyed)
{
	struct rlimit rl = {512 * 1024, RLIM_INFINITY};
	int sig;

	ASSERT_OK(getrlimit(RLIMIT_STACK, &rl));
	rl.rlim_cur = 512 * 1024;
	ASSERT_OK(setrlimit(RLIMIT_STACK, &rl));
	catch_on_altstack();
	EXPECT_EQ(eat(50), 50);
	sig = sigsetjmp(env, 1);
	if (sig == 0)
		EXPECT_EQ(eat(1000), 1000);
	EXPECT_EQ(sig, SIGSEGV);
}

GUEST_TEST(growsdown)
{
	char *p = guest_map(64 * GUEST_PAGE, 0);
	char *top = p + 60 * GUEST_PAGE;

	/* Leave room below, with the guard gap and more. */
	ASSERT_OK(munmap(p, 64 * GUEST_PAGE));
	ASSERT_EQ(mmap(top, GUEST_PAGE, PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0),
	          top);
	top[0] = 't';
	MAYBE_SAVE();
	for (int i = 1; i < 10; i++)
		((volatile char *)top)[-i * (long)GUEST_PAGE] = (char)i;
	for (int i = 1; i < 10; i++)
		EXPECT_EQ(top[-i * (long)GUEST_PAGE], i);
	EXPECT_EQ(top[0], 't');
}

static void *thread_overflow(void *arg)
{
	int sig;

	catch_on_altstack();
	sig = sigsetjmp(env, 1);
	if (sig == 0)
		forever(0);
	return (void *)(long)sig;
}

GUEST_TEST(thread_guard_page)
{
	pthread_t t;
	void *ret = NULL;

	ASSERT_EQ(pthread_create(&t, NULL, thread_overflow, NULL), 0);
	ASSERT_EQ(pthread_join(t, &ret), 0);
	EXPECT_EQ((long)ret, SIGSEGV);
}
