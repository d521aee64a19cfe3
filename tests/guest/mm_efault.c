#include "tests/guest/guest_test.h"

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/utsname.h>

/* Bad user pointers give -EFAULT, whatever the call. */

static char *bad; /* PROT_NONE */
static char *ro;  /* read-only */

static void setup(void)
{
	bad = mmap(NULL, 2 * GUEST_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ro = mmap(NULL, 2 * GUEST_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

#define RAW(name, ...) syscall(SYS_##name, __VA_ARGS__)

GUEST_TEST(outputs)
{
	void *const where[] = {NULL, (void *)8, (void *)(1ul << 50), (void *)-8l};
	int fds[2];

	setup();
	ASSERT_OK(pipe(fds));
	ASSERT_EQ(write(fds[1], "x", 1), 1);
	for (size_t i = 0; i < GUEST_COUNT(where) + 2; i++) {
		void *p = i < GUEST_COUNT(where) ? where[i] : i == GUEST_COUNT(where) ? bad : ro;

		EXPECT_ERRNO(RAW(uname, p), EFAULT);
		EXPECT_ERRNO(RAW(sysinfo, p), EFAULT);
		EXPECT_ERRNO(RAW(stat, "/", p), EFAULT);
		EXPECT_ERRNO(RAW(fstat, 0, p), EFAULT);
		EXPECT_ERRNO(RAW(statfs, "/", p), EFAULT);
		EXPECT_ERRNO(RAW(getrlimit, RLIMIT_STACK, p), EFAULT);
		EXPECT_ERRNO(RAW(getrusage, RUSAGE_SELF, p), EFAULT);
		EXPECT_ERRNO(RAW(pipe, p), EFAULT);
		EXPECT_ERRNO(RAW(getcwd, p, 100), EFAULT);
		EXPECT_ERRNO(RAW(read, fds[0], p, 1), EFAULT);
		EXPECT_ERRNO(RAW(clock_gettime, CLOCK_REALTIME, p), EFAULT);
		EXPECT_ERRNO(RAW(getitimer, ITIMER_REAL, p), EFAULT);
		EXPECT_ERRNO(RAW(readlink, "/proc/self/exe", p, 10), EFAULT);
		EXPECT_ERRNO(RAW(sched_getaffinity, 0, 128, p), EFAULT);
	}
	/* The byte is still in the pipe. */
	EXPECT_EQ(read(fds[0], fds, 1), 1);
}

GUEST_TEST(inputs)
{
	void *const where[] = {NULL, (void *)8, (void *)(1ul << 50), (void *)-8l};
	int fds[2], ep = epoll_create1(0);

	setup();
	ASSERT_OK(pipe(fds));
	for (size_t i = 0; i < GUEST_COUNT(where) + 1; i++) {
		void *p = i < GUEST_COUNT(where) ? where[i] : bad;

		EXPECT_ERRNO(RAW(write, fds[1], p, 1), EFAULT);
		EXPECT_ERRNO(RAW(open, p, O_RDONLY), EFAULT);
		EXPECT_ERRNO(RAW(access, p, 0), EFAULT);
		EXPECT_ERRNO(RAW(mkdir, p, 0700), EFAULT);
		EXPECT_ERRNO(RAW(unlink, p), EFAULT);
		EXPECT_ERRNO(RAW(rename, p, "/x"), EFAULT);
		EXPECT_ERRNO(RAW(chdir, p), EFAULT);
		EXPECT_ERRNO(RAW(execve, p, NULL, NULL), EFAULT);
		EXPECT_ERRNO(RAW(nanosleep, p, NULL), EFAULT);
		EXPECT_ERRNO(RAW(poll, p, 1, 0), EFAULT);
		EXPECT_ERRNO(RAW(writev, fds[1], p, 1), EFAULT);
		EXPECT_ERRNO(RAW(setrlimit, RLIMIT_CORE, p), EFAULT);
		EXPECT_ERRNO(RAW(epoll_ctl, ep, EPOLL_CTL_ADD, fds[0], p), EFAULT);
		EXPECT_ERRNO(RAW(futex, p, 0, 0, NULL, NULL, 0), EFAULT);
	}
}

GUEST_TEST(partial_buffers)
{
	char *p = guest_map(2 * GUEST_PAGE, 0);
	char buf[64];
	int fds[2];

	ASSERT_OK(mprotect(p + GUEST_PAGE, GUEST_PAGE, PROT_NONE));
	memset(p, 'x', GUEST_PAGE);
	ASSERT_OK(pipe(fds));
	/* A path that runs into the bad page without a NUL. */
	EXPECT_ERRNO(open(p + GUEST_PAGE - 10, O_RDONLY), EFAULT);
	/* A path that ends just before it is fine. */
	p[GUEST_PAGE - 1] = 0;
	EXPECT_ERRNO(open(p + GUEST_PAGE - 10, O_RDONLY), ENOENT);
	/* A read that the file's end cuts short never gets to the bad page. */
	ASSERT_EQ(write(fds[1], "abc", 3), 3);
	EXPECT_EQ(read(fds[0], p + GUEST_PAGE - 10, 100), 3);
	MAYBE_SAVE();
	EXPECT_ERRNO(read(999, buf, 10), EBADF);
}

GUEST_TEST(vectors)
{
	char good[8];
	struct iovec iov[2] = {{good, 8}, {(void *)8, 8}};
	int fds[2];

	setup();
	ASSERT_OK(pipe(fds));
	EXPECT_ERRNO(readv(fds[0], (void *)8, 2), EFAULT);
	iov[0].iov_base = bad;
	iov[1].iov_base = good;
	EXPECT_ERRNO(writev(fds[1], iov, 2), EFAULT);
	iov[0].iov_len = (size_t)-1;
	EXPECT_ERRNO(writev(fds[1], iov, 2), EINVAL);
	EXPECT_ERRNO(writev(fds[1], iov, -1), EINVAL);
	EXPECT_ERRNO(writev(fds[1], iov, 1025), EINVAL);
	EXPECT_EQ(writev(fds[1], NULL, 0), 0);
}

GUEST_TEST(zero_lengths_do_not_look)
{
	int fd = ASSERT_OK(open("/dev/null", O_RDWR));

	EXPECT_EQ(write(fd, NULL, 0), 0);
	EXPECT_EQ(read(fd, NULL, 0), 0);
	EXPECT_EQ(RAW(poll, NULL, 0, 0), 0);
}

GUEST_TEST(signals)
{
	setup();
	EXPECT_ERRNO(RAW(rt_sigaction, SIGUSR1, (void *)8, NULL, 8), EFAULT);
	EXPECT_ERRNO(RAW(rt_sigaction, SIGUSR1, NULL, ro, 8), EFAULT);
	EXPECT_ERRNO(RAW(rt_sigprocmask, SIG_BLOCK, (void *)8, NULL, 8), EFAULT);
	EXPECT_ERRNO(RAW(rt_sigprocmask, SIG_BLOCK, NULL, ro, 8), EFAULT);
	EXPECT_ERRNO(RAW(rt_sigpending, ro, 8), EFAULT);
	EXPECT_ERRNO(RAW(rt_sigsuspend, bad, 8), EFAULT);
	EXPECT_ERRNO(RAW(sigaltstack, bad, NULL), EFAULT);
	EXPECT_ERRNO(RAW(rt_sigtimedwait, bad, NULL, NULL, 8), EFAULT);
	EXPECT_ERRNO(RAW(rt_sigqueueinfo, getpid(), SIGUSR1, bad), EFAULT);
}

GUEST_TEST(wait_status)
{
	pid_t pid = guest_fork();

	setup();
	if (pid == 0)
		_exit(3);
	/* The child is reaped although its status can't be told. */
	EXPECT_ERRNO(RAW(wait4, pid, ro, 0, NULL), EFAULT);
	EXPECT_ERRNO(RAW(wait4, pid, NULL, 0, NULL), ECHILD);
}
