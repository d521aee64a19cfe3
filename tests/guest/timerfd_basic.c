#include "tests/guest/guest_test.h"

#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>

/* timerfd: every clock, relative and absolute, periods, readiness. */

#define MS 1000000ll

static struct itimerspec spec(int64_t value, int64_t interval)
{
	return (struct itimerspec){
		.it_value = {value / 1000000000, value % 1000000000},
		.it_interval = {interval / 1000000000, interval % 1000000000},
	};
}

static int64_t ns(struct timespec t)
{
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void set(int fd, int flags, int64_t value, int64_t interval)
{
	struct itimerspec s = spec(value, interval);

	EXPECT_OK(timerfd_settime(fd, flags, &s, NULL));
}

static const int clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME};

GUEST_TEST(once_on_every_clock)
{
	for (size_t i = 0; i < GUEST_COUNT(clocks); i++) {
		int fd = ASSERT_OK(timerfd_create(clocks[i], 0));
		struct itimerspec cur;
		uint64_t n = 0;

		set(fd, 0, 3 * MS, 0);
		MAYBE_SAVE();
		EXPECT_EQ(read(fd, &n, 8), 8);
		EXPECT_EQ(n, 1);
		EXPECT_OK(timerfd_gettime(fd, &cur));
		EXPECT_EQ(ns(cur.it_value), 0);
		set(fd, TFD_TIMER_ABSTIME, guest_now(clocks[i]) + 3 * MS, 0);
		EXPECT_EQ(read(fd, &n, 8), 8);
		EXPECT_EQ(n, 1);
		/* The past is at once. */
		set(fd, TFD_TIMER_ABSTIME, 1, 0);
		EXPECT_EQ(read(fd, &n, 8), 8);
		EXPECT_EQ(n, 1);
		close(fd);
	}
}

GUEST_TEST(waits_long_enough)
{
	int fd = ASSERT_OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	int64_t start = guest_now(CLOCK_MONOTONIC);
	struct pollfd p = {fd, POLLIN, 0};
	uint64_t n;

	set(fd, 0, 30 * MS, 0);
	MAYBE_SAVE();
	EXPECT_EQ(poll(&p, 1, -1), 1);
	EXPECT_GE(guest_now(CLOCK_MONOTONIC) - start, 30 * MS);
	EXPECT_EQ(read(fd, &n, 8), 8);
	EXPECT_EQ(poll(&p, 1, 0), 0);
	EXPECT_ERRNO(read(fd, &n, 8), EAGAIN);
}

GUEST_TEST(periods_are_counted)
{
	int fd = ASSERT_OK(timerfd_create(CLOCK_MONOTONIC, 0));
	int64_t start = guest_now(CLOCK_MONOTONIC), end;
	uint64_t n, sum = 0;

	set(fd, 0, 2 * MS, 2 * MS);
	guest_sleep_ms(20);
	EXPECT_EQ(read(fd, &n, 8), 8);
	EXPECT_GE(n, 10);
	sum = n;
	MAYBE_SAVE();
	for (int i = 0; i < 5; i++) {
		EXPECT_EQ(read(fd, &n, 8), 8);
		EXPECT_GE(n, 1);
		sum += n;
	}
	end = guest_now(CLOCK_MONOTONIC);
	/* Never more than there were. */
	EXPECT_LE(sum, (uint64_t)((end - start) / (2 * MS)));
	set(fd, 0, 0, 0);
}

GUEST_TEST(left_and_old)
{
	int fd = ASSERT_OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	struct itimerspec s = spec(1000000 * MS, 7 * MS), old, cur;
	uint64_t n;

	EXPECT_OK(timerfd_gettime(fd, &cur));
	EXPECT_EQ(ns(cur.it_value), 0);
	EXPECT_EQ(ns(cur.it_interval), 0);
	EXPECT_OK(timerfd_settime(fd, 0, &s, &old));
	EXPECT_EQ(ns(old.it_value), 0);
	MAYBE_SAVE();
	EXPECT_OK(timerfd_gettime(fd, &cur));
	EXPECT_LE(ns(cur.it_value), 1000000 * MS);
	EXPECT_GT(ns(cur.it_value), 500000 * MS);
	EXPECT_EQ(ns(cur.it_interval), 7 * MS);
	s = spec(0, 5 * MS);
	EXPECT_OK(timerfd_settime(fd, 0, &s, &old));
	EXPECT_GT(ns(old.it_value), 500000 * MS);
	EXPECT_EQ(ns(old.it_interval), 7 * MS);
	EXPECT_ERRNO(read(fd, &n, 8), EAGAIN);
}

GUEST_TEST(errors)
{
	int fd = ASSERT_OK(timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK));
	struct itimerspec bad = {.it_value = {0, 1000000000}}, ok = spec(0, 0);
	uint64_t n = 0;
	int p[2];

	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EXPECT_ERRNO(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0), EINVAL);
	EXPECT_ERRNO(timerfd_create(CLOCK_MONOTONIC, 1), EINVAL);
	EXPECT_ERRNO(timerfd_settime(fd, 0, &bad, NULL), EINVAL);
	EXPECT_ERRNO(timerfd_settime(fd, 4, &ok, NULL), EINVAL);
	EXPECT_ERRNO(timerfd_settime(9999, 0, &ok, NULL), EBADF);
	ASSERT_EQ(pipe(p), 0);
	EXPECT_ERRNO(timerfd_settime(p[0], 0, &ok, NULL), EINVAL);
	EXPECT_ERRNO(timerfd_gettime(p[0], &ok), EINVAL);
	EXPECT_ERRNO(read(fd, &n, 7), EINVAL);
	EXPECT_ERRNO(write(fd, &n, 8), EINVAL);
	EXPECT_OK(timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &ok, NULL));
}

#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW('T', 0, uint64_t)
#endif

GUEST_TEST(set_ticks)
{
	int fd = ASSERT_OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	uint64_t n = 0;

	if (ioctl(fd, TFD_IOC_SET_TICKS, &n) < 0 && errno == ENOTTY)
		SKIP("a kernel without checkpoint support");
	EXPECT_ERRNO(ioctl(fd, TFD_IOC_SET_TICKS, &n), EINVAL);
	n = 40;
	EXPECT_OK(ioctl(fd, TFD_IOC_SET_TICKS, &n));
	MAYBE_SAVE();
	n = 0;
	EXPECT_EQ(read(fd, &n, 8), 8);
	EXPECT_EQ(n, 40);
}

GUEST_TEST(fdinfo)
{
	int fd = ASSERT_OK(timerfd_create(CLOCK_BOOTTIME, 0));
	char path[64], text[512];

	set(fd, TFD_TIMER_ABSTIME, guest_now(CLOCK_BOOTTIME) + 1000000 * MS, 3 * MS);
	MAYBE_SAVE();
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	EXPECT_GT(guest_read_file(path, text, sizeof(text)), 0);
	EXPECT_TRUE(strstr(text, "clockid: 7\nticks: 0\nsettime flags: 01\nit_value: (") != NULL);
	EXPECT_TRUE(strstr(text, "it_interval: (0, 3000000)\n") != NULL);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	text[readlink(path, text, sizeof(text) - 1)] = 0;
	EXPECT_STREQ(text, "anon_inode:[timerfd]");
}

/* An edge per expiry that was read, none while nobody reads. */
GUEST_TEST(epoll_edges)
{
	int fd = ASSERT_OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	int ep = ASSERT_OK(epoll_create1(0));
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET}, out;
	uint64_t n;

	EXPECT_OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	set(fd, 0, 2 * MS, 2 * MS);
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(epoll_wait(ep, &out, 1, -1), 1);
		EXPECT_EQ(epoll_wait(ep, &out, 1, 10), 0);
		if (i == 1)
			MAYBE_SAVE();
		EXPECT_EQ(read(fd, &n, 8), 8);
		EXPECT_GE(n, 1);
	}
}

GUEST_TEST(blocked_reader)
{
	int fd = ASSERT_OK(timerfd_create(CLOCK_MONOTONIC, 0));
	pid_t pid = guest_fork();
	uint64_t n = 0;

	if (pid == 0) {
		EXPECT_EQ(read(fd, &n, 8), 8);
		EXPECT_EQ(n, 1);
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	set(fd, 0, 20 * MS, 0);
	MAYBE_SAVE();
	EXPECT_EQ(guest_reap(pid), 0);
}
