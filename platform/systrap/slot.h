#pragma once
/*
 * A guest thread's slot: memory that the thread and the sentry share. The first page holds the
 * words below, the rest is the thread's signal stack, where the host's kernel puts the frames that
 * carry the guest's registers. Included by guest.S.
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
#define SLOT_SCRATCH 256
#define SLOT_STACK   0x1000

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
struct slot {
	u32 state;
	u32 signo;
	u64 frame;
	u64 fs_base;
	u64 gs_base;
	u32 spin;
	u32 cpu;
	u32 edits;
};
LAYOUT_IS(slot, state, SLOT_STATE);
LAYOUT_IS(slot, signo, SLOT_SIGNO);
LAYOUT_IS(slot, frame, SLOT_FRAME);
LAYOUT_IS(slot, fs_base, SLOT_FS_BASE);
LAYOUT_IS(slot, gs_base, SLOT_GS_BASE);
LAYOUT_IS(slot, spin, SLOT_SPIN);
LAYOUT_IS(slot, cpu, SLOT_CPU);
LAYOUT_IS(slot, edits, SLOT_EDITS);
#endif
