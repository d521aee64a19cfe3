/* Receiving datagrams, readiness. */
#include "sentry/net/inet/udp.h"

#include "state/base/bug.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define IPV6_ORIGDSTADDR 74
#ifndef SO_RXQ_OVFL
#define SO_RXQ_OVFL 40
#endif

/* What a received datagram says besides its bytes. */
static void put_control4(struct udp_sock *u, struct ctx *c, struct sockmsg *m,
                         const struct packet *p)
{
	const s32 *v = u->inet.ip.v;
	struct sockaddr_storage a;
	s32 n;

	if (v[IPO_PKTINFO]) {
		struct inet_ns *ns = inet_ns_of(&u->inet.sk);
		struct ipaddr here =
			fib_is_local(ns, &p->dst.ip) ? p->dst.ip : fib_source_for(ns, &p->src.ip);
		struct in_pktinfo pi = {
			.ipi_ifindex = LO_INDEX,
			.ipi_spec_dst.s_addr = p->err ? 0 : ip_v4(&here),
			.ipi_addr.s_addr = ip_v4(&p->dst.ip),
		};

		sockmsg_put(m, c, SOL_IP, IP_PKTINFO, &pi, sizeof(pi));
	}
	if (v[IPO_RECVTTL]) {
		n = p->ttl;
		sockmsg_put(m, c, SOL_IP, IP_TTL, &n, sizeof(n));
	}
	if (v[IPO_RECVTOS])
		sockmsg_put(m, c, SOL_IP, IP_TOS, &p->tos, 1);
	if (v[IPO_RECVORIGDST] && !p->err) {
		u32 len = inet_addr_format(AF_INET, &p->dst.ip, p->dst.port, 0, &a);

		sockmsg_put(m, c, SOL_IP, IP_RECVORIGDSTADDR, &a, len);
	}
}

static void put_control6(struct udp_sock *u, struct ctx *c, struct sockmsg *m,
                         const struct packet *p)
{
	const s32 *v = u->inet.ip.v;
	s32 n;

	if (v[IPO_V6_RECVPKTINFO]) {
		struct in6_pktinfo pi = {.ipi6_ifindex = LO_INDEX};

		memcpy(&pi.ipi6_addr, p->dst.ip.b, sizeof(pi.ipi6_addr));
		sockmsg_put(m, c, SOL_IPV6, IPV6_PKTINFO, &pi, sizeof(pi));
	}
	if (v[IPO_V6_RECVORIGDST] && !p->err) {
		struct sockaddr_storage a = {0};
		u32 len = inet_addr_format(AF_INET6, &p->dst.ip, p->dst.port, 0, &a);

		sockmsg_put(m, c, SOL_IPV6, IPV6_ORIGDSTADDR, &a, len);
	}
	if (v[IPO_V6_OLD_PKTINFO]) {
		struct in6_pktinfo pi = {.ipi6_ifindex = LO_INDEX};

		memcpy(&pi.ipi6_addr, p->dst.ip.b, sizeof(pi.ipi6_addr));
		sockmsg_put(m, c, SOL_IPV6, IPV6_2292PKTINFO, &pi, sizeof(pi));
	}
	if (ip_is_v4(&p->dst.ip))
		return;
	if (v[IPO_V6_OLD_HOPLIMIT]) {
		n = p->ttl;
		sockmsg_put(m, c, SOL_IPV6, IPV6_2292HOPLIMIT, &n, sizeof(n));
	}
	if (v[IPO_V6_RECVHOPLIMIT]) {
		n = p->ttl;
		sockmsg_put(m, c, SOL_IPV6, IPV6_HOPLIMIT, &n, sizeof(n));
	}
	if (v[IPO_V6_RECVTCLASS]) {
		n = p->tos;
		sockmsg_put(m, c, SOL_IPV6, IPV6_TCLASS, &n, sizeof(n));
	}
}

static void put_control(struct udp_sock *u, struct ctx *c, struct sockmsg *m,
                        const struct packet *p)
{
	struct sock *sk = &u->inet.sk;

	if (sock_wants_stamp(sk))
		sockmsg_put_timestamp(m, c, sk, p->stamp);
	else
		WRITE_ONCE(u->stamp, p->stamp);
	if (sk->opts.rxq_ovfl && p->drops)
		sockmsg_put(m, c, SOL_SOCKET, SO_RXQ_OVFL, &p->drops, sizeof(p->drops));
	if (sk->family == AF_INET6)
		put_control6(u, c, m, p);
	if (ip_is_v4(&p->dst.ip))
		put_control4(u, c, m, p);
}

/* Of the ICMP message that an error came in. */
static void put_error_control(struct udp_sock *u, struct ctx *c, struct sockmsg *m,
                              const struct packet *p)
{
	struct packet icmp = {
		.src = p->dst,
		.dst = p->src,
		.ttl = 64,
		.tos = ip_is_v4(&p->dst.ip) ? 0xc0 | p->tos : 0,
		.stamp = p->stamp,
		.err = p->err,
	};

	if (p->local)
		return;
	if (sock_wants_stamp(&u->inet.sk))
		sockmsg_put_timestamp(m, c, &u->inet.sk, icmp.stamp);
	if (ip_is_v4(&p->dst.ip))
		put_control4(u, c, m, &icmp);
	else
		put_control6(u, c, m, &icmp);
}

static void put_name(struct udp_sock *u, struct sockmsg *m, const struct inet_addr *a)
{
	m->name_len =
		inet_addr_format(u->inet.sk.family, &a->ip,
	                         udp_is_ping(u) || udp_is_raw(u) ? 0 : a->port, LO_INDEX, &m->name);
}

/* recvmsg(MSG_ERRQUEUE): the datagram that an error was about, and the error. */
static long recv_error(struct udp_sock *u, struct ctx *c, struct sockmsg *m)
{
	struct sock *sk = &u->inet.sk;
	struct {
		struct sock_extended_err ee;
		struct sockaddr_storage from;
	} e = {0};
	struct packet *p, *next;
	u32 from_len;
	long r;
	bool v4;

	{
		GUARD(&sk->lock);
		p = STAILQ_FIRST(&u->errq);
		if (!p)
			return -EAGAIN;
		STAILQ_REMOVE_HEAD(&u->errq, link);
		u->err_charge -= packet_charge(p);
		/* Seen here, it is no longer pending; the next one is. */
		next = STAILQ_FIRST(&u->errq);
		if (!p->local || next)
			atomic_store(&sk->err, next && !next->local ? next->err : 0);
	}
	v4 = ip_is_v4(&p->dst.ip);
	r = (long)MIN(uiter_count(m->it), (u64)p->len);
	if (r < (long)p->len)
		m->out_flags |= MSG_TRUNC;
	if (r && uiter_copy_out(m->it, p->data, (size_t)r) != r)
		r = -EFAULT;
	put_name(u, m, &p->dst);
	m->out_flags |= MSG_ERRQUEUE;
	e.ee.ee_errno = (u32)p->err;
	e.ee.ee_info = p->info;
	if (p->local) {
		e.ee.ee_origin = SO_EE_ORIGIN_LOCAL;
		from_len = v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	} else {
		e.ee.ee_origin = v4 ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6;
		e.ee.ee_type = v4 ? 3 : 1;
		e.ee.ee_code = v4 ? 3 : 4;
		from_len = inet_addr_format(v4 ? AF_INET : AF_INET6, &p->dst.ip, 0, 0, &e.from);
	}
	put_error_control(u, c, m, p);
	sockmsg_put(m, c, v4 ? SOL_IP : SOL_IPV6, v4 ? IP_RECVERR : IPV6_RECVERR, &e,
	            sizeof(e.ee) + from_len);
	free(p);
	return r;
}

struct recv_op {
	struct udp_sock *u;
	struct sockmsg *m;
	struct packet *p; /* taken off */
	bool peeked;
	long len;    /* of the datagram */
	long copied; /* of what was looked at */
};

/* From skip on; a buffer that is smaller than the whole is too small. */
static long copy_packet(struct recv_op *op, const struct packet *p, u32 skip)
{
	u64 want = uiter_count(op->m->it), n = MIN(want, (u64)(p->len - skip));

	op->len = p->len;
	if (want < p->len - skip)
		op->m->out_flags |= MSG_TRUNC;
	return n && uiter_copy_out(op->m->it, p->data + skip, n) != (long)n ? -EFAULT : (long)n;
}

/* The one that a peek looks at, and where (SO_PEEK_OFF). sk->lock is held. */
static struct packet *pick(struct udp_sock *u, u32 *ret_skip)
{
	u32 off = (u32)MAX(u->inet.sk.opts.peek_off, 0);
	struct packet *p;

	STAILQ_FOREACH (p, &u->rxq, link) {
		if (u->inet.sk.opts.peek_off < 0 || off < p->len ||
		    (p->len == 0 && off == 0 && !p->peeked))
			break;
		off -= p->len;
	}
	*ret_skip = off;
	return p;
}

static long recv_step(void *arg)
{
	struct recv_op *op = arg;
	struct udp_sock *u = op->u;
	struct sock *sk = &u->inet.sk;
	bool peek = (op->m->flags & MSG_PEEK) != 0;
	struct packet *p;
	u32 skip = 0;
	int err = sock_take_error(sk);

	if (err)
		return err;
	GUARD(&sk->lock);
	p = peek ? pick(u, &skip) : STAILQ_FIRST(&u->rxq);
	if (!p) {
		if ((sock_shut(sk) & SOCK_RCV_CLOSED) && !(op->m->flags & MSG_DONTWAIT))
			return 1;
		return -EAGAIN;
	}
	if (!peek) {
		op->p = udp_dequeue(u);
		return 0;
	}
	/* Looked at under the lock; a copy of its head serves what follows. */
	op->p = packet_new(0);
	memcpy(op->p, p, sizeof(*p));
	op->peeked = p->peeked = true;
	op->copied = copy_packet(op, p, skip);
	return op->copied < 0 ? -EFAULT : 0;
}

long udp_recvmsg(struct sock *sk, struct ctx *c, struct sockmsg *m)
{
	struct udp_sock *u = udp_sk(sk);
	struct recv_op op = {.u = u, .m = m};
	long r;

	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (m->flags & MSG_ERRQUEUE)
		return recv_error(u, c, m);
	r = sock_block(c, &sk->rwait, sk->opts.rcvtimeo, (m->flags & MSG_DONTWAIT) != 0, recv_step,
	               &op);
	if (r < 0 || !op.p) {
		free(op.p);
		return r < 0 ? r : 0;
	}
	r = op.peeked ? op.copied : copy_packet(&op, op.p, 0);
	if (r >= 0) {
		put_name(u, m, &op.p->src);
		put_control(u, c, m, op.p);
		if (m->flags & MSG_TRUNC)
			r = op.len;
	}
	sock_moved(sk, op.peeked, r);
	free(op.p);
	return r;
}

u32 udp_poll(struct sock *sk, struct poll_table *pt)
{
	struct udp_sock *u = udp_sk(sk);
	u32 ev = READY_OUT | EPOLLWRBAND, shut;

	sock_poll_add(sk, pt);
	shut = sock_shut(sk);
	if (shut & SOCK_RCV_CLOSED)
		ev |= READY_IN | EPOLLRDHUP;
	if (shut == (SOCK_RCV_CLOSED | SOCK_SEND_CLOSED))
		ev |= EPOLLHUP;
	GUARD(&sk->lock);
	if (!STAILQ_EMPTY(&u->rxq))
		ev |= READY_IN;
	if (atomic_load(&sk->err) || !STAILQ_EMPTY(&u->errq))
		ev |= EPOLLERR | (sk->opts.select_err_queue ? EPOLLPRI : 0);
	return ev;
}

static long last_stamp(struct udp_sock *u, struct ctx *c, u32 cmd, uaddr_t arg)
{
	s64 ns = READ_ONCE(u->stamp);
	struct timespec ts = ns_timespec(ns);

	if (ns < 0)
		return -ENOENT;
	if (cmd == SIOCGSTAMP_OLD || cmd == SIOCGSTAMP_NEW)
		ts.tv_nsec /= 1000;
	/* struct timeval and struct timespec are two 64-bit numbers each. */
	return user_put(c, arg, &ts);
}

long udp_ioctl(struct sock *sk, struct ctx *c, u32 cmd, u64 arg)
{
	struct udp_sock *u = udp_sk(sk);
	u32 n = 0;

	switch (cmd) {
	case SIOCINQ: {
		GUARD(&sk->lock);
		if (!STAILQ_EMPTY(&u->rxq))
			n = STAILQ_FIRST(&u->rxq)->len;
		break;
	}
	case SIOCOUTQ:
		break;
	case SIOCGSTAMP_OLD:
	case SIOCGSTAMP_NEW:
	case SIOCGSTAMPNS_OLD:
	case SIOCGSTAMPNS_NEW:
		return last_stamp(u, c, cmd, UADDR(arg));
	default:
		return -ENOTTY;
	}
	return user_put_u32(c, UADDR(arg), n);
}
