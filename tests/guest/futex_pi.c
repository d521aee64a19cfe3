#include "tests/guest/guest_test.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>

/* Mutexes that are handed from owner to owner: FUTEX_LOCK_PI and its kin. */

struct shared {
	atomic_uint word;
	atomic_int inside, rounds;
};
static struct shared *s;

static long pi(int op, const struct timespec *ts)
{
	return syscall(SYS_futex, &s->word, op, 0, ts, NULL, 0);
}

static unsigned self(void)
{
	return (unsigned)syscall(SYS_gettid);
}

static struct timespec now_plus(long ns)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += ns;
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	return ts;
}

GUEST_TEST(free_mutex_is_taken_and_given_up)
{
	s = guest_map(GUEST_PAGE, 0);
	EXPECT_EQ(pi(FUTEX_LOCK_PI, NULL), 0);
	EXPECT_EQ(s->word & FUTEX_TID_MASK, self());
	EXPECT_ERRNO(pi(FUTEX_LOCK_PI, NULL), EDEADLK);
	EXPECT_ERRNO(pi(FUTEX_TRYLOCK_PI, NULL), EDEADLK);
	EXPECT_EQ(pi(FUTEX_UNLOCK_PI, NULL), 0);
	EXPECT_EQ(s->word, 0);
	EXPECT_ERRNO(pi(FUTEX_UNLOCK_PI, NULL), EPERM);
	EXPECT_EQ(pi(FUTEX_TRYLOCK_PI, NULL), 0);
	EXPECT_EQ(pi(FUTEX_UNLOCK_PI, NULL), 0);
	s->word = 0x3ffffffe;
	EXPECT_ERRNO(pi(FUTEX_LOCK_PI, NULL), ESRCH);
}

static void *holder(void *arg)
{
	struct guest_gate *g = arg;

	EXPECT_EQ(pi(FUTEX_LOCK_PI_PRIVATE, NULL), 0);
	guest_gate_open(&g[0]);
	guest_gate_wait(&g[1]);
	EXPECT_EQ(pi(FUTEX_UNLOCK_PI_PRIVATE, NULL), 0);
	return NULL;
}

GUEST_TEST(contended_mutex_times_out_and_is_tried_in_vain)
{
	struct guest_gate *g = guest_map(GUEST_PAGE, 0);
	struct timespec ts, bad = {0, -1};
	pthread_t t;

	guest_gate_init(&g[0]);
	guest_gate_init(&g[1]);
	s = guest_map(GUEST_PAGE, 0);
	ASSERT_EQ(pthread_create(&t, NULL, holder, g), 0);
	guest_gate_wait(&g[0]);
	EXPECT_ERRNO(pi(FUTEX_TRYLOCK_PI_PRIVATE, NULL), EAGAIN);
	EXPECT_ERRNO(pi(FUTEX_UNLOCK_PI_PRIVATE, NULL), EPERM);
	EXPECT_ERRNO(pi(FUTEX_LOCK_PI_PRIVATE, &bad), EINVAL);
	ts = now_plus(20 * 1000000);
	EXPECT_ERRNO(pi(FUTEX_LOCK_PI_PRIVATE, &ts), ETIMEDOUT);
	EXPECT_TRUE(s->word & FUTEX_WAITERS);
	MAYBE_SAVE();
	guest_gate_open(&g[1]);
	EXPECT_EQ(pi(FUTEX_LOCK_PI_PRIVATE, NULL), 0);
	EXPECT_EQ(s->word & FUTEX_TID_MASK, self());
	EXPECT_EQ(pi(FUTEX_UNLOCK_PI_PRIVATE, NULL), 0);
	pthread_join(t, NULL);
	EXPECT_EQ(s->word, 0);
}

#define ROUNDS 200

static void *contender(void *arg)
{
	int op_lock = arg ? FUTEX_LOCK_PI : FUTEX_LOCK_PI_PRIVATE;
	int op_unlock = arg ? FUTEX_UNLOCK_PI : FUTEX_UNLOCK_PI_PRIVATE;
	unsigned zero;

	for (int i = 0; i < ROUNDS; i++) {
		zero = 0;
		if (!atomic_compare_exchange_strong(&s->word, &zero, self()))
			EXPECT_EQ(pi(op_lock, NULL), 0);
		EXPECT_EQ(atomic_fetch_add(&s->inside, 1), 0);
		EXPECT_EQ(s->word & FUTEX_TID_MASK, self());
		if (i % 16 == 0)
			sched_yield();
		atomic_fetch_sub(&s->inside, 1);
		atomic_fetch_add(&s->rounds, 1);
		zero = self();
		if (!atomic_compare_exchange_strong(&s->word, &zero, 0))
			EXPECT_EQ(pi(op_unlock, NULL), 0);
	}
	return NULL;
}

GUEST_TEST(threads_exclude_each_other)
{
	pthread_t t[4];

	s = guest_map(GUEST_PAGE, 0);
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, contender, NULL), 0);
	MAYBE_SAVE();
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(s->rounds, 4 * ROUNDS);
}

GUEST_TEST(processes_exclude_each_other)
{
	pid_t pid[3];

	s = guest_map_shared(GUEST_PAGE);
	for (int i = 0; i < 3; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			contender(s);
			_exit(0);
		}
	}
	MAYBE_SAVE();
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(waitpid(pid[i], NULL, 0), pid[i]);
	EXPECT_EQ(s->rounds, 3 * ROUNDS);
}

GUEST_TEST(owner_that_dies_leaves_it_to_a_waiter)
{
	struct guest_gate *g = guest_map_shared(GUEST_PAGE);
	pid_t pid;

	guest_gate_init(&g[0]);
	s = guest_map_shared(GUEST_PAGE);
	pid = fork();
	if (pid == 0) {
		EXPECT_EQ(pi(FUTEX_LOCK_PI, NULL), 0);
		guest_gate_open(&g[0]);
		while (!(s->word & FUTEX_WAITERS))
			guest_sleep_ms(1);
		guest_sleep_ms(5);
		_exit(0);
	}
	guest_gate_wait(&g[0]);
	/* It is alive until we wait; afterwards the mutex is ours. */
	EXPECT_EQ(pi(FUTEX_LOCK_PI, NULL), 0);
	EXPECT_EQ(s->word & FUTEX_TID_MASK, self());
	EXPECT_TRUE(s->word & FUTEX_OWNER_DIED);
	EXPECT_EQ(waitpid(pid, NULL, 0), pid);
}

static pthread_mutex_t mutex;
static int counter;

static void *counting(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&mutex);
		counter++;
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

GUEST_TEST(library_mutexes_inherit_priority)
{
	pthread_mutexattr_t a;
	pthread_t t[3];

	pthread_mutexattr_init(&a);
	ASSERT_EQ(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT), 0);
	ASSERT_EQ(pthread_mutex_init(&mutex, &a), 0);
	pthread_mutex_lock(&mutex);
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, counting, NULL), 0);
	guest_sleep_ms(5);
	MAYBE_SAVE();
	pthread_mutex_unlock(&mutex);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(counter, 3 * ROUNDS);
}

static void *try_it(void *arg)
{
	EXPECT_EQ(pi(FUTEX_TRYLOCK_PI, NULL), -1);
	EXPECT_EQ(errno, EAGAIN);
	return NULL;
}

GUEST_ROLE(owner_after_exec)
{
	struct shared mine = {0};
	pthread_t th;

	s = &mine;
	ASSERT_OK(pi(FUTEX_LOCK_PI, NULL));
	ASSERT_EQ(pthread_create(&th, NULL, try_it, NULL), 0);
	pthread_join(th, NULL);
	EXPECT_EQ(mine.word & FUTEX_TID_MASK, self());
	EXPECT_OK(pi(FUTEX_UNLOCK_PI, NULL));
	return 0;
}

GUEST_TEST(a_program_owns_mutexes_after_execve)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		execl("/proc/self/exe", "x", "role:owner_after_exec", NULL);
		_exit(98);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}
