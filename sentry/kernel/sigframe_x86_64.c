/*
 * The stack frame of a signal handler on x86-64, as the kernel's ABI has it
 * (arch/x86/include/uapi/asm/sigcontext.h, ucontext.h): return address, ucontext, siginfo, and the
 * XSAVE area with its software-reserved bytes that say what it holds.
 */
#include "sentry/auth/creds.h"
#include "sentry/kernel/sighand.h"
#include "sentry/kernel/task_run.h"
#include "sentry/mm/usercopy.h"

#include <string.h>

#define UC_FP_XSTATE         1
#define UC_SIGCONTEXT_SS     2
#define UC_STRICT_RESTORE_SS 4
#define RED_ZONE             128
#define SA_RESTORER          0x04000000ull
#define SS_AUTODISARM_FLAG   (1u << 31)

#define USER_CS 0x33
#define USER_SS 0x2b
/* Flags that sigreturn takes from the frame: AC OF DF TF SF ZF AF PF CF RF. */
#define FIX_EFLAGS 0x50dd5ull

/* struct _fpx_sw_bytes: what user space finds in the reserved bytes of the FXSAVE area. */
#define XSTATE_MAGIC1      0x46505853u
#define XSTATE_MAGIC2      0x46505845u
#define XSTATE_MAGIC2_SIZE 4u
struct fpx_sw_bytes {
	u32 magic1;
	u32 extended_size;
	u64 xfeatures;
	u32 xstate_size;
	u32 padding[7];
};
/* struct sigcontext of x86-64. */
struct k_sigcontext {
	u64 r8, r9, r10, r11, r12, r13, r14, r15;
	u64 di, si, bp, bx, dx, ax, cx, sp, ip, flags;
	u16 cs, gs, fs, ss;
	u64 err, trapno, oldmask, cr2;
	u64 fpstate;
	u64 reserved[8];
};
struct k_sigaltstack {
	u64 sp;
	s32 flags;
	u32 pad;
	u64 size;
};
struct k_ucontext {
	u64 flags;
	u64 link;
	struct k_sigaltstack stack;
	struct k_sigcontext mc;
	u64 mask;
};
struct rt_sigframe {
	u64 restorer;
	struct k_ucontext uc;
	siginfo_t info;
};
_Static_assert(sizeof(struct rt_sigframe) == 8 + 304 + 128, "rt_sigframe");

#define FP_SW_OFFSET 464 /* of struct _fpx_sw_bytes in the FXSAVE area */

static bool on_altstack(const struct task *t, u64 sp)
{
	return t->altstack_size && sp > t->altstack_sp && sp - t->altstack_sp <= t->altstack_size;
}

u32 task_altstack_state(const struct task *t)
{
	if (!t->altstack_size)
		return SS_DISABLE;
	if (t->altstack_flags & SS_AUTODISARM_FLAG)
		return t->altstack_flags;
	return on_altstack(t, t->regs.rsp) ? SS_ONSTACK : 0;
}

static int push_fp(struct task *t, u64 addr)
{
	struct fpx_sw_bytes sw = {
		.magic1 = XSTATE_MAGIC1,
		.extended_size = t->fp->size + XSTATE_MAGIC2_SIZE,
		.xfeatures = t->kernel->machine->platform->xfeatures,
		.xstate_size = t->fp->size,
	};
	u32 magic2 = XSTATE_MAGIC2;
	u8 area[FPSTATE_MAX + 4];

	memcpy(area, t->fp->data, t->fp->size);
	memcpy(area + FP_SW_OFFSET, &sw, sizeof(sw));
	memcpy(area + t->fp->size, &magic2, sizeof(magic2));
	return user_copy_out(&t->ctx, UADDR(addr), area, t->fp->size + sizeof(magic2));
}

int sigframe_push(struct task *t, const siginfo_t *info, const struct ksigaction *act,
                  sigset64_t old_mask)
{
	struct regs *r = &t->regs;
	struct rt_sigframe f;
	u64 sp = r->rsp - RED_ZONE, fp_addr, frame;
	bool nested = on_altstack(t, r->rsp) && !(t->altstack_flags & SS_AUTODISARM_FLAG);
	bool entering = false;

	/* x86-64 has no legacy way back: without a restorer the handler can't return. */
	if (!(act->flags & SA_RESTORER))
		return -EFAULT;
	if ((act->flags & SA_ONSTACK) && t->altstack_size && !nested) {
		sp = t->altstack_sp + t->altstack_size;
		entering = true;
	}
	if (task_pull_fp(t) < 0)
		return -EFAULT;
	fp_addr = ALIGN_DOWN(sp - (t->fp->size + XSTATE_MAGIC2_SIZE), 64);
	frame = ALIGN_DOWN(fp_addr - sizeof(f), 16) - 8;
	if ((entering || nested) && !on_altstack(t, frame))
		return -EFAULT;

	memset(&f, 0, sizeof(f));
	f.restorer = act->restorer;
	f.uc.flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
	f.uc.stack.sp = t->altstack_sp;
	f.uc.stack.size = t->altstack_size;
	f.uc.stack.flags = (s32)task_altstack_state(t);
	f.uc.mc = (struct k_sigcontext){
		.r8 = r->r8,
		.r9 = r->r9,
		.r10 = r->r10,
		.r11 = r->r11,
		.r12 = r->r12,
		.r13 = r->r13,
		.r14 = r->r14,
		.r15 = r->r15,
		.di = r->rdi,
		.si = r->rsi,
		.bp = r->rbp,
		.bx = r->rbx,
		.dx = r->rdx,
		.ax = r->rax,
		.cx = r->rcx,
		.sp = r->rsp,
		.ip = r->rip,
		.flags = r->rflags,
		.cs = USER_CS,
		.ss = USER_SS,
		.oldmask = old_mask,
		.fpstate = fp_addr,
		.err = t->fault_error,
		.trapno = t->fault_trapno,
		.cr2 = t->fault_addr,
	};
	f.uc.mask = old_mask;
	f.info = *info;
	if (push_fp(t, fp_addr) < 0 || user_copy_out(&t->ctx, UADDR(frame), &f, sizeof(f)) < 0)
		return -EFAULT;

	if (entering && (t->altstack_flags & SS_AUTODISARM_FLAG)) {
		t->altstack_sp = t->altstack_size = 0;
		t->altstack_flags = SS_DISABLE;
	}
	r->rdi = (u64)info->si_signo;
	r->rsi = frame + offsetof(struct rt_sigframe, info);
	r->rdx = frame + offsetof(struct rt_sigframe, uc);
	r->rax = 0;
	r->rsp = frame;
	r->rip = act->handler;
	r->rflags &= ~0x10500ull; /* DF, TF and RF are clear in a handler */
	r->orig_rax = ~0ull;
	/* What the interrupted code left in its registers is nothing a handler may rely on. */
	task_reset_fp(t);
	return 0;
}

static int restore_fp(struct task *t, u64 addr, bool xstate)
{
	struct fpx_sw_bytes sw;
	u32 size = t->kernel->machine->platform->fpstate_size, magic2;
	u32 copy = 512;
	u64 zero_xstate_bv = 3;

	if (task_pull_fp(t) < 0)
		return -EFAULT;
	if (!addr) {
		task_reset_fp(t);
		return 0;
	}
	if (xstate) {
		if (user_copy_in(&t->ctx, &sw, UADDR(addr + FP_SW_OFFSET), sizeof(sw)) < 0)
			return -EFAULT;
		if (sw.magic1 == XSTATE_MAGIC1 && sw.xstate_size == size &&
		    user_get_u32(&t->ctx, UADDR(addr + size), &magic2) == 0 &&
		    magic2 == XSTATE_MAGIC2)
			copy = size;
	}
	memset(t->fp->data, 0, size);
	if (user_copy_in(&t->ctx, t->fp->data, UADDR(addr), copy) < 0)
		return -EFAULT;
	/* A frame with legacy state only: x87 and SSE from it, the rest as at the start. */
	if (copy == 512)
		memcpy(t->fp->data + 512, &zero_xstate_bv, sizeof(zero_xstate_bv));
	memset(t->fp->data + FP_SW_OFFSET, 0, 48);
	task_fp_changed(t);
	return 0;
}

int sigframe_restore(struct task *t)
{
	struct regs *r = &t->regs;
	u64 frame = r->rsp - 8;
	struct k_ucontext uc;
	const struct k_sigcontext *m = &uc.mc;

	if (user_copy_in(&t->ctx, &uc, UADDR(frame + offsetof(struct rt_sigframe, uc)),
	                 sizeof(uc)) < 0)
		return -EFAULT;
	if (restore_fp(t, m->fpstate, uc.flags & UC_FP_XSTATE) < 0)
		return -EFAULT;
	r->r8 = m->r8, r->r9 = m->r9, r->r10 = m->r10, r->r11 = m->r11, r->r12 = m->r12;
	r->r13 = m->r13, r->r14 = m->r14, r->r15 = m->r15, r->rdi = m->di, r->rsi = m->si;
	r->rbp = m->bp, r->rbx = m->bx, r->rdx = m->dx, r->rax = m->ax, r->rcx = m->cx;
	r->rsp = m->sp, r->rip = m->ip;
	r->rflags = (r->rflags & ~FIX_EFLAGS) | (m->flags & FIX_EFLAGS);
	r->orig_rax = ~0ull;
	/* The alternate stack comes back as it was; a bad one is ignored, as in Linux. */
	if (uc.stack.flags & SS_DISABLE) {
		t->altstack_sp = t->altstack_size = 0;
		t->altstack_flags = 0;
	} else if (uc.stack.size >= MINSIGSTKSZ && !on_altstack(t, r->rsp)) {
		t->altstack_sp = uc.stack.sp;
		t->altstack_size = uc.stack.size;
		t->altstack_flags = (u32)uc.stack.flags & SS_AUTODISARM_FLAG;
	}
	signal_set_mask(t, uc.mask);
	return 0;
}
