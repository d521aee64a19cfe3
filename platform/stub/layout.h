#pragma once
/*
 * Where things are in a stub, and what the control pages look like. Included by blob.S, which is
 * why the first half is plain numbers; the structures assert that both halves agree.
 *
 * Locking, lifetime, saved: nothing here has state.
 */

/* Everything from STUB_BASE up is ours; a guest has what is below. */
#define STUB_BASE      0x7fffc0000000
#define STUB_BLOB_SIZE 0x4000
#define STUB_CTRL      0x7fffc0004000 /* the stub's control page, read-only there */
#define STUB_TEMPLATE  0x7fffc0005000 /* the template's page; a stub unmaps it when it starts */
#define STUB_END       0x7fffc0006000
/* Code that the platform makes for one address space, read-only there; may be absent. Jumps reach
 * two GiB: what lies elsewhere than libraries do has the second place. */
#define STUB_CODE      0x7fffc0010000
#define STUB_CODE_LOW  0x10000
#define STUB_CODE_SIZE 0x10000
#define STUB_USER_MIN  0x20000
#define STUB_HOST_END  0x7ffffffff000 /* the last page of the 47-bit space is never used */
/* Per-thread memory that guest code may write. */
#define STUB_SLOTS     0x7fffd0000000
#define STUB_SLOT_SIZE 0x4000
#define STUB_MAX_SLOTS 0x8000

/* getpmsg: reserved, and never implemented by any kernel. */
#define STUB_REPORT_NR 181

#define STUB_MAX_CALLS   31
#define STUB_MAX_QUEUED  15 /* of which edits that wait for a request */
#define CTRL_N_CALLS     0
#define CTRL_CALLS       64
#define CTRL_CALL_SIZE   64
#define CTRL_PROG        2048
#define CTRL_NAME        2064
#define CTRL_PPID        2080
#define CTRL_FILTER      2112
#define CTRL_MAX_INSNS   64
#define CTRL_GUEST_PROG  2624
#define CTRL_GUEST_INSNS 100
#define CTRL_N_EDITS     3456
#define CTRL_EDITS       3520
#define CTRL_EDIT_SIZE   32
#define EDIT_UNMAP       -1

#define TPL_SEQ      0
#define TPL_DONE     4
#define TPL_PID      8
#define TPL_LISTENER 12
#define TPL_CTRL_FD  16
#define TPL_OFFSET   24

#ifndef __ASSEMBLER__
#include "state/base/types.h"

#include <linux/filter.h>

struct stub_call {
	u64 nr;
	u64 arg[6];
	u64 pad;
};

/* munmap(addr, len), or mprotect(addr, len, prot). */
struct stub_edit {
	u64 addr, len;
	s64 prot; /* EDIT_UNMAP: munmap */
	u64 pad;
};

struct stub_ctrl {
	u32 n_calls;
	u32 pad[15];
	struct stub_call calls[STUB_MAX_CALLS];
	struct sock_fprog prog; /* the stub's filter, at its address in the stub */
	char name[16];
	u64 ppid;
	u64 pad2[3];
	struct sock_filter filter[CTRL_MAX_INSNS];
	struct sock_fprog guest_prog; /* what a guest thread adds to it, likewise */
	struct sock_filter guest_filter[CTRL_GUEST_INSNS];
	u64 pad3[2];
	u32 n_edits; /* what a guest thread does before it goes on, if its slot says so */
	u32 pad4[15];
	struct stub_edit edits[STUB_MAX_QUEUED];
};

/* Written by the template and by a stub that starts, one at a time; neither runs guest code. */
struct stub_template_page {
	u32 seq;  /* a request: the next number */
	u32 done; /* 1 each from the template and the new stub */
	s32 pid;  /* from the template: the stub or -errno */
	s32 listener;
	s32 ctrl_fd;
	u32 pad;
	u64 offset; /* of the new stub's control page in ctrl_fd */
};

#define LAYOUT_IS(T, field, off) _Static_assert(offsetof(struct T, field) == (off), #field)
LAYOUT_IS(stub_ctrl, n_calls, CTRL_N_CALLS);
LAYOUT_IS(stub_ctrl, calls, CTRL_CALLS);
LAYOUT_IS(stub_ctrl, prog, CTRL_PROG);
LAYOUT_IS(stub_ctrl, name, CTRL_NAME);
LAYOUT_IS(stub_ctrl, ppid, CTRL_PPID);
LAYOUT_IS(stub_ctrl, filter, CTRL_FILTER);
LAYOUT_IS(stub_ctrl, guest_prog, CTRL_GUEST_PROG);
LAYOUT_IS(stub_ctrl, n_edits, CTRL_N_EDITS);
LAYOUT_IS(stub_ctrl, edits, CTRL_EDITS);
LAYOUT_IS(stub_template_page, seq, TPL_SEQ);
LAYOUT_IS(stub_template_page, done, TPL_DONE);
LAYOUT_IS(stub_template_page, pid, TPL_PID);
LAYOUT_IS(stub_template_page, listener, TPL_LISTENER);
LAYOUT_IS(stub_template_page, ctrl_fd, TPL_CTRL_FD);
LAYOUT_IS(stub_template_page, offset, TPL_OFFSET);
_Static_assert(sizeof(struct stub_call) == CTRL_CALL_SIZE, "blob.S steps by it");
_Static_assert(sizeof(struct stub_edit) == CTRL_EDIT_SIZE, "guest.S steps by it");
_Static_assert(sizeof(struct stub_ctrl) <= PAGE_SIZE, "one page");
#endif
