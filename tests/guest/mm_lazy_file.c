#include "tests/guest/guest_test.h"

/* Files read through mappings in many patterns, compared with what read gives. */

enum {
	PAGES = 200
};

static int fd;

static void make(void)
{
	unsigned buf[1024];

	fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));
	for (unsigned i = 0; i < PAGES; i++) {
		for (unsigned j = 0; j < 1024; j++)
			buf[j] = i * 1024 + j;
		ASSERT_EQ(write(fd, buf, sizeof(buf)), sizeof(buf));
	}
}

static unsigned *map(int prot, int flags)
{
	unsigned *p = mmap(NULL, PAGES * GUEST_PAGE, prot, flags, fd, 0);

	ASSERT_TRUE(p != MAP_FAILED);
	return p;
}

GUEST_TEST(forwards_backwards_scattered)
{
	unsigned *p, *q, *r;

	make();
	p = map(PROT_READ, MAP_PRIVATE);
	q = map(PROT_READ, MAP_SHARED);
	r = map(PROT_READ, MAP_PRIVATE);
	for (unsigned i = 0; i < PAGES; i++) {
		EXPECT_EQ(p[i * 1024 + 5], i * 1024 + 5);
		EXPECT_EQ(q[(PAGES - 1 - i) * 1024], (PAGES - 1 - i) * 1024);
		EXPECT_EQ(r[i * 7919 % PAGES * 1024 + 9], i * 7919 % PAGES * 1024 + 9);
		if (i == PAGES / 2)
			MAYBE_SAVE();
	}
}

GUEST_TEST(some_pages_changed)
{
	unsigned *p, v;

	make();
	p = map(PROT_READ | PROT_WRITE, MAP_PRIVATE);
	for (unsigned i = 0; i < PAGES; i += 3)
		p[i * 1024] = ~0u;
	MAYBE_SAVE();
	for (unsigned i = 0; i < PAGES; i++) {
		EXPECT_EQ(p[i * 1024], i % 3 == 0 ? ~0u : i * 1024);
		EXPECT_EQ(p[i * 1024 + 1], i * 1024 + 1);
		EXPECT_EQ(pread(fd, &v, 4, (off_t)i * 4096), 4);
		EXPECT_EQ(v, i * 1024);
	}
}

GUEST_TEST(shared_writes_by_page_and_by_call)
{
	unsigned *p, v;

	make();
	p = map(PROT_READ | PROT_WRITE, MAP_SHARED);
	for (unsigned i = 0; i < PAGES; i++) {
		v = i + 7;
		if (i % 2)
			p[i * 1024 + 3] = v;
		else
			ASSERT_EQ(pwrite(fd, &v, 4, (off_t)i * 4096 + 12), 4);
	}
	MAYBE_SAVE();
	for (unsigned i = 0; i < PAGES; i++) {
		EXPECT_EQ(p[i * 1024 + 3], i + 7);
		ASSERT_EQ(pread(fd, &v, 4, (off_t)i * 4096 + 12), 4);
		EXPECT_EQ(v, i + 7);
	}
}

GUEST_TEST(own_program_text)
{
	/* The text segment as read and as mapped is the same. */
	static char page[4096];
	extern char __ehdr_start[];
	int self = ASSERT_OK(open(guest_self(), O_RDONLY));

	ASSERT_EQ(read(self, page, sizeof(page)), sizeof(page));
	EXPECT_EQ(memcmp(page, __ehdr_start, 512), 0);
	MAYBE_SAVE();
	EXPECT_EQ(memcmp(page, __ehdr_start, 512), 0);
}

GUEST_TEST(forked_readers)
{
	unsigned *p;
	pid_t pids[4];

	make();
	p = map(PROT_READ | PROT_WRITE, MAP_PRIVATE);
	for (unsigned k = 0; k < 4; k++) {
		pids[k] = guest_fork();
		if (pids[k] == 0) {
			for (unsigned i = k; i < PAGES; i += 4)
				p[i * 1024]++;
			for (unsigned i = 0; i < PAGES; i++)
				EXPECT_EQ(p[i * 1024], i * 1024 + (i % 4 == k));
			_exit(0);
		}
	}
	for (int k = 0; k < 4; k++)
		EXPECT_EQ(guest_reap(pids[k]), 0);
	EXPECT_EQ(p[0], 0);
}
