#define LOG_SUBSYSTEM "mm"
#include "sentry/mm/guard.h"
#include "sentry/mm/memfile_impl.h"
#include "state/base/bug.h"
#include "state/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

#define MEMFILE_SIZE     (256 * GIB)
#define MEMFILE_SIZE_MIN (1 * GIB)
#define ALIGN_MAX        (2 * MIB)
/* Longer runs of old pages are zeroed only for who needs all of them. */
#define DIRTY_LAZY_MAX (256 * KIB)
#define ZEROS          (64 * KIB)

static void *mf_ptr(struct mapfile *mf, u64 off, u64 len)
{
	return memfile_at(container_of(mf, struct memfile, mapfile), off);
}

static void mf_get_pages(struct mapfile *mf, u64 off, u64 len)
{
	memfile_get_pages(container_of(mf, struct memfile, mapfile), off, len);
}

static void mf_put_pages(struct mapfile *mf, u64 off, u64 len)
{
	memfile_put_pages(container_of(mf, struct memfile, mapfile), off, len);
}

/* The machine owns it and outlives every user; memfile_destroy ends it. */
static void mf_last_put(struct mapfile *mf)
{
	BUG("memory file released by a user");
}

const struct mapfile_ops memfile_ops = {
	.ptr = mf_ptr,
	.destroy = mf_last_put,
	.get_pages = mf_get_pages,
	.put_pages = mf_put_pages,
};

static int source_read(struct page_source *src, u64 off, void *buf, u64 len)
{
	struct memfile *mf = container_of(src, struct memfile, source);

	return guard_copy(buf, memfile_at(mf, off), len) ? -EIO : 0;
}

static u64 source_zero_prefix(struct page_source *src, u64 off, u64 len)
{
	struct memfile *mf = container_of(src, struct memfile, source);
	off_t data = lseek(mf->mapfile.fd, (off_t)off, SEEK_DATA);

	if (data < 0)
		return errno == ENXIO ? len : 0;
	return MIN((u64)data - off, len);
}

static void map_huge(struct memfile *mf)
{
	void *base =
		mmap(NULL, mf->size + MEMFILE_HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	u8 *at;

	if (base == MAP_FAILED)
		return;
	at = (u8 *)ALIGN_UP((uintptr_t)base, MEMFILE_HUGE);
	if (mmap(at, mf->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
	         mf->mapfile.fd, 0) == MAP_FAILED ||
	    madvise(at, mf->size, MADV_HUGEPAGE) < 0)
		return;
	mf->huge = at;
}

/* The largest sparse file that this process may have and map, from MEMFILE_SIZE down. */
static int reserve(struct memfile *mf)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

	/* Asking for more than RLIMIT_FSIZE is a signal, not an error. */
	(void)getrlimit(RLIMIT_FSIZE, &limit);
	for (u64 size = MEMFILE_SIZE; size >= MEMFILE_SIZE_MIN; size /= 2) {
		void *base, *refs;

		if (size > limit.rlim_cur || ftruncate(mf->mapfile.fd, (off_t)size) < 0)
			continue;
		base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		            mf->mapfile.fd, 0);
		if (base == MAP_FAILED)
			continue;
		refs = mmap(NULL, size / PAGE_SIZE * sizeof(u32), PROT_READ | PROT_WRITE,
		            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (refs == MAP_FAILED) {
			munmap(base, size);
			continue;
		}
		mf->base = base;
		mf->size = size;
		map_huge(mf);
		mf->alloc->refs = refs;
		return 0;
	}
	return -ENOMEM;
}

int memfile_create(int fd, struct memfile **ret)
{
	struct memfile *mf = calloc(1, sizeof(*mf));
	struct sysinfo si;
	int r;

	if (!mf) {
		if (fd >= 0)
			close(fd);
		return -ENOMEM;
	}
	mf->alloc = calloc(1, sizeof(*mf->alloc));
	mf->mapfile.fd = fd >= 0 ? fd : memfd_create("stasis-memory", MFD_CLOEXEC);
	r = mf->mapfile.fd < 0 ? -errno : mf->alloc ? reserve(mf) : -ENOMEM;
	if (r < 0) {
		if (mf->mapfile.fd >= 0)
			close(mf->mapfile.fd);
		free(mf->alloc);
		free(mf);
		return r;
	}
	mf->alloc->mf = mf;
	mutex_init(&mf->alloc->lock, RANK_MEMFILE);
	free_space_init(&mf->alloc->space, mf->size);
	mf->mapfile.ops = &memfile_ops;
	mf->mapfile.refs = 1;
	mf->mapfile.writable = true;
	mf->mapfile.source = &mf->source;
	mf->source.read = source_read;
	mf->source.zero_prefix = source_zero_prefix;
	mf->source.size = mf->size;
	mf->total_ram = UINT64_MAX;
	if (sysinfo(&si) == 0)
		mf->total_ram = ((u64)si.totalram + si.totalswap) * si.mem_unit;
	*ret = mf;
	return 0;
}

void memfile_destroy(struct memfile *mf)
{
	if (!mf)
		return;
	BUG_ON(mf->mapfile.refs != 1);
	if (mf->alloc->timers)
		ktimer_cancel(&mf->alloc->trim);
	page_source_finish(&mf->source);
	munmap(mf->base, mf->size);
	if (mf->huge)
		munmap(mf->huge, mf->size);
	munmap(mf->alloc->refs, mf->size / PAGE_SIZE * sizeof(u32));
	free_space_finish(&mf->alloc->space);
	close(mf->mapfile.fd);
	free(mf->alloc);
	free(mf);
}

static _Thread_local bool tls_refused;

bool memfile_full(const struct memfile *mf, u64 len)
{
	u64 limit = READ_ONCE(mf->limit);
	u64 heap = atomic_load_explicit(&mf->heap, memory_order_relaxed);

	if (limit == 0 || memfile_allocated(mf) + heap + len <= limit)
		return false;
	/* Chunks are mostly untouched: what counts is what the host really holds. */
	return memfile_resident(mf) + heap + MIN(len, 64 * KIB) > limit;
}

bool memfile_was_starved(const struct memfile *mf)
{
	u64 bus = guard_take_bus() - (u64)(uintptr_t)mf->base;
	bool refused = tls_refused;

	tls_refused = false;
	return refused || bus < mf->size;
}

int memfile_commit(struct memfile *mf, u64 off, u64 len)
{
	if (madvise(memfile_at(mf, off), len, MADV_POPULATE_WRITE) == 0 || errno == EINVAL)
		return 0;
	tls_refused = true;
	return -ENOMEM;
}

/* reuse: the longest run for which one of old content will do. */
static int take(struct memfile *mf, u64 len, u64 phase, u64 reuse, u64 *ret_off, bool *ret_dirty)
{
	struct memfile_alloc *a = mf->alloc;
	u64 align = len >= ALIGN_MAX ? ALIGN_MAX : 1ull << (63 - __builtin_clzll(len));
	u64 off;
	int r = -ENOMEM;

	BUG_ON(len == 0 || !IS_ALIGNED(len, PAGE_SIZE) || !IS_ALIGNED(phase, PAGE_SIZE));
	if (unlikely(memfile_full(mf, len))) {
		memfile_trim(mf);
		if (memfile_full(mf, len)) {
			tls_refused = true;
			return -ENOMEM;
		}
	}
	mutex_lock(&a->lock);
	if (len <= reuse && a->space.dirty_bytes >= len)
		r = free_space_take_dirty(&a->space, len, &off);
	*ret_dirty = r == 0;
	if (r < 0)
		r = free_space_take_clean(&a->space, len, align, phase, &off);
	mutex_unlock(&a->lock);
	if (r < 0)
		return r;
	if (*ret_dirty)
		atomic_store_explicit(&a->reused, true, memory_order_relaxed);
	for (u64 i = off / PAGE_SIZE; i < (off + len) / PAGE_SIZE; i++)
		atomic_store_explicit(&a->refs[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&a->allocated, len, memory_order_relaxed);
	*ret_off = off;
	return 0;
}

static int zero(struct memfile *mf, u64 off, u64 len)
{
	/* One call instead of a fault for each page. */
	if (len > PAGE_SIZE)
		(void)madvise(memfile_at(mf, off), len, MADV_POPULATE_READ);
	return guard_zero(memfile_at(mf, off), len) != 0 ? -ENOMEM : 0;
}

int memfile_alloc(struct memfile *mf, u64 len, u64 phase, u64 *ret_off)
{
	bool dirty;
	u64 off;
	int r = take(mf, len, phase, DIRTY_LAZY_MAX, &off, &dirty);

	if (r < 0)
		return r;
	if (dirty && zero(mf, off, len) < 0) {
		memfile_put_pages(mf, off, len);
		return -ENOMEM;
	}
	*ret_off = off;
	return 0;
}

/* Room for len bytes, and for much more. */
static bool has_room(const struct memfile *mf, u64 len)
{
	u64 limit = READ_ONCE(mf->limit);

	return limit == 0 || memfile_resident(mf) + limit / 8 + len <= limit;
}

/* One huge page of the host comes behind the run, if there is one. */
static bool take_huge(struct memfile *mf, u64 off)
{
	/* Only this mapping is told to take them, and the file remembers what it took. */
	return mf->huge && IS_ALIGNED(off, MEMFILE_HUGE) &&
	       guard_zero(mf->huge + off, sizeof(u64)) == 0;
}

/* The host's memory comes behind a run that has none: a write needs half the time of a fault. */
static int write_zeros(struct memfile *mf, u64 off, u64 len)
{
	static const u8 zeros[ZEROS];

	for (u64 n; len > 0; off += n, len -= n) {
		n = MIN(len, sizeof(zeros));
		if (pwrite(mf->mapfile.fd, zeros, n, (off_t)off) != (ssize_t)n)
			return -ENOMEM;
	}
	return 0;
}

int memfile_alloc_filled(struct memfile *mf, u64 len, u64 phase, bool small, u64 *ret_off)
{
	bool dirty;
	u64 off;
	int r;

	if (!has_room(mf, len))
		return -ENOMEM;
	r = take(mf, len, phase, UINT64_MAX, &off, &dirty);
	if (r < 0)
		return r;
	if (dirty)
		r = zero(mf, off, len);
	else if (len != MEMFILE_HUGE || small || !take_huge(mf, off))
		r = write_zeros(mf, off, len);
	if (r < 0) {
		memfile_put_pages(mf, off, len);
		return r;
	}
	*ret_off = off;
	return 0;
}

int memfile_alloc_dirty(struct memfile *mf, u64 len, u64 *ret_off)
{
	bool dirty;

	return take(mf, len, 0, DIRTY_LAZY_MAX, ret_off, &dirty);
}

void memfile_get_pages(struct memfile *mf, u64 off, u64 len)
{
	_Atomic u32 *refs = mf->alloc->refs;

	for (u64 i = off / PAGE_SIZE; i < (off + len) / PAGE_SIZE; i++) {
		u32 old = atomic_fetch_add_explicit(&refs[i], 1, memory_order_relaxed);

		BUG_ON(old == 0 || old > 0x7fffffff);
	}
}

void memfile_put_pages(struct memfile *mf, u64 off, u64 len)
{
	_Atomic u32 *refs = mf->alloc->refs;
	u64 i, free_from = 0, n_free = 0;

	for (i = off / PAGE_SIZE; i < (off + len) / PAGE_SIZE; i++) {
		u32 old = atomic_fetch_sub_explicit(&refs[i], 1, memory_order_acq_rel);

		BUG_ON(old == 0);
		if (old == 1) {
			if (n_free++ == 0)
				free_from = i;
			continue;
		}
		if (n_free > 0)
			memfile_release(mf, free_from * PAGE_SIZE, n_free * PAGE_SIZE);
		n_free = 0;
	}
	if (n_free > 0)
		memfile_release(mf, free_from * PAGE_SIZE, n_free * PAGE_SIZE);
}

u32 memfile_page_refs(const struct memfile *mf, u64 off)
{
	return atomic_load_explicit(&mf->alloc->refs[off / PAGE_SIZE], memory_order_acquire);
}

void memfile_back_huge(struct memfile *mf, u64 off)
{
	/* What the guest may never touch must not be what ends a process of it. */
	if (has_room(mf, 2 * MEMFILE_HUGE) && !take_huge(mf, off))
		log_debug("no room for a huge page");
}

bool memfile_is_hole(struct memfile *mf, u64 off, u64 len)
{
	return source_zero_prefix(&mf->source, off, len) == len;
}

u64 memfile_allocated(const struct memfile *mf)
{
	return atomic_load_explicit(&mf->alloc->allocated, memory_order_relaxed);
}

u64 memfile_resident(const struct memfile *mf)
{
	struct stat st;

	return fstat(mf->mapfile.fd, &st) < 0 ? 0 : (u64)st.st_blocks * 512;
}
