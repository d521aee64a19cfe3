#include "tests/guest/guest_test.h"

#include <setjmp.h>
#include <ucontext.h>

/* The frame: what a handler sees in the ucontext, what it may change, nesting, longjmp out. */

static volatile sig_atomic_t hits;

static void skip_ud2(int sig, siginfo_t *si, void *uc)
{
	greg_t *g = ((ucontext_t *)uc)->uc_mcontext.gregs;

	hits++;
	g[REG_RIP] += 2;
	g[REG_RBX] = 0x1234;
	g[REG_R12] += 1;
	g[REG_EFL] |= 1; /* carry */
	MAYBE_SAVE();
}

GUEST_TEST(changed_registers_take_effect)
{
	struct sigaction sa = {.sa_sigaction = skip_ud2, .sa_flags = SA_SIGINFO};
	unsigned long rbx = 0, r12 = 0x4141;
	unsigned char carry = 0;

	sigaction(SIGILL, &sa, NULL);
	__asm__ volatile("mov %3,%%r12\n\tclc\n\tud2\n\tsetc %2\n\tmov %%rbx,%0\n\tmov %%r12,%1"
	                 : "=&r"(rbx), "=&r"(r12), "=&q"(carry)
	                 : "r"(r12)
	                 : "rbx", "r12", "cc");
	EXPECT_EQ(hits, 1);
	EXPECT_EQ(rbx, 0x1234);
	EXPECT_EQ(r12, 0x4142);
	EXPECT_EQ(carry, 1);
}

static void clobber(int sig)
{
	hits++;
	__asm__ volatile("xor %%eax,%%eax\n\txor %%ecx,%%ecx\n\txor %%edx,%%edx\n\t"
	                 "xor %%esi,%%esi\n\txor %%edi,%%edi\n\txor %%r8d,%%r8d\n\t"
	                 "xor %%r9d,%%r9d\n\txor %%r10d,%%r10d\n\txor %%r11d,%%r11d\n\tstd\n\tcld"
	                 :
	                 :
	                 : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "cc");
}

GUEST_TEST(all_registers_survive)
{
	unsigned long out[9];
	struct sigaction sa = {.sa_handler = clobber};
	pid_t pid = getpid();

	sigaction(SIGUSR1, &sa, NULL);
	/* kill(pid, SIGUSR1); every register but rax, rcx and r11 is as before. */
	__asm__ volatile("mov $0x11,%%r8\n\tmov $0x12,%%r9\n\tmov $0x13,%%r10\n\t"
	                 "mov $0x14,%%rdx\n\tmov $0x15,%%r13\n\tmov $0x16,%%r14\n\t"
	                 "syscall\n\t"
	                 "mov %%r8,0(%2)\n\tmov %%r9,8(%2)\n\tmov %%r10,16(%2)\n\t"
	                 "mov %%rdx,24(%2)\n\tmov %%r13,32(%2)\n\tmov %%r14,40(%2)\n\t"
	                 "mov %%rdi,48(%2)\n\tmov %%rsi,56(%2)\n\tmov %%rax,64(%2)"
	                 :
	                 : "a"((long)SYS_kill), "D"((long)pid), "b"(out), "S"((long)SIGUSR1)
	                 : "rcx", "r11", "r8", "r9", "r10", "rdx", "r13", "r14", "memory");
	EXPECT_EQ(hits, 1);
	for (int i = 0; i < 6; i++)
		EXPECT_EQ(out[i], 0x11 + i);
	EXPECT_EQ(out[6], pid);
	EXPECT_EQ(out[7], SIGUSR1);
	EXPECT_EQ(out[8], 0);
}

static void red_zone_handler(int sig)
{
	volatile char fill[512];

	for (size_t i = 0; i < sizeof(fill); i++)
		fill[i] = (char)0xee;
	hits++;
}

GUEST_TEST(red_zone_is_kept)
{
	unsigned long got;

	signal(SIGILL, red_zone_handler);
	signal(SIGUSR1, red_zone_handler);
	__asm__ volatile("movq $0x5a5a,-128(%%rsp)\n\tsyscall\n\tmov -128(%%rsp),%0"
	                 : "=r"(got)
	                 : "a"((long)SYS_kill), "D"((long)getpid()), "S"((long)SIGUSR1)
	                 : "rcx", "r11", "memory");
	EXPECT_EQ(got, 0x5a5a);
	EXPECT_EQ(hits, 1);
}

static volatile uintptr_t frame_sp;

static __attribute__((naked)) void aligned_handler(int sig)
{
	__asm__ volatile("mov %rsp,%rax\n\tmov %rax,frame_sp(%rip)\n\tret");
}

GUEST_TEST(stack_alignment)
{
	signal(SIGUSR1, aligned_handler);
	for (int i = 0; i < 4; i++) {
		volatile char pad[8 * 4];

		pad[i] = 1;
		raise(SIGUSR1);
		EXPECT_EQ(pad[i], 1);
		/* As after a call instruction. */
		EXPECT_EQ((frame_sp + 8) % 16, 0);
	}
}

static sigset_t in_frame;

static void change_mask(int sig, siginfo_t *si, void *uc)
{
	ucontext_t *c = uc;

	in_frame = c->uc_sigmask;
	sigaddset(&c->uc_sigmask, SIGUSR2);
}

GUEST_TEST(mask_in_the_frame)
{
	struct sigaction sa = {.sa_sigaction = change_mask, .sa_flags = SA_SIGINFO};
	sigset_t got;

	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	EXPECT_FALSE(sigismember(&in_frame, SIGUSR1));
	sigprocmask(SIG_BLOCK, NULL, &got);
	EXPECT_TRUE(sigismember(&got, SIGUSR2));
	EXPECT_FALSE(sigismember(&got, SIGUSR1));
}

static sigjmp_buf env;

static void jump_out(int sig)
{
	hits++;
	siglongjmp(env, hits);
}

GUEST_TEST(longjmp_many_times)
{
	signal(SIGUSR1, jump_out);
	if (sigsetjmp(env, 1) < 200) {
		if (hits == 100)
			MAYBE_SAVE();
		raise(SIGUSR1);
		EXPECT_TRUE(false);
	}
	EXPECT_EQ(hits, 200);
}

GUEST_TEST(longjmp_out_of_a_blocked_call)
{
	sigset_t set;
	pid_t pid;
	int fds[2];
	char c;

	ASSERT_OK(pipe(fds));
	signal(SIGUSR1, jump_out);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	pid = guest_pester(SIGUSR1);
	if (sigsetjmp(env, 1) == 0) {
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		read(fds[0], &c, 1);
		EXPECT_TRUE(false);
	}
	/* Blocked again: the jump brought the mask back. */
	guest_pester_end(pid);
	/* Nothing is left of the read. */
	EXPECT_EQ(write(fds[1], "x", 1), 1);
	EXPECT_EQ(read(fds[0], &c, 1), 1);
}

static volatile int nest;

static void nesting(int sig)
{
	if (sig < SIGRTMIN + 10) {
		nest++;
		raise(sig + 1);
		nest--;
	} else {
		EXPECT_EQ(nest, 10);
		MAYBE_SAVE();
	}
	hits++;
}

GUEST_TEST(ten_frames_deep)
{
	for (int i = 0; i <= 10; i++)
		signal(SIGRTMIN + i, nesting);
	raise(SIGRTMIN);
	EXPECT_EQ(hits, 11);
	EXPECT_EQ(nest, 0);
}

static ucontext_t main_ctx, other_ctx;
static char other_stack[65536];
static volatile int switches;

static void other(void)
{
	for (int i = 0; i < 5; i++) {
		switches++;
		swapcontext(&other_ctx, &main_ctx);
	}
}

GUEST_TEST(user_contexts)
{
	getcontext(&other_ctx);
	other_ctx.uc_stack.ss_sp = other_stack;
	other_ctx.uc_stack.ss_size = sizeof(other_stack);
	other_ctx.uc_link = &main_ctx;
	makecontext(&other_ctx, other, 0);
	for (int i = 0; i < 5; i++) {
		swapcontext(&main_ctx, &other_ctx);
		EXPECT_EQ(switches, i + 1);
		if (i == 2)
			MAYBE_SAVE();
	}
}

GUEST_TEST(bad_frame_kills)
{
	pid_t pid = guest_fork();

	if (pid == 0) {
		/* sigreturn with no frame: the stack pointer points at nothing. */
		__asm__ volatile("mov $0x1000,%%rsp\n\tmov $15,%%eax\n\tsyscall" ::: "memory");
		__builtin_unreachable();
	}
	EXPECT_EQ(guest_reap(pid), 1000 + SIGSEGV);
}
