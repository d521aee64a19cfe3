/*
 * What a guest thread of systrap runs of ours. Part of the blob (stub/blob.S includes it).
 *
 * Every system call instruction here has a label: the thread's own filter allows a call only from
 * its label, so that guest code which jumps here gets no other call than the one that is there.
 */
#include "platform/systrap/slot.h"

#define SIG_SETMASK 2
/* The interrupted rip in a signal frame. */
#define FRAME_RIP   176

/* As in struct regs. */
#define REG_R15	   SLOT_REG(0)
#define REG_R14	   SLOT_REG(1)
#define REG_R13	   SLOT_REG(2)
#define REG_R12	   SLOT_REG(3)
#define REG_RBP	   SLOT_REG(4)
#define REG_RBX	   SLOT_REG(5)
#define REG_R11	   SLOT_REG(6)
#define REG_R10	   SLOT_REG(7)
#define REG_R9	   SLOT_REG(8)
#define REG_R8	   SLOT_REG(9)
#define REG_RAX	   SLOT_REG(10)
#define REG_RCX	   SLOT_REG(11)
#define REG_RDX	   SLOT_REG(12)
#define REG_RSI	   SLOT_REG(13)
#define REG_RDI	   SLOT_REG(14)
#define REG_RIP	   SLOT_REG(16)
#define REG_RFLAGS SLOT_REG(17)
#define REG_RSP	   SLOT_REG(18)
#define REG_FS	   SLOT_REG(19)

	.globl stub_blob_systrap_start
	.globl stub_blob_systrap_handler
	.globl stub_blob_systrap_wake_site
	.globl stub_blob_systrap_wait_site
	.globl stub_blob_systrap_return_site
	.globl stub_blob_systrap_again_site
	.globl stub_blob_systrap_unmap_site
	.globl stub_blob_systrap_protect_site
	.globl stub_blob_systrap_call
	.globl stub_blob_systrap_call_stack
	.globl stub_blob_systrap_call_flags
	.globl stub_blob_systrap_call_saved
	.globl stub_blob_systrap_given
	.globl stub_blob_systrap_end

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
/*
 * A system call that did not trap: code that the sentry has rewritten comes here (rewrite.c), with
 * the guest's registers as they are at the call, rcx: the address behind it, gs base: the slot,
 * SLOT_RESUME written. Signals are not blocked. Until call_saved nothing that a call keeps is
 * changed but rsp, so that one interrupted before is as if it had not begun; from there to given,
 * all is in the slot.
 */
stub_blob_systrap_call:
	mov	%rsp, %gs:REG_RSP
	rdgsbase %r11
	lea	SLOT_CALL_SP(%r11), %rsp
stub_blob_systrap_call_stack:
	pushfq
	popq	REG_RFLAGS(%r11)
stub_blob_systrap_call_flags:
	mov	%rax, REG_RAX(%r11)
	mov	%rbx, REG_RBX(%r11)
	mov	%rcx, REG_RCX(%r11)
	mov	%rcx, REG_RIP(%r11)
	mov	%rdx, REG_RDX(%r11)
	mov	%rsi, REG_RSI(%r11)
	mov	%rdi, REG_RDI(%r11)
	mov	%rbp, REG_RBP(%r11)
	mov	%r8, REG_R8(%r11)
	mov	%r9, REG_R9(%r11)
	mov	%r10, REG_R10(%r11)
	mov	%r12, REG_R12(%r11)
	mov	%r13, REG_R13(%r11)
	mov	%r14, REG_R14(%r11)
	mov	%r15, REG_R15(%r11)
stub_blob_systrap_call_saved:
	mov	REG_RFLAGS(%r11), %rax
	mov	%rax, REG_R11(%r11)
	rdfsbase %rax
	mov	%rax, REG_FS(%r11)
	mov	%r11, %rbx
	movl	$SIGNO_CALL, SLOT_SIGNO(%rbx)
	mov	$1, %ebp
	jmp	.Lhand_over

	.balign 64
/* rdi: signal, rdx: ucontext, rsp: frame; all signals are blocked. */
stub_blob_systrap_handler:
	mov	%rsp, %rbx
	and	$-STUB_SLOT_SIZE, %rbx
	cmp	$SYSTRAP_KICK, %edi
	je	.Lkicked
.Lhandle:
	rdfsbase %rax
	mov	%rax, SLOT_FS_BASE(%rbx)
	rdgsbase %rax
	mov	%rax, SLOT_GS_BASE(%rbx)
	mov	%edi, SLOT_SIGNO(%rbx)
	mov	%rsp, SLOT_FRAME(%rbx)
	xor	%ebp, %ebp

/* rbx: the slot; ebp: 1 after a call, 0 with a frame at rsp. */
.Lhand_over:
	mov	$CPU_SEGMENT, %eax
	lsl	%eax, %eax
	and	$CPU_MASK, %eax
	mov	%eax, SLOT_CPU(%rbx)
	mov	$TURN_SENTRY, %eax
	xchg	%eax, SLOT_STATE(%rbx)
stub_blob_systrap_given:
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
	test	%ebp, %ebp
	jz	.Lreturn_bases
	mov	SLOT_GO(%rbx), %ecx
	test	%ecx, %ecx
	jnz	.Lcall_more
.Lcall_return:
	lea	SLOT_CALL_SP(%rbx), %rsp
	pushq	REG_RFLAGS(%rbx)
	popfq
	mov	REG_R15(%rbx), %r15
	mov	REG_R14(%rbx), %r14
	mov	REG_R13(%rbx), %r13
	mov	REG_R12(%rbx), %r12
	mov	REG_RBP(%rbx), %rbp
	mov	REG_R11(%rbx), %r11
	mov	REG_R10(%rbx), %r10
	mov	REG_R9(%rbx), %r9
	mov	REG_R8(%rbx), %r8
	mov	REG_RAX(%rbx), %rax
	mov	REG_RCX(%rbx), %rcx
	mov	REG_RDX(%rbx), %rdx
	mov	REG_RSI(%rbx), %rsi
	mov	REG_RDI(%rbx), %rdi
	mov	REG_RSP(%rbx), %rsp
	mov	REG_RBX(%rbx), %rbx
	jmp	*%gs:SLOT_RESUME

.Lcall_more:
	test	$GO_SAVE, %ecx
	jz	.Lcall_saved
	mov	SLOT_FP(%rbx), %rdi
	mov	SLOT_FP_MASK(%rbx), %eax
	mov	SLOT_FP_MASK + 4(%rbx), %edx
	xsave64	(%rdi)
	test	$GO_FRAME, %ecx
	jz	.Lhand_over
.Lcall_saved:
	test	$GO_FRAME, %ecx
	jnz	.Lcall_frame
	mov	REG_FS(%rbx), %rax
	wrfsbase %rax
	jmp	.Lcall_return
.Lcall_frame:
	mov	SLOT_FRAME(%rbx), %rsp

.Lreturn_bases:
	mov	SLOT_FS_BASE(%rbx), %rax
	wrfsbase %rax
	mov	SLOT_GS_BASE(%rbx), %rax
	wrgsbase %rax
.Lsigreturn:
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
stub_blob_systrap_end:

/* A kick while a call has given the turn away is for whoever has it, and he looks himself: the
 * frame of a wait must not take the place of the call's. Once the turn is back it is a kick like
 * others. */
.Lkicked:
	mov	FRAME_RIP(%rsp), %rax
	movabs	$AT(stub_blob_systrap_given), %rcx
	sub	%rcx, %rax
	cmp	$(stub_blob_systrap_end - stub_blob_systrap_given), %rax
	jae	.Lhandle
	cmpb	$TURN_SENTRY, SLOT_STATE(%rbx)
	jne	.Lhandle
	jmp	.Lsigreturn
