#include "state/records.h"
#include "state/base/buf.h"
#include "state/snapshot.h"
#include "state/unpack.h"

#include <errno.h>
#include <string.h>

int record_reader_open(struct record_reader *r, const void *kernel, size_t size, char **ret_why)
{
	u32 len;

	*r = (struct record_reader){0};
	if (size < sizeof(len)) {
		*ret_why = format_line("kernel.img: no header");
		return -EBADMSG;
	}
	memcpy(&len, kernel, sizeof(len));
	if (len > size - sizeof(len)) {
		*ret_why = format_line("kernel.img: the header does not fit the file");
		return -EBADMSG;
	}
	r->header = unpack_message(&r->arena, &image__kernel_header__descriptor,
	                           (const u8 *)kernel + sizeof(len), len);
	if (!r->header) {
		*ret_why = format_line("kernel.img: the header is damaged");
		record_reader_close(r);
		return -EBADMSG;
	}
	r->at = (const u8 *)kernel + sizeof(len) + len;
	r->end = (const u8 *)kernel + size;
	r->left = r->header->records;
	if (r->left > (size_t)(r->end - r->at) / sizeof(struct record_head)) {
		*ret_why = format_line("kernel.img: %llu records do not fit the file",
		                       (unsigned long long)r->left);
		record_reader_close(r);
		return -EBADMSG;
	}
	return 0;
}

int record_reader_next(struct record_reader *r, struct record *ret, char **ret_why)
{
	struct record_head h;
	size_t room = (size_t)(r->end - r->at);

	if (r->left == 0) {
		if (room == 0)
			return 0;
		*ret_why = format_line("kernel.img: %zu bytes after the last record", room);
		return -EBADMSG;
	}
	if (room < sizeof(h)) {
		*ret_why = format_line("kernel.img: ends after record %llu",
		                       (unsigned long long)r->last_id);
		return -EBADMSG;
	}
	memcpy(&h, r->at, sizeof(h));
	room -= sizeof(h);
	if (h.id <= r->last_id || (r->last_id == 0 && h.id != 1) || h.type >= r->header->n_types) {
		*ret_why = format_line("kernel.img: the record after %llu is damaged",
		                       (unsigned long long)r->last_id);
		return -EBADMSG;
	}
	if (h.len > room || h.len > STATE_RECORD_MAX) {
		*ret_why = format_line("kernel.img: record %llu (%s): %u bytes do not fit",
		                       (unsigned long long)h.id, r->header->types[h.type], h.len);
		return -EBADMSG;
	}
	*ret = (struct record){.id = h.id, .type = h.type, .len = h.len, .data = r->at + sizeof(h)};
	r->at += sizeof(h) + h.len;
	r->last_id = h.id;
	r->left--;
	return 1;
}

const char *record_name(const struct record_reader *r, const struct record *rec)
{
	return r->header->types[rec->type];
}

void record_reader_close(struct record_reader *r)
{
	arena_finish(&r->arena);
	*r = (struct record_reader){0};
}
