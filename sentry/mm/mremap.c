/* mremap(2). Pages move with their runs; nothing is copied. */
#include "sentry/mm/mm_impl.h"
#include "state/base/bug.h"

#include <errno.h>
#include <sys/mman.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

struct remap {
	struct mm *mm;
	struct ctx *c;
	u64 old, old_len, new_len, to;
	int flags;
};

static int check_source(const struct remap *m, struct vma **ret)
{
	struct vma *v = vma_find(&m->mm->vmas, m->old);

	if (!v)
		return -EFAULT;
	if (m->old_len == 0) {
		/* A second view of shared memory. */
		if (!(v->flags & VMA_SHARED))
			return -EINVAL;
	} else if (m->old + m->old_len > v->end) {
		return -EFAULT;
	}
	if (m->flags & MREMAP_DONTUNMAP && v->flags & VMA_LOCKED)
		return -EINVAL;
	if (v->mappable && v->off + (m->old - v->start) + m->new_len < m->new_len)
		return -EINVAL;
	*ret = v;
	return 0;
}

static int check_growth(const struct remap *m, const struct vma *v, u64 len)
{
	bool data = v->prot & PROT_WRITE && !(v->flags & (VMA_SHARED | VMA_GROWSDOWN));

	return mm_check_limits(m->mm, m->c, len, data, v->flags & VMA_LOCKED);
}

/* Moves [old, old+old_len), which is one vma of its own by now, to to, new_len long. */
static int move(const struct remap *m, u64 to)
{
	struct mm *mm = m->mm;
	struct aspace *as = atomic_load_explicit(&mm->aspace, memory_order_acquire);
	struct vma *v = vma_find(&mm->vmas, m->old), *n;
	u64 keep = MIN(m->old_len, m->new_len), lo, hi;

	if (mm->vmas.count >= mm_maps_max(mm))
		return -ENOMEM;
	n = vma_clone(v);
	n->off += m->old - v->start;
	n->start = to;
	n->end = to + m->new_len;
	if (keep > 0 && pma_span(&mm->pmas, m->old, m->old + keep, &lo, &hi)) {
		if (as) {
			int r = aspace_unmap(as, lo, hi - lo);

			if (r < 0 && r != -ESRCH) {
				vma_free(n);
				return -ENOMEM;
			}
		}
		pma_move_range(&mm->pmas, m->old, m->old + keep, &mm->pmas, to - m->old);
	}
	if (m->flags & MREMAP_DONTUNMAP) {
		mm_account(mm, v, -1);
		v->flags &= ~(u32)VMA_LOCKED;
		mm_account(mm, v, 1);
		vma_merge(&mm->vmas, v);
	} else if (m->old_len > 0) {
		mm_zap_locked(mm, m->old, m->old + m->old_len);
	}
	vma_link(&mm->vmas, n);
	mm_account(mm, n, 1);
	vma_merge(&mm->vmas, n);
	mm->edits++;
	return 0;
}

/* Makes the moved part a vma of its own. */
static int isolate(const struct remap *m)
{
	int r;

	if (m->old_len == 0)
		return 0;
	if (m->mm->vmas.count + 2 > mm_maps_max(m->mm))
		return -ENOMEM;
	r = mm_cut_locked(m->mm, m->old);
	return r < 0 ? r : mm_cut_locked(m->mm, m->old + m->old_len);
}

static s64 remap_fixed(struct remap *m)
{
	struct mm *mm = m->mm;
	struct vma *v;
	int r;

	if (!IS_ALIGNED(m->to, PAGE_SIZE) || !range_ok(m->to, m->new_len, mm_top(mm)) ||
	    m->to < mm_bottom(mm))
		return -EINVAL;
	if (m->to < m->old + m->old_len && m->old < m->to + m->new_len)
		return -EINVAL;
	r = check_source(m, &v);
	if (r < 0)
		return r;
	r = mm_unmap_locked(mm, m->to, m->to + m->new_len);
	if (r == 0 && m->old_len > m->new_len && !(m->flags & MREMAP_DONTUNMAP)) {
		r = mm_unmap_locked(mm, m->old + m->new_len, m->old + m->old_len);
		m->old_len = m->new_len;
	}
	if (r == 0)
		r = check_source(m, &v);
	if (r == 0)
		r = check_growth(
			m, v, m->flags & MREMAP_DONTUNMAP ? m->new_len : m->new_len - m->old_len);
	if (r == 0)
		r = isolate(m);
	if (r == 0)
		r = move(m, m->to);
	return r < 0 ? r : (s64)m->to;
}

static s64 remap_locked(struct remap *m)
{
	struct mm *mm = m->mm;
	struct vma *v;
	u64 to;
	int r;

	if (m->flags & MREMAP_FIXED)
		return remap_fixed(m);
	if (!(m->flags & MREMAP_DONTUNMAP) && m->old_len >= m->new_len) {
		v = vma_find(&mm->vmas, m->old);
		if (!v)
			return -EFAULT;
		if (m->old_len == m->new_len)
			return (s64)m->old;
		/* What goes may be anything. */
		r = mm_unmap_locked(mm, m->old + m->new_len, m->old + m->old_len);
		return r < 0 ? r : (s64)m->old;
	}
	r = check_source(m, &v);
	if (r < 0)
		return r;
	r = check_growth(m, v, m->flags & MREMAP_DONTUNMAP ? m->new_len : m->new_len - m->old_len);
	if (r < 0)
		return r;
	/* In place, where nothing is in the way. */
	if (!(m->flags & MREMAP_DONTUNMAP) && m->old_len > 0 && v->end == m->old + m->old_len &&
	    range_ok(m->old, m->new_len, mm_top(mm)) &&
	    vma_range_free(&mm->vmas, v->end, m->old + m->new_len)) {
		mm_account(mm, v, -1);
		vma_resize(&mm->vmas, v, v->start, m->old + m->new_len);
		mm_account(mm, v, 1);
		vma_merge(&mm->vmas, v);
		mm->edits++;
		return (s64)m->old;
	}
	if (!(m->flags & MREMAP_MAYMOVE))
		return -ENOMEM;
	r = mm_find_place(mm, m->flags & MREMAP_DONTUNMAP ? m->to : 0, m->new_len, 0, &to);
	if (r == 0)
		r = isolate(m);
	if (r == 0)
		r = move(m, to);
	return r < 0 ? r : (s64)to;
}

s64 mm_mremap(struct mm *mm, struct ctx *c, u64 old_addr, u64 old_len, u64 new_len, int flags,
              u64 new_addr)
{
	struct remap m = {.mm = mm,
	                  .c = c,
	                  .old = old_addr,
	                  .old_len = PAGE_UP(old_len),
	                  .new_len = PAGE_UP(new_len),
	                  .flags = flags,
	                  .to = new_addr};
	s64 r;

	if (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) ||
	    !IS_ALIGNED(old_addr, PAGE_SIZE) || m.new_len == 0 || m.new_len > mm_top(mm) ||
	    m.old_len > mm_top(mm) || old_addr + m.old_len < old_addr)
		return -EINVAL;
	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) && !(flags & MREMAP_MAYMOVE))
		return -EINVAL;
	if (flags & MREMAP_DONTUNMAP && m.old_len != m.new_len)
		return -EINVAL;
	mm_lock(mm);
	r = remap_locked(&m);
	mm_unlock(mm);
	return r;
}
