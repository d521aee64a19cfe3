/* Moves registers and FP state between us and a stopped vehicle. */
#include "platform/fpstate_x86_64.h"
#include "platform/ptrace/ptrace.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#define USER_CS 0x33
#define USER_SS 0x2b
/* The largest XSAVE image of any CPU so far is 11 KiB. */
#define XSTATE_ROOM 16384u

#define EACH_REG(R) \
	R(r15)      \
	R(r14)      \
	R(r13)      \
	R(r12)      \
	R(r11)      \
	R(r10)      \
	R(r9)       \
	R(r8) R(rax) R(rcx) R(rdx) R(rsi) R(rdi) R(rip) R(rsp) R(orig_rax) R(fs_base) R(gs_base)

int pt_get_regs(struct pt_vehicle *v, struct regs *ret_regs, u64 *ret_cs)
{
	struct user_regs_struct u;
	struct iovec io = {&u, sizeof(u)};

	if (ptrace(PTRACE_GETREGSET, v->tid, NT_PRSTATUS, &io) < 0)
		return -ESRCH;
#define COPY(name) ret_regs->name = u.name;
	EACH_REG(COPY)
#undef COPY
	ret_regs->rbp = u.rbp;
	ret_regs->rbx = u.rbx;
	ret_regs->rflags = u.eflags;
	*ret_cs = u.cs;
	v->last = *ret_regs;
	return 0;
}

int pt_set_regs(struct pt_vehicle *v, const struct regs *regs)
{
	struct user_regs_struct u = {.cs = USER_CS, .ss = USER_SS};
	struct iovec io = {&u, sizeof(u)};

#define COPY(name) u.name = regs->name;
	EACH_REG(COPY)
#undef COPY
	u.rbp = regs->rbp;
	u.rbx = regs->rbx;
	u.eflags = regs->rflags;
	/* Not inside a system call: the host has nothing to restart. */
	u.orig_rax = ~0ull;
	if (ptrace(PTRACE_SETREGSET, v->tid, NT_PRSTATUS, &io) < 0)
		return -ESRCH;
	v->last = *regs;
	return 0;
}

int pt_get_fp(struct pt_platform *p, struct pt_vehicle *v, struct fpstate *ret_fp)
{
	u8 room[XSTATE_ROOM] __attribute__((aligned(64)));
	struct iovec io = {room, sizeof(room)};

	if (ptrace(PTRACE_GETREGSET, v->tid, NT_X86_XSTATE, &io) < 0)
		return -ESRCH;
	/* Set wants exactly as many bytes as get gives. */
	atomic_store(&p->xstate_size, (u32)io.iov_len);
	ret_fp->size = p->base.fpstate_size;
	memset(ret_fp->data, 0, sizeof(ret_fp->data));
	memcpy(ret_fp->data, room, MIN((size_t)ret_fp->size, io.iov_len));
	fpstate_clean(&p->base, ret_fp);
	return 0;
}

int pt_set_fp(struct pt_platform *p, struct pt_vehicle *v, const struct fpstate *fp)
{
	u8 room[XSTATE_ROOM] __attribute__((aligned(64)));
	struct iovec io = {room, sizeof(room)};
	u32 size = atomic_load(&p->xstate_size);

	if (size == 0) {
		if (ptrace(PTRACE_GETREGSET, v->tid, NT_X86_XSTATE, &io) < 0)
			return -ESRCH;
		size = (u32)io.iov_len;
		atomic_store(&p->xstate_size, size);
	}
	io.iov_len = size;
	memset(room, 0, size);
	memcpy(room, fp->data, MIN(fp->size, size));
	if (ptrace(PTRACE_SETREGSET, v->tid, NT_X86_XSTATE, &io) < 0)
		return errno == ESRCH ? -ESRCH : -EINVAL;
	return 0;
}

int pt_wait(struct pt_vehicle *v)
{
	int status;
	pid_t r;

	do
		r = waitpid(v->tid, &status, __WALL);
	while (r < 0 && errno == EINTR);
	if (r == v->tid && WIFSTOPPED(status))
		return status;
	pt_vehicle_died(v);
	return -ESRCH;
}
