/* Copy on write: private pages that others have too, or that still are a file's. */
#include "sentry/mm/guard.h"
#include "sentry/mm/imagefile.h"
#include "sentry/mm/memfile.h"
#include "sentry/mm/mm_impl.h"

#include <errno.h>
#include <unistd.h>

/* Copies len bytes of p at addr to new memory. */
static int copy_out_of(const struct pma *p, u64 addr, u8 *to, u64 len)
{
	u64 off = p->off + (addr - p->start);
	struct imagefile *img = imagefile_of(p->mf);
	ssize_t n;

	if (p->mf->source)
		return img ? imagefile_read(img, off, to, len)
		           : p->mf->source->read(p->mf->source, off, to, len);
	n = pread(p->mf->fd, to, len, (off_t)off);
	if (n <= 0)
		return -EIO;
	if ((u64)n < len) {
		/* Only the last page may lie partly behind the end. */
		if (len - (u64)n >= PAGE_SIZE)
			return -EIO;
		return guard_zero(to + n, len - (u64)n) ? -EIO : 0;
	}
	return 0;
}

/* The pages around page, within [*lo, *hi) and max bytes, that are alone (or all are not). */
static void same_refs(struct memfile *mf, const struct pma *p, u64 page, u64 max, bool alone,
                      u64 *lo, u64 *hi)
{
	u64 s = page, e = page + PAGE_SIZE, base = p->off - p->start;

	while (s > *lo && page - s < max &&
	       (memfile_page_refs(mf, base + s - PAGE_SIZE) == 1) == alone)
		s -= PAGE_SIZE;
	while (e < *hi && e - page < max && (memfile_page_refs(mf, base + e) == 1) == alone)
		e += PAGE_SIZE;
	*lo = s;
	*hi = e;
}

/* [lo, hi) of p gets the new memory at off; *ret_old, a run in no tree, still holds the old. */
static struct pma *put_memory(struct mm *mm, struct pma *p, u64 lo, u64 hi, u64 off,
                              struct pma *ret_old)
{
	struct memfile *mf = mm_memfile(mm);

	p = pma_isolate(&mm->pmas, p, lo, hi);
	*ret_old = *p;
	mapfile_get(&mf->mapfile);
	p->mf = &mf->mapfile;
	p->off = off;
	p->cow = false;
	p->owned = true;
	return p;
}

static void drop_old(const struct pma *old)
{
	mapfile_put_pages(old->mf, old->off, old->end - old->start);
	mapfile_put(old->mf);
}

/* The guest is shown the new memory before the old goes. */
static int replace(struct mm *mm, struct vma *v, struct pma *p, u64 lo, u64 hi, u64 off, bool guest,
                   struct pma **ret)
{
	struct aspace *as = atomic_load_explicit(&mm->aspace, memory_order_acquire);
	struct pma old;
	int r;

	p = put_memory(mm, p, lo, hi, off, &old);
	r = guest ? mm_show_locked(mm, v, p, lo, lo, hi, true)
	          : mm_map_range_locked(mm, v, p, lo, lo, hi, true);
	if (r < 0 && as)
		r = aspace_unmap(as, lo, hi - lo);
	drop_old(&old);
	*ret = pma_merge(&mm->pmas, pma_find(&mm->pmas, lo));
	return r;
}

/* A copy of [lo, hi) of p in new memory at *ret_off. */
static int copy_range(struct mm *mm, const struct pma *p, u64 lo, u64 hi, u64 *ret_off)
{
	struct memfile *mf = mm_memfile(mm), *from = p->owned ? memfile_of(p->mf) : NULL;
	bool hole = from && memfile_is_hole(from, p->off + (lo - p->start), hi - lo);
	int r = hole ? memfile_alloc(mf, hi - lo, 0, ret_off)
	             : memfile_alloc_dirty(mf, hi - lo, ret_off);

	if (r < 0 || hole)
		return r;
	r = copy_out_of(p, lo, memfile_at(mf, *ret_off), hi - lo);
	if (r < 0 && memfile_commit(mf, *ret_off, hi - lo) < 0)
		r = -ENOMEM;
	if (r < 0)
		memfile_put_pages(mf, *ret_off, hi - lo);
	return r;
}

/* How much is copied with page, of [*lo, *hi): a fault costs as much as copying 64 KiB does, but
 * what is copied takes memory. */
static void copy_window(struct mm *mm, struct vma *v, const struct pma *p, u64 page, u64 *lo,
                        u64 *hi)
{
	/* What a file's other pages hold may still change, and is to be seen then. */
	bool ours = p->owned || mm_of_program(v);
	u64 run = *hi - *lo, size = MM_COPY_MIN;

	if (ours && run <= MM_COPY_MAX) {
		mm->copy_size = MM_COPY_MIN;
		return;
	}
	if (ours && run <= MM_COPY_SMALL)
		size = MM_COPY_MAX;
	else if (page == mm->copy_end)
		size = MIN(mm->copy_size * 2, MM_COPY_MAX);
	*lo = page == mm->copy_end ? page : MAX(*lo, ALIGN_DOWN(page, size));
	*hi = MIN(*hi, ALIGN_DOWN(page, size) + size);
	mm->copy_size = size;
}

int mm_break_cow_locked(struct mm *mm, struct vma *v, struct pma *p, u64 page, bool guest,
                        struct pma **ret, bool *ret_shown)
{
	struct memfile *from = p->owned ? memfile_of(p->mf) : NULL;
	u64 lo = MAX(v->start, p->start), hi = MIN(v->end, p->end), off;
	int r;

	if (from && memfile_page_refs(from, p->off + (page - p->start)) == 1) {
		/* The others that shared it are gone. */
		same_refs(from, p, page, MM_CHUNK, true, &lo, &hi);
		p = pma_isolate(&mm->pmas, p, lo, hi);
		p->cow = false;
		pma_merge(&mm->pmas, p);
		if (guest)
			mm_unshare_around_locked(mm, v);
		*ret = pma_find(&mm->pmas, page);
		return 0;
	}
	copy_window(mm, v, p, page, &lo, &hi);
	if (from)
		same_refs(from, p, page, MM_COPY_MAX, false, &lo, &hi);
	r = copy_range(mm, p, lo, hi, &off);
	if (r < 0 && hi - lo > PAGE_SIZE) {
		/* A neighbour can't be read: only the page itself. */
		lo = page;
		hi = page + PAGE_SIZE;
		r = copy_range(mm, p, lo, hi, &off);
	}
	if (r < 0)
		return r;
	mm->copy_end = hi;
	*ret_shown = true;
	return replace(mm, v, p, lo, hi, off, guest, ret);
}

struct pma *mm_copy_ahead_locked(struct mm *mm, struct pma *p, u64 lo, u64 hi)
{
	struct pma old;
	u64 off;

	if (copy_range(mm, p, lo, hi, &off) < 0)
		return p;
	p = put_memory(mm, p, lo, hi, off, &old);
	drop_old(&old);
	return pma_merge(&mm->pmas, p);
}
