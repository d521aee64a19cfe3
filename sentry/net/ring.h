#pragma once
/*
 * A ring of bytes that grows as needed: what a stream holds between its writer and its reader.
 *
 * Locking: the owner's (RANK_SOCK_QUEUE); user copies run under it. Lifetime: embedded; ring_free
 * drops the memory. Saved: by the owner, content only (ring_text).
 */
#include "sentry/mm/usercopy.h"

struct ring {
	u8 *buf;
	u32 size; /* of buf: a power of two, or 0 */
	u32 head; /* where the next read starts */
	u32 len;  /* bytes in it */
};

/* Memory for that many more bytes; size stays below 1 GiB. */
void ring_reserve(struct ring *r, u32 more);
/* Appends what src gives, up to n bytes. Bytes, or -EFAULT for none. */
MUST_CHECK long ring_fill(struct ring *r, struct uiter *src, u32 n);
void ring_append(struct ring *r, const void *src, u32 n);
/* Copies n bytes from off on out, which stay in it; off + n <= len. Bytes, or -EFAULT for none. */
MUST_CHECK long ring_copy(const struct ring *r, u32 off, struct uiter *dst, u32 n);
/* The same into kernel memory. */
void ring_text(const struct ring *r, u32 off, void *dst, u32 n);
/* Takes n bytes out; they are lost. A large ring that is empty gives its memory back. */
void ring_drop(struct ring *r, u32 n);
void ring_free(struct ring *r);
