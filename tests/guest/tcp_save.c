#include "tests/guest/inet_util.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>

/* Connections in every state when all is saved. */

#define BLOCK 100000u

static unsigned char pattern(size_t i)
{
	return (unsigned char)(i * 31 + i / 255);
}

GUEST_TEST(transfers_lose_nothing)
{
	enum {
		TOTAL = 3000000
	};
	static unsigned char buf[BLOCK];
	size_t got = 0;
	int fds[2];
	pid_t pid;

	inet_pair(AF_INET, fds);
	pid = guest_fork();
	if (pid == 0) {
		close(fds[1]);
		for (size_t i = 0; i < TOTAL; i += BLOCK) {
			for (size_t k = 0; k < BLOCK; k++)
				buf[k] = pattern(i + k);
			/* A blocked send goes on where it was. */
			EXPECT_EQ(send(fds[0], buf, BLOCK, 0), BLOCK);
		}
		_exit(0);
	}
	close(fds[0]);
	guest_wait_blocked(pid);
	for (int round = 0;; round++) {
		ssize_t n;

		if (round == 0 || round == 3 || round == 7)
			MAYBE_SAVE();
		n = recv(fds[1], buf, sizeof(buf), MSG_WAITALL);
		ASSERT_TRUE(n >= 0);
		if (n == 0)
			break;
		for (ssize_t k = 0; k < n; k++) {
			if (buf[k] != pattern(got + (size_t)k)) {
				EXPECT_EQ(buf[k], pattern(got + (size_t)k));
				break;
			}
		}
		got += (size_t)n;
	}
	EXPECT_EQ(got, TOTAL);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(accept_queue)
{
	enum {
		N = 20
	};
	int l = inet_listener(AF_INET6, N), c[N], s;
	char b[8];

	for (int i = 0; i < N; i++) {
		c[i] = inet_connected(l);
		ASSERT_EQ(write(c[i], &(char){(char)('a' + i)}, 1), 1);
	}
	close(c[3]);
	ASSERT_OK(shutdown(c[4], SHUT_WR));
	MAYBE_SAVE();
	for (int i = 0; i < N; i++) {
		s = ASSERT_OK(accept(l, NULL, NULL));
		EXPECT_EQ(read(s, b, 8), 1);
		EXPECT_EQ(b[0], 'a' + i);
		if (i == 3 || i == 4) {
			EXPECT_EQ(read(s, b, 8), 0);
		} else {
			EXPECT_EQ(write(s, "A", 1), 1);
			EXPECT_EQ(read(c[i], b, 8), 1);
		}
		close(s);
	}
}

static int wake[2], lis;

static void in_accept(void)
{
	int s = accept(lis, NULL, NULL);

	EXPECT_TRUE(s >= 0);
}

static void in_recv(void)
{
	char b;

	EXPECT_EQ(recv(wake[1], &b, 1, 0), 1);
}

static void in_poll(void)
{
	struct pollfd p = {wake[1], POLLIN, 0};
	char b;

	/* The reader may have been first. */
	EXPECT_EQ(poll(&p, 1, 100000), 1);
	EXPECT_EQ(recv(wake[1], &b, 1, 0), 1);
}

static void in_epoll(void)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int ep = epoll_create1(0);

	EXPECT_OK(epoll_ctl(ep, EPOLL_CTL_ADD, lis, &ev));
	EXPECT_EQ(epoll_wait(ep, &ev, 1, 100000), 1);
	in_accept();
}

static void (*const kinds[])(void) = {in_accept, in_recv, in_poll, in_epoll};

GUEST_TEST(blocked_calls)
{
	pid_t pids[GUEST_COUNT(kinds)];
	struct inet_any n;
	int c[2];

	inet_pair(AF_INET, wake);
	lis = inet_listener(AF_INET, 4);
	n = inet_name(lis);
	for (size_t i = 0; i < GUEST_COUNT(kinds); i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0) {
			kinds[i]();
			_exit(0);
		}
	}
	for (size_t i = 0; i < GUEST_COUNT(kinds); i++)
		guest_wait_blocked(pids[i]);
	MAYBE_SAVE();
	ASSERT_EQ(write(wake[0], "12", 2), 2);
	for (int i = 0; i < 2; i++) {
		c[i] = socket(AF_INET, SOCK_STREAM, 0);
		ASSERT_OK(connect(c[i], &n.u.sa, n.len));
	}
	for (size_t i = 0; i < GUEST_COUNT(kinds); i++)
		EXPECT_EQ(guest_reap(pids[i]), 0);
}

GUEST_TEST(closed_ends)
{
	static char junk[1000];
	int fds[6][2];
	char b[8];

	for (int i = 0; i < 6; i++)
		inet_pair(i % 2 ? AF_INET : AF_INET6, fds[i]);
	/* 0: closed with data under way. */
	ASSERT_EQ(write(fds[0][0], "data", 4), 4);
	close(fds[0][0]);
	/* 1: reset. */
	ASSERT_OK(setsockopt(fds[1][0], SOL_SOCKET, SO_LINGER, &(struct linger){1, 0},
	                     sizeof(struct linger)));
	close(fds[1][0]);
	/* 2: both halves, one after the other. */
	ASSERT_OK(shutdown(fds[2][0], SHUT_WR));
	ASSERT_OK(shutdown(fds[2][1], SHUT_WR));
	/* 3: closed, then written to. */
	close(fds[3][0]);
	EXPECT_TRUE(inet_poll(fds[3][1], POLLRDHUP) & POLLRDHUP);
	ASSERT_EQ(write(fds[3][1], "x", 1), 1);
	EXPECT_TRUE(inet_poll(fds[3][1], POLLHUP) & POLLHUP);
	/* 4: shut for reading, data behind it. */
	ASSERT_OK(shutdown(fds[4][0], SHUT_RD));
	/* 5: full. */
	fcntl(fds[5][0], F_SETFL, O_NONBLOCK);
	while (write(fds[5][0], junk, sizeof(junk)) > 0)
		;
	MAYBE_SAVE();
	EXPECT_EQ(read(fds[0][1], b, 8), 4);
	EXPECT_EQ(read(fds[0][1], b, 8), 0);
	EXPECT_ERRNO(read(fds[1][1], b, 8), ECONNRESET);
	EXPECT_EQ(read(fds[2][0], b, 8), 0);
	EXPECT_EQ(read(fds[2][1], b, 8), 0);
	EXPECT_TRUE(inet_poll(fds[2][0], POLLHUP) & POLLHUP);
	EXPECT_ERRNO(send(fds[3][1], "x", 1, MSG_NOSIGNAL), EPIPE);
	EXPECT_EQ(read(fds[4][0], b, 8), 0);
	EXPECT_EQ(read(fds[5][1], junk, sizeof(junk)), sizeof(junk));
	close(fds[5][1]);
	EXPECT_TRUE(inet_poll(fds[5][0], POLLERR | POLLHUP) & POLLERR);
}

GUEST_TEST(server_with_clients)
{
	enum {
		CLIENTS = 4,
		ROUNDS = 50
	};
	int l = inet_listener(AF_INET, CLIENTS), ep = epoll_create1(0), open = CLIENTS;
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = l};
	pid_t pids[CLIENTS];
	int served = 0;

	for (int i = 0; i < CLIENTS; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0) {
			int c = inet_connected(l);
			char b[64];

			for (int k = 0; k < ROUNDS; k++) {
				int n = snprintf(b, sizeof(b), "%d-%d", i, k);
				char back[64] = "";

				ASSERT_EQ(write(c, b, (size_t)n), n);
				ASSERT_EQ(recv(c, back, (size_t)n, MSG_WAITALL), n);
				ASSERT_STREQ(back, b);
			}
			_exit(0);
		}
	}
	ASSERT_OK(epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev));
	while (open > 0) {
		char b[64];
		ssize_t n;

		ASSERT_EQ(epoll_wait(ep, &ev, 1, 100000), 1);
		if (ev.data.fd == l) {
			int s = ASSERT_OK(accept(l, NULL, NULL));

			ev.data.fd = s;
			ASSERT_OK(epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev));
			continue;
		}
		n = read(ev.data.fd, b, sizeof(b));
		ASSERT_TRUE(n >= 0);
		if (n == 0) {
			close(ev.data.fd);
			open--;
			continue;
		}
		ASSERT_EQ(write(ev.data.fd, b, (size_t)n), n);
		if (++served == 20 || served == 90)
			MAYBE_SAVE();
	}
	for (int i = 0; i < CLIENTS; i++)
		EXPECT_EQ(guest_reap(pids[i]), 0);
	EXPECT_EQ(served, CLIENTS * ROUNDS);
}
