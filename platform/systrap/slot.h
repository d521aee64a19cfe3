#pragma once
/*
 * A guest thread's slot: memory that the thread and the sentry share. The first page holds the
 * words below, the rest is the thread's signal stack, where the host's kernel puts the frames that
 * carry the guest's registers. Included by guest.S.
 *
 * Everything in a slot is hostile to the sentry: guest code can write all of it at any time.
 */
#include "platform/stub/layout.h"

#define SLOT_STATE         0  /* futex word: whose turn it is */
#define SLOT_STUB_SLEEPS   4  /* the guest thread waits in a futex for its turn */
#define SLOT_SENTRY_SLEEPS 64 /* the sentry thread does */
#define SLOT_SPIN          68 /* how often the guest thread looks before it sleeps */
#define SLOT_SIGNO         128
#define SLOT_FRAME         136 /* address of the signal frame */
#define SLOT_FS_BASE       144
#define SLOT_GS_BASE       152
#define SLOT_STACK         0x1000

#define TURN_SENTRY 1
#define TURN_GUEST  2
#define TURN_DEAD   3

#define SYSTRAP_KICK 12 /* SIGUSR2: nothing else sends signals to stubs */

#ifndef __ASSEMBLER__
struct slot {
	u32 state;
	u32 stub_sleeps;
	u32 pad1[14];
	u32 sentry_sleeps;
	u32 spin;
	u32 pad2[14];
	u32 signo;
	u32 pad3;
	u64 frame;
	u64 fs_base;
	u64 gs_base;
};
LAYOUT_IS(slot, state, SLOT_STATE);
LAYOUT_IS(slot, stub_sleeps, SLOT_STUB_SLEEPS);
LAYOUT_IS(slot, sentry_sleeps, SLOT_SENTRY_SLEEPS);
LAYOUT_IS(slot, spin, SLOT_SPIN);
LAYOUT_IS(slot, signo, SLOT_SIGNO);
LAYOUT_IS(slot, frame, SLOT_FRAME);
LAYOUT_IS(slot, fs_base, SLOT_FS_BASE);
LAYOUT_IS(slot, gs_base, SLOT_GS_BASE);
#endif
