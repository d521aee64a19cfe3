/*
 * What a guest will touch next, when it faults: a program, a library, and after a fork everything
 * it uses lie side by side in mappings of which each would cost a fault of its own, and a fault
 * costs ten times what one mapping more does.
 */
#include "sentry/mm/memfile.h"
#include "sentry/mm/mm_impl.h"

#include <sys/mman.h>

/* Mappings looked at on each side. */
#define REACH 12
/* Private data up to this size is made present for writing: whoever has it fills it in. */
#define AHEAD_MAX (64 * KIB)
/* Runs of one mapping that are made present: a long one is seldom used from end to end. */
#define PREPARE_MAX 2
/* The same of runs that are the guest's alone again: changing a mapping costs less than making one.
 */
#define UNSHARE_REACH 32
#define UNSHARE_MAX   12
/* Runs looked at for that: a mapping may have any number. */
#define UNSHARE_LOOK 64
#define UNSHARE_RUN  (256 * KIB)

struct around {
	struct mm *mm;
	struct aspace *as;
	const struct aspace_map *main;
	struct aspace_map *maps;
	u32 n, room;
};

static bool overlap(const struct aspace_map *a, const struct aspace_map *b)
{
	return a->addr < b->addr + b->len && b->addr < a->addr + a->len;
}

static bool has(const struct around *a, const struct aspace_map *m)
{
	for (u32 i = 0; i < a->n; i++)
		if (overlap(&a->maps[i], m))
			return true;
	return overlap(a->main, m);
}

bool mm_of_program(struct vma *v)
{
	struct vma *lo = v, *hi = v;

	if (!v->mappable)
		return false;

	for (u32 i = 0; i < REACH / 2; i++) {
		if (lo && lo->mappable == v->mappable) {
			if (lo->prot & PROT_EXEC)
				return true;
			lo = vma_prev(lo);
		}
		if (hi && hi->mappable == v->mappable) {
			if (hi->prot & PROT_EXEC)
				return true;
			hi = vma_next(hi);
		}
	}
	return false;
}

static struct pma *prepare(const struct around *a, struct vma *v, u64 at)
{
	bool ahead = v->end - v->start <= AHEAD_MAX;

	if (v->flags & (VMA_SHARED | VMA_GROWSDOWN))
		return NULL;
	return mm_prepare_locked(a->mm, v, at, ahead && (!v->mappable || mm_of_program(v)));
}

/* What v, of which the guest sees nothing but perhaps main, is made of. */
static void add(struct around *a, struct vma *v)
{
	u32 prepared = 0;
	u64 at = v->start;

	while (at < v->end && a->n < a->room) {
		struct aspace_map *m = &a->maps[a->n];
		struct pma *p = pma_find(&a->mm->pmas, at);
		bool fresh = !p;

		if (fresh && prepared++ == PREPARE_MAX)
			return;
		if (fresh)
			p = prepare(a, v, at);
		if (!p || mm_mapping_locked(a->mm, v, p, at, at, v->end, fresh && p->owned, m) <= 0)
			return;
		at = m->addr + m->len;
		if (!has(a, m))
			a->n++;
	}
}

static bool seen(const struct around *a, const struct vma *v)
{
	return aspace_maps(a->as, v->start, v->end - v->start);
}

/* The mapping beside v, if the guest sees nothing of it. */
static struct vma *beside(const struct around *a, struct vma *v, bool up)
{
	struct vma *w = up ? vma_next(v) : vma_prev(v);

	if (!w || (up ? v->end != w->start : w->end != v->start) || seen(a, w))
		return NULL;
	return w;
}

/* On both sides, up to mappings that the guest uses. */
static void add_sides(struct around *a, struct vma *v)
{
	struct vma *lo = v, *hi = v;

	for (u32 i = 0; i < REACH && (lo || hi) && a->n < a->room; i++) {
		hi = hi ? beside(a, hi, true) : NULL;
		if (hi && hi->prot & 7)
			add(a, hi);
		lo = lo ? beside(a, lo, false) : NULL;
		if (lo && lo->prot & 7)
			add(a, lo);
	}
}

static void add_place(struct around *a, u64 addr)
{
	struct vma *v = vma_find(&a->mm->vmas, addr);

	if (v && !seen(a, v))
		add(a, v);
}

u32 mm_around_locked(struct mm *mm, struct vma *v, const struct aspace_map *main,
                     struct aspace_map *maps, u32 room)
{
	struct around a = {mm, atomic_load(&mm->aspace), main, maps, 0, room};
	bool first;

	if (mm->alone)
		return 0;
	/* A program begins, or a child goes on. */
	first = !aspace_maps(a.as, mm_bottom(mm), mm_top(mm) - mm_bottom(mm));
	if (first)
		add_place(&a, mm->layout.start_stack);
	if (v->end - v->start > main->len && !seen(&a, v))
		add(&a, v);
	add_sides(&a, v);
	if (first) {
		add_place(&a, mm->brk_start);
		add_place(&a, mm->layout.start_code);
		v = vma_find(&mm->vmas, mm->layout.start_code);
		if (v)
			add_sides(&a, v);
	}
	return a.n;
}

/* Nobody else has any page of p's part in v. */
static bool unshared(struct mm *mm, const struct pma *p, u64 start, u64 end)
{
	struct memfile *mf = memfile_of(p->mf);

	if (!p->owned || !p->cow || mf != mm_memfile(mm) || end - start > UNSHARE_RUN)
		return false;
	for (u64 at = start; at < end; at += PAGE_SIZE)
		if (memfile_page_refs(mf, p->off + (at - p->start)) != 1)
			return false;
	return true;
}

/* Says how many calls it took; *look: how many runs it may look at. */
static u32 unshare_runs(struct mm *mm, struct aspace *as, struct vma *v, u32 room, u32 *look)
{
	struct pma *p;
	u32 n = 0;

	if (!(v->prot & PROT_WRITE) || v->flags & VMA_SHARED)
		return 0;
	for (p = pma_from(&mm->pmas, v->start); p && p->start < v->end && n<room && * look> 0;
	     p = pma_next(p), --*look) {
		u64 start = MAX(p->start, v->start), end = MIN(p->end, v->end);

		if (!unshared(mm, p, start, end))
			continue;
		if (aspace_maps(as, start, end - start)) {
			/* What fails here is asked for again. */
			if (aspace_protect_soon(as, start, end - start, mm_host_prot(v, false)) < 0)
				return room;
			n++;
		}
		p = pma_isolate(&mm->pmas, p, start, end);
		p->cow = false;
		p = pma_merge(&mm->pmas, p);
	}
	return n;
}

void mm_unshare_around_locked(struct mm *mm, struct vma *v)
{
	struct aspace *as = atomic_load(&mm->aspace);
	struct vma *lo = v, *hi = v;
	u32 n = 0, look = UNSHARE_LOOK;

	/* With more threads each change would be a request of its own. */
	if (!as || atomic_load(&mm->users) != 1)
		return;
	for (u32 i = 0; i < UNSHARE_REACH && (lo || hi) && n < UNSHARE_MAX; i++) {
		hi = hi ? vma_next(hi) : NULL;
		if (hi)
			n += unshare_runs(mm, as, hi, UNSHARE_MAX - n, &look);
		lo = lo ? vma_prev(lo) : NULL;
		if (lo)
			n += unshare_runs(mm, as, lo, UNSHARE_MAX - n, &look);
	}
}
