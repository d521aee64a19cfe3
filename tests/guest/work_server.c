#include "tests/guest/guest_test.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

/* A server on FIFOs with an epoll loop, its clients, and a supervisor that restarts what dies. */

enum {
	CLIENTS = 6,
	REQUESTS = 25
};

static const char *reply_path(int id)
{
	char name[32];

	snprintf(name, sizeof(name), "reply%d", id);
	return guest_path(name);
}

struct request {
	int client, number, value;
};

static int server(void)
{
	int ep = epoll_create1(0), in = open(guest_path("requests"), O_RDWR | O_NONBLOCK);
	int out[CLIENTS], left = CLIENTS * REQUESTS;
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = in};

	for (int i = 0; i < CLIENTS; i++)
		out[i] = open(reply_path(i), O_RDWR);
	epoll_ctl(ep, EPOLL_CTL_ADD, in, &ev);
	while (left > 0) {
		struct request r;

		if (epoll_wait(ep, &ev, 1, -1) != 1)
			continue;
		while (left > 0 && read(in, &r, sizeof(r)) == sizeof(r)) {
			r.value = r.value * 3 + r.number;
			if (write(out[r.client], &r, sizeof(r)) != sizeof(r))
				return 2;
			left--;
		}
	}
	return 0;
}

static int client(int id)
{
	int out = open(guest_path("requests"), O_WRONLY), in = open(reply_path(id), O_RDWR);
	int value = id, want = id;

	for (int i = 0; i < REQUESTS; i++) {
		struct request r = {id, i, value};

		if (write(out, &r, sizeof(r)) != sizeof(r) || read(in, &r, sizeof(r)) != sizeof(r))
			return 3;
		want = want * 3 + i;
		value = r.value %= 100000;
		want %= 100000;
		if (r.client != id || value != want)
			return 4;
	}
	return 0;
}

GUEST_TEST(fifo_server)
{
	pid_t srv, pids[CLIENTS];

	ASSERT_OK(mkfifo(guest_path("requests"), 0600));
	for (int i = 0; i < CLIENTS; i++)
		ASSERT_OK(mkfifo(reply_path(i), 0600));
	srv = guest_fork();
	if (srv == 0)
		_exit(server());
	for (int i = 0; i < CLIENTS; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0)
			_exit(client(i));
		if (i == CLIENTS / 2)
			MAYBE_SAVE();
	}
	MAYBE_SAVE();
	for (int i = 0; i < CLIENTS; i++)
		EXPECT_EQ(guest_reap(pids[i]), 0);
	EXPECT_EQ(guest_reap(srv), 0);
}

static volatile sig_atomic_t deaths;

static void on_child(int sig)
{
	int saved = errno, status;

	while (waitpid(-1, &status, WNOHANG) > 0)
		deaths += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	errno = saved;
}

GUEST_TEST(supervisor)
{
	sigset_t chld, old;

	signal(SIGCHLD, on_child);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, &old);
	for (int i = 1; i <= 10; i++) {
		pid_t pid = guest_fork();

		if (pid == 0)
			for (;;)
				pause();
		if (i == 5)
			MAYBE_SAVE();
		kill(pid, SIGKILL);
		while (deaths < i)
			sigsuspend(&old);
	}
	EXPECT_EQ(deaths, 10);
	EXPECT_ERRNO(waitpid(-1, NULL, 0), ECHILD);
}

GUEST_TEST(event_loop)
{
	enum {
		N = 8
	};
	int ep = epoll_create1(0), fds[N], total = 0;
	struct epoll_event ev[N];
	pid_t pids[N];

	for (int i = 0; i < N; i++) {
		struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.u32 = (uint32_t)i};

		fds[i] = ASSERT_OK(eventfd(0, EFD_NONBLOCK));
		ASSERT_OK(epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &e));
	}
	for (int i = 0; i < N; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0) {
			for (uint64_t v = 1; v <= 20; v++)
				if (write(fds[i], &v, 8) != 8)
					_exit(1);
			_exit(0);
		}
	}
	MAYBE_SAVE();
	while (total < N * 210) {
		int n = epoll_wait(ep, ev, N, -1);

		for (int i = 0; i < n; i++) {
			uint64_t v = 0;

			if (read(fds[ev[i].data.u32], &v, 8) == 8)
				total += (int)v;
		}
	}
	EXPECT_EQ(total, N * 210);
	for (int i = 0; i < N; i++)
		EXPECT_EQ(guest_reap(pids[i]), 0);
}
