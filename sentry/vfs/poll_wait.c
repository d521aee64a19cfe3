#include "sentry/vfs/poll_wait.h"

#include <stdlib.h>

/* A queue per file is the rule; more go into chunks. */
#define WAITERS_INLINE 16
#define WAITERS_CHUNK  64

struct waiter_chunk {
	struct waiter_chunk *next;
	struct ctx_waiter w[WAITERS_CHUNK];
};

struct poll_waiters {
	struct poll_table pt;
	struct ctx *c;
	size_t n;
	struct ctx_waiter first[WAITERS_INLINE];
	struct waiter_chunk *chunks; /* newest first */
	size_t chunk_used;
	bool failed;
};

static struct ctx_waiter *waiter_slot(struct poll_waiters *pw)
{
	if (pw->n < WAITERS_INLINE)
		return &pw->first[pw->n++];
	if (!pw->chunks || pw->chunk_used == WAITERS_CHUNK) {
		struct waiter_chunk *ch = malloc(sizeof(*ch));

		if (!ch)
			return NULL;
		ch->next = pw->chunks;
		pw->chunks = ch;
		pw->chunk_used = 0;
	}
	return &pw->chunks->w[pw->chunk_used++];
}

static void poll_waiters_add(struct poll_table *pt, struct waitq *q)
{
	struct poll_waiters *pw = container_of(pt, struct poll_waiters, pt);
	struct ctx_waiter *cw = waiter_slot(pw);

	if (!cw) {
		pw->failed = true;
		return;
	}
	ctx_waiter_init(cw, pw->c);
	waitq_add(q, &cw->w);
}

static void poll_waiters_finish(struct poll_waiters *pw)
{
	size_t used = pw->chunk_used;

	for (size_t i = 0; i < pw->n; i++)
		waitq_remove(&pw->first[i].w);
	while (pw->chunks) {
		struct waiter_chunk *ch = pw->chunks;

		for (size_t i = 0; i < used; i++)
			waitq_remove(&ch->w[i].w);
		pw->chunks = ch->next;
		used = WAITERS_CHUNK;
		free(ch);
	}
}

static long look(struct poll_entry *e, size_t n, struct poll_table *pt)
{
	long ready = 0;

	for (size_t i = 0; i < n; i++) {
		e[i].revents = 0;
		if (!e[i].file)
			continue;
		e[i].revents = file_poll(e[i].file, pt) & (e[i].events | EPOLLERR | EPOLLHUP);
		if (e[i].revents)
			ready++;
	}
	return ready;
}

long poll_wait(struct ctx *c, struct poll_entry *e, size_t n, struct deadline d)
{
	struct poll_waiters pw;
	long ready = look(e, n, NULL);

	if (ready > 0 || deadline_passed(c->clocks, d))
		return ready;
	pw.pt.add = poll_waiters_add;
	pw.c = c;
	pw.n = 0;
	pw.chunks = NULL;
	pw.chunk_used = 0;
	pw.failed = false;
	ctx_prepare(c);
	/* What is found while registering may be too hopeful (an epoll's answer). */
	if (look(e, n, &pw.pt) > 0)
		ready = look(e, n, NULL);
	while (ready == 0) {
		int r = pw.failed ? -ENOMEM : ctx_sleep(c, d);

		/* What became ready counts for more than why the sleep ended. */
		ctx_prepare(c);
		ready = look(e, n, NULL);
		if (ready > 0 || r == -ETIMEDOUT)
			break;
		if (r < 0)
			ready = r;
	}
	poll_waiters_finish(&pw);
	return ready;
}

void poll_entries_put(struct poll_entry *e, size_t n)
{
	for (size_t i = 0; i < n; i++)
		obj_put(e[i].file);
}
