#pragma once
/*
 * A growable byte buffer.
 *
 * Locking: the owner's. Lifetime: zeroed memory is an empty buffer; buf_finish frees. Saved: no.
 * Memory that cannot be had is fatal, as for objects.
 */
#include "state/base/types.h"

#include <stdarg.h>

struct buf {
	u8 *data;
	size_t len;
	size_t cap;
};

/* Makes room for n more bytes and returns where they go; len stays. */
u8 *buf_reserve(struct buf *b, size_t n);
/* Room for n more bytes that count at once; the caller fills them. */
u8 *buf_extend(struct buf *b, size_t n);
void buf_append(struct buf *b, const void *data, size_t n);
/* Frees the memory; the buffer is empty and usable. */
void buf_finish(struct buf *b);
/* As asprintf(3), never NULL. The caller frees. */
PRINTF(1, 2) char *format_line(const char *fmt, ...);
char *format_linev(const char *fmt, va_list ap);
