/*
 * What a guest thread of systrap runs of ours. Part of the blob (stub/blob.S includes it).
 *
 * Every system call instruction here has a label: the thread's own filter allows a call only from
 * its label, so that guest code which jumps here gets no other call than the one that is there.
 */
#include "platform/systrap/slot.h"

#define SIG_SETMASK 2

	.globl stub_blob_systrap_start
	.globl stub_blob_systrap_handler
	.globl stub_blob_systrap_wake_site
	.globl stub_blob_systrap_wait_site
	.globl stub_blob_systrap_return_site
	.globl stub_blob_systrap_again_site
	.globl stub_blob_systrap_unmap_site
	.globl stub_blob_systrap_protect_site

	.balign 16
/* A new thread, from the service thread's clone. r9: its slot. The service thread's registers, no
 * stack, every signal blocked. */
stub_blob_systrap_start:
	mov	%r9, %rbx
	/* sigaltstack: the descriptor lies in the slot for the moment. */
	lea	SLOT_STACK(%rbx), %rax
	mov	%rax, SLOT_SCRATCH(%rbx)
	movq	$0, SLOT_SCRATCH + 8(%rbx)
	movq	$(STUB_SLOT_SIZE - SLOT_STACK), SLOT_SCRATCH + 16(%rbx)
	lea	SLOT_SCRATCH(%rbx), %rdi
	xor	%esi, %esi
	mov	$__NR_sigaltstack, %eax
	syscall
	test	%rax, %rax
	jnz	.Ldie
	/* The traps below must not find their signals blocked: the host would end the stub. */
	mov	$SIG_SETMASK, %edi
	lea	SLOT_SCRATCH + 24(%rbx), %rsi
	movq	$0, (%rsi)
	xor	%edx, %edx
	mov	$8, %r10d
	mov	$__NR_rt_sigprocmask, %eax
	syscall
	test	%rax, %rax
	jnz	.Ldie
	/* The stricter filter: its program lies in the control page, which only the sentry writes. */
	mov	$SET_FILTER, %edi
	xor	%esi, %esi
	movabs	$(STUB_CTRL + CTRL_GUEST_PROG), %rdx
	mov	$__NR_seccomp, %eax
	syscall
	test	%rax, %rax
	jnz	.Ldie
	/* The first trap makes the first frame. */
	ud2

/* Where threads of a stub that serves again show that they are there. */
stub_blob_systrap_again_site:
	ud2

	.balign 64
/* rdi: signal, rdx: ucontext, rsp: frame; all signals are blocked. */
stub_blob_systrap_handler:
	mov	%rsp, %rbx
	and	$-STUB_SLOT_SIZE, %rbx
	rdfsbase %rax
	mov	%rax, SLOT_FS_BASE(%rbx)
	rdgsbase %rax
	mov	%rax, SLOT_GS_BASE(%rbx)
	mov	%edi, SLOT_SIGNO(%rbx)
	mov	%rsp, SLOT_FRAME(%rbx)
	mov	$CPU_SEGMENT, %eax
	lsl	%eax, %eax
	and	$CPU_MASK, %eax
	mov	%eax, SLOT_CPU(%rbx)
	mov	$TURN_SENTRY, %eax
	xchg	%eax, SLOT_STATE(%rbx)
	test	$TURN_SLEEPS, %eax
	jz	.Lspin
	lea	SLOT_STATE(%rbx), %rdi
	mov	$FUTEX_WAKE, %esi
	mov	$1, %edx
	mov	$__NR_futex, %eax
	syscall
stub_blob_systrap_wake_site:

.Lspin:
	mov	SLOT_SPIN(%rbx), %r12d
.Llook:
	mov	SLOT_STATE(%rbx), %eax
	cmp	$TURN_SENTRY, %eax
	jne	.Lsleep
	pause
	sub	$1, %r12d
	jg	.Llook

.Lsleep:
	mov	SLOT_STATE(%rbx), %eax
	cmp	$TURN_GUEST, %al
	je	.Lresume
	mov	%eax, %edx
	or	$TURN_SLEEPS, %edx
	lock cmpxchg %edx, SLOT_STATE(%rbx)
	jne	.Lsleep
	lea	SLOT_STATE(%rbx), %rdi
	mov	$FUTEX_WAIT, %esi
	xor	%r10d, %r10d
	mov	$__NR_futex, %eax
	syscall
stub_blob_systrap_wait_site:
	jmp	.Lsleep

.Lresume:
	cmpl	$0, SLOT_EDITS(%rbx)
	jne	.Ledits
.Lreturn:
	mov	SLOT_FS_BASE(%rbx), %rax
	wrfsbase %rax
	mov	SLOT_GS_BASE(%rbx), %rax
	wrgsbase %rax
	add	$8, %rsp
	mov	$__NR_rt_sigreturn, %eax
	syscall
stub_blob_systrap_return_site:
	hlt

/* Edits of the address space that nobody but the guest depends on. They are read from the control
 * page, which only the sentry writes. */
.Ledits:
	movl	$0, SLOT_EDITS(%rbx)
	movabs	$STUB_CTRL, %r12
	mov	CTRL_N_EDITS(%r12), %r13d
	add	$CTRL_EDITS, %r12
.Ledit:
	sub	$1, %r13d
	js	.Lreturn
	mov	(%r12), %rdi
	mov	8(%r12), %rsi
	mov	16(%r12), %rdx
	add	$CTRL_EDIT_SIZE, %r12
	cmp	$EDIT_UNMAP, %rdx
	je	.Lunmap
	mov	$__NR_mprotect, %eax
	syscall
stub_blob_systrap_protect_site:
	jmp	.Ledit
.Lunmap:
	mov	$__NR_munmap, %eax
	syscall
stub_blob_systrap_unmap_site:
	jmp	.Ledit
