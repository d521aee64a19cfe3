/*
 * Memory that is filled in a row, which the sandbox may back with huge pages: what is in it stays,
 * whatever is done to parts of it, and what the guest said of huge pages is shown.
 */
#include "tests/guest/guest_test.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB   (1024 * 1024ul)
#define CHUNK (2 * MIB)
#define SIZE  (10 * MIB)
#define PAGE  4096ul

static uint64_t *word(char *p, size_t page)
{
	return (uint64_t *)(p + page * PAGE + page % 500 * 8);
}

static void fill(char *p, size_t from, size_t to, uint64_t seed)
{
	for (size_t i = from; i < to; i++)
		*word(p, i) = seed + i;
}

static size_t wrong(char *p, size_t from, size_t to, uint64_t seed)
{
	size_t n = 0;

	for (size_t i = from; i < to; i++)
		n += *word(p, i) != seed + i;
	return n;
}

static char *aligned(int flags, int fd)
{
	char *p = mmap(NULL, SIZE + CHUNK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at = (char *)(((uintptr_t)p + CHUNK - 1) & ~(CHUNK - 1));

	if (p == MAP_FAILED)
		return p;
	return mmap(at, SIZE, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
}

/* The rest of every page reads as zeros. */
static bool clean(char *p, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		for (size_t k = 0; k < PAGE / 8; k++) {
			uint64_t *w = (uint64_t *)(p + i * PAGE) + k;

			if (w != word(p, i) && *w != 0)
				return false;
		}
	}
	return true;
}

GUEST_TEST(filled_upwards)
{
	char *p = aligned(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	const size_t pages = SIZE / PAGE;

	ASSERT_TRUE(p != MAP_FAILED);
	fill(p, 0, pages / 2, 7);
	MAYBE_SAVE();
	fill(p, pages / 2, pages, 7);
	EXPECT_EQ(wrong(p, 0, pages, 7), 0);
	EXPECT_TRUE(clean(p, 0, pages));
	munmap(p, SIZE);
}

GUEST_TEST(filled_downwards)
{
	char *p = aligned(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	const size_t pages = SIZE / PAGE;

	ASSERT_TRUE(p != MAP_FAILED);
	for (size_t i = pages; i-- > 0;)
		*word(p, i) = i;
	MAYBE_SAVE();
	EXPECT_EQ(wrong(p, 0, pages, 0), 0);
	EXPECT_TRUE(clean(p, 0, pages));
	munmap(p, SIZE);
}

GUEST_TEST(parts_go_and_come_back_as_zeros)
{
	char *p = aligned(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	const size_t pages = SIZE / PAGE;

	ASSERT_TRUE(p != MAP_FAILED);
	fill(p, 0, pages, 1);
	for (size_t i = 100; i < pages; i += 400)
		EXPECT_EQ(madvise(p + i * PAGE, 3 * PAGE, MADV_DONTNEED), 0);
	EXPECT_EQ(munmap(p + 5 * MIB, 8 * PAGE), 0);
	EXPECT_TRUE(mmap(p + 5 * MIB, 8 * PAGE, PROT_READ | PROT_WRITE,
	                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p + 5 * MIB);
	EXPECT_EQ(mprotect(p + 3 * MIB, PAGE, PROT_READ), 0);
	MAYBE_SAVE();
	for (size_t i = 0; i < pages; i++) {
		bool gone = (i >= 100 && (i - 100) % 400 < 3) ||
		            (i >= 5 * MIB / PAGE && i < 5 * MIB / PAGE + 8);

		if (*word(p, i) != (gone ? 0 : 1 + i)) {
			guest_fail(__FILE__, __LINE__, "page %zu", i);
			break;
		}
	}
	munmap(p, SIZE);
}

static void change_and_look(void *arg)
{
	char *p = arg;
	const size_t pages = SIZE / PAGE;

	fill(p, 0, pages / 3, 1000);
	MAYBE_SAVE();
	EXPECT_EQ(wrong(p, 0, pages / 3, 1000), 0);
	EXPECT_EQ(wrong(p, pages / 3, pages, 5), 0);
}

GUEST_TEST(copied_by_fork)
{
	char *p = aligned(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	const size_t pages = SIZE / PAGE;

	ASSERT_TRUE(p != MAP_FAILED);
	fill(p, 0, pages, 5);
	EXPECT_EQ(guest_in_child(change_and_look, p), 0);
	EXPECT_EQ(wrong(p, 0, pages, 5), 0);
	EXPECT_TRUE(clean(p, 0, pages));
	munmap(p, SIZE);
}

static void fill_all(void *arg)
{
	fill(arg, 0, SIZE / PAGE, 9);
}

GUEST_TEST(shared_memory_and_files)
{
	char *p = aligned(MAP_SHARED | MAP_ANONYMOUS, -1), *q;
	const size_t pages = SIZE / PAGE;
	int fd = memfd_create("huge", 0);

	ASSERT_TRUE(p != MAP_FAILED);
	EXPECT_EQ(guest_in_child(fill_all, p), 0);
	EXPECT_EQ(ftruncate(fd, SIZE), 0);
	q = aligned(MAP_SHARED, fd);
	ASSERT_TRUE(q != MAP_FAILED);
	fill(q, 0, pages, 11);
	MAYBE_SAVE();
	EXPECT_EQ(wrong(p, 0, pages, 9), 0);
	EXPECT_EQ(wrong(q, 0, pages, 11), 0);
	EXPECT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * MIB + PAGE, PAGE),
	          0);
	EXPECT_EQ(*word(q, 4 * MIB / PAGE + 1), 0);
	EXPECT_EQ(*word(q, 4 * MIB / PAGE + 2), 11 + 4 * MIB / PAGE + 2);
	munmap(p, SIZE);
	munmap(q, SIZE);
	close(fd);
}

static bool has_flag(const char *flag)
{
	static char text[1 << 16];

	return guest_read_file("/proc/self/smaps", text, sizeof(text)) > 0 &&
	       strstr(text, flag) != NULL;
}

GUEST_TEST(advice_is_kept)
{
	char *p = aligned(MAP_PRIVATE | MAP_ANONYMOUS, -1);

	ASSERT_TRUE(p != MAP_FAILED);
	if (madvise(p, SIZE, MADV_HUGEPAGE) != 0)
		SKIP("a kernel without huge pages");
	EXPECT_TRUE(has_flag(" hg"));
	fill(p, 0, 10, 3);
	MAYBE_SAVE();
	EXPECT_TRUE(has_flag(" hg"));
	EXPECT_EQ(madvise(p, SIZE, MADV_NOHUGEPAGE), 0);
	EXPECT_TRUE(has_flag(" nh") && !has_flag(" hg"));
	EXPECT_EQ(wrong(p, 0, 10, 3), 0);
	EXPECT_TRUE(clean(p, 0, 20));
	munmap(p, SIZE);
}
