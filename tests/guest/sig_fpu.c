#include "tests/guest/guest_test.h"

#include <cpuid.h>
#include <ucontext.h>

/* FP and vector state over handlers, system calls, forks and saves. */

static volatile sig_atomic_t hits;

static bool has_avx(void)
{
	unsigned a, b, c, d, lo, hi;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 27)) || !(c & (1u << 28)))
		return false;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (lo & 6) == 6;
}

static bool has_avx512(void)
{
	unsigned a, b, c, d, lo, hi;

	if (!has_avx() || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & (1u << 16)))
		return false;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (lo & 0xe6) == 0xe6;
}

static void spoil(int sig)
{
	unsigned mxcsr = 0x1f80 | 0x6000; /* round to zero */
	unsigned short cw = 0x37f | 0xc00;

	hits++;
	__asm__ volatile("pxor %%xmm0,%%xmm0\n\tpxor %%xmm1,%%xmm1\n\tpxor %%xmm7,%%xmm7\n\t"
	                 "pxor %%xmm15,%%xmm15\n\tldmxcsr %0\n\tfninit\n\tfldpi\n\tfldcw %1"
	                 :
	                 : "m"(mxcsr), "m"(cw)
	                 : "xmm0", "xmm1", "xmm7", "xmm15");
	MAYBE_SAVE();
}

static void kill_keeping_vectors(long nr, long a, long b)
{
	__asm__ volatile("syscall" : "+a"(nr) : "D"(a), "S"(b) : "rcx", "r11", "memory");
}

GUEST_TEST(sse_and_x87)
{
	uint64_t in[8] = {1, 2, 3, 4, 5, 6, 7, 8}, out[8];
	unsigned mxcsr = 0x3f80, mx_out; /* round down */
	unsigned short cw = 0x37f | 0x400, cw_out;
	double pi4;

	signal(SIGUSR1, spoil);
	__asm__ volatile("movdqu 0(%[i]),%%xmm0\n\tmovdqu 16(%[i]),%%xmm1\n\t"
	                 "movdqu 32(%[i]),%%xmm7\n\tmovdqu 48(%[i]),%%xmm15\n\t"
	                 "ldmxcsr %[m]\n\tfninit\n\tfldcw %[c]\n\tfldln2\n\tfld1\n\t"
	                 "mov $62,%%eax\n\tmov %[p],%%edi\n\tmov $10,%%esi\n\tsyscall\n\t"
	                 "movdqu %%xmm0,0(%[o])\n\tmovdqu %%xmm1,16(%[o])\n\t"
	                 "movdqu %%xmm7,32(%[o])\n\tmovdqu %%xmm15,48(%[o])\n\t"
	                 "stmxcsr %[mo]\n\tfnstcw %[co]\n\tfaddp\n\tfstpl %[pi]\n\tfninit"
	                 : [mo] "=m"(mx_out), [co] "=m"(cw_out), [pi] "=m"(pi4)
	                 : [i] "r"(in), [o] "r"(out), [m] "m"(mxcsr), [c] "m"(cw), [p] "r"(getpid())
	                 : "rax", "rcx", "rdi", "rsi", "r11", "xmm0", "xmm1", "xmm7", "xmm15",
	                   "memory");
	mxcsr = 0x1f80;
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	EXPECT_EQ(hits, 1);
	EXPECT_EQ(memcmp(in, out, sizeof(in)), 0);
	EXPECT_EQ(mx_out & ~0x3fu, 0x3f80);
	EXPECT_EQ(cw_out, cw);
	EXPECT_TRUE(pi4 > 1.69 && pi4 < 1.70);
}

__attribute__((target("avx"))) static void spoil_avx(int sig)
{
	hits++;
	__asm__ volatile("vzeroall" ::: "memory");
	MAYBE_SAVE();
}

__attribute__((target("avx"))) static void avx_round(long nr, long a, long b)
{
	uint64_t in[8] = {11, 12, 13, 14, 15, 16, 17, 18}, out[8];

	__asm__ volatile("vmovdqu 0(%1),%%ymm3\n\tvmovdqu 32(%1),%%ymm14\n\tsyscall\n\t"
	                 "vmovdqu %%ymm3,0(%2)\n\tvmovdqu %%ymm14,32(%2)\n\tvzeroupper"
	                 : "+a"(nr)
	                 : "r"(in), "r"(out), "D"(a), "S"(b)
	                 : "rcx", "r11", "xmm3", "xmm14", "memory");
	EXPECT_EQ(memcmp(in, out, sizeof(in)), 0);
}

GUEST_TEST(avx)
{
	if (!has_avx())
		SKIP("no AVX");
	signal(SIGUSR1, spoil_avx);
	avx_round(SYS_kill, getpid(), SIGUSR1);
	EXPECT_EQ(hits, 1);
	avx_round(SYS_getppid, 0, 0);
	avx_round(SYS_sched_yield, 0, 0);
	avx_round(SYS_init_module, 0, 0);
}

__attribute__((target("avx512f"))) static void avx512_round(long nr, long a, long b)
{
	uint64_t in[16], out[16], k = 0xa5a5, kout;

	for (int i = 0; i < 16; i++)
		in[i] = (uint64_t)i * 0x101010101;
	__asm__ volatile("vmovdqu64 0(%2),%%zmm5\n\tvmovdqu64 64(%2),%%zmm29\n\t"
	                 "kmovw %k6,%%k3\n\tsyscall\n\t"
	                 "vmovdqu64 %%zmm5,0(%3)\n\tvmovdqu64 %%zmm29,64(%3)\n\tkmovw %%k3,%k1\n\t"
	                 "vzeroupper"
	                 : "+a"(nr), "=&r"(kout)
	                 : "r"(in), "r"(out), "D"(a), "S"(b), "r"(k)
	                 : "rcx", "r11", "xmm5", "memory");
	EXPECT_EQ(memcmp(in, out, sizeof(in)), 0);
	EXPECT_EQ(kout & 0xffff, 0xa5a5);
}

GUEST_TEST(avx512)
{
	if (!has_avx512())
		SKIP("no AVX-512");
	signal(SIGUSR1, spoil_avx);
	avx512_round(SYS_kill, getpid(), SIGUSR1);
	EXPECT_EQ(hits, 1);
	avx512_round(SYS_getppid, 0, 0);
	avx512_round(SYS_init_module, 0, 0);
}

static void edit_xmm(int sig, siginfo_t *si, void *uc)
{
	ucontext_t *c = uc;

	hits++;
	ASSERT_TRUE(c->uc_mcontext.fpregs != NULL);
	EXPECT_EQ((uintptr_t)c->uc_mcontext.fpregs % 64, 0);
	EXPECT_EQ(c->uc_mcontext.fpregs->_xmm[2].element[0], 0x1111);
	c->uc_mcontext.fpregs->_xmm[2].element[0] = 0x2222;
	/* The software-reserved bytes announce the extended state. */
	EXPECT_EQ(((uint32_t *)c->uc_mcontext.fpregs)[464 / 4], 0x46505853);
}

GUEST_TEST(state_in_the_frame)
{
	struct sigaction sa = {.sa_sigaction = edit_xmm, .sa_flags = SA_SIGINFO};
	uint32_t in[4] = {0x1111, 2, 3, 4}, out[4];

	sigaction(SIGUSR1, &sa, NULL);
	__asm__ volatile("movdqu (%0),%%xmm2\n\tmov $62,%%eax\n\tmov %2,%%edi\n\tmov $10,%%esi\n\t"
	                 "syscall\n\tmovdqu %%xmm2,(%1)"
	                 :
	                 : "r"(in), "r"(out), "r"(getpid())
	                 : "rax", "rcx", "rdi", "rsi", "r11", "xmm2", "memory");
	EXPECT_EQ(hits, 1);
	EXPECT_EQ(out[0], 0x2222);
	EXPECT_EQ(out[3], 4);
}

GUEST_TEST(clean_state_in_a_program)
{
	/* A fresh process image starts with the default control words. */
	unsigned mxcsr = 0;
	unsigned short cw = 0;

	__asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(cw));
	EXPECT_EQ(mxcsr & 0xffc0, 0x1f80);
	EXPECT_EQ(cw, 0x37f);
}

static uint64_t entry_xmm[2];
static unsigned entry_mxcsr;

static void look_at_entry(int sig)
{
	__asm__ volatile("movdqu %%xmm11,%0\n\tstmxcsr %1" : "=m"(entry_xmm), "=m"(entry_mxcsr));
}

GUEST_TEST(handlers_start_clean)
{
	uint64_t in[2] = {0xabc, 0xdef}, out[2];
	unsigned odd = 0x7f80, mxcsr = 0;

	signal(SIGUSR1, look_at_entry);
	entry_xmm[0] = ~0ull;
	__asm__ volatile("ldmxcsr %4\n\tmovdqu (%0),%%xmm11\n\tmov $62,%%eax\n\tmov %2,%%edi\n\t"
	                 "mov $10,%%esi\n\tsyscall\n\tmovdqu %%xmm11,(%1)\n\tstmxcsr %3"
	                 :
	                 : "r"(in), "r"(out), "r"(getpid()), "m"(mxcsr), "m"(odd)
	                 : "rax", "rcx", "rdi", "rsi", "r11", "xmm11", "memory");
	EXPECT_EQ(entry_xmm[0], 0);
	EXPECT_EQ(entry_xmm[1], 0);
	EXPECT_EQ(entry_mxcsr, 0x1f80);
	EXPECT_EQ(out[0], 0xabc);
	EXPECT_EQ(out[1], 0xdef);
	EXPECT_EQ(mxcsr & 0xffc0, 0x7f80);
}

GUEST_TEST(fork_copies_the_state)
{
	uint64_t in[2] = {0xabc, 0xdef}, out[2];
	long pid;

	__asm__ volatile("movdqu (%1),%%xmm9\n\tmov $57,%%eax\n\tsyscall\n\tmovdqu %%xmm9,(%2)"
	                 : "=&a"(pid)
	                 : "r"(in), "r"(out)
	                 : "rcx", "r11", "xmm9", "memory");
	EXPECT_EQ(memcmp(in, out, sizeof(in)), 0);
	if (pid == 0)
		_exit(0);
	EXPECT_EQ(guest_reap((pid_t)pid), 0);
}

GUEST_TEST(arithmetic_under_fire)
{
	struct timespec ts = {0, 0};
	double sum = 0;

	signal(SIGUSR1, spoil_avx);
	if (!has_avx())
		signal(SIGUSR1, spoil);
	for (int i = 1; i <= 200; i++) {
		sum += 1.0 / i;
		if (i % 50 == 0)
			kill_keeping_vectors(SYS_kill, getpid(), SIGUSR1);
		else if (i % 7 == 0)
			nanosleep(&ts, NULL);
	}
	EXPECT_EQ(hits, 4);
	EXPECT_EQ((long)(sum * 1e9), 5878030948);
}
