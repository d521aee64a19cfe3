#include "tests/guest/guest_test.h"

#include <sys/file.h>

/* A small record store: several processes, a mapped index, record locks, an append-only journal. */

enum {
	SLOTS = 64,
	PROCS = 4,
	OPS = 60
};

struct record {
	long value, writes;
};

static struct record *map_records(void)
{
	int fd = open(guest_path("db"), O_RDWR);
	struct record *r =
		mmap(NULL, SLOTS * sizeof(*r), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd < 0 || r == MAP_FAILED)
		_exit(20);
	return r;
}

static void lock_slot(int fd, int slot, short type)
{
	struct flock fl = {.l_type = type, .l_start = slot, .l_len = 1};

	while (fcntl(fd, F_SETLKW, &fl) < 0)
		if (errno != EINTR)
			_exit(21);
}

static int client(int id)
{
	int db = open(guest_path("db"), O_RDWR), log = open(guest_path("log"), O_WRONLY | O_APPEND);
	struct record *r = map_records();
	unsigned seed = (unsigned)id + 1;

	for (int i = 0; i < OPS; i++) {
		char line[32];
		int from, to, amount, n;

		seed = seed * 1103515245u + 12345u;
		from = (int)(seed >> 8 & (SLOTS - 1));
		to = (int)(seed >> 16 & (SLOTS - 1));
		amount = (int)(seed >> 24 & 15);
		if (from == to)
			to = (to + 1) % SLOTS;
		/* In order of slots, so that no deadlock can be. */
		lock_slot(db, from < to ? from : to, F_WRLCK);
		lock_slot(db, from < to ? to : from, F_WRLCK);
		r[from].value -= amount;
		r[from].writes++;
		r[to].value += amount;
		r[to].writes++;
		n = snprintf(line, sizeof(line), "%d %d %d\n", from, to, amount);
		if (write(log, line, (size_t)n) != n)
			return 22;
		lock_slot(db, from, F_UNLCK);
		lock_slot(db, to, F_UNLCK);
	}
	return 0;
}

GUEST_TEST(money_is_conserved)
{
	static char text[1 << 16];
	struct record *r;
	long total = 0, writes = 0, replay[SLOTS];
	int fd = ASSERT_OK(open(guest_path("db"), O_RDWR | O_CREAT, 0644)), from, to, amount, used;
	pid_t pids[PROCS];

	ASSERT_OK(ftruncate(fd, SLOTS * sizeof(*r)));
	guest_write_file(guest_path("log"), "", 0644);
	r = map_records();
	for (int i = 0; i < SLOTS; i++)
		r[i].value = replay[i] = 1000;
	for (int i = 0; i < PROCS; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0)
			_exit(client(i));
	}
	MAYBE_SAVE();
	for (int i = 0; i < PROCS; i++)
		EXPECT_EQ(guest_reap(pids[i]), 0);
	ASSERT_TRUE(guest_read_file(guest_path("log"), text, sizeof(text)) > 0);
	for (char *p = text; sscanf(p, "%d %d %d%n", &from, &to, &amount, &used) == 3; p += used) {
		replay[from] -= amount;
		replay[to] += amount;
		writes++;
	}
	EXPECT_EQ(writes, PROCS * OPS);
	for (int i = 0; i < SLOTS; i++) {
		total += r[i].value;
		EXPECT_EQ(r[i].value, replay[i]);
	}
	EXPECT_EQ(total, SLOTS * 1000);
}

GUEST_TEST(write_then_rename)
{
	char text[64], want[64];

	/* How careful programs replace a file: readers see the old or the new one. */
	guest_write_file(guest_path("conf"), "version 0", 0644);
	for (int i = 1; i <= 20; i++) {
		int fd =
			ASSERT_OK(open(guest_path("conf.tmp"), O_WRONLY | O_CREAT | O_TRUNC, 0600));

		snprintf(want, sizeof(want), "version %d", i);
		ASSERT_EQ(write(fd, want, strlen(want)), strlen(want));
		EXPECT_OK(fdatasync(fd));
		close(fd);
		if (i == 10)
			MAYBE_SAVE();
		EXPECT_OK(rename(guest_path("conf.tmp"), guest_path("conf")));
		EXPECT_GE(guest_read_file(guest_path("conf"), text, sizeof(text)), 9);
		EXPECT_STREQ(text, want);
	}
}
