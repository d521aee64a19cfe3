#include "tests/guest/inet_util.h"

#include <pthread.h>
#include <sys/resource.h>

static char junk[65536];

GUEST_TEST(peers_that_never_read)
{
	enum {
		N = 100
	};
	static int fds[N][2];
	static size_t sent[N];

	for (int i = 0; i < N; i++) {
		inet_pair(i % 2 ? AF_INET : AF_INET6, fds[i]);
		fcntl(fds[i][0], F_SETFL, O_NONBLOCK);
		for (;;) {
			ssize_t r = write(fds[i][0], junk, sizeof(junk));

			if (r <= 0)
				break;
			sent[i] += (size_t)r;
		}
		ASSERT_OK(shutdown(fds[i][0], SHUT_WR));
	}
	MAYBE_SAVE();
	for (int i = 0; i < N; i++) {
		size_t got = 0;
		ssize_t r;

		while ((r = read(fds[i][1], junk, sizeof(junk))) > 0)
			got += (size_t)r;
		EXPECT_EQ(r, 0);
		EXPECT_EQ(got, sent[i]);
		close(fds[i][0]);
		close(fds[i][1]);
	}
}

static int lis;

static void *client(void *arg)
{
	for (int i = 0; i < 100; i++) {
		int c = inet_connected(lis);
		char b[8];

		if (i % 3 == 0) {
			ASSERT_EQ(write(c, "x", 1), 1);
		} else if (i % 3 == 1) {
			ASSERT_EQ(write(c, "ping", 4), 4);
			EXPECT_EQ(recv(c, b, 4, MSG_WAITALL), 4);
		}
		close(c);
	}
	return NULL;
}

static void *server(void *arg)
{
	for (;;) {
		int s = accept(lis, NULL, NULL);
		char b[8];
		ssize_t n;

		if (s < 0)
			return NULL;
		n = recv(s, b, 4, MSG_WAITALL);
		if (n == 4)
			EXPECT_EQ(send(s, b, 4, MSG_NOSIGNAL), 4);
		close(s);
	}
}

GUEST_TEST(threads_connect_and_close)
{
	pthread_t c[4], s[2];

	lis = inet_listener(AF_INET, 64);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(pthread_create(&s[i], NULL, server, NULL), 0);
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(pthread_create(&c[i], NULL, client, NULL), 0);
	MAYBE_SAVE();
	for (int i = 0; i < 4; i++)
		pthread_join(c[i], NULL);
	shutdown(lis, SHUT_RDWR);
	for (int i = 0; i < 2; i++)
		pthread_join(s[i], NULL);
}

GUEST_TEST(two_writers_one_reader)
{
	enum {
		EACH = 500
	};
	int fds[2], count[2] = {0, 0};
	pid_t pid[2];
	char b[10];

	inet_pair(AF_INET, fds);
	for (int i = 0; i < 2; i++) {
		pid[i] = guest_fork();
		if (pid[i] == 0) {
			memset(b, 'a' + i, sizeof(b));
			for (int k = 0; k < EACH; k++)
				ASSERT_EQ(write(fds[0], b, sizeof(b)), sizeof(b));
			_exit(0);
		}
	}
	close(fds[0]);
	while (recv(fds[1], b, sizeof(b), MSG_WAITALL) == sizeof(b)) {
		/* Small writes are whole. */
		for (size_t k = 1; k < sizeof(b); k++)
			EXPECT_EQ(b[k], b[0]);
		count[b[0] - 'a']++;
		if (count[0] + count[1] == 300)
			MAYBE_SAVE();
	}
	EXPECT_EQ(count[0], EACH);
	EXPECT_EQ(count[1], EACH);
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(guest_reap(pid[i]), 0);
}
