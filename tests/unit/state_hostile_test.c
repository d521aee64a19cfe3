/* Streams of records that no saver wrote: refused or loaded, never a crash, nothing left behind. */
#include "state/base/cleanup.h"
#include "state/inspect.h"
#include "state/records.h"
#include "tests/unit/sample.pb-c.h"
#include "tests/unit/sample_types.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct obj_type *const house_root[] = {&house_type};
static const struct load_params params = {.root_types = house_root, .n_roots = 1};

static struct snapshot sample(void)
{
	struct house *h = obj_new(house);
	void *root = h;
	struct save_params p = {.roots = &root, .n_roots = 1};
	struct snapshot snap = {0};
	char *why = NULL;

	for (int i = 0; i < 3; i++) {
		struct cat *c = obj_new(cat);

		c->animal.name = strdup("Tom");
		c->mood = (s16)(i * 1000);
		TAILQ_INSERT_TAIL(&h->cats, c, sibling);
		TAILQ_INSERT_TAIL(&h->sleeping, c, sleeping);
	}
	h->dog = obj_new(dog);
	h->dog->chases = obj_get(TAILQ_FIRST(&h->cats));
	h->dog->animal.name = strdup("Rex");
	h->toys[0] = obj_new(toy);
	h->toys[0]->owner = &h->dog->animal;
	h->n_rooms = 5;
	h->rooms = calloc(5, sizeof(h->rooms[0]));
	cr_assert_eq(state_save(&p, &snap, &why), 0, "%s", why);
	obj_put(h);
	return snap;
}

/* Loads; whatever comes of it, nothing is left. Returns what the load said. */
static int try_load(const void *data, size_t size)
{
	AUTO_FREE char *why = NULL;
	AUTO_FREE void **objs = NULL;
	size_t n = 0;
	int r = state_load_all(data, size, &params, &objs, &n, &why);

	if (r == 0)
		obj_dispose_all(objs, n);
	else
		cr_assert_not_null(why);
	cr_assert_eq(obj_live(), 0);
	return r;
}

static int count_ref(const struct inspect_ref *ref, void *arg)
{
	(*(unsigned *)arg)++;
	return 0;
}

static int look(const struct inspect_record *rec, void *arg)
{
	const struct inspect_style style = {.max_bytes = 16};
	unsigned refs = 0;

	if (rec->msg) {
		inspect_message(arg, rec->msg, &style);
		inspect_refs(rec->type, rec->msg, count_ref, &refs);
	}
	return 0;
}

static void try_inspect(const void *data, size_t size, FILE *null)
{
	AUTO_FREE char *why = NULL;
	struct inspect_kernel *k = NULL;

	if (inspect_records(data, size, look, null, &why) < 0)
		cr_assert_not_null(why);
	free(TAKE(why));
	if (inspect_kernel_open(data, size, &k, &why) == 0)
		inspect_kernel_close(k);
}

Test(hostile, every_length)
{
	struct snapshot snap = sample();

	cr_assert_eq(try_load(snap.kernel.data, snap.kernel.len), 0);
	for (size_t len = 0; len < snap.kernel.len; len++) {
		/* On its own, so that a read past the end is seen by the sanitizer. */
		AUTO_FREE u8 *cut = malloc(len + 1);

		memcpy(cut, snap.kernel.data, len);
		cr_assert_eq(try_load(cut, len), -EBADMSG, "%zu bytes", len);
	}
	snapshot_finish(&snap);
}

Test(hostile, every_byte)
{
	struct snapshot snap = sample();
	FILE *null = fopen("/dev/null", "w");
	unsigned refused = 0;

	cr_assert_not_null(null);
	for (size_t i = 0; i < snap.kernel.len; i++) {
		u8 was = snap.kernel.data[i];

		for (unsigned v = 0; v < 256; v++) {
			snap.kernel.data[i] = (u8)v;
			refused += try_load(snap.kernel.data, snap.kernel.len) < 0;
			try_inspect(snap.kernel.data, snap.kernel.len, null);
		}
		snap.kernel.data[i] = was;
	}
	fclose(null);
	fprintf(stderr, "%u of %zu changes refused\n", refused, snap.kernel.len * 256);
	snapshot_finish(&snap);
}

/* A stream made by hand. */
struct stream {
	struct buf b;
	u64 id;
};

static void start(struct stream *s, u64 records, size_t n_types, const char **types)
{
	Image__KernelHeader h = IMAGE__KERNEL_HEADER__INIT;
	u32 len;

	h.types = (char **)types;
	h.n_types = n_types;
	h.records = records;
	h.roots = 1;
	len = (u32)image__kernel_header__get_packed_size(&h);
	*s = (struct stream){0};
	buf_append(&s->b, &len, sizeof(len));
	image__kernel_header__pack(&h, buf_extend(&s->b, len));
}

static void put(struct stream *s, u32 type, u64 id, const void *msg)
{
	struct record_head h = {.type = type, .id = id};

	h.len = (u32)protobuf_c_message_get_packed_size(msg);
	buf_append(&s->b, &h, sizeof(h));
	protobuf_c_message_pack(msg, buf_extend(&s->b, h.len));
}

/* Ends the stream; loads it, and compares the refusal. */
static void expect(struct stream *s, const char *line)
{
	void *root = NULL;
	AUTO_FREE char *why = NULL;
	int r = state_load(s->b.data, s->b.len, &params, &root, &why);

	if (line) {
		cr_assert_eq(r, -EBADMSG, "%s: %d", line, r);
		cr_assert_str_eq(why, line);
	} else {
		cr_assert_eq(r, 0, "%s", why);
		obj_put(root);
	}
	cr_assert_eq(obj_live(), 0);
	buf_finish(&s->b);
}

static const char *types[] = {"sample.House", "sample.Cat", "sample.Dog", "sample.Toy"};

Test(hostile, references)
{
	Sample__House house = SAMPLE__HOUSE__INIT;
	Sample__Animal animal = SAMPLE__ANIMAL__INIT;
	Sample__Cat cat = SAMPLE__CAT__INIT, kitten = SAMPLE__CAT__INIT;
	u64 cats[] = {2, 2}, kittens[] = {2}, toys[] = {0, 0};
	struct stream s;

	cat.animal = kitten.animal = &animal;
	house.toys = toys;
	house.n_toys = 2;
	house.cats = cats;
	house.n_cats = 1;

	start(&s, 2, 4, types);
	put(&s, 0, 1, &house);
	put(&s, 1, 2, &cat);
	expect(&s, NULL);

	start(&s, 1, 4, types);
	put(&s, 0, 1, &house);
	expect(&s, "kernel.img: record 1 (sample.House): refers to record 2, which is not there");

	house.n_cats = 2;
	start(&s, 2, 4, types);
	put(&s, 0, 1, &house);
	put(&s, 1, 2, &cat);
	expect(&s, "kernel.img: record 1 (sample.House): lists record 2, which is in a list "
	           "already");

	/* Its own kitten, by the link that the house's list uses. */
	house.n_cats = 1;
	cat.kittens = kittens;
	cat.n_kittens = 1;
	start(&s, 2, 4, types);
	put(&s, 0, 1, &house);
	put(&s, 1, 2, &cat);
	expect(&s, "kernel.img: record 2 (sample.Cat): lists record 2, which is in a list already");

	cats[0] = 0;
	cat.n_kittens = 0;
	start(&s, 2, 4, types);
	put(&s, 0, 1, &house);
	put(&s, 1, 2, &cat);
	expect(&s, "kernel.img: record 1 (sample.House): field cats is missing");

	cats[0] = 1;
	start(&s, 1, 4, types);
	put(&s, 0, 1, &house);
	expect(&s, "kernel.img: record 1 (sample.House): refers to record 1, a sample.House, as a "
	           "sample.Cat");

	house.n_cats = 0;
	house.n_sleeping = 1;
	house.sleeping = kittens;
	start(&s, 2, 4, types);
	put(&s, 0, 1, &house);
	put(&s, 1, 2, &cat);
	expect(&s, "kernel.img: record 2 (sample.Cat): nothing owns it");

	/* Ids need not be dense. */
	house.n_sleeping = 0;
	house.n_cats = 2;
	cats[0] = 900;
	cats[1] = 7;
	start(&s, 3, 4, types);
	put(&s, 0, 1, &house);
	put(&s, 1, 7, &cat);
	put(&s, 1, 900, &kitten);
	expect(&s, NULL);

	start(&s, 3, 4, types);
	put(&s, 0, 1, &house);
	put(&s, 1, 7, &cat);
	put(&s, 1, 7, &kitten);
	expect(&s, "kernel.img: the record after 7 is damaged");
}

Test(hostile, fields)
{
	Sample__House house = SAMPLE__HOUSE__INIT;
	Sample__Animal animal = SAMPLE__ANIMAL__INIT;
	Sample__Dog dog = SAMPLE__DOG__INIT;
	Sample__Point at = SAMPLE__POINT__INIT;
	u32 bites[] = {1, 65536, 3};
	u64 toys[] = {0, 0};
	u8 tag[6] = {0};
	struct stream s;

	house.toys = toys;
	house.n_toys = 2;
	house.dog = 2;
	dog.bites = bites;
	dog.n_bites = 3;

	start(&s, 2, 4, types);
	put(&s, 0, 1, &house);
	put(&s, 2, 2, &dog);
	expect(&s, "kernel.img: record 2 (sample.Dog): field animal is missing");
	dog.animal = &animal;
	animal.legs = 256;
	start(&s, 2, 4, types);
	put(&s, 0, 1, &house);
	put(&s, 2, 2, &dog);
	expect(&s, "kernel.img: record 2 (sample.Dog): field legs out of range");
	animal.legs = 4;
	start(&s, 2, 4, types);
	put(&s, 0, 1, &house);
	put(&s, 2, 2, &dog);
	expect(&s, "kernel.img: record 2 (sample.Dog): field tag out of range");
	dog.tag.data = tag;
	dog.tag.len = 6;
	start(&s, 2, 4, types);
	put(&s, 0, 1, &house);
	put(&s, 2, 2, &dog);
	expect(&s, "kernel.img: record 2 (sample.Dog): field bites out of range");
	bites[1] = 65535;
	start(&s, 2, 4, types);
	put(&s, 0, 1, &house);
	put(&s, 2, 2, &dog);
	expect(&s, "kernel.img: record 2 (sample.Dog): field at is missing");
	dog.at = &at;
	start(&s, 2, 4, types);
	put(&s, 0, 1, &house);
	put(&s, 2, 2, &dog);
	expect(&s, NULL);
	house.n_toys = 1;
	start(&s, 2, 4, types);
	put(&s, 0, 1, &house);
	put(&s, 2, 2, &dog);
	expect(&s, "kernel.img: record 1 (sample.House): field toys out of range");
}

Test(hostile, types_and_counts)
{
	Sample__House house = SAMPLE__HOUSE__INIT;
	const char *unknown[] = {"sample.House", "sample.Unicorn"};
	const char *abstract[] = {"sample.House", "sample.Animal"};
	u64 toys[] = {0, 0};
	struct stream s;

	house.toys = toys;
	house.n_toys = 2;
	start(&s, 1, 2, unknown);
	put(&s, 0, 1, &house);
	expect(&s, "kernel.img: object type sample.Unicorn is not known");
	start(&s, 1, 2, abstract);
	put(&s, 0, 1, &house);
	expect(&s, "kernel.img: object type sample.Animal has no records");
	start(&s, 0, 4, types);
	expect(&s, "kernel.img: 0 records, 1 roots instead of 1");
	start(&s, 1ull << 60, 4, types);
	put(&s, 0, 1, &house);
	expect(&s, "kernel.img: 1152921504606846976 records do not fit the file");
	start(&s, 1, 4, types);
	put(&s, 4, 1, &house);
	expect(&s, "kernel.img: the record after 0 is damaged");
	start(&s, 1, 4, types);
	put(&s, 0, 2, &house);
	expect(&s, "kernel.img: the record after 0 is damaged");
	start(&s, 1, 4, types);
	put(&s, 1, 1, &house);
	expect(&s, "kernel.img: record 1 is a sample.Cat instead of a sample.House");
}

/* Two bytes of the file become an object of a hundred: the bound holds before memory is gone. */
Test(hostile, allocation_bomb)
{
	struct record_head h = {.type = 0, .id = 1, .len = 32 * MIB};
	struct stream s;
	u8 *at;

	start(&s, 1, 4, types);
	buf_append(&s.b, &h, sizeof(h));
	at = buf_extend(&s.b, h.len);
	for (size_t i = 0; i < h.len; i += 2) {
		at[i] = 4 << 3 | 2; /* rooms */
		at[i + 1] = 0;
	}
	expect(&s, "kernel.img: record 1 (sample.House): the message is damaged");
}
