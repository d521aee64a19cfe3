#include "tests/guest/guest_test.h"

#include <pthread.h>

/* Many pipes and many users of one pipe. */

GUEST_TEST(hundred_pipes)
{
	enum {
		N = 100
	};
	static int p[N][2];
	char c;

	for (int i = 0; i < N; i++) {
		ASSERT_OK(pipe(p[i]));
		c = (char)i;
		ASSERT_EQ(write(p[i][1], &c, 1), 1);
	}
	MAYBE_SAVE();
	for (int i = N - 1; i >= 0; i--) {
		EXPECT_EQ(read(p[i][0], &c, 1), 1);
		EXPECT_EQ(c, i);
	}
}

static int one[2];

static void *reads(void *arg)
{
	long sum = 0;
	int v;

	while (read(one[0], &v, sizeof(v)) == sizeof(v) && v >= 0)
		sum += v;
	return (void *)sum;
}

static void *writes(void *arg)
{
	for (int i = 1; i <= 200; i++)
		if (write(one[1], &i, sizeof(i)) != sizeof(i))
			EXPECT_OK(-1);
	return NULL;
}

GUEST_TEST(several_readers_and_writers)
{
	pthread_t r[3], w[3];
	int stop = -1;
	long total = 0;

	ASSERT_OK(pipe(one));
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(pthread_create(&r[i], NULL, reads, NULL), 0);
		ASSERT_EQ(pthread_create(&w[i], NULL, writes, NULL), 0);
	}
	MAYBE_SAVE();
	for (int i = 0; i < 3; i++)
		pthread_join(w[i], NULL);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(write(one[1], &stop, sizeof(stop)), sizeof(stop));
	for (int i = 0; i < 3; i++) {
		void *sum;

		pthread_join(r[i], &sum);
		total += (long)sum;
	}
	EXPECT_EQ(total, 3 * 200 * 201 / 2);
}

GUEST_TEST(closing_the_read_end_in_a_thread)
{
	/* A blocked read keeps the description; data still comes. */
	pthread_t t;
	void *sum;
	int copy, v[2] = {5, -1};

	ASSERT_OK(pipe(one));
	copy = dup(one[1]);
	ASSERT_EQ(pthread_create(&t, NULL, reads, NULL), 0);
	guest_sleep_ms(5);
	close(one[1]);
	MAYBE_SAVE();
	EXPECT_EQ(write(copy, v, sizeof(v)), sizeof(v));
	pthread_join(t, &sum);
	EXPECT_EQ((long)sum, 5);
}

GUEST_TEST(byte_by_byte)
{
	char c;

	ASSERT_OK(pipe(one));
	for (int i = 0; i < 1000; i++) {
		c = (char)i;
		ASSERT_EQ(write(one[1], &c, 1), 1);
	}
	MAYBE_SAVE();
	for (int i = 0; i < 1000; i++) {
		ASSERT_EQ(read(one[0], &c, 1), 1);
		if (c != (char)i)
			EXPECT_EQ(c, (char)i);
	}
}

GUEST_TEST(odd_sizes_through_a_small_pipe)
{
	static unsigned char src[60000], dst[60000];
	size_t got = 0;
	pid_t pid;

	ASSERT_OK(pipe(one));
	ASSERT_EQ(fcntl(one[0], F_SETPIPE_SZ, 4096), 4096);
	for (size_t i = 0; i < sizeof(src); i++)
		src[i] = (unsigned char)(i * 13 + i / 256);
	pid = guest_fork();
	if (pid == 0) {
		size_t done = 0;

		for (size_t len = 1; done < sizeof(src); len = len * 2 % 9973 + 1) {
			size_t n = len < sizeof(src) - done ? len : sizeof(src) - done;

			if (write(one[1], src + done, n) != (ssize_t)n)
				_exit(1);
			done += n;
		}
		_exit(0);
	}
	close(one[1]);
	for (size_t len = 7; got < sizeof(dst); len = len * 5 % 4099 + 1) {
		ssize_t n =
			read(one[0], dst + got, len < sizeof(dst) - got ? len : sizeof(dst) - got);

		ASSERT_TRUE(n > 0);
		got += (size_t)n;
	}
	EXPECT_EQ(memcmp(src, dst, sizeof(src)), 0);
	EXPECT_EQ(guest_reap(pid), 0);
}
