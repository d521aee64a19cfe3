#include "sentry/ctx/settings.h"
#include "sentry/fs/pipe_ring.h"

#include "sentry/auth/creds.h"
#include "sentry/mm/heap.h"
#include "state/base/log.h"

#include <limits.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>

/*
 * The ring starts small and grows to the capacity on demand: most pipes carry little, and a
 * sandbox may have thousands.
 */
#define RING_FIRST ((u32)PAGE_SIZE)

u32 pipe_ring_free(const struct pipe *p)
{
	return p->len < p->size ? p->size - p->len : 0;
}

/* Moves the content into a ring of n bytes, n >= len. */
bool pipe_ring_resize(struct pipe *p, u32 n)
{
	u8 *ring = malloc(n);
	u32 first = MIN(p->len, p->ring_size - p->head);

	BUG_ON(n < p->len);
	if (!ring)
		return false;
	if (p->len > 0) {
		memcpy(ring, p->ring + p->head, first);
		memcpy(ring + first, p->ring, p->len - first);
	}
	free(p->ring);
	p->ring = ring;
	p->ring_size = n;
	p->head = 0;
	return true;
}

/* The size of a ring that has room for that many more bytes. */
static u32 size_for(const struct pipe *p, u32 more)
{
	u32 n = p->ring_size ? p->ring_size : RING_FIRST;

	while (n < p->len + more)
		n *= 2;
	return n;
}

bool pipe_ring_reserve(struct pipe *p, u32 more)
{
	u32 n = size_for(p, more);

	return n <= p->ring_size || (heap_grow(n - p->ring_size) && pipe_ring_resize(p, n));
}

void pipe_ring_make(struct pipe *p, u32 more)
{
	u32 n = size_for(p, more);

	BUG_ON(n > p->ring_size && !pipe_ring_resize(p, n));
}

/* Appends what src gives, up to n bytes that fit. Bytes, or -EFAULT for none. */
long pipe_ring_fill(struct pipe *p, struct uiter *src, u32 n)
{
	u32 done = 0;

	if (!pipe_ring_reserve(p, n))
		return -ENOMEM;
	while (done < n) {
		u32 tail = (p->head + p->len) & (p->ring_size - 1);
		u32 chunk = MIN(n - done, p->ring_size - tail);
		long r = uiter_copy_in(src, p->ring + tail, chunk);

		if (r < 0)
			return done ? (long)done : r;
		p->len += (u32)r;
		done += (u32)r;
		if (r < (long)chunk)
			break;
	}
	return done;
}

void pipe_ring_drop(struct pipe *p, u32 n)
{
	p->len -= n;
	p->head = p->len ? (p->head + n) & (p->ring_size - 1) : 0;
}

long pipe_ring_drain(struct pipe *p, struct uiter *dst, u32 n)
{
	u32 done = 0;

	while (done < n) {
		u32 chunk = MIN(n - done, p->ring_size - p->head);
		long r = uiter_copy_out(dst, p->ring + p->head, chunk);

		if (r < 0)
			return done ? (long)done : r;
		pipe_ring_drop(p, (u32)r);
		done += (u32)r;
		if (r < (long)chunk)
			break;
	}
	return done;
}

void pipe_unread(struct file *f, const void *buf, u32 n)
{
	struct pipe *p = pipe_of(f);
	const u8 *from = buf;

	mutex_lock(&p->lock);
	/* Also beyond the capacity, if writers have filled the place meanwhile. */
	pipe_ring_make(p, n);
	p->head = (p->head - n) & (p->ring_size - 1);
	for (u32 i = 0; i < n; i++)
		p->ring[(p->head + i) & (p->ring_size - 1)] = from[i];
	p->len += n;
	if (p->n_runs > 0) {
		pipe_run_append(p, 0, false);
		memmove(p->runs + 1, p->runs, (p->n_runs - 1) * sizeof(*p->runs));
		p->runs[0] = (struct pipe_run){n, false};
	}
	mutex_unlock(&p->lock);
	waitq_wake(&p->readable, READY_IN);
}

void pipe_run_append(struct pipe *p, u32 len, bool packet)
{
	if (p->n_runs == p->max_runs) {
		p->max_runs = p->max_runs ? p->max_runs * 2 : 16;
		p->runs = realloc(p->runs, p->max_runs * sizeof(*p->runs));
		BUG_ON(!p->runs);
	}
	p->runs[p->n_runs++] = (struct pipe_run){len, packet};
}

/* Notes that n bytes were just appended. Runs exist only while a packet is in the ring. */
void pipe_runs_wrote(struct pipe *p, u32 n, bool packet)
{
	if (packet) {
		if (p->n_runs == 0 && p->len > n)
			pipe_run_append(p, p->len - n, false);
		pipe_run_append(p, n, true);
	} else if (p->n_runs > 0) {
		if (p->runs[p->n_runs - 1].packet)
			pipe_run_append(p, n, false);
		else
			p->runs[p->n_runs - 1].len += n;
	}
}

void pipe_run_shift(struct pipe *p)
{
	p->n_runs--;
	memmove(p->runs, p->runs + 1, p->n_runs * sizeof(*p->runs));
}

/* Every packet takes at least one of the size / PAGE_SIZE slots that Linux would give it. */
bool pipe_slots_full(const struct pipe *p)
{
	return p->n_runs >= p->size / PAGE_SIZE;
}

/* ---- capacity: F_GETPIPE_SZ, F_SETPIPE_SZ ---- */

long pipe_get_size(struct pipe *p)
{
	GUARD(&p->lock);
	return p->size;
}

long pipe_set_size(struct pipe *p, struct ctx *c, u64 size)
{
	u32 n = (u32)PAGE_SIZE;
	bool grew;

	if (size > INT_MAX)
		return -EINVAL;
	while (n < size)
		n *= 2;
	if (n > setting(c->kernel, pipe_max_size) && !creds_capable(c->creds, CAP_SYS_RESOURCE))
		return -EPERM;
	mutex_lock(&p->lock);
	if (n < p->len || n / PAGE_SIZE < p->n_runs) {
		mutex_unlock(&p->lock);
		return -EBUSY;
	}
	grew = n > p->size;
	p->size = n;
	/* A ring that stays larger than it need be does no harm. */
	if (p->ring_size > n && !pipe_ring_resize(p, n))
		log_debug("a pipe's ring stays at %u bytes", p->ring_size);
	mutex_unlock(&p->lock);
	if (grew)
		waitq_wake(&p->writable, READY_OUT);
	return n;
}
