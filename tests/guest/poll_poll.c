#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/select.h>

/* poll, ppoll, select, pselect. */

static int fds[2];

static short poll1(int fd, short events)
{
	struct pollfd p = {fd, events, 0};

	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

GUEST_TEST(pipe_states)
{
	static char buf[65536];

	ASSERT_OK(pipe2(fds, O_NONBLOCK));
	EXPECT_EQ(poll1(fds[0], POLLIN), 0);
	EXPECT_EQ(poll1(fds[1], POLLOUT), POLLOUT);
	ASSERT_EQ(write(fds[1], buf, sizeof(buf)), sizeof(buf));
	EXPECT_EQ(poll1(fds[0], POLLIN | POLLOUT), POLLIN);
	EXPECT_EQ(poll1(fds[1], POLLOUT), 0);
	MAYBE_SAVE();
	EXPECT_EQ(poll1(fds[1], POLLOUT), 0);
	ASSERT_EQ(read(fds[0], buf, sizeof(buf)), sizeof(buf));
	EXPECT_EQ(poll1(fds[1], POLLOUT), POLLOUT);
	close(fds[1]);
	EXPECT_EQ(poll1(fds[0], POLLIN), POLLHUP);
	ASSERT_OK(pipe(fds));
	close(fds[0]);
	EXPECT_EQ(poll1(fds[1], POLLOUT), POLLOUT | POLLERR);
	EXPECT_EQ(poll1(fds[1], 0), POLLERR);
}

GUEST_TEST(hup_with_data_left)
{
	ASSERT_OK(pipe(fds));
	ASSERT_EQ(write(fds[1], "x", 1), 1);
	close(fds[1]);
	EXPECT_EQ(poll1(fds[0], POLLIN), POLLIN | POLLHUP);
}

GUEST_TEST(odd_descriptors)
{
	struct pollfd p[3] = {{-1, POLLIN, 77}, {999, POLLIN, 0}, {-5, POLLOUT, 0}};

	EXPECT_EQ(poll(p, 3, 0), 1);
	EXPECT_EQ(p[0].revents, 0);
	EXPECT_EQ(p[1].revents, POLLNVAL);
	EXPECT_EQ(p[2].revents, 0);
	EXPECT_EQ(poll(NULL, 0, 0), 0);
}

GUEST_TEST(files_are_always_ready)
{
	int fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));

	EXPECT_EQ(poll1(fd, POLLIN | POLLOUT), POLLIN | POLLOUT);
	fd = ASSERT_OK(open(guest_tmp(), O_RDONLY));
	EXPECT_EQ(poll1(fd, POLLIN), POLLIN);
	fd = ASSERT_OK(open("/dev/null", O_RDWR));
	EXPECT_EQ(poll1(fd, POLLIN | POLLOUT), POLLIN | POLLOUT);
}

GUEST_TEST(timeouts)
{
	struct pollfd p = {.events = POLLIN};
	struct timespec ts = {0, 15000000};
	struct timeval tv = {0, 15000};
	int64_t start;
	fd_set set;

	ASSERT_OK(pipe(fds));
	p.fd = fds[0];
	start = guest_now(CLOCK_MONOTONIC);
	EXPECT_EQ(poll(&p, 1, 15), 0);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, 15000000);
	start = guest_now(CLOCK_MONOTONIC);
	EXPECT_EQ(ppoll(&p, 1, &ts, NULL), 0);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, 15000000);
	FD_ZERO(&set);
	FD_SET(fds[0], &set);
	start = guest_now(CLOCK_MONOTONIC);
	EXPECT_EQ(select(fds[0] + 1, &set, NULL, NULL, &tv), 0);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, 15000000);
	EXPECT_FALSE(FD_ISSET(fds[0], &set));
	EXPECT_EQ(tv.tv_sec, 0);
	EXPECT_EQ(tv.tv_usec, 0);
	ts.tv_nsec = 1000000000;
	EXPECT_ERRNO(ppoll(&p, 1, &ts, NULL), EINVAL);
	tv.tv_sec = -1;
	EXPECT_ERRNO(select(0, NULL, NULL, NULL, &tv), EINVAL);
}

static void *late_writer(void *arg)
{
	guest_sleep_ms(5);
	MAYBE_SAVE();
	EXPECT_EQ(write(fds[1], "l", 1), 1);
	return NULL;
}

GUEST_TEST(woken_by_another_thread)
{
	struct pollfd p[2] = {{.events = POLLIN}, {.events = POLLIN}};
	int other[2];
	pthread_t t;

	ASSERT_OK(pipe(fds));
	ASSERT_OK(pipe(other));
	p[0].fd = other[0];
	p[1].fd = fds[0];
	ASSERT_EQ(pthread_create(&t, NULL, late_writer, NULL), 0);
	EXPECT_EQ(poll(p, 2, -1), 1);
	EXPECT_EQ(p[0].revents, 0);
	EXPECT_EQ(p[1].revents, POLLIN);
	pthread_join(t, NULL);
}

GUEST_TEST(hangup_wakes)
{
	struct pollfd p = {.events = POLLIN};
	pid_t pid, self = getpid();

	ASSERT_OK(pipe(fds));
	pid = guest_fork();
	if (pid == 0) {
		guest_wait_blocked(self);
		_exit(0);
	}
	close(fds[1]);
	p.fd = fds[0];
	EXPECT_EQ(poll(&p, 1, -1), 1);
	EXPECT_EQ(p.revents, POLLHUP);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(select_sets)
{
	struct timeval zero = {0, 0};
	fd_set r, w, e;
	int nfds;

	ASSERT_OK(pipe(fds));
	ASSERT_EQ(write(fds[1], "x", 1), 1);
	nfds = (fds[0] > fds[1] ? fds[0] : fds[1]) + 1;
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_ZERO(&e);
	FD_SET(fds[0], &r);
	FD_SET(fds[1], &w);
	FD_SET(fds[0], &e);
	EXPECT_EQ(select(nfds, &r, &w, &e, &zero), 2);
	EXPECT_TRUE(FD_ISSET(fds[0], &r));
	EXPECT_TRUE(FD_ISSET(fds[1], &w));
	EXPECT_FALSE(FD_ISSET(fds[0], &e));
	FD_ZERO(&r);
	ASSERT_EQ(dup2(fds[0], 40), 40);
	ASSERT_OK(close(40));
	FD_SET(40, &r);
	EXPECT_ERRNO(select(41, &r, NULL, NULL, &zero), EBADF);
	EXPECT_ERRNO(select(-1, NULL, NULL, NULL, &zero), EINVAL);
	EXPECT_EQ(select(0, NULL, NULL, NULL, &zero), 0);
	/* Bits at or above nfds are not looked at. */
	EXPECT_EQ(select(40, &r, NULL, NULL, &zero), 0);
}

static volatile sig_atomic_t hits;

static void on_signal(int sig)
{
	hits++;
}

GUEST_TEST(signal_masks)
{
	struct timespec ts = {10, 0}, zero = {0, 0};
	struct pollfd p = {.events = POLLIN};
	sigset_t block, none, got;

	ASSERT_OK(pipe(fds));
	p.fd = fds[0];
	signal(SIGUSR1, on_signal);
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, NULL);
	raise(SIGUSR1);
	MAYBE_SAVE();
	EXPECT_ERRNO(ppoll(&p, 1, &ts, &none), EINTR);
	EXPECT_EQ(hits, 1);
	sigprocmask(SIG_BLOCK, NULL, &got);
	EXPECT_TRUE(sigismember(&got, SIGUSR1));
	raise(SIGUSR1);
	EXPECT_ERRNO(pselect(0, NULL, NULL, NULL, &ts, &none), EINTR);
	EXPECT_EQ(hits, 2);
	/* Ready at once: the signal still comes with the mask, or stays pending. */
	raise(SIGUSR1);
	EXPECT_EQ(write(fds[1], "x", 1), 1);
	EXPECT_EQ(ppoll(&p, 1, &zero, &block), 1);
	EXPECT_EQ(hits, 2);
	sigprocmask(SIG_BLOCK, NULL, &got);
	EXPECT_TRUE(sigismember(&got, SIGUSR1));
}

GUEST_TEST(many_descriptors)
{
	static struct pollfd p[200];

	ASSERT_OK(pipe(fds));
	for (int i = 0; i < 200; i++) {
		p[i].fd = i == 150 ? fds[1] : fds[0];
		p[i].events = POLLIN | POLLOUT;
	}
	EXPECT_EQ(poll(p, 200, -1), 1);
	EXPECT_EQ(p[150].revents, POLLOUT);
	EXPECT_EQ(p[151].revents, 0);
}

GUEST_TEST(limit)
{
	struct rlimit rl = {10, 10};
	struct pollfd p[20];

	memset(p, 0xff, sizeof(p));
	ASSERT_OK(setrlimit(RLIMIT_NOFILE, &rl));
	EXPECT_ERRNO(poll(p, 11, 0), EINVAL);
	EXPECT_EQ(poll(p, 10, 0), 0);
}
