/*
 * How connections begin and end. Everything here runs under the port table's lock for writing, so
 * that both ends of a connection change at once; socks are put after it is dropped.
 */
#include "sentry/net/inet/tcp.h"

#include "sentry/vfs/fasync.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How often the time to the next SYN doubles. */
#define SYN_DOUBLED_MAX 6u
#define SHUT_BOTH       (SOCK_RCV_CLOSED | SOCK_SEND_CLOSED)

static void wake_all(struct tcp_sock *t)
{
	waitq_wake(&t->inet.sk.rwait, READY_IN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
	waitq_wake(&t->inet.sk.wwait, READY_OUT | EPOLLHUP | EPOLLERR);
}

static void add_shutdown(struct tcp_sock *t, u32 bits)
{
	atomic_fetch_or(&t->inet.sk.shutdown, bits);
}

/* Both ends' locks, or the one's if there is no other. */
static void lock_ends(struct tcp_sock *t, struct tcp_sock *p)
{
	mutex_lock_pair(&t->inet.sk.lock, p ? &p->inet.sk.lock : &t->inet.sk.lock);
}

static void unlock_ends(struct tcp_sock *t, struct tcp_sock *p)
{
	mutex_unlock_pair(&t->inet.sk.lock, p ? &p->inet.sk.lock : &t->inet.sk.lock);
}

/* The connection is over for t. Its port is free again unless bind(2) chose it. */
static void done_locked(struct tcp_sock *t)
{
	t->state = TCPS_CLOSE;
	t->peer = NULL;
	add_shutdown(t, SHUT_BOTH);
	if (!t->inet.bound_port || t->orphan)
		port_remove_locked(inet_ns_of(&t->inet.sk), &t->inet);
}

/* Each end of a connection that a reset ends is one more. */
static void count_reset(const struct tcp_sock *t)
{
	if (t->state == TCPS_ESTABLISHED || t->state == TCPS_CLOSE_WAIT)
		inet_count(inet_ns_of(&t->inet.sk), INET_TCP_RESETS, 1);
}

/* A reset arrives at t. */
void tcp_reset_locked(struct tcp_sock *t)
{
	int err = ECONNRESET;

	if (t->state == TCPS_CLOSE)
		return;
	if (t->state == TCPS_SYN_SENT)
		err = ECONNREFUSED;
	else if (t->state == TCPS_CLOSE_WAIT)
		err = EPIPE;
	count_reset(t);
	done_locked(t);
	if (t->orphan)
		return;
	atomic_store(&t->inet.sk.err, err);
	wake_all(t);
}

/* t has sent its end and seen the peer's: who ended first waits. */
static void time_wait_locked(struct tcp_sock *t)
{
	port_time_wait_locked(inet_ns_of(&t->inet.sk), &t->inet);
	done_locked(t);
	if (!t->orphan)
		wake_all(t);
}

/* t sends no more. Both ends' locks are held. */
static void fin_locked(struct tcp_sock *t)
{
	struct tcp_sock *p = t->peer;

	if (t->state != TCPS_ESTABLISHED && t->state != TCPS_CLOSE_WAIT)
		return;
	add_shutdown(t, SOCK_SEND_CLOSED);
	if (p && p->orphan && p->state == TCPS_CLOSE) {
		/* It was given up before anybody accepted it. */
		done_locked(p);
		tcp_reset_locked(t);
		return;
	}
	if (p == t) {
		/* Connected to itself: both ends have closed at once. */
		t->held = 0;
		t->fin = true;
		time_wait_locked(t);
		return;
	}
	if (p) {
		p->held = 0;
		p->fin = true;
		add_shutdown(p, SOCK_RCV_CLOSED);
		if (p->defers_on)
			tcp_undefer_locked(p);
	}
	if (t->state == TCPS_ESTABLISHED) {
		t->state = TCPS_FIN_WAIT2;
		if (p) {
			p->state = TCPS_CLOSE_WAIT;
			waitq_wake(&p->inet.sk.rwait, READY_IN | EPOLLRDHUP);
		}
		return;
	}
	/* CLOSE_WAIT, LAST_ACK and acknowledged in one step. */
	if (p)
		time_wait_locked(p);
	done_locked(t);
	if (!t->orphan)
		wake_all(t);
}

/* t resets the connection. Both ends' locks are held. */
static void abort_locked(struct tcp_sock *t)
{
	struct tcp_sock *p = t->peer;

	inet_count(inet_ns_of(&t->inet.sk), INET_TCP_OUTRSTS, 1);
	count_reset(t);
	done_locked(t);
	if (p)
		tcp_reset_locked(p);
}

void tcp_sent_to_closed(struct tcp_sock *t)
{
	struct inet_ns *ns = inet_ns_of(&t->inet.sk);
	struct tcp_sock *p;

	GUARD_WRITE(&ns->lock);
	p = t->peer;
	if (!p)
		return;
	lock_ends(t, p);
	if (p->orphan)
		done_locked(p);
	else
		tcp_reset_locked(p);
	tcp_reset_locked(t);
	unlock_ends(t, p);
}

/* ---- connect ---- */

/* What Linux gives a connection on lo to begin with. */
static void show_tuned(struct tcp_sock *t)
{
	if (!t->inet.sk.opts.sndbuf_set)
		t->inet.sk.opts.sndbuf = TCP_SNDBUF_SHOWN;
}

/* The two are connected; l is the listener that took it. */
void tcp_establish_locked(struct inet_ns *ns, struct tcp_sock *t, struct tcp_sock *l)
{
	struct tcp_sock *child = tcp_new(l->inet.sk.family);
	struct sock *sk = &child->inet.sk;

	sk->ns = netns_get(l->inet.sk.ns);
	sk->family = l->inet.sk.family;
	sk->type = l->inet.sk.type;
	sk->protocol = l->inet.sk.protocol;
	sk->uid = l->inet.sk.uid;
	inet_inherit(&child->inet, &l->inet);
	memcpy(child->v, l->v, sizeof(child->v));
	memcpy(child->congestion, l->congestion, sizeof(child->congestion));
	child->inet.local = t->inet.remote;
	child->inet.remote = t->inet.local;
	child->state = TCPS_ESTABLISHED;
	child->phase = TCP_CONNECTED;
	child->peer = t;
	child->hold = tcp_sock_get(t);
	tcp_set_limit(child, t);
	port_add_locked(ns, &child->inet);

	mutex_lock(&t->inet.sk.lock);
	WRITE_ONCE(t->state, TCPS_ESTABLISHED);
	t->peer = child;
	WRITE_ONCE(t->hold, tcp_sock_get(child));
	tcp_set_limit(t, child);
	show_tuned(t);
	show_tuned(child);
	mutex_unlock(&t->inet.sk.lock);

	inet_count(ns, INET_TCP_ACTIVE, 1);
	inet_count(ns, INET_TCP_PASSIVE, 1);
	child->defers_on = l;
	TAILQ_INSERT_TAIL(&l->deferred, child, q_link);
	l->n_deferred++;
	if (l->v[TCPO_DEFER_ACCEPT]) {
		child->defer_until = inet_now(ns) + l->v[TCPO_DEFER_ACCEPT] * NSEC_PER_SEC;
		tcp_arm(child);
	} else {
		tcp_undefer_locked(child);
	}
	waitq_wake(&t->inet.sk.wwait, READY_OUT | FASYNC_OUT);
}

/* A SYN that arrives where it came from: both have opened at once. */
static void establish_self_locked(struct inet_ns *ns, struct tcp_sock *t)
{
	mutex_lock(&t->inet.sk.lock);
	t->state = TCPS_ESTABLISHED;
	t->peer = t;
	t->hold = tcp_sock_get(t);
	tcp_set_limit(t, t);
	show_tuned(t);
	mutex_unlock(&t->inet.sk.lock);
	inet_count(ns, INET_TCP_ACTIVE, 1);
	waitq_wake(&t->inet.sk.wwait, READY_OUT | FASYNC_OUT);
}

static void pend_locked(struct tcp_sock *t, struct tcp_sock *l)
{
	t->pends_on = l;
	TAILQ_INSERT_TAIL(&l->pending, t, q_link);
}

void tcp_unpend_locked(struct tcp_sock *t)
{
	if (!t->pends_on)
		return;
	TAILQ_REMOVE(&t->pends_on->pending, t, q_link);
	t->pends_on = NULL;
}

/* A port that nobody chose goes back, and the source address with it. */
static void forget_source(struct inet_ns *ns, struct inet_sock *is)
{
	if (!is->bound_port) {
		port_remove_locked(ns, is);
		if (is->local.port)
			is->past_port = is->local.port;
		is->local.port = 0;
	}
	if (!is->bound_ip)
		is->local.ip = is->sk.family == AF_INET ? ip_any4 : ip_any6;
	is->remote = (struct inet_addr){.ip = is->sk.family == AF_INET ? ip_any4 : ip_any6};
}

/* Sends the SYN, as it were. 0: connected, or to be sent again; -ECONNREFUSED. */
static int syn_locked(struct inet_ns *ns, struct tcp_sock *t)
{
	const struct inet_addr *dst = &t->inet.remote;
	struct inet_sock *l = NULL;

	if (!fib_lost(ns, &dst->ip)) {
		if (t->inet.local.port == dst->port && ip_equal(&t->inet.local.ip, &dst->ip)) {
			establish_self_locked(ns, t);
			return 0;
		}
		/* Who is in the table as a listener has a file, whose end has to wait for the lock.
		 */
		l = port_listener_locked(ns, &t->inet.local, dst);
		if (!l)
			return -ECONNREFUSED;
		l = tcp_choose_locked(t, l);
		if (tcp_has_room(tcp_sk(&l->sk))) {
			tcp_establish_locked(ns, t, tcp_sk(&l->sk));
			return 0;
		}
	}
	t->state = TCPS_SYN_SENT;
	if (l)
		pend_locked(t, tcp_sk(&l->sk));
	t->syn_until = inet_now(ns) + (NSEC_PER_SEC << MIN(t->syn_tries, SYN_DOUBLED_MAX));
	tcp_arm(t);
	return 0;
}

void tcp_syn_again_locked(struct inet_ns *ns, struct tcp_sock *t)
{
	bool over = t->syn_tries >= (u32)t->v[TCPO_SYNCNT];

	t->syn_tries++;
	tcp_unpend_locked(t);
	if (!over) {
		if (syn_locked(ns, t) < 0)
			tcp_reset_locked(t);
		return;
	}
	inet_count(ns, INET_TCP_FAILS, 1);
	done_locked(t);
	atomic_store(&t->inet.sk.err, ETIMEDOUT);
	wake_all(t);
}

/* Chooses the two ends, and opens. */
static int start_locked(struct inet_ns *ns, struct tcp_sock *t, const struct inet_addr *dst)
{
	struct inet_sock *is = &t->inet;
	struct ipaddr src = is->bound_ip && !ip_is_any(&is->local.ip)
	                            ? is->local.ip
	                            : fib_source_for(ns, &dst->ip);
	int r;

	is->remote = *dst;
	if (!is->local.port) {
		r = port_connect_locked(ns, is, &src);
	} else {
		struct ipaddr was = is->local.ip;

		is->local.ip = src;
		r = port_unique_locked(ns, is) ? 0 : -EADDRNOTAVAIL;
		if (r < 0)
			is->local.ip = was;
		else if (!is->hashed)
			port_add_locked(ns, is);
	}
	if (r < 0) {
		is->remote = (struct inet_addr){.ip = is->remote.ip};
		return r;
	}
	atomic_store(&is->sk.shutdown, 0);
	t->syn_tries = 0;
	r = syn_locked(ns, t);
	if (r < 0) {
		inet_count(ns, INET_TCP_ACTIVE, 1);
		inet_count(ns, INET_TCP_FAILS, 1);
		inet_count(ns, INET_TCP_OUTRSTS, 1);
	}
	return r;
}

/* Puts an old connection's peer aside: calls under way may still look at it. */
static int retire(struct tcp_sock *t)
{
	struct tcp_sock **more;

	if (!t->hold)
		return 0;
	if (t->n_retired >= TCP_RETIRED_MAX)
		return -ENOBUFS;
	more = realloc(t->retired, (t->n_retired + 1) * sizeof(struct tcp_sock *));
	BUG_ON(!more);
	t->retired = more;
	t->retired[t->n_retired++] = TAKE(t->hold);
	return 0;
}

/* connect(2) with AF_UNSPEC: the socket is as new, but for what bind(2) chose. */
static int disconnect(struct tcp_sock *t)
{
	struct inet_ns *ns = inet_ns_of(&t->inet.sk);
	struct tcp_queue gone = TAILQ_HEAD_INITIALIZER(gone);
	struct tcp_sock *p;
	int r;

	{
		GUARD_WRITE(&ns->lock);
		if (t->n_retired >= TCP_RETIRED_MAX)
			return -ENOBUFS;
		tcp_unpend_locked(t);
		tcp_queues_empty_locked(t, &gone);
		p = t->peer;
		lock_ends(t, p);
		if (p || t->state == TCPS_SYN_SENT)
			atomic_store(&t->inet.sk.err, ECONNRESET);
		if (p)
			abort_locked(t);
		t->state = TCPS_CLOSE;
		t->phase = TCP_UNCONNECTED;
		t->fin = false;
		t->urg = TCP_URG_NONE;
		t->len = t->head = t->held = 0;
		unlock_ends(t, p);
		if (t->inet.listening) {
			port_remove_locked(ns, &t->inet);
			t->inet.listening = false;
			if (t->inet.bound_port)
				port_add_locked(ns, &t->inet);
		}
		forget_source(ns, &t->inet);
		atomic_store(&t->inet.sk.shutdown, 0);
		r = retire(t);
	}
	tcp_refuse_all(&gone);
	wake_all(t);
	return r;
}

static long connect_step(void *arg)
{
	struct tcp_sock *t = arg;

	GUARD_READ(&inet_ns_of(&t->inet.sk)->lock);
	return t->state == TCPS_SYN_SENT ? -EAGAIN : 0;
}

/* Begins (*ret_fresh), finds one begun, or says why not. */
static int connect_start(struct tcp_sock *t, struct inet_addr *dst, bool *ret_fresh)
{
	struct inet_ns *ns = inet_ns_of(&t->inet.sk);
	int r;

	GUARD_WRITE(&ns->lock);
	if (t->phase == TCP_CONNECTED)
		return -EISCONN;
	if (t->phase == TCP_CONNECTING) {
		*ret_fresh = false;
		return 0;
	}
	/* Only in an image that lies is one with a file in a queue. */
	if (t->state != TCPS_CLOSE || t->queued || t->defers_on || t->pends_on)
		return -EISCONN;
	r = inet_destination(&t->inet, dst);
	if (r < 0)
		return r;
	if (ip_is_multicast(&dst->ip))
		return -ENETUNREACH;
	if (fib_is_broadcast(ns, &dst->ip))
		return -EACCES;
	r = retire(t);
	if (r < 0)
		return r;
	mutex_lock(&t->inet.sk.lock);
	t->len = t->head = t->held = 0;
	t->fin = false;
	t->urg = TCP_URG_NONE;
	mutex_unlock(&t->inet.sk.lock);
	r = start_locked(ns, t, dst);
	if (r == -ECONNREFUSED) {
		if (!t->inet.bound_port)
			port_remove_locked(ns, &t->inet);
		add_shutdown(t, SHUT_BOTH);
		atomic_store(&t->inet.sk.err, ECONNREFUSED);
		r = 0;
	}
	if (r < 0)
		return r;
	t->phase = TCP_CONNECTING;
	*ret_fresh = true;
	return 0;
}

/* How it ended, once it has. */
static int connect_result(struct tcp_sock *t)
{
	struct inet_ns *ns = inet_ns_of(&t->inet.sk);
	int err;

	GUARD_WRITE(&ns->lock);
	if (t->state == TCPS_SYN_SENT)
		return -EALREADY;
	if (t->phase != TCP_CONNECTING)
		return t->phase == TCP_CONNECTED ? 0 : -ECONNABORTED;
	if (t->state != TCPS_CLOSE) {
		t->phase = TCP_CONNECTED;
		return 0;
	}
	err = sock_take_error(&t->inet.sk);
	t->phase = TCP_UNCONNECTED;
	if (!t->hold) {
		forget_source(ns, &t->inet);
		atomic_store(&t->inet.sk.shutdown, 0);
	}
	return err ? err : -ECONNABORTED;
}

int tcp_connect(struct sock *sk, struct ctx *c, const struct sockaddr_storage *a, u32 len,
                bool nonblock)
{
	struct tcp_sock *t = tcp_sk(sk);
	struct inet_addr dst;
	bool fresh;
	long r;

	if (len < sizeof(sa_family_t))
		return -EINVAL;
	if (a->ss_family == AF_UNSPEC)
		return disconnect(t);
	r = inet_addr_parse(sk->family, a, len, &dst);
	if (r < 0)
		return (int)r;
	r = connect_start(t, &dst, &fresh);
	if (r < 0)
		return (int)r;
	/* Refused; one that was taken is announced already. */
	if (fresh && READ_ONCE(t->state) == TCPS_CLOSE)
		wake_all(t);
	/* What a non-blocking call has begun is never over when it returns. */
	if (fresh && nonblock)
		return -EINPROGRESS;
	r = sock_block(c, &sk->wwait, sk->opts.sndtimeo, nonblock, connect_step, t);
	if (r == -EAGAIN)
		return fresh || c->restart.active ? -EINPROGRESS : -EALREADY;
	return r < 0 ? (int)r : connect_result(t);
}

/* ---- the end ---- */

int tcp_shutdown(struct sock *sk, struct ctx *c, int how)
{
	struct tcp_sock *t = tcp_sk(sk), *p;
	struct inet_ns *ns = inet_ns_of(sk);
	u32 bits = how == SHUT_RD ? SOCK_RCV_CLOSED : how == SHUT_WR ? SOCK_SEND_CLOSED : SHUT_BOTH;

	u8 state;

	(void)c;
	rwlock_wrlock(&ns->lock);
	state = t->state;
	if (state == TCPS_CLOSE || state == TCPS_LISTEN || state == TCPS_SYN_SENT) {
		rwlock_unlock(&ns->lock);
		if (state == TCPS_LISTEN && !(bits & SOCK_RCV_CLOSED))
			return 0;
		if (state != TCPS_CLOSE)
			return disconnect(t);
		wake_all(t);
		return -ENOTCONN;
	}
	p = t->peer;
	lock_ends(t, p);
	add_shutdown(t, bits);
	if (bits & SOCK_SEND_CLOSED)
		fin_locked(t);
	unlock_ends(t, p);
	rwlock_unlock(&ns->lock);
	wake_all(t);
	return 0;
}

void tcp_release(struct sock *sk)
{
	struct tcp_sock *t = tcp_sk(sk), *p;
	struct inet_ns *ns = inet_ns_of(sk);
	struct tcp_queue gone = TAILQ_HEAD_INITIALIZER(gone);
	struct tcp_sock *drop;

	/* A load that failed half way. */
	if (!ns)
		return;
	{
		GUARD_WRITE(&ns->lock);
		tcp_unpend_locked(t);
		tcp_queues_empty_locked(t, &gone);
		p = t->peer;
		lock_ends(t, p);
		t->orphan = true;
		if (p && (tcp_seen(t) > 0 || (sk->opts.linger && sk->opts.linger_s == 0)))
			abort_locked(t);
		else
			fin_locked(t);
		add_shutdown(t, SHUT_BOTH);
		tcp_ring_free(t);
		if (t->state != TCPS_FIN_WAIT2) {
			t->state = TCPS_CLOSE;
			t->peer = NULL;
			port_remove_locked(ns, &t->inet);
		}
		t->inet.listening = false;
		unlock_ends(t, p);
		drop = TAKE(t->hold);
	}
	tcp_refuse_all(&gone);
	tcp_sock_put(drop);
}
