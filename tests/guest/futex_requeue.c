#include "tests/guest/guest_test.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>

/* FUTEX_REQUEUE, CMP_REQUEUE, WAKE_OP. */

static atomic_int *words;
static atomic_int sleeping;

static long futex(atomic_int *w, int op, int val, long val2, atomic_int *w2, int val3)
{
	return syscall(SYS_futex, w, op, val, val2, w2, val3);
}

static void *waiter(void *arg)
{
	atomic_fetch_add(&sleeping, 1);
	while (futex(words, FUTEX_WAIT_PRIVATE, 0, 0, NULL, 0) < 0 && errno == EINTR)
		;
	return NULL;
}

static void start(pthread_t *t, int n)
{
	words = guest_map(GUEST_PAGE, 0);
	for (int i = 0; i < n; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, waiter, NULL), 0);
	while (atomic_load(&sleeping) < n)
		guest_sleep_ms(1);
	guest_sleep_ms(10);
}

/* Wakes what sleeps on either word until n threads have ended. */
static void drain(pthread_t *t, int n)
{
	atomic_store(&words[0], 1);
	for (int left = n; left > 0;) {
		futex(&words[0], FUTEX_WAKE_PRIVATE, 100, 0, NULL, 0);
		futex(&words[1], FUTEX_WAKE_PRIVATE, 100, 0, NULL, 0);
		guest_sleep_ms(1);
		for (int i = 0; i < n; i++) {
			if (t[i] && pthread_tryjoin_np(t[i], NULL) == 0) {
				t[i] = 0;
				left--;
			}
		}
	}
}

GUEST_TEST(requeue)
{
	pthread_t t[5];
	long moved;

	start(t, 5);
	moved = futex(&words[0], FUTEX_REQUEUE_PRIVATE, 1, 100, &words[1], 0);
	EXPECT_GE(moved, 0);
	EXPECT_LE(moved, 5);
	MAYBE_SAVE();
	drain(t, 5);
}

GUEST_TEST(cmp_requeue_moves_all_but_one)
{
	pthread_t t[5];
	long n;

	start(t, 5);
	atomic_store(&words[0], 3);
	EXPECT_ERRNO(futex(&words[0], FUTEX_CMP_REQUEUE_PRIVATE, 1, 100, &words[1], 2), EAGAIN);
	/* Those that had not slept yet see 3 and leave; the others are moved. */
	n = futex(&words[0], FUTEX_CMP_REQUEUE_PRIVATE, 1, 100, &words[1], 3);
	EXPECT_GE(n, 0);
	EXPECT_LE(n, 5);
	EXPECT_EQ(futex(&words[0], FUTEX_WAKE_PRIVATE, 100, 0, NULL, 0), 0);
	MAYBE_SAVE();
	EXPECT_LE(futex(&words[1], FUTEX_WAKE_PRIVATE, 100, 0, NULL, 0), n);
	drain(t, 5);
}

GUEST_TEST(requeue_nobody)
{
	words = guest_map(GUEST_PAGE, 0);
	EXPECT_EQ(futex(&words[0], FUTEX_REQUEUE, 1, 1, &words[1], 0), 0);
	EXPECT_EQ(futex(&words[0], FUTEX_CMP_REQUEUE, 1, 1, &words[1], 0), 0);
	EXPECT_ERRNO(futex(&words[0], FUTEX_CMP_REQUEUE, -1, 1, &words[1], 0), EINVAL);
	EXPECT_ERRNO(futex(&words[0], FUTEX_CMP_REQUEUE, 1, -1, &words[1], 0), EINVAL);
	EXPECT_ERRNO(futex(&words[0], FUTEX_CMP_REQUEUE, 1, 1, (atomic_int *)8, 0), EFAULT);
}

static long wake_op(int op, int oparg, int cmp, int cmparg)
{
	return futex(&words[0], FUTEX_WAKE_OP_PRIVATE, 10, 10, &words[1],
	             (int)((unsigned)op << 28 | (unsigned)cmp << 24 | (unsigned)oparg << 12 |
	                   (unsigned)cmparg));
}

GUEST_TEST(wake_op_arithmetic)
{
	words = guest_map(GUEST_PAGE, 0);
	atomic_store(&words[1], 12);
	EXPECT_EQ(wake_op(FUTEX_OP_SET, 5, FUTEX_OP_CMP_EQ, 12), 0);
	EXPECT_EQ(atomic_load(&words[1]), 5);
	wake_op(FUTEX_OP_ADD, 7, FUTEX_OP_CMP_EQ, 0);
	EXPECT_EQ(atomic_load(&words[1]), 12);
	wake_op(FUTEX_OP_OR, 3, FUTEX_OP_CMP_EQ, 0);
	EXPECT_EQ(atomic_load(&words[1]), 15);
	wake_op(FUTEX_OP_ANDN, 1, FUTEX_OP_CMP_EQ, 0);
	EXPECT_EQ(atomic_load(&words[1]), 14);
	wake_op(FUTEX_OP_XOR, 6, FUTEX_OP_CMP_EQ, 0);
	EXPECT_EQ(atomic_load(&words[1]), 8);
	/* A negative argument is 12 bits, sign extended. */
	wake_op(FUTEX_OP_ADD, 0xfff, FUTEX_OP_CMP_EQ, 0);
	EXPECT_EQ(atomic_load(&words[1]), 7);
	/* The shift flag takes 1 << oparg. */
	wake_op(FUTEX_OP_SET | FUTEX_OP_OPARG_SHIFT, 10, FUTEX_OP_CMP_EQ, 0);
	EXPECT_EQ(atomic_load(&words[1]), 1024);
	EXPECT_ERRNO(wake_op(FUTEX_OP_SET, 0, 9, 0), ENOSYS);
}

static void *second_waiter(void *arg)
{
	while (futex(&words[1], FUTEX_WAIT_PRIVATE, *(int *)arg, 0, NULL, 0) < 0 && errno == EINTR)
		;
	return NULL;
}

GUEST_TEST(wake_op_wakes_both)
{
	pthread_t a, b;
	int val = 4;
	long woken = 0;

	words = guest_map(GUEST_PAGE, 0);
	atomic_store(&words[1], 4);
	ASSERT_EQ(pthread_create(&a, NULL, waiter, NULL), 0);
	ASSERT_EQ(pthread_create(&b, NULL, second_waiter, &val), 0);
	guest_sleep_ms(10);
	MAYBE_SAVE();
	/* The comparison is with the old value, 4; the value stays. */
	while (woken < 2) {
		long r = wake_op(FUTEX_OP_SET, 4, FUTEX_OP_CMP_EQ, 4);

		ASSERT_TRUE(r >= 0);
		woken += r;
		guest_sleep_ms(1);
	}
	pthread_join(a, NULL);
	pthread_join(b, NULL);
}

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static int phase;

static void *cond_waiter(void *arg)
{
	pthread_mutex_lock(&m);
	while (phase == 0)
		pthread_cond_wait(&c, &m);
	phase++;
	pthread_mutex_unlock(&m);
	return NULL;
}

GUEST_TEST(condition_broadcast)
{
	pthread_t t[10];

	for (int i = 0; i < 10; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, cond_waiter, NULL), 0);
	guest_sleep_ms(5);
	MAYBE_SAVE();
	pthread_mutex_lock(&m);
	phase = 1;
	pthread_cond_broadcast(&c);
	pthread_mutex_unlock(&m);
	for (int i = 0; i < 10; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(phase, 11);
}
