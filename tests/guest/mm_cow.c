#include "tests/guest/guest_test.h"

/* Copy-on-write between parent and children, both ways, and what is shared. */

static struct guest_gate go, back;

GUEST_TEST(child_writes)
{
	char *p = guest_map(16 * GUEST_PAGE, 0);
	pid_t pid;

	memset(p, 'p', 16 * GUEST_PAGE);
	pid = guest_fork();
	if (pid == 0) {
		for (int i = 0; i < 16; i += 2)
			p[i * GUEST_PAGE] = 'c';
		MAYBE_SAVE();
		for (int i = 0; i < 16; i++)
			EXPECT_EQ(p[i * GUEST_PAGE], i % 2 ? 'p' : 'c');
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	for (int i = 0; i < 16; i++)
		EXPECT_EQ(p[i * GUEST_PAGE], 'p');
}

GUEST_TEST(parent_writes)
{
	char *p = guest_map(4 * GUEST_PAGE, 0);
	pid_t pid;

	guest_gate_init(&go);
	memset(p, '1', 4 * GUEST_PAGE);
	pid = guest_fork();
	if (pid == 0) {
		guest_gate_wait(&go);
		for (int i = 0; i < 4; i++)
			EXPECT_EQ(p[i * GUEST_PAGE], '1');
		_exit(0);
	}
	memset(p, '2', 4 * GUEST_PAGE);
	MAYBE_SAVE();
	guest_gate_open(&go);
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(p[3 * GUEST_PAGE], '2');
}

GUEST_TEST(both_write_in_turn)
{
	int *p = guest_map(GUEST_PAGE, 0);
	pid_t pid;

	guest_gate_init(&go);
	guest_gate_init(&back);
	p[0] = 1;
	pid = guest_fork();
	if (pid == 0) {
		p[1] = 10;
		guest_gate_open(&back);
		guest_gate_wait(&go);
		EXPECT_EQ(p[0], 1);
		EXPECT_EQ(p[1], 10);
		EXPECT_EQ(p[2], 0);
		_exit(0);
	}
	guest_gate_wait(&back);
	EXPECT_EQ(p[1], 0);
	p[0] = 2;
	p[2] = 20;
	MAYBE_SAVE();
	guest_gate_open(&go);
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(p[0], 2);
	EXPECT_EQ(p[1], 0);
}

GUEST_TEST(untouched_before_fork)
{
	char *p = guest_map(4 * GUEST_PAGE, 0);
	pid_t pid = guest_fork();

	if (pid == 0) {
		EXPECT_EQ(p[0], 0);
		p[0] = 'c';
		_exit(0);
	}
	p[GUEST_PAGE] = 'p';
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(p[0], 0);
}

GUEST_TEST(generations)
{
	int *p = guest_map(GUEST_PAGE, 0);
	int depth = 0;

	for (; depth < 6; depth++) {
		pid_t pid;

		p[depth] = depth + 1;
		pid = guest_fork();
		if (pid != 0) {
			int status = guest_reap(pid);

			EXPECT_EQ(status, 0);
			for (int i = 0; i <= depth; i++)
				EXPECT_EQ(p[i], i + 1);
			EXPECT_EQ(p[depth + 1], 0);
			if (depth > 0)
				_exit(status);
			return;
		}
	}
	MAYBE_SAVE();
	for (int i = 0; i < 6; i++)
		EXPECT_EQ(p[i], i + 1);
	_exit(0);
}

GUEST_TEST(siblings_are_apart)
{
	int *p = guest_map(GUEST_PAGE, 0);
	pid_t pids[5];

	guest_gate_init(&go);
	for (int i = 0; i < 5; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0) {
			p[0] = i;
			guest_gate_wait(&go);
			_exit(p[0]);
		}
	}
	MAYBE_SAVE();
	for (int i = 0; i < 5; i++)
		guest_gate_open(&go);
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(guest_reap(pids[i]), i);
	EXPECT_EQ(p[0], 0);
}

GUEST_TEST(read_only_then_writable)
{
	char *p = guest_map(GUEST_PAGE, 0);
	pid_t pid;

	p[0] = 'a';
	ASSERT_OK(mprotect(p, GUEST_PAGE, PROT_READ));
	pid = guest_fork();
	if (pid == 0) {
		ASSERT_OK(mprotect(p, GUEST_PAGE, PROT_READ | PROT_WRITE));
		p[0] = 'b';
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(p[0], 'a');
}

GUEST_TEST(the_kernel_writes_too)
{
	char *p = guest_map(2 * GUEST_PAGE, 0);
	pid_t pid;
	int fds[2];

	memset(p, 'o', 2 * GUEST_PAGE);
	ASSERT_OK(pipe(fds));
	ASSERT_EQ(write(fds[1], "kernel", 6), 6);
	pid = guest_fork();
	if (pid == 0) {
		/* A read across a page border breaks the sharing of both pages. */
		EXPECT_EQ(read(fds[0], p + GUEST_PAGE - 3, 6), 6);
		EXPECT_EQ(memcmp(p + GUEST_PAGE - 3, "kernel", 6), 0);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(memcmp(p + GUEST_PAGE - 3, "oooooo", 6), 0);
}

GUEST_TEST(file_pages_after_fork)
{
	int fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));
	char *p;
	pid_t pid;

	ASSERT_EQ(write(fd, "abcdef", 6), 6);
	p = mmap(NULL, GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ASSERT_TRUE(p != MAP_FAILED);
	p[0] = 'X';
	pid = guest_fork();
	if (pid == 0) {
		p[1] = 'Y';
		MAYBE_SAVE();
		EXPECT_EQ(memcmp(p, "XYcdef", 6), 0);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(memcmp(p, "Xbcdef", 6), 0);
}
