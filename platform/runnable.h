#pragma once
/*
 * How many guest threads want a core, for platforms that may spin.
 *
 * Locking: none, relaxed; a stale value costs time only. Lifetime: the process. Saved: no.
 */
#include "state/base/types.h"

extern atomic_int g_runnable;

static inline int platform_runnable(void)
{
	return atomic_load_explicit(&g_runnable, memory_order_relaxed);
}
