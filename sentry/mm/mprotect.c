/* mprotect(2), mlock(2): changes of attributes of what is mapped. */
#include "sentry/mm/mm_impl.h"

#include <errno.h>
#include <sys/mman.h>

/* Brings the guest's view of [lo, hi) of v, whose protection was old, down to the new one. A view
 * that may grow does so when the guest faults, or at once where nothing has to be copied. */
static int show_protection(struct mm *mm, const struct vma *v, u32 old)
{
	struct aspace *as = atomic_load_explicit(&mm->aspace, memory_order_acquire);
	bool cow = false, clean = false;
	struct pma *p;
	u64 lo, hi;
	int prot;

	if (!as || !pma_span(&mm->pmas, v->start, v->end, &lo, &hi))
		return 0;
	/* The platform may have rewritten calls there: who is about to change code sees his own. */
	if ((old & PROT_EXEC) && (v->prot & ~old & PROT_WRITE))
		return aspace_unmap(as, lo, hi - lo);
	for (p = pma_from(&mm->pmas, lo); p && p->start < hi; p = pma_next(p)) {
		cow |= pma_readonly(p);
		clean |= p->mf->fd != mm_memfile(mm)->mapfile.fd;
	}
	/* Granting to host files is left to the fault, which asks what the descriptor allows. */
	if (!(old & ~v->prot & 7) && (cow || clean))
		return 0;
	prot = mm_host_prot(v, cow);
	/* That it can't write its own memory any more is the guest's own business. */
	if (!(prot & PROT_WRITE) && !(v->flags & VMA_SHARED))
		return aspace_protect_soon(as, lo, hi - lo, prot);
	return aspace_protect(as, lo, hi - lo, prot);
}

/* Where the first part of [start, end) ends that may have prot, and what is wrong behind it. */
static int check_mprotect(struct mm *mm, u64 start, u64 end, int prot, u64 *ret_end)
{
	struct vma *v;

	*ret_end = start;
	for (v = vma_from(&mm->vmas, start); *ret_end < end; v = vma_next(v)) {
		if (!v || v->start > *ret_end)
			return -ENOMEM;
		if ((u32)prot & ~v->max_prot)
			return -EACCES;
		*ret_end = MIN(v->end, end);
	}
	return 0;
}

static int protect_range(struct mm *mm, u64 start, u64 end, int prot)
{
	struct vma *v;
	int r = mm_cut_locked(mm, start);

	if (r == 0)
		r = mm_cut_locked(mm, end);
	if (r < 0)
		return r;
	for (v = vma_from(&mm->vmas, start); v && v->start < end; v = vma_next(v)) {
		u32 old = v->prot;

		if (old == (u32)prot)
			continue;
		mm_account(mm, v, -1);
		v->prot = (u32)prot;
		mm_account(mm, v, 1);
		r = show_protection(mm, v, old);
		if (r < 0 && r != -ESRCH)
			return -ENOMEM;
	}
	for (v = vma_from(&mm->vmas, start); v && v->start <= end; v = vma_next(v))
		v = vma_merge(&mm->vmas, v);
	mm->edits++;
	return 0;
}

static int mprotect_locked(struct mm *mm, u64 start, u64 end, int prot)
{
	struct vma *v;
	u64 to;
	int r, bad;

	if (prot & PROT_GROWSDOWN) {
		v = vma_from(&mm->vmas, start);
		if (!v || v->start >= end)
			return -ENOMEM;
		if (!(v->flags & VMA_GROWSDOWN))
			return -EINVAL;
		start = v->start;
	}
	prot &= PROT_READ | PROT_WRITE | PROT_EXEC;
	/* What lies before a hole is changed all the same. */
	bad = check_mprotect(mm, start, end, prot, &to);
	r = to > start ? protect_range(mm, start, to, prot) : 0;
	return bad < 0 ? bad : r;
}

int mm_mprotect(struct mm *mm, u64 addr, u64 len, int prot)
{
	u64 end;
	int r;

	if (!IS_ALIGNED(addr, PAGE_SIZE) ||
	    prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | 0x8 | PROT_GROWSDOWN | PROT_GROWSUP) ||
	    prot & PROT_GROWSUP)
		return -EINVAL;
	if (len == 0)
		return 0;
	end = addr + PAGE_UP(len);
	if (end <= addr || addr >= mm_top(mm))
		return -ENOMEM;
	mm_lock(mm);
	r = mprotect_locked(mm, addr, MIN(end, mm_top(mm)), prot);
	mm_unlock(mm);
	return r == 0 && end > mm_top(mm) ? -ENOMEM : r;
}

int mm_set_flag_locked(struct mm *mm, u64 start, u64 end, u32 set, u32 clear)
{
	struct vma *v;
	int r = mm_cut_locked(mm, start);

	if (r == 0)
		r = mm_cut_locked(mm, end);
	if (r < 0)
		return r;
	for (v = vma_from(&mm->vmas, start); v && v->start < end; v = vma_next(v)) {
		mm_account(mm, v, -1);
		v->flags = (v->flags & ~clear) | set;
		mm_account(mm, v, 1);
	}
	for (v = vma_from(&mm->vmas, start); v && v->start <= end; v = vma_next(v))
		v = vma_merge(&mm->vmas, v);
	mm->edits++;
	return 0;
}

bool mm_fully_mapped(struct mm *mm, u64 start, u64 end)
{
	struct vma *v;
	u64 at = start;

	for (v = vma_from(&mm->vmas, start); at < end; v = vma_next(v)) {
		if (!v || v->start > at)
			return false;
		at = v->end;
	}
	return true;
}

/* Every page of [start, end) is made present; the first error, after all were tried. */
static int lock_pages(struct mm *mm, u64 start, u64 end)
{
	struct vma *v;
	int first = 0;

	for (v = vma_from(&mm->vmas, start); v && v->start < end; v = vma_next(v)) {
		int r = mm_populate_locked(mm, v, MAX(v->start, start), MIN(v->end, end));

		if (r < 0 && first == 0)
			first = r;
	}
	return first;
}

static int mlock_locked(struct mm *mm, struct ctx *c, u64 start, u64 end, enum mlock_how how)
{
	int r;

	if (!mm_fully_mapped(mm, start, end))
		return -ENOMEM;
	if (how == MLOCK_NOT)
		return mm_set_flag_locked(mm, start, end, 0, VMA_LOCKED);
	{
		u64 limit = mm_lock_limit(c), more = 0;

		for (struct vma *v = vma_from(&mm->vmas, start); v && v->start < end;
		     v = vma_next(v))
			if (!(v->flags & VMA_LOCKED))
				more += MIN(v->end, end) - MAX(v->start, start);
		if (limit != RLIM_INFINITY && mm->vm_locked + more > limit)
			return limit == 0 ? -EPERM : -ENOMEM;
	}
	r = mm_set_flag_locked(mm, start, end, VMA_LOCKED, 0);
	if (r < 0 || how == MLOCK_LATER)
		return r;
	/* mlock(2) has errors of its own for pages that can't be had. */
	r = lock_pages(mm, start, end);
	return r == -EFAULT ? -ENOMEM : r == -ENOMEM ? -EAGAIN : r;
}

int mm_mlock(struct mm *mm, struct ctx *c, u64 addr, u64 len, enum mlock_how how)
{
	u64 start = PAGE_DOWN(addr), end = start + PAGE_UP(len + addr % PAGE_SIZE);
	int r;

	/* A length that PAGE_UP makes nothing of is none, as Linux has it. */
	if (end < start)
		return -EINVAL;
	if (start == end)
		return 0;
	if (!mm_range_valid(mm, start, end - start))
		return -ENOMEM;
	mm_lock(mm);
	r = mlock_locked(mm, c, start, end, how);
	mm_unlock(mm);
	return r;
}

int mm_mlockall(struct mm *mm, struct ctx *c, enum mlock_how current, enum mlock_how future)
{
	u64 limit = mm_lock_limit(c);
	bool lock = current != MLOCK_NOT || future != MLOCK_NOT;
	int r = 0;

	mm_lock(mm);
	if (lock && limit != RLIM_INFINITY &&
	    (limit == 0 || (current != MLOCK_NOT && mm->vm_total > limit)))
		r = limit == 0 ? -EPERM : -ENOMEM;
	if (r == 0) {
		mm->lock_future = future;
		if (current != MLOCK_NOT || !lock)
			r = mm_set_flag_locked(mm, 0, mm_top(mm), lock ? VMA_LOCKED : 0,
			                       lock ? 0 : VMA_LOCKED);
		/* Mappings that can't be made present are locked all the same. */
		if (r == 0 && current == MLOCK_NOW && lock_pages(mm, 0, mm_top(mm)) == -ENOMEM)
			r = -EAGAIN;
	}
	mm_unlock(mm);
	return r;
}
