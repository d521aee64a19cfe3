#include "tests/guest/guest_test.h"

/* Processes in a pipeline: produce, transform, sort, count, as a shell would wire them. */

enum {
	LINES = 3000
};

static unsigned next_random(unsigned *s)
{
	*s = *s * 1103515245u + 12345u;
	return *s >> 8 & 0xffff;
}

static int produce(void)
{
	unsigned seed = 42;

	for (int i = 0; i < LINES; i++)
		printf("%u item%d\n", next_random(&seed), i);
	return fflush(stdout) == 0 ? 0 : 1;
}

static int filter_even(void)
{
	char line[64];

	while (fgets(line, sizeof(line), stdin))
		if (atoi(line) % 2 == 0)
			fputs(line, stdout);
	return fflush(stdout) == 0 ? 0 : 1;
}

static int by_number(const void *a, const void *b)
{
	int x = atoi(a), y = atoi(b);

	return x != y ? (x > y) - (x < y) : strcmp(a, b);
}

static int sort_lines(void)
{
	static char lines[LINES][32];
	size_t n = 0;

	while (n < LINES && fgets(lines[n], sizeof(lines[n]), stdin))
		n++;
	qsort(lines, n, sizeof(lines[0]), by_number);
	for (size_t i = 0; i < n; i++)
		fputs(lines[i], stdout);
	return fflush(stdout) == 0 ? 0 : 1;
}

static int (*const stages[])(void) = {produce, filter_even, sort_lines};

/* Starts all stages; returns where the last one's output is read. */
static int start(pid_t *pids)
{
	int in = -1;

	for (size_t i = 0; i < GUEST_COUNT(stages); i++) {
		int fds[2];

		ASSERT_OK(pipe(fds));
		pids[i] = guest_fork();
		if (pids[i] == 0) {
			if (in >= 0)
				dup2(in, 0);
			dup2(fds[1], 1);
			close(fds[0]);
			close(fds[1]);
			_exit(stages[i]());
		}
		if (in >= 0)
			close(in);
		close(fds[1]);
		in = fds[0];
	}
	return in;
}

GUEST_TEST(three_stages)
{
	pid_t pids[3];
	int fd = start(pids), n = 0, last = -1;
	char line[64];
	FILE *f;

	MAYBE_SAVE();
	f = fdopen(fd, "r");
	ASSERT_TRUE(f != NULL);
	while (fgets(line, sizeof(line), f)) {
		EXPECT_GE(atoi(line), last);
		last = atoi(line);
		EXPECT_EQ(last % 2, 0);
		if (++n == 100)
			MAYBE_SAVE();
	}
	EXPECT_GT(n, LINES / 3);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(guest_reap(pids[i]), 0);
}

GUEST_TEST(reader_leaves_early)
{
	pid_t pid;
	int fds[2];
	char buf[100];

	ASSERT_OK(pipe(fds));
	pid = guest_fork();
	if (pid == 0) {
		close(fds[0]);
		for (;;)
			if (write(fds[1], "endless\n", 8) < 0)
				_exit(1);
	}
	close(fds[1]);
	EXPECT_EQ(read(fds[0], buf, 100) > 0, true);
	MAYBE_SAVE();
	close(fds[0]);
	EXPECT_EQ(guest_reap(pid), 1000 + SIGPIPE);
}

GUEST_TEST(ping_pong)
{
	int to[2], from[2];
	pid_t pid;
	int v = 0;

	ASSERT_OK(pipe(to));
	ASSERT_OK(pipe(from));
	pid = guest_fork();
	if (pid == 0) {
		close(to[1]);
		while (read(to[0], &v, sizeof(v)) == sizeof(v)) {
			v++;
			if (write(from[1], &v, sizeof(v)) != sizeof(v))
				_exit(1);
		}
		_exit(0);
	}
	close(to[0]);
	for (int i = 0; i < 500; i++) {
		if (i % 100 == 50)
			MAYBE_SAVE();
		ASSERT_EQ(write(to[1], &v, sizeof(v)), sizeof(v));
		ASSERT_EQ(read(from[0], &v, sizeof(v)), sizeof(v));
	}
	EXPECT_EQ(v, 500);
	close(to[1]);
	EXPECT_EQ(guest_reap(pid), 0);
}
