#include "tests/guest/guest_test.h"

#include <dirent.h>
#include <sys/file.h>

/* Open files of all kinds at the moment of a save. */

GUEST_TEST(offsets_and_flags)
{
	enum {
		N = 6
	};
	static const int flags[N] = {O_RDONLY,
	                             O_WRONLY,
	                             O_RDWR,
	                             O_RDWR | O_APPEND,
	                             O_RDWR | O_NONBLOCK,
	                             O_RDONLY | O_CLOEXEC};
	int fd[N];

	guest_write_file(guest_path("f"), "0123456789", 0644);
	for (int i = 0; i < N; i++) {
		fd[i] = ASSERT_OK(open(guest_path("f"), flags[i]));
		ASSERT_EQ(lseek(fd[i], i, SEEK_SET), i);
	}
	MAYBE_SAVE();
	for (int i = 0; i < N; i++) {
		EXPECT_EQ(lseek(fd[i], 0, SEEK_CUR), i);
		EXPECT_EQ(fcntl(fd[i], F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK),
		          flags[i] & ~O_CLOEXEC);
		EXPECT_EQ(fcntl(fd[i], F_GETFD), flags[i] & O_CLOEXEC ? FD_CLOEXEC : 0);
	}
}

GUEST_TEST(shared_descriptions_stay_shared)
{
	int a = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644)), b = dup(a);
	struct guest_gate go;
	pid_t pid;

	guest_gate_init(&go);
	pid = guest_fork();
	if (pid == 0) {
		guest_gate_wait(&go);
		_exit(lseek(a, 0, SEEK_CUR) == 5 && write(b, "child", 5) == 5 ? 0 : 1);
	}
	MAYBE_SAVE();
	EXPECT_EQ(write(a, "first", 5), 5);
	guest_gate_open(&go);
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(lseek(b, 0, SEEK_CUR), 10);
}

GUEST_TEST(directory_in_the_middle)
{
	char name[16];
	struct dirent *e;
	int n = 0;
	DIR *d;

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		guest_write_file(guest_path(name), "", 0644);
	}
	d = opendir(guest_tmp());
	for (int i = 0; i < 10; i++)
		n += readdir(d)->d_name[0] == 'n';
	MAYBE_SAVE();
	while ((e = readdir(d)))
		n += e->d_name[0] == 'n';
	EXPECT_EQ(n, 100);
	closedir(d);
}

GUEST_TEST(unlinked_files_with_names_reused)
{
	int fd[5];
	char c;

	for (int i = 0; i < 5; i++) {
		fd[i] = ASSERT_OK(open(guest_path("same"), O_RDWR | O_CREAT | O_EXCL, 0644));
		c = (char)('a' + i);
		ASSERT_EQ(write(fd[i], &c, 1), 1);
		ASSERT_OK(unlink(guest_path("same")));
	}
	MAYBE_SAVE();
	for (int i = 0; i < 5; i++) {
		EXPECT_EQ(pread(fd[i], &c, 1, 0), 1);
		EXPECT_EQ(c, 'a' + i);
	}
}

GUEST_TEST(renamed_while_open)
{
	int fd = ASSERT_OK(open(guest_path("a"), O_RDWR | O_CREAT, 0644)), dir;
	char link[64], text[300] = "";

	ASSERT_OK(mkdir(guest_path("d"), 0755));
	dir = ASSERT_OK(open(guest_path("d"), O_RDONLY | O_DIRECTORY));
	ASSERT_OK(rename(guest_path("a"), guest_path("d/b")));
	ASSERT_OK(rename(guest_path("d"), guest_path("e")));
	MAYBE_SAVE();
	EXPECT_EQ(write(fd, "x", 1), 1);
	EXPECT_OK(faccessat(dir, "b", R_OK, 0));
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	EXPECT_GT(readlink(link, text, sizeof(text) - 1), 0);
	EXPECT_STREQ(text, guest_path("e/b"));
}

GUEST_TEST(host_files_reopened)
{
	int fd = ASSERT_OK(open(guest_self(), O_RDONLY)), dir = ASSERT_OK(open("/", O_RDONLY));
	char magic[4];

	ASSERT_EQ(lseek(fd, 1, SEEK_SET), 1);
	MAYBE_SAVE();
	EXPECT_EQ(read(fd, magic, 3), 3);
	EXPECT_EQ(memcmp(magic, "ELF", 3), 0);
	EXPECT_OK(faccessat(dir, "proc", R_OK, 0));
}

GUEST_TEST(locks_of_three_kinds)
{
	int a = ASSERT_OK(open(guest_path("l"), O_RDWR | O_CREAT, 0644));
	int b = ASSERT_OK(open(guest_path("l"), O_RDWR));
	struct flock fl = {.l_type = F_WRLCK, .l_start = 10, .l_len = 5};
	struct flock ofd = {.l_type = F_WRLCK, .l_start = 50, .l_len = 5};
	pid_t pid;

	ASSERT_OK(flock(a, LOCK_EX));
	ASSERT_OK(fcntl(a, F_SETLK, &fl));
	ASSERT_OK(fcntl(a, F_OFD_SETLK, &ofd));
	MAYBE_SAVE();
	EXPECT_ERRNO(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	EXPECT_ERRNO(fcntl(b, F_OFD_SETLK, &ofd), EAGAIN);
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_ERRNO(fcntl(b, F_SETLK, &fl), EAGAIN);
		fl.l_start = 15;
		EXPECT_OK(fcntl(b, F_SETLK, &fl));
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(pipes_with_contents)
{
	int fds[8][2];
	char buf[16];

	for (int i = 0; i < 8; i++) {
		ASSERT_OK(pipe(fds[i]));
		memset(buf, 'a' + i, sizeof(buf));
		ASSERT_EQ(write(fds[i][1], buf, (size_t)i + 1), i + 1);
		if (i % 2)
			close(fds[i][1]);
	}
	MAYBE_SAVE();
	for (int i = 0; i < 8; i++) {
		EXPECT_EQ(read(fds[i][0], buf, sizeof(buf)), i + 1);
		EXPECT_EQ(buf[i], 'a' + i);
		if (i % 2)
			EXPECT_EQ(read(fds[i][0], buf, 1), 0);
	}
}

GUEST_TEST(modes_and_times)
{
	struct timespec ts[2] = {{111, 222}, {333, 444}};
	struct stat a, b;

	guest_write_file(guest_path("f"), "12345", 0640);
	ASSERT_OK(chmod(guest_path("f"), 01751));
	ASSERT_OK(utimensat(AT_FDCWD, guest_path("f"), ts, 0));
	ASSERT_OK(stat(guest_path("f"), &a));
	MAYBE_SAVE();
	ASSERT_OK(stat(guest_path("f"), &b));
	EXPECT_EQ(a.st_ino, b.st_ino);
	EXPECT_EQ(a.st_dev, b.st_dev);
	EXPECT_EQ(a.st_mode, b.st_mode);
	EXPECT_EQ(a.st_nlink, b.st_nlink);
	EXPECT_EQ(memcmp(&a.st_mtim, &b.st_mtim, sizeof(a.st_mtim)), 0);
	EXPECT_EQ(memcmp(&a.st_ctim, &b.st_ctim, sizeof(a.st_ctim)), 0);
	EXPECT_EQ(b.st_atim.tv_nsec, 222);
}
