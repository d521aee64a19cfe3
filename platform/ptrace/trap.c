/*
 * Reads the x86 error code and exception number behind a signal stop. The host keeps them to itself
 * except in signal frames, so the signal is delivered: on a stack of ours in the stub, to a handler
 * that never runs, because PTRACE_SINGLESTEP stops at its first instruction.
 */
#include "platform/ptrace/ptrace.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/ucontext.h>

static int peek(struct pt_vehicle *v, u64 addr, u64 *ret)
{
	long word;

	errno = 0;
	word = ptrace(PTRACE_PEEKDATA, v->tid, addr, 0);
	if (errno != 0)
		return -ESRCH;
	*ret = (u64)word;
	return 0;
}

int pt_read_trap(struct pt_vehicle *v, int signo, struct pt_trap *ret_trap)
{
	const u64 slot = stub_slot_addr(v->slot);
	struct regs regs = v->last;
	u64 uc, cs;
	int r;

	regs.rsp = slot + STUB_SLOT_SIZE;
	regs.rip = STUB_ADDR(stub_blob_handler);
	/* The guest's own single steps would stop once more. */
	regs.rflags = 0x202;
	r = pt_set_regs(v, &regs);
	if (r < 0)
		return r;
	if (ptrace(PTRACE_SINGLESTEP, v->tid, 0, signo) < 0)
		return -ESRCH;
	r = pt_wait(v);
	if (r < 0)
		return r;
	r = pt_get_regs(v, &regs, &cs);
	if (r < 0)
		return r;
	/* The third argument of the handler. If a stray signal got in between, the guest sees one
	 * more fault. */
	uc = regs.rdx;
	if (uc < slot || uc > slot + STUB_SLOT_SIZE - sizeof(ucontext_t))
		return -EAGAIN;
	r = peek(v, uc + offsetof(ucontext_t, uc_mcontext.gregs[REG_ERR]), &ret_trap->error_code);
	if (r < 0)
		return r;
	return peek(v, uc + offsetof(ucontext_t, uc_mcontext.gregs[REG_TRAPNO]), &ret_trap->trapno);
}
