#include "tests/guest/guest_test.h"

#include <stdlib.h>
#include <sys/sysmacros.h>

/* Odds and ends: stdio, temporary files, mknod, openat2-free resolution, empty paths. */

GUEST_TEST(stdio_round_trip)
{
	FILE *f = fopen(guest_path("f"), "w+");
	char line[64];

	ASSERT_TRUE(f != NULL);
	for (int i = 0; i < 1000; i++)
		fprintf(f, "line %d\n", i);
	EXPECT_EQ(fflush(f), 0);
	MAYBE_SAVE();
	rewind(f);
	for (int i = 0; i < 1000; i++) {
		int v = -1;

		EXPECT_TRUE(fgets(line, sizeof(line), f) != NULL);
		EXPECT_EQ(sscanf(line, "line %d", &v), 1);
		EXPECT_EQ(v, i);
	}
	EXPECT_TRUE(fgets(line, sizeof(line), f) == NULL);
	EXPECT_TRUE(feof(f));
	EXPECT_EQ(fclose(f), 0);
	f = fopen(guest_path("f"), "a");
	EXPECT_EQ(fseek(f, 0, SEEK_SET), 0);
	fputs("end\n", f);
	EXPECT_EQ(ftell(f), 8890 + 4);
	fclose(f);
}

GUEST_TEST(unflushed_buffer_over_a_save)
{
	FILE *f = fopen(guest_path("f"), "w");
	char text[64];

	ASSERT_TRUE(f != NULL);
	fputs("in the buffer", f);
	MAYBE_SAVE();
	EXPECT_EQ(fclose(f), 0);
	EXPECT_EQ(guest_read_file(guest_path("f"), text, sizeof(text)), 13);
}

GUEST_TEST(temporary_files)
{
	char name[300];
	struct stat st;
	FILE *f;
	int fd;

	snprintf(name, sizeof(name), "%s/tmp.XXXXXX", guest_tmp());
	fd = ASSERT_OK(mkstemp(name));
	EXPECT_OK(fstat(fd, &st));
	EXPECT_EQ(st.st_mode & 0777, 0600);
	EXPECT_OK(unlink(name));
	setenv("TMPDIR", guest_tmp(), 1);
	f = tmpfile();
	ASSERT_TRUE(f != NULL);
	EXPECT_GT(fprintf(f, "temporary"), 0);
	rewind(f);
	EXPECT_EQ(fgetc(f), 't');
}

GUEST_TEST(mknod_call)
{
	struct stat st;

	EXPECT_OK(mknod(guest_path("reg"), S_IFREG | 0640, 0));
	EXPECT_OK(mknod(guest_path("noname"), 0600, 0));
	EXPECT_OK(mknod(guest_path("fifo"), S_IFIFO | 0644, 0));
	EXPECT_OK(mknod(guest_path("sock"), S_IFSOCK | 0644, 0));
	EXPECT_ERRNO(mknod(guest_path("dir"), S_IFDIR | 0755, 0), EPERM);
	EXPECT_ERRNO(mknod(guest_path("lnk"), S_IFLNK | 0755, 0), EINVAL);
	EXPECT_ERRNO(mknod(guest_path("reg"), S_IFREG | 0644, 0), EEXIST);
	MAYBE_SAVE();
	EXPECT_OK(stat(guest_path("reg"), &st));
	EXPECT_EQ(st.st_mode, S_IFREG | 0640);
	EXPECT_OK(stat(guest_path("noname"), &st));
	EXPECT_TRUE(S_ISREG(st.st_mode));
	EXPECT_OK(stat(guest_path("sock"), &st));
	EXPECT_TRUE(S_ISSOCK(st.st_mode));
	EXPECT_ERRNO(open(guest_path("sock"), O_RDWR), ENXIO);
}

GUEST_TEST(real_paths)
{
	char want[4096], got[4096];

	ASSERT_OK(mkdir(guest_path("a"), 0755));
	ASSERT_OK(mkdir(guest_path("a/b"), 0755));
	ASSERT_OK(symlink("a/b", guest_path("l")));
	ASSERT_OK(symlink("../../l/..", guest_path("a/b/up")));
	snprintf(want, sizeof(want), "%s", guest_path("a"));
	EXPECT_TRUE(realpath(guest_path("l/up/b/.."), got) != NULL);
	EXPECT_STREQ(got, want);
	EXPECT_TRUE(realpath(guest_path("none"), got) == NULL);
	EXPECT_EQ(errno, ENOENT);
}

GUEST_TEST(device_numbers_of_one_tree)
{
	struct stat a, b;

	ASSERT_OK(mkdir(guest_path("d"), 0755));
	guest_write_file(guest_path("d/f"), "", 0644);
	ASSERT_OK(stat(guest_path("d"), &a));
	ASSERT_OK(stat(guest_path("d/f"), &b));
	EXPECT_EQ(a.st_dev, b.st_dev);
	EXPECT_NE(a.st_ino, b.st_ino);
	ASSERT_OK(stat("/proc", &b));
	EXPECT_NE(a.st_dev, b.st_dev);
}

GUEST_TEST(blocks_count)
{
	char page[4096] = {1};
	struct stat st;
	int fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));

	for (int i = 0; i < 16; i++)
		ASSERT_EQ(write(fd, page, sizeof(page)), sizeof(page));
	ASSERT_OK(fsync(fd));
	EXPECT_OK(fstat(fd, &st));
	EXPECT_GE(st.st_blocks, 16 * 8);
}

GUEST_TEST(read_your_own_directory_changes)
{
	struct stat st;

	for (int i = 0; i < 50; i++) {
		EXPECT_ERRNO(stat(guest_path("flip"), &st), ENOENT);
		guest_write_file(guest_path("flip"), "", 0644);
		EXPECT_OK(stat(guest_path("flip"), &st));
		EXPECT_OK(unlink(guest_path("flip")));
	}
}

GUEST_TEST(another_process_sees_changes_at_once)
{
	struct guest_gate go, done;
	struct stat st;
	pid_t pid;

	guest_gate_init(&go);
	guest_gate_init(&done);
	guest_tmp();
	EXPECT_ERRNO(stat(guest_path("new"), &st), ENOENT);
	pid = guest_fork();
	if (pid == 0) {
		guest_gate_wait(&go);
		EXPECT_OK(stat(guest_path("new"), &st));
		EXPECT_EQ(st.st_size, 3);
		EXPECT_OK(rename(guest_path("new"), guest_path("other")));
		guest_gate_open(&done);
		_exit(0);
	}
	guest_write_file(guest_path("new"), "abc", 0644);
	guest_gate_open(&go);
	guest_gate_wait(&done);
	EXPECT_ERRNO(stat(guest_path("new"), &st), ENOENT);
	EXPECT_OK(stat(guest_path("other"), &st));
	EXPECT_EQ(guest_reap(pid), 0);
}
