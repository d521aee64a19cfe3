/* Saves and loads of object graphs in memory. */
#include "state/registry.h"
#include "state/save.h"
#include "state/snapshot.h"
#include "tests/unit/sample_types.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>

static const struct obj_type *const house_root[] = {&house_type};

static struct cat *new_cat(struct cat_list *list, const char *name)
{
	struct cat *c = obj_new(cat);

	c->animal.name = strdup(name);
	c->animal.legs = 4;
	c->mood = -3;
	TAILQ_INSERT_TAIL(list, c, sibling);
	return c;
}

/* A house with a dog and a cat that has kittens; the dog chases the cat. */
static struct house *new_house(void)
{
	struct house *h = obj_new(house);
	struct cat *mother = new_cat(&h->cats, "Minka");
	struct dog *d = obj_new(dog);

	for (int i = 0; i < 3; i++) {
		struct cat *k = new_cat(&mother->kittens, "kitten");

		k->mother = mother;
		TAILQ_INSERT_HEAD(&h->sleeping, k, sleeping);
	}
	d->animal.name = strdup("Rex");
	d->chases = obj_get(mother);
	memcpy(d->tag, "\0rex\xff", 6);
	d->bites[2] = 65535;
	d->at = (struct point){-1, 7};
	d->barks = 1ull << 63;
	h->dog = d;
	h->toys[1] = obj_new(toy);
	h->toys[1]->owner = &mother->animal;
	return h;
}

static struct snapshot save_one(void *root)
{
	struct save_params p = {.roots = &root, .n_roots = 1};
	struct snapshot snap = {0};
	char *why = NULL;
	int r = state_save(&p, &snap, &why);

	cr_assert_eq(r, 0, "%s", why);
	return snap;
}

static struct house *load_house(const struct snapshot *snap)
{
	struct load_params p = {.root_types = house_root, .n_roots = 1};
	void *root = NULL;
	char *why = NULL;
	int r = state_load(snap->kernel.data, snap->kernel.len, &p, &root, &why);

	cr_assert_eq(r, 0, "%s", why);
	return root;
}

Test(graph, everything_comes_back)
{
	struct house *h = new_house(), *g;
	struct snapshot a = save_one(h), b;
	struct cat *mother, *k;
	int n = 0;

	cr_assert_eq(a.n_objects, 7);
	obj_put(h);
	cr_assert_eq(obj_live(), 0);
	g = load_house(&a);
	cr_assert_eq(obj_live(), 7);
	mother = TAILQ_FIRST(&g->cats);
	cr_assert_str_eq(mother->animal.name, "Minka");
	cr_assert_eq(mother->mood, -3);
	cr_assert_eq(mother->scratch, -6);
	cr_assert_eq(obj_refs(mother), 2);
	TAILQ_FOREACH (k, &mother->kittens, sibling) {
		cr_assert_eq(k->mother, mother);
		cr_assert_eq(obj_refs(k), 1);
		n++;
	}
	cr_assert_eq(n, 3);
	cr_assert_eq(TAILQ_FIRST(&g->sleeping), TAILQ_LAST(&mother->kittens, cat_list));
	cr_assert_eq(g->dog->chases, &mother->animal);
	cr_assert_eq(memcmp(g->dog->tag, "\0rex\xff", 6), 0);
	cr_assert_eq(g->dog->bites[2], 65535);
	cr_assert_eq(g->dog->at.x, -1);
	cr_assert_eq(g->dog->barks, 1ull << 63);
	cr_assert_null(g->toys[0]);
	cr_assert_eq(g->toys[1]->owner, &mother->animal);
	cr_assert_eq(obj_refs(g), 1);
	b = save_one(g);
	cr_assert_eq(a.kernel.len, b.kernel.len);
	cr_assert_eq(memcmp(a.kernel.data, b.kernel.data, a.kernel.len), 0);
	obj_put(g);
	cr_assert_eq(obj_live(), 0);
	snapshot_finish(&a);
	snapshot_finish(&b);
}

Test(graph, saving_twice_gives_the_same)
{
	struct house *h = new_house();
	struct snapshot a = save_one(h), b = save_one(h);

	cr_assert_eq(a.kernel.len, b.kernel.len);
	cr_assert_eq(memcmp(a.kernel.data, b.kernel.data, a.kernel.len), 0);
	snapshot_finish(&a);
	snapshot_finish(&b);
	obj_put(h);
}

Test(graph, a_cycle_comes_back)
{
	struct house *h = new_house(), *g;
	struct dog *d = obj_new(dog);
	struct snapshot a;

	obj_put(h->dog->chases);
	h->dog->chases = &d->animal;
	d->chases = obj_get(h->dog);
	a = save_one(h);
	d->chases = NULL;
	obj_put(h->dog);
	obj_put(h);
	cr_assert_eq(obj_live(), 0);
	g = load_house(&a);
	d = obj_cast(dog, g->dog->chases);
	cr_assert_not_null(d);
	cr_assert_eq(d->chases, &g->dog->animal);
	d->chases = NULL;
	obj_put(g->dog);
	obj_put(g);
	cr_assert_eq(obj_live(), 0);
	snapshot_finish(&a);
}

Test(graph, weak_references_to_what_nothing_owns_are_null)
{
	struct house *h = new_house(), *g;
	struct cat_list elsewhere = TAILQ_HEAD_INITIALIZER(elsewhere);
	struct cat *c = new_cat(&elsewhere, "Stray");
	struct snapshot a;

	h->toys[1]->owner = &c->animal;
	a = save_one(h);
	g = load_house(&a);
	cr_assert_null(g->toys[1]->owner);
	obj_put(g);
	obj_put(h);
	obj_put(c);
	snapshot_finish(&a);
}

Test(graph, weak_references_forward_are_kept)
{
	struct toy *t = obj_new(toy);
	struct dog *d = obj_new(dog);
	void *roots[] = {t, d}, *back[2] = {NULL};
	const struct obj_type *types[] = {&toy_type, &animal_type};
	struct save_params sp = {.roots = roots, .n_roots = 2};
	struct load_params lp = {.root_types = types, .n_roots = 2};
	struct snapshot snap = {0};
	char *why = NULL;

	t->owner = &d->animal;
	cr_assert_eq(state_save(&sp, &snap, &why), 0);
	cr_assert_eq(state_load(snap.kernel.data, snap.kernel.len, &lp, back, &why), 0, "%s", why);
	cr_assert_eq(((struct toy *)back[0])->owner, back[1]);
	obj_put(back[0]);
	obj_put(back[1]);
	obj_put(t);
	obj_put(d);
	snapshot_finish(&snap);
}

Test(graph, tryget_and_casts)
{
	struct dog *d = obj_new(dog);

	cr_assert(obj_tryget(d));
	cr_assert_eq(obj_refs(d), 2);
	obj_put(d);
	cr_assert(obj_is(d, &animal_type));
	cr_assert_not(obj_is(d, &cat_type));
	cr_assert_not(obj_is(NULL, &cat_type));
	cr_assert_null(obj_cast(cat, &d->animal));
	obj_put(d);
	cr_assert_null(obj_get(NULL));
}

static const char *refusal(const struct snapshot *snap, const struct obj_type *type)
{
	struct load_params p = {.root_types = &type, .n_roots = 1};
	void *root = NULL;
	static char *why;

	free(why);
	why = NULL;
	cr_assert_eq(state_load(snap->kernel.data, snap->kernel.len, &p, &root, &why), -EBADMSG);
	cr_assert_not_null(why);
	return why;
}

Test(graph, refusals_say_why)
{
	struct house *h = new_house();
	struct snapshot snap = save_one(h);
	struct cat *c = TAILQ_FIRST(&h->cats);

	cr_assert_str_eq(refusal(&snap, &toy_type),
	                 "kernel.img: record 1 is a sample.House instead of a sample.Toy");
	snapshot_finish(&snap);
	c->mood = 666;
	snap = save_one(h);
	cr_assert_str_eq(refusal(&snap, &house_type),
	                 "kernel.img: record 2 (sample.Cat): this cat is possessed");
	buf_append(&snap.kernel, "x", 1);
	cr_assert_str_eq(refusal(&snap, &house_type), "kernel.img: 1 bytes after the last record");
	snapshot_finish(&snap);
	obj_put(h);
	cr_assert_eq(obj_live(), 0);
}

static double ms_since(const struct timespec *t)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - t->tv_sec) * 1e3 + (now.tv_nsec - t->tv_nsec) / 1e6;
}

Test(graph, many_objects_and_a_large_record)
{
	struct house *h = new_house(), *g;
	struct timespec t;
	struct snapshot a;
	double save_ms, load_ms;

	for (int i = 0; i < 10000; i++)
		new_cat(&h->cats, "one of many");
	h->rooms = calloc(ROOMS_MAX, sizeof(h->rooms[0]));
	h->n_rooms = ROOMS_MAX;
	for (unsigned i = 0; i < ROOMS_MAX; i++)
		h->rooms[i] = (struct point){(s32)i, -(s32)i};
	clock_gettime(CLOCK_MONOTONIC, &t);
	a = save_one(h);
	save_ms = ms_since(&t);
	clock_gettime(CLOCK_MONOTONIC, &t);
	g = load_house(&a);
	load_ms = ms_since(&t);
	fprintf(stderr, "10007 objects, one with %u parts: save %.1f ms, load %.1f ms, %zu bytes\n",
	        ROOMS_MAX, save_ms, load_ms, a.kernel.len);
	cr_assert_eq(g->n_rooms, ROOMS_MAX);
	cr_assert_eq(g->rooms[99999].y, -99999);
	obj_put(g);
	obj_put(h);
	snapshot_finish(&a);
	cr_assert_eq(obj_live(), 0);
}

static int no_read(struct page_source *src, u64 off, void *buf, u64 len)
{
	return -EIO;
}

Test(graph, pages_keep_their_numbers)
{
	struct page_source src = {.read = no_read, .size = 16 * PAGE_SIZE};
	struct house *h = obj_new(house);
	struct snapshot a;
	struct page_source *at = NULL;
	u64 off = 0, count = 0;

	h->src = &src;
	h->pages = 5;
	a = save_one(h);
	cr_assert_eq(a.pages.count, 5);
	cr_assert_eq(page_table_lookup(&a.pages, 2, &at, &off, &count), 0);
	cr_assert_eq(at, &src);
	cr_assert_eq(off, 2 * PAGE_SIZE);
	cr_assert_eq(count, 3);
	cr_assert_eq(page_table_lookup(&a.pages, 5, &at, &off, &count), -EBADMSG);
	cr_assert_null(src.saved_pgno);
	snapshot_finish(&a);
	obj_put(h);
}
