#include "state/base/arena.h"
#include "state/base/bug.h"

#include <stdlib.h>
#include <string.h>

struct arena_chunk {
	struct arena_chunk *next;
	size_t size;
	_Alignas(16) u8 data[];
};

static void *bump(struct arena *a, size_t size)
{
	struct arena_chunk *c = a->chunk;
	void *p;

	if (!c || size > c->size - a->used) {
		size_t want = c ? MIN(c->size * 2, (size_t)(8 * MIB)) : 32 * KIB;

		want = MAX(want, size);
		if (want > SIZE_MAX / 2)
			return NULL;
		c = malloc(sizeof(*c) + want);
		if (!c)
			return NULL;
		c->next = a->chunk;
		c->size = want;
		a->chunk = c;
		a->used = 0;
	}
	p = c->data + a->used;
	a->used += size;
	a->total += size;
	return p;
}

void *arena_try(struct arena *a, size_t size)
{
	if (size > SIZE_MAX / 4)
		return NULL;
	size = ALIGN_UP(MAX(size, (size_t)1), (size_t)16);
	if (a->limit && (a->total > a->limit || size > a->limit - a->total))
		return NULL;
	return bump(a, size);
}

void *arena_zalloc(struct arena *a, size_t size)
{
	void *p;

	BUG_ON(size > SIZE_MAX / 4);
	size = ALIGN_UP(MAX(size, (size_t)1), (size_t)16);
	p = bump(a, size);
	BUG_ON(!p);
	return memset(p, 0, size);
}

void arena_reset(struct arena *a)
{
	struct arena_chunk *keep = a->chunk;

	if (keep) {
		struct arena_chunk *c = keep->next;

		while (c) {
			struct arena_chunk *next = c->next;

			if (c->size > keep->size) {
				free(keep);
				keep = c;
			} else {
				free(c);
			}
			c = next;
		}
		keep->next = NULL;
	}
	a->chunk = keep;
	a->used = 0;
	a->total = 0;
}

void arena_finish(struct arena *a)
{
	arena_reset(a);
	free(a->chunk);
	*a = (struct arena){0};
}
