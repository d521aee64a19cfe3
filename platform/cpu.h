#pragma once
/*
 * The core that the caller runs on, without a call. Locking, lifetime, saved: nothing to say.
 */
/* A segment whose limit is the number of the core (the host's vDSO uses it, too). */
#define CPU_SEGMENT 0x7b
#define CPU_MASK    0xfff

#ifndef __ASSEMBLER__
#include "state/base/types.h"

static inline u32 current_cpu(void)
{
	u32 cpu = CPU_SEGMENT;

	__asm__ volatile("lsl %0, %0" : "+r"(cpu) : : "cc");
	return cpu & CPU_MASK;
}
#endif
