#pragma once
/*
 * The bytes at the start of every file of an image but stats-dump, and small helpers that the
 * writer, the reader and the inspector share. state/README.md describes the format.
 *
 * Locking, lifetime: none. Saved: it is the format.
 */
#include "state/base/buf.h"

#define IMAGE_FORMAT     1u /* the newest format, which is the one written */
#define IMAGE_MAGIC      "\x89STASIS\n"
#define IMAGE_FLAG_LZ4   1u /* the body is one LZ4 frame */
#define IMAGE_DIGEST_LEN 16

/* Little endian. In pages.img zeros fill the rest of the first page. */
struct image_header {
	char magic[8];
	u32 format;
	char kind[4];
	u32 flags;
	u32 zero;
	u64 body_size;               /* uncompressed; 0 in pages.img */
	u8 digest[IMAGE_DIGEST_LEN]; /* of the body on disk; only in inventory.img */
};
_Static_assert(sizeof(struct image_header) == 48, "on disk");

/* The two numbers that CRIU's service files begin with, then the size of the message. */
#define STATS_MAGIC1 0x55105940u
#define STATS_MAGIC2 0x57093306u

/* XXH3-128 in its canonical (big endian) form. */
void image_digest(const void *data, size_t size, u8 ret[IMAGE_DIGEST_LEN]);

/* Checks a header against the kind wanted. -EBADMSG with *ret_why (malloc'd) set. */
MUST_CHECK int image_check_header(const struct image_header *h, const char *name, const char *kind,
                                  char **ret_why);

/* Reads a whole file, at most size bytes, from the start. -EIO etc. with *ret_why set. */
MUST_CHECK int image_read_file(int fd, const char *name, u64 size, struct buf *ret, char **ret_why);
/* The size that the descriptor's file has now. */
MUST_CHECK int image_file_size(int fd, const char *name, u64 *ret, char **ret_why);

/* The body of a whole file in memory, decompressed into *hold if it is compressed; *ret points into
 * file or hold. The kind must match. -EBADMSG with *ret_why set. */
MUST_CHECK int image_body(const struct buf *file, const char *name, const char *kind,
                          struct buf *hold, const u8 **ret, size_t *ret_size, char **ret_why);

/* One LZ4 frame with its content's size in it. */
MUST_CHECK int image_compress(const void *data, size_t size, struct buf *ret);
