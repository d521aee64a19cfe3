#include "sentry/net/inet/reuse.h"

#include "sentry/net/filter.h"
#include "sentry/net/inet/ports.h"
#include "sentry/net/sockopts.h"
#include "sentry/net/inet/state.h"
#include "state/base/cleanup.h"

#include <errno.h>

/* ---- who is in it ---- */

static void enter(struct reuse_group *g, struct inet_sock *is)
{
	TAILQ_INSERT_TAIL(&g->socks, is, reuse_link);
	is->reuse_linked = true;
}

/* The last takes the place of who goes, so that the others keep theirs. */
static void take_out(struct inet_sock *is)
{
	struct reuse_group *g = is->reuse;
	struct inet_sock *last = TAILQ_LAST(&g->socks, reuse_socks);

	if (last != is) {
		TAILQ_REMOVE(&g->socks, last, reuse_link);
		TAILQ_INSERT_BEFORE(is, last, reuse_link);
	}
	TAILQ_REMOVE(&g->socks, is, reuse_link);
	is->reuse_linked = false;
}

void reuse_leave_locked(struct inet_sock *is)
{
	if (is->reuse_linked)
		take_out(is);
	reuse_group_put(TAKE(is->reuse));
}

/* Somebody in the table whose group is is's as well. */
static struct inet_sock *companion(struct inet_ns *ns, const struct inet_sock *is)
{
	struct port_bucket *b = port_bucket(ns, inet_proto_of(&is->sk), is->local.port);
	struct inet_sock *o;

	for (unsigned listeners = 0; listeners < 2; listeners++) {
		o = listeners ? LIST_FIRST(&b->listeners) : LIST_FIRST(&b->socks);
		for (; o; o = LIST_NEXT(o, link)) {
			if (o != is && o->reuse && o->listening == is->listening &&
			    o->local.port == is->local.port && o->sk.family == is->sk.family &&
			    o->sk.uid == is->sk.uid && o->sk.opts.reuseport &&
			    o->sk.opts.bound_if == is->sk.opts.bound_if &&
			    inet_v6only(o) == inet_v6only(is) &&
			    ip_equal(&o->local.ip, &is->local.ip))
				return o;
		}
	}
	return NULL;
}

void reuse_join_locked(struct inet_ns *ns, struct inet_sock *is)
{
	struct inet_sock *o;

	if (!is->sk.opts.reuseport)
		return;
	o = companion(ns, is);
	if (o && o->reuse != is->reuse) {
		reuse_leave_locked(is);
		is->reuse = reuse_group_get(o->reuse);
		enter(is->reuse, is);
	} else if (!is->reuse) {
		is->reuse = obj_new(reuse_group);
		enter(is->reuse, is);
	}
}

struct inet_sock *reuse_pick_locked(struct inet_sock *best, const struct filter_packet *p)
{
	struct reuse_group *g = best->reuse;
	struct inet_sock *o;
	u32 n;

	if (!g || !g->prog || !filter_run_program(g->prog, p, &n))
		return best;
	TAILQ_FOREACH (o, &g->socks, reuse_link) {
		if (n-- == 0)
			return o->linked && o->listening == best->listening ? o : best;
	}
	return best;
}

/* ---- options ---- */

static int attach(struct inet_sock *is, struct sock_bpf *prog)
{
	struct inet_ns *ns = inet_ns_of(&is->sk);
	struct sock_bpf *old = NULL;
	int r = 0;

	rwlock_wrlock(&ns->lock);
	/* One that is in the table without having asked before belongs to no group. */
	if (!is->reuse && (!is->sk.opts.reuseport || is->listening ||
	                   (is->hashed && is->sk.type != SOCK_STREAM))) {
		r = -EINVAL;
	} else {
		if (!is->reuse) {
			is->reuse = obj_new(reuse_group);
			enter(is->reuse, is);
		}
		old = is->reuse->prog;
		is->reuse->prog = prog;
	}
	rwlock_unlock(&ns->lock);
	sock_bpf_put(r < 0 ? prog : old);
	return r;
}

static int detach(struct inet_sock *is)
{
	struct inet_ns *ns = inet_ns_of(&is->sk);
	struct sock_bpf *old = NULL;
	int r = -ENOENT;

	rwlock_wrlock(&ns->lock);
	if (is->reuse)
		old = TAKE(is->reuse->prog);
	else if (!is->sk.opts.reuseport)
		r = -EINVAL;
	rwlock_unlock(&ns->lock);
	if (old)
		r = 0;
	sock_bpf_put(old);
	return r;
}

int reuse_setsockopt(struct inet_sock *is, struct ctx *c, int name, uaddr_t val, u32 len)
{
	struct sock_bpf *prog;
	s32 v;
	int r = sockopt_get_int(c, val, len, &v);

	if (r < 0)
		return r;
	if (name == SO_DETACH_REUSEPORT_BPF)
		return detach(is);
	if (name == SO_ATTACH_REUSEPORT_EBPF)
		return filter_no_program(&is->sk, c, val, len);
	r = filter_program(&is->sk, c, val, len, &prog);
	return r < 0 ? r : attach(is, prog);
}

/* ---- the object ---- */

static void reuse_group_init(void *p)
{
	TAILQ_INIT(&((struct reuse_group *)p)->socks);
}

static void reuse_group_destroy(void *p)
{
	struct reuse_group *g = p;
	struct inet_sock *is;

	/* Only after a load that failed, or in a teardown of everything, is anybody left. */
	while ((is = TAILQ_FIRST(&g->socks))) {
		TAILQ_REMOVE(&g->socks, is, reuse_link);
		is->reuse_linked = false;
	}
	sock_bpf_put(TAKE(g->prog));
}

static int reuse_group_after_load(struct loader *l, void *p)
{
	struct reuse_group *g = p;
	struct inet_sock *is, *first = TAILQ_FIRST(&g->socks);

	TAILQ_FOREACH (is, &g->socks, reuse_link) {
		if (is->reuse != g)
			return loader_error(l, "a group with a socket that is in another");
		if (is->sk.family != first->sk.family || is->sk.type != first->sk.type ||
		    is->sk.protocol != first->sk.protocol)
			return loader_error(l, "a group of different sockets");
		is->reuse_linked = true;
	}
	return 0;
}

static void reuse_group_sample(struct sampler *sp, void *p)
{
	struct reuse_group *g = p;
	struct inet_sock *is;

	(void)sp;
	TAILQ_FOREACH (is, &g->socks, reuse_link) {
		reuse_group_put(is->reuse);
		is->reuse = reuse_group_get(g);
	}
}

#define REUSE_GROUP_FIELDS(F)                     \
	F(HDR, obj)                               \
	F(WEAKLIST, socks, inet_sock, reuse_link) \
	F(REF, prog, sock_bpf)
OBJECT_TYPE(reuse_group, Sentry__ReuseGroup, sentry__reuse_group__descriptor, REUSE_GROUP_FIELDS,
            .init = reuse_group_init, .destroy = reuse_group_destroy,
            .after_load = reuse_group_after_load, .sample = reuse_group_sample);
