/*
 * Listeners and who waits at them: to be accepted, for room, or for something to say
 * (TCP_DEFER_ACCEPT). And what a connection waits for by the clock.
 */
#include "sentry/kernel/kernel.h"
#include "sentry/net/filter.h"
#include "sentry/net/inet/reuse.h"
#include "sentry/net/inet/tcp.h"
#include "sentry/net/inet/wire.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <string.h>

/* ---- queues ---- */

void tcp_undefer_locked(struct tcp_sock *t)
{
	struct tcp_sock *l = TAKE(t->defers_on);

	TAILQ_REMOVE(&l->deferred, t, q_link);
	l->n_deferred--;
	TAILQ_INSERT_TAIL(&l->accept_q, t, q_link);
	t->queued = true;
	WRITE_ONCE(l->n_accept, l->n_accept + 1);
	waitq_wake(&l->inet.sk.rwait, READY_IN);
}

void tcp_heard(struct tcp_sock *t)
{
	GUARD_WRITE(&inet_ns_of(&t->inet.sk)->lock);
	if (t->defers_on)
		tcp_undefer_locked(t);
}

void tcp_queues_empty_locked(struct tcp_sock *l, struct tcp_queue *gone)
{
	struct tcp_sock *q;

	while ((q = TAILQ_FIRST(&l->pending))) {
		tcp_unpend_locked(q);
		tcp_reset_locked(q);
	}
	/* Those that said nothing yet are told nothing: the client learns of it when it speaks. */
	while ((q = TAILQ_FIRST(&l->deferred))) {
		TAILQ_REMOVE(&l->deferred, q, q_link);
		TAILQ_INSERT_TAIL(gone, q, q_link);
		q->defers_on = NULL;
		q->queued = true;
		q->orphan = true;
		q->state = TCPS_CLOSE;
		port_remove_locked(inet_ns_of(&q->inet.sk), &q->inet);
	}
	l->n_deferred = 0;
	while ((q = TAILQ_FIRST(&l->accept_q))) {
		TAILQ_REMOVE(&l->accept_q, q, q_link);
		TAILQ_INSERT_TAIL(gone, q, q_link);
	}
	WRITE_ONCE(l->n_accept, 0);
}

void tcp_refuse_all(struct tcp_queue *gone)
{
	struct tcp_sock *q;

	while ((q = TAILQ_FIRST(gone))) {
		TAILQ_REMOVE(gone, q, q_link);
		if (q->orphan) {
			tcp_sock_put(TAKE(q->hold));
			tcp_sock_put(q);
			continue;
		}
		q->inet.sk.opts.linger = true;
		q->inet.sk.opts.linger_s = 0;
		tcp_release(&q->inet.sk);
		tcp_sock_put(q);
	}
}

/* The program sees what follows the header of TCP, and before it what any may look at. */
struct inet_sock *tcp_choose_locked(const struct tcp_sock *t, struct inet_sock *l)
{
	struct tcphdr h = {
		.source = htons(t->inet.local.port),
		.dest = htons(t->inet.remote.port),
		.doff = sizeof(h) / 4,
		.syn = 1,
	};
	u8 wire[IP6_HEADER + sizeof(h)];
	struct filter_packet fp = {.bytes = wire};
	struct packet *p;

	if (!l->reuse || !l->reuse->prog)
		return l;
	p = packet_new(sizeof(h));
	memcpy(p->data, &h, sizeof(h));
	p->src = t->inet.local;
	p->dst = t->inet.remote;
	p->ttl = 64;
	wire_write(p, IPPROTO_TCP, wire);
	fp.len = fp.start = wire_size(p, IPPROTO_TCP);
	fp.protocol = ip_is_v4(&p->dst.ip) ? ETH_P_IP : ETH_P_IPV6;
	free(p);
	return reuse_pick_locked(l, &fp);
}

/* ---- by the clock ---- */

void tcp_arm(struct tcp_sock *t)
{
	struct inet_ns *ns = inet_ns_of(&t->inet.sk);
	struct timers *ts = inet_timers(ns);
	s64 at = 0;

	if (t->defers_on)
		at = t->defer_until;
	else if (t->state == TCPS_SYN_SENT)
		at = t->syn_until;
	else if (t->held)
		at = inet_now(ns) + TCP_CORK_NS;
	if (ts && at)
		ktimer_arm(ts, &t->kt, &ns->kernel->clocks, (struct deadline){CLOCK_MONOTONIC, at});
}

void tcp_timer_expired(struct ktimer *kt)
{
	struct tcp_sock *t = container_of(kt, struct tcp_sock, kt);
	struct inet_ns *ns = inet_ns_of(&t->inet.sk);
	bool seen;

	{
		GUARD_WRITE(&ns->lock);
		if (t->defers_on && inet_now(ns) >= t->defer_until)
			tcp_undefer_locked(t);
		if (t->state == TCPS_SYN_SENT && t->syn_until && inet_now(ns) >= t->syn_until)
			tcp_syn_again_locked(ns, t);
	}
	mutex_lock(&t->inet.sk.lock);
	seen = t->held > 0;
	t->held = 0;
	mutex_unlock(&t->inet.sk.lock);
	if (seen)
		waitq_wake(&t->inet.sk.rwait, READY_IN);
}

void tcp_push(struct tcp_sock *t)
{
	struct tcp_sock *p = READ_ONCE(t->hold);
	bool seen;

	if (!p)
		return;
	mutex_lock(&p->inet.sk.lock);
	seen = p->peer == t && p->held > 0;
	if (seen)
		p->held = 0;
	mutex_unlock(&p->inet.sk.lock);
	if (seen)
		waitq_wake(&p->inet.sk.rwait, READY_IN);
}

/* ---- listen, accept ---- */

int tcp_listen(struct sock *sk, struct ctx *c, int backlog)
{
	struct tcp_sock *t = tcp_sk(sk);
	struct inet_ns *ns = inet_ns_of(sk);
	int r;

	(void)c;
	GUARD_WRITE(&ns->lock);
	if (t->phase != TCP_UNCONNECTED || (t->state != TCPS_CLOSE && t->state != TCPS_LISTEN))
		return -EINVAL;
	WRITE_ONCE(t->backlog, sock_backlog(sk, backlog));
	if (t->state == TCPS_LISTEN)
		return 0;
	if (!t->inet.local.port) {
		struct ipaddr any = t->inet.bound_ip        ? t->inet.local.ip
		                    : sk->family == AF_INET ? ip_any4
		                                            : ip_any6;

		r = port_bind_locked(ns, &t->inet, &any, 0);
		if (r < 0)
			return r;
	}
	r = port_listen_locked(ns, &t->inet);
	if (r < 0)
		return r;
	atomic_store(&sk->shutdown, 0);
	t->state = TCPS_LISTEN;
	return 0;
}

struct accept_op {
	struct tcp_sock *l, *ret;
};

static long accept_step(void *arg)
{
	struct accept_op *op = arg;
	struct tcp_sock *l = op->l, *t, *p;
	struct inet_ns *ns = inet_ns_of(&l->inet.sk);

	if (READ_ONCE(l->n_accept) == 0 && READ_ONCE(l->state) == TCPS_LISTEN)
		return -EAGAIN;
	GUARD_WRITE(&ns->lock);
	if (l->state != TCPS_LISTEN)
		return -EINVAL;
	t = TAILQ_FIRST(&l->accept_q);
	if (!t)
		return -EAGAIN;
	TAILQ_REMOVE(&l->accept_q, t, q_link);
	t->queued = false;
	WRITE_ONCE(l->n_accept, l->n_accept - 1);
	while ((p = TAILQ_FIRST(&l->pending)) && tcp_has_room(l)) {
		tcp_unpend_locked(p);
		/* As it always is, but for an image that lies. */
		if (p->state == TCPS_SYN_SENT && !p->hold)
			tcp_establish_locked(ns, p, l);
	}
	op->ret = t;
	/* Only an image that lies has one with a file. */
	return t->inet.sk.file ? -ECONNABORTED : 0;
}

int tcp_accept(struct sock *sk, struct ctx *c, bool nonblock, struct sock **ret)
{
	struct accept_op op = {.l = tcp_sk(sk)};
	long r = sock_block(c, &sk->rwait, sk->opts.rcvtimeo, nonblock, accept_step, &op);

	if (r < 0) {
		tcp_sock_put(op.ret);
		return (int)r;
	}
	*ret = &op.ret->inet.sk;
	return 0;
}
