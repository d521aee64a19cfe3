#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

/* Locks and conditions in every state at the moment of a save. */

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static atomic_int stage, done;

static void *locks(void *arg)
{
	pthread_mutex_lock(&m);
	atomic_fetch_add(&done, 1);
	pthread_mutex_unlock(&m);
	return NULL;
}

GUEST_TEST(held_mutex_with_waiters)
{
	pthread_t t[5];

	pthread_mutex_lock(&m);
	for (int i = 0; i < 5; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, locks, NULL), 0);
	guest_sleep_ms(5);
	MAYBE_SAVE();
	EXPECT_EQ(atomic_load(&done), 0);
	pthread_mutex_unlock(&m);
	for (int i = 0; i < 5; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(atomic_load(&done), 5);
}

static void *waits(void *arg)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += 1000;
	pthread_mutex_lock(&m);
	while (atomic_load(&stage) == 0) {
		if (arg)
			EXPECT_EQ(pthread_cond_timedwait(&c, &m, &ts), 0);
		else
			pthread_cond_wait(&c, &m);
	}
	pthread_mutex_unlock(&m);
	return NULL;
}

GUEST_TEST(condition_waiters_with_and_without_timeout)
{
	pthread_t t[6];

	for (long i = 0; i < 6; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, waits, i % 2 ? &m : NULL), 0);
	guest_sleep_ms(5);
	MAYBE_SAVE();
	pthread_mutex_lock(&m);
	atomic_store(&stage, 1);
	pthread_cond_broadcast(&c);
	pthread_mutex_unlock(&m);
	for (int i = 0; i < 6; i++)
		pthread_join(t[i], NULL);
}

static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;

static void *writer(void *arg)
{
	pthread_rwlock_wrlock(&rw);
	atomic_fetch_add(&done, 1);
	pthread_rwlock_unlock(&rw);
	return NULL;
}

static void *reader(void *arg)
{
	pthread_rwlock_rdlock(&rw);
	atomic_fetch_add(&done, 1);
	pthread_rwlock_unlock(&rw);
	return NULL;
}

GUEST_TEST(read_lock_held)
{
	pthread_t w, r;

	pthread_rwlock_rdlock(&rw);
	ASSERT_EQ(pthread_create(&w, NULL, writer, NULL), 0);
	guest_sleep_ms(3);
	ASSERT_EQ(pthread_create(&r, NULL, reader, NULL), 0);
	guest_sleep_ms(3);
	MAYBE_SAVE();
	pthread_rwlock_unlock(&rw);
	pthread_join(w, NULL);
	pthread_join(r, NULL);
	EXPECT_EQ(atomic_load(&done), 2);
}

GUEST_TEST(semaphores_between_processes)
{
	sem_t *s = guest_map_shared(GUEST_PAGE);
	pid_t pids[3];

	ASSERT_OK(sem_init(s, 1, 0));
	for (int i = 0; i < 3; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0) {
			while (sem_wait(s) < 0)
				;
			_exit(i);
		}
	}
	for (int i = 0; i < 3; i++)
		guest_wait_blocked(pids[i]);
	MAYBE_SAVE();
	for (int i = 0; i < 3; i++)
		sem_post(s);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(guest_reap(pids[i]), i);
}

static pthread_barrier_t b;

static void *meets(void *arg)
{
	int r = pthread_barrier_wait(&b);

	EXPECT_TRUE(r == 0 || r == PTHREAD_BARRIER_SERIAL_THREAD);
	return NULL;
}

GUEST_TEST(barrier_half_full)
{
	pthread_t t[4];

	pthread_barrier_init(&b, NULL, 5);
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, meets, NULL), 0);
	guest_sleep_ms(3);
	MAYBE_SAVE();
	meets(NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

GUEST_TEST(robust_mutex_owner_over_a_save)
{
	pthread_mutex_t *r = guest_map_shared(GUEST_PAGE);
	struct guest_gate ready;
	pthread_mutexattr_t attr;
	pid_t pid;

	guest_gate_init(&ready);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(r, &attr);
	pid = guest_fork();
	if (pid == 0) {
		pthread_mutex_lock(r);
		guest_gate_open(&ready);
		for (;;)
			pause();
	}
	guest_gate_wait(&ready);
	MAYBE_SAVE();
	kill(pid, SIGKILL);
	EXPECT_EQ(guest_reap(pid), 1000 + SIGKILL);
	EXPECT_EQ(pthread_mutex_lock(r), EOWNERDEAD);
}
