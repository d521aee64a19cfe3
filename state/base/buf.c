#include "state/base/buf.h"
#include "state/base/bug.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

u8 *buf_reserve(struct buf *b, size_t n)
{
	if (n > b->cap - b->len) {
		size_t cap = MAX(b->cap * 2, (size_t)256);

		BUG_ON(n > SIZE_MAX / 4 - b->len);
		cap = MAX(cap, b->len + n);
		b->data = realloc(b->data, cap);
		BUG_ON(!b->data);
		b->cap = cap;
	}
	return b->data + b->len;
}

u8 *buf_extend(struct buf *b, size_t n)
{
	u8 *at = buf_reserve(b, n);

	b->len += n;
	return at;
}

void buf_append(struct buf *b, const void *data, size_t n)
{
	if (n > 0)
		memcpy(buf_extend(b, n), data, n);
}

void buf_finish(struct buf *b)
{
	free(b->data);
	*b = (struct buf){0};
}

char *format_linev(const char *fmt, va_list ap)
{
	char *line = NULL;

	BUG_ON(vasprintf(&line, fmt, ap) < 0);
	return line;
}

char *format_line(const char *fmt, ...)
{
	va_list ap;
	char *line;

	va_start(ap, fmt);
	line = format_linev(fmt, ap);
	va_end(ap);
	return line;
}
