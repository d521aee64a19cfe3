#include "sentry/mm/pma.h"
#include "state/base/bug.h"

#include <stdlib.h>

static int pma_cmp(const struct pma *a, const struct pma *b)
{
	return a->start < b->start ? -1 : a->start > b->start;
}

RB_GENERATE_INTERNAL(pma_rb, pma, node, pma_cmp, UNUSED static)

void pma_tree_init(struct pma_tree *t)
{
	RB_INIT(&t->rb);
}

struct pma *pma_from(const struct pma_tree *t, u64 addr)
{
	struct pma *p = RB_ROOT(&t->rb), *best = NULL;

	while (p) {
		if (addr < p->end) {
			best = p;
			if (addr >= p->start)
				break;
			p = RB_LEFT(p, node);
		} else {
			p = RB_RIGHT(p, node);
		}
	}
	return best;
}

struct pma *pma_find(const struct pma_tree *t, u64 addr)
{
	struct pma *p = pma_from(t, addr);

	return p && p->start <= addr ? p : NULL;
}

struct pma *pma_next(struct pma *p)
{
	return pma_rb_RB_NEXT(p);
}

struct pma *pma_prev(struct pma *p)
{
	return pma_rb_RB_PREV(p);
}

static struct pma *new_pma(void)
{
	struct pma *p = malloc(sizeof(*p));

	if (!p)
		abort();
	return p;
}

static bool continues(const struct pma *a, const struct pma *b)
{
	return a->end == b->start && a->mf == b->mf && a->off + (a->end - a->start) == b->off &&
	       a->cow == b->cow && a->owned == b->owned;
}

/* b, which a continues into, becomes part of a. */
static void absorb(struct pma_tree *t, struct pma *a, struct pma *b)
{
	pma_rb_RB_REMOVE(&t->rb, b);
	a->end = b->end;
	mapfile_put(b->mf);
	free(b);
}

struct pma *pma_merge(struct pma_tree *t, struct pma *p)
{
	struct pma *next = pma_next(p), *prev = pma_prev(p);

	if (next && continues(p, next))
		absorb(t, p, next);
	if (prev && continues(prev, p)) {
		absorb(t, prev, p);
		p = prev;
	}
	return p;
}

struct pma *pma_add(struct pma_tree *t, u64 start, u64 end, struct mapfile *mf, u64 off, bool cow,
                    bool owned)
{
	struct pma *p = new_pma();

	*p = (struct pma){
		.start = start, .end = end, .mf = mf, .off = off, .cow = cow, .owned = owned};
	BUG_ON(pma_rb_RB_INSERT(&t->rb, p) != NULL);
	return pma_merge(t, p);
}

struct pma *pma_split(struct pma_tree *t, struct pma *p, u64 addr)
{
	struct pma *hi = new_pma();

	BUG_ON(addr <= p->start || addr >= p->end);
	*hi = *p;
	hi->start = addr;
	hi->off += addr - p->start;
	mapfile_get(hi->mf);
	p->end = addr;
	BUG_ON(pma_rb_RB_INSERT(&t->rb, hi) != NULL);
	return hi;
}

struct pma *pma_isolate(struct pma_tree *t, struct pma *p, u64 start, u64 end)
{
	if (start > p->start)
		p = pma_split(t, p, start);
	if (end < p->end)
		pma_split(t, p, end);
	return p;
}

void pma_drop(struct pma_tree *t, struct pma *p)
{
	pma_rb_RB_REMOVE(&t->rb, p);
	mapfile_put_pages(p->mf, p->off, p->end - p->start);
	mapfile_put(p->mf);
	free(p);
}

void pma_drop_range(struct pma_tree *t, u64 start, u64 end)
{
	struct pma *p, *next;

	for (p = pma_from(t, start); p && p->start < end; p = next) {
		p = pma_isolate(t, p, MAX(start, p->start), MIN(end, p->end));
		next = pma_next(p);
		pma_drop(t, p);
	}
}

void pma_move_range(struct pma_tree *t, u64 start, u64 end, struct pma_tree *to, u64 delta)
{
	struct pma *p, *next;

	for (p = pma_from(t, start); p && p->start < end; p = next) {
		p = pma_isolate(t, p, MAX(start, p->start), MIN(end, p->end));
		next = pma_next(p);
		pma_rb_RB_REMOVE(&t->rb, p);
		p->start += delta;
		p->end += delta;
		BUG_ON(pma_rb_RB_INSERT(&to->rb, p) != NULL);
	}
}

bool pma_span(const struct pma_tree *t, u64 start, u64 end, u64 *ret_lo, u64 *ret_hi)
{
	struct pma *p = pma_from(t, start), *last;

	if (!p || p->start >= end)
		return false;
	last = pma_from(t, end - 1);
	if (!last)
		last = RB_MAX(pma_rb, &((struct pma_tree *)(uintptr_t)t)->rb);
	else if (last->start >= end)
		last = pma_prev(last);
	*ret_lo = MAX(start, p->start);
	*ret_hi = MIN(end, last->end);
	return true;
}
