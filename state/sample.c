#include "state/base/cleanup.h"
#include "state/sample.h"
#include "state/base/buf.h"
#include "state/fields.h"
#include "state/records.h"
#include "state/registry.h"
#include "state/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NESTING_MAX 32 /* of messages in messages; the schema has nothing near it */

struct sampler {
	struct {
		struct obj *obj;
		bool filled;
		bool weak; /* known by a weak reference: must be a root of the save */
	} * made;
	size_t n;
	unsigned depth; /* 1: the fields of the type under test are being filled */
	u64 next;
	void *user;
};

void *sampler_user(struct sampler *sp)
{
	return sp->user;
}

u64 sampler_value(struct sampler *sp)
{
	/* Small, so that it fits a u8 and most checks; never 0. */
	return 1 + sp->next++ % 100;
}

static void sample_hooks(struct sampler *sp, const struct obj_type *t, void *o)
{
	if (t->base)
		sample_hooks(sp, t->base, o);
	if (t->sample)
		t->sample(sp, o);
}

static const struct obj_type *concrete(const struct obj_type *type)
{
	const struct obj_type *t;

	if (!type->abstract)
		return type;
	for (unsigned i = 0; (t = registry_at(i)); i++)
		if (!t->abstract && obj_type_is(t, type))
			return t;
	return NULL;
}

static size_t make(struct sampler *sp, const struct obj_type *type)
{
	const struct obj_type *t = concrete(type);
	size_t i = sp->n;
	struct obj *o;

	BUG_ON(!t);
	o = obj_alloc(t);
	sp->made = reallocarray(sp->made, sp->n + 1, sizeof(sp->made[0]));
	BUG_ON(!sp->made);
	sp->n++;
	sp->made[i].obj = o;
	sp->made[i].filled = false;
	sp->made[i].weak = false;
	sp->depth++;
	t->sample_fields(sp, o);
	sample_hooks(sp, t, o);
	sp->depth--;
	sp->made[i].filled = true;
	return i;
}

/* An object that exists if that ends the recursion: fields of the tested object itself prefer one
 * that is not the object itself or one of those around it. */
static size_t find_or_make(struct sampler *sp, const struct obj_type *type)
{
	size_t open = SIZE_MAX;

	for (size_t i = 0; i < sp->n; i++) {
		if (!obj_is(sp->made[i].obj, type))
			continue;
		if (sp->made[i].filled)
			return i;
		open = i;
	}
	return open != SIZE_MAX && sp->depth > 1 ? open : make(sp, type);
}

void *sampler_ref(struct sampler *sp, const struct obj_type *type)
{
	size_t i = find_or_make(sp, type);

	return obj_get(sp->made[i].obj);
}

void *sampler_weak(struct sampler *sp, const struct obj_type *type)
{
	size_t i = find_or_make(sp, type);

	sp->made[i].weak = true;
	return sp->made[i].obj;
}

void *sampler_element(struct sampler *sp, const struct obj_type *type, bool weak)
{
	size_t i;

	if (sp->depth > 1)
		return NULL;
	i = make(sp, type);
	sp->made[i].weak |= weak;
	return weak ? sp->made[i].obj : obj_get(sp->made[i].obj);
}

static bool is_default(const ProtobufCFieldDescriptor *f, const u8 *at)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING: {
		const char *s = *(const char *const *)at;

		return !s || !*s;
	}
	case PROTOBUF_C_TYPE_BYTES: {
		const ProtobufCBinaryData *b = (const void *)at;

		for (size_t i = 0; i < b->len; i++)
			if (b->data[i])
				return false;
		return true;
	}
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return *(const u64 *)at == 0;
	default:
		return *(const u32 *)at == 0;
	}
}

/* NULL, or the field that has its default value. */
static const char *find_default(const ProtobufCMessage *m, unsigned depth)
{
	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		const u8 *at = (const u8 *)m + f->offset;
		const char *inner = NULL;

		if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
			continue;
		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			size_t n = *(const size_t *)((const u8 *)m + f->quantifier_offset);

			if (n == 0)
				return f->name;
			if (f->type != PROTOBUF_C_TYPE_MESSAGE)
				continue;
			at = *(const u8 *const *)at;
		}
		if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
			const ProtobufCMessage *sub = *(ProtobufCMessage *const *)at;

			if (!sub || depth == 0)
				return f->name;
			/* Elements of a collection may rightly have empty fields. */
			if (f->label != PROTOBUF_C_LABEL_REPEATED)
				inner = find_default(sub, depth - 1);
		} else if (is_default(f, at)) {
			return f->name;
		}
		if (inner)
			return inner;
	}
	return NULL;
}

static int check_first_record(const struct obj_type *type, const struct buf *kernel, char **ret_why)
{
	struct record_reader rr = {0};
	struct record rec = {0};
	ProtobufCMessage *m;
	const char *field;
	int r = record_reader_open(&rr, kernel->data, kernel->len, ret_why);

	if (r < 0)
		return r;
	r = record_reader_next(&rr, &rec, ret_why);
	if (r == 1) {
		m = protobuf_c_message_unpack(type->msg, NULL, rec.len, rec.data);
		BUG_ON(!m);
		field = find_default(m, NESTING_MAX);
		if (field) {
			*ret_why = format_line("%s: the sample leaves field %s at its default",
			                       type->name, field);
			r = -EINVAL;
		}
		protobuf_c_message_free_unpacked(m, NULL);
	}
	record_reader_close(&rr);
	return r < 0 ? r : 0;
}

/* malloc'd: the record that byte i lies in. */
static char *record_around(const struct buf *b, size_t i)
{
	struct record_reader rr = {0};
	struct record rec = {0};
	char *name = NULL, *why = NULL;

	if (record_reader_open(&rr, b->data, b->len, &why) == 0) {
		while (!name && record_reader_next(&rr, &rec, &why) == 1) {
			if (rec.data + rec.len > (const u8 *)b->data + i)
				name = format_line("record %llu (%s)", (unsigned long long)rec.id,
				                   record_name(&rr, &rec));
		}
		record_reader_close(&rr);
	}
	free(why);
	return name ? name : strdup("the header");
}

int snapshot_compare(const char *what, const struct buf *a, const struct buf *b, char **ret_why)
{
	AUTO_FREE char *where = NULL;
	size_t i = 0;

	while (i < a->len && i < b->len && a->data[i] == b->data[i])
		i++;
	if (i == a->len && i == b->len)
		return 0;
	where = record_around(a, i);
	*ret_why = format_line("%s: a save of what was loaded differs at byte %zu of %zu, %zu: %s",
	                       what, i, a->len, b->len, where);
	return -EINVAL;
}

static int load_and_compare(const struct obj_type *type, const struct selftest_params *params,
                            const struct snapshot *first, const struct save_params *roots,
                            char **ret_why)
{
	const struct obj_type **types = calloc(roots->n_roots, sizeof(types[0]));
	struct load_params lp = {.root_types = types, .n_roots = roots->n_roots};
	struct save_params again = {.n_roots = roots->n_roots, .user = params->user};
	struct snapshot second = {0};
	void **objs = NULL;
	size_t n = 0;
	int r;

	BUG_ON(!types);
	for (unsigned i = 0; i < roots->n_roots; i++)
		types[i] = ((const struct obj *)roots->roots[i])->type;
	lp.user = params->load_user ? params->load_user(params->user, first) : params->user;
	r = state_load_all(first->kernel.data, first->kernel.len, &lp, &objs, &n, ret_why);
	if (r == 0) {
		again.roots = objs;
		r = state_save(&again, &second, ret_why);
		if (r == 0)
			r = snapshot_compare(type->name, &first->kernel, &second.kernel, ret_why);
		snapshot_finish(&second);
		obj_dispose_all(objs, n);
		free(objs);
	}
	if (params->done)
		params->done(params->user, lp.user);
	free(types);
	return r;
}

static int run(struct sampler *sp, const struct obj_type *type,
               const struct selftest_params *params, char **ret_why)
{
	void **roots;
	struct save_params save = {.user = params->user, .n_roots = 1};
	struct snapshot first = {0};
	int r;

	make(sp, type);
	roots = calloc(sp->n, sizeof(roots[0]));
	BUG_ON(!roots);
	roots[0] = sp->made[0].obj;
	for (size_t i = 1; i < sp->n; i++)
		if (sp->made[i].weak)
			roots[save.n_roots++] = sp->made[i].obj;
	save.roots = roots;
	r = state_save(&save, &first, ret_why);
	if (r == 0)
		r = check_first_record(type, &first.kernel, ret_why);
	if (r == 0)
		r = load_and_compare(type, params, &first, &save, ret_why);
	snapshot_finish(&first);
	free(roots);
	return r;
}

int state_type_selftest(const struct obj_type *type, const struct selftest_params *params,
                        char **ret_why)
{
	static const struct selftest_params none = {0};
	struct sampler sp = {.user = params ? params->user : NULL};
	u64 live = obj_live();
	void **objs;
	int r;

	if (type->n_fields != type->msg->n_fields) {
		*ret_why = format_line("%s: the table saves %u of the message's %u fields",
		                       type->name, type->n_fields, type->msg->n_fields);
		return -EINVAL;
	}
	if (type->abstract)
		return 0;
	r = run(&sp, type, params ? params : &none, ret_why);
	objs = calloc(sp.n, sizeof(objs[0]));
	BUG_ON(!objs);
	for (size_t i = 0; i < sp.n; i++)
		objs[i] = sp.made[i].obj;
	obj_dispose_all(objs, sp.n);
	free(objs);
	free(sp.made);
	if (r == 0 && obj_live() != live) {
		*ret_why = format_line("%s: %lld objects are left", type->name,
		                       (long long)(obj_live() - live));
		r = -EINVAL;
	}
	return r;
}
