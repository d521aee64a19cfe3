/*
 * Sockets that refer to each other only.
 *
 * A socket whose descriptor was sent into a queue lives as long as the queue does, and the queue
 * may be its own, or that of one that is in its queue. Counting references never frees these, so
 * they are looked for whenever a socket closes while any is in flight.
 *
 * Under scm_lock no file enters or leaves a queue. A file with as many references as queues hold of
 * it is out of everybody's reach but by receiving it from one of those queues, so its count cannot
 * change either: such sockets are candidates. Of those, the ones that a queue outside the
 * candidates holds are live, and with them what they hold. The queues of the rest lose their files.
 */
#include "sentry/net/unix.h"

#include "state/base/cleanup.h"

#include <stdlib.h>

typedef void (*rights_fn)(struct unix_rights **r, void *arg);

/* Calls fn with everything that hangs in u's own queue. */
static void each_own(struct unix_sock *u, rights_fn fn, void *arg)
{
	struct unix_packet *p;

	GUARD(&u->q_lock);
	for (u32 i = u->first_run; i < u->first_run + u->n_runs; i++) {
		if (u->runs[i].rights)
			fn(&u->runs[i].rights, arg);
	}
	TAILQ_FOREACH (p, &u->packets, link) {
		if (p->rights)
			fn(&p->rights, arg);
	}
}

/* The same with the queues of those that wait to be accepted, who have no file of their own. */
static void each_rights(struct unix_sock *u, rights_fn fn, void *arg)
{
	struct unix_sock **waiting = NULL, *w;
	u32 n = 0;

	each_own(u, fn, arg);
	mutex_lock(&u->q_lock);
	if (u->n_pending > 0) {
		waiting = malloc(u->n_pending * sizeof(struct unix_sock *));
		BUG_ON(!waiting);
		TAILQ_FOREACH (w, &u->pending, pending_link)
			waiting[n++] = unix_sock_get(w);
	}
	mutex_unlock(&u->q_lock);
	for (u32 i = 0; i < n; i++) {
		each_own(waiting[i], fn, arg);
		/* Never the last: a listener that is a candidate accepts nothing. */
		unix_sock_put(waiting[i]);
	}
	free(waiting);
}

static struct unix_sock *candidate(struct file *f)
{
	struct sock *sk = sock_of(f);
	struct unix_sock *u = sk ? obj_cast(unix_sock, sk) : NULL;

	return u && u->gc_candidate ? u : NULL;
}

static void count_inside(struct unix_rights **r, void *arg)
{
	for (u32 i = 0; i < (*r)->n; i++) {
		struct unix_sock *u = candidate((*r)->files[i]);

		if (u)
			u->gc_refs--;
	}
}

TAILQ_HEAD(gc_list, unix_sock);

static void now_live(struct unix_sock *u, struct gc_list *todo)
{
	if (u->gc_live)
		return;
	u->gc_live = true;
	TAILQ_INSERT_TAIL(todo, u, gc_link);
}

static void reach(struct unix_rights **r, void *arg)
{
	for (u32 i = 0; i < (*r)->n; i++) {
		struct unix_sock *u = candidate((*r)->files[i]);

		if (u)
			now_live(u, arg);
	}
}

struct hits {
	struct netns *ns;
	struct unix_rights *first;
};

static void take_out(struct unix_rights **r, void *arg)
{
	struct hits *h = arg;

	unix_notinflight(h->ns, *r);
	(*r)->next = h->first;
	h->first = *r;
	*r = NULL;
}

/* scm_lock is held. What is to be freed. */
static struct unix_rights *collect(struct netns *ns)
{
	struct gc_list todo = TAILQ_HEAD_INITIALIZER(todo);
	struct gc_list dead = TAILQ_HEAD_INITIALIZER(dead);
	struct hits h = {.ns = ns};
	struct unix_sock *u;
	bool any = false;

	TAILQ_FOREACH (u, &ns->unix_inflight, inflight_link) {
		/* Without its file when all is torn down, in whatever order. */
		u->gc_candidate = u->sk.file && obj_refs(u->sk.file) == u->inflight;
		u->gc_refs = u->inflight;
		u->gc_live = false;
		any |= u->gc_candidate;
	}
	if (!any)
		return NULL;
	TAILQ_FOREACH (u, &ns->unix_inflight, inflight_link) {
		if (u->gc_candidate)
			each_rights(u, count_inside, NULL);
	}
	TAILQ_FOREACH (u, &ns->unix_inflight, inflight_link) {
		if (u->gc_candidate && u->gc_refs > 0)
			now_live(u, &todo);
	}
	while ((u = TAILQ_FIRST(&todo))) {
		TAILQ_REMOVE(&todo, u, gc_link);
		each_rights(u, reach, &todo);
	}
	/* Taking files out changes the list of those in flight. */
	TAILQ_FOREACH (u, &ns->unix_inflight, inflight_link) {
		if (u->gc_candidate && !u->gc_live)
			TAILQ_INSERT_TAIL(&dead, u, gc_link);
	}
	TAILQ_FOREACH (u, &dead, gc_link)
		each_rights(u, take_out, &h);
	return h.first;
}

void unix_gc(struct netns *ns)
{
	struct unix_rights *hits, *r;

	/* Freeing closes sockets, which comes here again: the one that is at it goes round. */
	atomic_store(&ns->gc_due, true);
	while (atomic_load(&ns->gc_due)) {
		if (atomic_exchange(&ns->gc_running, true))
			return;
		atomic_store(&ns->gc_due, false);
		mutex_lock(&ns->scm_lock);
		hits = collect(ns);
		mutex_unlock(&ns->scm_lock);
		while ((r = hits)) {
			hits = r->next;
			unix_rights_free(r);
		}
		atomic_store(&ns->gc_running, false);
	}
}
