#include "tests/guest/guest_test.h"

#include <sys/eventfd.h>
#include <sys/file.h>

/* Descriptors passed through fork and exec: what is shared stays shared. */

static char num[4][16];

static int exec_role(const char *role, int a, int b)
{
	char *argv[] = {(char *)"x", (char *)role, num[0], num[1], NULL};
	pid_t pid = guest_fork();

	if (pid == 0) {
		snprintf(num[0], sizeof(num[0]), "%d", a);
		snprintf(num[1], sizeof(num[1]), "%d", b);
		execv(guest_self(), argv);
		_exit(100);
	}
	return guest_reap(pid);
}

GUEST_ROLE(writer)
{
	return write(atoi(argv[2]), "exec", 4) == 4 ? 0 : 1;
}

GUEST_TEST(offset_through_exec)
{
	int fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));
	char text[32];

	ASSERT_EQ(write(fd, "one ", 4), 4);
	EXPECT_EQ(exec_role("role:writer", fd, 0), 0);
	MAYBE_SAVE();
	ASSERT_EQ(write(fd, " two", 4), 4);
	EXPECT_EQ(guest_read_file(guest_path("f"), text, sizeof(text)), 12);
	EXPECT_STREQ(text, "one exec two");
}

GUEST_TEST(pipe_through_exec)
{
	int fds[2];
	char buf[8];

	ASSERT_OK(pipe(fds));
	EXPECT_EQ(exec_role("role:writer", fds[1], 0), 0);
	EXPECT_EQ(read(fds[0], buf, 8), 4);
	EXPECT_EQ(memcmp(buf, "exec", 4), 0);
}

GUEST_ROLE(adder)
{
	return eventfd_write(atoi(argv[2]), 5) == 0 ? 0 : 1;
}

GUEST_TEST(eventfd_through_exec)
{
	int fd = ASSERT_OK(eventfd(1, 0));
	eventfd_t v;

	EXPECT_EQ(exec_role("role:adder", fd, 0), 0);
	MAYBE_SAVE();
	EXPECT_OK(eventfd_read(fd, &v));
	EXPECT_EQ(v, 6);
}

GUEST_ROLE(holds_flock)
{
	/* The lock came along with the description: taking it again succeeds. */
	return flock(atoi(argv[2]), LOCK_EX | LOCK_NB) == 0 ? 0 : 1;
}

GUEST_TEST(flock_through_exec)
{
	int fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));
	int other = ASSERT_OK(open(guest_path("f"), O_RDWR));

	ASSERT_OK(flock(fd, LOCK_EX));
	EXPECT_EQ(exec_role("role:holds_flock", fd, 0), 0);
	EXPECT_ERRNO(flock(other, LOCK_EX | LOCK_NB), EWOULDBLOCK);
}

GUEST_ROLE(posix_lock_kept)
{
	struct flock fl = {.l_type = F_WRLCK};
	pid_t pid = fork();

	if (pid == 0)
		_exit(fcntl(atoi(argv[2]), F_SETLK, &fl) < 0 ? 0 : 1);
	return guest_reap(pid);
}

GUEST_TEST(posix_lock_through_exec)
{
	char *argv[] = {(char *)"x", (char *)"role:posix_lock_kept", num[0], NULL};
	int fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));
	struct flock fl = {.l_type = F_WRLCK};
	pid_t pid = guest_fork();

	if (pid == 0) {
		fcntl(fd, F_SETLK, &fl);
		snprintf(num[0], sizeof(num[0]), "%d", fd);
		execv(guest_self(), argv);
		_exit(100);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_OK(fcntl(fd, F_SETLK, &fl));
}

GUEST_ROLE(directory)
{
	return openat(atoi(argv[2]), "inside", O_RDONLY) >= 0 && fchdir(atoi(argv[2])) == 0 ? 0 : 1;
}

GUEST_TEST(directory_through_exec)
{
	int fd = ASSERT_OK(open(guest_tmp(), O_RDONLY | O_DIRECTORY));

	guest_write_file(guest_path("inside"), "", 0644);
	EXPECT_EQ(exec_role("role:directory", fd, 0), 0);
}

GUEST_ROLE(closed_stdin)
{
	return fcntl(0, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDONLY) == 0 ? 0 : 1;
}

GUEST_TEST(closed_standard_input)
{
	char *argv[] = {(char *)"role:closed_stdin", NULL};
	pid_t pid = guest_fork();

	if (pid == 0) {
		close(0);
		execv(guest_self(), argv);
		_exit(100);
	}
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_ROLE(unlinked)
{
	char buf[8];

	return pread(atoi(argv[2]), buf, 8, 0) == 4 && memcmp(buf, "data", 4) == 0 ? 0 : 1;
}

GUEST_TEST(unlinked_file_through_exec)
{
	int fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));

	ASSERT_EQ(write(fd, "data", 4), 4);
	ASSERT_OK(unlink(guest_path("f")));
	MAYBE_SAVE();
	EXPECT_EQ(exec_role("role:unlinked", fd, 0), 0);
}
