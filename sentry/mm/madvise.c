/* madvise(2), msync(2), mincore(2). */
#include "sentry/mm/mm_impl.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

/* What advice does to the part [start, end) of v, which is one mapping. */
static int advise(struct mm *mm, struct vma *v, u64 start, u64 end, int advice)
{
	switch (advice) {
	case MADV_DONTNEED:
		if (v->flags & VMA_LOCKED)
			return -EINVAL;
		mm_drop_pages_locked(mm, start, end, true);
		return 0;
	case MADV_DONTNEED_LOCKED:
		mm_drop_pages_locked(mm, start, end, true);
		return 0;
	case MADV_FREE:
		/* The guest may find old content or zeros until it writes: zeros are allowed. */
		if (v->mappable || v->flags & VMA_LOCKED)
			return -EINVAL;
		mm_drop_pages_locked(mm, start, end, true);
		return 0;
	case MADV_DONTFORK:
		return mm_set_flag_locked(mm, start, end, VMA_DONTFORK, 0);
	case MADV_DOFORK:
		return mm_set_flag_locked(mm, start, end, 0, VMA_DONTFORK);
	case MADV_WIPEONFORK:
		if (v->mappable)
			return -EINVAL;
		return mm_set_flag_locked(mm, start, end, VMA_WIPEONFORK, 0);
	case MADV_KEEPONFORK:
		return mm_set_flag_locked(mm, start, end, 0, VMA_WIPEONFORK);
	case MADV_DONTDUMP:
		return mm_set_flag_locked(mm, start, end, VMA_DONTDUMP, 0);
	case MADV_DODUMP:
		return mm_set_flag_locked(mm, start, end, 0, VMA_DONTDUMP);
	case MADV_COLD:
	case MADV_PAGEOUT:
		return v->flags & VMA_LOCKED ? -EINVAL : 0;
	case MADV_HUGEPAGE:
		return mm_set_flag_locked(mm, start, end, VMA_HUGE, VMA_SMALL);
	case MADV_NOHUGEPAGE:
		return mm_set_flag_locked(mm, start, end, VMA_SMALL, VMA_HUGE);
	default:
		/* Hints about access order: nothing depends on them. */
		return 0;
	}
}

static int advise_range(struct mm *mm, u64 start, u64 end, int advice)
{
	struct vma *v = vma_from(&mm->vmas, start);
	u64 at = start;
	bool hole = false;
	int r;

	while (at < end) {
		u64 to;

		if (!v || v->start >= end) {
			hole = true;
			break;
		}
		if (v->start > at) {
			hole = true;
			at = v->start;
		}
		to = MIN(v->end, end);
		r = advise(mm, v, at, to, advice);
		if (r < 0)
			return r;
		at = to;
		v = vma_from(&mm->vmas, at);
	}
	return hole ? -ENOMEM : 0;
}

static int populate(struct mm *mm, u64 start, u64 end, u32 access)
{
	struct pma *p;
	int r = 0;

	for (u64 at = start; at < end && r == 0;) {
		struct vma *v;

		/* One run at a time, so that others get at the lock. */
		mm_lock(mm);
		v = vma_find(&mm->vmas, at);
		if (!v)
			r = -ENOMEM;
		else if (!(v->prot & (access == ACCESS_WRITE ? PROT_WRITE : PROT_READ)))
			r = -EINVAL;
		else
			r = mm_get_page_locked(mm, v, at, access, &p);
		if (r == -EIO)
			r = -EFAULT;
		if (r == 0) {
			r = mm_map_range_locked(mm, v, p, at, at, end, false);
			at = MIN(p->end, v->end);
		}
		mm_unlock(mm);
	}
	return r;
}

/* Punching takes every mm's lock, so it runs without ours, a mapping at a time. */
static int remove_content(struct mm *mm, u64 start, u64 end)
{
	u64 at = start;

	while (at < end) {
		AUTO(mappable) m = NULL;
		struct vma *v;
		u64 off, to;
		int r = 0;

		mm_lock(mm);
		v = vma_find(&mm->vmas, at);
		if (!v) {
			r = -ENOMEM;
		} else if (v->flags & VMA_LOCKED || !v->mappable) {
			r = -EINVAL;
		} else if (!(v->flags & VMA_SHARED) || !(v->max_prot & PROT_WRITE)) {
			r = -EACCES;
		} else {
			m = obj_get(v->mappable);
			off = v->off + (at - v->start);
			to = MIN(v->end, end);
		}
		mm_unlock(mm);
		if (r < 0)
			return r;
		if (!mappable_ops_of(m)->punch)
			return -EOPNOTSUPP;
		r = mappable_ops_of(m)->punch(m, off, to - at);
		if (r < 0)
			return r;
		at = to;
	}
	return 0;
}

int mm_madvise(struct mm *mm, u64 addr, u64 len, int advice)
{
	u64 end;
	int r;

	switch (advice) {
	case MADV_NORMAL ... MADV_DONTNEED:
	case MADV_FREE ... MADV_DOFORK:
	case MADV_HUGEPAGE ... MADV_KEEPONFORK:
	case MADV_COLD:
	case MADV_PAGEOUT:
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
	case MADV_DONTNEED_LOCKED:
		break;
	default:
		return -EINVAL;
	}
	if (!IS_ALIGNED(addr, PAGE_SIZE) || (len > 0 && PAGE_UP(len) == 0))
		return -EINVAL;
	end = addr + PAGE_UP(len);
	if (end < addr)
		return -EINVAL;
	if (end == addr)
		return 0;
	/* What no address space has is a hole like any other: it is told after what comes before
	 * it. */
	end = MIN(end, MAX(addr, mm_top(mm)) + PAGE_SIZE);
	if (advice == MADV_POPULATE_READ)
		return populate(mm, addr, end, ACCESS_READ);
	if (advice == MADV_POPULATE_WRITE)
		return populate(mm, addr, end, ACCESS_WRITE);
	if (advice == MADV_REMOVE)
		return remove_content(mm, addr, end);
	mm_lock(mm);
	r = advise_range(mm, addr, end, advice);
	mm_unlock(mm);
	return r;
}

int mm_msync(struct mm *mm, u64 addr, u64 len, int flags)
{
	u64 at = addr, end;
	bool hole = false;

	if (flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) || !IS_ALIGNED(addr, PAGE_SIZE) ||
	    (flags & MS_ASYNC && flags & MS_SYNC))
		return -EINVAL;
	end = addr + PAGE_UP(len);
	if (end < addr)
		return -ENOMEM;
	while (at < end) {
		AUTO(mappable) m = NULL;
		struct vma *v;
		u64 off = 0, to;
		bool locked;

		rwlock_rdlock(&mm->lock);
		v = vma_from(&mm->vmas, at);
		if (!v || v->start >= end) {
			rwlock_unlock(&mm->lock);
			return -ENOMEM;
		}
		hole |= v->start > at;
		at = MAX(at, v->start);
		to = MIN(v->end, end);
		locked = v->flags & VMA_LOCKED;
		if (v->flags & VMA_SHARED) {
			m = obj_get(v->mappable);
			off = v->off + (at - v->start);
		}
		rwlock_unlock(&mm->lock);
		if (flags & MS_INVALIDATE && locked)
			return -EBUSY;
		if (m && flags & MS_SYNC && mappable_ops_of(m)->sync) {
			int r = mappable_ops_of(m)->sync(m, off, to - at);

			if (r < 0)
				return r;
		}
		at = to;
	}
	return hole ? -ENOMEM : 0;
}

int mm_mincore(struct mm *mm, u64 addr, u64 len, u8 *vec)
{
	u64 pages = PAGE_UP(len) / PAGE_SIZE;

	if (!IS_ALIGNED(addr, PAGE_SIZE))
		return -EINVAL;
	if (pages == 0)
		return 0;
	if (!mm_range_valid(mm, addr, pages * PAGE_SIZE))
		return -ENOMEM;
	GUARD_READ(&mm->lock);
	if (!mm_fully_mapped(mm, addr, addr + pages * PAGE_SIZE))
		return -ENOMEM;
	memset(vec, 0, pages);
	/* What a file holds counts as there, touched or not: the host keeps or reads it. */
	for (struct vma *v = vma_from(&mm->vmas, addr); v && v->start < addr + pages * PAGE_SIZE;
	     v = vma_next(v)) {
		u64 lo = MAX(v->start, addr), hi = MIN(v->end, addr + pages * PAGE_SIZE);

		if (v->mappable && !(v->flags & VMA_ANON))
			memset(vec + (lo - addr) / PAGE_SIZE, 1, (hi - lo) / PAGE_SIZE);
	}
	for (struct pma *p = pma_from(&mm->pmas, addr); p && p->start < addr + pages * PAGE_SIZE;
	     p = pma_next(p)) {
		u64 lo = MAX(p->start, addr), hi = MIN(p->end, addr + pages * PAGE_SIZE);

		mm_residency(mm, p, lo, hi, vec + (lo - addr) / PAGE_SIZE);
	}
	return 0;
}
