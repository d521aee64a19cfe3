#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <stdatomic.h>

/* Threads as libc makes them: create, join, TLS, ids, cancel, many. */

static _Thread_local int tls = 5;
static atomic_int count;

static void *return_arg(void *arg)
{
	atomic_fetch_add(&count, 1);
	return arg;
}

GUEST_TEST(create_and_join)
{
	pthread_t t[8];
	void *ret;

	for (long i = 0; i < 8; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, return_arg, (void *)i), 0);
	MAYBE_SAVE();
	for (long i = 7; i >= 0; i--) {
		EXPECT_EQ(pthread_join(t[i], &ret), 0);
		EXPECT_EQ((long)ret, i);
	}
	EXPECT_EQ(atomic_load(&count), 8);
}

static void *meet(void *arg)
{
	pthread_barrier_wait(arg);
	return NULL;
}

GUEST_TEST(one_hundred_at_once)
{
	enum {
		N = 100
	};
	static pthread_barrier_t b;
	static pthread_t t[N];
	pthread_attr_t attr;

	pthread_barrier_init(&b, NULL, N + 1);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (long i = 0; i < N; i++)
		ASSERT_EQ(pthread_create(&t[i], &attr, meet, &b), 0);
	MAYBE_SAVE();
	pthread_barrier_wait(&b);
	for (int i = 0; i < N; i++)
		EXPECT_EQ(pthread_join(t[i], NULL), 0);
}

GUEST_TEST(many_in_turn)
{
	for (long i = 0; i < 300; i++) {
		pthread_t t;
		void *ret;

		ASSERT_EQ(pthread_create(&t, NULL, return_arg, (void *)i), 0);
		ASSERT_EQ(pthread_join(t, &ret), 0);
		EXPECT_EQ((long)ret, i);
	}
}

static struct guest_gate gate;

static void *tls_thread(void *arg)
{
	long id = (long)arg;

	EXPECT_EQ(tls, 5);
	tls = (int)(100 + id);
	guest_gate_wait(&gate);
	EXPECT_EQ(tls, 100 + id);
	return NULL;
}

GUEST_TEST(thread_local_storage)
{
	pthread_t t[4];

	guest_gate_init(&gate);
	tls = 7;
	for (long i = 0; i < 4; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, tls_thread, (void *)i), 0);
	MAYBE_SAVE();
	for (int i = 0; i < 4; i++)
		guest_gate_open(&gate);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(tls, 7);
}

static void *tls_in_child(void *arg)
{
	pid_t pid;

	tls = 77;
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_EQ(tls, 77);
		/* The forking thread is the only one, and the leader. */
		EXPECT_EQ(syscall(SYS_gettid), getpid());
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	return NULL;
}

GUEST_TEST(fork_from_a_thread)
{
	pthread_t t;

	ASSERT_EQ(pthread_create(&t, NULL, tls_in_child, NULL), 0);
	pthread_join(t, NULL);
	EXPECT_EQ(tls, 5);
}

static void *ids(void *arg)
{
	EXPECT_EQ(getpid(), *(pid_t *)arg);
	EXPECT_NE(syscall(SYS_gettid), *(pid_t *)arg);
	return (void *)syscall(SYS_gettid);
}

GUEST_TEST(thread_ids)
{
	pid_t self = getpid();
	pthread_t t;
	void *tid;

	ASSERT_EQ(pthread_create(&t, NULL, ids, &self), 0);
	pthread_join(t, &tid);
	/* A thread that is gone can't be signalled. */
	EXPECT_ERRNO(syscall(SYS_tgkill, self, (long)tid, 0), ESRCH);
	/* set_tid_address returns the caller's id. */
	EXPECT_EQ(syscall(SYS_set_tid_address, &self), getpid());
}

static void *sleeper(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

GUEST_TEST(cancel_a_blocked_thread)
{
	pthread_t t;
	void *ret;

	ASSERT_EQ(pthread_create(&t, NULL, sleeper, NULL), 0);
	MAYBE_SAVE();
	EXPECT_EQ(pthread_cancel(t), 0);
	EXPECT_EQ(pthread_join(t, &ret), 0);
	EXPECT_EQ(ret, PTHREAD_CANCELED);
}

static void *detached(void *arg)
{
	guest_gate_open(&gate);
	return NULL;
}

GUEST_TEST(detached_threads)
{
	pthread_attr_t attr;
	pthread_t t;

	guest_gate_init(&gate);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < 50; i++)
		ASSERT_EQ(pthread_create(&t, &attr, detached, NULL), 0);
	for (int i = 0; i < 50; i++)
		guest_gate_wait(&gate);
}

static void *exits_process(void *arg)
{
	exit(12);
}

GUEST_TEST(exit_from_a_thread)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		pthread_t t;

		pthread_create(&t, NULL, sleeper, NULL);
		pthread_create(&t, NULL, exits_process, NULL);
		for (;;)
			pause();
	}
	EXPECT_EQ(guest_reap(pid), 12);
}

static void *outlives_leader(void *arg)
{
	guest_gate_wait(&gate);
	_exit(21);
}

GUEST_TEST(leader_leaves_first)
{
	pid_t pid;

	guest_gate_init(&gate);
	pid = guest_fork();
	if (pid == 0) {
		pthread_t t;

		pthread_create(&t, NULL, outlives_leader, NULL);
		/* The main thread ends alone; the process does not. */
		syscall(SYS_exit, 99);
	}
	guest_sleep_ms(10);
	EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
	MAYBE_SAVE();
	EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
	EXPECT_EQ(kill(pid, 0), 0);
	guest_gate_open(&gate);
	EXPECT_EQ(guest_reap(pid), 21);
}

static void atexit_hook(void *arg)
{
	*(int *)arg = 1;
}

static pthread_key_t key;

static void *with_key(void *arg)
{
	pthread_setspecific(key, arg);
	return NULL;
}

GUEST_TEST(key_destructors)
{
	pthread_t t;
	int called = 0;

	ASSERT_EQ(pthread_key_create(&key, atexit_hook), 0);
	ASSERT_EQ(pthread_create(&t, NULL, with_key, &called), 0);
	pthread_join(t, NULL);
	EXPECT_EQ(called, 1);
}
