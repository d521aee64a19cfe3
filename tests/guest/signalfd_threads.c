#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <sys/signalfd.h>

/* signalfd among threads: each reads its own signals and those of the process. */

#define ROUNDS 200

static void block(int signo)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, signo);
	EXPECT_EQ(pthread_sigmask(SIG_BLOCK, &s, NULL), 0);
}

static int fd_for(int signo, int flags)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, signo);
	return ASSERT_OK(signalfd(-1, &s, flags));
}

static int the_fd;
static _Atomic int sum, count;

static void *drain(void *arg)
{
	struct signalfd_siginfo i;

	while (read(the_fd, &i, sizeof(i)) == sizeof(i) && i.ssi_int >= 0) {
		sum += i.ssi_int;
		count++;
	}
	return NULL;
}

/* Process-directed records are split among the readers and none is lost. */
GUEST_TEST(shared_queue)
{
	pthread_t t[4];
	int want = 0;

	block(SIGRTMIN + 1);
	the_fd = fd_for(SIGRTMIN + 1, 0);
	for (int k = 0; k < 4; k++)
		ASSERT_EQ(pthread_create(&t[k], NULL, drain, NULL), 0);
	for (int k = 0; k < ROUNDS; k++) {
		EXPECT_OK(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = k}));
		want += k;
		if (k == ROUNDS / 2)
			MAYBE_SAVE();
	}
	for (int k = 0; k < 4; k++)
		EXPECT_OK(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = -1}));
	for (int k = 0; k < 4; k++)
		pthread_join(t[k], NULL);
	EXPECT_EQ(sum, want);
	EXPECT_EQ(count, ROUNDS);
}

static struct guest_gate ready;

static void *own_signal(void *arg)
{
	struct signalfd_siginfo i;
	struct pollfd p = {the_fd, POLLIN, 0};

	guest_gate_open(&ready);
	EXPECT_EQ(poll(&p, 1, -1), 1);
	EXPECT_EQ(read(the_fd, &i, sizeof(i)), sizeof(i));
	EXPECT_EQ(i.ssi_signo, SIGUSR1);
	EXPECT_EQ(i.ssi_code, SI_TKILL);
	return NULL;
}

/* A thread-directed one is seen by its thread alone. */
GUEST_TEST(thread_directed)
{
	struct pollfd p;
	pthread_t t;

	block(SIGUSR1);
	the_fd = fd_for(SIGUSR1, SFD_NONBLOCK);
	p = (struct pollfd){the_fd, POLLIN, 0};
	guest_gate_init(&ready);
	ASSERT_EQ(pthread_create(&t, NULL, own_signal, NULL), 0);
	guest_gate_wait(&ready);
	EXPECT_EQ(poll(&p, 1, 0), 0);
	MAYBE_SAVE();
	EXPECT_EQ(pthread_kill(t, SIGUSR1), 0);
	pthread_join(t, NULL);
	EXPECT_EQ(poll(&p, 1, 0), 0);
}
