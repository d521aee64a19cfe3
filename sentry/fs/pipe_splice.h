#pragma once
/*
 * What splice(2) from a stream into a pipe needs: what a socket or terminal gave can't be given
 * back, so the pipe has room first and takes it in any case.
 *
 * Locking: the pipe's lock inside. Lifetime, saved: the pipe's. For moments a pipe may hold more
 * than its capacity.
 */
#include "sentry/fs/pipe.h"

/* Bytes that a write of a stream would take now. */
u32 pipe_room(struct pipe *p);
/* Waits until p has room (or its last reader has gone: -EPIPE with SIGPIPE). -EAGAIN (nonblock),
 * -ERESTARTSYS. */
MUST_CHECK int pipe_wait_room(struct pipe *p, struct ctx *c, bool nonblock);
/* Appends n bytes in any case. */
void pipe_push(struct pipe *p, const void *buf, u32 n);
