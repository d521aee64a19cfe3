#include "tests/guest/pty_util.h"

/* Much data through ptys, with saves on the way. */

#define BYTES (300 * 1000)

static unsigned char at(size_t i)
{
	return (unsigned char)(i * 31 + i / 251);
}

static void produce(int fd, size_t n)
{
	unsigned char buf[777];

	for (size_t done = 0; done < n;) {
		size_t k = n - done < sizeof(buf) ? n - done : sizeof(buf);
		ssize_t w;

		for (size_t i = 0; i < k; i++)
			buf[i] = at(done + i);
		w = write(fd, buf, k);
		if (w <= 0) {
			EXPECT_GE(w, 1);
			return;
		}
		done += (size_t)w;
	}
}

static void consume(int fd, size_t n, bool save)
{
	unsigned char buf[1000];
	size_t done = 0, bad = 0, next = n / 3;

	while (done < n) {
		ssize_t r = read(fd, buf, sizeof(buf));

		if (r <= 0)
			break;
		for (ssize_t i = 0; i < r; i++)
			bad += buf[i] != at(done + (size_t)i);
		done += (size_t)r;
		if (save && done >= next) {
			next += n / 3;
			if (next < n + n / 3)
				MAYBE_SAVE();
		}
	}
	EXPECT_EQ(done, n);
	EXPECT_EQ(bad, 0);
}

GUEST_TEST(from_the_slave)
{
	struct pty_pair p = pty_open_pair();
	pid_t pid;

	pty_raw(p.s, 1, 0);
	pid = guest_fork();
	if (pid == 0) {
		produce(p.s, BYTES);
		_exit(0);
	}
	consume(p.m, BYTES, true);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(to_the_slave)
{
	struct pty_pair p = pty_open_pair();
	pid_t pid;

	pty_raw(p.s, 1, 0);
	pid = guest_fork();
	if (pid == 0) {
		produce(p.m, BYTES);
		_exit(0);
	}
	consume(p.s, BYTES, true);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(many_ptys)
{
	struct pty_pair p[40];

	for (unsigned i = 0; i < GUEST_COUNT(p); i++) {
		char text[16];

		p[i] = pty_open_pair();
		sprintf(text, "%u\n", i);
		pty_put(p[i].m, text);
	}
	MAYBE_SAVE();
	for (unsigned i = 0; i < GUEST_COUNT(p); i++) {
		char text[16];

		sprintf(text, "%u\n", i);
		EXPECT_ONE_READ(p[i].s, text);
	}
}
