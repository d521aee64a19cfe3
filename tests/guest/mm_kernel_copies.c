#include "tests/guest/guest_test.h"

#include <sys/uio.h>
#include <sys/utsname.h>

/* The kernel as reader and writer of user memory: borders, untouched pages, copy-on-write. */

static int fds[2];

GUEST_TEST(read_into_untouched_pages)
{
	char *p = guest_map(20 * GUEST_PAGE, 0), *src = guest_map(20 * GUEST_PAGE, 0);

	memset(src, 'k', 20 * GUEST_PAGE);
	ASSERT_OK(pipe(fds));
	ASSERT_EQ(write(fds[1], src, 15 * GUEST_PAGE), 15 * GUEST_PAGE);
	EXPECT_EQ(read(fds[0], p + 100, 15 * GUEST_PAGE), 15 * GUEST_PAGE);
	MAYBE_SAVE();
	EXPECT_EQ(p[99], 0);
	EXPECT_EQ(p[100], 'k');
	EXPECT_EQ(p[15 * GUEST_PAGE + 99], 'k');
	EXPECT_EQ(p[15 * GUEST_PAGE + 100], 0);
}

GUEST_TEST(write_from_untouched_pages)
{
	char *p = guest_map(4 * GUEST_PAGE, 0), buf[16];

	ASSERT_OK(pipe(fds));
	memset(buf, 'x', sizeof(buf));
	EXPECT_EQ(write(fds[1], p + GUEST_PAGE - 5, 10), 10);
	EXPECT_EQ(read(fds[0], buf, 16), 10);
	for (int i = 0; i < 10; i++)
		EXPECT_EQ(buf[i], 0);
	EXPECT_EQ(buf[10], 'x');
}

GUEST_TEST(structures_across_a_border)
{
	char *p = guest_map(2 * GUEST_PAGE, 0);

	for (size_t back = 1; back < sizeof(struct stat); back += 13) {
		struct stat *st = (void *)(p + GUEST_PAGE - back), good;

		ASSERT_OK(stat("/dev/null", &good));
		EXPECT_OK(syscall(SYS_stat, "/dev/null", st));
		EXPECT_EQ(memcmp(&good.st_rdev, (char *)st + offsetof(struct stat, st_rdev), 8), 0);
	}
	EXPECT_OK(syscall(SYS_uname, p + GUEST_PAGE - 100));
	EXPECT_STREQ(p + GUEST_PAGE - 100, "Linux");
}

GUEST_TEST(breaks_sharing_after_fork)
{
	struct utsname *u = guest_map(GUEST_PAGE, 0);
	pid_t pid;

	strcpy(u->sysname, "untouched");
	pid = guest_fork();
	if (pid == 0) {
		EXPECT_OK(uname(u));
		EXPECT_STREQ(u->sysname, "Linux");
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_STREQ(u->sysname, "untouched");
	pid = guest_fork();
	if (pid == 0) {
		guest_sleep_ms(5);
		EXPECT_STREQ(u->sysname, "untouched");
		_exit(0);
	}
	EXPECT_OK(uname(u));
	EXPECT_EQ(guest_reap(pid), 0);
}

GUEST_TEST(many_small_pieces)
{
	enum {
		N = 1024
	};
	static struct iovec iov[N];
	char *p = guest_map(64 * GUEST_PAGE, 0), *q = guest_map(GUEST_PAGE, 0);
	int fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));

	for (int i = 0; i < N; i++) {
		iov[i].iov_base = p + i * 250;
		iov[i].iov_len = (size_t)(i % 4);
		memset(iov[i].iov_base, i, 4);
	}
	EXPECT_EQ(writev(fd, iov, N), N / 4 * 6);
	EXPECT_EQ(pread(fd, q, GUEST_PAGE, 0), N / 4 * 6);
	EXPECT_EQ((unsigned char)q[0], 1);
	EXPECT_EQ((unsigned char)q[1], 2);
	EXPECT_EQ((unsigned char)q[2], 2);
	EXPECT_EQ((unsigned char)q[5], 3);
}

GUEST_TEST(self_modifying_arguments)
{
	/* The path lies in the buffer that the result overwrites. */
	union {
		char path[256];
		struct stat st;
	} u;

	strcpy(u.path, "/dev/null");
	EXPECT_OK(syscall(SYS_stat, u.path, &u.st));
	EXPECT_TRUE(S_ISCHR(u.st.st_mode));
	ASSERT_OK(pipe(fds));
	strcpy(u.path, "shift me");
	ASSERT_EQ(write(fds[1], u.path, 9), 9);
	EXPECT_EQ(read(fds[0], u.path + 1, 9), 9);
	EXPECT_STREQ(u.path, "sshift me");
}

GUEST_TEST(other_process_memory)
{
	char *p = guest_map(2 * GUEST_PAGE, 0), buf[32] = "";
	struct iovec local = {buf, 10}, remote = {p + GUEST_PAGE - 5, 10};
	struct guest_gate g;
	ssize_t n;
	pid_t pid;

	guest_gate_init(&g);
	memcpy(p + GUEST_PAGE - 5, "0123456789", 10);
	pid = guest_fork();
	if (pid == 0) {
		guest_gate_wait(&g);
		_exit(p[GUEST_PAGE] == 'W' ? 0 : 1);
	}
	n = process_vm_readv(pid, &local, 1, &remote, 1, 0);
	if (n < 0 && (errno == ENOSYS || errno == EPERM)) {
		kill(pid, SIGKILL);
		guest_reap(pid);
		SKIP("no process_vm_readv");
	}
	EXPECT_EQ(n, 10);
	EXPECT_EQ(memcmp(buf, "0123456789", 10), 0);
	buf[5] = 'W';
	EXPECT_EQ(process_vm_writev(pid, &local, 1, &remote, 1, 0), 10);
	EXPECT_EQ(p[GUEST_PAGE], '5');
	guest_gate_open(&g);
	EXPECT_EQ(guest_reap(pid), 0);
}
