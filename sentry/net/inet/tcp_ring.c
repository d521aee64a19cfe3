/* The bytes that wait for a receiver. */
#include "sentry/net/inet/tcp.h"

#include "state/base/bug.h"

#include <stdlib.h>
#include <string.h>

/* Most connections carry little, and there may be thousands: grown on demand. */
#define RING_FIRST 4096u
/* What Linux copies at once. */
#define RING_PIECE 32768u

u32 tcp_ring_room(const struct tcp_sock *t)
{
	u32 room = t->len < t->limit ? t->limit - t->len : 0;

	/* Everybody gets on, but slowly. */
	if (unlikely(inet_mem_full(inet_ns_of(&t->inet.sk))))
		room = MIN(room, MAX(t->ring_size, RING_FIRST) - t->len);
	return room;
}

void tcp_ring_charge(struct tcp_sock *t)
{
	struct inet_ns *ns = inet_ns_of(&t->inet.sk);

	if (!ns)
		return;
	atomic_fetch_add_explicit(&ns->mem, (u64)t->ring_size - t->charged, memory_order_relaxed);
	t->charged = t->ring_size;
}

static void reserve(struct tcp_sock *t, u32 more)
{
	u32 n = t->ring_size ? t->ring_size : RING_FIRST;
	u32 first = MIN(t->len, t->ring_size - t->head);
	u8 *ring;

	while (n < t->len + more)
		n *= 2;
	if (n == t->ring_size)
		return;
	ring = malloc(n);
	BUG_ON(!ring);
	if (t->len > 0) {
		memcpy(ring, t->ring + t->head, first);
		memcpy(ring + first, t->ring, t->len - first);
	}
	free(t->ring);
	t->ring = ring;
	t->ring_size = n;
	t->head = 0;
	tcp_ring_charge(t);
}

long tcp_ring_fill(struct tcp_sock *t, struct uiter *src, u32 n)
{
	u32 done = 0;

	reserve(t, n);
	while (done < n) {
		u32 tail = (t->head + t->len) & (t->ring_size - 1);
		u32 chunk = MIN(n - done, t->ring_size - tail);
		long r = uiter_copy_in(src, t->ring + tail, chunk);

		if (r > 0) {
			t->len += (u32)r;
			done += (u32)r;
		}
		if (r < (long)chunk) {
			/* Whole pieces are sent; one with a hole in it is not. */
			u32 whole = done / RING_PIECE * RING_PIECE;

			t->len -= done - whole;
			return whole ? (long)whole : -EFAULT;
		}
	}
	return done;
}

long tcp_ring_peek(struct tcp_sock *t, struct uiter *dst, u32 off, u32 n)
{
	u32 done = 0;

	while (done < n) {
		u32 at = (t->head + off + done) & (t->ring_size - 1);
		u32 chunk = MIN(n - done, t->ring_size - at);
		long r = uiter_copy_out(dst, t->ring + at, chunk);

		if (r <= 0)
			return done ? (long)done : -EFAULT;
		done += (u32)r;
		if (r < (long)chunk)
			break;
	}
	return done;
}

void tcp_ring_drop(struct tcp_sock *t, u32 n)
{
	t->len -= n;
	t->taken += n;
	t->head = t->len ? (t->head + n) & (t->ring_size - 1) : 0;
}

void tcp_ring_free(struct tcp_sock *t)
{
	free(t->ring);
	t->ring = NULL;
	t->ring_size = t->head = t->len = t->held = 0;
	tcp_ring_charge(t);
}
