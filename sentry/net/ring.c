#include "sentry/net/ring.h"

#include "state/base/bug.h"

#include <stdlib.h>
#include <string.h>

#define RING_FIRST 4096u
#define RING_KEEP  65536u /* an empty ring that is larger is freed: sockets are many */

static void resize(struct ring *r, u32 n)
{
	u8 *buf = malloc(n);

	BUG_ON(!buf);
	ring_text(r, 0, buf, r->len);
	free(r->buf);
	r->buf = buf;
	r->size = n;
	r->head = 0;
}

void ring_reserve(struct ring *r, u32 more)
{
	u32 n = r->size ? r->size : RING_FIRST;

	if (likely(r->len + more <= r->size))
		return;
	while (n < r->len + more)
		n *= 2;
	resize(r, n);
}

long ring_fill(struct ring *r, struct uiter *src, u32 n)
{
	u32 done = 0;

	ring_reserve(r, n);
	while (done < n) {
		u32 tail = (r->head + r->len) & (r->size - 1);
		u32 chunk = MIN(n - done, r->size - tail);
		long got = uiter_copy_in(src, r->buf + tail, chunk);

		if (got < 0)
			return done ? (long)done : got;
		r->len += (u32)got;
		done += (u32)got;
		if (got < (long)chunk)
			break;
	}
	return done;
}

void ring_append(struct ring *r, const void *src, u32 n)
{
	const u8 *p = src;

	if (n == 0)
		return;
	ring_reserve(r, n);
	while (n > 0) {
		u32 tail = (r->head + r->len) & (r->size - 1);
		u32 chunk = MIN(n, r->size - tail);

		memcpy(r->buf + tail, p, chunk);
		r->len += chunk;
		p += chunk;
		n -= chunk;
	}
}

long ring_copy(const struct ring *r, u32 off, struct uiter *dst, u32 n)
{
	u32 done = 0;

	while (done < n) {
		u32 at = (r->head + off + done) & (r->size - 1);
		u32 chunk = MIN(n - done, r->size - at);
		long put = uiter_copy_out(dst, r->buf + at, chunk);

		if (put < 0)
			return done ? (long)done : put;
		done += (u32)put;
		if (put < (long)chunk)
			break;
	}
	return done;
}

void ring_text(const struct ring *r, u32 off, void *dst, u32 n)
{
	u32 at, first;

	if (n == 0)
		return;
	at = (r->head + off) & (r->size - 1);
	first = MIN(n, r->size - at);
	memcpy(dst, r->buf + at, first);
	memcpy((u8 *)dst + first, r->buf, n - first);
}

void ring_drop(struct ring *r, u32 n)
{
	r->len -= n;
	if (r->len > 0)
		r->head = (r->head + n) & (r->size - 1);
	else if (r->size > RING_KEEP)
		ring_free(r);
	else
		r->head = 0;
}

void ring_free(struct ring *r)
{
	free(r->buf);
	*r = (struct ring){0};
}
