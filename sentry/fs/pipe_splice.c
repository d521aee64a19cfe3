#include "sentry/fs/pipe_splice.h"

#include "sentry/fs/pipe_ring.h"

#include <signal.h>

u32 pipe_room(struct pipe *p)
{
	GUARD(&p->lock);
	return p->readers && !pipe_slots_full(p) ? pipe_ring_free(p) : 0;
}

struct room {
	struct pipe *p;
	int r;
};

static bool has_room(void *arg)
{
	struct room *w = arg;

	GUARD(&w->p->lock);
	if (!w->p->readers)
		w->r = -EPIPE;
	else
		w->r = pipe_ring_free(w->p) && !pipe_slots_full(w->p) ? 0 : -EAGAIN;
	return w->r != -EAGAIN;
}

int pipe_wait_room(struct pipe *p, struct ctx *c, bool nonblock)
{
	struct room w = {.p = p};
	int r = 0;

	if (!has_room(&w)) {
		if (nonblock)
			return -EAGAIN;
		r = ctx_block(c, &p->writable, has_room, &w, NEVER);
	}
	if (r == 0 && w.r == -EPIPE)
		ctx_signal_self(c, SIGPIPE);
	return r < 0 ? r : w.r;
}

void pipe_push(struct pipe *p, const void *buf, u32 n)
{
	struct uiter it;

	if (n == 0)
		return;
	uiter_init_kernel(&it, (void *)(uintptr_t)buf, n);
	mutex_lock(&p->lock);
	if (p->readers && pipe_ring_fill(p, &it, n) == (long)n)
		pipe_runs_wrote(p, n, false);
	mutex_unlock(&p->lock);
	waitq_wake(&p->readable, READY_IN);
}
