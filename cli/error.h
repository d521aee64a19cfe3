#pragma once
/*
 * One line for the user: what failed, on what, why, what to do. Functions of cli/ that can fail
 * return negative and set it; success never touches it.
 *
 * Locking: none. Lifetime: struct error is its caller's. Saved: no.
 */
#include "state/base/types.h"

struct error {
	char *text; /* malloc'd, without "stasis: " and newline; NULL: none yet */
	bool usage; /* the command line was wrong: exit status 2 */
};

/* Both always return -1, and keep the first text if there is one. */
PRINTF(2, 3) int error_set(struct error *err, const char *fmt, ...);
PRINTF(2, 3) int error_usage(struct error *err, const char *fmt, ...);
void error_finish(struct error *err);
