#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <stdatomic.h>

/* Address space edits seen by all threads; faults of many threads at once. */

enum {
	THREADS = 4
};

static char *area;
static atomic_int turn;

static void *toucher(void *arg)
{
	long id = (long)arg;

	for (int i = 0; i < 256; i++)
		area[(size_t)i * GUEST_PAGE + (size_t)id] = (char)(id + 1);
	return NULL;
}

GUEST_TEST(all_fault_on_the_same_pages)
{
	pthread_t t[THREADS];

	area = guest_map(256 * GUEST_PAGE, 0);
	for (long i = 0; i < THREADS; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, toucher, (void *)i), 0);
	MAYBE_SAVE();
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 256; i++)
		for (int j = 0; j < THREADS; j++)
			EXPECT_EQ(area[(size_t)i * GUEST_PAGE + (size_t)j], j + 1);
}

static void *mapper(void *arg)
{
	for (int i = 0; i < 100; i++) {
		char *p = guest_map(4 * GUEST_PAGE, 0);

		p[0] = p[3 * GUEST_PAGE] = 1;
		if (munmap(p, 4 * GUEST_PAGE) < 0)
			EXPECT_OK(-1);
	}
	return NULL;
}

GUEST_TEST(all_map_and_unmap)
{
	pthread_t t[THREADS];

	for (long i = 0; i < THREADS; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, mapper, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

static void *sees_map(void *arg)
{
	while (atomic_load(&turn) != 1)
		sched_yield();
	EXPECT_EQ(area[0], 'm');
	area[1] = 't';
	atomic_store(&turn, 2);
	return NULL;
}

GUEST_TEST(a_new_mapping_is_seen)
{
	pthread_t t;

	atomic_store(&turn, 0);
	ASSERT_EQ(pthread_create(&t, NULL, sees_map, NULL), 0);
	area = guest_map(GUEST_PAGE, 0);
	area[0] = 'm';
	MAYBE_SAVE();
	atomic_store(&turn, 1);
	pthread_join(t, NULL);
	EXPECT_EQ(area[1], 't');
}

static void *forker(void *arg)
{
	for (int i = 0; i < 10; i++) {
		pid_t pid = guest_fork();

		if (pid == 0)
			_exit(area[0] == 'f' ? 0 : 1);
		EXPECT_EQ(guest_reap(pid), 0);
	}
	atomic_store(&turn, 1);
	return NULL;
}

GUEST_TEST(fork_while_others_write)
{
	pthread_t t;
	unsigned n = 0;

	atomic_store(&turn, 0);
	area = guest_map(8 * GUEST_PAGE, 0);
	area[0] = 'f';
	ASSERT_EQ(pthread_create(&t, NULL, forker, NULL), 0);
	while (atomic_load(&turn) == 0) {
		volatile unsigned *w = (unsigned *)(area + GUEST_PAGE * (1 + n % 7));

		w[1] = n;
		EXPECT_EQ(w[1], n);
		n++;
		if (n % 64 == 0)
			sched_yield();
	}
	pthread_join(t, NULL);
}
