#include "tests/guest/guest_test.h"

#include <sys/epoll.h>

/* Readiness of FIFOs, of files that change sides, of both ends at once. */

static short now(int fd, short events)
{
	struct pollfd p = {fd, events, 0};

	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

GUEST_TEST(reader_before_any_writer)
{
	const char *path = guest_path("fifo");
	int rd, wr;
	char c;

	ASSERT_OK(mkfifo(path, 0600));
	rd = ASSERT_OK(open(path, O_RDONLY | O_NONBLOCK));
	EXPECT_EQ(now(rd, POLLIN), 0);
	wr = ASSERT_OK(open(path, O_WRONLY));
	EXPECT_EQ(now(rd, POLLIN), 0);
	EXPECT_EQ(now(wr, POLLOUT), POLLOUT);
	ASSERT_EQ(write(wr, "x", 1), 1);
	EXPECT_EQ(now(rd, POLLIN), POLLIN);
	close(wr);
	MAYBE_SAVE();
	EXPECT_EQ(now(rd, POLLIN), POLLIN | POLLHUP);
	ASSERT_EQ(read(rd, &c, 1), 1);
	EXPECT_EQ(now(rd, POLLIN), POLLHUP);
	/* A new writer takes the hangup away. */
	wr = ASSERT_OK(open(path, O_WRONLY));
	EXPECT_EQ(now(rd, POLLIN), 0);
}

GUEST_TEST(both_directions_in_one)
{
	const char *path = guest_path("fifo");
	static char buf[65536];
	int fd;

	ASSERT_OK(mkfifo(path, 0600));
	fd = ASSERT_OK(open(path, O_RDWR | O_NONBLOCK));
	EXPECT_EQ(now(fd, POLLIN | POLLOUT), POLLOUT);
	ASSERT_EQ(write(fd, buf, sizeof(buf)), sizeof(buf));
	EXPECT_EQ(now(fd, POLLIN | POLLOUT), POLLIN);
	MAYBE_SAVE();
	ASSERT_EQ(read(fd, buf, 4096), 4096);
	EXPECT_EQ(now(fd, POLLIN | POLLOUT), POLLIN | POLLOUT);
}

GUEST_TEST(epoll_over_several_writers)
{
	const char *path = guest_path("fifo");
	int ep = epoll_create1(0), rd, hup = 0, bytes = 0;
	struct epoll_event ev = {.events = EPOLLIN};
	pid_t pids[4];

	ASSERT_OK(mkfifo(path, 0600));
	rd = ASSERT_OK(open(path, O_RDONLY | O_NONBLOCK));
	ASSERT_OK(epoll_ctl(ep, EPOLL_CTL_ADD, rd, &ev));
	for (int i = 0; i < 4; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0) {
			int wr = open(path, O_WRONLY);

			for (int j = 0; j < 10; j++)
				if (write(wr, "0123456789", 10) != 10)
					_exit(1);
			_exit(0);
		}
	}
	MAYBE_SAVE();
	while (bytes < 400 || !hup) {
		char buf[64];
		ssize_t n;

		ASSERT_EQ(epoll_wait(ep, &ev, 1, -1), 1);
		while ((n = read(rd, buf, sizeof(buf))) > 0)
			bytes += (int)n;
		hup = (ev.events & EPOLLHUP) && bytes == 400;
	}
	EXPECT_EQ(bytes, 400);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(guest_reap(pids[i]), 0);
}
