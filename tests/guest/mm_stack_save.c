#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <setjmp.h>
#include <ucontext.h>

/* Stacks: deep recursion in threads, large frames, contexts on mapped and grown stacks. */

static __attribute__((noinline)) int ackermann(int m, int n)
{
	volatile char pad[64];

	pad[0] = (char)m;
	if (m == 0)
		return n + 1;
	if (n == 0)
		return ackermann(m - 1, 1) + 0 * pad[0];
	return ackermann(m - 1, ackermann(m, n - 1)) + 0 * pad[0];
}

static void *recursing(void *arg)
{
	return (void *)(long)ackermann(2, (int)(long)arg);
}

GUEST_TEST(threads_recurse)
{
	pthread_t t[4];
	void *r;

	for (long i = 0; i < 4; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, recursing, (void *)(60 + i)), 0);
	MAYBE_SAVE();
	for (long i = 0; i < 4; i++) {
		pthread_join(t[i], &r);
		EXPECT_EQ((long)r, 2 * (60 + i) + 3);
	}
}

static __attribute__((noinline)) long large_frame(void)
{
	volatile long a[100000];
	long sum = 0;

	for (long i = 0; i < 100000; i++)
		a[i] = i;
	MAYBE_SAVE();
	for (long i = 0; i < 100000; i++)
		sum += a[i];
	return sum;
}

GUEST_TEST(large_frames)
{
	EXPECT_EQ(large_frame(), 99999l * 100000 / 2);
	EXPECT_EQ(large_frame(), 99999l * 100000 / 2);
}

static jmp_buf env;

static __attribute__((noinline)) void descend(int depth)
{
	volatile char pad[500];

	pad[depth % 500] = 1;
	if (depth == 0)
		longjmp(env, 7);
	descend(depth - 1);
	pad[0]++;
}

GUEST_TEST(longjmp_from_the_depth)
{
	for (int i = 0; i < 20; i++) {
		int r = setjmp(env);

		if (r == 0)
			descend(1000);
		EXPECT_EQ(r, 7);
	}
}

static ucontext_t main_ctx, co[3];
static char *stacks[3];
static int trace[64], steps;

static void coroutine(int me)
{
	for (int i = 0; i < 4; i++) {
		volatile int local = me * 100 + i;

		trace[steps++] = local;
		if (me == 0 && i == 2)
			MAYBE_SAVE();
		swapcontext(&co[me], &main_ctx);
		EXPECT_EQ(local, me * 100 + i);
	}
}

GUEST_TEST(coroutines)
{
	for (int i = 0; i < 3; i++) {
		stacks[i] = guest_map(32768, 0);
		getcontext(&co[i]);
		co[i].uc_stack.ss_sp = stacks[i];
		co[i].uc_stack.ss_size = 32768;
		co[i].uc_link = &main_ctx;
		makecontext(&co[i], (void (*)(void))(uintptr_t)coroutine, 1, i);
	}
	for (int round = 0; round < 4; round++)
		for (int i = 0; i < 3; i++)
			swapcontext(&main_ctx, &co[i]);
	EXPECT_EQ(steps, 12);
	for (int i = 0; i < 12; i++)
		EXPECT_EQ(trace[i], i % 3 * 100 + i / 3);
}

GUEST_TEST(environment_and_arguments_stay)
{
	char *path = getenv("PATH");

	setenv("GUEST_VAR", "set", 1);
	MAYBE_SAVE();
	EXPECT_STREQ(getenv("GUEST_VAR"), "set");
	EXPECT_EQ(getenv("PATH"), path);
}
