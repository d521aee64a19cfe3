#include "sentry/mm/guard.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

/*
 * Hand written so that every access lies between guard_begin and guard_end, with no frame, and with
 * the bytes still to do in rcx: the handler only has to set rip to guard_fixup.
 */
u64 guard_asm_copy(void *dst, const void *src, u64 len);
u64 guard_asm_zero(void *dst, u64 len);
u64 guard_asm_str(char *dst, const char *src, u64 len);
u64 guard_asm_load32(u32 *dst, const void *src);
u64 guard_asm_cmpxchg32(void *p, u32 old, u32 new_value, u32 *ret_old);
extern const char guard_begin[], guard_end[], guard_fixup[];

__asm__(".text\n"
        ".p2align 5\n"
        ".globl guard_begin, guard_end, guard_fixup\n"
        ".hidden guard_begin, guard_end, guard_fixup\n"
        ".globl guard_asm_copy, guard_asm_zero, guard_asm_str, guard_asm_load32\n"
        ".globl guard_asm_cmpxchg32\n"
        ".hidden guard_asm_copy, guard_asm_zero, guard_asm_str, guard_asm_load32\n"
        ".hidden guard_asm_cmpxchg32\n"
        "guard_begin:\n"
        /* rdi dst, rsi src, rdx len */
        ".type guard_asm_copy, @function\n"
        "guard_asm_copy:\n"
        "	mov %rdx, %rcx\n"
        "	cmp $16, %rdx\n"
        "	ja 3f\n"
        "	cmp $8, %rdx\n"
        "	jae 2f\n"
        "	cmp $4, %rdx\n"
        "	jae 1f\n"
        "	rep movsb\n"
        "	xor %eax, %eax\n"
        "	ret\n"
        "1:	mov (%rsi), %eax\n"
        "	mov -4(%rsi,%rdx), %r8d\n"
        "	mov %eax, (%rdi)\n"
        "	mov %r8d, -4(%rdi,%rdx)\n"
        "	xor %eax, %eax\n"
        "	ret\n"
        "2:	mov (%rsi), %rax\n"
        "	mov -8(%rsi,%rdx), %r8\n"
        "	mov %rax, (%rdi)\n"
        "	mov %r8, -8(%rdi,%rdx)\n"
        "	xor %eax, %eax\n"
        "	ret\n"
        "3:	cmp $768, %rdx\n"
        "	jae 5f\n"
        "4:	movups (%rsi), %xmm0\n"
        "	movups %xmm0, (%rdi)\n"
        "	add $16, %rsi\n"
        "	add $16, %rdi\n"
        "	sub $16, %rcx\n"
        "	cmp $16, %rcx\n"
        "	ja 4b\n"
        "	movups -16(%rsi,%rcx), %xmm0\n"
        "	movups %xmm0, -16(%rdi,%rcx)\n"
        "	xor %eax, %eax\n"
        "	ret\n"
        "5:	rep movsb\n"
        "	xor %eax, %eax\n"
        "	ret\n"
        /* rdi dst, rsi len */
        ".type guard_asm_zero, @function\n"
        "guard_asm_zero:\n"
        "	mov %rsi, %rcx\n"
        "	xor %eax, %eax\n"
        "	rep stosb\n"
        "	ret\n"
        /* rdi dst, rsi src, rdx len; rax = bytes left | 1 << 63 if a NUL was found */
        ".type guard_asm_str, @function\n"
        "guard_asm_str:\n"
        "	mov %rdx, %rcx\n"
        "	test %rcx, %rcx\n"
        "	jz 7f\n"
        "6:	movzbl (%rsi), %eax\n"
        "	mov %al, (%rdi)\n"
        "	inc %rsi\n"
        "	inc %rdi\n"
        "	dec %rcx\n"
        "	test %al, %al\n"
        "	jz 8f\n"
        "	test %rcx, %rcx\n"
        "	jnz 6b\n"
        "7:	xor %eax, %eax\n"
        "	ret\n"
        "8:	mov %rcx, %rax\n"
        "	bts $63, %rax\n"
        "	ret\n"
        /* rdi dst, rsi src */
        ".type guard_asm_load32, @function\n"
        "guard_asm_load32:\n"
        "	mov $4, %ecx\n"
        "	mov (%rsi), %eax\n"
        "	mov %eax, (%rdi)\n"
        "	xor %eax, %eax\n"
        "	ret\n"
        /* rdi p, esi old, edx new, rcx ret_old (moved to r8: rcx is the count) */
        ".type guard_asm_cmpxchg32, @function\n"
        "guard_asm_cmpxchg32:\n"
        "	mov %rcx, %r8\n"
        "	mov $4, %ecx\n"
        "	mov %esi, %eax\n"
        "	lock cmpxchg %edx, (%rdi)\n"
        "	mov %eax, (%r8)\n"
        "	xor %eax, %eax\n"
        "	ret\n"
        "guard_end:\n"
        "guard_fixup:\n"
        "	mov %rcx, %rax\n"
        "	ret\n");

/* What was installed before: a sanitizer's, which reports, or none. */
static struct sigaction old_segv, old_bus;

static _Thread_local u64 tls_bus;

u64 guard_take_bus(void)
{
	u64 addr = tls_bus;

	tls_bus = 0;
	return addr;
}

static void on_fault(int signo, siginfo_t *info, void *uc_)
{
	ucontext_t *uc = uc_;
	u64 rip = (u64)uc->uc_mcontext.gregs[REG_RIP];

	if (rip >= (u64)guard_begin && rip < (u64)guard_end) {
		if (signo == SIGBUS)
			tls_bus = (u64)(uintptr_t)info->si_addr;
		uc->uc_mcontext.gregs[REG_RIP] = (greg_t)guard_fixup;
		return;
	}
	/* A bug of ours: fault again, without this handler. */
	sigaction(signo, signo == SIGSEGV ? &old_segv : &old_bus, NULL);
}

int guard_init(void)
{
	struct sigaction sa = {
		.sa_sigaction = on_fault,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
	};

	sigemptyset(&sa.sa_mask);
	if (sigaction(SIGSEGV, &sa, &old_segv) < 0 || sigaction(SIGBUS, &sa, &old_bus) < 0)
		return -errno;
	return 0;
}

u64 guard_copy(void *dst, const void *src, u64 len)
{
	return guard_asm_copy(dst, src, len);
}

u64 guard_zero(void *dst, u64 len)
{
	return guard_asm_zero(dst, len);
}

u64 guard_str(char *dst, const char *src, u64 len, bool *ret_found, bool *ret_fault)
{
	u64 r = guard_asm_str(dst, src, len);

	*ret_found = (r >> 63) != 0;
	*ret_fault = !*ret_found && r != 0;
	return r & ~(1ull << 63);
}

int guard_load_u32(const void *p, u32 *ret)
{
	return guard_asm_load32(ret, p) ? -EFAULT : 0;
}

int guard_cmpxchg_u32(void *p, u32 old, u32 new, u32 *ret_old)
{
	return guard_asm_cmpxchg32(p, old, new, ret_old) ? -EFAULT : 0;
}
