#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <stdatomic.h>

/* Real-time signals to single threads, in order, with values. */

enum {
	THREADS = 4,
	EACH = 30
};

static struct {
	atomic_int seen;
	bool disorder;
} box[THREADS];
static pid_t tids[THREADS];
static struct guest_gate ready;
static atomic_bool leave;

static _Thread_local int my_index = -1;

static void on_signal(int sig, siginfo_t *si, void *uc)
{
	int v = si->si_value.sival_int;

	if (my_index < 0 || v / 1000 != my_index)
		_exit(9);
	if (v % 1000 != atomic_load(&box[my_index].seen))
		box[my_index].disorder = true;
	atomic_fetch_add(&box[my_index].seen, 1);
}

static void *target(void *arg)
{
	my_index = (int)(long)arg;
	tids[my_index] = (pid_t)syscall(SYS_gettid);
	guest_gate_open(&ready);
	while (!atomic_load(&leave))
		guest_sleep_ms(1);
	return NULL;
}

static void send(int who, int n)
{
	siginfo_t si = {.si_code = SI_QUEUE};

	si.si_pid = getpid();
	si.si_uid = getuid();
	si.si_value.sival_int = who * 1000 + n;
	EXPECT_OK(syscall(SYS_rt_tgsigqueueinfo, getpid(), tids[who], SIGRTMIN + 4, &si));
}

GUEST_TEST(in_order_per_thread)
{
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
	pthread_t t[THREADS];

	guest_gate_init(&ready);
	sigaction(SIGRTMIN + 4, &sa, NULL);
	for (long i = 0; i < THREADS; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, target, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		guest_gate_wait(&ready);
	for (int n = 0; n < EACH; n++) {
		for (int i = 0; i < THREADS; i++)
			send(i, n);
		if (n == EACH / 2)
			MAYBE_SAVE();
	}
	for (int i = 0; i < THREADS; i++)
		while (atomic_load(&box[i].seen) < EACH)
			guest_sleep_ms(1);
	atomic_store(&leave, true);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(t[i], NULL);
		EXPECT_FALSE(box[i].disorder);
		EXPECT_EQ(atomic_load(&box[i].seen), EACH);
	}
}

static void *blocked_target(void *arg)
{
	sigset_t set;
	siginfo_t si;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 5);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	tids[0] = (pid_t)syscall(SYS_gettid);
	guest_gate_open(&ready);
	while (!atomic_load(&leave))
		guest_sleep_ms(1);
	for (int i = 0; i < 10; i++) {
		EXPECT_EQ(sigwaitinfo(&set, &si), SIGRTMIN + 5);
		EXPECT_EQ(si.si_value.sival_int, i);
	}
	return NULL;
}

GUEST_TEST(queued_while_blocked)
{
	pthread_t t;

	guest_gate_init(&ready);
	ASSERT_EQ(pthread_create(&t, NULL, blocked_target, NULL), 0);
	guest_gate_wait(&ready);
	for (int i = 0; i < 10; i++) {
		siginfo_t si = {.si_code = SI_QUEUE};

		si.si_value.sival_int = i;
		EXPECT_OK(syscall(SYS_rt_tgsigqueueinfo, getpid(), tids[0], SIGRTMIN + 5, &si));
	}
	MAYBE_SAVE();
	atomic_store(&leave, true);
	pthread_join(t, NULL);
}

GUEST_TEST(queue_of_a_dead_thread_is_dropped)
{
	siginfo_t si = {.si_code = SI_QUEUE};
	pthread_t t;

	atomic_store(&leave, true);
	guest_gate_init(&ready);
	ASSERT_EQ(pthread_create(&t, NULL, target, (void *)0l), 0);
	guest_gate_wait(&ready);
	pthread_join(t, NULL);
	/* A joined thread has passed the clearing of its id, not yet its last step. */
	for (int i = 0; i < 1000 && syscall(SYS_tgkill, getpid(), tids[0], 0) == 0; i++)
		usleep(1000);
	EXPECT_ERRNO(syscall(SYS_rt_tgsigqueueinfo, getpid(), tids[0], SIGRTMIN + 4, &si), ESRCH);
}
