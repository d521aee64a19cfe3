/*
 * Signal frames in slots. Whatever lies there may have been changed by other threads of the guest
 * at any moment: places are checked once and kept on our side, values are copied once and then
 * cleaned.
 */
#include "platform/fpstate_x86_64.h"
#include "platform/regs_x86_64.h"
#include "platform/systrap/systrap.h"

#include <errno.h>
#include <linux/audit.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

/* struct rt_sigframe: the restorer's address, then struct ucontext, then siginfo. */
#define FRAME_UC    8
#define UC_STACK    16
#define UC_GREGS    40
#define UC_FPREGS   (UC_GREGS + 23 * 8)
#define UC_SIGMASK  296
#define UC_SIZE     304
#define FRAME_INFO  (FRAME_UC + UC_SIZE)
#define INFO_SIZE   128
#define INFO_USED   32
#define USER_CSGSFS (0x33ull | 0x2bull << 48)
#define FP_LEGACY   512
#define FP_SW       464

#define SYS_SECCOMP_CODE 1
#define ERR_WRITE        2
#define ERR_FETCH        16
#define TRAP_GP          13
#define TRAP_PAGE        14

#define NR_URETPROBE 335

/* The host kernel's own, in no header of libc. */
#define ERESTARTSYS           512
#define ERESTARTNOINTR        513
#define ERESTARTNOHAND        514
#define ERESTART_RESTARTBLOCK 516

/* clang-format off */
#define EACH_GREG(R)                                                                               \
	R(r8, REG_R8) R(r9, REG_R9) R(r10, REG_R10) R(r11, REG_R11) R(r12, REG_R12)                \
	R(r13, REG_R13) R(r14, REG_R14) R(r15, REG_R15) R(rdi, REG_RDI) R(rsi, REG_RSI)            \
	R(rbp, REG_RBP) R(rbx, REG_RBX) R(rdx, REG_RDX) R(rax, REG_RAX) R(rcx, REG_RCX)            \
	R(rsp, REG_RSP) R(rip, REG_RIP) R(rflags, REG_EFL)
/* clang-format on */

struct fpx_sw {
	u32 magic1;
	u32 extended_size;
	u64 xfeatures;
	u32 xstate_size;
	u32 padding[7];
};
#define FPX_MAGIC1 0x46505853u
#define FPX_MAGIC2 0x46505845u

/* For a few instructions on a machine that is busy. */
#define SAVE_MS 5000

static u8 *slot_bytes(struct st_vehicle *v)
{
	return (u8 *)v->slot;
}

static u64 load64(struct st_vehicle *v, u32 off)
{
	u64 x;

	memcpy(&x, slot_bytes(v) + off, sizeof(x));
	return x;
}

int st_frame_take(struct st_vehicle *v)
{
	u64 frame = READ_ONCE(v->slot->frame), fp, off;
	struct fpx_sw sw;

	/* The host puts it in the same place each time. */
	if (likely(frame == v->frame))
		return 0;
	off = frame - v->slot_addr;
	if (!range_ok(off, FRAME_INFO + INFO_SIZE, STUB_SLOT_SIZE) || off < SLOT_STACK)
		return -EBADMSG;
	fp = load64(v, (u32)off + FRAME_UC + UC_FPREGS) - v->slot_addr;
	if (!range_ok(fp, FP_LEGACY, STUB_SLOT_SIZE) || fp < SLOT_STACK || (fp & 63))
		return -EBADMSG;
	memcpy(&sw, slot_bytes(v) + fp + FP_SW, sizeof(sw));
	if (sw.magic1 != FPX_MAGIC1 || sw.xstate_size < FP_LEGACY + 64 ||
	    !range_ok(fp, (u64)sw.xstate_size + 4, STUB_SLOT_SIZE))
		return -EBADMSG;
	v->frame = frame;
	v->uc_off = (u32)off + FRAME_UC;
	v->fp_off = (u32)fp;
	v->fp_size = sw.xstate_size;
	WRITE_ONCE(v->slot->fp, v->slot_addr + fp);
	WRITE_ONCE(v->slot->fp_mask, v->platform->base.xfeatures);
	return 0;
}

/* Page faults below our addresses are the sentry's to solve, others are the guest's own. */
static bool get_fault(const struct st_platform *p, struct exit_info *e)
{
	if (e->trapno != TRAP_PAGE || e->addr >= p->base.max_user_addr)
		return false;
	e->reason = EXIT_FAULT;
	e->bus = e->signo == SIGBUS;
	e->access = e->error_code & ERR_FETCH   ? ACCESS_EXEC
	            : e->error_code & ERR_WRITE ? ACCESS_WRITE
	                                        : ACCESS_READ;
	e->signo = 0;
	e->code = 0;
	return true;
}

/* The host takes some numbers for results of a call to restart (signal(7)), and changes registers
 * that the guest had when it made the call. */
static void undo_restart(struct regs *r, const siginfo_t *info)
{
	const s64 nr = info->si_syscall;

	if (unlikely(nr == -ERESTARTNOINTR))
		r->rip = (u64)info->si_call_addr;
	else if (unlikely(nr == -ERESTARTSYS || nr == -ERESTARTNOHAND ||
	                  nr == -ERESTART_RESTARTBLOCK) &&
	         r->rax == (u64)-EINTR)
		r->rax = (u64)nr;
}

static void get_syscall(const struct st_platform *p, struct regs *r, struct exit_info *e,
                        const siginfo_t *info)
{
	bool native = info->si_code == SYS_SECCOMP_CODE && info->si_arch == AUDIT_ARCH_X86_64;

	/* The vsyscall page and the blob have no calls for guests. */
	if (native && (u64)info->si_call_addr < p->base.max_user_addr) {
		undo_restart(r, info);
		e->reason = EXIT_SYSCALL;
		r->orig_rax = r->rax;
		return;
	}
	/* int 0x80: what a kernel without 32-bit support does. */
	e->reason = EXIT_SIGNAL;
	e->signo = SIGSEGV;
	e->code = SI_KERNEL;
	e->trapno = TRAP_GP;
	if (!native) {
		e->error_code = 0x80 << 3 | 2;
		r->rip -= 2;
	}
}

/* A call that came without a trap. */
static void get_call(struct st_vehicle *v, struct regs *r, struct exit_info *e)
{
	memcpy(r, &v->slot->regs, sizeof(*r));
	r->gs_base = 0;
	v->last = *r;
	r->orig_rax = r->rax;
	memset(e, 0, sizeof(*e));
	e->reason = EXIT_SYSCALL;
}

void st_frame_get(const struct st_platform *p, struct st_vehicle *v, struct regs *r,
                  struct exit_info *e)
{
	const u8 *g = slot_bytes(v) + v->uc_off + UC_GREGS;
	u64 segments;
	siginfo_t info;
	u32 signo = READ_ONCE(v->slot->signo);

	v->by_call = signo == SIGNO_CALL;
	v->fp_saved = false;
	if (v->by_call) {
		get_call(v, r, e);
		return;
	}
	/* The part that all signals have in common with what we look at. */
	memcpy(&info, slot_bytes(v) + v->uc_off - FRAME_UC + FRAME_INFO, INFO_USED);
	r->orig_rax = ~0ull;
#define GET(name, index) memcpy(&r->name, g + (index)*8, 8);
	EACH_GREG(GET)
#undef GET
	r->fs_base = READ_ONCE(v->slot->fs_base);
	v->gs_base = READ_ONCE(v->slot->gs_base);
	r->gs_base = v->gs_base == v->slot_addr ? 0 : v->gs_base;
	if (unlikely(r->rip >= STUB_BASE))
		v->given = v->last;
	v->last = *r;
	memcpy(&segments, g + REG_CSGSFS * 8, sizeof(segments));
	v->odd_segments = segments != USER_CSGSFS;
	memset(e, 0, sizeof(*e));
	if (signo == SIGSYS) {
		get_syscall(p, r, e, &info);
		return;
	}
	/* Numbers of calls that are for the host's own probes pass filters, and fail like this. */
	if (signo == SIGILL && info.si_code == SI_KERNEL) {
		e->reason = EXIT_SYSCALL;
		r->orig_rax = r->rax = NR_URETPROBE;
		return;
	}
	if (signo == SYSTRAP_KICK) {
		e->reason = EXIT_KICK;
		return;
	}
	/* Numbers that no handler stores were written by the guest. */
	if (signo != SIGBUS && signo != SIGFPE && signo != SIGILL && signo != SIGTRAP)
		signo = SIGSEGV;
	e->signo = (int)signo;
	e->code = info.si_code;
	e->addr = (u64)info.si_addr;
	memcpy(&e->trapno, g + REG_TRAPNO * 8, sizeof(e->trapno));
	memcpy(&e->error_code, g + REG_ERR * 8, sizeof(e->error_code));
	if ((signo == SIGSEGV || signo == SIGBUS) && get_fault(p, e))
		return;
	e->reason = EXIT_SIGNAL;
}

static void set_bases(struct st_vehicle *v, const struct regs *r)
{
	u64 gs_base = r->gs_base ? r->gs_base : v->slot_addr;

	if (r->fs_base != v->last.fs_base)
		WRITE_ONCE(v->slot->fs_base, r->fs_base);
	if (gs_base != v->gs_base)
		WRITE_ONCE(v->slot->gs_base, gs_base);
	v->gs_base = gs_base;
}

static void set_go(struct st_vehicle *v, u32 go)
{
	if (v->go != go)
		WRITE_ONCE(v->slot->go, go);
	v->go = go;
}

/* After a call: back the same way, or through the frame, whose registers are old. */
static void set_call(struct st_vehicle *v, const struct regs *r, bool new_fp)
{
	struct regs *to = &v->slot->regs;
	u8 *g = slot_bytes(v) + v->uc_off + UC_GREGS;

	if (unlikely(new_fp || r->gs_base || (r->rflags & RFLAGS_TF))) {
		set_go(v, GO_FRAME | (new_fp || v->fp_saved ? 0 : GO_SAVE));
#define SET(name, index) memcpy(g + (index)*8, &r->name, 8);
		EACH_GREG(SET)
#undef SET
		memcpy(g + REG_RIP * 8, &(u64){st_code_resume(&v->as->code, r->rip)}, 8);
		memcpy(g + REG_CSGSFS * 8, &(u64){USER_CSGSFS}, 8);
		v->last.fs_base = ~r->fs_base;
		v->gs_base = ~0ull;
		set_bases(v, r);
		return;
	}
	set_go(v, r->fs_base == v->last.fs_base ? 0 : GO_FS);
#define SET(name, index)             \
	if (r->name != v->last.name) \
		WRITE_ONCE(to->name, r->name);
	EACH_GREG(SET)
	SET(fs_base, 0)
#undef SET
	if (r->rip != v->last.rip)
		WRITE_ONCE(to->orig_rax, st_code_resume(&v->as->code, r->rip));
}

/* Only what changed: each line written here must move to the guest's core. What else is in the
 * frame may have been spoiled by the guest, but then by and for itself. */
void st_frame_set(struct st_vehicle *v, const struct regs *r, bool new_fp)
{
	u8 *g = slot_bytes(v) + v->uc_off + UC_GREGS;
	u64 resume;

	if (v->by_call) {
		set_call(v, r, new_fp);
		v->last = *r;
		return;
	}
#define SET(name, index)             \
	if (r->name != v->last.name) \
		memcpy(g + (index)*8, &r->name, 8);
	EACH_GREG(SET)
#undef SET
	resume = st_code_resume(&v->as->code, r->rip);
	if (unlikely(resume != r->rip))
		memcpy(g + REG_RIP * 8, &resume, 8);
	/* It went to the 32-bit code segment. */
	if (unlikely(v->odd_segments))
		memcpy(g + REG_CSGSFS * 8, &(u64){USER_CSGSFS}, 8);
	set_bases(v, r);
	v->last = *r;
}

void st_frame_reset(const struct st_platform *p, struct st_vehicle *v, const struct regs *r)
{
	const struct st_pristine *f = p->pristine;
	const u64 stack = v->slot_addr + SLOT_STACK, fp = v->slot_addr + f->fp_off;
	u8 *slot = slot_bytes(v), *uc = slot + f->off + FRAME_UC;

	/* All but the state, which the thread may be looking at. */
	memset(slot + sizeof(u32), 0, f->off - sizeof(u32));
	memcpy(slot + f->off, f->bytes, STUB_SLOT_SIZE - f->off);
	memcpy(uc + UC_STACK, &stack, sizeof(stack));
	memcpy(uc + UC_FPREGS, &fp, sizeof(fp));
#define SET(name, index) memcpy(uc + UC_GREGS + (index)*8, &r->name, 8);
	EACH_GREG(SET)
#undef SET
	v->slot->fs_base = r->fs_base;
	v->slot->gs_base = r->gs_base;
	v->gs_base = r->gs_base;
	/* Wherever in our code it waits. */
	v->slot->frame = v->slot_addr + f->off;
	v->slot->go = v->go = GO_FRAME;
	v->by_call = false;
	v->frame = 0;
	v->spin = 0;
}

void st_frame_get_fp(struct st_platform *p, struct st_vehicle *v, struct fpstate *fp)
{
	fp->size = p->base.fpstate_size;
	memset(fp->data, 0, sizeof(fp->data));
	memcpy(fp->data, slot_bytes(v) + v->fp_off, MIN(fp->size, v->fp_size));
	memset(fp->data + FP_SW, 0, FP_LEGACY - FP_SW);
	fpstate_clean(&p->base, fp);
}

void st_frame_set_fp(struct st_platform *p, struct st_vehicle *v, const struct fpstate *fp)
{
	u8 *area = slot_bytes(v) + v->fp_off;
	u32 magic2 = FPX_MAGIC2;
	struct fpx_sw sw = {
		.magic1 = FPX_MAGIC1,
		.extended_size = v->fp_size + 4,
		.xfeatures = p->base.xfeatures,
		.xstate_size = v->fp_size,
	};

	memcpy(area, fp->data, MIN(fp->size, v->fp_size));
	memcpy(area + FP_SW, &sw, sizeof(sw));
	memcpy(area + v->fp_size, &magic2, sizeof(magic2));
}

/* After a call the state is in the thread's registers: it is to put it into the frame. */
static bool saved(struct st_platform *p, struct st_vehicle *v)
{
	struct exit_info e;
	struct regs regs;

	if (!v->by_call || v->fp_saved)
		return true;
	set_go(v, GO_SAVE);
	st_give(p, v);
	if (!st_await_ms(v, SAVE_MS) || st_frame_take(v) < 0) {
		/* Guest code played with the turn. */
		kill(v->pid, SIGKILL);
		return false;
	}
	/* A kick that came late was faster, and now it waits with a frame. */
	if (unlikely(READ_ONCE(v->slot->signo) != SIGNO_CALL))
		st_frame_get(p, v, &regs, &e);
	else
		v->fp_saved = true;
	return true;
}

void st_fp_pull(struct st_context *c)
{
	struct st_platform *p = st_platform(c->base.platform);

	if (c->fp_state != ST_FP_VEHICLE)
		return;
	if (c->v && !atomic_load(&c->v->dead) && saved(p, c->v))
		st_frame_get_fp(p, c->v, &c->fp);
	else
		fpstate_init(&p->base, &c->fp);
	c->fp_state = ST_FP_BOTH;
}
