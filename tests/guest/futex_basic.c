#include "tests/guest/guest_test.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>

/* FUTEX_WAIT, WAKE, timeouts, bitsets, across threads and processes. */

static atomic_int *word;

static long futex(atomic_int *w, int op, unsigned val, const void *arg4, atomic_int *w2,
                  unsigned val3)
{
	return syscall(SYS_futex, w, op, val, arg4, w2, val3);
}

static void *waiter(void *arg)
{
	long op = (long)arg;
	long r;

	do
		r = futex(word, (int)op, 0, NULL, NULL, 0xffffffff);
	while (r < 0 && errno == EINTR);
	return (void *)(r == 0 ? 1l : -(long)errno);
}

/* Wakes until n have been woken in all; they may not sleep yet. */
static void wake_all(int op, int n)
{
	for (int woken = 0; woken < n;) {
		long r = futex(word, op, 1, NULL, NULL, 0xffffffff);

		ASSERT_TRUE(r >= 0);
		woken += (int)r;
		if (r == 0)
			guest_sleep_ms(1);
	}
}

static void threads_wait_and_wake(int wait_op, int wake_op)
{
	pthread_t t[4];
	void *ret;

	word = guest_map(GUEST_PAGE, 0);
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, waiter, (void *)(long)wait_op), 0);
	guest_sleep_ms(5);
	MAYBE_SAVE();
	wake_all(wake_op, 4);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &ret);
		EXPECT_EQ((long)ret, 1);
	}
	EXPECT_EQ(futex(word, wake_op, 10, NULL, NULL, 0xffffffff), 0);
}

GUEST_TEST(private_wait_and_wake)
{
	threads_wait_and_wake(FUTEX_WAIT_PRIVATE, FUTEX_WAKE_PRIVATE);
}

GUEST_TEST(shared_ops_on_private_memory)
{
	threads_wait_and_wake(FUTEX_WAIT, FUTEX_WAKE);
}

GUEST_TEST(bitset_ops)
{
	threads_wait_and_wake(FUTEX_WAIT_BITSET_PRIVATE, FUTEX_WAKE_BITSET_PRIVATE);
}

GUEST_TEST(value_mismatch)
{
	word = guest_map(GUEST_PAGE, 0);
	atomic_store(word, 5);
	EXPECT_ERRNO(futex(word, FUTEX_WAIT, 4, NULL, NULL, 0), EAGAIN);
	EXPECT_ERRNO(futex(word, FUTEX_WAIT_BITSET, 4, NULL, NULL, 1), EAGAIN);
	EXPECT_EQ(futex(word, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
}

GUEST_TEST(relative_timeout)
{
	struct timespec ts = {0, 15000000}, zero = {0, 0};
	int64_t start = guest_now(CLOCK_MONOTONIC);

	word = guest_map(GUEST_PAGE, 0);
	EXPECT_ERRNO(futex(word, FUTEX_WAIT, 0, &ts, NULL, 0), ETIMEDOUT);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, 15000000);
	EXPECT_ERRNO(futex(word, FUTEX_WAIT_PRIVATE, 0, &zero, NULL, 0), ETIMEDOUT);
}

GUEST_TEST(absolute_timeout)
{
	struct timespec ts;
	int64_t end;

	word = guest_map(GUEST_PAGE, 0);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	EXPECT_ERRNO(futex(word, FUTEX_WAIT_BITSET, 0, &ts, NULL, 1), ETIMEDOUT);
	end = guest_now(CLOCK_MONOTONIC) + 15000000;
	ts.tv_sec = end / 1000000000;
	ts.tv_nsec = end % 1000000000;
	EXPECT_ERRNO(futex(word, FUTEX_WAIT_BITSET, 0, &ts, NULL, 1), ETIMEDOUT);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC), end);
	end = guest_now(CLOCK_REALTIME) + 15000000;
	ts.tv_sec = end / 1000000000;
	ts.tv_nsec = end % 1000000000;
	EXPECT_ERRNO(futex(word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &ts, NULL, 1),
	             ETIMEDOUT);
	EXPECT_GE(guest_now(CLOCK_REALTIME), end);
}

GUEST_TEST(long_timeout_over_a_save)
{
	struct timespec ts = {0, 60000000};
	int64_t start = guest_now(CLOCK_MONOTONIC);
	pthread_t t;
	void *ret;

	word = guest_map(GUEST_PAGE, 0);
	ASSERT_EQ(pthread_create(&t, NULL, waiter, (void *)FUTEX_WAIT_PRIVATE), 0);
	EXPECT_ERRNO(futex(word + 1, FUTEX_WAIT, 0, &ts, NULL, 0), ETIMEDOUT);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, 60000000);
	MAYBE_SAVE();
	wake_all(FUTEX_WAKE_PRIVATE, 1);
	pthread_join(t, &ret);
	EXPECT_EQ((long)ret, 1);
}

static void *bit_waiter(void *arg)
{
	long r;

	do
		r = futex(word, FUTEX_WAIT_BITSET, 0, NULL, NULL, (unsigned)(long)arg);
	while (r < 0 && errno == EINTR);
	return NULL;
}

GUEST_TEST(bits_select)
{
	pthread_t a, b;

	word = guest_map(GUEST_PAGE, 0);
	ASSERT_EQ(pthread_create(&a, NULL, bit_waiter, (void *)1), 0);
	ASSERT_EQ(pthread_create(&b, NULL, bit_waiter, (void *)2), 0);
	while (futex(word, FUTEX_WAKE_BITSET, 10, NULL, NULL, 2) == 0)
		guest_sleep_ms(1);
	pthread_join(b, NULL);
	MAYBE_SAVE();
	EXPECT_EQ(futex(word, FUTEX_WAKE_BITSET, 10, NULL, NULL, 6), 0);
	while (futex(word, FUTEX_WAKE_BITSET, 10, NULL, NULL, 3) == 0)
		guest_sleep_ms(1);
	pthread_join(a, NULL);
	EXPECT_ERRNO(futex(word, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0), EINVAL);
	EXPECT_ERRNO(futex(word, FUTEX_WAKE_BITSET, 0, NULL, NULL, 0), EINVAL);
}

GUEST_TEST(between_processes)
{
	pid_t pid;

	word = guest_map_shared(GUEST_PAGE);
	pid = guest_fork();
	if (pid == 0)
		_exit(waiter((void *)FUTEX_WAIT) == (void *)1l ? 0 : 1);
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	wake_all(FUTEX_WAKE, 1);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(shared_file_mapping_at_other_addresses)
{
	int fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));
	pid_t pid;

	ASSERT_OK(ftruncate(fd, 2 * GUEST_PAGE));
	pid = guest_fork();
	if (pid == 0) {
		guest_map(7 * GUEST_PAGE, 0);
		word = mmap(NULL, 2 * GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		word = (atomic_int *)((char *)word + GUEST_PAGE);
		_exit(waiter((void *)FUTEX_WAIT) == (void *)1l ? 0 : 1);
	}
	word = mmap(NULL, GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, GUEST_PAGE);
	ASSERT_TRUE(word != MAP_FAILED);
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	wake_all(FUTEX_WAKE, 1);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(private_memory_is_per_process)
{
	pid_t pid;

	word = guest_map(GUEST_PAGE, 0);
	pid = guest_fork();
	if (pid == 0) {
		struct timespec ts = {0, 30000000};

		_exit(futex(word, FUTEX_WAIT, 0, &ts, NULL, 0) < 0 && errno == ETIMEDOUT ? 0 : 1);
	}
	for (int i = 0; i < 20; i++) {
		EXPECT_EQ(futex(word, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
		guest_sleep_ms(1);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(errors)
{
	struct timespec bad = {0, 1000000000}, neg = {-1, 0};

	word = guest_map(GUEST_PAGE, 0);
	EXPECT_ERRNO(futex((atomic_int *)((char *)word + 1), FUTEX_WAIT, 0, NULL, NULL, 0), EINVAL);
	EXPECT_ERRNO(futex((atomic_int *)((char *)word + 2), FUTEX_WAKE, 1, NULL, NULL, 0), EINVAL);
	EXPECT_ERRNO(futex(word, FUTEX_WAIT, 0, &bad, NULL, 0), EINVAL);
	EXPECT_ERRNO(futex(word, FUTEX_WAIT, 0, &neg, NULL, 0), EINVAL);
	EXPECT_ERRNO(futex(word, FUTEX_WAIT, 0, (void *)8, NULL, 0), EFAULT);
	EXPECT_ERRNO(futex(word, 99, 0, NULL, NULL, 0), ENOSYS);
	EXPECT_ERRNO(futex((atomic_int *)8, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT);
}

static unsigned kind_word;

static void *wait_privately(void *arg)
{
	struct timespec ts = {1, 0};

	EXPECT_EQ(syscall(SYS_futex, &kind_word, FUTEX_WAIT_PRIVATE, 0, &ts, NULL, 0), -1);
	EXPECT_EQ(errno, ETIMEDOUT);
	return NULL;
}

GUEST_TEST(shared_wakes_are_not_for_private_waits)
{
	pthread_t th;

	ASSERT_EQ(pthread_create(&th, NULL, wait_privately, NULL), 0);
	for (int i = 0; i < 20; i++) {
		struct timespec ts = {0, 10000000};

		EXPECT_EQ(syscall(SYS_futex, &kind_word, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
		nanosleep(&ts, NULL);
	}
	pthread_join(th, NULL);
}
