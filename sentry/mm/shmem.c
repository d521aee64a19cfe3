#include "sentry/mm/shmem.h"
#include "proto/mm.pb-c.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/guard.h"
#include "sentry/mm/imagefile.h"
#include "sentry/mm/memfile.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/mm_save.h"
#include "sentry/mm/pma.h"
#include "sentry/mm/usercopy.h"
#include "state/base/bug.h"
#include "state/fields.h"
#include "state/sample.h"

#include <errno.h>
#include <string.h>

#define CHUNK_MAX   (2 * MIB) /* what one mapping or large write makes present at once */
#define CHUNK_SMALL (64 * KIB)
#define SETTLE_MAX  (256 * KIB) /* what comes out of an image at once */
#define COPY_MAX    (1 * MIB)   /* what one step of a read or write pins */
#define SIZE_MAX_   (1ull << 62)

struct shmem {
	struct mappable mappable;
	struct kernel *kernel; /* not owned */
	struct mutex lock;     /* RANK_INODE_PAGES */
	u64 size GUARDED_BY(lock);
	struct pma_tree extents
		GUARDED_BY(lock); /* keyed by offset; past the end: zeros, not yet content */
};

static struct memfile *memfile(const struct shmem *s)
{
	return s->kernel->machine->memfile;
}

static void shmem_init(void *o)
{
	struct shmem *s = o;

	mutex_init(&s->lock, RANK_INODE_PAGES);
	pma_tree_init(&s->extents);
}

static void shmem_destroy(void *o)
{
	struct shmem *s = o;

	pma_drop_range(&s->extents, 0, UINT64_MAX);
}

struct shmem *shmem_new(struct kernel *k, u64 size)
{
	struct shmem *s = obj_new(shmem);

	s->kernel = k;
	s->size = size;
	return s;
}

u64 shmem_size(const struct shmem *s)
{
	return READ_ONCE(s->size);
}

u64 shmem_bytes(const struct shmem *s_)
{
	struct shmem *s = (struct shmem *)(uintptr_t)s_;
	u64 n = 0, end;

	GUARD(&s->lock);
	end = PAGE_UP(s->size);
	for (struct pma *p = pma_from(&s->extents, 0); p && p->start < end; p = pma_next(p))
		n += MIN(p->end, end) - p->start;
	return n;
}

u64 shmem_fits(struct shmem *s, u64 off, u64 len, u64 room)
{
	u64 at = PAGE_DOWN(off), end = PAGE_UP(off + len), held;

	GUARD(&s->lock);
	held = PAGE_UP(s->size);
	room = PAGE_DOWN(room);
	while (at < end) {
		/* What was allocated ahead, behind the end, does not count yet. */
		struct pma *p = at < held ? pma_from(&s->extents, at) : NULL;
		u64 there = p && p->start < held ? MIN(p->start, end) : end;

		if (there <= at) {
			at = MIN(MIN(p->end, held), end);
			continue;
		}
		if (there - at > room) {
			at += room;
			break;
		}
		room -= there - at;
		at = there;
	}
	return at <= off ? 0 : MIN(at - off, len);
}

/* A part of p that lies in an image goes into the memory file, around page. */
static int settle(struct shmem *s, struct pma *p, u64 page, struct pma **ret)
{
	struct imagefile *img = imagefile_of(p->mf);
	u64 lo = MAX(p->start, ALIGN_DOWN(page, SETTLE_MAX));
	u64 hi = MIN(p->end, ALIGN_DOWN(page, SETTLE_MAX) + SETTLE_MAX), off;
	int r = memfile_alloc(memfile(s), hi - lo, 0, &off);

	if (r < 0)
		return r;
	for (u64 at = lo; at < hi && r == 0;) {
		struct image_place_run run;

		r = imagefile_find(img, p->off + (at - p->start), hi - at, &run);
		if (r == 0 && run.place != IMAGE_ZERO)
			r = imagefile_read(img, p->off + (at - p->start),
			                   memfile_at(memfile(s), off + (at - lo)), run.len);
		at += r == 0 ? run.len : 0;
	}
	if (r < 0 && memfile_commit(memfile(s), off, hi - lo) < 0)
		r = -ENOMEM;
	if (r < 0) {
		memfile_put_pages(memfile(s), off, hi - lo);
		return r;
	}
	p = pma_isolate(&s->extents, p, lo, hi);
	mapfile_put(p->mf);
	p->mf = &memfile(s)->mapfile;
	mapfile_get(p->mf);
	p->off = off;
	p->cow = false;
	*ret = pma_merge(&s->extents, p);
	return 0;
}

/* Pages after a save in memory may be shared with what else named them; ours alone are as good as
 * new, others are copied. */
static int own(struct shmem *s, struct pma *p, u64 page, struct pma **ret)
{
	struct memfile *mf = memfile(s);
	u64 lo = MAX(p->start, ALIGN_DOWN(page, SETTLE_MAX));
	u64 hi = MIN(p->end, ALIGN_DOWN(page, SETTLE_MAX) + SETTLE_MAX), off;
	bool alone = true;
	int r;

	for (u64 at = lo; at < hi; at += PAGE_SIZE)
		alone &= memfile_page_refs(mf, p->off + (at - p->start)) == 1;
	if (!alone) {
		r = memfile_alloc(mf, hi - lo, 0, &off);
		if (r < 0)
			return r;
		if (guard_copy(memfile_at(mf, off), memfile_at(mf, p->off + (lo - p->start)),
		               hi - lo) != 0) {
			memfile_put_pages(mf, off, hi - lo);
			return -ENOMEM;
		}
	}
	p = pma_isolate(&s->extents, p, lo, hi);
	p->cow = false;
	if (!alone) {
		memfile_put_pages(mf, p->off, hi - lo);
		p->off = off;
	}
	*ret = pma_merge(&s->extents, p);
	return 0;
}

/* A whole chunk was allocated for lo: as in fault.c, for content that is filled in a row. */
static void back_huge(struct shmem *s, u64 lo, u64 off)
{
	struct pma *p = lo < CHUNK_MAX ? NULL : pma_from(&s->extents, lo - CHUNK_MAX);

	if (memfile(s)->huge_always && p && p->start <= lo - CHUNK_MAX && p->end >= lo &&
	    p->owned && memfile_of(p->mf) == memfile(s) &&
	    memfile_mostly_resident(memfile(s), p->off + (lo - CHUNK_MAX - p->start), CHUNK_MAX))
		memfile_back_huge(memfile(s), off);
}

/* A run in the memory file that holds page; a hole is filled with up to chunk bytes, from at least
 * low and below limit. */
static int make_present(struct shmem *s, u64 page, u64 chunk, u64 low, u64 limit, struct pma **ret)
{
	struct pma *p = pma_from(&s->extents, page), *prev;
	u64 lo, hi, off;
	int r;

	if (p && p->start <= page) {
		if (imagefile_of(p->mf))
			return settle(s, p, page, ret);
		if (p->cow)
			return own(s, p, page, ret);
		*ret = p;
		return 0;
	}
	lo = MAX(ALIGN_DOWN(page, chunk), low);
	hi = MIN(ALIGN_DOWN(page, chunk) + chunk, limit);
	if (p)
		hi = MIN(hi, p->start);
	prev = pma_from(&s->extents, lo);
	while (prev && prev->end <= page) {
		lo = MAX(lo, prev->end);
		prev = pma_next(prev);
	}
	r = memfile_alloc(memfile(s), hi - lo, lo & (CHUNK_MAX - 1), &off);
	if (r < 0 && hi - lo > PAGE_SIZE) {
		lo = page;
		hi = page + PAGE_SIZE;
		r = memfile_alloc(memfile(s), PAGE_SIZE, 0, &off);
	}
	if (r < 0)
		return r;
	if (hi - lo == CHUNK_MAX)
		back_huge(s, lo, off);
	mapfile_get(&memfile(s)->mapfile);
	*ret = pma_add(&s->extents, lo, hi, &memfile(s)->mapfile, off, false, true);
	return 0;
}

static int shmem_translate(struct mappable *m, u64 off, u64 len, u32 access, struct backing *ret)
{
	struct shmem *s = obj_cast(shmem, m);
	struct pma *p;
	u64 end;
	int r;

	GUARD(&s->lock);
	end = PAGE_UP(s->size);
	if (off >= end)
		return -EFAULT;
	r = make_present(s, off, CHUNK_MAX, 0, end, &p);
	if (r < 0)
		return r;
	ret->mf = p->mf;
	ret->off = p->off + (off - p->start);
	ret->len = MIN(len, MIN(p->end, end) - off);
	ret->cow = false;
	mapfile_get(ret->mf);
	mapfile_get_pages(ret->mf, ret->off, ret->len);
	return 0;
}

static int shmem_punch_op(struct mappable *m, u64 off, u64 len)
{
	return shmem_punch(obj_cast(shmem, m), off, len);
}

/* How much a write at off should allocate: files that grow do so in larger steps. */
static u64 write_chunk(const struct shmem *s, u64 len)
{
	u64 want = MAX(len, s->size / 4), chunk = CHUNK_SMALL;

	while (chunk < want && chunk < CHUNK_MAX)
		chunk *= 2;
	return chunk;
}

/* Zeroes [off, end) inside one page, if there is one. */
static int zero_part(struct shmem *s, u64 off, u64 end)
{
	struct pma *p = pma_find(&s->extents, off);
	int r;

	if (!p || off == end)
		return 0;
	r = make_present(s, PAGE_DOWN(off), CHUNK_SMALL, 0, UINT64_MAX, &p);
	if (r < 0)
		return r;
	return guard_zero((u8 *)memfile_at(memfile(s), p->off) + (off - p->start), end - off)
	               ? -ENOMEM
	               : 0;
}

/* The file is about to grow past what writes allocated ahead: that stays a hole. */
static void drop_ahead(struct shmem *s)
{
	pma_drop_range(&s->extents, PAGE_UP(s->size), UINT64_MAX);
}

int shmem_truncate(struct shmem *s, u64 size)
{
	u64 old, end;
	int r = 0;

	if (size > SIZE_MAX_)
		return -EFBIG;
	mutex_lock(&s->lock);
	old = s->size;
	end = PAGE_UP(size);
	if (size < old) {
		r = zero_part(s, size, end);
		if (r == 0) {
			s->size = size;
			pma_drop_range(&s->extents, end, UINT64_MAX);
		}
	} else {
		/* What a mapping wrote past the end of the last page must not come to light. */
		r = zero_part(s, old, PAGE_UP(old));
		drop_ahead(s);
		if (r == 0)
			s->size = size;
	}
	mutex_unlock(&s->lock);
	if (r == 0 && size < old)
		mm_truncated(s->kernel, &s->mappable, size);
	return r;
}

int shmem_allocate(struct shmem *s, u64 off, u64 len, bool keep_size)
{
	u64 end = off + len, at;
	struct pma *p;
	int r;

	if (len == 0 || end < off || end > SIZE_MAX_)
		return -EFBIG;
	GUARD(&s->lock);
	for (at = PAGE_DOWN(off); at < PAGE_UP(end) && (!keep_size || at < PAGE_UP(s->size));
	     at = p->end) {
		r = make_present(s, at, CHUNK_MAX, at, PAGE_UP(end), &p);
		if (r < 0)
			return -ENOSPC;
	}
	if (!keep_size)
		s->size = MAX(s->size, end);
	return 0;
}

int shmem_punch(struct shmem *s, u64 off, u64 len)
{
	u64 end = off + len < off ? UINT64_MAX - PAGE_MASK : off + len;
	u64 lo = PAGE_UP(off), hi = PAGE_DOWN(end);
	int r;

	mutex_lock(&s->lock);
	if (lo > hi) {
		r = zero_part(s, off, end);
	} else {
		r = zero_part(s, off, lo);
		if (r == 0)
			r = zero_part(s, hi, end);
		if (r == 0 && lo < hi)
			pma_drop_range(&s->extents, lo, hi);
	}
	mutex_unlock(&s->lock);
	if (r == 0 && lo < hi)
		mm_invalidate(s->kernel, &s->mappable, lo, hi - lo);
	return r;
}

/* A count on the pages of [off, off+*len) of the memory file that hold a position of s; *len may
 * shrink. Copies to and from the guest take locks above ours, so they run on counted pages. */
static int pin(struct shmem *s, u64 pos, u64 chunk, bool write, u64 *len, u64 *ret_off)
{
	struct pma *p;
	int r;

	GUARD(&s->lock);
	if (!write) {
		if (pos >= s->size)
			return 0;
		*len = MIN(*len, s->size - pos);
		p = pma_from(&s->extents, pos);
		if (!p || p->start > pos) {
			if (p)
				*len = MIN(*len, p->start - pos);
			return -ENODATA;
		}
	}
	/* A write allocates what it fills, and more only behind the end: holes stay holes. */
	r = make_present(s, PAGE_DOWN(pos), chunk, PAGE_DOWN(pos),
	                 pos + *len < s->size ? PAGE_UP(pos + *len) : UINT64_MAX, &p);
	if (r < 0)
		return r == -ENOMEM ? -ENOSPC : r;
	*len = MIN(MIN(*len, p->end - pos), COPY_MAX);
	*ret_off = p->off + (pos - p->start);
	memfile_get_pages(memfile(s), PAGE_DOWN(*ret_off),
	                  PAGE_UP(*ret_off + *len) - PAGE_DOWN(*ret_off));
	return 1;
}

static void unpin(struct shmem *s, u64 off, u64 len)
{
	memfile_put_pages(memfile(s), PAGE_DOWN(off), PAGE_UP(off + len) - PAGE_DOWN(off));
}

long shmem_read(struct shmem *s, struct uiter *dst, u64 off)
{
	u64 done = 0;
	long n = 0;

	while (uiter_count(dst) > 0) {
		u64 len = uiter_count(dst), at;
		int r = pin(s, off + done, CHUNK_SMALL, false, &len, &at);

		if (r == 0)
			break;
		if (r == -ENODATA) {
			n = uiter_zero(dst, len);
		} else if (r < 0) {
			n = r;
		} else {
			n = uiter_copy_out(dst, memfile_at(memfile(s), at), len);
			unpin(s, at, len);
		}
		if (n < 0)
			break;
		done += (u64)n;
		if ((u64)n < len)
			break;
	}
	return done > 0 || n > 0 ? (long)done : n;
}

long shmem_write(struct shmem *s, struct uiter *src, u64 off)
{
	u64 done = 0;
	long n = 0;

	if (off > SIZE_MAX_ || uiter_count(src) > SIZE_MAX_ - off)
		return -EFBIG;
	if (off > shmem_size(s)) {
		/* The gap reads as zeros, also what a mapping left behind the old end. */
		mutex_lock(&s->lock);
		n = zero_part(s, s->size, PAGE_UP(s->size));
		drop_ahead(s);
		mutex_unlock(&s->lock);
		if (n < 0)
			return -ENOSPC;
	}
	while (uiter_count(src) > 0) {
		u64 len = uiter_count(src), at;
		int r = pin(s, off + done, write_chunk(s, len), true, &len, &at);

		if (r < 0) {
			n = r;
			break;
		}
		n = uiter_copy_in(src, memfile_at(memfile(s), at), len);
		unpin(s, at, len);
		if (n < 0)
			break;
		done += (u64)n;
		if ((u64)n < len)
			break;
	}
	mutex_lock(&s->lock);
	if (done > 0)
		s->size = MAX(s->size, off + done);
	/* What a failed first write allocated past the end is not content. */
	if (done == 0)
		pma_drop_range(&s->extents, PAGE_UP(s->size), UINT64_MAX);
	mutex_unlock(&s->lock);
	return done > 0 ? (long)done : n;
}

s64 shmem_seek(struct shmem *s, u64 off, bool data)
{
	struct pma *p;

	GUARD(&s->lock);
	if (off >= s->size)
		return -ENXIO;
	p = pma_from(&s->extents, off);
	if (data) {
		if (!p || p->start >= s->size)
			return -ENXIO;
		return (s64)MAX(off, p->start);
	}
	for (; p && p->start <= off; p = pma_next(p))
		off = p->end;
	return (s64)MIN(off, s->size);
}

bool shmem_fill(struct shmem *s, u64 off, u64 *ret_next)
{
	struct pma *p, *done;

	GUARD(&s->lock);
	for (p = pma_from(&s->extents, off); p && !imagefile_of(p->mf); p = pma_next(p))
		continue;
	if (!p)
		return false;
	off = MAX(off, p->start);
	*ret_next = p->end;
	if (settle(s, p, off, &done) == 0)
		*ret_next = done->end;
	return true;
}

static const struct mappable_ops shmem_ops = {
	.translate = shmem_translate,
	.punch = shmem_punch_op,
};

static int shmem_save_extents(struct saver *s, const struct shmem *o, Sentry__Shmem *m)
{
	return pma_save(s, &o->extents, false, &m->n_extents, &m->extents);
}

static int shmem_load_extents(struct loader *l, struct shmem *o, const Sentry__Shmem *m)
{
	if (o->size > SIZE_MAX_)
		return loader_error(l, "bad size of memory");
	return pma_load(l, &o->extents, m->n_extents, m->extents, SIZE_MAX_ + CHUNK_MAX, true);
}

static void shmem_sample_extents(struct sampler *sp, struct shmem *o)
{
	const struct kernel_load *kl = sampler_user(sp);
	struct memfile *mf = kl && kl->machine ? kl->machine->memfile : NULL;
	u64 off;

	if (!mf || memfile_alloc(mf, 2 * PAGE_SIZE, 0, &off) < 0)
		return;
	memset(memfile_at(mf, off), 0x3c, 2 * PAGE_SIZE);
	mapfile_get(&mf->mapfile);
	pma_add(&o->extents, 2 * PAGE_SIZE, 4 * PAGE_SIZE, &mf->mapfile, off, false, true);
}

static void shmem_sample(struct sampler *sp, void *o)
{
	((struct shmem *)o)->size = 5 * PAGE_SIZE + 7;
}

static int shmem_after_load(struct loader *l, void *o)
{
	const struct kernel_load *kl = loader_user(l);

	((struct shmem *)o)->kernel = kl ? kl->kernel : NULL;
	return 0;
}

#define SHMEM_FIELDS(F)                           \
	F(BASE, mappable, mappable)               \
	F(SKIP, kernel) /* handed over at load */ \
	F(SKIP, lock)                             \
	F(VAL, size)                              \
	F(CUSTOM, extents, shmem)

OBJECT_TYPE(shmem, Sentry__Shmem, sentry__shmem__descriptor, SHMEM_FIELDS, .base = &mappable_type,
            .ops = &shmem_ops, .init = shmem_init, .destroy = shmem_destroy,
            .after_load = shmem_after_load, .sample = shmem_sample);
