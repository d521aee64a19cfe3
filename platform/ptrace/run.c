/* Running a vehicle until the guest needs its kernel. */
#include "platform/placement.h"
#include "platform/fpstate_x86_64.h"
#include "platform/ptrace/ptrace.h"
#include "platform/regs_x86_64.h"

#include <errno.h>
#include <linux/audit.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SYSCALL_STOP (SIGTRAP | 0x80)
#define X86_PF       14
#define PF_WRITE     2u
#define PF_INSTR     16u
#define USER_CS      0x33

int pt_fp_pull(struct pt_context *c)
{
	struct pt_platform *p = pt_platform(c->base.platform);

	if (c->fp_state != PT_FP_VEHICLE)
		return 0;
	/* Nothing is left of the state of a vehicle that was killed. */
	if (!c->current || pt_get_fp(p, c->current, &c->fp) < 0)
		fpstate_init(&p->base, &c->fp);
	c->fp_state = c->current ? PT_FP_BOTH : PT_FP_CACHE;
	return 0;
}

void pt_kick(struct context *base)
{
	struct pt_context *c = pt_context(base);
	GUARD(&c->kick_lock);

	c->kicked = true;
	/* Under the lock, so that the ids are still the vehicle's. */
	if (c->running_tid)
		syscall(SYS_tgkill, c->running_pid, c->running_tid, PT_KICK);
}

/* True if a kick came before; otherwise kicks from here on reach v. */
static bool begin(struct pt_context *c, struct pt_vehicle *v)
{
	bool kicked;
	GUARD(&c->kick_lock);

	kicked = c->kicked;
	c->kicked = false;
	if (!kicked) {
		c->running_pid = v->pid;
		c->running_tid = v->tid;
	}
	return kicked;
}

static bool take_kick(struct pt_context *c)
{
	bool kicked;
	GUARD(&c->kick_lock);

	kicked = c->kicked;
	c->kicked = false;
	c->running_tid = 0;
	return kicked;
}

static bool is_kicked(struct pt_context *c)
{
	GUARD(&c->kick_lock);

	return c->kicked;
}

static int on_fault(struct pt_context *c, struct pt_vehicle *v, const siginfo_t *si,
                    struct exit_info *e)
{
	const struct pt_platform *p = pt_platform(c->base.platform);
	struct pt_trap trap;
	int r;

	e->reason = EXIT_SIGNAL;
	e->signo = si->si_signo;
	e->code = si->si_code;
	e->addr = (u64)si->si_addr;
	/* Only the x86 error code tells a read from a write from a fetch. */
	r = pt_fp_pull(c);
	if (r < 0)
		return r;
	c->fp_state = PT_FP_CACHE;
	r = pt_read_trap(v, si->si_signo, &trap);
	if (r < 0)
		return r;
	e->trapno = (u32)trap.trapno;
	e->error_code = trap.error_code;
	if (trap.trapno != X86_PF || e->addr >= p->base.max_user_addr)
		return 0;
	e->reason = EXIT_FAULT;
	e->bus = si->si_signo == SIGBUS;
	e->access = trap.error_code & PF_INSTR   ? ACCESS_EXEC
	            : trap.error_code & PF_WRITE ? ACCESS_WRITE
	                                         : ACCESS_READ;
	return 0;
}

/* A system call stop. int 0x80 and the calls of 32-bit code segments are not for our guests: what a
 * kernel without support for them would do. */
static int on_syscall(struct pt_vehicle *v, struct regs *regs, u64 cs, struct exit_info *e)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, v->tid, sizeof(info), &info) < 0)
		return -ESRCH;
	if (cs == USER_CS && info.arch == AUDIT_ARCH_X86_64) {
		e->reason = EXIT_SYSCALL;
		regs->rax = regs->orig_rax;
		return 0;
	}
	e->reason = EXIT_SIGNAL;
	e->signo = SIGSEGV;
	e->code = SI_KERNEL;
	e->trapno = 13;
	e->error_code = 0x80 << 3 | 2;
	regs->rip -= 2;
	regs->rax = regs->orig_rax;
	regs->orig_rax = ~0ull;
	return 0;
}

static int on_signal(struct pt_context *c, struct pt_vehicle *v, int signo, struct exit_info *e)
{
	siginfo_t si;

	if (ptrace(PTRACE_GETSIGINFO, v->tid, 0, &si) < 0)
		return -ESRCH;
	/* Sent by somebody on the host: not the guest's business. */
	if (si.si_code <= 0 || si.si_signo != signo)
		return -EAGAIN;
	switch (signo) {
	case SIGSEGV:
	case SIGBUS:
	case SIGFPE:
	case SIGILL:
	case SIGTRAP:
		return on_fault(c, v, &si, e);
	case SIGSYS:
		/* The host emulates the vsyscall page past PTRACE_SYSEMU; our filter stops it. */
		e->reason = EXIT_SIGNAL;
		e->signo = SIGSEGV;
		e->code = SI_KERNEL;
		e->trapno = 13;
		return 0;
	default:
		return -EAGAIN;
	}
}

/* What a stop means: 0 and *e, -EINTR for a kick, or -EAGAIN: go on. */
static int on_stop(struct pt_context *c, struct pt_vehicle *v, int status, struct regs *regs,
                   struct exit_info *e)
{
	int signo = status >> 8 & 0xff;
	u64 cs;
	int r;

	r = pt_get_regs(v, regs, &cs);
	if (r < 0)
		return r;
	if (signo == SYSCALL_STOP)
		return on_syscall(v, regs, cs, e);
	regs->orig_rax = ~0ull;
	/* A kick of an earlier switch, which ended for another reason, may arrive only now. */
	if (status >> 16 != 0 || signo == PT_KICK)
		return is_kicked(c) ? -EINTR : -EAGAIN;
	return on_signal(c, v, signo, e);
}

static int prepare(struct pt_context *c, struct pt_vehicle *v, const struct regs *regs)
{
	int r;

	if (c->current != v) {
		r = pt_fp_pull(c);
		if (r < 0)
			return r;
		c->current = v;
		c->fp_state = PT_FP_CACHE;
	}
	if (c->fp_state == PT_FP_CACHE) {
		r = pt_set_fp(pt_platform(c->base.platform), v, &c->fp);
		if (r < 0)
			return r;
		c->fp_state = PT_FP_BOTH;
	}
	return pt_set_regs(v, regs);
}

static _Thread_local u32 self_placed = PLACEMENT_UNKNOWN;

static int run(struct pt_context *c, struct pt_vehicle *v, struct regs *regs, struct exit_info *e)
{
	struct placement want;
	int r;

	do {
		r = prepare(c, v, regs);
		if (r < 0)
			return r;
		c->fp_state = PT_FP_VEHICLE;
		want = placement_next(PLACEMENT_NOWHERE);
		placement_apply(want.self, 0, &self_placed);
		placement_apply(want.stub, v->tid, &v->placed);
		if (ptrace(PTRACE_SYSEMU, v->tid, 0, 0) < 0)
			return -ESRCH;
		r = pt_wait(v);
		if (r < 0)
			return r;
		r = on_stop(c, v, r, regs, e);
	} while (r == -EAGAIN);
	if (r == -EINTR) {
		e->reason = EXIT_KICK;
		r = 0;
	}
	return r;
}

int pt_switch(struct context *base, struct aspace *as, struct regs *regs,
              struct exit_info *ret_exit)
{
	struct pt_context *c = pt_context(base);
	struct exit_info e = {0};
	struct regs work = *regs;
	struct pt_vehicle *v;
	int r;

	regs_clean(&work);
	r = pt_vehicle_get(c, pt_aspace(as), &v);
	if (r == 0) {
		if (begin(c, v)) {
			e.reason = EXIT_KICK;
			work.orig_rax = ~0ull;
		} else {
			r = run(c, v, &work, &e);
			(void)take_kick(c);
		}
	}
	if (r == -ESRCH) {
		e.reason = EXIT_DEAD;
		work = *regs;
		r = 0;
	}
	if (r < 0)
		return r;
	*regs = work;
	*ret_exit = e;
	return 0;
}
