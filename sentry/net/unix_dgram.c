/* AF_UNIX datagrams and sequenced packets: a list of packets at the receiver. */
#include "sentry/net/unix.h"

#include "sentry/net/filter.h"
#include "sentry/net/inet/ports.h"
#include "state/base/cleanup.h"

#include <stdlib.h>
#include <string.h>

/* What a packet counts as in its sender's buffer: about what it does in Linux. */
static u32 packet_charge(u32 len)
{
	u32 n = (len + 63) / 64 * 64 + 320, bucket = 512;

	while (bucket < n && bucket < 8192)
		bucket *= 2;
	return 256 + (bucket < n ? (n + 4095) / 4096 * 4096 : bucket);
}

bool unix_full(const struct unix_sock *u)
{
	/* What failed to load is emptied without a network. */
	const struct inet_ns *ns = u->sk.ns ? u->sk.ns->inet : NULL;

	return ns && u->n_packets > (u32)net_setting_get(ns, NET_UNIX_DGRAM_QLEN);
}

struct unix_packet *unix_packet_new(struct unix_sock *from, u32 len)
{
	struct unix_packet *p = malloc(sizeof(*p) + len);

	BUG_ON(!p);
	*p = (struct unix_packet){.len = len, .charge = packet_charge(len), .cred = unix_no_cred};
	p->from = unix_sock_get(from);
	atomic_fetch_add(&from->wmem, p->charge);
	return p;
}

void unix_packet_free(struct unix_packet *p)
{
	struct unix_sock *from = p->from;
	u32 before, after;

	unix_rights_free(p->rights);
	if (from) {
		before = atomic_fetch_sub(&from->wmem, p->charge);
		after = before - p->charge;
		if (((u64)before * 4 > unix_sndbuf(from) && (u64)after * 4 <= unix_sndbuf(from)) ||
		    (atomic_load(&from->squeezed) && atomic_exchange(&from->squeezed, false)))
			sock_wake_writers(&from->sk);
		unix_sock_put(from);
	}
	free(p);
}

/* Someone may send to u again. */
static void no_longer_full(struct unix_sock *u)
{
	struct unix_sock *w;

	waitq_wake(&u->peer_wait, ~0u);
	GUARD(&u->sk.ns->unix_lock);
	TAILQ_FOREACH (w, &u->connected, connected_link)
		sock_wake_writers(&w->sk);
}

bool unix_purge(struct unix_sock *u) NO_LOCK_ANALYSIS
{
	TAILQ_HEAD(, unix_packet) packets = TAILQ_HEAD_INITIALIZER(packets);
	struct unix_run *runs;
	struct unix_packet *p;
	u32 n_runs, first_run;
	s64 bytes;
	struct netns *ns = u->sk.ns; /* NULL in what failed to load */
	bool any, was_full;

	if (ns)
		mutex_lock(&ns->scm_lock);
	mutex_lock(&u->q_lock);
	was_full = unix_full(u);
	any = unix_stream_unread(u) > 0 || u->n_packets > 0;
	bytes = u->ring.len;
	runs = u->runs;
	n_runs = u->n_runs;
	first_run = u->first_run;
	u->runs = NULL;
	u->n_runs = u->first_run = u->max_runs = 0;
	u->urgent = false;
	ring_free(&u->ring);
	TAILQ_CONCAT(&packets, &u->packets, link);
	u->n_packets = 0;
	for (u32 i = first_run; i < first_run + n_runs; i++)
		if (runs[i].rights)
			unix_notinflight(ns, runs[i].rights);
	TAILQ_FOREACH (p, &packets, link) {
		bytes += p->charge;
		if (p->rights)
			unix_notinflight(ns, p->rights);
	}
	if (ns)
		unix_account(u, -bytes);
	mutex_unlock(&u->q_lock);
	if (ns)
		mutex_unlock(&ns->scm_lock);
	for (u32 i = first_run; i < first_run + n_runs; i++)
		unix_rights_free(runs[i].rights);
	free(runs);
	while ((p = TAILQ_FIRST(&packets))) {
		TAILQ_REMOVE(&packets, p, link);
		unix_packet_free(p);
	}
	if (was_full && ns)
		no_longer_full(u);
	return any;
}

/* ---- send ---- */

struct packet_try {
	struct ctx *c;
	struct unix_sock *u, *other;
	struct sockmsg *m;
	u32 len;
	struct unix_packet *p;
};

static long try_buffer(void *arg)
{
	struct packet_try *t = arg;
	int err = sock_take_error(&t->u->sk);

	if (err < 0)
		return err;
	if (sock_shut(&t->u->sk) & SOCK_SEND_CLOSED)
		return -EPIPE;
	if (atomic_load(&t->u->wmem) < unix_limit(t->u))
		return 0;
	/* Noted first and then looked again: whoever frees looks after it has freed. */
	atomic_store(&t->u->squeezed, true);
	return atomic_load(&t->u->wmem) < unix_limit(t->u) ? 0 : -EAGAIN;
}

/* What other's filter leaves of p; false: nothing. other->sk.lock is held. */
static bool filtered(const struct unix_sock *other, struct unix_packet *p)
{
	struct filter_packet fp = {.bytes = p->data, .len = p->len};

	if (!filter_there(&other->sk))
		return true;
	fp.len = filter_run(&other->sk, &fp);
	/* Linux lets a filter take all of a packet of nothing. */
	if (fp.len == 0)
		return false;
	p->len = fp.len;
	return true;
}

/* 0: queued; -EAGAIN: the receiver is full; -ESTALE: it is gone. */
static long try_queue(void *arg) NO_LOCK_ANALYSIS
{
	struct packet_try *t = arg;
	struct unix_sock *u = t->u, *other = t->other, *back;
	struct mutex *scm = t->p->rights ? &u->sk.ns->scm_lock : NULL;
	long r = 0;

	mutex_lock(&other->sk.lock);
	back = other->peer;
	/* Only compared; who has a peer takes from nobody else. */
	if (back && back != u)
		r = -EPERM;
	else if (!filtered(other, t->p))
		r = 1;
	mutex_unlock(&other->sk.lock);
	/* The sender is not told that nobody saw it. */
	if (r)
		return r < 0 ? r : 0;
	if (unix_wants_cred(other) || unix_wants_cred(u)) {
		if (t->p->cred.uid == (u32)-1)
			t->p->cred = unix_cred_of(t->c);
	}
	if (scm)
		mutex_lock(scm);
	mutex_lock(&other->q_lock);
	if (other->dead)
		r = -ESTALE;
	else if (sock_shut(&other->sk) & SOCK_RCV_CLOSED)
		r = -EPIPE;
	else if (other != u && back != u && unix_full(other)) {
		sock_no_space(&u->sk);
		r = -EAGAIN;
	}
	if (r == 0) {
		if (t->p->rights)
			unix_inflight(u->sk.ns, t->p->rights);
		TAILQ_INSERT_TAIL(&other->packets, t->p, link);
		other->n_packets++;
		unix_account(other, t->p->charge);
		t->p = NULL;
	}
	mutex_unlock(&other->q_lock);
	if (scm)
		mutex_unlock(scm);
	if (r == 0)
		waitq_wake(&other->sk.rwait, READY_IN);
	return r;
}

/* The peer is gone: the socket has none any more. */
static long peer_gone(struct unix_sock *u, struct unix_sock *other)
{
	struct unix_sock *old = NULL;

	if (unix_connects(u))
		return -EPIPE;
	mutex_lock(&u->sk.lock);
	if (u->peer == other) {
		old = unix_set_peer(u, NULL);
		u->state = UNIX_CLOSED;
	}
	mutex_unlock(&u->sk.lock);
	if (!old)
		return -ESTALE;
	unix_purge(u);
	unix_sock_put(old);
	return -ECONNREFUSED;
}

static long deliver(struct packet_try *t, struct ctx *c, bool by_name)
{
	struct unix_sock *u = t->u;
	bool nonblock = (t->m->flags & MSG_DONTWAIT) != 0;
	long r;

	for (;;) {
		if (!t->other) {
			r = by_name ? unix_find(c, u->sk.ns, &t->m->name, t->m->name_len,
			                        u->sk.type, &t->other)
			            : -ECONNRESET;
			if (r < 0)
				return r;
		}
		r = sock_block(c, &t->other->peer_wait, u->sk.opts.sndtimeo, nonblock, try_queue,
		               t);
		if (r != -ESTALE)
			return r;
		r = peer_gone(u, t->other);
		unix_sock_put(TAKE(t->other));
		if (r != -ESTALE)
			return r;
	}
}

long unix_dgram_send(struct sock *sk, struct ctx *c, struct sockmsg *m)
{
	struct unix_sock *u = unix_of(sk);
	struct unix_cred cred = unix_no_cred;
	struct unix_rights *rights = NULL;
	struct packet_try t = {.c = c, .u = u, .m = m};
	bool by_name = false;
	u64 len = uiter_count(m->it);
	long r = 0;

	if (sk->type == SOCK_SEQPACKET) {
		r = sock_take_error(sk);
		if (r == 0 && READ_ONCE(u->state) != UNIX_CONNECTED)
			r = -ENOTCONN;
		m->name_len = 0;
	}
	if (r == 0 && m->control_in_len)
		r = unix_scm_parse(u, c, m, &cred, &rights);
	if (r < 0)
		return r;
	if (m->flags & MSG_OOB) {
		r = -EOPNOTSUPP;
	} else if (m->name_len) {
		r = unix_check_addr(&m->name, m->name_len);
		by_name = true;
	} else {
		t.other = unix_peer_get(u);
		r = t.other ? 0 : -ENOTCONN;
	}
	if (r == 0 && unix_wants_cred(u) && !u->addr_len)
		r = unix_autobind(u);
	if (r == 0 && (s64)len > (s64)unix_sndbuf(u) - 32)
		r = -EMSGSIZE;
	if (r == 0)
		r = sock_block(c, &sk->wwait, sk->opts.sndtimeo, (m->flags & MSG_DONTWAIT) != 0,
		               try_buffer, &t);
	if (r == 0) {
		t.p = unix_packet_new(u, (u32)len);
		t.p->cred = cred;
		t.p->rights = TAKE(rights);
		if (uiter_copy_in(m->it, t.p->data, len) != (long)len)
			r = -EFAULT;
	}
	if (r == 0) {
		t.p->stamp = sock_now(c);
		r = deliver(&t, c, by_name);
	}
	if (t.p)
		unix_packet_free(t.p);
	unix_rights_free(rights);
	unix_sock_put(t.other);
	return r < 0 ? r : (long)len;
}

/* ---- receive ---- */

struct take_try {
	struct unix_sock *u;
	struct sockmsg *m;
	bool peek, scm_held, was_full;
	s32 peek_off;
	u32 skip; /* bytes of it that peeks are past */
	struct unix_packet *p;
	long copied;
	struct unix_rights *rights; /* a copy, when peeking */
};

/* Copies what there is room for. */
static long copy_packet(struct take_try *t, const struct unix_packet *p)
{
	u32 n = (u32)MIN((u64)(p->len - t->skip), uiter_count(t->m->it));
	long r;

	if (n < p->len - t->skip)
		t->m->out_flags |= MSG_TRUNC;
	r = n ? uiter_copy_out(t->m->it, p->data + t->skip, n) : 0;
	return r == (long)n ? r : -EFAULT;
}

static struct unix_packet *pick(struct take_try *t)
{
	struct unix_packet *p = TAILQ_FIRST(&t->u->packets);

	t->skip = 0;
	if (!t->peek || t->peek_off < 0)
		return p;
	t->skip = (u32)t->peek_off;
	while (p && t->skip >= p->len && (p->len || t->skip || p->peeked)) {
		t->skip -= p->len;
		p = TAILQ_NEXT(p, link);
	}
	return p;
}

static long try_take(void *arg) NO_LOCK_ANALYSIS
{
	struct take_try *t = arg;
	struct unix_sock *u = t->u;
	struct unix_packet *p;
	long r = sock_take_error(&u->sk);

	if (r < 0)
		return r;
again:
	if (t->scm_held)
		mutex_lock(&u->sk.ns->scm_lock);
	mutex_lock(&u->q_lock);
	p = pick(t);
	r = 0;
	if (p && p->rights && !t->scm_held) {
		r = -ESTALE;
	} else if (p && t->peek) {
		p->peeked = true;
		t->copied = copy_packet(t, p);
		if (p->rights)
			t->rights = unix_rights_copy(p->rights);
	} else if (p) {
		t->was_full = unix_full(u);
		TAILQ_REMOVE(&u->packets, p, link);
		u->n_packets--;
		unix_account(u, -(s64)p->charge);
		if (p->rights)
			unix_notinflight(u->sk.ns, p->rights);
	}
	if (r == 0 && p) {
		/* Only what a peek must know; the packet may be gone once the lock is. */
		t->p = p;
		if (t->peek) {
			t->p = malloc(sizeof(*p));
			BUG_ON(!t->p);
			*t->p = *p;
			t->p->rights = NULL;
			unix_sock_get(p->from);
		}
	}
	mutex_unlock(&u->q_lock);
	if (t->scm_held)
		mutex_unlock(&u->sk.ns->scm_lock);
	if (r == -ESTALE) {
		t->scm_held = true;
		goto again;
	}
	if (p)
		return 0;
	if (!(sock_shut(&u->sk) & SOCK_RCV_CLOSED))
		return -EAGAIN;
	/* End of file; but a datagram socket that would not wait is told to come again. */
	return u->sk.type == SOCK_DGRAM && (t->m->flags & MSG_DONTWAIT) ? -EAGAIN : 0;
}

long unix_dgram_recv(struct sock *sk, struct ctx *c, struct sockmsg *m)
{
	struct unix_sock *u = unix_of(sk);
	struct take_try t = {.u = u, .m = m, .peek = (m->flags & MSG_PEEK) != 0};
	struct unix_rights *rights;
	struct unix_packet *p;
	long r;

	if (sk->type == SOCK_SEQPACKET && READ_ONCE(u->state) != UNIX_CONNECTED)
		return -ENOTCONN;
	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	t.peek_off = sk->opts.peek_off;
	r = sock_block(c, &sk->rwait, sk->opts.rcvtimeo, (m->flags & MSG_DONTWAIT) != 0, try_take,
	               &t);
	if (r < 0 || !t.p)
		return r;
	p = t.p;
	rights = t.peek ? t.rights : TAKE(p->rights);
	if (!t.peek)
		t.copied = copy_packet(&t, p);
	r = t.copied;
	if (r >= 0 && (m->flags & MSG_TRUNC))
		r = p->len - t.skip;
	sock_moved(sk, t.peek, t.peek ? t.copied : p->len);
	if (r >= 0) {
		if (m->want_name)
			m->name_len = p->from->addr_len ? unix_put_name(p->from, &m->name) : 0;
		if (sock_wants_stamp(sk))
			sockmsg_put_timestamp(m, c, sk, p->stamp);
		unix_scm_deliver(u, c, m, &p->cred, rights);
	} else {
		unix_rights_free(rights);
	}
	if (t.peek) {
		unix_sock_put(p->from);
		free(p);
	} else {
		unix_packet_free(p);
		if (t.was_full)
			no_longer_full(u);
	}
	return r;
}
