#pragma once
/*
 * Traps for states that cannot be. A BUG is our own mistake, never the guest's, an image's or the
 * gofer's: their mistakes are error returns.
 */
#include "state/base/types.h"

/* Logs where and what, then aborts. Takes no lock; may be called anywhere. */
NORETURN void bug_at(const char *file, int line, const char *what);

#define BUG(what) bug_at(__FILE__, __LINE__, what)
#define BUG_ON(cond)                                       \
	do {                                               \
		if (unlikely(cond))                        \
			bug_at(__FILE__, __LINE__, #cond); \
	} while (0)
