#pragma once
/*
 * Free runs of the memory file: which page ranges are nobody's, and whether they still hold old
 * content (dirty) or read as zeros (clean).
 *
 * Locking: the caller's. Lifetime: embedded in the memory file. Saved: no.
 */
#include "state/base/types.h"

#include <bsd/sys/cdefs.h>
#include <bsd/sys/tree.h>

struct free_run {
	RB_ENTRY(free_run) by_off;
	RB_ENTRY(free_run) by_size;
	u64 off, len;
	bool dirty;
};
RB_HEAD(free_by_off, free_run);
RB_HEAD(free_by_size, free_run);

struct free_space {
	struct free_by_off runs;
	struct free_by_size sized[2]; /* by dirty */
	u64 bump;                     /* nothing at or above it was ever handed out */
	u64 end;
	_Atomic u64 dirty_bytes; /* read without the lock by who only guesses */
};

void free_space_init(struct free_space *fs, u64 end);
void free_space_finish(struct free_space *fs);
/* Takes len bytes, at an offset that is phase modulo align if that is not 0; -ENOMEM. */
MUST_CHECK int free_space_take_clean(struct free_space *fs, u64 len, u64 align, u64 phase,
                                     u64 *ret_off);
/* Takes len bytes of old content; -ENOMEM if there is no such run. */
MUST_CHECK int free_space_take_dirty(struct free_space *fs, u64 len, u64 *ret_off);
void free_space_add(struct free_space *fs, u64 off, u64 len, bool dirty);
/* Takes at most max bytes of the largest dirty run; false if there is none. */
bool free_space_pop_dirty(struct free_space *fs, u64 max, u64 *ret_off, u64 *ret_len);
