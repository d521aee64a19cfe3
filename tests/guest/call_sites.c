#include "tests/guest/guest_test.h"

#include <asm/prctl.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>

/* System calls from the same instructions again and again: what a kernel does to make them fast
 * must not be seen. Registers, flags and the red zone stay, jumps to the middle of a site work,
 * signals find the program at places of its own, and code that changes does what it says. */

#define ROUNDS 300

/* What the registers were after the call: rbx rbp r8 r9 r10 r12 r13 r14 r15 rdx rsi rdi. */
unsigned long site_out[12], site_rax, site_rcx, site_r11, site_flags, site_red[2];

unsigned long site_mov(void);
long site_cmp(long nr, int fd, void *buf, unsigned long len, int *ret_failed);
long site_from_inside(long nr);
extern const char site_mov_end[], site_cmp_start[];
extern char site_number[], etext[];

/* clang-format off */
__asm__(".text\n"
        ".globl site_mov, site_mov_end, site_cmp, site_cmp_start, site_from_inside, site_number\n"
        "site_mov:\n"
        "	push %rbx\n	push %rbp\n	push %r12\n	push %r13\n	push %r14\n	push %r15\n"
        "	mov $1, %ebx\n	mov $2, %ebp\n	mov $3, %r8d\n	mov $4, %r9d\n"
        "	mov $5, %r10d\n	mov $6, %r12d\n	mov $7, %r13d\n	mov $8, %r14d\n"
        "	mov $9, %r15d\n	mov $10, %edx\n	mov $11, %esi\n	mov $12, %edi\n"
        "	movq $13, -8(%rsp)\n	movq $14, -128(%rsp)\n"
        "	xor %eax, %eax\n	stc\n	std\n"
        "site_number:\n"
        "	mov $110, %eax\n"
        "	syscall\n"
        "site_mov_end:\n"
        "	mov %rax, site_rax(%rip)\n	mov %rcx, site_rcx(%rip)\n	mov %r11, site_r11(%rip)\n"
        "	mov -8(%rsp), %rcx\n	mov %rcx, site_red(%rip)\n"
        "	mov -128(%rsp), %rcx\n	mov %rcx, site_red+8(%rip)\n"
        "	pushfq\n	popq site_flags(%rip)\n	cld\n"
        "	lea site_out(%rip), %rcx\n"
        "	mov %rbx, (%rcx)\n	mov %rbp, 8(%rcx)\n	mov %r8, 16(%rcx)\n	mov %r9, 24(%rcx)\n"
        "	mov %r10, 32(%rcx)\n	mov %r12, 40(%rcx)\n	mov %r13, 48(%rcx)\n"
        "	mov %r14, 56(%rcx)\n	mov %r15, 64(%rcx)\n	mov %rdx, 72(%rcx)\n"
        "	mov %rsi, 80(%rcx)\n	mov %rdi, 88(%rcx)\n"
        "	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbp\n	pop %rbx\n"
        "	ret\n"
        "site_cmp:\n"
        "	mov %r8, %r9\n	mov %rdi, %rax\n	mov %rsi, %rdi\n	mov %rdx, %rsi\n	mov %rcx, %rdx\n"
        "	nop\n"
        "site_cmp_start:\n"
        "	syscall\n"
        "1:	cmp $-4095, %rax\n"
        "	mov $0, %ecx\n"
        "	setae %cl\n"
        "	mov %ecx, (%r9)\n"
        "	ret\n"
        /* To the comparison without the call, as compilers share the ends of functions. */
        "site_from_inside:\n"
        "	mov %rdi, %rax\n	sub $16, %rsp\n	mov %rsp, %r9\n"
        "	push $2f\n"
        "	jmp 1b\n"
        "2:	mov (%rsp), %eax\n	add $16, %rsp\n"
        "	ret\n");
/* clang-format on */

static void check_mov(unsigned long want)
{
	EXPECT_EQ(site_mov(), want);
	EXPECT_EQ(site_rax, want);
	for (unsigned long i = 0; i < GUEST_COUNT(site_out); i++)
		EXPECT_EQ(site_out[i], i + 1);
	EXPECT_EQ(site_red[0], 13);
	EXPECT_EQ(site_red[1], 14);
	EXPECT_EQ(site_rcx, (unsigned long)site_mov_end);
	/* CF and DF. */
	EXPECT_EQ(site_flags & 0x401, 0x401);
	EXPECT_EQ(site_r11 & 0x401, 0x401);
}

GUEST_TEST(registers_flags_and_red_zone)
{
	unsigned long want = (unsigned long)getppid();

	for (int i = 0; i < ROUNDS; i++) {
		check_mov(want);
		if (i == ROUNDS / 2)
			MAYBE_SAVE();
	}
}

GUEST_TEST(comparisons)
{
	int fd = ASSERT_OK(open("/dev/zero", O_RDONLY)), failed;
	char c[4];

	for (int i = 0; i < ROUNDS; i++) {
		failed = 7;
		EXPECT_EQ(site_cmp(SYS_read, fd, c, 3, &failed), 3);
		EXPECT_EQ(failed, 0);
		EXPECT_EQ(site_cmp(SYS_read, -1, c, 3, &failed), -EBADF);
		EXPECT_EQ(failed, 1);
		EXPECT_EQ(site_from_inside(5), 0);
		EXPECT_EQ(site_from_inside(-5), 1);
		if (i == ROUNDS / 2)
			MAYBE_SAVE();
	}
}

static void vector_round(int i)
{
	unsigned long a = (unsigned long)i * 3, b = 0, m = 0;

	__asm__ volatile("movq %2,%%xmm0\n\tmovq %2,%%xmm15\n\tmov $110,%%eax\n\tsyscall\n\t"
	                 "movq %%xmm0,%0\n\tmovq %%xmm15,%1"
	                 : "=&r"(b), "=&r"(m)
	                 : "r"(a)
	                 : "rax", "rcx", "r11", "xmm0", "xmm15", "memory");
	EXPECT_EQ(b, a);
	EXPECT_EQ(m, a);
}

GUEST_TEST(vector_registers)
{
	for (int i = 0; i < ROUNDS; i++) {
		vector_round(i);
		/* A child has the same. */
		if (i % 100 == 50) {
			pid_t pid = guest_fork();

			vector_round(i);
			if (pid == 0) {
				vector_round(i + 1);
				_exit(0);
			}
			EXPECT_EQ(guest_reap(pid), 0);
			MAYBE_SAVE();
		}
	}
}

static volatile unsigned long odd_places, ticks;

static void look_where(int sig, siginfo_t *si, void *uc)
{
	greg_t *g = ((ucontext_t *)uc)->uc_mcontext.gregs;
	unsigned long rip = (unsigned long)g[REG_RIP];

	ticks++;
	/* Nothing here calls the vDSO. */
	if (rip < 0x400000 || rip >= (unsigned long)etext)
		odd_places++;
	/* Clobbers what a handler may. */
	__asm__ volatile("pxor %%xmm0,%%xmm0\n\tpxor %%xmm15,%%xmm15" ::: "xmm0", "xmm15");
}

GUEST_TEST(signals_at_any_point)
{
	struct sigaction sa = {.sa_sigaction = look_where, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct itimerval it = {{0, 0}, {0, 500}};
	unsigned long want = (unsigned long)getppid(), seen = 0;
	int fd = ASSERT_OK(open("/dev/zero", O_RDONLY)), failed;
	char c;

	sigaction(SIGALRM, &sa, NULL);
	EXPECT_OK(setitimer(ITIMER_REAL, &it, NULL));
	for (int i = 0; i < 20 * ROUNDS || ticks < 20; i++) {
		check_mov(want);
		vector_round(i);
		EXPECT_EQ(site_cmp(SYS_read, fd, &c, 1, &failed), 1);
		EXPECT_EQ(failed, 0);
		/* Armed again from here: a periodic one that comes faster than its handler returns
		 * would leave nothing else to run. */
		if (ticks != seen) {
			seen = ticks;
			EXPECT_OK(setitimer(ITIMER_REAL, &it, NULL));
		}
		if (i == ROUNDS)
			MAYBE_SAVE();
	}
	it = (struct itimerval){{0, 0}, {0, 0}};
	EXPECT_OK(setitimer(ITIMER_REAL, &it, NULL));
	EXPECT_EQ(odd_places, 0);
}

static void *call_a_lot(void *arg)
{
	int fd = (int)(long)arg, failed;
	char c;

	for (int i = 0; i < 5 * ROUNDS; i++) {
		if (site_cmp(SYS_read, fd, &c, 1, &failed) != 1 || failed)
			return (void *)1;
		if (site_cmp(SYS_close, -1, NULL, 0, &failed) != -EBADF || !failed)
			return (void *)1;
	}
	return NULL;
}

GUEST_TEST(threads_at_one_site)
{
	int fd = ASSERT_OK(open("/dev/zero", O_RDONLY));
	pthread_t t[4];
	void *bad;

	for (int i = 0; i < 4; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, call_a_lot, (void *)(long)fd), 0);
	MAYBE_SAVE();
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &bad);
		EXPECT_EQ((long)bad, 0);
	}
}

GUEST_TEST(base_of_gs)
{
	static unsigned long mine[2] = {0x1234, 0x5678};
	unsigned long got = 1, want = (unsigned long)getppid();

	for (int i = 0; i < ROUNDS; i++)
		check_mov(want);
	EXPECT_OK(syscall(SYS_arch_prctl, ARCH_GET_GS, &got));
	EXPECT_EQ(got, 0);
	EXPECT_OK(syscall(SYS_arch_prctl, ARCH_SET_GS, mine));
	for (int i = 0; i < ROUNDS; i++) {
		check_mov(want);
		__asm__ volatile("mov %%gs:8,%0" : "=r"(got));
		EXPECT_EQ(got, 0x5678);
		if (i == ROUNDS / 2)
			MAYBE_SAVE();
	}
	EXPECT_EQ(mine[0], 0x1234);
	EXPECT_OK(syscall(SYS_arch_prctl, ARCH_GET_GS, &got));
	EXPECT_EQ(got, (unsigned long)mine);
	EXPECT_OK(syscall(SYS_arch_prctl, ARCH_SET_GS, 0));
	for (int i = 0; i < ROUNDS; i++)
		check_mov(want);
}

GUEST_TEST(code_that_changes)
{
	unsigned long ppid = (unsigned long)getppid(),
		      page = (unsigned long)site_number & -GUEST_PAGE;
	char *nr = site_number + 1;

	for (int i = 0; i < ROUNDS; i++)
		check_mov(ppid);
	EXPECT_OK(mprotect((void *)page, 2 * GUEST_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
	EXPECT_EQ(*(unsigned char *)site_number, 0xb8);
	EXPECT_EQ(*nr, 110);
	*nr = SYS_getpid;
	check_mov((unsigned long)getpid());
	EXPECT_OK(mprotect((void *)page, 2 * GUEST_PAGE, PROT_READ | PROT_EXEC));
	for (int i = 0; i < ROUNDS; i++) {
		check_mov((unsigned long)getpid());
		if (i == ROUNDS / 2)
			MAYBE_SAVE();
	}
	EXPECT_EQ(*nr, SYS_getpid);
	EXPECT_OK(mprotect((void *)page, 2 * GUEST_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
	*nr = 110;
	check_mov(ppid);
}

static char *code_from_file(const char *name, unsigned char nr)
{
	/* mov $nr, %eax; syscall; ret */
	unsigned char code[] = {0xb8, nr, 0, 0, 0, 0x0f, 0x05, 0xc3};
	int fd = ASSERT_OK(open(guest_path(name), O_RDWR | O_CREAT | O_TRUNC, 0755));
	char *p;

	EXPECT_EQ(pwrite(fd, code, sizeof(code), 0), sizeof(code));
	EXPECT_OK(ftruncate(fd, GUEST_PAGE));
	p = mmap(NULL, GUEST_PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	ASSERT_NE((long)p, -1);
	close(fd);
	return p;
}

/* The same address has other code, several times. */
GUEST_TEST(code_that_goes)
{
	static const unsigned char nrs[] = {SYS_getpid, SYS_getppid, SYS_getuid};
	char *place = code_from_file("first", SYS_getpid);

	for (int k = 0; k < 6; k++) {
		unsigned char nr = nrs[k % 3];
		char *p = code_from_file("other", nr);
		long want = nr == SYS_getpid ? getpid() : nr == SYS_getppid ? getppid() : getuid();

		if (k % 2)
			EXPECT_OK(munmap(place, GUEST_PAGE));
		EXPECT_EQ((long)mremap(p, GUEST_PAGE, GUEST_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		                       place),
		          (long)place);
		for (int i = 0; i < ROUNDS; i++) {
			EXPECT_EQ(((long (*)(void))(uintptr_t)place)(), want);
			if (i == ROUNDS / 2)
				MAYBE_SAVE();
		}
	}
}
