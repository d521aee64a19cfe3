#pragma once
/*
 * Looking into images without loading them: records as protobuf messages, any file as JSON through
 * the descriptors, and the check of everything that can be checked. For the command line, not for
 * the sentry. What is read is as hostile here as it is there.
 *
 * Locking: none. Lifetime: an inspect_kernel owns its messages. Saved: no.
 */
#include "state/image.h"

#include <stdio.h>

struct inspect_record {
	u64 id;
	const char *name;            /* of the message: "sentry.Task" */
	const struct obj_type *type; /* NULL: this program does not know it */
	/* Unpacked; cast to the message's C struct after comparing msg->descriptor. NULL if type
	 * is. */
	const ProtobufCMessage *msg;
	const void *packed;
	size_t size; /* of packed */
};

/* Calls fn for each record in order; its message lives for that call only. Stops when fn returns
 * not 0, and returns that. -EBADMSG with *ret_why (malloc'd) set. */
MUST_CHECK int inspect_records(const void *kernel, size_t size,
                               int (*fn)(const struct inspect_record *rec, void *arg), void *arg,
                               char **ret_why);

/* All records at once, to follow references. */
struct inspect_kernel;
MUST_CHECK int inspect_kernel_open(const void *kernel, size_t size, struct inspect_kernel **ret,
                                   char **ret_why);
/* NULL is fine. */
void inspect_kernel_close(struct inspect_kernel *k);
size_t inspect_count(const struct inspect_kernel *k);
/* By position; record 0 is the first root. */
const struct inspect_record *inspect_at(const struct inspect_kernel *k, size_t i);
/* By id; NULL if there is none. */
const struct inspect_record *inspect_find(const struct inspect_kernel *k, u64 id);

/* A reference in a message, as the field tables declare them (CUSTOM fields are not seen). */
struct inspect_ref {
	const char *field;
	bool weak;
	const struct obj_type *type; /* what it must point to */
	u64 id;                      /* never 0 */
};
/* Calls fn for every reference; stops when it returns not 0, and returns that. */
int inspect_refs(const struct obj_type *type, const ProtobufCMessage *msg,
                 int (*fn)(const struct inspect_ref *ref, void *arg), void *arg);

struct inspect_style {
	unsigned indent;  /* columns before every line but the first */
	size_t max_bytes; /* longer bytes fields are cut; 0: never */
};
/* The message as a JSON object, without a newline at the end. */
void inspect_message(FILE *out, const ProtobufCMessage *m, const struct inspect_style *style);
/* A JSON string; bytes that are no UTF-8 become \u00XX. */
void inspect_string(FILE *out, const char *s, size_t len);

/* One file of an image, whichever it is, as JSON. name is for error lines. */
MUST_CHECK int inspect_decode(int fd, const char *name, FILE *out, size_t max_bytes,
                              char **ret_why);

/* Everything that can be wrong without loading: sizes, digests, every block, every record's
 * message, and that references lead to records of their type. */
MUST_CHECK int inspect_verify(const int fds[IMAGE_FILES], char **ret_why);
