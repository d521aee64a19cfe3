#pragma once
/*
 * What a guest can't have in its registers.
 *
 * Locking, lifetime, saved: nothing here has state.
 */
#include "platform/platform.h"

#define RFLAGS_FIXED 0x202ull /* the reserved one, and interrupts on */
/* CF PF AF ZF SF TF DF OF NT RF AC ID */
#define RFLAGS_USER   0x254dd5ull
#define RFLAGS_TF     0x100ull
#define USER_BASE_END 0x7ffffffff000ull

static inline void regs_clean(struct regs *r)
{
	r->rflags = (r->rflags & RFLAGS_USER) | RFLAGS_FIXED;
	if (r->fs_base >= USER_BASE_END)
		r->fs_base = 0;
	if (r->gs_base >= USER_BASE_END)
		r->gs_base = 0;
}
