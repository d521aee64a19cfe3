#include "sentry/mm/mempolicy.h"
#include "sentry/mm/mm_impl.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <string.h>

#define MODE_FLAGS_SHIFT 13 /* MPOL_F_NUMA_BALANCING is the lowest of the three */

static u32 to_flags(const struct mempolicy *p)
{
	u32 mode = p->mode & ((1u << MODE_FLAGS_SHIFT) - 1);

	if (p->mode == MPOL_DEFAULT)
		return 0;
	return (mode + 1) << VMA_POLICY_MODE_SHIFT | (p->mode >> MODE_FLAGS_SHIFT & 7u)
	                                                     << (VMA_POLICY_MODE_SHIFT + 4);
}

static struct mempolicy of_flags(u32 flags)
{
	u32 mode = (flags & VMA_POLICY_MODE) >> VMA_POLICY_MODE_SHIFT;
	struct mempolicy p = {0};

	if (mode == 0)
		return p;
	p.mode = (mode - 1) | (flags & VMA_POLICY_FLAGS) >> (VMA_POLICY_MODE_SHIFT + 4)
	                                                            << MODE_FLAGS_SHIFT;
	p.nodes = mode - 1 == MPOL_LOCAL ? 0 : 1;
	return p;
}

int mm_mbind(struct mm *mm, u64 start, u64 end, const struct mempolicy *p)
{
	struct vma *v;
	int r;

	if (!mm_range_valid(mm, start, end - start))
		return -EFAULT;
	mm_lock(mm);
	v = vma_from(&mm->vmas, start);
	/* Taking policies away passes over holes, if there is anything at all. */
	if (p->mode == MPOL_DEFAULT ? !v || v->start >= end : !mm_fully_mapped(mm, start, end))
		r = -EFAULT;
	else
		r = mm_set_flag_locked(mm, start, end, to_flags(p),
		                       VMA_POLICY_MODE | VMA_POLICY_FLAGS);
	mm_unlock(mm);
	return r;
}

int mm_policy_at(struct mm *mm, u64 addr, struct mempolicy *ret)
{
	struct vma *v;
	GUARD_READ(&mm->lock);

	v = vma_find(&mm->vmas, addr);
	if (!v)
		return -EFAULT;
	*ret = of_flags(v->flags);
	return 0;
}

u64 mm_space_end(const struct mm *mm)
{
	return mm_top(mm);
}

u64 mm_next_page(struct mm *mm, u64 addr)
{
	struct pma *p;
	GUARD_READ(&mm->lock);

	p = pma_from(&mm->pmas, addr);
	return p ? MAX(p->start, addr) : UINT64_MAX;
}

/* The pages of p, which is in v, that there are. */
static void look_run(struct mm *mm, const struct vma *v, const struct pma *p, u64 lo, u64 hi,
                     u8 *ret)
{
	u8 what = v->mappable && !p->owned ? PAGE_FILE : p->owned && !p->cow ? PAGE_OWN : PAGE_ANON;

	mm_residency(mm, p, lo, hi, ret);
	for (u64 i = 0; i < (hi - lo) / PAGE_SIZE; i++)
		ret[i] = ret[i] ? what : PAGE_ABSENT;
}

void mm_look(struct mm *mm, u64 addr, u64 n, u8 *ret)
{
	u64 end = addr + n * PAGE_SIZE;
	GUARD_READ(&mm->lock);

	memset(ret, PAGE_UNMAPPED, n);
	for (struct vma *v = vma_from(&mm->vmas, addr); v && v->start < end; v = vma_next(v)) {
		u64 lo = MAX(v->start, addr), hi = MIN(v->end, end);

		memset(ret + (lo - addr) / PAGE_SIZE, PAGE_ABSENT, (hi - lo) / PAGE_SIZE);
		for (struct pma *p = pma_from(&mm->pmas, lo); p && p->start < hi; p = pma_next(p)) {
			u64 from = MAX(p->start, lo);

			look_run(mm, v, p, from, MIN(p->end, hi), ret + (from - addr) / PAGE_SIZE);
		}
	}
}
