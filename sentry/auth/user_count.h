#pragma once
/*
 * What a user (real uid) has taken of things that are limited for each user, whichever processes he
 * took them with.
 *
 * Locking: a lock of its own (RANK_LEAF). Lifetime: a user is known while he has anything. Saved:
 * no; whoever holds something that counts remembers whose it is, and counts it again when it is
 * loaded.
 */
#include "state/base/types.h"

enum user_count {
	USER_SIGNALS, /* RLIMIT_SIGPENDING: queued signals, and timers, which may queue one */
	USER_COUNTS,
};

/* n more, if that makes no more than max. False: too many, nothing is counted. */
MUST_CHECK bool user_charge(u32 uid, enum user_count what, u64 n, u64 max);
/* n more, whatever the limit: what was there before a load, or may not fail. */
void user_add(u32 uid, enum user_count what, u64 n);
void user_sub(u32 uid, enum user_count what, u64 n);
u64 user_has(u32 uid, enum user_count what);
