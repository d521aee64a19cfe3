/* The text builder of generated files. */
#include "sentry/fs/pseudo.h"

#include "state/base/bug.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void reserve(struct text *t, size_t n)
{
	size_t cap = t->cap ? t->cap : 512;

	if (t->s && t->cap - t->len >= n)
		return;
	while (cap - t->len < n)
		cap *= 2;
	t->s = realloc(t->s, cap);
	BUG_ON(!t->s);
	t->cap = cap;
}

void text_append(struct text *t, const void *s, size_t len)
{
	reserve(t, len + 1);
	memcpy(t->s + t->len, s, len);
	t->len += len;
}

void text_char(struct text *t, char ch)
{
	text_append(t, &ch, 1);
}

void text_printf(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	reserve(t, 128);
	va_start(ap, fmt);
	n = vsnprintf(t->s + t->len, t->cap - t->len, fmt, ap);
	va_end(ap);
	BUG_ON(n < 0);
	if ((size_t)n >= t->cap - t->len) {
		reserve(t, (size_t)n + 1);
		va_start(ap, fmt);
		vsnprintf(t->s + t->len, t->cap - t->len, fmt, ap);
		va_end(ap);
	}
	t->len += (size_t)n;
}

void text_escape(struct text *t, const char *s)
{
	for (; *s; s++) {
		if (strchr(" \t\n\\#", *s))
			text_printf(t, "\\%03o", (u8)*s);
		else
			text_char(t, *s);
	}
}

void text_finish(struct text *t)
{
	free(t->s);
	*t = (struct text){0};
}
