/* Sending datagrams, and who gets them. */
#include "sentry/net/filter.h"
#include "sentry/net/inet/reuse.h"
#include "sentry/net/inet/wire.h"
#include "state/base/bug.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

/* ---- delivery ---- */

static void count(struct inet_ns *ns, bool v6, enum inet_counter v4_which, u64 n)
{
	inet_count(ns, v6 ? (enum inet_counter)(v4_which + (INET_UDP6_IN - INET_UDP_IN)) : v4_which,
	           n);
}

/* A receiver of p's copy. */
static void deliver_to(struct udp_sock *to, struct packet *p)
{
	struct inet_ns *ns = inet_ns_of(&to->inet.sk);
	bool v6 = !ip_is_v4(&p->dst.ip);

	count(ns, v6, udp_enqueue(to, p) ? INET_UDP_IN : INET_UDP_RCVBUFERR, 1);
}

static struct packet *packet_copy(const struct packet *p)
{
	struct packet *n = packet_new(p->len);

	memcpy(n, p, sizeof(*p) + p->len);
	return n;
}

static bool takes_group(struct inet_sock *is, const struct ipaddr *group, const struct ipaddr *src)
{
	const struct mc_member *m;

	GUARD(&is->sk.lock);
	m = inet_opts_member(&is->ip, group);
	if (m)
		return mc_member_takes(m, src);
	return is->ip.v[ip_is_v4(group) ? IPO_MC_ALL : IPO_V6_MC_ALL] != 0;
}

#define FANOUT 64u

/* To everybody who listens. */
static void deliver_many(struct inet_ns *ns, struct packet *p)
{
	bool mcast = ip_is_multicast(&p->dst.ip);
	struct udp_sock *to[FANOUT];
	u32 n = 0, skip = 0, seen;
	struct inet_sock *is;

	do {
		n = seen = 0;
		rwlock_rdlock(&ns->lock);
		if (!mcast || mc_groups_joined(ns, &p->dst.ip)) {
			LIST_FOREACH (is, &port_bucket(ns, INET_UDP, p->dst.port)->socks, link) {
				if (port_score(is, &p->src, &p->dst) < 0 ||
				    (mcast && !takes_group(is, &p->dst.ip, &p->src.ip)))
					continue;
				if (seen++ < skip)
					continue;
				to[n++] = obj_get((struct udp_sock *)is);
				if (n == FANOUT)
					break;
			}
		}
		rwlock_unlock(&ns->lock);
		for (u32 i = 0; i < n; i++) {
			deliver_to(to[i], packet_copy(p));
			obj_put(to[i]);
		}
		skip += n;
	} while (n == FANOUT);
	free(p);
}

/* "Port unreachable" comes back. */
static void refused(struct udp_sock *from, struct packet *p)
{
	bool v4 = ip_is_v4(&p->dst.ip);
	bool recverr = from->inet.ip.v[v4 ? IPO_RECVERR : IPO_V6_RECVERR] != 0;

	if (!recverr && !from->connected) {
		free(p);
		return;
	}
	if (recverr) {
		p->err = ECONNREFUSED;
		udp_enqueue_error(from, p);
	} else {
		free(p);
	}
	sock_set_error(&from->inet.sk, ECONNREFUSED);
}

void udp_deliver(struct udp_sock *from, struct packet *p)
{
	struct inet_ns *ns = inet_ns_of(&from->inet.sk);
	bool v6 = !ip_is_v4(&p->dst.ip);

	count(ns, v6, INET_UDP_OUT, 1);
	if (fib_lost(ns, &p->dst.ip)) {
		free(p);
		return;
	}
	inet_count(ns, INET_LO_PACKETS, 1);
	inet_count(ns, INET_LO_BYTES, p->len + (v6 ? 48 : 28));
	raw_tap(ns, p, IPPROTO_UDP);
	if (!udp_input(ns, p))
		refused(from, p);
}

/* Of a group with a program, whom that chooses: it sees what follows the header of UDP. */
static struct inet_sock *choose_locked(struct inet_sock *best, const struct packet *p)
{
	u32 len = wire_size(p, IPPROTO_UDP);
	struct filter_packet fp = {
		.len = len,
		.start = wire_ip_header(p) + UDP_HEADER,
		.protocol = ip_is_v4(&p->dst.ip) ? ETH_P_IP : ETH_P_IPV6,
	};
	u8 *wire;

	if (!best->reuse || !best->reuse->prog)
		return best;
	wire = malloc(len);
	BUG_ON(!wire);
	wire_write(p, IPPROTO_UDP, wire);
	fp.bytes = wire;
	best = reuse_pick_locked(best, &fp);
	free(wire);
	return best;
}

bool udp_input(struct inet_ns *ns, struct packet *p)
{
	bool v6 = !ip_is_v4(&p->dst.ip);
	struct inet_sock *is;

	if (ip_is_multicast(&p->dst.ip) || fib_is_broadcast(ns, &p->dst.ip)) {
		deliver_many(ns, p);
		return true;
	}
	rwlock_rdlock(&ns->lock);
	is = port_receiver_locked(ns, INET_UDP, &p->src, &p->dst);
	if (is)
		is = obj_get(choose_locked(is, p));
	rwlock_unlock(&ns->lock);
	if (!is) {
		count(ns, v6, INET_UDP_NOPORTS, 1);
		return false;
	}
	deliver_to((struct udp_sock *)is, p);
	obj_put(is);
	return true;
}

/* ---- sending ---- */

int udp_autobind(struct udp_sock *u)
{
	struct inet_sock *is = &u->inet;
	struct inet_ns *ns = inet_ns_of(&is->sk);

	if (READ_ONCE(is->local.port))
		return 0;
	GUARD_WRITE(&ns->lock);
	if (is->local.port)
		return 0;
	return port_bind_locked(ns, is, &is->local.ip, 0) < 0 ? -EAGAIN : 0;
}

/* What a send's control messages ask for. */
int udp_control(struct udp_sock *u, struct ctx *c, const struct sockmsg *m, struct send_how *how)
{
	const struct cmsghdr *h;
	u32 off = 0;
	int r;

	while ((r = sockmsg_next(m, &off, &h)) == 1) {
		size_t n = cmsg_data_len(h);
		const void *d = cmsg_data(h);
		s32 v = 0;

		if (n >= sizeof(v))
			memcpy(&v, d, sizeof(v));
		if (h->cmsg_level == SOL_UDP) {
			if (h->cmsg_type != UDP_SEGMENT || n != sizeof(u16))
				return -EINVAL;
			how->segment = *(const u16 *)d;
		} else if (h->cmsg_level == SOL_IP) {
			if (h->cmsg_type == IP_PKTINFO && n == sizeof(struct in_pktinfo)) {
				const struct in_pktinfo *pi = d;

				if (pi->ipi_ifindex && pi->ipi_ifindex != LO_INDEX)
					return -ENODEV;
				if (pi->ipi_spec_dst.s_addr) {
					how->src.ip = ip_from_v4(pi->ipi_spec_dst.s_addr);
					how->has_src = true;
				}
			} else if (h->cmsg_type == IP_TTL && n == sizeof(v)) {
				if (v < 1 || v > 255)
					return -EINVAL;
				how->ttl = (u8)v;
			} else if (h->cmsg_type == IP_TOS && (n == sizeof(v) || n == 1)) {
				if (n == 1)
					v = *(const u8 *)d;
				if (v < 0 || v > 255)
					return -EINVAL;
				how->tos = (u8)v;
			} else {
				return -EINVAL;
			}
		} else if (h->cmsg_level == SOL_IPV6 && u->inet.sk.family == AF_INET6) {
			if (h->cmsg_type == IPV6_PKTINFO && n >= sizeof(struct in6_pktinfo)) {
				const struct in6_pktinfo *pi = d;
				struct ipaddr ip = ip_from_v6(&pi->ipi6_addr);

				if (pi->ipi6_ifindex && pi->ipi6_ifindex != LO_INDEX)
					return -ENODEV;
				if (!ip_is_any(&ip)) {
					how->src.ip = ip;
					how->has_src = true;
				}
			} else if (h->cmsg_type == IPV6_HOPLIMIT && n == sizeof(v)) {
				if (v < -1 || v > 255)
					return -EINVAL;
				how->ttl = v < 0 ? 64 : (u8)v;
			} else if (h->cmsg_type == IPV6_TCLASS && n == sizeof(v)) {
				if (v < -1 || v > 255)
					return -EINVAL;
				how->tos = v < 0 ? 0 : (u8)v;
			} else {
				return -EINVAL;
			}
		} else if (h->cmsg_level == SOL_SOCKET) {
			r = sockmsg_common(&u->inet.sk, c, h);
			if (r < 0)
				return r;
		}
	}
	if (r == 0 && how->has_src && !fib_is_local(inet_ns_of(&u->inet.sk), &how->src.ip))
		return -EINVAL;
	return r;
}

/* Where a datagram goes: the address given, or the peer. */
static int destination(struct udp_sock *u, const struct sockmsg *m, struct send_how *how)
{
	struct inet_sock *is = &u->inet;
	struct inet_ns *ns = inet_ns_of(&is->sk);
	u16 family = is->sk.family;
	int r;

	if (m->name_len == 0) {
		GUARD_READ(&ns->lock);
		if (!u->connected)
			return -EDESTADDRREQ;
		how->dst = is->remote;
		return inet_destination(is, &how->dst);
	}
	if (m->name_len < sizeof(sa_family_t))
		return -EINVAL;
	/* A dual-stack socket takes IPv4 addresses as they are. */
	if (family == AF_INET6 && m->name.ss_family == AF_INET) {
		if (inet_v6only(is))
			return -ENETUNREACH;
		family = AF_INET;
	} else if (family == AF_INET6 && m->name.ss_family == AF_UNSPEC) {
		GUARD_READ(&ns->lock);
		if (!u->connected)
			return -EDESTADDRREQ;
		how->dst = is->remote;
		return 0;
	}
	r = inet_addr_parse(family, &m->name, m->name_len, &how->dst);
	if (r < 0)
		return r == -EAFNOSUPPORT && family == AF_INET6 ? -EINVAL : r;
	if (how->dst.port == 0)
		return -EINVAL;
	return inet_destination(is, &how->dst);
}

/* IP_MULTICAST_IF named an address. */
static bool multicast_source(const struct inet_sock *is, const struct ipaddr *dst)
{
	return ip_is_v4(dst) && ip_is_multicast(dst) && !ip_is_any(&is->ip.mc_addr);
}

static int set_source(struct udp_sock *u, struct send_how *how)
{
	struct inet_sock *is = &u->inet;
	struct inet_ns *ns = inet_ns_of(&is->sk);
	bool v4 = ip_is_v4(&how->dst.ip);
	int r = udp_autobind(u);

	if (r < 0)
		return r;
	GUARD_READ(&ns->lock);
	if (!how->has_src) {
		how->src.ip = is->local.ip;
		if (ip_is_any(&how->src.ip) || ip_is_multicast(&how->src.ip) ||
		    fib_is_broadcast(ns, &how->src.ip) || ip_is_v4(&how->src.ip) != v4)
			how->src.ip = multicast_source(is, &how->dst.ip)
			                      ? is->ip.mc_addr
			                      : fib_source_for(ns, &how->dst.ip);
	}
	how->src.port = is->local.port;
	return 0;
}

static void defaults(struct udp_sock *u, struct send_how *how)
{
	const struct inet_opts *o = &u->inet.ip;
	bool v4 = ip_is_v4(&how->dst.ip), mc = ip_is_multicast(&how->dst.ip);
	s32 ttl = o->v[v4 ? (mc ? IPO_MC_TTL : IPO_TTL) : (mc ? IPO_V6_MC_HOPS : IPO_V6_HOPS)];

	how->ttl = (u8)(ttl < 0 ? (s32)inet_ns_of(&u->inet.sk)->default_ttl : ttl);
	how->tos = (u8)o->v[v4 ? IPO_TOS : IPO_V6_TCLASS];
	how->segment = (u32)u->v[UDPO_SEGMENT];
}

static void send_bytes(struct udp_sock *u, const struct send_how *how, const u8 *data, u32 len,
                       s64 now)
{
	struct packet *p = packet_new(len);

	if (len)
		memcpy(p->data, data, len);
	p->src = how->src;
	p->dst = how->dst;
	p->ttl = how->ttl;
	p->tos = how->tos;
	p->stamp = now;
	udp_deliver(u, p);
}

/* A datagram to dst is too long for any packet: who asked for errors is told how much goes. */
static long too_long(struct udp_sock *u, const struct send_how *how)
{
	struct packet *p;

	if (ip_is_v4(&how->dst.ip) || !u->inet.ip.v[IPO_V6_RECVERR])
		return -EMSGSIZE;
	p = packet_new(0);
	p->dst = how->dst;
	p->err = EMSGSIZE;
	p->local = true;
	p->info = LO_MTU;
	udp_enqueue_error(u, p);
	return -EMSGSIZE;
}

/* One datagram, or as many as UDP_SEGMENT cuts it into. */
static long send_cut(struct udp_sock *u, const struct send_how *how, const u8 *data, u32 len,
                     s64 now)
{
	u32 most = ip_is_v4(&how->dst.ip) ? UDP_MAX : UDP_MAX + 20;
	u32 seg = how->segment;

	if (!seg || seg >= len) {
		if (len > most)
			return too_long(u, how);
		send_bytes(u, how, data, len, now);
		return len;
	}
	if (seg > most || (len + seg - 1) / seg > 64)
		return -EINVAL;
	for (u32 off = 0; off < len; off += seg)
		send_bytes(u, how, data + off, MIN(seg, len - off), now);
	return len;
}

/* Appends to what is corked; the last part sends all of it. */
static long send_corked(struct udp_sock *u, struct ctx *c, struct sockmsg *m,
                        const struct send_how *how, bool more)
{
	u32 n = (u32)uiter_count(m->it);
	long r = 0;
	u8 *grown;

	mutex_lock(&u->inet.sk.lock);
	if (!u->corked) {
		u->corked = true;
		u->cork_dst = how->dst;
		u->cork_len = 0;
	}
	if (u->cork_len + n > UDP_MAX) {
		r = -EMSGSIZE;
	} else if (n) {
		grown = realloc(u->cork, u->cork_len + n);
		BUG_ON(!grown);
		u->cork = grown;
		r = uiter_copy_in(m->it, u->cork + u->cork_len, n);
		if (r == (long)n)
			u->cork_len += n;
		else
			r = -EFAULT;
	}
	mutex_unlock(&u->inet.sk.lock);
	if (r < 0 || more)
		return r;
	r = udp_uncork(u, c);
	return r < 0 ? r : n;
}

long udp_uncork(struct udp_sock *u, struct ctx *c)
{
	struct send_how how = {0};
	u8 *data;
	u32 len;
	long r;

	{
		GUARD(&u->inet.sk.lock);
		if (!u->corked)
			return 0;
		u->corked = false;
		how.dst = u->cork_dst;
		data = TAKE(u->cork);
		len = u->cork_len;
		u->cork_len = 0;
	}
	defaults(u, &how);
	r = set_source(u, &how);
	if (r == 0)
		r = send_cut(u, &how, data, len, sock_now(c));
	free(data);
	return r;
}

long udp_sendmsg(struct sock *sk, struct ctx *c, struct sockmsg *m)
{
	struct udp_sock *u = udp_sk(sk);
	struct send_how how = {0};
	bool more = (m->flags & MSG_MORE) || u->v[UDPO_CORK];
	u64 len = uiter_count(m->it);
	u8 small[2048], *data = small;
	long r;

	if (len > 0xffff && sk->family == AF_INET)
		return -EMSGSIZE;
	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (u->corked)
		return send_corked(u, c, m, &how, more);
	r = destination(u, m, &how);
	if (r < 0)
		return r;
	defaults(u, &how);
	r = udp_control(u, c, m, &how);
	if (r == 0 && fib_is_broadcast(inet_ns_of(sk), &how.dst.ip) && !sk->opts.broadcast)
		r = -EACCES;
	if (r == 0)
		r = set_source(u, &how);
	if (r == 0)
		r = sock_take_error(sk);
	if (r == 0 && (sock_shut(sk) & SOCK_SEND_CLOSED))
		r = -EPIPE;
	if (r < 0)
		return r;
	if (len > 0xffff)
		return too_long(u, &how);
	if (more)
		return send_corked(u, c, m, &how, true);
	if (len > sizeof(small)) {
		data = malloc(len);
		BUG_ON(!data);
	}
	r = len ? uiter_copy_in(m->it, data, len) : 0;
	r = r == (long)len ? send_cut(u, &how, data, (u32)len, sock_now(c)) : -EFAULT;
	if (data != small)
		free(data);
	return r;
}
