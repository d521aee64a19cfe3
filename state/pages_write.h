#pragma once
/*
 * Writing pages.img and making the page map that says where each page went.
 *
 * Locking: none; whoever calls keeps the sources from changing. Lifetime: the call. Saved: it makes
 * the saved form of pages.
 */
#include "state/image.h"
#include "state/outfile.h"

/* Writes all pages of the table that are not zero to f (at its start), and appends the packed
 * image.Pagemap to *ret_map. -EIO or what writing gives, with *ret_why set. */
MUST_CHECK int pages_write(struct outfile *f, const struct page_table *table,
                           enum image_compression compression, struct buf *ret_map,
                           u64 *ret_written, char **ret_why);
/* The page is all zeros. */
bool page_is_zero(const void *page);
