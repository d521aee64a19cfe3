#pragma once
/*
 * Pages that left an address space, but that a hostile guest may still reach until the platform has
 * made its queued edits (aspace_unmap_soon): they keep their counts here so that nobody gets them
 * before.
 *
 * Locking: the mm's, for writing. Lifetime: embedded in the mm; empty when it has no aspace.
 * Saved: no, it holds nothing of the guest's.
 */
#include "sentry/mm/pma.h"

#include <bsd/sys/queue.h>

struct aspace;
struct limbo_run;
struct limbo {
	STAILQ_HEAD(, limbo_run) runs; /* in the order of their tickets */
};

void limbo_init(struct limbo *l);
/* Takes the runs of [start, end) out of t until ticket is settled. They don't reach over its ends.
 */
void limbo_take(struct limbo *l, struct pma_tree *t, u64 start, u64 end, u64 ticket);
/* Drops the pages whose tickets as has settled; as NULL: all, the aspace is gone. */
void limbo_reap(struct limbo *l, struct aspace *as);
