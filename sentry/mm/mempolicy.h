#pragma once
/*
 * Where memory is to come from (set_mempolicy(2), mbind(2)) on a machine whose only node is 0: what
 * was asked for is checked, kept and told; all memory is there anyway. And which pages there are.
 *
 * Locking: takes mm->lock. Lifetime, saved: a mapping's policy is in its flags.
 */
#include "sentry/mm/mm.h"

#define MEMPOLICY_KIND 0x1fffu /* of a mode, beside MPOL_F_* */
#define MEMPOLICY_LAST 5u      /* MPOL_PREFERRED_MANY */

#define MEM_NODES     1u
#define MEM_NODES_MAX 1024u /* bits of a node set that a caller may name */

/* A policy as get_mempolicy(2) tells it: MPOL_* and MPOL_F_* in the mode. */
struct mempolicy {
	u32 mode;
	u64 nodes; /* 1: node 0; 0: none, as MPOL_DEFAULT and MPOL_LOCAL have it */
};

/* A mode that set_mempolicy(2) could have left: for those of images. */
static inline bool mempolicy_valid(u32 mode)
{
	return (mode & MEMPOLICY_KIND) <= MEMPOLICY_LAST && mode >> 16 == 0;
}

/* mbind(2) after its arguments were checked. -EFAULT: not all of it is mapped, and p is none. */
MUST_CHECK int mm_mbind(struct mm *mm, u64 start, u64 end, const struct mempolicy *p);
/* That of the mapping at addr; MPOL_DEFAULT if it has none. -EFAULT: nothing is mapped. */
MUST_CHECK int mm_policy_at(struct mm *mm, u64 addr, struct mempolicy *ret);

/* The end of what can be mapped. */
u64 mm_space_end(const struct mm *mm);

enum page_look {
	PAGE_UNMAPPED, /* by no mapping */
	PAGE_ABSENT,
	PAGE_OWN,  /* of this address space alone */
	PAGE_ANON, /* maybe shared with copies of it */
	PAGE_FILE, /* or shared memory */
};
/* The first address at or above addr where there may be a page of any kind; UINT64_MAX: nowhere. */
u64 mm_next_page(struct mm *mm, u64 addr);
/* What is at n pages from addr on, one byte each, at this moment. */
void mm_look(struct mm *mm, u64 addr, u64 n, u8 *ret);
