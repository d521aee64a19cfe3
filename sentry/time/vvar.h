#pragma once
/*
 * The data page of the vDSO: a straight line from the TSC to the guest's clocks, and how it is
 * read. Shared by the sentry (time/fastclock.c) and the guest's code (loader/vdso/vdso_code.c),
 * which an image takes along to sentries of later builds: fields are only ever appended, and none
 * changes its meaning.
 *
 * Locking: a sequence count; one writer. Lifetime: the page's. Saved: never; a restore shows the
 * new machine's page at the same address.
 */
#include <stdbool.h>
#include <stdint.h>

struct vvar {
	/* Odd while the rest changes. Starts at random, so that a reader that was frozen half way
	 * and wakes on another machine sees a change. */
	uint64_t seq;
	uint64_t tsc_base;  /* where the line begins */
	uint64_t tsc_span;  /* ticks for which it holds; 0: not at all, ask the kernel */
	uint64_t mult;      /* ns per 2^32 ticks */
	uint64_t mono_base; /* guest CLOCK_MONOTONIC at tsc_base, ns */
	int64_t real_off;   /* CLOCK_REALTIME - CLOCK_MONOTONIC, ns */
};

/* No instruction before it is still under way when the counter is read. */
static inline uint64_t vvar_tsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("lfence\n\trdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

static inline uint64_t vvar_at(uint64_t ticks, uint64_t mult, uint64_t base)
{
	return base + (uint64_t)((unsigned __int128)ticks * mult >> 32);
}

#define VVAR_LOAD(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

/* False: the line does not hold now. */
static inline bool vvar_read(const volatile struct vvar *v, uint64_t *ret_mono,
                             int64_t *ret_real_off)
{
	for (int i = 0; i < 8; i++) {
		uint64_t seq = VVAR_LOAD(v->seq), ticks, span, mult, base;
		int64_t off;

		if (seq & 1)
			return false;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		ticks = vvar_tsc() - VVAR_LOAD(v->tsc_base);
		span = VVAR_LOAD(v->tsc_span);
		mult = VVAR_LOAD(v->mult);
		base = VVAR_LOAD(v->mono_base);
		off = VVAR_LOAD(v->real_off);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (VVAR_LOAD(v->seq) != seq)
			continue;
		/* Also when the counter stands before the base. */
		if (ticks >= span)
			return false;
		*ret_mono = vvar_at(ticks, mult, base);
		*ret_real_off = off;
		return true;
	}
	return false;
}
