#pragma once
/*
 * What backs ranges now: an ordered set of runs, keyed by guest address (an address space) or by
 * file offset (memory with offsets). Each run holds a reference on its mapfile and a count on each
 * of its pages.
 *
 * Locking: the owner's. Lifetime: embedded in the owner. Saved: by the owner, as page runs.
 */
#include "sentry/mm/mapfile.h"

#include <bsd/sys/cdefs.h>
#include <bsd/sys/tree.h>

struct pma {
	RB_ENTRY(pma) node;
	u64 start, end;
	struct mapfile *mf;
	u64 off;    /* in mf, of start */
	bool cow;   /* copy before anyone writes */
	bool owned; /* content of this address space alone (shared only by cow): must be saved */
};
/* Nobody may write to it as it is. */
static inline bool pma_readonly(const struct pma *p)
{
	return p->cow || !p->mf->writable;
}
RB_HEAD(pma_rb, pma);
struct pma_tree {
	struct pma_rb rb;
};

void pma_tree_init(struct pma_tree *t);
/* The run that holds addr, or NULL. */
struct pma *pma_find(const struct pma_tree *t, u64 addr);
/* The first run that ends above addr, or NULL. */
struct pma *pma_from(const struct pma_tree *t, u64 addr);
struct pma *pma_next(struct pma *p);
struct pma *pma_prev(struct pma *p);
/* Adds [start, end), which must be free; takes over the caller's mapfile reference and page counts.
 * May come back as part of a larger run: the one that holds start. */
struct pma *pma_add(struct pma_tree *t, u64 start, u64 end, struct mapfile *mf, u64 off, bool cow,
                    bool owned);
/* Cuts p at addr, inside it; returns the upper part. */
struct pma *pma_split(struct pma_tree *t, struct pma *p, u64 addr);
/* Makes [start, end) of p, which lies in it, a run of its own. */
struct pma *pma_isolate(struct pma_tree *t, struct pma *p, u64 start, u64 end);
/* Joins p with neighbours that go on where it ends; returns the run that holds it. */
struct pma *pma_merge(struct pma_tree *t, struct pma *p);
/* Takes p out and drops what it holds. */
void pma_drop(struct pma_tree *t, struct pma *p);
/* Empties a range; runs are cut at its ends. */
void pma_drop_range(struct pma_tree *t, u64 start, u64 end);
/* Takes the runs of [start, end) out of t and puts them into to, delta higher. */
void pma_move_range(struct pma_tree *t, u64 start, u64 end, struct pma_tree *to, u64 delta);
/* [*ret_lo, *ret_hi): the part of a range that runs lie in; false if there is none. */
bool pma_span(const struct pma_tree *t, u64 start, u64 end, u64 *ret_lo, u64 *ret_hi);
