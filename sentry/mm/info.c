/* What /proc shows of an address space, and unmapping what a file lost. */
#include "sentry/mm/mm_impl.h"
#include "state/base/cleanup.h"
#include "state/base/bug.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define WINDOW_PAGES 512u
/* Counting pages takes at most one part in this many of the time. */
#define COUNT_PART 32

void mm_residency(struct mm *mm, const struct pma *p, u64 start, u64 end, u8 *vec)
{
	struct memfile *mf = memfile_of(p->mf);
	u64 n = (end - start) / PAGE_SIZE;

	/* Clean pages of files and images count as there: the host has them or reads them. */
	if (!mf || mincore(memfile_at(mf, p->off + (start - p->start)), end - start, vec) < 0)
		memset(vec, 1, n);
	for (u64 i = 0; i < n; i++)
		vec[i] &= 1;
}

static u64 resident(struct mm *mm, const struct pma *p, u64 start, u64 end)
{
	u8 vec[WINDOW_PAGES];
	u64 n = 0;

	if (!memfile_of(p->mf))
		return end - start;
	while (start < end) {
		u64 len = MIN(end - start, WINDOW_PAGES * PAGE_SIZE);

		mm_residency(mm, p, start, start + len, vec);
		for (u64 i = 0; i < len / PAGE_SIZE; i++)
			n += vec[i];
		start += len;
	}
	return n * PAGE_SIZE;
}

static bool is_stack(const struct mm *mm, const struct vma *v)
{
	return v->start <= mm->layout.start_stack && mm->layout.start_stack < v->end;
}

static bool is_heap(const struct mm *mm, const struct vma *v)
{
	return v->start < PAGE_UP(mm->brk_end) && v->end > mm->brk_start && !v->id;
}

static void describe(const struct mm *mm, const struct vma *v, struct vma_info *ret)
{
	*ret = (struct vma_info){
		.start = v->start,
		.end = v->end,
		.off = v->mappable ? v->off : 0,
		.prot = (int)v->prot,
		.shared = v->flags & VMA_SHARED,
		.stack = is_stack(mm, v),
		.heap = is_heap(mm, v),
		.growsdown = v->flags & VMA_GROWSDOWN,
		.locked = v->flags & VMA_LOCKED,
		.dontfork = v->flags & VMA_DONTFORK,
		.wipeonfork = v->flags & VMA_WIPEONFORK,
		.dontdump = v->flags & VMA_DONTDUMP,
		.huge = v->flags & VMA_HUGE,
		.small = v->flags & VMA_SMALL,
		.noreserve = v->flags & VMA_NORESERVE,
	};
	if (v->name)
		snprintf(ret->name, sizeof(ret->name), "%s", v->name);
	else if (v->flags & VMA_SHARED && v->flags & VMA_ANON)
		snprintf(ret->name, sizeof(ret->name), "/dev/zero (deleted)");
	else if (ret->stack)
		snprintf(ret->name, sizeof(ret->name), "[stack]");
	else if (ret->heap)
		snprintf(ret->name, sizeof(ret->name), "[heap]");
}

bool mm_next_vma(struct mm *mm, u64 addr, bool with_rss, struct vma_info *ret)
{
	AUTO(mapid) id = NULL;
	struct vma *v;

	rwlock_rdlock(&mm->lock);
	v = vma_from(&mm->vmas, addr);
	if (!v) {
		rwlock_unlock(&mm->lock);
		return false;
	}
	describe(mm, v, ret);
	id = obj_get(v->id);
	if (with_rss) {
		for (struct pma *p = pma_from(&mm->pmas, v->start); p && p->start < v->end;
		     p = pma_next(p)) {
			u64 n = resident(mm, p, MAX(p->start, v->start), MIN(p->end, v->end));

			ret->rss += n;
			if (p->owned)
				ret->private_dirty += n;
		}
	}
	rwlock_unlock(&mm->lock);
	/* Names come from the file system, which has locks above ours. */
	if (id && mapid_ops_of(id) && mapid_ops_of(id)->describe)
		mapid_ops_of(id)->describe(id, ret->name, sizeof(ret->name), &ret->dev, &ret->ino);
	return true;
}

/* mm->lock is held in any way. */
static void count(struct mm *mm, struct mm_count *c)
{
	c->anon = c->file = c->shmem = 0;
	for (struct vma *v = vma_from(&mm->vmas, 0); v; v = vma_next(v)) {
		for (struct pma *p = pma_from(&mm->pmas, v->start); p && p->start < v->end;
		     p = pma_next(p)) {
			u64 n = resident(mm, p, MAX(p->start, v->start), MIN(p->end, v->end));

			if (p->owned)
				c->anon += n;
			else if (v->flags & VMA_ANON)
				c->shmem += n;
			else
				c->file += n;
		}
	}
}

/* Who asks all the time (the Java machine does) is told a little less often: a large guest takes
 * milliseconds to count. */
static void count_if_old(struct mm *mm)
{
	static const struct clocks host;
	struct mm_count *c = &mm->count;
	s64 now = clock_mono(&host), then;

	if (c->edits == mm->edits && now < c->until)
		return;
	count(mm, c);
	then = clock_mono(&host);
	c->edits = mm->edits;
	c->until = then + COUNT_PART * (then - now);
}

void mm_stat(struct mm *mm, struct mm_stat *ret)
{
	struct mm_stat st = {0};
	struct vma *v;

	rwlock_rdlock(&mm->lock);
	st.vm_size = mm->vm_total;
	st.vm_peak = mm->vm_peak;
	st.vm_data = mm->vm_data;
	st.vm_locked = mm->vm_locked;
	for (v = vma_from(&mm->vmas, 0); v; v = vma_next(v)) {
		if (v->flags & VMA_GROWSDOWN)
			st.vm_stack += v->end - v->start;
		if (v->prot & PROT_EXEC && v->id)
			st.vm_exe += v->end - v->start;
	}
	mutex_lock(&mm->count.lock);
	count_if_old(mm);
	st.rss_anon = mm->count.anon;
	st.rss_file = mm->count.file;
	st.rss_shmem = mm->count.shmem;
	mutex_unlock(&mm->count.lock);
	rwlock_unlock(&mm->lock);
	st.vm_hwm = st.rss_anon + st.rss_file + st.rss_shmem;
	*ret = st;
}

static void invalidate_one(struct mm *mm, const struct mappable *m, u64 off, u64 end,
                           bool owned_too)
{
	struct vma *v;

	mm_lock(mm);
	for (v = vma_from(&mm->vmas, 0); v; v = vma_next(v)) {
		u64 v_end = v->off + (v->end - v->start);
		u64 lo = MAX(v->off, off), hi = MIN(v_end, end);

		if (v->mappable != m || lo >= hi)
			continue;
		mm_drop_pages_locked(mm, v->start + (lo - v->off), v->start + (hi - v->off),
		                     owned_too);
	}
	mm_unlock(mm);
}

struct mm **mm_list(struct kernel *k, size_t *ret_n)
{
	struct mm **list, *mm;
	size_t n = 0, cap = 0;

	GUARD(&k->mms_lock);
	TAILQ_FOREACH (mm, &k->mms, mms_link)
		cap++;
	list = calloc(cap + 1, sizeof(*list));
	BUG_ON(!list);
	TAILQ_FOREACH (mm, &k->mms, mms_link)
		if (obj_tryget(mm))
			list[n++] = mm;
	*ret_n = n;
	return list;
}

static void invalidate(struct kernel *k, struct mappable *m, u64 off, u64 end, bool owned_too)
{
	struct mm **list;
	size_t n;

	if (atomic_load(&m->mapped) == 0)
		return;
	list = mm_list(k, &n);
	for (size_t i = 0; i < n; i++) {
		invalidate_one(list[i], m, off, end, owned_too);
		obj_put(list[i]);
	}
	free(list);
}

bool mm_any_writer(struct kernel *k, struct mappable *m)
{
	struct mm **list;
	bool found = false;
	size_t n;

	if (atomic_load(&m->mapped) == 0)
		return false;
	list = mm_list(k, &n);
	for (size_t i = 0; i < n; i++) {
		struct vma *v;

		mm_lock(list[i]);
		for (v = vma_from(&list[i]->vmas, 0); v && !found; v = vma_next(v))
			found = v->mappable == m && (v->flags & VMA_SHARED) &&
			        (v->max_prot & PROT_WRITE);
		mm_unlock(list[i]);
		obj_put(list[i]);
	}
	free(list);
	return found;
}

void mm_invalidate(struct kernel *k, struct mappable *m, u64 off, u64 len)
{
	invalidate(k, m, off, len == 0 || off + len < off ? UINT64_MAX : off + len, false);
}

void mm_truncated(struct kernel *k, struct mappable *m, u64 size)
{
	invalidate(k, m, PAGE_UP(size), UINT64_MAX, true);
}

u32 mm_membarrier(struct mm *mm)
{
	return atomic_load(&mm->membarrier);
}

void mm_membarrier_register(struct mm *mm, u32 kind)
{
	atomic_fetch_or(&mm->membarrier, kind);
}
