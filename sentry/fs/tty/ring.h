#pragma once
/*
 * A bounded queue of bytes. The memory comes with the first byte and goes with the last.
 *
 * Locking: the owner's. Lifetime: embedded; zeroed but for max is empty; tty_ring_finish frees.
 * Saved: by STRUCT_FIELDS tty_ring (ring_fields.h).
 */
#include "state/base/types.h"

#include <stddef.h>

struct tty_ring {
	u8 *data; /* owned; NULL: empty */
	u32 max;  /* immutable */
	u32 head; /* of the oldest byte */
	u32 len;
};

static inline u32 tty_ring_room(const struct tty_ring *r)
{
	return r->max - r->len;
}
/* The i-th byte from the oldest; i < len. */
static inline u8 tty_ring_at(const struct tty_ring *r, u32 i)
{
	return r->data[(r->head + i) % r->max];
}
/* Appends what there is room for: how many. */
u32 tty_ring_put(struct tty_ring *r, const u8 *p, u32 n);
/* Copies up to n of the oldest without taking them. */
u32 tty_ring_peek(const struct tty_ring *r, u8 *p, u32 n);
/* Drops the n oldest; n <= len. */
void tty_ring_drop(struct tty_ring *r, u32 n);
void tty_ring_finish(struct tty_ring *r);
