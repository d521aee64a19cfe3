#pragma once
/*
 * The bytes of a pipe, and where its packets end.
 *
 * Locking: the pipe's lock, held by every caller. Lifetime, saved: the pipe's.
 */
#include "sentry/fs/pipe.h"

/* Bytes that fit by the capacity. */
u32 pipe_ring_free(const struct pipe *p);
/* Moves the content into memory for n bytes, n >= p->len. False: there is none. */
MUST_CHECK bool pipe_ring_resize(struct pipe *p, u32 n);
/* Memory for that many more bytes. False: there is none. */
MUST_CHECK bool pipe_ring_reserve(struct pipe *p, u32 more);
/* The same for what was there already: in an image, or taken out a moment ago. */
void pipe_ring_make(struct pipe *p, u32 more);
/* Appends what src gives, up to n bytes that fit. Bytes, or -EFAULT or -ENOMEM for none. */
MUST_CHECK long pipe_ring_fill(struct pipe *p, struct uiter *src, u32 n);
/* Takes n bytes out; they are lost. */
void pipe_ring_drop(struct pipe *p, u32 n);
/* Moves n bytes out. Bytes, or -EFAULT for none. */
MUST_CHECK long pipe_ring_drain(struct pipe *p, struct uiter *dst, u32 n);
/* Another run at the end. */
void pipe_run_append(struct pipe *p, u32 len, bool packet);
/* Notes that n bytes were just appended. */
void pipe_runs_wrote(struct pipe *p, u32 n, bool packet);
/* The first run is used up. */
void pipe_run_shift(struct pipe *p);
/* Every packet takes at least one of the size / PAGE_SIZE slots that Linux would give it. */
bool pipe_slots_full(const struct pipe *p);
