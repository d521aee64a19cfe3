#pragma once
/*
 * The frame of kernel.img's body: u32 size of the header message, the header message
 * (image.KernelHeader), then the records, each a struct record_head and its message. Numbers are
 * little endian, nothing is padded.
 *
 * Locking: none. Lifetime: iterators borrow the bytes. Saved: it is the format.
 */
#include "proto/image.pb-c.h"
#include "state/base/arena.h"
#include "state/object.h"

struct record_head {
	u32 len;  /* of the message that follows */
	u32 type; /* index into KernelHeader.types */
	u64 id;   /* rising from record to record; the first is 1 */
};
_Static_assert(sizeof(struct record_head) == 16, "on disk");

struct record {
	u64 id;
	u32 type;
	u32 len;
	const u8 *data;
};

struct record_reader {
	struct arena arena; /* of the header */
	Image__KernelHeader *header;
	const u8 *at, *end;
	u64 left;    /* records to come */
	u64 last_id; /* of the last one */
};

/* -EBADMSG with *ret_why set (malloc'd). */
MUST_CHECK int record_reader_open(struct record_reader *r, const void *kernel, size_t size,
                                  char **ret_why);
/* 1: *ret is the next; 0: the end; -EBADMSG with *ret_why set. */
MUST_CHECK int record_reader_next(struct record_reader *r, struct record *ret, char **ret_why);
/* The message name of a record. */
const char *record_name(const struct record_reader *r, const struct record *rec);
void record_reader_close(struct record_reader *r);
