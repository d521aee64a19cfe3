#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

/* What libc builds on futexes, under contention. */

enum {
	THREADS = 4,
	ROUNDS = 300
};

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static long counter;

static void run(void *(*fn)(void *))
{
	pthread_t t[THREADS];

	for (long i = 0; i < THREADS; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, fn, (void *)i), 0);
	MAYBE_SAVE();
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

static void *with_mutex(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&m);
		counter++;
		if (i % 16 == 0)
			sched_yield();
		pthread_mutex_unlock(&m);
	}
	return NULL;
}

GUEST_TEST(mutex)
{
	run(with_mutex);
	EXPECT_EQ(counter, THREADS * ROUNDS);
}

static pthread_cond_t not_full = PTHREAD_COND_INITIALIZER, not_empty = PTHREAD_COND_INITIALIZER;
static int queue[8], head, count;
static long sum;

static void *producer_consumer(void *arg)
{
	bool producer = (long)arg % 2 == 0;

	for (int i = 1; i <= ROUNDS; i++) {
		pthread_mutex_lock(&m);
		if (producer) {
			while (count == 8)
				pthread_cond_wait(&not_full, &m);
			queue[(head + count++) % 8] = i;
			pthread_cond_signal(&not_empty);
		} else {
			while (count == 0)
				pthread_cond_wait(&not_empty, &m);
			sum += queue[head];
			head = (head + 1) % 8;
			count--;
			pthread_cond_signal(&not_full);
		}
		pthread_mutex_unlock(&m);
	}
	return NULL;
}

GUEST_TEST(bounded_queue)
{
	run(producer_consumer);
	EXPECT_EQ(sum, THREADS / 2 * (ROUNDS * (ROUNDS + 1) / 2));
}

static pthread_barrier_t barrier;

static void *with_barrier(void *arg)
{
	for (int i = 0; i < 50; i++) {
		if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
			counter++;
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

GUEST_TEST(barriers)
{
	pthread_barrier_init(&barrier, NULL, THREADS);
	run(with_barrier);
	EXPECT_EQ(counter, 50);
}

static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static long pair[2];

static void *with_rwlock(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		if ((i + (long)arg) % 4 == 0) {
			pthread_rwlock_wrlock(&rw);
			pair[0]++;
			sched_yield();
			pair[1]++;
			pthread_rwlock_unlock(&rw);
		} else {
			pthread_rwlock_rdlock(&rw);
			EXPECT_EQ(pair[0], pair[1]);
			pthread_rwlock_unlock(&rw);
		}
	}
	return NULL;
}

GUEST_TEST(rwlock)
{
	run(with_rwlock);
	EXPECT_EQ(pair[0], THREADS * ROUNDS / 4);
}

static sem_t *sem;

GUEST_TEST(semaphore_between_processes)
{
	pid_t pid;

	sem = guest_map_shared(GUEST_PAGE);
	ASSERT_OK(sem_init(&sem[0], 1, 0));
	ASSERT_OK(sem_init(&sem[1], 1, 0));
	pid = guest_fork();
	if (pid == 0) {
		for (int i = 0; i < 100; i++) {
			while (sem_wait(&sem[0]) < 0)
				;
			sem_post(&sem[1]);
		}
		_exit(0);
	}
	for (int i = 0; i < 100; i++) {
		if (i == 50)
			MAYBE_SAVE();
		sem_post(&sem[0]);
		while (sem_wait(&sem[1]) < 0)
			;
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(timed_waits)
{
	struct timespec ts;
	int64_t end = guest_now(CLOCK_REALTIME) + 10000000;
	sem_t s;

	ts.tv_sec = end / 1000000000;
	ts.tv_nsec = end % 1000000000;
	pthread_mutex_lock(&m);
	EXPECT_EQ(pthread_cond_timedwait(&not_full, &m, &ts), ETIMEDOUT);
	EXPECT_GE(guest_now(CLOCK_REALTIME), end);
	pthread_mutex_unlock(&m);
	sem_init(&s, 0, 0);
	EXPECT_ERRNO(sem_timedwait(&s, &ts), ETIMEDOUT);
	pthread_mutex_lock(&m);
	EXPECT_EQ(pthread_mutex_trylock(&m), EBUSY);
}

static atomic_int once_count;

static void once_fn(void)
{
	guest_sleep_ms(3);
	atomic_fetch_add(&once_count, 1);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void *with_once(void *arg)
{
	pthread_once(&once, once_fn);
	EXPECT_EQ(atomic_load(&once_count), 1);
	return NULL;
}

GUEST_TEST(once_only)
{
	run(with_once);
	EXPECT_EQ(atomic_load(&once_count), 1);
}

GUEST_TEST(mutex_between_processes)
{
	struct shared {
		pthread_mutex_t m;
		long n;
	} *s = guest_map_shared(GUEST_PAGE);
	pthread_mutexattr_t attr;
	pid_t pids[3];

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&s->m, &attr);
	for (int i = 0; i < 3; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0) {
			for (int j = 0; j < 300; j++) {
				pthread_mutex_lock(&s->m);
				s->n++;
				if (j % 32 == 0)
					sched_yield();
				pthread_mutex_unlock(&s->m);
			}
			_exit(0);
		}
	}
	MAYBE_SAVE();
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(guest_reap(pids[i]), 0);
	EXPECT_EQ(s->n, 900);
}

GUEST_TEST(priority_inheritance)
{
	pthread_mutexattr_t attr;
	pthread_mutex_t pi;

	pthread_mutexattr_init(&attr);
	EXPECT_EQ(pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT), 0);
	/* May be refused, must not misbehave. */
	if (pthread_mutex_init(&pi, &attr) == 0) {
		EXPECT_EQ(pthread_mutex_lock(&pi), 0);
		EXPECT_EQ(pthread_mutex_unlock(&pi), 0);
	}
}
