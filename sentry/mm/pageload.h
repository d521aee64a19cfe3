#pragma once
/*
 * What a load of the kernel hands down: the machine that it is loaded into, and where the pages of
 * the image are. loader_user() and sampler_user() are one of these.
 *
 * Locking: none; one load at a time. Lifetime: the load's; what is mapped from it holds references
 * of its own. Saved: no.
 */
#include "sentry/mm/mapfile.h"

struct imagefile;
struct kernel;
struct loader;
struct machine;
struct page_table;

struct kernel_load {
	struct machine *machine;
	struct kernel
		*kernel; /* set by the kernel object's after_load, which runs before all others */
	/* One of the two: an image's pages file, or the table of a save that stayed in memory. */
	struct imagefile *image;
	const struct page_table *in_place;
};

/* What backs the pages from pgno on, at most len bytes of them. A reference and page counts for the
 * caller; always to be copied before a write. -EBADMSG (noted) if the image has no such pages. */
MUST_CHECK int pageload_get(struct loader *l, u64 pgno, u64 len, struct backing *ret);

/* Keeps the pages of a save in memory alive while the objects that own them are thrown away, until
 * the load has taken them up again. */
void pageload_hold(const struct machine *m, const struct page_table *t);
void pageload_release(const struct machine *m, const struct page_table *t);
