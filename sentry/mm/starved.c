/* What want of memory looks like from an address space. */
#include "sentry/mm/memfile.h"
#include "sentry/mm/mm_impl.h"
#include "state/base/cleanup.h"

#include <errno.h>

int mm_starved_at(struct mm *mm, u64 addr)
{
	struct memfile *mf;
	struct pma *p;
	GUARD_READ(&mm->lock);

	p = pma_find(&mm->pmas, addr);
	mf = p ? memfile_of(p->mf) : NULL;
	if (!mf)
		return -EFAULT;
	/* The memory file is never cut: only the host can be the reason. */
	return memfile_commit(mf, p->off + (PAGE_DOWN(addr) - p->start), PAGE_SIZE);
}

u64 mm_count(void)
{
	return atomic_load_explicit(mm_type.live, memory_order_relaxed);
}

u32 mm_map_count(const struct mm *mm)
{
	return READ_ONCE(mm->vmas.count);
}
