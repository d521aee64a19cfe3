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

/* v and what it runs with are one program or library: nobody is going to change its file and look
 * for that in v's pages, as may be with other private mappings. */
static bool of_program(struct vma *v)
{
	struct vma *lo = v, *hi = v;

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
	return mm_prepare_locked(a->mm, v, at, ahead && (!v->mappable || of_program(v)));
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

/* The mappings beside v, up to one that the guest uses. */
static void add_side(struct around *a, struct vma *v, bool up)
{
	for (u32 i = 0; i < REACH && a->n < a->room; i++) {
		struct vma *w = up ? vma_next(v) : vma_prev(v);

		if (!w || (up ? v->end != w->start : w->end != v->start) || seen(a, w))
			return;
		if (w->prot & 7)
			add(a, w);
		v = w;
	}
}

static void add_place(struct around *a, struct vma *v)
{
	if (!v || seen(a, v))
		return;
	add(a, v);
	add_side(a, v, true);
	add_side(a, v, false);
}

u32 mm_around_locked(struct mm *mm, struct vma *v, const struct aspace_map *main,
                     struct aspace_map *maps, u32 room)
{
	struct around a = {mm, atomic_load(&mm->aspace), main, maps, 0, room};

	if (mm->alone)
		return 0;
	if (!seen(&a, v) && v->end - v->start > main->len)
		add(&a, v);
	add_side(&a, v, true);
	add_side(&a, v, false);
	/* A program begins, or a child goes on. */
	if (!aspace_maps(a.as, mm_bottom(mm), mm_top(mm) - mm_bottom(mm))) {
		add_place(&a, vma_find(&mm->vmas, mm->layout.start_stack));
		add_place(&a, vma_find(&mm->vmas, mm->layout.start_code));
		add_place(&a, vma_find(&mm->vmas, mm->brk_start));
	}
	return a.n;
}
