#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <stdatomic.h>

/* Signals and threads: who gets what. */

static atomic_int taker, hits;
static struct guest_gate ready, leave;

static void on_signal(int sig)
{
	atomic_store(&taker, (int)syscall(SYS_gettid));
	atomic_fetch_add(&hits, 1);
}

static void *idle(void *arg)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(arg ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
	guest_gate_open(&ready);
	guest_gate_wait(&leave);
	return (void *)syscall(SYS_gettid);
}

static void start(pthread_t *t, bool blocked)
{
	ASSERT_EQ(pthread_create(t, NULL, idle, blocked ? t : NULL), 0);
	guest_gate_wait(&ready);
}

static void wait_hits(int n)
{
	while (atomic_load(&hits) < n)
		guest_sleep_ms(1);
}

GUEST_TEST(process_signal_goes_to_an_unblocked_thread)
{
	pthread_t a, b;
	sigset_t set;
	void *tid_a, *tid_b;

	guest_gate_init(&ready);
	guest_gate_init(&leave);
	signal(SIGUSR1, on_signal);
	start(&a, true);
	start(&b, false);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	MAYBE_SAVE();
	kill(getpid(), SIGUSR1);
	wait_hits(1);
	guest_gate_open(&leave);
	guest_gate_open(&leave);
	pthread_join(a, &tid_a);
	pthread_join(b, &tid_b);
	EXPECT_EQ(atomic_load(&taker), (long)tid_b);
}

GUEST_TEST(all_blocked_stays_pending)
{
	sigset_t set, pend, none;
	pthread_t a;

	guest_gate_init(&ready);
	guest_gate_init(&leave);
	signal(SIGUSR1, on_signal);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	start(&a, true);
	kill(getpid(), SIGUSR1);
	MAYBE_SAVE();
	EXPECT_EQ(atomic_load(&hits), 0);
	sigpending(&pend);
	EXPECT_TRUE(sigismember(&pend, SIGUSR1));
	/* The first thread that unblocks gets it. */
	sigemptyset(&none);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	EXPECT_EQ(atomic_load(&hits), 1);
	EXPECT_EQ(atomic_load(&taker), getpid());
	guest_gate_open(&leave);
	pthread_join(a, NULL);
}

GUEST_TEST(thread_signal_waits_for_its_thread)
{
	sigset_t pend;
	pthread_t a;
	void *tid;

	guest_gate_init(&ready);
	guest_gate_init(&leave);
	signal(SIGUSR1, on_signal);
	start(&a, true);
	pthread_kill(a, SIGUSR1);
	MAYBE_SAVE();
	EXPECT_EQ(atomic_load(&hits), 0);
	sigpending(&pend);
	EXPECT_FALSE(sigismember(&pend, SIGUSR1));
	guest_gate_open(&leave);
	pthread_join(a, &tid);
	EXPECT_EQ(atomic_load(&hits), 0);
}

GUEST_TEST(tgkill_errors)
{
	pid_t self = getpid(), pid;
	struct guest_gate g;

	guest_gate_init(&g);
	pid = guest_fork();
	if (pid == 0) {
		guest_gate_wait(&g);
		_exit(0);
	}
	EXPECT_OK(syscall(SYS_tgkill, self, self, 0));
	EXPECT_OK(syscall(SYS_tkill, self, 0));
	EXPECT_ERRNO(syscall(SYS_tgkill, self, pid, 0), ESRCH);
	EXPECT_OK(syscall(SYS_tgkill, pid, pid, 0));
	EXPECT_ERRNO(syscall(SYS_tgkill, self, 0, 0), EINVAL);
	EXPECT_ERRNO(syscall(SYS_tgkill, -1, self, 0), EINVAL);
	EXPECT_ERRNO(syscall(SYS_tgkill, self, self, 65), EINVAL);
	EXPECT_ERRNO(syscall(SYS_tkill, 0, 0), EINVAL);
	EXPECT_ERRNO(syscall(SYS_tkill, 9999999, 0), ESRCH);
	guest_gate_open(&g);
	EXPECT_EQ(guest_reap(pid), 0);
}

static void *kill_self(void *arg)
{
	/* kill takes a process; a thread's id is one too, for kill. */
	EXPECT_OK(kill((pid_t)syscall(SYS_gettid), SIGUSR1));
	return NULL;
}

GUEST_TEST(kill_with_a_thread_id)
{
	pthread_t t;

	signal(SIGUSR1, on_signal);
	ASSERT_EQ(pthread_create(&t, NULL, kill_self, NULL), 0);
	pthread_join(t, NULL);
	wait_hits(1);
}

static atomic_bool spinning, stop;

static void *spin(void *arg)
{
	atomic_store(&spinning, true);
	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		__asm__ volatile("pause");
	return NULL;
}

static void stop_spin(int sig)
{
	atomic_store(&stop, true);
}

GUEST_TEST(a_busy_thread_is_interrupted)
{
	pthread_t t;

	signal(SIGUSR2, stop_spin);
	ASSERT_EQ(pthread_create(&t, NULL, spin, NULL), 0);
	while (!atomic_load(&spinning))
		guest_sleep_ms(1);
	MAYBE_SAVE();
	EXPECT_EQ(pthread_kill(t, SIGUSR2), 0);
	pthread_join(t, NULL);
	EXPECT_TRUE(atomic_load(&stop));
}

static void *storm(void *arg)
{
	for (int i = 0; i < 200; i++)
		kill(getpid(), SIGUSR1);
	return NULL;
}

GUEST_TEST(storm_from_threads)
{
	pthread_t t[3];

	signal(SIGUSR1, on_signal);
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, storm, NULL), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	EXPECT_GE(atomic_load(&hits), 1);
	EXPECT_LE(atomic_load(&hits), 600);
}
