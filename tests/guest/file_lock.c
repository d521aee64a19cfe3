#include "tests/guest/guest_test.h"

#include <pthread.h>
#include <sys/file.h>

/* flock, POSIX record locks, open file description locks. */

static int fd_of(void)
{
	return ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));
}

static struct flock range(short type, off_t start, off_t len)
{
	struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

	return fl;
}

static int set(int fd, int cmd, short type, off_t start, off_t len)
{
	struct flock fl = range(type, start, len);

	return fcntl(fd, cmd, &fl);
}

GUEST_TEST(flock_of_descriptions)
{
	int a = fd_of(), b = fd_of(), c = dup(a);

	EXPECT_OK(flock(a, LOCK_EX));
	EXPECT_ERRNO(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	EXPECT_ERRNO(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	EXPECT_OK(flock(c, LOCK_EX | LOCK_NB)); /* the same description */
	MAYBE_SAVE();
	EXPECT_ERRNO(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	EXPECT_OK(flock(a, LOCK_SH)); /* converted */
	EXPECT_OK(flock(b, LOCK_SH | LOCK_NB));
	close(a);
	EXPECT_ERRNO(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK); /* c still holds it */
	close(c);
	EXPECT_OK(flock(b, LOCK_EX | LOCK_NB));
	EXPECT_OK(flock(b, LOCK_UN));
	EXPECT_ERRNO(flock(b, 0x55), EINVAL);
	EXPECT_ERRNO(flock(777, LOCK_EX), EBADF);
}

GUEST_TEST(flock_blocks_until_exit)
{
	struct guest_gate ready, go;
	int fd = fd_of();
	pid_t pid;

	guest_gate_init(&ready);
	guest_gate_init(&go);
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_OK(flock(fd_of(), LOCK_EX));
		guest_gate_open(&ready);
		guest_gate_wait(&go);
		_exit(0);
	}
	guest_gate_wait(&ready);
	EXPECT_ERRNO(flock(fd, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	MAYBE_SAVE();
	guest_gate_open(&go);
	EXPECT_OK(flock(fd, LOCK_SH));
	EXPECT_EQ(guest_reap(pid), 0);
}

/* Tries a lock in a child; 0 or the errno. */
static int try_in_child(short type, off_t start, off_t len)
{
	pid_t pid = guest_fork();

	if (pid == 0)
		_exit(set(fd_of(), F_SETLK, type, start, len) < 0 ? errno : 0);
	return guest_reap(pid);
}

GUEST_TEST(posix_ranges)
{
	int fd = fd_of();

	EXPECT_OK(set(fd, F_SETLK, F_WRLCK, 10, 10));
	EXPECT_OK(set(fd, F_SETLK, F_RDLCK, 30, 10));
	EXPECT_EQ(try_in_child(F_WRLCK, 0, 10), 0);
	EXPECT_EQ(try_in_child(F_WRLCK, 0, 11), EAGAIN);
	EXPECT_EQ(try_in_child(F_RDLCK, 19, 1), EAGAIN);
	EXPECT_EQ(try_in_child(F_WRLCK, 20, 10), 0);
	EXPECT_EQ(try_in_child(F_RDLCK, 30, 100), 0);
	MAYBE_SAVE();
	EXPECT_EQ(try_in_child(F_WRLCK, 35, 1), EAGAIN);
	EXPECT_EQ(try_in_child(F_WRLCK, 0, 0), EAGAIN);
	/* A hole punched into a lock, and the lock's type changed in the middle. */
	EXPECT_OK(set(fd, F_SETLK, F_UNLCK, 13, 4));
	EXPECT_EQ(try_in_child(F_WRLCK, 13, 4), 0);
	EXPECT_EQ(try_in_child(F_WRLCK, 12, 1), EAGAIN);
	EXPECT_EQ(try_in_child(F_WRLCK, 17, 1), EAGAIN);
	EXPECT_OK(set(fd, F_SETLK, F_WRLCK, 33, 2));
	EXPECT_EQ(try_in_child(F_RDLCK, 33, 1), EAGAIN);
	EXPECT_EQ(try_in_child(F_RDLCK, 35, 1), 0);
}

static void query(void *arg)
{
	struct flock fl = range(F_WRLCK, 0, 0);
	pid_t owner = *(pid_t *)arg;

	EXPECT_OK(fcntl(fd_of(), F_GETLK, &fl));
	EXPECT_EQ(fl.l_type, F_WRLCK);
	EXPECT_EQ(fl.l_pid, owner);
	EXPECT_EQ(fl.l_start, 100);
	EXPECT_EQ(fl.l_len, 50);
	EXPECT_EQ(fl.l_whence, SEEK_SET);
	fl = range(F_RDLCK, 0, 100);
	EXPECT_OK(fcntl(fd_of(), F_GETLK, &fl));
	EXPECT_EQ(fl.l_type, F_UNLCK);
}

GUEST_TEST(posix_query)
{
	pid_t self = getpid();
	struct flock fl = range(F_WRLCK, 0, 0);
	int fd = fd_of();

	EXPECT_OK(set(fd, F_SETLK, F_WRLCK, 100, 50));
	/* Own locks never conflict. */
	EXPECT_OK(fcntl(fd, F_GETLK, &fl));
	EXPECT_EQ(fl.l_type, F_UNLCK);
	MAYBE_SAVE();
	EXPECT_EQ(guest_in_child(query, &self), 0);
}

GUEST_TEST(posix_whence)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_start = -5, .l_len = 5};
	int fd = fd_of();

	ASSERT_OK(ftruncate(fd, 100));
	lseek(fd, 20, SEEK_SET);
	EXPECT_OK(fcntl(fd, F_SETLK, &fl));
	EXPECT_EQ(try_in_child(F_WRLCK, 15, 5), EAGAIN);
	EXPECT_EQ(try_in_child(F_WRLCK, 20, 1), 0);
	fl.l_whence = SEEK_END;
	fl.l_start = 0;
	fl.l_len = -10; /* the bytes before the start */
	EXPECT_OK(fcntl(fd, F_SETLK, &fl));
	EXPECT_EQ(try_in_child(F_WRLCK, 90, 1), EAGAIN);
	EXPECT_EQ(try_in_child(F_WRLCK, 100, 1), 0);
	fl.l_start = -200;
	EXPECT_ERRNO(fcntl(fd, F_SETLK, &fl), EINVAL);
	fl.l_whence = 9;
	EXPECT_ERRNO(fcntl(fd, F_SETLK, &fl), EINVAL);
}

GUEST_TEST(posix_closing_any_descriptor_releases)
{
	int a = fd_of(), b = fd_of();

	EXPECT_OK(set(a, F_SETLK, F_WRLCK, 0, 0));
	EXPECT_EQ(try_in_child(F_WRLCK, 0, 1), EAGAIN);
	close(b);
	EXPECT_EQ(try_in_child(F_WRLCK, 0, 1), 0);
}

GUEST_TEST(posix_not_inherited)
{
	pid_t pid;
	int fd = fd_of();

	EXPECT_OK(set(fd, F_SETLK, F_WRLCK, 0, 0));
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_ERRNO(set(fd, F_SETLK, F_WRLCK, 0, 0), EAGAIN);
		close(fd); /* and does not release the parent's */
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(try_in_child(F_WRLCK, 0, 0), EAGAIN);
}

GUEST_TEST(posix_blocking)
{
	struct guest_gate ready, go;
	int fd = fd_of();
	pid_t pid;

	guest_gate_init(&ready);
	guest_gate_init(&go);
	EXPECT_OK(set(fd, F_SETLK, F_WRLCK, 0, 10));
	pid = guest_fork();
	if (pid == 0) {
		int own = fd_of();

		guest_gate_open(&ready);
		EXPECT_OK(set(own, F_SETLKW, F_WRLCK, 5, 10));
		_exit(0);
	}
	guest_gate_wait(&ready);
	guest_wait_blocked(pid);
	MAYBE_SAVE();
	EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
	EXPECT_OK(set(fd, F_SETLK, F_UNLCK, 0, 8));
	EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
	EXPECT_OK(set(fd, F_SETLK, F_UNLCK, 0, 0));
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(posix_deadlock)
{
	struct guest_gate ready;
	int fd = fd_of();
	pid_t pid;

	guest_gate_init(&ready);
	EXPECT_OK(set(fd, F_SETLK, F_WRLCK, 0, 1));
	pid = guest_fork();
	if (pid == 0) {
		int own = fd_of();

		EXPECT_OK(set(own, F_SETLK, F_WRLCK, 1, 1));
		guest_gate_open(&ready);
		_exit(set(own, F_SETLKW, F_WRLCK, 0, 1) < 0 ? errno : 0);
	}
	guest_gate_wait(&ready);
	/* Until the child sleeps there is no deadlock, only a conflict. */
	guest_wait_blocked(pid);
	guest_sleep_ms(20);
	MAYBE_SAVE();
	/* Who closes the circle is told; after a load both begin their waits anew. */
	if (set(fd, F_SETLKW, F_WRLCK, 1, 1) < 0) {
		EXPECT_EQ(errno, EDEADLK);
		EXPECT_OK(set(fd, F_SETLK, F_UNLCK, 0, 1));
		EXPECT_EQ(guest_reap(pid), 0);
	} else {
		EXPECT_EQ(guest_reap(pid), EDEADLK);
	}
}

GUEST_TEST(posix_needs_the_right_mode)
{
	int rd, wr;

	fd_of();
	rd = ASSERT_OK(open(guest_path("f"), O_RDONLY));
	wr = ASSERT_OK(open(guest_path("f"), O_WRONLY));
	EXPECT_ERRNO(set(rd, F_SETLK, F_WRLCK, 0, 1), EBADF);
	EXPECT_ERRNO(set(wr, F_SETLK, F_RDLCK, 0, 1), EBADF);
	EXPECT_OK(set(rd, F_SETLK, F_RDLCK, 0, 1));
	EXPECT_ERRNO(set(rd, F_SETLK, 17, 0, 1), EINVAL);
}

GUEST_TEST(ofd_locks)
{
	int a = fd_of(), b = fd_of();
	struct flock fl = range(F_WRLCK, 0, 1);

	EXPECT_OK(set(a, F_OFD_SETLK, F_WRLCK, 0, 10));
	EXPECT_ERRNO(set(b, F_OFD_SETLK, F_WRLCK, 5, 1), EAGAIN);
	EXPECT_OK(set(b, F_OFD_SETLK, F_WRLCK, 10, 1));
	EXPECT_EQ(try_in_child(F_WRLCK, 0, 1), EAGAIN);
	MAYBE_SAVE();
	EXPECT_OK(fcntl(b, F_OFD_GETLK, &fl));
	EXPECT_EQ(fl.l_type, F_WRLCK);
	EXPECT_EQ(fl.l_pid, -1);
	/* They belong to the description: closing another one does nothing. */
	close(fd_of());
	EXPECT_ERRNO(set(b, F_OFD_SETLK, F_WRLCK, 5, 1), EAGAIN);
	fl.l_pid = 1;
	EXPECT_ERRNO(fcntl(a, F_OFD_SETLK, &fl), EINVAL);
	close(a);
	EXPECT_OK(set(b, F_OFD_SETLK, F_WRLCK, 5, 1));
}

static void *lock_thread(void *arg)
{
	EXPECT_OK(set(*(int *)arg, F_OFD_SETLKW, F_WRLCK, 0, 0));
	return NULL;
}

GUEST_TEST(ofd_between_threads)
{
	int a = fd_of(), b = fd_of();
	pthread_t t;

	EXPECT_OK(set(a, F_OFD_SETLK, F_WRLCK, 0, 0));
	ASSERT_EQ(pthread_create(&t, NULL, lock_thread, &b), 0);
	guest_sleep_ms(5);
	MAYBE_SAVE();
	EXPECT_NE(pthread_tryjoin_np(t, NULL), 0);
	EXPECT_OK(set(a, F_OFD_SETLK, F_UNLCK, 0, 0));
	pthread_join(t, NULL);
}

GUEST_TEST(kinds_do_not_see_each_other)
{
	int a = fd_of(), b = fd_of();

	EXPECT_OK(flock(a, LOCK_EX));
	EXPECT_OK(set(b, F_OFD_SETLK, F_WRLCK, 0, 0));
	EXPECT_EQ(try_in_child(F_WRLCK, 0, 0), EAGAIN);
	EXPECT_OK(flock(a, LOCK_UN));
}

/* The lines of /proc/self/fdinfo/FD that begin with "lock:", without device and inode. */
static void lock_lines(int fd, char *out, size_t size)
{
	static char text[4096];
	char path[64], *line, *save;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	ASSERT_GE(guest_read_file(path, text, sizeof(text)), 0);
	out[0] = 0;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char kind[16], what[16];
		int n, pid, end = 0;
		size_t at = strlen(out);

		if (strncmp(line, "lock:", 5) != 0)
			continue;
		ASSERT_EQ(sscanf(line, "lock:\t%d: %15s ADVISORY %15s %d %*x:%*x:%*u %n", &n, kind,
		                 what, &pid, &end),
		          4);
		EXPECT_EQ(pid, strcmp(kind, "OFDLCK") == 0 ? -1 : getpid());
		ASSERT_TRUE(end > 0);
		snprintf(out + at, size - at, "%d %s %s %s;", n, kind, what, line + end);
	}
}

GUEST_TEST(fdinfo_shows_locks)
{
	int a = fd_of(), b = fd_of();
	char text[256];

	lock_lines(a, text, sizeof(text));
	EXPECT_STREQ(text, "");
	EXPECT_OK(flock(a, LOCK_SH));
	EXPECT_OK(set(a, F_SETLK, F_WRLCK, 10, 5));
	EXPECT_OK(set(b, F_OFD_SETLK, F_RDLCK, 100, 0));
	MAYBE_SAVE();
	lock_lines(a, text, sizeof(text));
	EXPECT_STREQ(text, "1 FLOCK READ 0 EOF;2 POSIX WRITE 10 14;");
	lock_lines(b, text, sizeof(text));
	EXPECT_TRUE(strstr(text, "OFDLCK READ 100 EOF;") != NULL);
	EXPECT_TRUE(strstr(text, "FLOCK") == NULL);
}
