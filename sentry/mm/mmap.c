/* mmap(2), munmap(2), brk(2): where mappings go and what limits them. */
#include "sentry/auth/creds.h"
#include "sentry/mm/memfile.h"
#include "sentry/mm/mm_impl.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MAP_SHARED_VALIDATE
#define MAP_SHARED_VALIDATE 0x03
#endif

static u64 limit_of(const struct ctx *c, int which)
{
	return c && c->rlimits ? c->rlimits[which].rlim_cur : RLIM_INFINITY;
}

static bool exceeds(u64 have, u64 more, u64 limit)
{
	return limit != RLIM_INFINITY && (more > limit || have > limit - more);
}

u64 mm_lock_limit(const struct ctx *c)
{
	u64 limit = limit_of(c, RLIMIT_MEMLOCK);

	return limit != RLIM_INFINITY && c->creds && creds_capable(c->creds, CAP_IPC_LOCK)
	               ? RLIM_INFINITY
	               : limit;
}

int mm_check_limits(struct mm *mm, struct ctx *c, u64 len, bool data, bool locked)
{
	if (exceeds(mm->vm_total, len, limit_of(c, RLIMIT_AS)))
		return -ENOMEM;
	if (data && exceeds(mm->vm_data, len, limit_of(c, RLIMIT_DATA)))
		return -ENOMEM;
	if (locked && exceeds(mm->vm_locked, len, mm_lock_limit(c)))
		return -EAGAIN;
	return 0;
}

int mm_find_place(struct mm *mm, u64 hint, u64 len, int flags, u64 *ret)
{
	u64 lo = mm_bottom(mm), hi = mm_top(mm);

	if (flags & MAP_32BIT) {
		/* As Linux: the second gigabyte, whatever the hint. */
		return vma_find_gap(&mm->vmas, len, 1 * GIB, 2 * GIB, ret);
	}
	if (hint) {
		hint = PAGE_UP(hint);
		if (hint >= lo && range_ok(hint, len, hi) &&
		    vma_range_free(&mm->vmas, hint, hint + len)) {
			*ret = hint;
			return 0;
		}
	}
	if (vma_find_gap(&mm->vmas, len, lo, mm->mmap_base, ret) == 0)
		return 0;
	return vma_find_gap(&mm->vmas, len, lo, hi, ret);
}

/* Bytes of [start, end) that are mapped. */
static u64 mapped_bytes(struct mm *mm, u64 start, u64 end)
{
	struct vma *v;
	u64 n = 0;

	for (v = vma_from(&mm->vmas, start); v && v->start < end; v = vma_next(v))
		n += MIN(v->end, end) - MAX(v->start, start);
	return n;
}

int mm_unmap_locked(struct mm *mm, u64 start, u64 end)
{
	struct vma *v = vma_from(&mm->vmas, start);
	int r;

	if (!v || v->start >= end)
		return 0;
	/* Cutting a hole into one mapping makes two. */
	if (v->start < start && v->end > end && mm->vmas.count >= mm_maps_max(mm))
		return -ENOMEM;
	r = mm_cut_locked(mm, start);
	if (r == 0)
		r = mm_cut_locked(mm, end);
	if (r < 0)
		return r;
	mm_zap_locked(mm, start, end);
	return 0;
}

static int check_args(struct mm *mm, struct ctx *c, const struct mmap_args *a, u64 *ret_len)
{
	int type = a->flags & MAP_TYPE;
	bool fixed = a->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
	u64 len = PAGE_UP(a->len);

	if (a->len == 0 ||
	    (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE))
		return -EINVAL;
	if (!IS_ALIGNED(a->off, PAGE_SIZE) || (type != MAP_PRIVATE && !a->mappable))
		return -EINVAL;
	if (len == 0 || len > mm_top(mm))
		return -ENOMEM;
	if (a->off + len < a->off)
		return -EOVERFLOW;
	if (a->flags & MAP_HUGETLB)
		return -ENOMEM; /* no huge pages are reserved */
	if (fixed) {
		if (!IS_ALIGNED(a->addr, PAGE_SIZE))
			return -EINVAL;
		if (!range_ok(a->addr, len, mm_top(mm)))
			return -ENOMEM;
		if (a->addr < mm_bottom(mm))
			return -EPERM;
	}
	if (a->flags & MAP_GROWSDOWN && (type != MAP_PRIVATE || a->mappable))
		return -EINVAL;
	if (a->prot & 7 & ~a->max_prot)
		return -EACCES;
	if (a->flags & MAP_LOCKED && mm_lock_limit(c) == 0)
		return -EPERM;
	*ret_len = len;
	return 0;
}

/* Linux's heuristic overcommit: only a request that can never be met is refused. */
static bool overcommits(struct mm *mm, const struct mmap_args *a, u64 len)
{
	bool counts = a->flags & MAP_NORESERVE               ? false
	              : (a->flags & MAP_TYPE) == MAP_PRIVATE ? (a->prot & PROT_WRITE) != 0
	                                                     : !a->id && a->mappable;

	return counts && len > mm_memfile(mm)->total_ram;
}

static struct vma *new_vma(const struct mmap_args *a, u64 start, u64 end, bool lock)
{
	struct vma *v = calloc(1, sizeof(*v));

	if (!v)
		abort();
	v->start = start;
	v->end = end;
	v->prot = (u32)a->prot & 7;
	v->max_prot = (u32)a->max_prot & 7;
	v->flags = ((a->flags & MAP_TYPE) != MAP_PRIVATE ? VMA_SHARED : 0) |
	           (a->is_stack || a->flags & MAP_GROWSDOWN ? VMA_GROWSDOWN : 0) |
	           (a->flags & MAP_NORESERVE ? VMA_NORESERVE : 0) | (lock ? VMA_LOCKED : 0) |
	           (a->id ? 0 : VMA_ANON);
	v->off = a->mappable ? a->off : 0;
	if (a->mappable) {
		v->mappable = obj_get(a->mappable);
		atomic_fetch_add(&a->mappable->mapped, 1);
	}
	v->id = obj_get(a->id);
	if (a->name) {
		v->name = strdup(a->name);
		if (!v->name)
			abort();
	}
	return v;
}

/* The host holds the pages of p in [start, end) from here on, whether or not it did. */
static void commit(const struct pma *p, u64 start, u64 end)
{
	struct memfile *mf = memfile_of(p->mf);

	/* Where this fails the pages come with the first touch. */
	if (mf && madvise(memfile_at(mf, p->off + (start - p->start)), end - start,
	                  MADV_POPULATE_WRITE) < 0)
		return;
}

int mm_populate_locked(struct mm *mm, struct vma *v, u64 start, u64 end)
{
	u32 access = v->prot & PROT_WRITE && !(v->flags & VMA_SHARED) ? ACCESS_WRITE : ACCESS_READ;
	struct pma *p;
	int r;

	if (!(v->prot & 7))
		return -EFAULT;
	for (u64 at = start; at < end; at = MIN(p->end, v->end)) {
		r = mm_get_page_locked(mm, v, at, access, &p);
		if (r < 0)
			return r == -EIO ? -EFAULT : r;
		commit(p, at, MIN(p->end, end));
		r = mm_map_range_locked(mm, v, p, at, at, end, true);
		if (r < 0)
			return r;
	}
	return 0;
}

static s64 map_locked(struct mm *mm, struct ctx *c, const struct mmap_args *a, u64 len)
{
	bool data = a->prot & PROT_WRITE && (a->flags & MAP_TYPE) == MAP_PRIVATE;
	bool lock = a->flags & MAP_LOCKED || mm->lock_future != MLOCK_NOT;
	bool now = a->flags & (MAP_POPULATE | MAP_LOCKED) || mm->lock_future == MLOCK_NOW;
	u64 start = a->addr, replaced = 0;
	struct vma *v;
	int r;

	if (a->flags & MAP_FIXED_NOREPLACE) {
		struct vma *there = vma_from(&mm->vmas, start);

		if (there && there->start < start + len)
			return -EEXIST;
	} else if (a->flags & MAP_FIXED) {
		replaced = mapped_bytes(mm, start, start + len);
	} else {
		r = mm_find_place(mm, start, len, a->flags, &start);
		if (r < 0)
			return r;
	}
	/* What is replaced still counts as locked, as Linux has it. */
	r = mm_check_limits(mm, c, len - replaced, data, false);
	if (r == 0 && lock && exceeds(mm->vm_locked, len, mm_lock_limit(c)))
		r = -EAGAIN;
	if (r < 0)
		return r;
	if (overcommits(mm, a, len))
		return -ENOMEM;
	if (replaced > 0) {
		r = mm_unmap_locked(mm, start, start + len);
		if (r < 0)
			return r;
	}
	if (mm->vmas.count >= mm_maps_max(mm))
		return -ENOMEM;
	v = new_vma(a, start, start + len, lock);
	vma_link(&mm->vmas, v);
	mm_account(mm, v, 1);
	v = vma_merge(&mm->vmas, v);
	mm->edits++;
	/* Best effort, as the man page says: what is missing comes with the first touch. */
	if (now && !(a->flags & MAP_NONBLOCK) && mm_populate_locked(mm, v, start, start + len) < 0)
		mm->edits++;
	return (s64)start;
}

s64 mm_mmap(struct mm *mm, struct ctx *c, const struct mmap_args *args)
{
	u64 len = 0;
	s64 r = check_args(mm, c, args, &len);

	if (r < 0)
		return r;
	mm_lock(mm);
	r = map_locked(mm, c, args, len);
	mm_unlock(mm);
	return r;
}

int mm_munmap(struct mm *mm, u64 addr, u64 len)
{
	int r;

	len = PAGE_UP(len);
	if (!mm_range_valid(mm, addr, len))
		return -EINVAL;
	mm_lock(mm);
	r = mm_unmap_locked(mm, addr, addr + len);
	mm_unlock(mm);
	return r;
}

u64 mm_brk(struct mm *mm, struct ctx *c, u64 brk)
{
	u64 old_top, new_top, ret;
	struct mmap_args a = {
		.prot = PROT_READ | PROT_WRITE,
		.flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		.max_prot = PROT_READ | PROT_WRITE | PROT_EXEC,
	};

	mm_lock(mm);
	ret = mm->brk_end;
	if (brk < mm->brk_start || brk > mm_top(mm))
		goto out;
	old_top = PAGE_UP(mm->brk_end);
	new_top = PAGE_UP(brk);
	if (new_top < old_top) {
		if (mm_unmap_locked(mm, new_top, old_top) < 0)
			goto out;
	} else if (new_top > old_top) {
		/* The heap never swallows what lies above it, nor a stack's guard gap. */
		if (exceeds(brk - mm->brk_start, mm->layout.end_data - mm->layout.start_data,
		            limit_of(c, RLIMIT_DATA)) ||
		    !vma_range_free(&mm->vmas, old_top, new_top))
			goto out;
		a.addr = old_top;
		a.len = new_top - old_top;
		if (map_locked(mm, c, &a, a.len) < 0)
			goto out;
	}
	mm->brk_end = ret = brk;
out:
	mm_unlock(mm);
	return ret;
}

/* The mapping at addr, if it and what follows it in the file cover len; references in ret. */
static int find_remap(struct mm *mm, u64 addr, u64 len, struct mmap_args *ret)
{
	struct vma *v, *w;

	GUARD_READ(&mm->lock);
	v = vma_find(&mm->vmas, addr);
	if (!v || !(v->flags & VMA_SHARED))
		return -EINVAL;
	for (w = v; w->end < addr + len; w = vma_next(w)) {
		struct vma *next = vma_next(w);

		if (!next || next->start != w->end || next->mappable != v->mappable ||
		    next->flags != v->flags || next->prot != v->prot)
			return -EINVAL;
	}
	ret->prot = (int)v->prot;
	ret->max_prot = (int)v->max_prot;
	ret->mappable = obj_get(v->mappable);
	ret->id = obj_get(v->id);
	return 0;
}

int mm_remap_file_pages(struct mm *mm, struct ctx *c, u64 addr, u64 len, u64 pgoff, int flags)
{
	struct mmap_args a = {0};
	s64 r;

	addr = PAGE_DOWN(addr);
	len = PAGE_DOWN(len);
	if (!mm_range_valid(mm, addr, len) || pgoff > UINT64_MAX / PAGE_SIZE - len / PAGE_SIZE)
		return -EINVAL;
	r = find_remap(mm, addr, len, &a);
	if (r < 0)
		return (int)r;
	a.addr = addr;
	a.len = len;
	a.off = pgoff * PAGE_SIZE;
	a.flags = MAP_SHARED | MAP_FIXED | MAP_POPULATE | (flags & MAP_NONBLOCK);
	r = mm_mmap(mm, c, &a);
	obj_put(a.mappable);
	obj_put(a.id);
	return r < 0 ? (int)r : 0;
}

/* The first piece at or above addr of a mapping that began at addr. */
static struct vma *find_piece(struct mm *mm, u64 addr, const struct obj_type *type,
                              const struct mapid *id)
{
	struct vma *v;

	for (v = vma_from(&mm->vmas, addr); v; v = vma_next(v)) {
		if (v->id && v->id->obj.type == type && v->start - v->off == addr &&
		    (!id || v->id == id))
			return v;
	}
	return NULL;
}

int mm_detach(struct mm *mm, u64 addr, const struct obj_type *type, struct mapid **ret_id)
{
	struct mapid *id = NULL;
	struct vma *v;
	int r = -EINVAL;

	mm_lock(mm);
	while ((v = find_piece(mm, addr, type, id))) {
		if (!id)
			id = obj_get(v->id);
		r = mm_unmap_locked(mm, v->start, v->end);
		if (r < 0)
			break;
	}
	mm_unlock(mm);
	if (r < 0) {
		obj_put(id);
		return r;
	}
	*ret_id = id;
	return 0;
}
