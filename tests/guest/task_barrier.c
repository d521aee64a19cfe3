#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <stdatomic.h>

/* Threads that come and go: creation in threads, generations, short lives, joins by others. */

static atomic_long alive;

static void *spawn_tree(void *arg)
{
	long depth = (long)arg;
	pthread_t t[2];

	atomic_fetch_add(&alive, 1);
	if (depth > 0) {
		for (int i = 0; i < 2; i++)
			ASSERT_EQ(pthread_create(&t[i], NULL, spawn_tree, (void *)(depth - 1)), 0);
		if (depth == 4)
			MAYBE_SAVE();
		for (int i = 0; i < 2; i++)
			pthread_join(t[i], NULL);
	}
	return NULL;
}

GUEST_TEST(threads_start_threads)
{
	spawn_tree((void *)4l);
	EXPECT_EQ(atomic_load(&alive), 31);
}

static void *successor(void *arg)
{
	long n = (long)arg;
	pthread_t t;

	if (n == 0) {
		atomic_store(&alive, -1);
		return NULL;
	}
	/* Each one starts the next and leaves. */
	ASSERT_EQ(pthread_create(&t, NULL, successor, (void *)(n - 1)), 0);
	pthread_detach(t);
	return NULL;
}

GUEST_TEST(relay_of_lives)
{
	pthread_t t;

	ASSERT_EQ(pthread_create(&t, NULL, successor, (void *)100l), 0);
	pthread_join(t, NULL);
	while (atomic_load(&alive) != -1)
		guest_sleep_ms(1);
}

static void *main_joins(void *arg)
{
	pthread_join(*(pthread_t *)arg, NULL);
	_exit(23);
}

GUEST_TEST(main_thread_exits_and_is_joined)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		static pthread_t self;
		pthread_t t;

		self = pthread_self();
		pthread_create(&t, NULL, main_joins, &self);
		MAYBE_SAVE();
		pthread_exit(NULL);
	}
	EXPECT_EQ(guest_reap(pid), 23);
}

static void *yields(void *arg)
{
	for (int i = 0; i < 500; i++)
		sched_yield();
	return NULL;
}

GUEST_TEST(yielding)
{
	pthread_t t[6];

	for (int i = 0; i < 6; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, yields, NULL), 0);
	for (int i = 0; i < 6; i++)
		pthread_join(t[i], NULL);
}

static pthread_spinlock_t spin;
static long guarded;

static void *spins(void *arg)
{
	for (int i = 0; i < 300; i++) {
		pthread_spin_lock(&spin);
		guarded++;
		pthread_spin_unlock(&spin);
	}
	return NULL;
}

GUEST_TEST(spinlocks)
{
	pthread_t t[3];

	pthread_spin_init(&spin, 0);
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, spins, NULL), 0);
	MAYBE_SAVE();
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(guarded, 900);
}

static void cleanup(void *arg)
{
	atomic_fetch_add((atomic_long *)arg, 1);
}

static void *cancellable(void *arg)
{
	pthread_cleanup_push(cleanup, arg);
	for (;;)
		guest_sleep_ms(1000);
	pthread_cleanup_pop(0);
	return NULL;
}

GUEST_TEST(cancelled_with_cleanup)
{
	pthread_t t[5];
	void *r;

	for (int i = 0; i < 5; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, cancellable, &alive), 0);
	guest_sleep_ms(3);
	MAYBE_SAVE();
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(pthread_cancel(t[i]), 0);
	for (int i = 0; i < 5; i++) {
		pthread_join(t[i], &r);
		EXPECT_EQ(r, PTHREAD_CANCELED);
	}
	/* One that was cancelled before its first step never pushed its handler. */
	EXPECT_LE(atomic_load(&alive), 5);
}
