/*
 * Making pages present: what a guest fault and a user copy have in common, and how the guest gets
 * to see them. At most one fault per large chunk: the host fills pages as they are touched.
 */
#include "sentry/mm/guard.h"
#include "sentry/mm/imagefile.h"
#include "sentry/mm/memfile.h"
#include "sentry/mm/mm_impl.h"
#include "state/base/bug.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A fault shows the guest what it made present, or this much of what was there already: mapping a
 * long run anew makes the host drop its page tables, and would do so for every chunk added. */
#define SHOW_MAX (64 * MIB)

struct span {
	u64 start, end;
	bool filled; /* the host holds all of it */
};

static bool grow_stack(struct mm *mm, struct ctx *c, struct vma *v, u64 addr)
{
	u64 limit = c && c->rlimits ? c->rlimits[RLIMIT_STACK].rlim_cur : 8 * MIB;
	u64 need = PAGE_DOWN(addr), lowest = mm_bottom(mm), to;
	struct vma *prev = vma_prev(v);

	if (v->end - need > limit)
		return false;
	if (prev) {
		lowest = prev->end;
		if (prev->prot && !(prev->flags & VMA_GROWSDOWN))
			lowest += STACK_GUARD_GAP;
	}
	if (need < lowest)
		return false;
	to = MAX(ALIGN_DOWN(need, MM_STACK_CHUNK), lowest);
	if (v->end - to > limit)
		to = v->end - PAGE_DOWN(limit);
	if (mm_check_limits(mm, c, v->start - to, false, v->flags & VMA_LOCKED) < 0) {
		to = need;
		if (mm_check_limits(mm, c, v->start - to, false, v->flags & VMA_LOCKED) < 0)
			return false;
	}
	mm_account(mm, v, -1);
	vma_resize(&mm->vmas, v, to, v->end);
	mm_account(mm, v, 1);
	mm->edits++;
	return true;
}

struct vma *mm_vma_for_locked(struct mm *mm, struct ctx *c, u64 addr)
{
	struct vma *v = vma_from(&mm->vmas, addr);

	if (!v || v->start <= addr)
		return v;
	return v->flags & VMA_GROWSDOWN && grow_stack(mm, c, v, addr) ? v : NULL;
}

void *mm_pma_ptr(const struct pma *p, u64 addr, u64 *ret_len)
{
	u64 off = p->off + (addr - p->start), len = p->end - addr;
	struct memfile *mf = memfile_of(p->mf);
	struct imagefile *img;
	struct image_place_run run;
	u64 skip;

	if (likely(mf)) {
		*ret_len = len;
		return memfile_at(mf, off);
	}
	img = imagefile_of(p->mf);
	if (!img) {
		*ret_len = MIN(len, 2 * MIB - (off & (2 * MIB - 1)));
		return mapfile_ptr(p->mf, off, *ret_len);
	}
	skip = off & PAGE_MASK;
	if (imagefile_find(img, off - skip, PAGE_UP(skip + len), &run) < 0 ||
	    run.place != IMAGE_RAW)
		return NULL;
	*ret_len = MIN(len, run.len - skip);
	return (u8 *)imagefile_raw_ptr(img, run.raw) + skip;
}

static int map_host(struct mm *mm, struct aspace *as, const struct aspace_map *maps, u32 n)
{
	u32 done;
	int r = aspace_map_files(as, maps, n, &done);

	limbo_reap(&mm->limbo, as);
	if (done > 0) {
		/* The first is what was asked for. */
		mm->alone |= r < 0;
		return 0;
	}
	if (r != -ENOMEM)
		return r;
	/* Too many host mappings: start over; what is still in use faults back in. */
	r = aspace_unmap(as, mm_bottom(mm), mm_top(mm) - mm_bottom(mm));
	return r < 0 ? r : aspace_map_files(as, maps, 1, &done);
}

int mm_mapping_locked(struct mm *mm, const struct vma *v, const struct pma *p, u64 addr, u64 lo,
                      u64 hi, bool precommit, struct aspace_map *ret)
{
	u64 page = PAGE_DOWN(addr), off;
	int prot = mm_host_prot(v, pma_readonly(p));
	struct imagefile *img = imagefile_of(p->mf);
	struct image_place_run run;
	bool shared;

	if (!atomic_load_explicit(&mm->aspace, memory_order_acquire) || !prot)
		return 0;
	lo = MAX(lo, MAX(p->start, v->start));
	hi = MIN(hi, MIN(p->end, v->end));
	if (img) {
		if (imagefile_find(img, p->off + (page - p->start), hi - page, &run) < 0)
			return -EIO;
		if (run.place != IMAGE_RAW)
			return 0;
		hi = page + run.len;
		lo = page - imagefile_raw_before(img, p->off + (page - p->start), page - lo);
		off = run.raw - (page - lo);
		shared = false;
	} else {
		off = p->off + (lo - p->start);
		shared = memfile_of(p->mf) || (v->flags & VMA_SHARED && !p->cow);
	}
	*ret = (struct aspace_map){lo, off, hi - lo, p->mf->fd, prot, shared, precommit};
	return 1;
}

int mm_map_range_locked(struct mm *mm, const struct vma *v, const struct pma *p, u64 addr, u64 lo,
                        u64 hi, bool precommit)
{
	struct aspace_map map;
	int r = mm_mapping_locked(mm, v, p, addr, lo, hi, precommit, &map);

	return r <= 0 ? r : map_host(mm, atomic_load(&mm->aspace), &map, 1);
}

int mm_show_locked(struct mm *mm, struct vma *v, const struct pma *p, u64 addr, u64 lo, u64 hi,
                   bool precommit)
{
	struct aspace_map maps[ASPACE_MAPS_MAX];
	int r = mm_mapping_locked(mm, v, p, addr, lo, hi, precommit, &maps[0]);
	u32 n = 1;

	if (r <= 0)
		return r;
	n += mm_around_locked(mm, v, &maps[0], &maps[1], ASPACE_MAPS_MAX - 1);
	return map_host(mm, atomic_load(&mm->aspace), maps, n);
}

/* The window of align bytes around page, within v and between the runs that are there. */
static void free_window(struct mm *mm, const struct vma *v, u64 page, u64 align, u64 *ret_lo,
                        u64 *ret_hi)
{
	struct pma *next = pma_from(&mm->pmas, page), *prev;
	u64 lo = MAX(v->start, ALIGN_DOWN(page, align));
	u64 hi = MIN(v->end, ALIGN_DOWN(page, align) + align);

	if (next) {
		hi = MIN(hi, next->start);
		prev = pma_prev(next);
	} else {
		prev = pma_from(&mm->pmas, lo);
		while (prev && pma_next(prev))
			prev = pma_next(prev);
	}
	if (prev)
		lo = MAX(lo, prev->end);
	*ret_lo = lo;
	*ret_hi = hi;
}

/* Bytes right below page, in v, that the guest seems to have gone through. */
static u64 filled_below(struct mm *mm, const struct vma *v, u64 page)
{
	struct pma *p = page > v->start ? pma_find(&mm->pmas, page - PAGE_SIZE) : NULL;
	u64 len, look;

	if (!p || !p->owned || memfile_of(p->mf) != mm_memfile(mm))
		return 0;
	len = page - MAX(p->start, v->start);
	look = MIN(len, MM_FILL_MIN);
	return memfile_mostly_resident(mm_memfile(mm), p->off + (page - look - p->start), look)
	               ? len
	               : 0;
}

/*
 * How much is to be filled at once from page on: each page that the guest touches without our
 * knowing costs the host a fault, but memory that it never touches must not be taken in earnest.
 * What is gone through in a row grows as readahead does.
 */
static u64 fill_window(struct mm *mm, const struct vma *v, u64 page)
{
	u64 below;

	if (v->flags & VMA_GROWSDOWN)
		return 0;
	/* Whoever begins with something large will hardly stop at its first page. */
	if (page == v->start)
		return v->end - v->start >= 2 * MM_FILL_MIN ? MM_FILL_MIN : 0;
	below = filled_below(mm, v, page);
	return below ? MAX(3 * below, MM_FILL_MIN) : 0;
}

/* The chunk below or above the one at lo is filled: this one will be too, if not in a row. */
static bool filled_beside(struct mm *mm, const struct vma *v, u64 lo)
{
	const u64 beside[] = {lo - MM_CHUNK, lo + MM_CHUNK};
	struct memfile *mf = mm_memfile(mm);

	for (size_t i = 0; i < ARRAY_SIZE(beside); i++) {
		u64 at = beside[i];
		struct pma *p =
			at >= v->start && at + MM_CHUNK <= v->end ? pma_find(&mm->pmas, at) : NULL;

		if (p && p->owned && memfile_of(p->mf) == mf && p->end >= at + MM_CHUNK &&
		    memfile_mostly_resident(mf, p->off + (at - p->start), MM_CHUNK))
			return true;
	}
	return false;
}

/* Anonymous memory for [lo, *hi), which becomes shorter where there is not enough. */
static int alloc_anonymous(struct mm *mm, const struct vma *v, u64 page, u64 *lo, u64 *hi, u64 *off,
                           bool *ret_filled)
{
	struct memfile *mf = mm_memfile(mm);
	bool small = mm_thp_disabled(mm) || v->flags & VMA_SMALL ||
	             !(v->flags & VMA_HUGE || mf->huge_always);
	u64 window = v->flags & VMA_HUGE && !small ? 0 : fill_window(mm, v, page);
	u64 end = MIN(*hi, page + window);
	int r;

	*ret_filled = false;
	if (window &&
	    memfile_alloc_filled(mf, end - page, page & (MM_CHUNK - 1), small, off) == 0) {
		*lo = page;
		*hi = end;
		*ret_filled = true;
		return 0;
	}
	r = memfile_alloc(mf, *hi - *lo, *lo & (MM_CHUNK - 1), off);
	if (r == 0 && *hi - *lo == MM_CHUNK && !small &&
	    (v->flags & VMA_HUGE || filled_beside(mm, v, *lo)))
		memfile_back_huge(mf, *off);
	if (r < 0) {
		*lo = page;
		*hi = page + PAGE_SIZE;
		r = memfile_alloc(mf, PAGE_SIZE, 0, off);
	}
	return r;
}

static int add_anonymous(struct mm *mm, const struct vma *v, u64 page, struct pma **ret,
                         struct span *ret_new)
{
	struct memfile *mf = mm_memfile(mm);
	u64 lo, hi, off;
	bool filled;
	int r;

	free_window(mm, v, page, v->flags & VMA_GROWSDOWN ? MM_STACK_CHUNK : MM_CHUNK, &lo, &hi);
	r = alloc_anonymous(mm, v, page, &lo, &hi, &off, &filled);
	if (r < 0)
		return r;
	mapfile_get(&mf->mapfile);
	*ret_new = (struct span){lo, hi, filled};
	*ret = pma_add(&mm->pmas, lo, hi, &mf->mapfile, off, false, true);
	return 0;
}

/* Asks the content mapped by v for what backs page and its neighbourhood. */
static int add_content(struct mm *mm, const struct vma *v, u64 page, u32 access, struct pma **ret,
                       struct span *ret_new)
{
	const struct mappable_ops *ops = mappable_ops_of(v->mappable);
	bool shared = v->flags & VMA_SHARED;
	struct backing b;
	u64 lo, hi;
	int r;

	if (!shared)
		access = ACCESS_READ;
	free_window(mm, v, page, MM_CHUNK, &lo, &hi);
	r = ops->translate(v->mappable, v->off + (lo - v->start), hi - lo, access, &b);
	if (r == 0 && lo + b.len <= page) {
		mapfile_put_pages(b.mf, b.off, b.len);
		mapfile_put(b.mf);
		r = -EAGAIN;
	}
	if (r < 0 && lo < page) {
		lo = page;
		r = ops->translate(v->mappable, v->off + (lo - v->start), hi - lo, access, &b);
	}
	if (r < 0)
		return r;
	hi = lo + MIN(b.len, hi - lo);
	*ret_new = (struct span){lo, hi, false};
	*ret = pma_add(&mm->pmas, lo, hi, b.mf, b.off, b.cow || !shared, false);
	return 0;
}

/* [lo, hi) of p, not yet shown to the guest, now lies in the memory file; takes over the counts. */
static struct pma *settle_range(struct mm *mm, struct pma *p, u64 lo, u64 hi, u64 off, bool cow)
{
	struct memfile *mf = mm_memfile(mm);

	p = pma_isolate(&mm->pmas, p, lo, hi);
	mapfile_put(p->mf);
	mapfile_get(&mf->mapfile);
	p->mf = &mf->mapfile;
	p->off = off;
	p->cow = cow;
	return pma_merge(&mm->pmas, p);
}

/* Pages of an image that can't be mapped from it go into the memory file first. */
int mm_settle_locked(struct mm *mm, struct pma *p, u64 page, struct pma **ret)
{
	struct imagefile *img = imagefile_of(p->mf);
	struct image_place_run run, first;
	u64 at = p->off + (page - p->start), lo = page, hi, off, back;
	int r = imagefile_find(img, at, p->end - page, &run);

	if (r < 0)
		return r;
	*ret = p;
	if (run.place == IMAGE_RAW)
		return 0;
	hi = page + run.len;
	if (run.place == IMAGE_ZERO) {
		hi = MIN(hi, ALIGN_DOWN(page, MM_CHUNK) + MM_CHUNK);
		r = memfile_alloc(mm_memfile(mm), hi - lo, lo & (MM_CHUNK - 1), &off);
		if (r < 0)
			return r;
		*ret = settle_range(mm, p, lo, hi, off, false);
		return 0;
	}
	back = MIN(run.index * PAGE_SIZE, page - p->start);
	if (back > 0 && imagefile_find(img, at - back, back, &first) == 0 &&
	    first.place == IMAGE_BLOCK && first.block == run.block &&
	    first.index + back / PAGE_SIZE == run.index) {
		lo = page - back;
		run.index = first.index;
	}
	r = imagefile_block(img, run.block, run.index, (u32)((hi - lo) / PAGE_SIZE), &off);
	if (r < 0)
		return r;
	*ret = settle_range(mm, p, lo, hi, off, true);
	return 0;
}

struct pma *mm_prepare_locked(struct mm *mm, struct vma *v, u64 at, bool ahead)
{
	bool writable = ahead && v->prot & PROT_WRITE;
	struct memfile *mf = mm_memfile(mm);
	struct pma *p;
	struct span s;
	u64 lo, hi, off;

	mm->edits++;
	if (v->mappable) {
		if (add_content(mm, v, at, ACCESS_READ, &p, &s) < 0)
			return NULL;
		/* Not what it was joined with, which the guest may be about to see as it is. */
		return writable ? mm_copy_ahead_locked(mm, p, s.start, s.end) : p;
	}
	free_window(mm, v, at, MM_CHUNK, &lo, &hi);
	if (!writable || memfile_alloc_filled(mf, hi - at, 0, true, &off) < 0)
		return NULL;
	mapfile_get(&mf->mapfile);
	return pma_add(&mm->pmas, at, hi, &mf->mapfile, off, false, true);
}

/* What backs a shared page must be asked for again before it is written. */
static int renew_for_write(struct mm *mm, const struct vma *v, struct pma *p, u64 page,
                           struct pma **ret, struct span *ret_new)
{
	u64 lo = MAX(v->start, p->start), hi = MIN(v->end, p->end);
	int r;

	mm_drop_pages_locked(mm, lo, hi, false);
	r = add_content(mm, v, page, ACCESS_WRITE, &p, ret_new);
	if (r < 0)
		return r;
	*ret = p;
	return pma_readonly(p) ? -EFAULT : 0;
}

/* guest: it faulted there. *ret_unseen: what the guest is to be shown, cut to the run; all 0:
 * break_cow has. */
static int get_page(struct mm *mm, struct vma *v, u64 addr, u32 access, bool guest,
                    struct pma **ret, struct span *ret_unseen)
{
	u64 page = PAGE_DOWN(addr);
	struct pma *p = pma_find(&mm->pmas, page);
	struct span unseen = {ALIGN_DOWN(page, SHOW_MAX), ALIGN_DOWN(page, SHOW_MAX) + SHOW_MAX,
	                      false};
	bool shown = false;
	int r = 0;

	*ret_unseen = unseen;
	if (p && !(imagefile_of(p->mf) || (access & ACCESS_WRITE && pma_readonly(p)))) {
		*ret = p;
		return 0;
	}
	mm->edits++;
	if (!p)
		r = v->mappable ? add_content(mm, v, page, access, &p, &unseen)
		                : add_anonymous(mm, v, page, &p, &unseen);
	else if (imagefile_of(p->mf))
		r = mm_settle_locked(mm, p, page, &p);
	if (r == 0 && access & ACCESS_WRITE && pma_readonly(p))
		r = v->flags & VMA_SHARED ? renew_for_write(mm, v, p, page, &p, &unseen)
		                          : mm_break_cow_locked(mm, v, p, page, guest, &p, &shown);
	if (r < 0)
		return r;
	*ret_unseen = shown ? (struct span){0} : unseen;
	*ret = p;
	return 0;
}

int mm_get_page_locked(struct mm *mm, struct vma *v, u64 addr, u32 access, struct pma **ret)
{
	struct span unseen;

	return get_page(mm, v, addr, access, false, ret, &unseen);
}

static int refuse(struct fault_info *ret_info, int signo, int code)
{
	*ret_info = (struct fault_info){.signo = signo, .code = code};
	return -EFAULT;
}

int mm_fault(struct mm *mm, struct ctx *c, u64 addr, u32 access, struct fault_info *ret_info)
{
	struct pma *p = NULL;
	struct span unseen;
	struct vma *v;
	int r;

	mm_lock(mm);
	v = mm_vma_for_locked(mm, c, addr);
	if (!v) {
		r = refuse(ret_info, SIGSEGV, SEGV_MAPERR);
	} else if (!vma_allows(v, access)) {
		r = refuse(ret_info, SIGSEGV, SEGV_ACCERR);
	} else {
		/* A stack that is looked at is written to next. */
		if (v->flags & VMA_GROWSDOWN && v->prot & PROT_WRITE)
			access |= ACCESS_WRITE;
		r = get_page(mm, v, addr, access, true, &p, &unseen);
		if (r == 0 && unseen.end)
			r = mm_show_locked(mm, v, p, addr, unseen.start, unseen.end, unseen.filled);
		if (r == -EIO || r == -EFAULT)
			r = refuse(ret_info, SIGBUS, BUS_ADRERR);
	}
	mm_unlock(mm);
	return r;
}
