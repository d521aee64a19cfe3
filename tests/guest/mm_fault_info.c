#include "tests/guest/guest_test.h"

#include <setjmp.h>
#include <ucontext.h>

/* siginfo and machine context of memory faults. */

static sigjmp_buf env;
static siginfo_t last;
static ucontext_t ctx;

static void on_fault(int sig, siginfo_t *si, void *uc)
{
	last = *si;
	ctx.uc_mcontext = ((ucontext_t *)uc)->uc_mcontext;
	siglongjmp(env, sig);
}

static void catch_faults(void)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
}

static int load(volatile char *p)
{
	int sig = sigsetjmp(env, 1);

	if (sig == 0)
		(void)*p;
	return sig;
}

static int store(volatile char *p)
{
	int sig = sigsetjmp(env, 1);

	if (sig == 0)
		*p = 1;
	return sig;
}

GUEST_TEST(unmapped)
{
	char *p = guest_map(2 * GUEST_PAGE, 0);

	catch_faults();
	ASSERT_OK(munmap(p, 2 * GUEST_PAGE));
	EXPECT_EQ(load(p + 123), SIGSEGV);
	EXPECT_EQ(last.si_signo, SIGSEGV);
	EXPECT_EQ(last.si_errno, 0);
	EXPECT_EQ(last.si_code, SEGV_MAPERR);
	EXPECT_EQ(last.si_addr, p + 123);
	MAYBE_SAVE();
	EXPECT_EQ(store(p + GUEST_PAGE + 1), SIGSEGV);
	EXPECT_EQ(last.si_code, SEGV_MAPERR);
	EXPECT_EQ(last.si_addr, p + GUEST_PAGE + 1);
}

GUEST_TEST(null_pointer)
{
	catch_faults();
	EXPECT_EQ(load((char *)8), SIGSEGV);
	EXPECT_EQ(last.si_code, SEGV_MAPERR);
	EXPECT_EQ(last.si_addr, 8);
}

GUEST_TEST(context_of_the_fault)
{
	char *p = mmap(NULL, GUEST_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	greg_t *g = ctx.uc_mcontext.gregs;

	catch_faults();
	EXPECT_EQ(store(p + 16), SIGSEGV);
	EXPECT_EQ(g[REG_TRAPNO], 14);
	EXPECT_EQ(g[REG_ERR] & 6, 6); /* write, user */
	EXPECT_EQ(g[REG_CR2], p + 16);
	EXPECT_NE(g[REG_RIP], 0);
	EXPECT_NE(g[REG_RSP], 0);
	ASSERT_OK(munmap(p, GUEST_PAGE));
	EXPECT_EQ(load(p), SIGSEGV);
	EXPECT_EQ(g[REG_ERR] & 6, 4); /* read, user */
}

GUEST_TEST(non_canonical)
{
	catch_faults();
	/* A general protection fault: no address is known. */
	EXPECT_EQ(load((char *)0x8000000000000000), SIGSEGV);
	EXPECT_EQ(last.si_code, SI_KERNEL);
	EXPECT_EQ(last.si_addr, 0);
	EXPECT_EQ(ctx.uc_mcontext.gregs[REG_TRAPNO], 13);
}

GUEST_TEST(kernel_address)
{
	catch_faults();
	EXPECT_EQ(load((char *)0xffffffff80000000), SIGSEGV);
	EXPECT_EQ(last.si_code, SEGV_MAPERR);
	EXPECT_EQ(last.si_addr, 0xffffffff80000000);
	EXPECT_EQ(load((char *)0xffff888000000000), SIGSEGV);
	EXPECT_EQ(last.si_code, SEGV_MAPERR);
}

GUEST_TEST(jump_to_nowhere)
{
	int sig;

	catch_faults();
	sig = sigsetjmp(env, 1);
	if (sig == 0)
		((void (*)(void))0x1000)();
	EXPECT_EQ(sig, SIGSEGV);
	EXPECT_EQ(last.si_code, SEGV_MAPERR);
	EXPECT_EQ(last.si_addr, 0x1000);
	EXPECT_EQ(ctx.uc_mcontext.gregs[REG_RIP], 0x1000);
}

GUEST_TEST(access_across_a_border)
{
	char *p = guest_map(2 * GUEST_PAGE, 0);
	int sig;

	catch_faults();
	ASSERT_OK(mprotect(p + GUEST_PAGE, GUEST_PAGE, PROT_NONE));
	sig = sigsetjmp(env, 1);
	if (sig == 0)
		*(volatile uint64_t *)(p + GUEST_PAGE - 4) = 1;
	EXPECT_EQ(sig, SIGSEGV);
	EXPECT_EQ(last.si_code, SEGV_ACCERR);
	EXPECT_EQ(last.si_addr, p + GUEST_PAGE);
	EXPECT_EQ(p[GUEST_PAGE - 4], 0);
}

static char *fix_page;

static void on_fault_fix(int sig, siginfo_t *si, void *uc)
{
	mprotect(fix_page, GUEST_PAGE, PROT_READ | PROT_WRITE);
}

GUEST_TEST(handler_repairs_and_returns)
{
	struct sigaction sa = {.sa_sigaction = on_fault_fix, .sa_flags = SA_SIGINFO};
	int i;

	fix_page = mmap(NULL, GUEST_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sigaction(SIGSEGV, &sa, NULL);
	for (i = 0; i < 20; i++) {
		((volatile char *)fix_page)[i] = (char)i;
		EXPECT_EQ(fix_page[i], i);
		ASSERT_OK(mprotect(fix_page, GUEST_PAGE, i % 2 ? PROT_READ : PROT_NONE));
		if (i == 10)
			MAYBE_SAVE();
	}
}

GUEST_TEST(blocked_or_ignored_fault_kills)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		sigset_t s;

		catch_faults();
		sigemptyset(&s);
		sigaddset(&s, SIGSEGV);
		sigprocmask(SIG_BLOCK, &s, NULL);
		*(volatile char *)8 = 1;
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 1000 + SIGSEGV);
	pid = guest_fork();
	if (pid == 0) {
		signal(SIGSEGV, SIG_IGN);
		*(volatile char *)8 = 1;
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 1000 + SIGSEGV);
}
