#include "tests/guest/guest_test.h"

#include <termios.h>

/* The standard descriptors as a program finds them, and output that must come out in order. */

GUEST_TEST(all_three_are_open)
{
	for (int fd = 0; fd < 3; fd++) {
		struct stat st;

		EXPECT_OK(fstat(fd, &st));
		EXPECT_EQ(fcntl(fd, F_GETFD), 0);
	}
	EXPECT_EQ(fcntl(3, F_GETFD), -1);
	EXPECT_EQ(errno, EBADF);
}

GUEST_TEST(output_is_no_terminal)
{
	struct termios t;

	/* The runner gives a pipe. */
	EXPECT_FALSE(isatty(1));
	EXPECT_ERRNO(tcgetattr(1, &t), ENOTTY);
	EXPECT_TRUE(fcntl(1, F_GETFL) >= 0);
}

GUEST_TEST(writes_keep_their_order)
{
	char line[64];

	for (int i = 0; i < 50; i++) {
		int n = snprintf(line, sizeof(line), "line %d of the order\n", i);

		EXPECT_EQ(write(1, line, (size_t)n), n);
		if (i == 25)
			MAYBE_SAVE();
	}
}

GUEST_TEST(children_write_in_turn)
{
	for (int i = 0; i < 10; i++) {
		pid_t pid = guest_fork();

		if (pid == 0) {
			dprintf(1, "child %d\n", i);
			_exit(0);
		}
		EXPECT_EQ(guest_reap(pid), 0);
	}
}

GUEST_TEST(large_output)
{
	static char buf[40000];

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = i % 80 == 79 ? '\n' : (char)('!' + i % 90);
	EXPECT_EQ(write(1, buf, sizeof(buf)), sizeof(buf));
	EXPECT_EQ(write(1, "\n", 1), 1);
}

GUEST_TEST(duplicates_share_the_pipe)
{
	int fd = ASSERT_OK(dup(1));

	EXPECT_EQ(write(fd, "through a copy\n", 15), 15);
	close(1);
	EXPECT_EQ(dup2(fd, 1), 1);
	MAYBE_SAVE();
	EXPECT_EQ(write(1, "through the first again\n", 24), 24);
}

GUEST_TEST(stdin_moves_away)
{
	int fds[2];
	char c = 0;

	ASSERT_OK(pipe(fds));
	ASSERT_EQ(dup2(fds[0], 0), 0);
	ASSERT_EQ(write(fds[1], "i", 1), 1);
	EXPECT_EQ(read(0, &c, 1), 1);
	EXPECT_EQ(c, 'i');
}
