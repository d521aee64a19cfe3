#include "sentry/mm/mm_save.h"
#include "sentry/mm/mempolicy.h"
#include "sentry/mm/mm_impl.h"
#include "state/fields.h"
#include "state/sample.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct run_list {
	struct saver *s;
	size_t n, cap;
	Sentry__PageRun **runs;
};

/* Runs that go on in address and page number are one, however they lie in memory now: equal content
 * gives equal images. */
static void add_run(struct run_list *list, u64 start, u64 len, u64 pgno)
{
	Sentry__PageRun *last = list->n ? list->runs[list->n - 1] : NULL, *run;

	if (last && last->start + last->len == start &&
	    last->pgno + last->len / PAGE_SIZE == pgno) {
		last->len += len;
		return;
	}
	if (list->n == list->cap) {
		size_t cap = list->cap ? 2 * list->cap : 16;
		Sentry__PageRun **more = saver_alloc(list->s, cap * sizeof(*more));

		if (list->n)
			memcpy(more, list->runs, list->n * sizeof(*more));
		list->runs = more;
		list->cap = cap;
	}
	run = saver_msg(list->s, Sentry__PageRun, sentry__page_run__init);
	run->start = start;
	run->len = len;
	run->pgno = pgno;
	list->runs[list->n++] = run;
}

int pma_save(struct saver *s, const struct pma_tree *t, bool owned_only, size_t *ret_n,
             Sentry__PageRun ***ret_runs)
{
	struct run_list list = {.s = s};
	struct pma *p;

	for (p = pma_from(t, 0); p; p = pma_next(p)) {
		u64 done = 0, size = p->end - p->start, len, pgno;

		if (owned_only && !p->owned)
			continue;
		for (; done < size; done += len) {
			int r = saver_pages(s, p->mf->source, p->off + done, size - done, &pgno,
			                    &len);

			if (r < 0)
				return r;
			add_run(&list, p->start + done, len, pgno);
		}
	}
	*ret_n = list.n;
	*ret_runs = list.runs;
	return 0;
}

int pma_load(struct loader *l, struct pma_tree *t, size_t n, Sentry__PageRun *const *runs,
             u64 limit, bool owned)
{
	u64 last = 0;

	for (size_t i = 0; i < n; i++) {
		const Sentry__PageRun *run = runs[i];
		struct backing b;
		u64 done = 0;

		if (!IS_ALIGNED(run->start | run->len, PAGE_SIZE) || run->len == 0 ||
		    run->start < last || !range_ok(run->start, run->len, limit))
			return loader_error(l, "bad run of pages at 0x%llx",
			                    (unsigned long long)run->start);
		last = run->start + run->len;
		while (done < run->len) {
			int r = pageload_get(l, run->pgno + done / PAGE_SIZE, run->len - done, &b);

			if (r < 0)
				return r;
			pma_add(t, run->start + done, run->start + done + b.len, b.mf, b.off, b.cow,
			        owned);
			done += b.len;
		}
	}
	return 0;
}

int mm_save_pmas(struct saver *s, const struct mm *o, Sentry__Mm *m)
{
	return pma_save(s, &o->pmas, true, &m->n_pmas, &m->pmas);
}

int mm_load_pmas(struct loader *l, struct mm *o, const Sentry__Mm *m)
{
	return pma_load(l, &o->pmas, m->n_pmas, m->pmas, UINT64_MAX - PAGE_SIZE, true);
}

int mm_save_vmas(struct saver *s, const struct mm *o, Sentry__Mm *m)
{
	struct vma *v;

	m->vmas = saver_alloc(s, (size_t)o->vmas.count * sizeof(m->vmas[0]));
	for (v = vma_from(&o->vmas, 0); v; v = vma_next(v)) {
		Sentry__Vma *mv = saver_msg(s, Sentry__Vma, sentry__vma__init);

		mv->start = v->start;
		mv->end = v->end;
		mv->prot = v->prot;
		mv->max_prot = v->max_prot;
		mv->flags = v->flags;
		mv->mappable = saver_ref(s, v->mappable);
		mv->off = v->mappable ? v->off : 0;
		mv->id = saver_ref(s, v->id);
		if (v->name)
			mv->name = v->name;
		m->vmas[m->n_vmas++] = mv;
	}
	return 0;
}

static int load_vma(struct loader *l, struct mm *mm, const Sentry__Vma *mv, u64 above)
{
	struct vma *v;
	int r;

	if (!IS_ALIGNED(mv->start | mv->end | mv->off, PAGE_SIZE) || mv->start >= mv->end ||
	    mv->start < above || mv->prot & ~7u || mv->max_prot & ~7u || mv->prot & ~mv->max_prot ||
	    mv->flags & ~(u32)VMA_ALL || mv->off + (mv->end - mv->start) < mv->off)
		return loader_error(l, "bad mapping at 0x%llx", (unsigned long long)mv->start);
	if ((mv->flags & VMA_POLICY_MODE) >> VMA_POLICY_MODE_SHIFT > 1 + MEMPOLICY_LAST)
		return loader_error(l, "memory policy of a mapping at 0x%llx",
		                    (unsigned long long)mv->start);
	if (mv->flags & VMA_SHARED && !mv->mappable)
		return loader_error(l, "shared mapping of nothing at 0x%llx",
		                    (unsigned long long)mv->start);
	v = calloc(1, sizeof(*v));
	if (!v)
		abort();
	v->start = mv->start;
	v->end = mv->end;
	v->prot = mv->prot;
	v->max_prot = mv->max_prot;
	v->flags = mv->flags;
	v->off = mv->off;
	v->name = mv->name && mv->name[0] ? strdup(mv->name) : NULL;
	r = loader_ref(l, mv->mappable, &mappable_type, &v->mappable);
	if (r == 0) {
		if (v->mappable)
			atomic_fetch_add(&v->mappable->mapped, 1);
		r = loader_ref(l, mv->id, &mapid_type, &v->id);
	}
	if (r < 0) {
		vma_free(v);
		return r;
	}
	vma_link(&mm->vmas, v);
	mm_account(mm, v, 1);
	return 0;
}

int mm_load_vmas(struct loader *l, struct mm *o, const Sentry__Mm *m)
{
	u64 above = 0;
	int r;

	if (m->n_vmas > MM_MAPS_HARD + 16)
		return loader_error(l, "too many mappings");
	for (size_t i = 0; i < m->n_vmas; i++) {
		r = load_vma(l, o, m->vmas[i], above);
		if (r < 0)
			return r;
		above = m->vmas[i]->end;
	}
	return 0;
}

int mm_check_loaded(struct loader *l, struct mm *mm, const struct kernel_load *kl)
{
	u64 top = kl && kl->machine && kl->machine->platform ? kl->machine->platform->max_user_addr
	                                                     : 1ull << 47;
	struct vma *v = vma_last(&mm->vmas);
	struct pma *p;

	if (v && v->end > top)
		return loader_error(l, "mapping above what this platform has");
	if (mm->brk_start > mm->brk_end || mm->brk_end > top || mm->mmap_base > top)
		return loader_error(l, "bad heap or mapping limits");
	/* Content without a mapping would never be found again. */
	for (p = pma_from(&mm->pmas, 0); p; p = pma_next(p)) {
		u64 at = p->start;

		for (v = vma_from(&mm->vmas, at); at < p->end; v = vma_next(v)) {
			if (!v || v->start > at || v->flags & VMA_SHARED)
				return loader_error(l, "pages outside of private mappings");
			at = v->end;
		}
	}
	return 0;
}

void mm_sample_vmas(struct sampler *sp, struct mm *o)
{
	struct vma *v = calloc(1, sizeof(*v)), *anon = calloc(1, sizeof(*v));

	if (!v || !anon)
		abort();
	*v = (struct vma){.start = 16 * PAGE_SIZE,
	                  .end = 32 * PAGE_SIZE,
	                  .prot = 5,
	                  .max_prot = 7,
	                  .flags = VMA_SHARED | VMA_DONTFORK,
	                  .off = 3 * PAGE_SIZE,
	                  .name = strdup("[sample]")};
	v->mappable = sampler_ref(sp, &mappable_type);
	if (v->mappable)
		atomic_fetch_add(&v->mappable->mapped, 1);
	else
		v->flags &= ~(u32)VMA_SHARED;
	v->id = sampler_ref(sp, &mapid_type);
	vma_link(&o->vmas, v);
	*anon = (struct vma){.start = 64 * PAGE_SIZE,
	                     .end = 128 * PAGE_SIZE,
	                     .prot = 3,
	                     .max_prot = 7,
	                     .flags = VMA_ANON};
	vma_link(&o->vmas, anon);
	mm_account(o, v, 1);
	mm_account(o, anon, 1);
}

void mm_sample_pmas(struct sampler *sp, struct mm *o)
{
	const struct kernel_load *kl = sampler_user(sp);
	struct memfile *mf = kl && kl->machine ? kl->machine->memfile : NULL;
	u64 off;

	if (!mf || memfile_alloc(mf, 4 * PAGE_SIZE, 0, &off) < 0)
		return;
	memset(memfile_at(mf, off), 0x5a, 4 * PAGE_SIZE);
	mapfile_get(&mf->mapfile);
	pma_add(&o->pmas, 70 * PAGE_SIZE, 74 * PAGE_SIZE, &mf->mapfile, off, true, true);
}

/* Limits that a load checks. */
void mm_sample(struct sampler *sp, void *o)
{
	struct mm *mm = o;

	mm->brk_start = 128 * PAGE_SIZE;
	mm->brk_end = 130 * PAGE_SIZE;
	mm->mmap_base = 1 * GIB;
	mm->vm_peak = 1 * GIB;
}
