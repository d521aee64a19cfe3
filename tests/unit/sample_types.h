#pragma once
/*
 * Object types that exist only for the unit tests of state/: every field kind, a base with two
 * derived types, lists, weak references and cycles.
 *
 * Locking: none. Lifetime: obj_put; cats and kittens form trees, dogs and cats cycles.
 * Saved: all.
 */
#include "state/object.h"
#include "state/pages.h"

#include <sys/queue.h>

struct point {
	s32 x;
	s32 y;
};

/* Abstract. */
struct animal {
	struct obj obj;
	char *name;
	u8 legs;
};
OBJECT_DECL(animal);

TAILQ_HEAD(cat_list, cat);
struct cat {
	struct animal animal;
	bool asleep;
	struct cat_list kittens; /* owned, by sibling */
	struct cat *mother;      /* weak */
	s16 mood;
	TAILQ_ENTRY(cat) sibling;
	TAILQ_ENTRY(cat) sleeping;
	int scratch; /* not saved: what after_load makes of mood */
};
OBJECT_DECL(cat);

struct dog {
	struct animal animal;
	struct animal *chases; /* owned; may be a cycle */
	u8 tag[6];
	u16 bites[3];
	struct point at;
	_Atomic u64 barks;
};
OBJECT_DECL(dog);

struct toy {
	struct obj obj;
	struct animal *owner; /* weak */
	u64 id;
	u64 cache[2];
};
OBJECT_DECL(toy);

struct house {
	struct obj obj;
	struct cat_list cats; /* owned, by sibling */
	struct dog *dog;
	struct cat_list sleeping; /* not owned, by sleeping */
	struct point *rooms;
	size_t n_rooms;
	struct toy *toys[2];     /* owned */
	struct page_source *src; /* of the pages below; the test's */
	u64 pages;               /* how many from the start of src */
	u64 pgno;                /* of the first in the image that was loaded */
};
OBJECT_DECL(house);

#define ROOMS_MAX 100000u
