#include "state/page_table.h"
#include "state/base/bug.h"

#include <errno.h>
#include <stdlib.h>

u64 page_table_append(struct page_table *t, struct page_source *src, u64 off, u64 count)
{
	struct page_extent *last = t->n_extents ? &t->extents[t->n_extents - 1] : NULL;
	u64 pgno = t->count;

	t->count += count;
	if (last && last->src == src && last->off + last->count * PAGE_SIZE == off) {
		last->count += count;
		return pgno;
	}
	if (t->n_extents == t->cap) {
		t->cap = MAX(t->cap * 2, (size_t)16);
		t->extents = reallocarray(t->extents, t->cap, sizeof(t->extents[0]));
		BUG_ON(!t->extents);
	}
	t->extents[t->n_extents++] = (struct page_extent){
		.src = src,
		.off = off,
		.pgno = pgno,
		.count = count,
	};
	return pgno;
}

int page_table_lookup(const struct page_table *t, u64 pgno, struct page_source **ret_src,
                      u64 *ret_off, u64 *ret_count)
{
	size_t lo = 0, hi = t->n_extents;
	const struct page_extent *e;
	u64 skip;

	if (pgno >= t->count)
		return -EBADMSG;
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->extents[mid].pgno <= pgno)
			lo = mid;
		else
			hi = mid;
	}
	e = &t->extents[lo];
	skip = pgno - e->pgno;
	*ret_src = e->src;
	*ret_off = e->off + skip * PAGE_SIZE;
	*ret_count = e->count - skip;
	return 0;
}

void page_table_finish(struct page_table *t)
{
	free(t->extents);
	*t = (struct page_table){0};
}
