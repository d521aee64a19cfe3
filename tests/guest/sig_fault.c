#include "tests/guest/guest_test.h"

#include <setjmp.h>
#include <ucontext.h>

/* Processor exceptions as signals. */

static sigjmp_buf env;
static siginfo_t last;
static greg_t regs[NGREG];

static void on_fault(int sig, siginfo_t *si, void *uc)
{
	last = *si;
	memcpy(regs, ((ucontext_t *)uc)->uc_mcontext.gregs, sizeof(regs));
	siglongjmp(env, sig);
}

static void catch (int sig)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	sigaction(sig, &sa, NULL);
}

GUEST_TEST(divide_by_zero)
{
	volatile int zero = 0, x = 1;
	int sig;

	catch (SIGFPE);
	sig = sigsetjmp(env, 1);
	if (sig == 0)
		x = x / zero;
	EXPECT_EQ(sig, SIGFPE);
	EXPECT_EQ(last.si_signo, SIGFPE);
	EXPECT_EQ(last.si_code, FPE_INTDIV);
	EXPECT_EQ(last.si_addr, regs[REG_RIP]);
	EXPECT_EQ(regs[REG_TRAPNO], 0);
}

extern char ill_at[], trap_after[], hlt_at[];

GUEST_TEST(illegal_instruction)
{
	int sig;

	catch (SIGILL);
	sig = sigsetjmp(env, 1);
	if (sig == 0)
		__asm__ volatile(".globl ill_at\nill_at: ud2");
	EXPECT_EQ(sig, SIGILL);
	EXPECT_EQ(last.si_code, ILL_ILLOPN);
	EXPECT_EQ(last.si_addr, ill_at);
	EXPECT_EQ(regs[REG_RIP], ill_at);
	EXPECT_EQ(regs[REG_TRAPNO], 6);
	MAYBE_SAVE();
}

GUEST_TEST(breakpoint)
{
	int sig;

	catch (SIGTRAP);
	sig = sigsetjmp(env, 1);
	if (sig == 0)
		__asm__ volatile("int3\n.globl trap_after\ntrap_after: nop");
	EXPECT_EQ(sig, SIGTRAP);
	EXPECT_EQ(last.si_code, SI_KERNEL);
	EXPECT_EQ(regs[REG_RIP], trap_after);
	EXPECT_EQ(regs[REG_TRAPNO], 3);
}

static volatile sig_atomic_t steps;

static void on_step(int sig, siginfo_t *si, void *uc)
{
	greg_t *g = ((ucontext_t *)uc)->uc_mcontext.gregs;

	EXPECT_EQ(si->si_code, TRAP_TRACE);
	if (++steps == 3)
		g[REG_EFL] &= ~0x100l;
}

GUEST_TEST(single_step_flag)
{
	struct sigaction sa = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};

	sigaction(SIGTRAP, &sa, NULL);
	__asm__ volatile("pushfq\n\torq $0x100,(%%rsp)\n\tpopfq\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop"
	                 :
	                 :
	                 : "memory", "cc");
	EXPECT_EQ(steps, 3);
}

GUEST_TEST(privileged_instruction)
{
	int sig;

	catch (SIGSEGV);
	sig = sigsetjmp(env, 1);
	if (sig == 0)
		__asm__ volatile(".globl hlt_at\nhlt_at: hlt");
	EXPECT_EQ(sig, SIGSEGV);
	EXPECT_EQ(last.si_code, SI_KERNEL);
	EXPECT_EQ(last.si_addr, 0);
	EXPECT_EQ(regs[REG_RIP], hlt_at);
	EXPECT_EQ(regs[REG_TRAPNO], 13);
}

GUEST_TEST(float_exception)
{
	volatile double zero = 0.0, x = 1.0;
	unsigned mxcsr, was;
	int sig;

	catch (SIGFPE);
	__asm__ volatile("stmxcsr %0" : "=m"(was));
	mxcsr = was & ~0x200u; /* unmask division by zero */
	sig = sigsetjmp(env, 1);
	if (sig == 0) {
		__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
		x = x / zero;
	}
	__asm__ volatile("ldmxcsr %0" : : "m"(was));
	EXPECT_EQ(sig, SIGFPE);
	EXPECT_EQ(last.si_code, FPE_FLTDIV);
	EXPECT_EQ(regs[REG_TRAPNO], 19);
}

GUEST_TEST(sent_faults_look_sent)
{
	catch (SIGSEGV);
	if (sigsetjmp(env, 1) == 0)
		raise(SIGSEGV);
	EXPECT_EQ(last.si_code, SI_TKILL);
	EXPECT_EQ(last.si_pid, getpid());
	catch (SIGFPE);
	if (sigsetjmp(env, 1) == 0)
		kill(getpid(), SIGFPE);
	EXPECT_EQ(last.si_code, SI_USER);
}

GUEST_TEST(default_actions)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		__asm__ volatile("ud2");
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 1000 + SIGILL);
	pid = guest_fork();
	if (pid == 0) {
		__asm__ volatile("int3");
		_exit(0);
	}
	EXPECT_EQ(guest_reap(pid), 1000 + SIGTRAP);
}

GUEST_TEST(unknown_system_call)
{
	EXPECT_ERRNO(syscall(100000), ENOSYS);
	EXPECT_ERRNO(syscall(-1), ENOSYS);
	EXPECT_ERRNO(syscall(4095), ENOSYS);
}
