#include "state/save.h"
#include "state/base/arena.h"
#include "state/fields.h"
#include "state/records.h"
#include "state/snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TYPE_SLOTS 2048u /* a power of two, at least twice the types that there can be */

struct saver {
	u32 epoch;
	void *user;
	struct obj **objs; /* the walk's queue, in order of first visit; id is index + 1 */
	size_t n_objs, cap_objs;
	struct arena arena;
	struct page_table pages;
	struct page_source **sources;
	size_t n_sources;
	const struct obj *current;
	char *why;
	struct {
		const struct obj_type *type;
		u32 index;
	} slots[TYPE_SLOTS];
	const struct obj_type *types[TYPE_SLOTS / 2];
	u32 n_types;
};

static _Atomic u32 g_epoch;

void *saver_user(struct saver *s)
{
	return s->user;
}

void *saver_alloc(struct saver *s, size_t size)
{
	return arena_zalloc(&s->arena, size);
}

void *saver_submsg(struct saver *s, const ProtobufCMessageDescriptor *d)
{
	void *m = arena_zalloc(&s->arena, d->sizeof_message);

	d->message_init(m);
	return m;
}

int saver_error(struct saver *s, int err, const char *fmt, ...)
{
	va_list ap;

	if (!s->why) {
		va_start(ap, fmt);
		s->why = format_linev(fmt, ap);
		va_end(ap);
	}
	return err;
}

static u32 type_slot(struct saver *s, const struct obj_type *type)
{
	u32 i = (u32)(((uintptr_t)type >> 4) * 0x9e3779b1u) & (TYPE_SLOTS - 1);

	while (s->slots[i].type && s->slots[i].type != type)
		i = (i + 1) & (TYPE_SLOTS - 1);
	return i;
}

static void note_type(struct saver *s, const struct obj_type *type)
{
	u32 i = type_slot(s, type);

	if (s->slots[i].type)
		return;
	BUG_ON(type->abstract || s->n_types == ARRAY_SIZE(s->types));
	s->slots[i].type = type;
	s->slots[i].index = s->n_types;
	s->types[s->n_types++] = type;
}

u64 saver_ref(struct saver *s, const void *p)
{
	/* The save ids are the saver's own; nothing else of the object changes. */
	struct obj *o = (struct obj *)(uintptr_t)p;

	if (!o)
		return 0;
	if (o->save_epoch == s->epoch)
		return o->save_id;
	if (s->n_objs == s->cap_objs) {
		s->cap_objs = MAX(s->cap_objs * 2, (size_t)1024);
		s->objs = reallocarray(s->objs, s->cap_objs, sizeof(s->objs[0]));
		BUG_ON(!s->objs);
	}
	note_type(s, o->type);
	s->objs[s->n_objs++] = o;
	o->save_epoch = s->epoch;
	o->save_id = s->n_objs;
	return o->save_id;
}

u64 saver_weak(struct saver *s, const void *p)
{
	const struct obj *o = p;

	return o && o->save_epoch == s->epoch ? o->save_id : 0;
}

static void adopt_source(struct saver *s, struct page_source *src)
{
	if (src->saved_pgno && src->saved_epoch == s->epoch)
		return;
	page_source_finish(src);
	/* Untouched pages of a large calloc cost nothing: sparse sources are cheap. */
	src->saved_pgno = calloc(src->size / PAGE_SIZE + 1, sizeof(src->saved_pgno[0]));
	BUG_ON(!src->saved_pgno);
	src->saved_epoch = s->epoch;
	s->sources = reallocarray(s->sources, s->n_sources + 1, sizeof(s->sources[0]));
	BUG_ON(!s->sources);
	s->sources[s->n_sources++] = src;
}

void page_source_finish(struct page_source *src)
{
	free(src->saved_pgno);
	src->saved_pgno = NULL;
	src->saved_epoch = 0;
}

int saver_pages(struct saver *s, struct page_source *src, u64 off, u64 len, u64 *ret_pgno,
                u64 *ret_len)
{
	u64 *named, want = len / PAGE_SIZE, n = 1;

	if (len == 0 || !IS_ALIGNED(off | len, PAGE_SIZE) || !range_ok(off, len, src->size))
		return saver_error(s, -EINVAL,
		                   "pages at %#" PRIx64 "+%#" PRIx64 " are outside their file", off,
		                   len);
	adopt_source(s, src);
	named = &src->saved_pgno[off / PAGE_SIZE];
	if (named[0]) {
		while (n < want && named[n] == named[0] + n)
			n++;
	} else {
		u64 first;

		while (n < want && !named[n])
			n++;
		first = page_table_append(&s->pages, src, off, n);
		for (u64 i = 0; i < n; i++)
			named[i] = first + i + 1;
	}
	*ret_pgno = named[0] - 1;
	*ret_len = n * PAGE_SIZE;
	return 0;
}

/* Fills the message of one object. */
static int gather(struct saver *s, const struct obj *o, ProtobufCMessage **ret)
{
	void *m;
	int r;

	arena_reset(&s->arena);
	s->current = o;
	m = saver_submsg(s, o->type->msg);
	r = o->type->save_fields(s, o, m);
	if (r < 0)
		return saver_error(s, r, "a %s cannot be saved: %s", o->type->name, strerror(-r));
	*ret = m;
	return 0;
}

static void put_header(struct saver *s, const struct save_params *params, struct buf *out)
{
	Image__KernelHeader h = IMAGE__KERNEL_HEADER__INIT;
	char **names = arena_zalloc(&s->arena, (s->n_types + 1) * sizeof(names[0]));
	u32 len;

	for (u32 i = 0; i < s->n_types; i++)
		names[i] = (char *)(uintptr_t)s->types[i]->msg->name;
	h.n_types = s->n_types;
	h.types = names;
	h.records = s->n_objs;
	h.roots = params->n_roots;
	h.pages = s->pages.count;
	len = (u32)image__kernel_header__get_packed_size(&h);
	buf_append(out, &len, sizeof(len));
	image__kernel_header__pack(&h, buf_extend(out, len));
}

static int put_record(struct saver *s, const struct obj *o, struct buf *out)
{
	ProtobufCMessage *m = NULL;
	struct record_head h = {
		.type = s->slots[type_slot(s, o->type)].index,
		.id = o->save_id,
	};
	size_t len;
	u8 *at;
	int r = gather(s, o, &m);

	if (r < 0)
		return r;
	len = protobuf_c_message_get_packed_size(m);
	if (len > STATE_RECORD_MAX)
		return saver_error(s, -E2BIG, "a %s is too large to be saved (%zu bytes)",
		                   o->type->name, len);
	h.len = (u32)len;
	at = buf_extend(out, sizeof(h) + len);
	memcpy(at, &h, sizeof(h));
	protobuf_c_message_pack(m, at + sizeof(h));
	return 0;
}

static int save_all(struct saver *s, const struct save_params *params, struct buf *out)
{
	size_t n;

	for (unsigned i = 0; i < params->n_roots; i++) {
		BUG_ON(!params->roots[i]);
		BUG_ON(saver_ref(s, params->roots[i]) != i + 1);
	}
	/* The first pass only finds out who has an id, for weak references, and which types are. */
	for (size_t i = 0; i < s->n_objs; i++) {
		ProtobufCMessage *m = NULL;
		int r = gather(s, s->objs[i], &m);

		if (r < 0)
			return r;
	}
	arena_reset(&s->arena);
	put_header(s, params, out);
	n = s->n_objs;
	for (size_t i = 0; i < n; i++) {
		int r = put_record(s, s->objs[i], out);

		if (r < 0)
			return r;
		if (s->n_objs != n)
			return saver_error(s, -EINVAL,
			                   "a %s refers to other objects when saved twice",
			                   s->objs[i]->type->name);
	}
	return 0;
}

int state_save(const struct save_params *params, struct snapshot *ret, char **ret_why)
{
	struct saver *s = calloc(1, sizeof(*s));
	struct buf out = {0};
	int r;

	BUG_ON(!s || params->n_roots == 0);
	do {
		s->epoch = atomic_fetch_add(&g_epoch, 1) + 1;
	} while (s->epoch == 0);
	s->user = params->user;
	r = save_all(s, params, &out);
	if (r < 0) {
		buf_finish(&out);
		page_table_finish(&s->pages);
		*ret_why = s->why;
	} else {
		*ret = (struct snapshot){.kernel = out,
		                         .pages = s->pages,
		                         .n_objects = s->n_objs,
		                         .objs = TAKE(s->objs)};
		free(s->why);
	}
	for (size_t i = 0; i < s->n_sources; i++)
		page_source_finish(s->sources[i]);
	free(s->sources);
	free(s->objs);
	arena_finish(&s->arena);
	free(s);
	return r;
}

void snapshot_finish(struct snapshot *snap)
{
	free(snap->objs);
	buf_finish(&snap->kernel);
	page_table_finish(&snap->pages);
	snap->n_objects = 0;
}

void snapshot_discard_objects(struct snapshot *snap)
{
	for (size_t i = 0; i < snap->n_objects; i++)
		obj_get(snap->objs[i]);
	obj_dispose_all((void *const *)snap->objs, snap->n_objects);
	free(snap->objs);
	snap->objs = NULL;
	snap->n_objects = 0;
}
