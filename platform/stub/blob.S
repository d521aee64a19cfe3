/*
 * The only code of ours that runs in a stub. Copied to a memfd and mapped at STUB_BASE; it keeps
 * everything in registers, because all other memory of a stub may be the guest's.
 */
#include "platform/stub/layout.h"

#include <asm/unistd_64.h>

#define AT(label) (STUB_BASE + ((label) - stub_blob))

#define PROT_R	      1
#define PROT_RW	      3
#define PROT_RX	      5
#define SHARED_FIXED  0x11
#define FUTEX_WAIT    0
#define FUTEX_WAKE    1
#define CLONE_STUB    0x8400 /* CLONE_PARENT | CLONE_FILES, no exit signal */
#define PDEATHSIG     1
#define SET_NAME      15
#define SIGKILL	      9
#define SET_FILTER    1
#define NEW_LISTENER  8
#define ERRNO_LIMIT   -4095

	.section .rodata.stub_blob, "a", @progbits
	.balign 4096
	.globl stub_blob
	.globl stub_blob_end
	.globl stub_blob_boot
	.globl stub_blob_park
	.globl stub_blob_handler

stub_blob:

/* From the child that becomes the template: runs in a mapping somewhere else, without a stack.
 * rdi: descriptor of the blob, rsi: descriptor of the control pages. */
stub_blob_boot:
	mov	%rsi, %r12
	mov	%rdi, %r8
	movabs	$STUB_BASE, %rdi
	mov	$STUB_BLOB_SIZE, %esi
	mov	$PROT_RX, %edx
	mov	$SHARED_FIXED, %r10d
	xor	%r9d, %r9d
	mov	$__NR_mmap, %eax
	syscall
	cmp	%rax, %rdi
	jne	.Ldie
	movabs	$STUB_TEMPLATE, %rdi
	mov	$4096, %esi
	mov	$PROT_RW, %edx
	mov	%r12, %r8
	mov	$__NR_mmap, %eax
	syscall
	cmp	%rax, %rdi
	jne	.Ldie
	movabs	$AT(.Lmoved), %rax
	jmp	*%rax

.Lmoved:
	xor	%edi, %edi
	movabs	$STUB_BASE, %rsi
	mov	$__NR_munmap, %eax
	syscall
	test	%rax, %rax
	jnz	.Ldie
	movabs	$STUB_CTRL, %rdi
	mov	$4096, %esi
	mov	$__NR_munmap, %eax
	syscall
	test	%rax, %rax
	jnz	.Ldie
	movabs	$STUB_END, %rdi
	movabs	$(STUB_HOST_END - STUB_END), %rsi
	mov	$__NR_munmap, %eax
	syscall
	test	%rax, %rax
	jnz	.Ldie

/* The template: a new stub for every number that appears in TPL_SEQ. */
	movabs	$STUB_TEMPLATE, %r15
	xor	%r14d, %r14d
	lock incl TPL_DONE(%r15)
	jmp	.Ltemplate_wake

.Ltemplate_wait:
	mov	TPL_SEQ(%r15), %eax
	cmp	%eax, %r14d
	jne	.Ltemplate_clone
	lea	TPL_SEQ(%r15), %rdi
	mov	$FUTEX_WAIT, %esi
	mov	%r14d, %edx
	xor	%r10d, %r10d
	mov	$__NR_futex, %eax
	syscall
	jmp	.Ltemplate_wait

.Ltemplate_clone:
	mov	%eax, %r14d
	mov	$CLONE_STUB, %edi
	xor	%esi, %esi
	xor	%edx, %edx
	xor	%r10d, %r10d
	xor	%r8d, %r8d
	mov	$__NR_clone, %eax
	syscall
	test	%rax, %rax
	jz	.Lstub
	mov	%eax, TPL_PID(%r15)
	lock incl TPL_DONE(%r15)
.Ltemplate_wake:
	lea	TPL_DONE(%r15), %rdi
	mov	$FUTEX_WAKE, %esi
	mov	$1, %edx
	mov	$__NR_futex, %eax
	syscall
	jmp	.Ltemplate_wait

/* A new stub: its first thread becomes the service thread. */
.Lstub:
	movabs	$STUB_CTRL, %rdi
	mov	$4096, %esi
	mov	$PROT_R, %edx
	mov	$SHARED_FIXED, %r10d
	movslq	TPL_CTRL_FD(%r15), %r8
	mov	TPL_OFFSET(%r15), %r9
	mov	$__NR_mmap, %eax
	syscall
	mov	%rdi, %r14
	cmp	%rax, %rdi
	jne	.Ldie
	mov	$PDEATHSIG, %edi
	mov	$SIGKILL, %esi
	mov	$__NR_prctl, %eax
	syscall
	/* The parent may have ended before that took hold. */
	mov	$__NR_getppid, %eax
	syscall
	cmp	CTRL_PPID(%r14), %rax
	jne	.Ldie
	mov	$SET_NAME, %edi
	lea	CTRL_NAME(%r14), %rsi
	mov	$__NR_prctl, %eax
	syscall
	mov	$SET_FILTER, %edi
	mov	$NEW_LISTENER, %esi
	lea	CTRL_PROG(%r14), %rdx
	mov	$__NR_seccomp, %eax
	syscall
	mov	%eax, TPL_LISTENER(%r15)
	lock incl TPL_DONE(%r15)
	lea	TPL_DONE(%r15), %rdi
	mov	$FUTEX_WAKE, %esi
	mov	$1, %edx
	mov	$__NR_futex, %eax
	syscall
	mov	%r15, %rdi
	mov	$4096, %esi
	mov	$__NR_munmap, %eax
	syscall
	mov	%rax, %r13
	xor	%r12d, %r12d

/* r12: calls done, r13: result of the last. The answer to the report is the next request. */
.Lreport:
	mov	%r13, %rdi
	mov	%r12, %rsi
	mov	$STUB_REPORT_NR, %eax
	syscall
	test	%rax, %rax
	jnz	.Ldie
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	lea	CTRL_CALLS(%r14), %rbx
.Lcall:
	cmp	%r12d, CTRL_N_CALLS(%r14)
	je	.Lreport
	mov	8(%rbx), %rdi
	mov	16(%rbx), %rsi
	mov	24(%rbx), %rdx
	mov	32(%rbx), %r10
	mov	40(%rbx), %r8
	mov	48(%rbx), %r9
	mov	(%rbx), %rbp
	mov	%rbp, %rax
	syscall
	mov	%rax, %r13
	/* A new thread may run so late that the next request is already there. */
	cmp	$__NR_clone, %rbp
	jne	.Lcalled
	test	%rax, %rax
	jz	.Lthread
.Lcalled:
	cmp	$ERRNO_LIMIT, %rax
	jae	.Lreport
	inc	%r12d
	add	$CTRL_CALL_SIZE, %rbx
	jmp	.Lcall

/* A new thread. Its clone's sixth argument says where it begins, 0: parked. */
.Lthread:
	test	%r9, %r9
	jnz	stub_blob_systrap_start

/* A thread that nobody uses. */
stub_blob_park:
	mov	$__NR_pause, %eax
	syscall
	jmp	stub_blob_park

/* Where signals that are delivered for their frame alone begin; never executed. */
stub_blob_handler:
	ud2

#include "platform/systrap/guest.S"

.Ldie:
	mov	$1, %edi
	mov	$__NR_exit_group, %eax
	syscall
	hlt

	/* Fails to assemble when the blob does not fit. */
	.org	stub_blob + STUB_BLOB_SIZE
stub_blob_end:
	.section .note.GNU-stack, "", @progbits
