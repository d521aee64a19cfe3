#include "tests/guest/guest_test.h"

/* /proc/self/maps and smaps, and /proc/self/mem. */

struct map {
	unsigned long start, end, off, ino;
	char perms[8], path[256];
};

static char text[1 << 18];

/* The entry that holds the address; false if none does. */
static bool find(void *addr, struct map *ret_map)
{
	ASSERT_TRUE(guest_read_file("/proc/self/maps", text, sizeof(text)) > 0);
	for (char *line = text; *line; line = strchr(line, '\n') + 1) {
		struct map m = {0};
		int n = sscanf(line, "%lx-%lx %7s %lx %*x:%*x %lu", &m.start, &m.end, m.perms,
		               &m.off, &m.ino);
		const char *path = line + strcspn(line, "/[\n");

		ASSERT_TRUE(n == 5);
		snprintf(m.path, sizeof(m.path), "%.*s", (int)strcspn(path, "\n"), path);
		if ((unsigned long)addr >= m.start && (unsigned long)addr < m.end) {
			*ret_map = m;
			return true;
		}
	}
	return false;
}

GUEST_TEST(anonymous)
{
	char *p = guest_map(4 * GUEST_PAGE, 0);
	struct map m;

	ASSERT_OK(mprotect(p + GUEST_PAGE, GUEST_PAGE, PROT_READ));
	MAYBE_SAVE();
	ASSERT_TRUE(find(p + GUEST_PAGE + 5, &m));
	EXPECT_EQ(m.start, p + GUEST_PAGE);
	EXPECT_EQ(m.end, p + 2 * GUEST_PAGE);
	EXPECT_STREQ(m.perms, "r--p");
	EXPECT_EQ(m.ino, 0);
	EXPECT_STREQ(m.path, "");
	ASSERT_OK(munmap(p + GUEST_PAGE, GUEST_PAGE));
	EXPECT_FALSE(find(p + GUEST_PAGE, &m));
}

GUEST_TEST(file_entry)
{
	int fd = ASSERT_OK(open(guest_path("mapped"), O_RDWR | O_CREAT, 0644));
	struct stat st;
	struct map m;
	char *p;

	ASSERT_OK(ftruncate(fd, 3 * GUEST_PAGE));
	p = mmap(NULL, GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 2 * GUEST_PAGE);
	ASSERT_TRUE(p != MAP_FAILED);
	ASSERT_OK(fstat(fd, &st));
	ASSERT_TRUE(find(p, &m));
	EXPECT_STREQ(m.perms, "rw-s");
	EXPECT_EQ(m.off, 2 * GUEST_PAGE);
	EXPECT_EQ(m.ino, st.st_ino);
	EXPECT_STREQ(m.path, guest_path("mapped"));
	close(fd);
	ASSERT_OK(unlink(guest_path("mapped")));
	ASSERT_TRUE(find(p, &m));
	EXPECT_TRUE(strstr(m.path, "mapped (deleted)") != NULL);
}

GUEST_TEST(special_regions)
{
	struct map m;
	int local;

	ASSERT_TRUE(find(&local, &m));
	EXPECT_STREQ(m.path, "[stack]");
	EXPECT_STREQ(m.perms, "rw-p");
	ASSERT_TRUE(find((char *)sbrk(0) - 1, &m));
	EXPECT_STREQ(m.path, "[heap]");
	ASSERT_TRUE(find((void *)(uintptr_t)find, &m));
	EXPECT_STREQ(m.perms, "r-xp");
	EXPECT_STREQ(m.path, guest_self());
	EXPECT_TRUE(strstr(text, "[vdso]") != NULL);
}

GUEST_TEST(sorted_and_disjoint)
{
	unsigned long last = 0;

	ASSERT_TRUE(guest_read_file("/proc/self/maps", text, sizeof(text)) > 0);
	for (char *line = text; *line; line = strchr(line, '\n') + 1) {
		unsigned long start, end;

		EXPECT_EQ(sscanf(line, "%lx-%lx", &start, &end), 2);
		EXPECT_TRUE(start >= last && start < end);
		last = end;
	}
}

GUEST_TEST(smaps_has_sizes)
{
	char *p = guest_map(8 * GUEST_PAGE, 0), *line, start[32];
	long kb;

	memset(p, 1, 8 * GUEST_PAGE);
	ASSERT_OK(mprotect(p + 7 * GUEST_PAGE, GUEST_PAGE, PROT_READ));
	if (guest_read_file("/proc/self/smaps", text, sizeof(text)) < 0)
		SKIP("no smaps");
	ASSERT_OK(mprotect(p, 7 * GUEST_PAGE, PROT_NONE));
	ASSERT_OK(mprotect(p, 7 * GUEST_PAGE, PROT_READ | PROT_WRITE));
	EXPECT_TRUE(guest_read_file("/proc/self/smaps", text, sizeof(text)) > 0);
	snprintf(start, sizeof(start), "%lx-", (unsigned long)(p + 7 * GUEST_PAGE));
	line = strstr(text, start);
	ASSERT_TRUE(line != NULL);
	line = strstr(line, "Size:");
	ASSERT_TRUE(line != NULL);
	EXPECT_EQ(sscanf(line, "Size: %ld kB", &kb), 1);
	EXPECT_EQ(kb, 4);
	EXPECT_TRUE(strstr(line, "Rss:") != NULL);
}

/* Whether the two letters are among the VmFlags of the mapping that begins at p. */
static bool vm_flag(const char *p, const char *flag)
{
	static char buf[65536];
	char start[32], *line, *end;

	if (guest_read_file("/proc/self/smaps", buf, sizeof(buf)) < 0)
		SKIP("no smaps");
	snprintf(start, sizeof(start), "%lx-", (unsigned long)p);
	line = strstr(buf, start);
	ASSERT_TRUE(line != NULL);
	line = strstr(line, "VmFlags:");
	ASSERT_TRUE(line != NULL);
	end = strchr(line, '\n');
	line = strstr(line, flag);
	return line && line < end;
}

GUEST_TEST(flags_of_mappings)
{
	static const struct {
		int advice;
		const char *flag;
	} advices[] = {{MADV_DONTFORK, " dc "}, {MADV_WIPEONFORK, " wf "}, {MADV_DONTDUMP, " dd "}};
	char *p = guest_map(4 * GUEST_PAGE, 0);

	/* So that it is a mapping of its own. */
	ASSERT_OK(mprotect(p, GUEST_PAGE, PROT_NONE));
	ASSERT_OK(mprotect(p + 3 * GUEST_PAGE, GUEST_PAGE, PROT_NONE));
	p += GUEST_PAGE;
	EXPECT_TRUE(vm_flag(p, " rd wr mr mw me "));
	for (size_t i = 0; i < GUEST_COUNT(advices); i++) {
		EXPECT_FALSE(vm_flag(p, advices[i].flag));
		ASSERT_OK(madvise(p, 2 * GUEST_PAGE, advices[i].advice));
	}
	EXPECT_FALSE(vm_flag(p, " lo "));
	ASSERT_OK(mlock(p, 2 * GUEST_PAGE));
	MAYBE_SAVE();
	EXPECT_TRUE(vm_flag(p, " lo "));
	for (size_t i = 0; i < GUEST_COUNT(advices); i++)
		EXPECT_TRUE(vm_flag(p, advices[i].flag));
}

GUEST_TEST(own_memory_through_mem)
{
	int fd = open("/proc/self/mem", O_RDWR);
	char *p = guest_map(GUEST_PAGE, 0), buf[8] = "";

	if (fd < 0)
		SKIP("no /proc/self/mem");
	strcpy(p, "memory");
	EXPECT_EQ(pread(fd, buf, 7, (off_t)(uintptr_t)p), 7);
	EXPECT_STREQ(buf, "memory");
	EXPECT_EQ(pwrite(fd, "M", 1, (off_t)(uintptr_t)p), 1);
	EXPECT_STREQ(p, "Memory");
	EXPECT_ERRNO(pread(fd, buf, 1, 0x1000), EIO);
}

GUEST_TEST(threads_of_reads)
{
	/* A long file read in small pieces is whole. */
	char *p = guest_map(200 * GUEST_PAGE, 0);
	int fd, lines = 0;
	char buf[100];
	ssize_t n;

	for (int i = 0; i < 200; i += 2)
		ASSERT_OK(mprotect(p + i * GUEST_PAGE, GUEST_PAGE, PROT_READ));
	fd = ASSERT_OK(open("/proc/self/maps", O_RDONLY));
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			lines += buf[i] == '\n';
	EXPECT_GE(lines, 200);
}
