#include "sentry/mm/vma.h"
#include "state/base/bug.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct vma;
static void gap_update(struct vma *v);
/* libbsd calls it where a rotation or a removal changes a node's children. */
#undef RB_AUGMENT
#define RB_AUGMENT(v) gap_update(v)

static int vma_cmp(const struct vma *a, const struct vma *b)
{
	return a->start < b->start ? -1 : a->start > b->start;
}

RB_GENERATE_INTERNAL(vma_rb, vma, node, vma_cmp, UNUSED static)

static void gap_update(struct vma *v)
{
	u64 m = v->gap;

	if (RB_LEFT(v, node))
		m = MAX(m, RB_LEFT(v, node)->gap_max);
	if (RB_RIGHT(v, node))
		m = MAX(m, RB_RIGHT(v, node)->gap_max);
	v->gap_max = m;
}

static void gap_update_up(struct vma *v)
{
	for (; v; v = RB_PARENT(v, node))
		gap_update(v);
}

/* Where the free space below v ends: a stack keeps its guard gap. */
static u64 gap_end(const struct vma *v)
{
	if (!(v->flags & VMA_GROWSDOWN))
		return v->start;
	return v->start > STACK_GUARD_GAP ? v->start - STACK_GUARD_GAP : 0;
}

/* v's start, flags or lower neighbour changed. */
static void gap_renew(struct vma *v)
{
	struct vma *prev = vma_rb_RB_PREV(v);
	u64 from = prev ? prev->end : 0, to = gap_end(v);

	v->gap = to > from ? to - from : 0;
	gap_update_up(v);
}

void vma_tree_init(struct vma_tree *t)
{
	RB_INIT(&t->rb);
	t->count = 0;
	t->dead = NULL;
}

struct vma *vma_from(const struct vma_tree *t, u64 addr)
{
	struct vma *v = RB_ROOT(&t->rb), *best = NULL;

	while (v) {
		if (addr < v->end) {
			best = v;
			if (addr >= v->start)
				break;
			v = RB_LEFT(v, node);
		} else {
			v = RB_RIGHT(v, node);
		}
	}
	return best;
}

struct vma *vma_find(const struct vma_tree *t, u64 addr)
{
	struct vma *v = vma_from(t, addr);

	return v && v->start <= addr ? v : NULL;
}

struct vma *vma_next(struct vma *v)
{
	return vma_rb_RB_NEXT(v);
}

struct vma *vma_prev(struct vma *v)
{
	return vma_rb_RB_PREV(v);
}

struct vma *vma_last(const struct vma_tree *t)
{
	struct vma *v = RB_ROOT(&t->rb);

	while (v && RB_RIGHT(v, node))
		v = RB_RIGHT(v, node);
	return v;
}

struct vma *vma_clone(const struct vma *v)
{
	struct vma *n = malloc(sizeof(*n));

	if (!n)
		abort();
	*n = *v;
	if (n->mappable) {
		obj_get(n->mappable);
		atomic_fetch_add(&n->mappable->mapped, 1);
	}
	obj_get(n->id);
	if (v->name) {
		n->name = strdup(v->name);
		if (!n->name)
			abort();
	}
	return n;
}

void vma_free(struct vma *v)
{
	if (v->mappable) {
		atomic_fetch_sub(&v->mappable->mapped, 1);
		obj_put(v->mappable);
	}
	obj_put(v->id);
	free(v->name);
	free(v);
}

void vma_free_list(struct vma *dead)
{
	struct vma *next;

	for (; dead; dead = next) {
		next = RB_RIGHT(dead, node);
		vma_free(dead);
	}
}

void vma_link(struct vma_tree *t, struct vma *v)
{
	struct vma *next;

	v->gap = 0;
	v->gap_max = 0;
	BUG_ON(vma_rb_RB_INSERT(&t->rb, v) != NULL);
	t->count++;
	gap_renew(v);
	next = vma_rb_RB_NEXT(v);
	BUG_ON(next && next->start < v->end);
	if (next)
		gap_renew(next);
}

void vma_detach(struct vma_tree *t, struct vma *v)
{
	struct vma *next = vma_rb_RB_NEXT(v);
	/* With two children libbsd updates all the way up; with fewer only this node's parent. */
	struct vma *parent = RB_PARENT(v, node);
	bool both = RB_LEFT(v, node) && RB_RIGHT(v, node);

	vma_rb_RB_REMOVE(&t->rb, v);
	t->count--;
	if (!both)
		gap_update_up(parent);
	if (next)
		gap_renew(next);
}

void vma_unlink(struct vma_tree *t, struct vma *v)
{
	vma_detach(t, v);
	RB_RIGHT(v, node) = t->dead;
	t->dead = v;
}

void vma_resize(struct vma_tree *t, struct vma *v, u64 start, u64 end)
{
	struct vma *next = vma_rb_RB_NEXT(v);

	v->off += start - v->start;
	v->start = start;
	v->end = end;
	gap_renew(v);
	if (next)
		gap_renew(next);
}

struct vma *vma_split(struct vma_tree *t, struct vma *v, u64 addr)
{
	struct vma *hi = vma_clone(v);

	BUG_ON(addr <= v->start || addr >= v->end);
	hi->start = addr;
	hi->off += addr - v->start;
	v->end = addr;
	vma_link(t, hi);
	return hi;
}

static bool same_name(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool continues(const struct vma *a, const struct vma *b)
{
	return a->end == b->start && a->prot == b->prot && a->max_prot == b->max_prot &&
	       a->flags == b->flags && a->mappable == b->mappable && a->id == b->id &&
	       (!a->mappable || a->off + (a->end - a->start) == b->off) &&
	       same_name(a->name, b->name) && !(a->flags & VMA_GROWSDOWN);
}

struct vma *vma_merge(struct vma_tree *t, struct vma *v)
{
	struct vma *next = vma_next(v), *prev = vma_prev(v);

	if (next && continues(v, next)) {
		u64 end = next->end;

		vma_unlink(t, next);
		vma_resize(t, v, v->start, end);
	}
	if (prev && continues(prev, v)) {
		u64 end = v->end;

		vma_unlink(t, v);
		vma_resize(t, prev, prev->start, end);
		v = prev;
	}
	return v;
}

bool vma_range_free(const struct vma_tree *t, u64 start, u64 end)
{
	struct vma *v = vma_from(t, start);

	return !v || gap_end(v) >= end;
}

/* The highest fitting gap below a vma of this subtree. */
static bool search(const struct vma *v, u64 len, u64 lo, u64 hi, u64 *ret)
{
	u64 from, to;

	if (!v || v->gap_max < len)
		return false;
	if (v->end < hi && search(RB_RIGHT(v, node), len, lo, hi, ret))
		return true;
	to = MIN(gap_end(v), hi);
	from = gap_end(v) - v->gap;
	if (v->gap >= len && to >= len && to - len >= MAX(from, lo)) {
		*ret = to - len;
		return true;
	}
	return v->start > lo && search(RB_LEFT(v, node), len, lo, hi, ret);
}

int vma_find_gap(const struct vma_tree *t, u64 len, u64 lo, u64 hi, u64 *ret)
{
	struct vma *last = vma_last(t);
	u64 from = MAX(lo, last ? last->end : 0);

	if (hi >= len && hi - len >= from) {
		*ret = hi - len;
		return 0;
	}
	return search(RB_ROOT(&t->rb), len, lo, hi, ret) ? 0 : -ENOMEM;
}
