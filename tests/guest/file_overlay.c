#include "tests/guest/guest_test.h"

#include <dirent.h>
#include <sys/file.h>

/* Changes to files that were there before: in the sandbox all of it happens in the overlay's upper
 * layer (copy-up, whiteouts, opaque directories) and the host's files stay as they were. The cases
 * build on each other: together they are the story of one tree, $GUEST_DATA. */

static const char *data(const char *name)
{
	static char path[8][4096];
	static unsigned next;
	const char *top = getenv("GUEST_DATA");
	char *p = path[next++ % 8];

	if (!top)
		SKIP("run by the runner only");
	snprintf(p, 4096, "%s/%s", top, name);
	return p;
}

static void byte_is(const char *name, off_t off, int want)
{
	int fd = ASSERT_OK(open(data(name), O_RDONLY));
	unsigned char c = 0;

	EXPECT_EQ(pread(fd, &c, 1, off), 1);
	EXPECT_EQ(c, want);
	close(fd);
}

static int pattern(off_t i)
{
	return (int)((i * 7 + i / 251) & 255);
}

static int entries(const char *name)
{
	DIR *d = opendir(data(name));
	struct dirent *e;
	int n = 0;

	ASSERT_TRUE(d != NULL);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

GUEST_TEST(a_read_only)
{
	struct stat st, st2;
	char link[64] = "";

	EXPECT_OK(stat(data("large"), &st));
	EXPECT_EQ(st.st_size, 300000);
	EXPECT_EQ(st.st_mode, S_IFREG | 0640);
	byte_is("large", 299999, pattern(299999));
	EXPECT_EQ(readlink(data("link"), link, sizeof(link)), 5);
	EXPECT_OK(stat(data("small"), &st));
	EXPECT_OK(stat(data("hardlink"), &st2));
	EXPECT_EQ(st.st_ino, st2.st_ino);
	EXPECT_EQ(st.st_nlink, 2);
	EXPECT_EQ(entries("dir"), 21);
	EXPECT_EQ(entries("dirlink"), 1);
}

GUEST_TEST(b_write_copies_up)
{
	struct stat before, after;
	char text[8] = "";
	int rd, wr;

	EXPECT_OK(stat(data("large"), &before));
	rd = ASSERT_OK(open(data("large"), O_RDONLY));
	EXPECT_EQ(read(rd, text, 7), 7);
	MAYBE_SAVE();
	wr = ASSERT_OK(open(data("large"), O_RDWR));
	EXPECT_EQ(pwrite(wr, "changed", 7, 150000), 7);
	MAYBE_SAVE();
	EXPECT_OK(stat(data("large"), &after));
	EXPECT_EQ(after.st_size, 300000);
	EXPECT_EQ(after.st_mode, before.st_mode);
	EXPECT_EQ(after.st_uid, before.st_uid);
	byte_is("large", 149999, pattern(149999));
	byte_is("large", 150000, 'c');
	byte_is("large", 150007, pattern(150007));
	/* Who had it open before sees it, too, and goes on where it was. */
	EXPECT_EQ(pread(rd, text, 7, 150000), 7);
	EXPECT_STREQ(text, "changed");
	EXPECT_EQ(lseek(rd, 0, SEEK_CUR), 7);
	EXPECT_EQ(lseek(rd, 0, SEEK_END), 300000);
	EXPECT_EQ(pwrite(wr, "end", 3, 300000), 3);
	MAYBE_SAVE();
	EXPECT_EQ(read(rd, text, 7), 3);
	EXPECT_EQ(text[0], 'e');
	EXPECT_OK(ftruncate(wr, 300000));
}

GUEST_TEST(d_attributes_copy_up)
{
	struct timespec ts[2] = {{1000000000, 0}, {1100000000, 0}};
	struct stat st;

	EXPECT_OK(chmod(data("dir/file3"), 0600));
	EXPECT_OK(utimensat(AT_FDCWD, data("dir/file4"), ts, 0));
	MAYBE_SAVE();
	EXPECT_OK(stat(data("dir/file3"), &st));
	EXPECT_EQ(st.st_mode, S_IFREG | 0600);
	EXPECT_EQ(st.st_size, 19 * 4);
	EXPECT_OK(stat(data("dir/file4"), &st));
	EXPECT_EQ(st.st_mtim.tv_sec, 1100000000);
	EXPECT_EQ(entries("dir"), 21);
}

GUEST_TEST(e_removals)
{
	struct stat st;

	EXPECT_OK(unlink(data("dir/file0")));
	EXPECT_ERRNO(stat(data("dir/file0"), &st), ENOENT);
	EXPECT_ERRNO(unlink(data("dir/file0")), ENOENT);
	EXPECT_EQ(entries("dir"), 20);
	EXPECT_OK(unlink(data("link")));
	EXPECT_OK(rmdir(data("empty")));
	MAYBE_SAVE();
	EXPECT_ERRNO(stat(data("dir/file0"), &st), ENOENT);
	EXPECT_ERRNO(stat(data("empty"), &st), ENOENT);
	EXPECT_ERRNO(rmdir(data("dir")), ENOTEMPTY);
}

GUEST_TEST(f_names_come_back)
{
	struct stat st;
	int fd = ASSERT_OK(open(data("dir/file0"), O_RDWR | O_CREAT | O_EXCL, 0644));

	EXPECT_OK(fstat(fd, &st));
	EXPECT_EQ(st.st_size, 0);
	EXPECT_EQ(write(fd, "new", 3), 3);
	EXPECT_OK(mkdir(data("empty"), 0755));
	EXPECT_EQ(entries("empty"), 0);
	EXPECT_EQ(entries("dir"), 21);
}

GUEST_TEST(g_directory_replaced)
{
	char name[32];

	/* Emptied, removed, made again: nothing of the old shines through. */
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "dir/file%d", i);
		EXPECT_OK(unlink(data(name)));
	}
	EXPECT_OK(unlink(data("dir/sub/deep")));
	EXPECT_OK(rmdir(data("dir/sub")));
	EXPECT_OK(rmdir(data("dir")));
	EXPECT_OK(mkdir(data("dir"), 0755));
	MAYBE_SAVE();
	EXPECT_EQ(entries("dir"), 0);
	EXPECT_ERRNO(open(data("dir/file5"), O_RDONLY), ENOENT);
	EXPECT_ERRNO(opendir(data("dirlink")) ? 0 : -1, ENOENT);
}

GUEST_TEST(h_renames)
{
	struct stat st;

	byte_is("small", 9, pattern(9));
	EXPECT_OK(rename(data("large"), data("dir/moved")));
	EXPECT_ERRNO(stat(data("large"), &st), ENOENT);
	byte_is("dir/moved", 150003, 'n');
	EXPECT_OK(rename(data("small"), data("dir/moved")));
	MAYBE_SAVE();
	EXPECT_OK(stat(data("dir/moved"), &st));
	EXPECT_EQ(st.st_size, 10);
	EXPECT_ERRNO(stat(data("small"), &st), ENOENT);
	byte_is("hardlink", 9, pattern(9));
}

GUEST_TEST(i_truncate_on_open)
{
	int fd = ASSERT_OK(open(data("hardlink"), O_WRONLY | O_TRUNC));
	struct stat st;

	EXPECT_OK(fstat(fd, &st));
	EXPECT_EQ(st.st_size, 0);
	EXPECT_EQ(write(fd, "tail", 4), 4);
	EXPECT_OK(stat(data("hardlink"), &st));
	EXPECT_EQ(st.st_size, 4);
}

GUEST_TEST(j_new_tree)
{
	EXPECT_OK(mkdir(data("x"), 0755));
	EXPECT_OK(mkdir(data("x/y"), 0755));
	guest_write_file(data("x/y/z"), "deep", 0644);
	EXPECT_OK(symlink("x/y/z", data("short")));
	EXPECT_OK(link(data("x/y/z"), data("x/other")));
	MAYBE_SAVE();
	byte_is("short", 3, 'p');
	byte_is("x/other", 0, 'd');
	EXPECT_OK(unlink(data("x/y/z")));
	byte_is("x/other", 0, 'd');
}
