#include "tests/guest/guest_test.h"

#include <dirent.h>
#include <pthread.h>

/* The host's files seen through the sandbox: reading, changing copies, removing, whiteouts. */

static const char *const dir = "/usr/include";

GUEST_TEST(read_what_exists)
{
	char buf[4096];
	struct stat st;
	ssize_t n = guest_read_file("/etc/passwd", buf, sizeof(buf));

	if (n < 0)
		SKIP("no /etc/passwd");
	EXPECT_EQ(strncmp(buf, "root:", 5), 0);
	EXPECT_OK(stat("/etc/passwd", &st));
	if (st.st_size < (off_t)sizeof(buf) - 1)
		EXPECT_EQ(st.st_size, n);
	MAYBE_SAVE();
	EXPECT_EQ(guest_read_file("/etc/passwd", buf, sizeof(buf)), n);
}

GUEST_TEST(map_what_exists)
{
	int fd = ASSERT_OK(open(guest_self(), O_RDONLY));
	unsigned char *p = mmap(NULL, GUEST_PAGE, PROT_READ, MAP_PRIVATE, fd, 0);

	ASSERT_TRUE(p != MAP_FAILED);
	EXPECT_EQ(memcmp(p, "\177ELF", 4), 0);
	MAYBE_SAVE();
	EXPECT_EQ(memcmp(p, "\177ELF", 4), 0);
	EXPECT_ERRNO(open(guest_path("no/such"), O_RDONLY), ENOENT);
}

GUEST_TEST(walk_a_tree)
{
	struct dirent *e;
	struct stat st;
	char path[4096];
	int n = 0;
	DIR *d = opendir(dir);

	if (!d)
		SKIP("no /usr/include");
	while ((e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		EXPECT_OK(lstat(path, &st));
		if (e->d_type != DT_UNKNOWN)
			EXPECT_EQ(IFTODT(st.st_mode), e->d_type);
		if (++n == 20)
			MAYBE_SAVE();
	}
	EXPECT_GE(n, 2);
	closedir(d);
}

/* Below here only in guest_tmp(), which in the sandbox is the overlay's upper layer. */

GUEST_TEST(tree_of_files)
{
	char name[64], text[64];

	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		ASSERT_OK(mkdir(guest_path(name), 0755));
		for (int j = 0; j < 10; j++) {
			snprintf(name, sizeof(name), "d%d/f%d", i, j);
			snprintf(text, sizeof(text), "%d/%d", i, j);
			guest_write_file(guest_path(name), text, 0644);
		}
	}
	MAYBE_SAVE();
	for (int i = 0; i < 10; i++) {
		for (int j = 0; j < 10; j++) {
			char got[64];

			snprintf(name, sizeof(name), "d%d/f%d", i, j);
			snprintf(text, sizeof(text), "%d/%d", i, j);
			EXPECT_GE(guest_read_file(guest_path(name), got, sizeof(got)), 3);
			EXPECT_STREQ(got, text);
			EXPECT_OK(unlink(guest_path(name)));
		}
		snprintf(name, sizeof(name), "d%d", i);
		EXPECT_OK(rmdir(guest_path(name)));
	}
}

GUEST_TEST(recreate_over_and_over)
{
	for (int i = 0; i < 100; i++) {
		int fd = ASSERT_OK(open(guest_path("f"), O_CREAT | O_EXCL | O_RDWR, 0644));
		struct stat st;

		EXPECT_OK(fstat(fd, &st));
		EXPECT_EQ(st.st_size, 0);
		EXPECT_EQ(write(fd, "x", 1), 1);
		close(fd);
		EXPECT_OK(unlink(guest_path("f")));
		EXPECT_OK(mkdir(guest_path("f"), 0755));
		EXPECT_OK(rmdir(guest_path("f")));
	}
}

static void *creator(void *arg)
{
	char name[300];

	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "%s/t%ld-%d", guest_tmp(), (long)arg, i);
		guest_write_file(name, "x", 0644);
		if (i % 2)
			EXPECT_OK(unlink(name));
	}
	return NULL;
}

GUEST_TEST(many_threads_in_one_directory)
{
	pthread_t t[4];
	struct dirent *e;
	int n = 0;
	DIR *d;

	guest_tmp();
	for (long i = 0; i < 4; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, creator, (void *)i), 0);
	MAYBE_SAVE();
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	d = opendir(guest_tmp());
	while ((e = readdir(d)))
		n += e->d_name[0] == 't';
	EXPECT_EQ(n, 100);
	closedir(d);
}

GUEST_TEST(exclusive_create_has_one_winner)
{
	int *wins = guest_map_shared(GUEST_PAGE);
	pid_t pids[8];

	guest_tmp();
	for (int i = 0; i < 8; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0) {
			if (open(guest_path("one"), O_CREAT | O_EXCL | O_WRONLY, 0644) >= 0)
				__atomic_fetch_add(wins, 1, __ATOMIC_SEQ_CST);
			_exit(0);
		}
	}
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(guest_reap(pids[i]), 0);
	EXPECT_EQ(*wins, 1);
}

GUEST_TEST(appends_do_not_overlap)
{
	char line[33], c;
	int counts[4] = {0};
	pid_t pids[4];
	FILE *f;

	guest_write_file(guest_path("log"), "", 0644);
	for (int i = 0; i < 4; i++) {
		pids[i] = guest_fork();
		if (pids[i] == 0) {
			int fd = open(guest_path("log"), O_WRONLY | O_APPEND);

			memset(line, 'a' + i, 32);
			line[31] = '\n';
			for (int j = 0; j < 50; j++)
				if (write(fd, line, 32) != 32)
					_exit(1);
			_exit(0);
		}
	}
	MAYBE_SAVE();
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(guest_reap(pids[i]), 0);
	f = fopen(guest_path("log"), "r");
	ASSERT_TRUE(f != NULL);
	while (fgets(line, sizeof(line), f)) {
		c = line[0];
		EXPECT_EQ(strlen(line), 32);
		for (int i = 0; i < 31; i++)
			EXPECT_EQ(line[i], c);
		counts[c - 'a']++;
	}
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(counts[i], 50);
	fclose(f);
}
