#pragma once
/*
 * A set of address ranges: what is mapped in a stub, so that holes cost no call and mprotect never
 * meets one. Neighbours are merged.
 *
 * Locking: the owner's. Lifetime: ranges_init to ranges_finish. Saved: no.
 */
#include "state/base/types.h"

struct range_node;
struct ranges {
	struct range_node *root; /* a sys/tree.h head */
};

void ranges_init(struct ranges *s);
void ranges_finish(struct ranges *s);
/* Adds [start, end). -ENOMEM. */
MUST_CHECK int ranges_add(struct ranges *s, u64 start, u64 end);
/* Takes [start, end) out. -ENOMEM (a range had to be split), and nothing changed. */
MUST_CHECK int ranges_remove(struct ranges *s, u64 start, u64 end);
/* The first part of the set within [start, end): true and its bounds, or false. */
bool ranges_next(const struct ranges *s, u64 start, u64 end, u64 *ret_start, u64 *ret_end);
