#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/time.h>

/* Signals in great number into running and blocking code. */

static atomic_long hits, sum;

static void count(int sig)
{
	atomic_fetch_add(&hits, 1);
}

static void add(int sig, siginfo_t *si, void *uc)
{
	atomic_fetch_add(&sum, si->si_value.sival_int);
	atomic_fetch_add(&hits, 1);
}

GUEST_TEST(every_queued_signal_arrives)
{
	struct sigaction sa = {.sa_sigaction = add, .sa_flags = SA_SIGINFO | SA_RESTART};
	enum {
		N = 300
	};
	pid_t self = getpid(), pid;

	sigaction(SIGRTMIN, &sa, NULL);
	pid = guest_fork();
	if (pid == 0) {
		for (int i = 1; i <= N; i++) {
			union sigval v = {.sival_int = i};

			while (sigqueue(self, SIGRTMIN, v) < 0 && errno == EAGAIN)
				sched_yield();
			if (i == N / 2)
				MAYBE_SAVE();
		}
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	while (atomic_load(&hits) < N)
		sched_yield();
	EXPECT_EQ(atomic_load(&sum), N * (N + 1) / 2);
}

GUEST_TEST(timer_against_computation)
{
	struct itimerval it = {{0, 1000}, {0, 1000}}, zero = {{0, 0}, {0, 0}};
	unsigned long x = 1, y = 1;

	signal(SIGALRM, count);
	setitimer(ITIMER_REAL, &it, NULL);
	while (atomic_load(&hits) < 20) {
		for (int i = 0; i < 1000; i++)
			x = x * 6364136223846793005ul + 1442695040888963407ul;
		for (int i = 0; i < 1000; i++)
			y = y * 6364136223846793005ul + 1442695040888963407ul;
		if (x != y)
			EXPECT_EQ(x, y);
	}
	setitimer(ITIMER_REAL, &zero, NULL);
}

GUEST_TEST(timer_against_system_calls)
{
	struct itimerval it = {{0, 1000}, {0, 1000}}, zero = {{0, 0}, {0, 0}};
	struct sigaction sa = {.sa_handler = count, .sa_flags = SA_RESTART};
	int fds[2];
	char c = 0;

	ASSERT_OK(pipe(fds));
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	for (unsigned char i = 0; atomic_load(&hits) < 20; i++) {
		ASSERT_EQ(write(fds[1], &i, 1), 1);
		ASSERT_EQ(read(fds[0], &c, 1), 1);
		if ((unsigned char)c != i)
			EXPECT_EQ((unsigned char)c, i);
	}
	setitimer(ITIMER_REAL, &zero, NULL);
}

GUEST_TEST(blocked_reader_under_fire)
{
	struct sigaction sa = {.sa_handler = count, .sa_flags = SA_RESTART};
	pid_t self = getpid(), pid;
	char c = 0;
	int fds[2];

	ASSERT_OK(pipe(fds));
	sigaction(SIGUSR1, &sa, NULL);
	pid = guest_fork();
	if (pid == 0) {
		for (int i = 0; i < 100; i++) {
			kill(self, SIGUSR1);
			if (i % 10 == 0)
				guest_sleep_ms(1);
		}
		MAYBE_SAVE();
		_exit(write(fds[1], "e", 1) == 1 ? 0 : 1);
	}
	EXPECT_EQ(read(fds[0], &c, 1), 1);
	EXPECT_EQ(c, 'e');
	EXPECT_GE(atomic_load(&hits), 1);
	EXPECT_EQ(guest_reap(pid), 0);
}

static atomic_bool done;
static pthread_t targets[3];

static void *victim(void *arg)
{
	unsigned long x = (unsigned long)arg, y = x;

	while (!atomic_load(&done)) {
		x = x * 2862933555777941757ul + 3037000493ul;
		y = y * 2862933555777941757ul + 3037000493ul;
		if (x != y)
			EXPECT_EQ(x, y);
	}
	return NULL;
}

GUEST_TEST(threads_shoot_threads)
{
	signal(SIGUSR2, count);
	for (long i = 0; i < 3; i++)
		ASSERT_EQ(pthread_create(&targets[i], NULL, victim, (void *)i), 0);
	for (int i = 0; i < 150; i++) {
		EXPECT_EQ(pthread_kill(targets[i % 3], SIGUSR2), 0);
		if (i == 75)
			MAYBE_SAVE();
		if (i % 16 == 0)
			sched_yield();
	}
	while (atomic_load(&hits) < 3)
		sched_yield();
	atomic_store(&done, true);
	for (int i = 0; i < 3; i++)
		pthread_join(targets[i], NULL);
}

GUEST_TEST(forks_under_fire)
{
	struct itimerval it = {{0, 5000}, {0, 5000}}, zero = {{0, 0}, {0, 0}};
	struct sigaction sa = {.sa_handler = count, .sa_flags = SA_RESTART};

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	for (int i = 0; i < 20; i++) {
		pid_t pid = guest_fork();

		if (pid == 0)
			_exit(i);
		EXPECT_EQ(guest_reap(pid), i);
	}
	setitimer(ITIMER_REAL, &zero, NULL);
}
