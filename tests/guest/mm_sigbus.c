#include "tests/guest/guest_test.h"

#include <setjmp.h>

/* Accesses behind the end of a mapped file. */

static sigjmp_buf env;
static siginfo_t last;

static void on_fault(int sig, siginfo_t *si, void *uc)
{
	last = *si;
	siglongjmp(env, sig);
}

static int touch(volatile char *p, bool write)
{
	int sig = sigsetjmp(env, 1);

	if (sig == 0) {
		if (write)
			*p = 1;
		else
			(void)*p;
	}
	return sig;
}

static char *mapped_file(int *ret_fd, int file_pages, int map_pages, int flags)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	int fd = ASSERT_OK(open(guest_path("f"), O_RDWR | O_CREAT, 0644));
	char *p;

	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	ASSERT_OK(ftruncate(fd, file_pages * (off_t)GUEST_PAGE));
	p = mmap(NULL, map_pages * GUEST_PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
	ASSERT_TRUE(p != MAP_FAILED);
	*ret_fd = fd;
	return p;
}

GUEST_TEST(behind_the_end)
{
	int fd;
	char *p = mapped_file(&fd, 1, 3, MAP_SHARED);

	EXPECT_EQ(touch(p + 10, true), 0);
	MAYBE_SAVE();
	EXPECT_EQ(touch(p + GUEST_PAGE + 8, false), SIGBUS);
	EXPECT_EQ(last.si_signo, SIGBUS);
	EXPECT_EQ(last.si_code, BUS_ADRERR);
	EXPECT_EQ(last.si_addr, p + GUEST_PAGE + 8);
	EXPECT_EQ(touch(p + 2 * GUEST_PAGE, true), SIGBUS);
}

GUEST_TEST(private_too)
{
	int fd;
	char *p = mapped_file(&fd, 1, 2, MAP_PRIVATE);

	EXPECT_EQ(touch(p, true), 0);
	EXPECT_EQ(touch(p + GUEST_PAGE, true), SIGBUS);
	EXPECT_EQ(touch(p + GUEST_PAGE, false), SIGBUS);
}

GUEST_TEST(truncated_while_mapped)
{
	int fd;
	char *p = mapped_file(&fd, 4, 4, MAP_SHARED);

	for (int i = 0; i < 4; i++)
		p[i * GUEST_PAGE] = (char)('a' + i);
	ASSERT_OK(ftruncate(fd, 2 * GUEST_PAGE));
	EXPECT_EQ(touch(p + GUEST_PAGE, false), 0);
	EXPECT_EQ(touch(p + 2 * GUEST_PAGE, false), SIGBUS);
	EXPECT_EQ(touch(p + 3 * GUEST_PAGE, true), SIGBUS);
	MAYBE_SAVE();
	EXPECT_EQ(touch(p + 3 * GUEST_PAGE, true), SIGBUS);
	/* Made longer again, it is zero. */
	ASSERT_OK(ftruncate(fd, 4 * GUEST_PAGE));
	EXPECT_EQ(touch(p + 3 * GUEST_PAGE, false), 0);
	EXPECT_EQ(p[3 * GUEST_PAGE], 0);
	EXPECT_EQ(p[GUEST_PAGE], 'b');
}

GUEST_TEST(truncated_inside_a_page)
{
	int fd;
	char *p = mapped_file(&fd, 1, 1, MAP_SHARED);

	memset(p, 'x', GUEST_PAGE);
	ASSERT_OK(ftruncate(fd, 10));
	EXPECT_EQ(p[9], 'x');
	EXPECT_EQ(p[10], 0);
	EXPECT_EQ(p[GUEST_PAGE - 1], 0);
}

GUEST_TEST(private_copies_go_too)
{
	int fd;
	char *p = mapped_file(&fd, 2, 2, MAP_PRIVATE);

	p[GUEST_PAGE] = 'c';
	ASSERT_OK(ftruncate(fd, GUEST_PAGE));
	EXPECT_EQ(touch(p + GUEST_PAGE, false), SIGBUS);
	ASSERT_OK(ftruncate(fd, 2 * GUEST_PAGE));
	EXPECT_EQ(touch(p + GUEST_PAGE, false), 0);
	EXPECT_EQ(p[GUEST_PAGE], 0);
}

GUEST_TEST(the_kernel_gets_efault)
{
	int fd, fds[2];
	char *p = mapped_file(&fd, 1, 2, MAP_SHARED);

	ASSERT_OK(pipe(fds));
	EXPECT_ERRNO(write(fds[1], p + GUEST_PAGE, 10), EFAULT);
	ASSERT_EQ(write(fds[1], "0123456789", 10), 10);
	EXPECT_ERRNO(read(fds[0], p + GUEST_PAGE, 10), EFAULT);
	EXPECT_ERRNO(stat(p + GUEST_PAGE, (struct stat *)p), EFAULT);
}

GUEST_TEST(default_action_is_death)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		int fd;
		char *p = mapped_file(&fd, 0, 1, MAP_SHARED);

		signal(SIGBUS, SIG_DFL);
		*(volatile char *)p = 1;
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 1000 + SIGBUS);
}
