#include "sentry/fs/tty/ring.h"

#include "state/base/bug.h"

#include <stdlib.h>
#include <string.h>

u32 tty_ring_put(struct tty_ring *r, const u8 *p, u32 n)
{
	u32 at, first;

	n = MIN(n, tty_ring_room(r));
	if (n == 0)
		return 0;
	if (!r->data) {
		r->data = malloc(r->max);
		BUG_ON(!r->data);
		r->head = 0;
	}
	at = (r->head + r->len) % r->max;
	first = MIN(n, r->max - at);
	memcpy(r->data + at, p, first);
	memcpy(r->data, p + first, n - first);
	r->len += n;
	return n;
}

u32 tty_ring_peek(const struct tty_ring *r, u8 *p, u32 n)
{
	u32 first;

	n = MIN(n, r->len);
	if (n == 0)
		return 0;
	first = MIN(n, r->max - r->head);
	memcpy(p, r->data + r->head, first);
	memcpy(p + first, r->data, n - first);
	return n;
}

void tty_ring_drop(struct tty_ring *r, u32 n)
{
	BUG_ON(n > r->len);
	r->len -= n;
	if (r->len == 0)
		tty_ring_finish(r);
	else
		r->head = (r->head + n) % r->max;
}

void tty_ring_finish(struct tty_ring *r)
{
	free(r->data);
	r->data = NULL;
	r->head = r->len = 0;
}
