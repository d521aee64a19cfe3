#include "tests/guest/guest_test.h"

#include <stdatomic.h>

/* MAP_SHARED | MAP_ANONYMOUS between relatives. */

GUEST_TEST(both_directions)
{
	atomic_int *p = guest_map_shared(GUEST_PAGE);
	struct guest_gate to, from;
	pid_t pid;

	guest_gate_init(&to);
	guest_gate_init(&from);
	pid = guest_fork();
	if (pid == 0) {
		p[0] = 11;
		guest_gate_open(&from);
		guest_gate_wait(&to);
		EXPECT_EQ(p[1], 22);
		p[2] = 33;
		_exit(0);
	}
	guest_gate_wait(&from);
	EXPECT_EQ(p[0], 11);
	p[1] = 22;
	MAYBE_SAVE();
	guest_gate_open(&to);
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(p[2], 33);
}

GUEST_TEST(grandchildren)
{
	atomic_int *p = guest_map_shared(GUEST_PAGE);
	pid_t pid = guest_fork();

	if (pid == 0) {
		pid_t inner = guest_fork();

		atomic_fetch_add(p, 1);
		if (inner == 0)
			_exit(0);
		_exit(guest_reap(inner));
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(atomic_load(p), 2);
}

GUEST_TEST(atomic_counter_of_processes)
{
	enum {
		PROCS = 4,
		ROUNDS = 2000
	};
	atomic_int *p = guest_map_shared(GUEST_PAGE);
	pid_t pids[PROCS];

	for (int i = 0; i < PROCS; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0) {
			for (int j = 0; j < ROUNDS; j++) {
				atomic_fetch_add(p, 1);
				if (j == ROUNDS / 2 && i == 0)
					MAYBE_SAVE();
			}
			_exit(0);
		}
	}
	for (int i = 0; i < PROCS; i++)
		EXPECT_EQ(guest_reap(pids[i]), 0);
	EXPECT_EQ(atomic_load(p), PROCS * ROUNDS);
}

GUEST_TEST(unmapped_by_the_parent)
{
	char *p = guest_map_shared(4 * GUEST_PAGE);
	struct guest_gate g;
	pid_t pid;

	guest_gate_init(&g);
	p[3 * GUEST_PAGE] = 'k';
	pid = guest_fork();
	if (pid == 0) {
		guest_gate_wait(&g);
		EXPECT_EQ(p[3 * GUEST_PAGE], 'k');
		p[0] = 1;
		_exit(0);
	}
	EXPECT_OK(munmap(p, 4 * GUEST_PAGE));
	MAYBE_SAVE();
	guest_gate_open(&g);
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(two_memories_are_two)
{
	char *p = guest_map_shared(GUEST_PAGE), *q = guest_map_shared(GUEST_PAGE);

	p[0] = 'p';
	EXPECT_EQ(q[0], 0);
	q[0] = 'q';
	MAYBE_SAVE();
	EXPECT_EQ(p[0], 'p');
}

GUEST_TEST(one_page_seen_late)
{
	/* The pages that are first touched after the fork are shared as well. */
	char *p = guest_map_shared(64 * GUEST_PAGE);
	pid_t pid = guest_fork();

	if (pid == 0) {
		for (int i = 0; i < 64; i++)
			p[i * GUEST_PAGE] = (char)(i + 1);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	for (int i = 0; i < 64; i++)
		EXPECT_EQ(p[i * GUEST_PAGE], i + 1);
}
