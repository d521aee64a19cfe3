#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <sys/eventfd.h>

/* eventfd: counter, semaphore, overflow, blocking. */

static uint64_t take(int fd)
{
	uint64_t v = 0;

	EXPECT_EQ(read(fd, &v, 8), 8);
	return v;
}

static void add(int fd, uint64_t v)
{
	EXPECT_EQ(write(fd, &v, 8), 8);
}

GUEST_TEST(counter)
{
	int fd = ASSERT_OK(eventfd(3, EFD_NONBLOCK));
	uint64_t v;

	add(fd, 4);
	MAYBE_SAVE();
	EXPECT_EQ(take(fd), 7);
	EXPECT_ERRNO(read(fd, &v, 8), EAGAIN);
	add(fd, 0);
	EXPECT_ERRNO(read(fd, &v, 8), EAGAIN);
}

GUEST_TEST(semaphore)
{
	int fd = ASSERT_OK(eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK));
	uint64_t v;

	MAYBE_SAVE();
	EXPECT_EQ(take(fd), 1);
	MAYBE_SAVE();
	EXPECT_EQ(take(fd), 1);
	EXPECT_ERRNO(read(fd, &v, 8), EAGAIN);
}

GUEST_TEST(overflow)
{
	int fd = ASSERT_OK(eventfd(0, EFD_NONBLOCK));
	uint64_t v = UINT64_MAX;
	struct pollfd p = {fd, POLLIN | POLLOUT, 0};

	EXPECT_ERRNO(write(fd, &v, 8), EINVAL);
	add(fd, UINT64_MAX - 1);
	v = 1;
	EXPECT_ERRNO(write(fd, &v, 8), EAGAIN);
	EXPECT_EQ(poll(&p, 1, 0), 1);
	EXPECT_EQ(p.revents, POLLIN);
	MAYBE_SAVE();
	EXPECT_EQ(take(fd), UINT64_MAX - 1);
	EXPECT_EQ(poll(&p, 1, 0), 1);
	EXPECT_EQ(p.revents, POLLOUT);
}

GUEST_TEST(sizes)
{
	int fd = ASSERT_OK(eventfd(1, 0));
	char buf[16];

	EXPECT_ERRNO(read(fd, buf, 7), EINVAL);
	EXPECT_ERRNO(write(fd, buf, 7), EINVAL);
	EXPECT_EQ(read(fd, buf, 16), 8);
	EXPECT_ERRNO(eventfd(0, 0x10), EINVAL);
	EXPECT_ERRNO(pread(fd, buf, 8, 0), ESPIPE);
}

static void *poster(void *arg)
{
	guest_sleep_ms(5);
	MAYBE_SAVE();
	add(*(int *)arg, 5);
	return NULL;
}

GUEST_TEST(blocked_reader)
{
	int fd = ASSERT_OK(eventfd(0, 0));
	pthread_t t;

	ASSERT_EQ(pthread_create(&t, NULL, poster, &fd), 0);
	EXPECT_EQ(take(fd), 5);
	pthread_join(t, NULL);
}

GUEST_TEST(blocked_writer)
{
	int fd = ASSERT_OK(eventfd(0, 0));
	pid_t pid;

	add(fd, UINT64_MAX - 1);
	pid = guest_fork();
	if (pid == 0) {
		add(fd, 9);
		_exit(0);
	}
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	EXPECT_EQ(take(fd), UINT64_MAX - 1);
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(take(fd), 9);
}

GUEST_TEST(flags)
{
	int fd = ASSERT_OK(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));

	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EXPECT_TRUE(fcntl(fd, F_GETFL) & O_NONBLOCK);
	EXPECT_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
}
