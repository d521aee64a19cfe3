#include "tests/unit/sample_types.h"
#include "state/fields.h"
#include "tests/unit/sample.pb-c.h"

#define POINT_FIELDS(X) \
	X(VAL, x)       \
	X(VAL, y)
STRUCT_FIELDS(point, Sample__Point, sample__point__descriptor, POINT_FIELDS);

#define ANIMAL_FIELDS(X) \
	X(HDR, obj)      \
	X(STR, name)     \
	X(VAL, legs)
static void animal_destroy(void *p)
{
	free(((struct animal *)p)->name);
}
OBJECT_TYPE(animal, Sample__Animal, sample__animal__descriptor, ANIMAL_FIELDS, .abstract = true,
            .destroy = animal_destroy);

/* The links belong to the lists; scratch is made anew by after_load. */
#define CAT_FIELDS(X)                  \
	X(BASE, animal, animal)        \
	X(VAL, asleep)                 \
	X(LIST, kittens, cat, sibling) \
	X(WEAK, mother, cat)           \
	X(VAL, mood)                   \
	X(SKIP, sibling)               \
	X(SKIP, sleeping)              \
	X(SKIP, scratch)
static void cat_init(void *p)
{
	struct cat *c = p;

	TAILQ_INIT(&c->kittens);
}
static void cat_destroy(void *p)
{
	struct cat *c = p, *k;

	while ((k = TAILQ_FIRST(&c->kittens))) {
		TAILQ_REMOVE(&c->kittens, k, sibling);
		cat_put(k);
	}
}
static int cat_after_load(struct loader *l, void *p)
{
	struct cat *c = p;

	if (c->mood == 666)
		return loader_error(l, "this cat is possessed");
	c->scratch = c->mood * 2;
	return 0;
}
OBJECT_TYPE(cat, Sample__Cat, sample__cat__descriptor, CAT_FIELDS, .base = &animal_type,
            .init = cat_init, .destroy = cat_destroy, .after_load = cat_after_load);

#define DOG_FIELDS(X)           \
	X(BASE, animal, animal) \
	X(REF, chases, animal)  \
	X(BYTES, tag)           \
	X(ARRAY, bites)         \
	X(SUB, at, point)       \
	X(ATOMIC, barks)
static void dog_destroy(void *p)
{
	obj_put(((struct dog *)p)->chases);
}
OBJECT_TYPE(dog, Sample__Dog, sample__dog__descriptor, DOG_FIELDS, .base = &animal_type,
            .destroy = dog_destroy);

#define TOY_FIELDS(X)          \
	X(HDR, obj)            \
	X(WEAK, owner, animal) \
	X(VAL, id)             \
	X(SKIP_ARRAY, cache)
OBJECT_TYPE(toy, Sample__Toy, sample__toy__descriptor, TOY_FIELDS);

static int house_save_rooms(struct saver *s, const struct house *o, Sample__House *m)
{
	m->n_rooms = o->n_rooms;
	m->rooms = saver_alloc(s, o->n_rooms * sizeof(m->rooms[0]));
	for (size_t i = 0; i < o->n_rooms; i++) {
		m->rooms[i] = saver_msg(s, Sample__Point, sample__point__init);
		m->rooms[i]->x = o->rooms[i].x;
		m->rooms[i]->y = o->rooms[i].y;
	}
	return 0;
}
static int house_load_rooms(struct loader *l, struct house *o, const Sample__House *m)
{
	if (m->n_rooms > ROOMS_MAX)
		return loader_range(l, "rooms");
	o->rooms = calloc(m->n_rooms + 1, sizeof(o->rooms[0]));
	BUG_ON(!o->rooms);
	for (size_t i = 0; i < m->n_rooms; i++)
		o->rooms[i] = (struct point){m->rooms[i]->x, m->rooms[i]->y};
	o->n_rooms = m->n_rooms;
	return 0;
}
static void house_sample_rooms(struct sampler *sp, struct house *o)
{
	o->n_rooms = 3;
	o->rooms = calloc(3, sizeof(o->rooms[0]));
	BUG_ON(!o->rooms);
	for (int i = 0; i < 3; i++)
		point_sample_sub(sp, &o->rooms[i]);
}

static int house_save_toys(struct saver *s, const struct house *o, Sample__House *m)
{
	m->n_toys = ARRAY_SIZE(o->toys);
	m->toys = saver_alloc(s, sizeof(m->toys[0]) * ARRAY_SIZE(o->toys));
	for (size_t i = 0; i < ARRAY_SIZE(o->toys); i++)
		m->toys[i] = saver_ref(s, o->toys[i]);
	return 0;
}
static int house_load_toys(struct loader *l, struct house *o, const Sample__House *m)
{
	int r = 0;

	if (m->n_toys != ARRAY_SIZE(o->toys))
		return loader_range(l, "toys");
	for (size_t i = 0; r == 0 && i < m->n_toys; i++)
		r = loader_ref(l, m->toys[i], &toy_type, &o->toys[i]);
	return r;
}
static void house_sample_toys(struct sampler *sp, struct house *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(o->toys); i++)
		o->toys[i] = sampler_ref(sp, &toy_type);
}

/* With a page source the number is that of its first page; a test without one keeps what it set. */
static int house_save_pgno(struct saver *s, const struct house *o, Sample__House *m)
{
	u64 len = 0;

	m->pgno = o->pgno;
	if (!o->src || o->pages == 0)
		return 0;
	return saver_pages(s, o->src, 0, o->pages * PAGE_SIZE, &m->pgno, &len);
}
static int house_load_pgno(struct loader *l, struct house *o, const Sample__House *m)
{
	o->pgno = m->pgno;
	return 0;
}
static void house_sample_pgno(struct sampler *sp, struct house *o)
{
	o->pgno = sampler_value(sp);
}

/* n_rooms is the count of rooms; src belongs to the test. */
#define HOUSE_FIELDS(X)                      \
	X(HDR, obj)                          \
	X(LIST, cats, cat, sibling)          \
	X(REF, dog, dog)                     \
	X(WEAKLIST, sleeping, cat, sleeping) \
	X(CUSTOM, rooms, house)              \
	X(SKIP, n_rooms)                     \
	X(CUSTOM_ARRAY, toys, house)         \
	X(SKIP, src)                         \
	X(VAL, pages)                        \
	X(CUSTOM, pgno, house)
static void house_init(void *p)
{
	struct house *h = p;

	TAILQ_INIT(&h->cats);
	TAILQ_INIT(&h->sleeping);
}
static void house_destroy(void *p)
{
	struct house *h = p;
	struct cat *c;

	while ((c = TAILQ_FIRST(&h->sleeping)))
		TAILQ_REMOVE(&h->sleeping, c, sleeping);
	while ((c = TAILQ_FIRST(&h->cats))) {
		TAILQ_REMOVE(&h->cats, c, sibling);
		cat_put(c);
	}
	dog_put(h->dog);
	for (size_t i = 0; i < ARRAY_SIZE(h->toys); i++)
		toy_put(h->toys[i]);
	free(h->rooms);
}
OBJECT_TYPE(house, Sample__House, sample__house__descriptor, HOUSE_FIELDS, .init = house_init,
            .destroy = house_destroy);
