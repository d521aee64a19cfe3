/* Sending, receiving, readiness. */
#include "sentry/net/inet/tcp.h"

#include "state/base/cleanup.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

static bool in(u8 state, u32 states)
{
	return (1u << state & states) != 0;
}
#define S(x) (1u << TCPS_##x)

/* ---- send ---- */

struct send_op {
	struct ctx *c;
	struct tcp_sock *t;
	struct sockmsg *m;
};

static bool wants_urgent(const struct sockmsg *m)
{
	return (m->flags & MSG_OOB) != 0;
}

/* t's own state forbids to send now: -EPIPE, an error that is pending, or -EAGAIN while a
 * connection is being made. */
static long send_refused(struct send_op *op)
{
	struct tcp_sock *t = op->t;
	int err;

	/* What went before is told first; the error waits for the next call. */
	if (op->m->done)
		return -EPIPE;
	err = sock_take_error(&t->inet.sk);
	if (err)
		return err;
	if (READ_ONCE(t->state) == TCPS_SYN_SENT)
		return -EAGAIN;
	return -EPIPE;
}

/* The byte just appended is the urgent one. An older mark that nobody has passed is forgotten; its
 * byte stays in the stream, unless the reader stands right before it. */
static void mark_urgent(struct tcp_sock *p)
{
	if (p->urg != TCP_URG_NONE && p->urg_pos == p->taken && !p->inet.sk.opts.oobinline &&
	    p->len > 1)
		tcp_ring_drop(p, 1);
	p->urg = TCP_URG_THERE;
	p->urg_pos = p->taken + p->len - 1;
	p->urg_byte = p->ring[(p->head + p->len - 1) & (p->ring_size - 1)];
}

/*
 * n bytes of those left were appended at the peer: is there more for its reader to see? Whole
 * segments go, and the rest if nothing will follow soon or there is no room for it.
 */
static bool hold_back(struct send_op *op, u32 n, u64 left)
{
	struct tcp_sock *p = op->t->hold;
	u32 before = p->held;

	if (likely(!(op->m->flags & MSG_MORE) && !op->t->v[TCPO_CORK]) || wants_urgent(op->m) ||
	    n < left) {
		p->held = 0;
		return true;
	}
	p->held = (before + n) % TCP_SEGMENT;
	if (p->held && !before)
		tcp_arm(p);
	return before + n >= TCP_SEGMENT;
}

static long send_step(void *arg)
{
	struct send_op *op = arg;
	struct tcp_sock *t = op->t, *p = READ_ONCE(t->hold);
	u64 left = uiter_count(op->m->it);
	bool urgent = false, seen = false;
	long r = 0;
	u32 room;

	if (!p || (sock_shut(&t->inet.sk) & SOCK_SEND_CLOSED) ||
	    atomic_load_explicit(&t->inet.sk.err, memory_order_relaxed))
		return send_refused(op);
	mutex_lock(&p->inet.sk.lock);
	if (p->peer != t || p->fin) {
		/* Over, or closed by us in this moment. */
		mutex_unlock(&p->inet.sk.lock);
		return send_refused(op);
	}
	if (p->orphan ||
	    (p->state == TCPS_FIN_WAIT2 && (sock_shut(&p->inet.sk) & SOCK_RCV_CLOSED))) {
		mutex_unlock(&p->inet.sk.lock);
		/* No bytes, no segment. */
		if (left == 0)
			return 0;
		goto nobody;
	}
	room = tcp_ring_room(p);
	if (left > 0 && room == 0) {
		sock_no_space(&t->inet.sk);
		mutex_unlock(&p->inet.sk.lock);
		return -EAGAIN;
	}
	if (left > 0) {
		r = tcp_ring_fill(p, op->m->it, (u32)MIN((u64)room, left));
		if (r > 0) {
			op->m->done += (u64)r;
			urgent = wants_urgent(op->m) && (u64)r == left;
			if (urgent)
				mark_urgent(p);
			seen = hold_back(op, (u32)r, left);
			if (unlikely(sock_wants_stamp(&p->inet.sk)))
				p->stamp = sock_now(op->c);
		}
	}
	mutex_unlock(&p->inet.sk.lock);
	if (r > 0 && seen)
		waitq_wake(&p->inet.sk.rwait, urgent ? READY_IN | EPOLLPRI : READY_IN);
	if (r > 0 && unlikely(READ_ONCE(p->defers_on)))
		tcp_heard(p);
	if (r < 0)
		return r;
	return (u64)r < left ? -EAGAIN : 0;

nobody:
	/* As much as there is room for is sent, and answered with a reset. */
	left = MIN(left, (u64)t->inet.sk.opts.sndbuf);
	uiter_advance(op->m->it, left);
	op->m->done += left;
	tcp_sent_to_closed(t);
	return 0;
}

/* A send that a reader freed room for goes on at once; one that copied what there was of a bad page
 * ends. */
static long send_all(void *arg)
{
	struct send_op *op = arg;
	u64 before;
	long r;

	do {
		before = op->m->done;
		r = send_step(op);
	} while (r == -EAGAIN && op->m->done > before);
	return r;
}

static int check_control(struct sock *sk, struct ctx *c, const struct sockmsg *m)
{
	const struct cmsghdr *h;
	u32 off = 0;
	int r;

	while ((r = sockmsg_next(m, &off, &h)) == 1) {
		r = h->cmsg_level == SOL_SOCKET ? sockmsg_common(sk, c, h) : 0;
		if (r < 0)
			break;
	}
	return r;
}

long tcp_sendmsg(struct sock *sk, struct ctx *c, struct sockmsg *m)
{
	struct tcp_sock *t = tcp_sk(sk);
	struct send_op op = {c, t, m};
	bool nonblock = (m->flags & MSG_DONTWAIT) != 0;
	long r;

	r = check_control(sk, c, m);
	if (r < 0)
		return r;
	if ((m->flags & MSG_FASTOPEN) && READ_ONCE(t->phase) == TCP_UNCONNECTED) {
		if (m->name_len == 0)
			return -EINVAL;
		r = tcp_connect(sk, c, &m->name, m->name_len, nonblock);
		/* Begun and, here, mostly over: what the peer can take goes along. */
		if (r < 0 && r != -EINPROGRESS)
			return r;
		if (r == -EINPROGRESS && READ_ONCE(t->state) != TCPS_ESTABLISHED)
			return r;
	}
	r = sock_block(c, &sk->wwait, sk->opts.sndtimeo, nonblock, send_all, &op);
	if (sock_interrupted(r))
		return r;
	return m->done ? (long)m->done : r;
}

/* ---- receive ---- */

struct recv_op {
	struct tcp_sock *t;
	struct sockmsg *m;
	u64 target; /* least number of bytes */
	u32 peeked; /* MSG_PEEK: bytes looked at */
	bool last;  /* the time is up, or the call may not block */
};

/* Moves what there is, up to the urgent mark. Bytes, -EFAULT. */
static long take_some(struct recv_op *op)
{
	struct tcp_sock *t = op->t;
	struct sockmsg *m = op->m;
	bool peek = (m->flags & MSG_PEEK) != 0;
	u64 total = 0;

	for (;;) {
		u64 want = uiter_count(m->it);
		u64 seq = t->taken + op->peeked;
		u32 n = (u32)MIN(want,
		                 (u64)(tcp_seen(t) > op->peeked ? tcp_seen(t) - op->peeked : 0));
		long r;

		if (t->urg != TCP_URG_NONE && t->urg_pos >= seq) {
			u64 off = t->urg_pos - seq;

			if (off == 0 && m->done + total > 0)
				break;
			if (n > 0 && off == 0 && !t->inet.sk.opts.oobinline) {
				if (peek) {
					op->peeked++;
				} else {
					tcp_ring_drop(t, 1);
					t->urg = TCP_URG_NONE;
				}
				continue;
			}
			if (off > 0 && off < n)
				n = (u32)off;
		}
		if (n == 0)
			break;
		if (m->flags & MSG_TRUNC) {
			uiter_advance(m->it, n);
			r = n;
		} else {
			r = tcp_ring_peek(t, m->it, op->peeked, n);
			if (r < 0)
				return total ? (long)total : r;
		}
		total += (u64)r;
		if (peek)
			op->peeked += (u32)r;
		else
			tcp_ring_drop(t, (u32)r);
		if (!peek && t->urg != TCP_URG_NONE && t->taken > t->urg_pos)
			t->urg = TCP_URG_NONE;
		if ((u64)r < n)
			break;
	}
	return (long)total;
}

static bool few_free(const struct tcp_sock *t)
{
	return t->len > 0 && (u64)tcp_ring_room(t) * 3 < t->limit;
}

/* What a receive that found less than it wants does: 0 ends it, -EAGAIN waits. Under the lock, so
 * that nothing arrived since it looked. */
static long recv_verdict(struct recv_op *op)
{
	struct tcp_sock *t = op->t;
	bool closed = t->state == TCPS_CLOSE;
	u32 shut = sock_shut(&t->inet.sk);
	int err;

	if (t->fin)
		return 0;
	/* With something in hand, the rest is for the next call to find out. */
	if (op->m->done > 0) {
		bool mark = t->urg != TCP_URG_NONE && tcp_seen(t) > op->peeked &&
		            t->urg_pos == t->taken + op->peeked;

		return atomic_load(&t->inet.sk.err) || closed || (shut & SOCK_RCV_CLOSED) || mark
		               ? 0
		               : -EAGAIN;
	}
	err = sock_take_error(&t->inet.sk);
	if (err)
		return err;
	if (shut & SOCK_RCV_CLOSED)
		return 0;
	return closed || t->state == TCPS_LISTEN ? -ENOTCONN : -EAGAIN;
}

static long recv_step(void *arg)
{
	struct recv_op *op = arg;
	struct tcp_sock *t = op->t, *p = READ_ONCE(t->hold);
	struct sockmsg *m = op->m;
	bool was_few, more;
	long r;

	mutex_lock(&t->inet.sk.lock);
	was_few = few_free(t);
	r = take_some(op);
	more = was_few && !few_free(t);
	if (r >= 0) {
		m->done += (u64)r;
		/* A receive of nothing waits for something all the same. */
		if (op->target ? m->done >= op->target || uiter_count(m->it) == 0 : tcp_seen(t) > 0)
			r = 0;
		else
			r = recv_verdict(op);
	}
	mutex_unlock(&t->inet.sk.lock);
	if (more && p)
		sock_wake_writers(&p->inet.sk);
	return r;
}

static long recv_urgent(struct tcp_sock *t, struct sockmsg *m)
{
	u8 byte;

	{
		GUARD(&t->inet.sk.lock);
		if (t->inet.sk.opts.oobinline || t->urg != TCP_URG_THERE)
			return -EINVAL;
		byte = t->urg_byte;
		if (!(m->flags & MSG_PEEK))
			t->urg = TCP_URG_TAKEN;
	}
	m->out_flags |= MSG_OOB;
	if (uiter_count(m->it) == 0) {
		m->out_flags |= MSG_TRUNC;
		return 0;
	}
	if (!(m->flags & MSG_TRUNC) && uiter_copy_out(m->it, &byte, 1) != 1)
		return -EFAULT;
	return 1;
}

/* How much can be read without stopping. */
static u32 inq(struct tcp_sock *t)
{
	GUARD(&t->inet.sk.lock);
	if (t->urg == TCP_URG_NONE || t->inet.sk.opts.oobinline || t->urg_pos < t->taken ||
	    t->urg_pos >= t->taken + tcp_seen(t))
		return tcp_seen(t);
	return (u32)(t->urg_pos - t->taken);
}

long tcp_recvmsg(struct sock *sk, struct ctx *c, struct sockmsg *m)
{
	struct tcp_sock *t = tcp_sk(sk);
	struct recv_op op = {.t = t, .m = m};
	u64 want = uiter_count(m->it) + m->done;
	long r;

	if (m->flags & MSG_ERRQUEUE)
		return -EAGAIN;
	if (READ_ONCE(t->state) == TCPS_LISTEN)
		return -ENOTCONN;
	if (m->flags & MSG_OOB)
		return recv_urgent(t, m);
	if (m->flags & MSG_PEEK)
		op.peeked = (u32)m->done + (u32)MAX(sk->opts.peek_off, 0);
	op.target = m->flags & MSG_WAITALL ? want : MIN(want, (u64)MAX(sk->opts.rcvlowat, 1));
	r = sock_block(c, &sk->rwait, sk->opts.rcvtimeo, (m->flags & MSG_DONTWAIT) != 0, recv_step,
	               &op);
	if (sock_interrupted(r))
		return r;
	if (r < 0 && m->done == 0)
		return r;
	sock_moved(sk, (m->flags & MSG_PEEK) != 0, (s64)m->done);
	if (m->done && unlikely(sock_wants_stamp(sk)) && READ_ONCE(t->stamp))
		sockmsg_put_timestamp(m, c, sk, READ_ONCE(t->stamp));
	if (t->v[TCPO_INQ] && m->control_len) {
		s32 n = (s32)inq(t);

		sockmsg_put(m, c, SOL_TCP, TCP_CM_INQ, &n, sizeof(n));
	}
	return (long)m->done;
}

/* ---- readiness ---- */

u32 tcp_poll(struct sock *sk, struct poll_table *pt)
{
	struct tcp_sock *t = tcp_sk(sk), *p = READ_ONCE(t->hold);
	u32 ev = 0, shut;
	u8 state;

	sock_poll_add(sk, pt);
	state = READ_ONCE(t->state);
	if (state == TCPS_LISTEN)
		return READ_ONCE(t->n_accept) ? READY_IN : 0;
	shut = sock_shut(sk);
	if (shut == (SOCK_RCV_CLOSED | SOCK_SEND_CLOSED) || state == TCPS_CLOSE)
		ev |= EPOLLHUP;
	if (shut & SOCK_RCV_CLOSED)
		ev |= READY_IN | EPOLLRDHUP;
	if (state != TCPS_SYN_SENT) {
		u32 least = (u32)MAX(sk->opts.rcvlowat, 1);

		mutex_lock(&sk->lock);
		if (t->urg != TCP_URG_NONE && t->urg_pos == t->taken && !sk->opts.oobinline)
			least++;
		if (tcp_seen(t) >= least)
			ev |= READY_IN;
		if (t->urg == TCP_URG_THERE)
			ev |= EPOLLPRI;
		mutex_unlock(&sk->lock);
		if ((shut & SOCK_SEND_CLOSED) || !p) {
			ev |= READY_OUT;
		} else {
			GUARD(&p->inet.sk.lock);
			if (p->peer != t || p->orphan || !few_free(p))
				ev |= READY_OUT;
			else
				sock_no_space(sk);
		}
	}
	if (atomic_load(&sk->err))
		ev |= EPOLLERR;
	return ev;
}

long tcp_ioctl(struct sock *sk, struct ctx *c, u32 cmd, u64 arg)
{
	struct tcp_sock *t = tcp_sk(sk), *p = READ_ONCE(t->hold);
	u8 state = READ_ONCE(t->state);
	u32 n = 0;

	switch (cmd) {
	case SIOCINQ:
		if (state == TCPS_LISTEN)
			return -EINVAL;
		return user_put_u32(c, UADDR(arg), inq(t));
	case SIOCATMARK: {
		GUARD(&sk->lock);
		n = t->urg != TCP_URG_NONE && t->urg_pos == t->taken;
		break;
	}
	case SIOCOUTQ:
	case SIOCOUTQNSD:
		if (state == TCPS_LISTEN)
			return -EINVAL;
		/* What does not fit into the receiver's own buffer counts as not yet there. */
		if (p && in(state, S(ESTABLISHED) | S(CLOSE_WAIT) | S(FIN_WAIT2))) {
			GUARD(&p->inet.sk.lock);
			if (p->peer == t && p->len > (u32)p->inet.sk.opts.rcvbuf)
				n = p->len - (u32)p->inet.sk.opts.rcvbuf;
		}
		break;
	default:
		return -ENOTTY;
	}
	return user_put_u32(c, UADDR(arg), n);
}
