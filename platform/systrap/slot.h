#pragma once
/*
 * A guest thread's slot: memory that the thread and the sentry share. The first page holds the
 * words below, the rest is the thread's signal stack, where the host's kernel puts the frames that
 * carry the guest's registers. While the guest runs, its gs base is the slot, unless it wants
 * another. Included by guest.S.
 *
 * Everything in a slot is hostile to the sentry: guest code can write all of it at any time.
 */
#include "platform/cpu.h"
#include "platform/stub/layout.h"

/* One cache line: each hand-over moves it from core to core once. */
#define SLOT_STATE   0 /* futex word: whose turn it is */
#define SLOT_SIGNO   4
#define SLOT_FRAME   8 /* address of the signal frame */
#define SLOT_FS_BASE 16
#define SLOT_GS_BASE 24
#define SLOT_SPIN    32 /* how often the guest thread looks before it sleeps */
#define SLOT_CPU     36 /* where it ran when it handed over */
#define SLOT_EDITS   40 /* not 0: the control page has edits to make first */
#define SLOT_GO      44 /* how a thread goes on that came by a call: GO_* */
#define SLOT_FP      48 /* address of the FP state in the frame */
#define SLOT_FP_MASK 56 /* what XSAVE is to put there */
#define SLOT_REGS    64 /* struct regs of a thread that came by a call */
#define SLOT_SCRATCH 256
#define SLOT_CALL_SP 0xff0 /* a call's stack ends here; not on the signal stack */
#define SLOT_STACK   0x1000

/* Where the thread goes on after a call, in the place of orig_rax. */
#define SLOT_RESUME SLOT_REG(15)
#define SLOT_REG(i) (SLOT_REGS + 8 * (i))

/* The signal of a thread that came by a call. */
#define SIGNO_CALL 0

#define GO_FS    1 /* the base of fs is another */
#define GO_SAVE  2 /* put the FP state into the frame, */
#define GO_FRAME 4 /* then return to what is in the frame; without this: give the turn back */

/* Values of the state. Who is about to sleep adds TURN_SLEEPS, by compare and exchange; who hands
 * over exchanges the whole word, and wakes the other if it was there. Whose turn it is, is in the
 * low byte. */
#define TURN_SENTRY 1
#define TURN_GUEST  2
#define TURN_SLEEPS 0x100
/* The sentry's turn will take long. */
#define TURN_REST 0x200

#define SYSTRAP_KICK 12 /* SIGUSR2: nothing else sends signals to stubs */

#ifndef __ASSEMBLER__
#include "platform/platform.h"

struct slot {
	u32 state;
	u32 signo;
	u64 frame;
	u64 fs_base;
	u64 gs_base;
	u32 spin;
	u32 cpu;
	u32 edits;
	u32 go;
	u64 fp;
	u64 fp_mask;
	struct regs regs;
};
LAYOUT_IS(slot, state, SLOT_STATE);
LAYOUT_IS(slot, signo, SLOT_SIGNO);
LAYOUT_IS(slot, frame, SLOT_FRAME);
LAYOUT_IS(slot, fs_base, SLOT_FS_BASE);
LAYOUT_IS(slot, gs_base, SLOT_GS_BASE);
LAYOUT_IS(slot, spin, SLOT_SPIN);
LAYOUT_IS(slot, cpu, SLOT_CPU);
LAYOUT_IS(slot, edits, SLOT_EDITS);
LAYOUT_IS(slot, go, SLOT_GO);
LAYOUT_IS(slot, fp, SLOT_FP);
LAYOUT_IS(slot, fp_mask, SLOT_FP_MASK);
LAYOUT_IS(slot, regs, SLOT_REGS);
LAYOUT_IS(slot, regs.orig_rax, SLOT_RESUME);
_Static_assert(SLOT_REGS + sizeof(struct regs) <= SLOT_SCRATCH, "it has its own place");
#endif
