#pragma once
/*
 * A bump allocator: many small allocations that all end together.
 *
 * Locking: the owner's. Lifetime: zeroed memory is an empty arena; arena_reset ends every
 * allocation and keeps the largest chunk for the next round; arena_finish frees. Saved: no.
 */
#include "state/base/types.h"

struct arena_chunk;
struct arena {
	struct arena_chunk *chunk;
	size_t used;  /* in the current chunk */
	size_t total; /* handed out since the last reset */
	size_t limit; /* arena_try gives NULL past this total; 0: none */
};

/* 16-byte aligned, not zeroed. NULL past the limit or without memory. */
void *arena_try(struct arena *a, size_t size);
/* The same zeroed; never NULL and no limit. */
void *arena_zalloc(struct arena *a, size_t size);
void arena_reset(struct arena *a);
void arena_finish(struct arena *a);
