#include "state/inspect.h"
#include "proto/image.pb-c.h"
#include "proto/stats.pb-c.h"
#include "state/base/bug.h"
#include "state/base/cleanup.h"
#include "state/format.h"
#include "state/records.h"
#include "state/registry.h"
#include "state/unpack.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct inspect_kernel {
	struct arena arena;
	struct record_reader reader; /* owns the names */
	struct inspect_record *recs;
	size_t n;
};

static int unpack_record(struct arena *a, const struct record_reader *rr, const struct record *rec,
                         struct inspect_record *ret, char **ret_why)
{
	*ret = (struct inspect_record){
		.id = rec->id,
		.name = record_name(rr, rec),
		.packed = rec->data,
		.size = rec->len,
	};
	ret->type = registry_find(ret->name);
	if (!ret->type)
		return 0;
	ret->msg = unpack_message(a, ret->type->msg, rec->data, rec->len);
	if (ret->msg)
		return 0;
	*ret_why = format_line("kernel.img: record %" PRIu64 " (%s): the message is damaged",
	                       rec->id, ret->name);
	return -EBADMSG;
}

int inspect_records(const void *kernel, size_t size,
                    int (*fn)(const struct inspect_record *rec, void *arg), void *arg,
                    char **ret_why)
{
	struct arena arena = {0};
	struct record_reader rr = {0};
	struct record rec = {0};
	struct inspect_record ir = {0};
	int r = record_reader_open(&rr, kernel, size, ret_why);

	if (r < 0)
		return r;
	while ((r = record_reader_next(&rr, &rec, ret_why)) > 0) {
		arena_reset(&arena);
		r = unpack_record(&arena, &rr, &rec, &ir, ret_why);
		if (r == 0)
			r = fn(&ir, arg);
		if (r != 0)
			break;
	}
	arena_finish(&arena);
	record_reader_close(&rr);
	return r;
}

int inspect_kernel_open(const void *kernel, size_t size, struct inspect_kernel **ret,
                        char **ret_why)
{
	struct inspect_kernel *k = calloc(1, sizeof(*k));
	struct record rec = {0};
	int r;

	BUG_ON(!k);
	r = record_reader_open(&k->reader, kernel, size, ret_why);
	if (r == 0) {
		k->recs = calloc(k->reader.header->records + 1, sizeof(k->recs[0]));
		BUG_ON(!k->recs);
		while ((r = record_reader_next(&k->reader, &rec, ret_why)) > 0) {
			r = unpack_record(&k->arena, &k->reader, &rec, &k->recs[k->n], ret_why);
			if (r < 0)
				break;
			k->n++;
		}
	}
	if (r < 0) {
		inspect_kernel_close(k);
		return r;
	}
	*ret = k;
	return 0;
}

void inspect_kernel_close(struct inspect_kernel *k)
{
	if (!k)
		return;
	arena_finish(&k->arena);
	record_reader_close(&k->reader);
	free(k->recs);
	free(k);
}

size_t inspect_count(const struct inspect_kernel *k)
{
	return k->n;
}

const struct inspect_record *inspect_at(const struct inspect_kernel *k, size_t i)
{
	return i < k->n ? &k->recs[i] : NULL;
}

const struct inspect_record *inspect_find(const struct inspect_kernel *k, u64 id)
{
	size_t lo = 0, hi = k->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (k->recs[mid].id == id)
			return &k->recs[mid];
		if (k->recs[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

typedef int (*ref_fn)(const struct inspect_ref *ref, void *arg);

static int walk_fields(const struct obj_ref_field *fields, const ProtobufCMessage *msg, ref_fn fn,
                       void *arg);

static int walk_field(const struct obj_ref_field *rf, const ProtobufCMessage *msg, ref_fn fn,
                      void *arg)
{
	const ProtobufCFieldDescriptor *f =
		protobuf_c_message_descriptor_get_field_by_name(msg->descriptor, rf->field);
	struct inspect_ref ref = {
		.field = rf->field,
		.weak = rf->kind == OBJ_REF_WEAK,
		.type = rf->type,
	};
	const u8 *at;
	size_t n = 1;
	int r = 0;

	BUG_ON(!f);
	at = (const u8 *)msg + f->offset;
	if (rf->kind == OBJ_REF_BASE || rf->kind == OBJ_REF_SUB) {
		const ProtobufCMessage *sub = *(ProtobufCMessage *const *)at;

		if (!sub)
			return 0;
		return walk_fields(rf->kind == OBJ_REF_BASE ? rf->type->refs : rf->sub, sub, fn,
		                   arg);
	}
	if (f->label == PROTOBUF_C_LABEL_REPEATED) {
		n = *(const size_t *)((const u8 *)msg + f->quantifier_offset);
		at = *(const u8 *const *)at;
	}
	for (size_t i = 0; r == 0 && i < n; i++) {
		ref.id = ((const u64 *)at)[i];
		if (ref.id)
			r = fn(&ref, arg);
	}
	return r;
}

static int walk_fields(const struct obj_ref_field *fields, const ProtobufCMessage *msg, ref_fn fn,
                       void *arg)
{
	int r = 0;

	for (; r == 0 && fields->field; fields++)
		r = walk_field(fields, msg, fn, arg);
	return r;
}

int inspect_refs(const struct obj_type *type, const ProtobufCMessage *msg, ref_fn fn, void *arg)
{
	return walk_fields(type->refs, msg, fn, arg);
}

struct decode {
	FILE *out;
	size_t max_bytes;
	bool first;
};

static int decode_record(const struct inspect_record *rec, void *arg)
{
	struct decode *d = arg;
	const struct inspect_style style = {.indent = 6, .max_bytes = d->max_bytes};

	fprintf(d->out,
	        "%s\n    {\n      \"id\": %" PRIu64 ",\n      \"type\": ", d->first ? "" : ",",
	        rec->id);
	inspect_string(d->out, rec->name, strlen(rec->name));
	d->first = false;
	if (rec->msg) {
		fputs(",\n      \"message\": ", d->out);
		inspect_message(d->out, rec->msg, &style);
	} else {
		fprintf(d->out, ",\n      \"unknown_bytes\": %zu", rec->size);
	}
	fputs("\n    }", d->out);
	return 0;
}

static int decode_kernel(const void *body, size_t size, struct decode *d, char **ret_why)
{
	const struct inspect_style style = {.indent = 2, .max_bytes = d->max_bytes};
	struct record_reader rr = {0};
	int r = record_reader_open(&rr, body, size, ret_why);

	if (r < 0)
		return r;
	fputs(",\n  \"header\": ", d->out);
	inspect_message(d->out, &rr.header->base, &style);
	record_reader_close(&rr);
	fputs(",\n  \"records\": [", d->out);
	d->first = true;
	r = inspect_records(body, size, decode_record, d, ret_why);
	fputs("\n  ]", d->out);
	return r;
}

static int decode_message(const ProtobufCMessageDescriptor *desc, const void *body, size_t size,
                          const char *name, struct decode *d, char **ret_why)
{
	const struct inspect_style style = {.indent = 2, .max_bytes = d->max_bytes};
	struct arena arena = {0};
	ProtobufCMessage *m = unpack_message(&arena, desc, body, size);

	if (m) {
		fprintf(d->out, ",\n  \"message\": ");
		inspect_message(d->out, m, &style);
	} else {
		*ret_why = format_line("%s: the message is damaged", name);
	}
	arena_finish(&arena);
	return m ? 0 : -EBADMSG;
}

static int decode_pagemap(const void *body, size_t size, const char *name, struct decode *d,
                          char **ret_why)
{
	static const char *const kinds[8] = {"zero", "raw", "lz4", "?", "?", "?", "?", "?"};
	struct arena arena = {0};
	Image__Pagemap *m = unpack_message(&arena, &image__pagemap__descriptor, body, size);
	u64 pgno = 0;

	if (!m) {
		arena_finish(&arena);
		*ret_why = format_line("%s: the message is damaged", name);
		return -EBADMSG;
	}
	fprintf(d->out, ",\n  \"raw_start\": %" PRIu64 ",\n  \"blocks_start\": %" PRIu64,
	        m->raw_start, m->blocks_start);
	fputs(",\n  \"runs\": [", d->out);
	for (size_t i = 0; i < m->n_runs; i++) {
		fprintf(d->out,
		        "%s\n    {\"page\": %" PRIu64 ", \"pages\": %" PRIu64 ", \"kind\": \"%s\"}",
		        i ? "," : "", pgno, m->runs[i] >> 3, kinds[m->runs[i] & 7]);
		pgno += m->runs[i] >> 3;
	}
	fputs("\n  ],\n  \"blocks\": [", d->out);
	for (size_t i = 0; i < m->n_block_sizes; i++)
		fprintf(d->out, "%s\n    {\"size\": %u, \"xxh3\": \"%016" PRIx64 "\"}",
		        i ? "," : "", m->block_sizes[i],
		        i < m->n_block_xxh3 ? m->block_xxh3[i] : 0);
	fprintf(d->out, "\n  ]");
	arena_finish(&arena);
	return 0;
}

static void open_json(struct decode *d, const char *what)
{
	fprintf(d->out, "{\n  \"file\": \"%s\"", what);
}

static int decode_body(const struct buf *file, const char *name, const struct image_header *h,
                       struct decode *d, char **ret_why)
{
	struct buf hold = {0};
	const u8 *body = NULL;
	size_t size = 0;
	char kind[5] = {0};
	int r;

	memcpy(kind, h->kind, 4);
	r = image_body(file, name, kind, &hold, &body, &size, ret_why);
	if (r == 0 && strcmp(kind, "KERN") == 0) {
		open_json(d, "kernel.img");
		r = decode_kernel(body, size, d, ret_why);
	} else if (r == 0 && strcmp(kind, "PMAP") == 0) {
		open_json(d, "pagemap.img");
		r = decode_pagemap(body, size, name, d, ret_why);
	} else if (r == 0 && strcmp(kind, "INVT") == 0) {
		open_json(d, "inventory.img");
		r = decode_message(&image__inventory__descriptor, body, size, name, d, ret_why);
	} else if (r == 0) {
		*ret_why = format_line("%s is no stasis image", name);
		r = -EBADMSG;
	}
	buf_finish(&hold);
	return r;
}

static int decode_stats(const struct buf *file, const char *name, struct decode *d, char **ret_why)
{
	u32 head[3] = {0};

	memcpy(head, file->data, sizeof(head));
	if (head[1] != STATS_MAGIC2 || head[2] > file->len - sizeof(head)) {
		*ret_why = format_line("%s is damaged", name);
		return -EBADMSG;
	}
	open_json(d, "stats-dump");
	return decode_message(&stats__entry__descriptor, file->data + sizeof(head), head[2], name,
	                      d, ret_why);
}

static int decode_file(int fd, const char *name, u64 size, struct decode *d, char **ret_why)
{
	struct image_header h = {0};
	struct buf file = {0};
	u32 first = 0;
	int r = image_read_file(fd, name, MIN(size, (u64)sizeof(h)), &file, ret_why);

	if (r < 0)
		return r;
	memcpy(&h, file.data, MIN(file.len, sizeof(h)));
	memcpy(&first, &h, sizeof(first));
	if (memcmp(h.magic, IMAGE_MAGIC, sizeof(h.magic)) == 0 && memcmp(h.kind, "PAGE", 4) == 0) {
		open_json(d, "pages.img");
		fprintf(d->out, ",\n  \"format\": %u,\n  \"bytes\": %" PRIu64, h.format, size);
		buf_finish(&file);
		return 0;
	}
	buf_finish(&file);
	r = image_read_file(fd, name, size, &file, ret_why);
	if (r == 0 && first == STATS_MAGIC1 && file.len >= 3 * sizeof(u32))
		r = decode_stats(&file, name, d, ret_why);
	else if (r == 0 &&
	         (file.len < sizeof(h) || memcmp(h.magic, IMAGE_MAGIC, sizeof(h.magic)) != 0))
		r = (*ret_why = format_line("%s is no stasis image", name), -EBADMSG);
	else if (r == 0)
		r = decode_body(&file, name, &h, d, ret_why);
	buf_finish(&file);
	return r;
}

int inspect_decode(int fd, const char *name, FILE *out, size_t max_bytes, char **ret_why)
{
	struct decode d = {.out = out, .max_bytes = max_bytes};
	u64 size = 0;
	int r = image_file_size(fd, name, &size, ret_why);

	if (r == 0)
		r = decode_file(fd, name, size, &d, ret_why);
	if (r == 0)
		fputs("\n}\n", out);
	return r;
}

struct verify {
	const struct inspect_kernel *k;
	const struct inspect_record *rec;
	char **why;
};

static int verify_ref(const struct inspect_ref *ref, void *arg)
{
	struct verify *v = arg;
	const struct inspect_record *to = inspect_find(v->k, ref->id);

	if (to && to->type && obj_type_is(to->type, ref->type))
		return 0;
	*v->why = format_line("kernel.img: record %" PRIu64 " (%s): field %s refers to record "
	                      "%" PRIu64 ", which is %s",
	                      v->rec->id, v->rec->name, ref->field, ref->id,
	                      to ? to->name : "not there");
	return -EBADMSG;
}

static int verify_kernel(const struct image *img, char **ret_why)
{
	struct inspect_kernel *k = NULL;
	size_t size = 0;
	const void *kernel = image_kernel(img, &size);
	struct verify v = {.why = ret_why};
	int r = inspect_kernel_open(kernel, size, &k, ret_why);

	v.k = k;
	for (size_t i = 0; r == 0 && i < k->n; i++) {
		v.rec = &k->recs[i];
		if (v.rec->msg) {
			r = inspect_refs(v.rec->type, v.rec->msg, verify_ref, &v);
		} else {
			*ret_why = format_line("kernel.img: record %" PRIu64
			                       " (%.64s): the type is not known",
			                       v.rec->id, v.rec->name);
			r = -EBADMSG;
		}
	}
	inspect_kernel_close(k);
	return r;
}

int inspect_verify(const int fds[IMAGE_FILES], char **ret_why)
{
	struct image *img = NULL;
	int r = image_open(fds, &img, ret_why);

	if (r == 0)
		r = verify_kernel(img, ret_why);
	if (r == 0)
		r = image_verify_pages(img, fds, ret_why);
	image_close(img);
	return r;
}
