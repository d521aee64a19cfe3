#pragma once
/*
 * Where the pages are that a save named, by page number: what is written to pages.img, or, for a
 * save that stays in memory, what the loader maps again.
 *
 * Locking: none; one owner. Lifetime: zeroed memory is an empty table; page_table_finish frees.
 * The sources are borrowed. Saved: no.
 */
#include "state/pages.h"

struct page_extent {
	struct page_source *src;
	u64 off;   /* in src, bytes */
	u64 pgno;  /* of the first page */
	u64 count; /* pages */
};

struct page_table {
	struct page_extent *extents; /* by page number, without gaps */
	size_t n_extents;
	size_t cap;
	u64 count; /* pages in all */
};

/* Gives the next count page numbers to pages of src at off; returns the first. */
u64 page_table_append(struct page_table *t, struct page_source *src, u64 off, u64 count);
/* The page's place, and how many pages from it on lie side by side. -EBADMSG past the end. */
MUST_CHECK int page_table_lookup(const struct page_table *t, u64 pgno, struct page_source **ret_src,
                                 u64 *ret_off, u64 *ret_count);
void page_table_finish(struct page_table *t);
