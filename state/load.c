#include "state/load.h"
#include "state/base/buf.h"
#include "state/base/cleanup.h"
#include "state/fields.h"
#include "state/records.h"
#include "state/registry.h"
#include "state/snapshot.h"
#include "state/unpack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What hostile bytes may make us allocate and count. */
#define OBJECTS_MAX (4 * GIB)
#define REFS_MAX    (1u << 30)

struct loader {
	struct record *recs;
	struct obj **objs; /* by record index */
	size_t n;
	const char *name; /* record at hand; NULL: none */
	u64 id;
	void *user;
	char *why;
	struct arena arena;
	/* Which objects are in a list by which link: an open hash of (index + 1) << 16 | link. */
	u64 *linked;
	size_t n_linked, cap_linked;
};

void *loader_user(struct loader *l)
{
	return l->user;
}

PRINTF(2, 3) static int stream_error(struct loader *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!l->why) {
		AUTO_FREE char *what = format_linev(fmt, ap);

		l->why = format_line("kernel.img: %s", what);
	}
	va_end(ap);
	return -EBADMSG;
}

int loader_error(struct loader *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!l->why) {
		AUTO_FREE char *what = format_linev(fmt, ap);

		l->why = format_line("kernel.img: record %llu (%s): %s", (unsigned long long)l->id,
		                     l->name ? l->name : "?", what);
	}
	va_end(ap);
	return -EBADMSG;
}

int loader_fail(struct loader *l, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!l->why)
		l->why = format_linev(fmt, ap);
	va_end(ap);
	return err;
}

int loader_missing(struct loader *l, const char *field)
{
	return loader_error(l, "field %s is missing", field);
}

int loader_range(struct loader *l, const char *field)
{
	return loader_error(l, "field %s out of range", field);
}

char *loader_str(const char *s)
{
	char *copy;

	if (!s || !*s)
		return NULL;
	copy = strdup(s);
	BUG_ON(!copy);
	return copy;
}

/* Index of the record with that id, or -1. */
static ssize_t find_record(const struct loader *l, u64 id)
{
	size_t lo = 0, hi = l->n;

	/* What the saver writes has no gaps. */
	if (id - 1 < l->n && l->recs[id - 1].id == id)
		return (ssize_t)(id - 1);
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->recs[mid].id == id)
			return (ssize_t)mid;
		if (l->recs[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return -1;
}

static int resolve(struct loader *l, u64 id, const struct obj_type *type, ssize_t *ret)
{
	ssize_t i = find_record(l, id);

	if (i < 0)
		return loader_error(l, "refers to record %llu, which is not there",
		                    (unsigned long long)id);
	if (!obj_is(l->objs[i], type))
		return loader_error(l, "refers to record %llu, a %s, as a %s",
		                    (unsigned long long)id, l->objs[i]->type->msg->name,
		                    type->msg->name);
	*ret = i;
	return 0;
}

static void give(void *ret, struct obj *o)
{
	memcpy(ret, &o, sizeof(o));
}

int loader_weak(struct loader *l, u64 id, const struct obj_type *type, void *ret)
{
	ssize_t i = 0;
	int r;

	if (id == 0) {
		give(ret, NULL);
		return 0;
	}
	r = resolve(l, id, type, &i);
	if (r == 0)
		give(ret, l->objs[i]);
	return r;
}

int loader_ref(struct loader *l, u64 id, const struct obj_type *type, void *ret)
{
	struct obj *o = NULL;
	int r = loader_weak(l, id, type, &o);

	if (r < 0)
		return r;
	if (o) {
		if (obj_refs(o) >= REFS_MAX)
			return loader_error(l, "too many references to record %llu",
			                    (unsigned long long)id);
		obj_get(o);
	}
	give(ret, o);
	return 0;
}

static void insert_linked(u64 *table, size_t cap, u64 key)
{
	size_t i = (key * 0x9e3779b97f4a7c15ull >> 20) & (cap - 1);

	while (table[i])
		i = (i + 1) & (cap - 1);
	table[i] = key;
}

/* Notes that the object is in a list by that link; false if it is already. */
static bool take_link(struct loader *l, size_t index, size_t link)
{
	u64 key = (u64)(index + 1) << 16 | link;

	BUG_ON(link >= 1 << 16);
	if (l->n_linked * 2 >= l->cap_linked) {
		size_t cap = MAX(l->cap_linked * 2, (size_t)256);
		u64 *table = calloc(cap, sizeof(table[0]));

		BUG_ON(!table);
		for (size_t i = 0; i < l->cap_linked; i++)
			if (l->linked[i])
				insert_linked(table, cap, l->linked[i]);
		free(l->linked);
		l->linked = table;
		l->cap_linked = cap;
	}
	for (size_t i = (key * 0x9e3779b97f4a7c15ull >> 20) & (l->cap_linked - 1); l->linked[i];
	     i = (i + 1) & (l->cap_linked - 1))
		if (l->linked[i] == key)
			return false;
	insert_linked(l->linked, l->cap_linked, key);
	l->n_linked++;
	return true;
}

int loader_list_weak(struct loader *l, u64 id, const struct obj_type *type, size_t link, void *ret)
{
	ssize_t i = 0;
	int r = resolve(l, id, type, &i);

	if (r < 0)
		return r;
	if (!take_link(l, (size_t)i, link))
		return loader_error(l, "lists record %llu, which is in a list already",
		                    (unsigned long long)id);
	give(ret, l->objs[i]);
	return 0;
}

int loader_list_ref(struct loader *l, u64 id, const struct obj_type *type, size_t link, void *ret)
{
	struct obj *o = NULL;
	int r = loader_list_weak(l, id, type, link, &o);

	if (r < 0)
		return r;
	/* Bounded: a link takes an object once. */
	give(ret, obj_get(o));
	return 0;
}

/* The types that the header names; each must be one that has records. */
static int find_types(struct loader *l, const Image__KernelHeader *h,
                      const struct obj_type **ret_types)
{
	for (size_t i = 0; i < h->n_types; i++) {
		const struct obj_type *t = registry_find(h->types[i]);

		if (!t)
			return stream_error(l, "object type %.64s is not known", h->types[i]);
		if (t->abstract)
			return stream_error(l, "object type %.64s has no records", h->types[i]);
		ret_types[i] = t;
	}
	return 0;
}

static int check_header(struct loader *l, const Image__KernelHeader *h,
                        const struct load_params *params)
{
	if (h->base.n_unknown_fields > 0)
		return stream_error(l, "the header has unknown fields");
	if (h->roots != params->n_roots || h->records < h->roots)
		return stream_error(l, "%llu records, %u roots instead of %u",
		                    (unsigned long long)h->records, h->roots, params->n_roots);
	return 0;
}

/* First pass: an object for every record. */
static int allocate_all(struct loader *l, struct record_reader *r, const struct load_params *params)
{
	const Image__KernelHeader *h = r->header;
	AUTO_FREE const struct obj_type **types = calloc(h->n_types + 1, sizeof(types[0]));
	u64 bytes = 0;
	int rc = check_header(l, h, params);

	BUG_ON(!types);
	if (rc == 0)
		rc = find_types(l, h, types);
	if (rc < 0)
		return rc;
	l->recs = calloc(h->records + 1, sizeof(l->recs[0]));
	l->objs = calloc(h->records + 1, sizeof(l->objs[0]));
	BUG_ON(!l->recs || !l->objs);
	for (size_t i = 0; (rc = record_reader_next(r, &l->recs[i], &l->why)) > 0; i++) {
		const struct obj_type *t = types[l->recs[i].type];

		bytes += t->size;
		if (bytes > OBJECTS_MAX)
			return stream_error(l, "too many objects");
		if (i < params->n_roots && !obj_type_is(t, params->root_types[i]))
			return stream_error(l, "record %zu is a %s instead of a %s", i + 1,
			                    t->msg->name, params->root_types[i]->msg->name);
		l->objs[i] = obj_alloc(t);
		l->n = i + 1;
	}
	return rc;
}

/* Second pass, one record. */
static int fill(struct loader *l, size_t i)
{
	struct record *rec = &l->recs[i];
	const struct obj_type *t = l->objs[i]->type;
	ProtobufCMessage *m;
	int r;

	l->name = t->msg->name;
	l->id = rec->id;
	arena_reset(&l->arena);
	m = unpack_message(&l->arena, t->msg, rec->data, rec->len);
	if (!m)
		return loader_error(l, "the message is damaged");
	if (m->n_unknown_fields > 0)
		return loader_error(l, "unknown field %u", m->unknown_fields[0].tag);
	r = t->load_fields(l, l->objs[i], m);
	if (r < 0)
		loader_error(l, "%s", strerror(-r));
	return r;
}

static int after(struct loader *l, const struct obj_type *t, struct obj *o)
{
	int r = t->base ? after(l, t->base, o) : 0;

	if (r == 0 && t->after_load)
		r = t->after_load(l, o);
	return r;
}

static int load_all(struct loader *l, struct record_reader *reader,
                    const struct load_params *params)
{
	int r = allocate_all(l, reader, params);

	for (size_t i = 0; r == 0 && i < l->n; i++)
		r = fill(l, i);
	/* What only weak references know would be gone when the loader lets go of it, and leave
	 * them dangling. */
	for (size_t i = params->n_roots; r == 0 && i < l->n; i++)
		if (obj_refs(l->objs[i]) == 1)
			r = stream_error(l, "record %llu (%s): nothing owns it",
			                 (unsigned long long)l->recs[i].id,
			                 l->objs[i]->type->msg->name);
	for (size_t i = 0; r == 0 && i < l->n; i++) {
		l->name = l->objs[i]->type->msg->name;
		l->id = l->recs[i].id;
		r = after(l, l->objs[i]->type, l->objs[i]);
		if (r < 0)
			loader_error(l, "%s", strerror(-r));
	}
	return r;
}

int state_load_all(const void *kernel, size_t size, const struct load_params *params,
                   void ***ret_objs, size_t *ret_n, char **ret_why)
{
	struct loader l = {.user = params->user};
	struct record_reader reader = {0};
	int r = record_reader_open(&reader, kernel, size, ret_why);

	if (r < 0)
		return r;
	r = load_all(&l, &reader, params);
	if (r < 0) {
		obj_dispose_all((void **)l.objs, l.n);
		free(l.objs);
		*ret_why = l.why;
	} else {
		*ret_objs = (void **)l.objs;
		*ret_n = l.n;
		free(l.why);
	}
	free(l.recs);
	free(l.linked);
	arena_finish(&l.arena);
	record_reader_close(&reader);
	return r;
}

int state_load(const void *kernel, size_t size, const struct load_params *params, void **ret_roots,
               char **ret_why)
{
	void **objs = NULL;
	size_t n = 0;
	int r = state_load_all(kernel, size, params, &objs, &n, ret_why);

	if (r < 0)
		return r;
	for (size_t i = 0; i < params->n_roots; i++)
		ret_roots[i] = objs[i];
	for (size_t i = params->n_roots; i < n; i++)
		obj_put(objs[i]);
	free(objs);
	return 0;
}
