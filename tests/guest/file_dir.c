#include "tests/guest/guest_test.h"

#include <dirent.h>

/* Directories: making, removing, reading, the current one. */

GUEST_TEST(mkdir_and_rmdir)
{
	struct stat st;

	EXPECT_OK(mkdir(guest_path("d"), 0751));
	EXPECT_OK(stat(guest_path("d"), &st));
	EXPECT_EQ(st.st_mode, S_IFDIR | 0751);
	EXPECT_ERRNO(mkdir(guest_path("d"), 0755), EEXIST);
	EXPECT_OK(mkdir(guest_path("d/trailing/"), 0755));
	EXPECT_ERRNO(mkdir(guest_path("none/x"), 0755), ENOENT);
	guest_write_file(guest_path("f"), "", 0644);
	EXPECT_ERRNO(mkdir(guest_path("f"), 0755), EEXIST);
	EXPECT_ERRNO(mkdir(guest_path("f/x"), 0755), ENOTDIR);
	EXPECT_ERRNO(rmdir(guest_path("d")), ENOTEMPTY);
	EXPECT_ERRNO(rmdir(guest_path("f")), ENOTDIR);
	EXPECT_ERRNO(rmdir(guest_path("d/trailing/.")), EINVAL);
	EXPECT_ERRNO(rmdir(guest_path("d/trailing/..")), ENOTEMPTY);
	MAYBE_SAVE();
	EXPECT_OK(rmdir(guest_path("d/trailing/")));
	EXPECT_OK(rmdir(guest_path("d")));
	EXPECT_ERRNO(rmdir(guest_path("d")), ENOENT);
	EXPECT_ERRNO(mkdir("/", 0755), EEXIST);
	EXPECT_TRUE(rmdir("/") < 0);
}

static int count_entries(const char *path, int *ret_dots)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int n = 0;

	*ret_dots = 0;
	ASSERT_TRUE(d != NULL);
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			(*ret_dots)++;
		else
			n++;
	}
	closedir(d);
	return n;
}

GUEST_TEST(types_and_inodes)
{
	struct dirent *e;
	struct stat st;
	int seen = 0, dots;
	DIR *d;

	guest_write_file(guest_path("file"), "", 0644);
	ASSERT_OK(mkdir(guest_path("dir"), 0755));
	ASSERT_OK(symlink("x", guest_path("link")));
	ASSERT_OK(mkfifo(guest_path("fifo"), 0644));
	EXPECT_EQ(count_entries(guest_tmp(), &dots), 4);
	EXPECT_EQ(dots, 2);
	d = opendir(guest_tmp());
	while ((e = readdir(d))) {
		EXPECT_OK(lstat(guest_path(e->d_name), &st));
		if (e->d_name[0] != '.')
			EXPECT_EQ(e->d_ino, st.st_ino);
		EXPECT_EQ(e->d_type, IFTODT(st.st_mode));
		seen++;
	}
	EXPECT_EQ(seen, 6);
	closedir(d);
}

GUEST_TEST(many_entries)
{
	enum {
		N = 400
	};
	static bool found[N];
	char name[32];
	struct dirent *e;
	int total = 0;
	DIR *d;

	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "entry-with-a-name-%d", i);
		close(ASSERT_OK(open(guest_path(name), O_CREAT | O_WRONLY, 0644)));
	}
	d = opendir(guest_tmp());
	ASSERT_TRUE(d != NULL);
	while ((e = readdir(d))) {
		if (sscanf(e->d_name, "entry-with-a-name-%d", &total) == 1) {
			EXPECT_FALSE(found[total]);
			found[total] = true;
			if (total == N / 2)
				MAYBE_SAVE();
		}
	}
	for (int i = 0; i < N; i++)
		EXPECT_TRUE(found[i]);
	closedir(d);
}

GUEST_TEST(removing_while_reading)
{
	struct dirent *e;
	char name[16];
	int left, dots;
	DIR *d;

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		close(ASSERT_OK(open(guest_path(name), O_CREAT | O_WRONLY, 0644)));
	}
	/* What `rm -r` does: every entry is seen although earlier ones are gone. */
	d = opendir(guest_tmp());
	while ((e = readdir(d)))
		if (e->d_name[0] == 'f')
			EXPECT_OK(unlink(guest_path(e->d_name)));
	closedir(d);
	left = count_entries(guest_tmp(), &dots);
	EXPECT_EQ(left, 0);
}

GUEST_TEST(rewind_and_seek)
{
	struct dirent *e;
	char fifth[256] = "", name[16];
	long at = 0;
	DIR *d;

	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		guest_write_file(guest_path(name), "", 0644);
	}
	d = opendir(guest_tmp());
	for (int i = 0; i < 5; i++) {
		at = telldir(d);
		e = readdir(d);
		ASSERT_TRUE(e != NULL);
		strcpy(fifth, e->d_name);
	}
	readdir(d);
	MAYBE_SAVE();
	seekdir(d, at);
	e = readdir(d);
	ASSERT_TRUE(e != NULL);
	EXPECT_STREQ(e->d_name, fifth);
	rewinddir(d);
	guest_write_file(guest_path("late"), "", 0644);
	rewinddir(d);
	for (at = 0; readdir(d); at++)
		;
	EXPECT_EQ(at, 23);
	closedir(d);
}

GUEST_TEST(getdents_errors)
{
	char buf[512];
	int fd = ASSERT_OK(open(guest_tmp(), O_RDONLY | O_DIRECTORY));
	int f = ASSERT_OK(open("/dev/null", O_RDONLY));

	EXPECT_ERRNO(syscall(SYS_getdents64, fd, buf, 10), EINVAL);
	EXPECT_ERRNO(syscall(SYS_getdents64, f, buf, 512), ENOTDIR);
	EXPECT_ERRNO(syscall(SYS_getdents64, fd, 8, 512), EFAULT);
	EXPECT_GT(syscall(SYS_getdents64, fd, buf, 512), 0);
	EXPECT_EQ(syscall(SYS_getdents64, fd, buf, 512), 0);
	EXPECT_EQ(lseek(fd, 0, SEEK_SET), 0);
	EXPECT_GT(syscall(SYS_getdents64, fd, buf, 512), 0);
}

GUEST_TEST(removed_directory)
{
	char cwd[64], buf[512];
	struct stat st;
	int fd;

	ASSERT_OK(mkdir(guest_path("d"), 0755));
	ASSERT_OK(chdir(guest_path("d")));
	fd = ASSERT_OK(open(".", O_RDONLY | O_DIRECTORY));
	EXPECT_OK(rmdir(guest_path("d")));
	MAYBE_SAVE();
	EXPECT_EQ(getcwd(cwd, sizeof(cwd)), 0);
	EXPECT_EQ(errno, ENOENT);
	EXPECT_ERRNO(open("x", O_CREAT | O_WRONLY, 0644), ENOENT);
	EXPECT_ERRNO(mkdir("x", 0755), ENOENT);
	EXPECT_OK(stat(".", &st));
	EXPECT_EQ(st.st_nlink, 0);
	EXPECT_EQ(syscall(SYS_getdents64, fd, buf, 512), -1);
	EXPECT_OK(chdir("/"));
}

GUEST_TEST(current_directory)
{
	char cwd[4096], tiny[3];
	int fd = ASSERT_OK(open("/", O_RDONLY | O_DIRECTORY));

	ASSERT_OK(mkdir(guest_path("d"), 0755));
	ASSERT_OK(chdir(guest_path("d")));
	EXPECT_EQ(syscall(SYS_getcwd, cwd, sizeof(cwd)), strlen(guest_path("d")) + 1);
	EXPECT_STREQ(cwd, guest_path("d"));
	MAYBE_SAVE();
	EXPECT_OK(chdir(".."));
	EXPECT_TRUE(getcwd(cwd, sizeof(cwd)) != NULL);
	EXPECT_STREQ(cwd, guest_tmp());
	EXPECT_ERRNO(syscall(SYS_getcwd, tiny, 3), ERANGE);
	EXPECT_OK(fchdir(fd));
	EXPECT_EQ(syscall(SYS_getcwd, cwd, sizeof(cwd)), 2);
	EXPECT_OK(chdir("../../.."));
	EXPECT_STREQ(getcwd(cwd, sizeof(cwd)), "/");
	EXPECT_ERRNO(chdir("/does/not/exist"), ENOENT);
	EXPECT_ERRNO(chdir("/proc/self/exe"), ENOTDIR);
	EXPECT_ERRNO(chdir(""), ENOENT);
	EXPECT_ERRNO(fchdir(777), EBADF);
	fd = ASSERT_OK(open("/dev/null", O_RDONLY));
	EXPECT_ERRNO(fchdir(fd), ENOTDIR);
}

GUEST_TEST(deep_path)
{
	char path[8192] = "", cwd[8192];
	int depth = 0;

	ASSERT_OK(chdir(guest_tmp()));
	for (; depth < 60; depth++) {
		ASSERT_OK(mkdir("a-directory-name-of-some-length", 0755));
		ASSERT_OK(chdir("a-directory-name-of-some-length"));
	}
	EXPECT_TRUE(getcwd(cwd, sizeof(cwd)) != NULL);
	EXPECT_GE(strlen(cwd), 60 * 32);
	MAYBE_SAVE();
	for (int i = 0; i < 60; i++)
		strcat(path, "../");
	EXPECT_OK(chdir(path));
	EXPECT_STREQ(getcwd(cwd, sizeof(cwd)), guest_tmp());
}

GUEST_TEST(link_count)
{
	struct stat st;

	ASSERT_OK(mkdir(guest_path("d"), 0755));
	ASSERT_OK(stat(guest_path("d"), &st));
	EXPECT_TRUE(st.st_nlink == 2 || st.st_nlink == 1);
	if (st.st_nlink == 2) {
		ASSERT_OK(mkdir(guest_path("d/e"), 0755));
		ASSERT_OK(stat(guest_path("d"), &st));
		EXPECT_EQ(st.st_nlink, 3);
		ASSERT_OK(rmdir(guest_path("d/e")));
		ASSERT_OK(stat(guest_path("d"), &st));
		EXPECT_EQ(st.st_nlink, 2);
	}
}
