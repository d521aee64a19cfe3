/* tee(2): what is in one pipe is put into another and stays. */
#include "sentry/fs/pipe_ring.h"

#include <limits.h>
#include <signal.h>
#include <string.h>

struct tee {
	struct pipe *in, *out;
	u64 len;
	struct waitq *wait; /* what keeps it from going on */
	long r;
};

/* Copies up to n bytes from the front of in to the end of out; both locked, n fits. False: there is
 * no memory. */
static bool duplicate(struct pipe *in, struct pipe *out, u32 n)
{
	u32 done = 0;

	if (!pipe_ring_reserve(out, n))
		return false;
	while (done < n) {
		u32 from = (in->head + done) & (in->ring_size - 1);
		u32 to = (out->head + out->len) & (out->ring_size - 1);
		u32 chunk = MIN(n - done, MIN(in->ring_size - from, out->ring_size - to));

		memcpy(out->ring + to, in->ring + from, chunk);
		out->len += chunk;
		done += chunk;
	}
	return true;
}

static long tee_locked(struct tee *t)
{
	struct pipe *in = t->in, *out = t->out;
	bool packet = in->n_runs > 0 && in->runs[0].packet;
	u32 n;

	if (out->readers == 0)
		return -EPIPE;
	if (in->len == 0) {
		t->wait = &in->readable;
		return in->writers ? -EAGAIN : 0;
	}
	n = in->n_runs ? in->runs[0].len : in->len;
	n = (u32)MIN((u64)n, t->len);
	if (packet ? pipe_ring_free(out) < n || pipe_slots_full(out) : pipe_ring_free(out) == 0) {
		t->wait = &out->writable;
		return -EAGAIN;
	}
	n = MIN(n, pipe_ring_free(out));
	if (!duplicate(in, out, n))
		return -ENOMEM;
	pipe_runs_wrote(out, n, packet);
	return n;
}

static bool tee_try(void *arg)
{
	struct tee *t = arg;

	mutex_lock_pair(&t->in->lock, &t->out->lock);
	t->r = tee_locked(t);
	mutex_unlock_pair(&t->in->lock, &t->out->lock);
	if (t->r > 0)
		waitq_wake(&t->out->readable, READY_IN);
	return t->r != -EAGAIN;
}

long pipe_tee(struct pipe *in, struct pipe *out, struct ctx *c, u64 len, bool nonblock)
{
	struct tee t = {.in = in, .out = out, .len = MIN(len, (u64)INT_MAX)};

	while (!tee_try(&t)) {
		struct waitq *q = t.wait;
		struct ctx_waiter cw;
		int r = 0;

		if (nonblock)
			return -EAGAIN;
		/* One look at the side that was not ready; the other may be next. */
		ctx_waiter_init(&cw, c);
		waitq_add(q, &cw.w);
		ctx_prepare(c);
		if (!tee_try(&t) && t.wait == q)
			r = ctx_sleep(c, NEVER);
		waitq_remove(&cw.w);
		if (t.r != -EAGAIN)
			break;
		if (r < 0)
			return r;
	}
	if (t.r == -EPIPE)
		ctx_signal_self(c, SIGPIPE);
	return t.r;
}
