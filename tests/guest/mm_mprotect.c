#include "tests/guest/guest_test.h"

#include <setjmp.h>

/* mprotect: what faults afterwards, splitting and merging, errors. */

static sigjmp_buf env;
static volatile siginfo_t last;

static void on_fault(int sig, siginfo_t *si, void *uc)
{
	*(siginfo_t *)&last = *si;
	siglongjmp(env, sig);
}

static void catch_faults(void)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
}

static int try_read(volatile char *p)
{
	int sig = sigsetjmp(env, 1);

	if (sig == 0)
		(void)*p;
	return sig;
}

static int try_write(volatile char *p)
{
	int sig = sigsetjmp(env, 1);

	if (sig == 0)
		*p = 'w';
	return sig;
}

GUEST_TEST(none_read_write)
{
	char *p = guest_map(3 * GUEST_PAGE, 0);

	catch_faults();
	p[0] = 'a';
	ASSERT_OK(mprotect(p, GUEST_PAGE, PROT_NONE));
	MAYBE_SAVE();
	EXPECT_EQ(try_read(p), SIGSEGV);
	EXPECT_EQ(last.si_code, SEGV_ACCERR);
	EXPECT_EQ(last.si_addr, p);
	EXPECT_EQ(try_write(p + GUEST_PAGE), 0);
	ASSERT_OK(mprotect(p, GUEST_PAGE, PROT_READ));
	EXPECT_EQ(try_read(p), 0);
	EXPECT_EQ(try_write(p + 5), SIGSEGV);
	EXPECT_EQ(last.si_addr, p + 5);
	EXPECT_EQ(last.si_code, SEGV_ACCERR);
	ASSERT_OK(mprotect(p, GUEST_PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(try_write(p + 5), 0);
	EXPECT_EQ(p[0], 'a');
}

GUEST_TEST(every_second_page)
{
	enum {
		N = 64
	};
	char *p = guest_map(N * GUEST_PAGE, 0);

	catch_faults();
	memset(p, 'x', N * GUEST_PAGE);
	for (int i = 0; i < N; i += 2)
		ASSERT_OK(mprotect(p + i * GUEST_PAGE, GUEST_PAGE, PROT_READ));
	MAYBE_SAVE();
	for (int i = 0; i < N; i++) {
		EXPECT_EQ(try_write(p + i * GUEST_PAGE), i % 2 ? 0 : SIGSEGV);
		EXPECT_EQ(try_read(p + i * GUEST_PAGE), 0);
	}
	ASSERT_OK(mprotect(p, N * GUEST_PAGE, PROT_READ | PROT_WRITE));
	for (int i = 0; i < N; i++)
		EXPECT_EQ(try_write(p + i * GUEST_PAGE), 0);
}

GUEST_TEST(write_implies_read)
{
	char *p = mmap(NULL, GUEST_PAGE, PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	catch_faults();
	ASSERT_TRUE(p != MAP_FAILED);
	EXPECT_EQ(try_write(p), 0);
	EXPECT_EQ(try_read(p), 0);
}

GUEST_TEST(no_exec)
{
	unsigned char *p = guest_map(GUEST_PAGE, 0);
	int sig;

	catch_faults();
	p[0] = 0xc3; /* ret */
	sig = sigsetjmp(env, 1);
	if (sig == 0)
		((void (*)(void))(uintptr_t)p)();
	EXPECT_EQ(sig, SIGSEGV);
	EXPECT_EQ(last.si_code, SEGV_ACCERR);
	EXPECT_EQ(last.si_addr, p);
	ASSERT_OK(mprotect(p, GUEST_PAGE, PROT_READ | PROT_EXEC));
	MAYBE_SAVE();
	((void (*)(void))(uintptr_t)p)();
}

GUEST_TEST(errors)
{
	char *p = guest_map(4 * GUEST_PAGE, 0);

	catch_faults();
	EXPECT_ERRNO(mprotect(p + 1, GUEST_PAGE, PROT_READ), EINVAL);
	EXPECT_ERRNO(mprotect(p, GUEST_PAGE, 0x40), EINVAL);
	EXPECT_OK(mprotect(p, 0, PROT_READ));
	EXPECT_OK(mprotect(p, 1, PROT_READ));
	EXPECT_EQ(try_write(p + 100), SIGSEGV);
	ASSERT_OK(munmap(p + 2 * GUEST_PAGE, GUEST_PAGE));
	EXPECT_ERRNO(mprotect(p, 4 * GUEST_PAGE, PROT_NONE), ENOMEM);
	/* What lies before the hole has been changed. */
	EXPECT_EQ(try_read(p + GUEST_PAGE), SIGSEGV);
	EXPECT_ERRNO(mprotect((void *)(1ul << 46), GUEST_PAGE, PROT_READ), ENOMEM);
}

GUEST_TEST(private_file_may_become_writable)
{
	const char *path = guest_path("f");
	char text[16], *p;
	int fd;

	catch_faults();
	guest_write_file(path, "file text", 0644);
	fd = ASSERT_OK(open(path, O_RDONLY));
	p = mmap(NULL, GUEST_PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	ASSERT_TRUE(p != MAP_FAILED);
	EXPECT_EQ(try_write(p), SIGSEGV);
	ASSERT_OK(mprotect(p, GUEST_PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(try_write(p), 0);
	EXPECT_EQ(memcmp(p, "wile text", 9), 0);
	EXPECT_GE(guest_read_file(path, text, sizeof(text)), 0);
	EXPECT_STREQ(text, "file text");
}

GUEST_TEST(protection_is_per_process)
{
	char *p = guest_map(GUEST_PAGE, 0);
	pid_t pid;

	catch_faults();
	p[0] = 1;
	pid = guest_fork();
	if (pid == 0) {
		ASSERT_OK(mprotect(p, GUEST_PAGE, PROT_NONE));
		EXPECT_EQ(try_read(p), SIGSEGV);
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 0);
	EXPECT_EQ(try_write(p), 0);
}
