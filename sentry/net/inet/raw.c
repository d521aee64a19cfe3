/*
 * Raw sockets (raw(7)): whole packets of one protocol. They see datagrams and ICMP messages that
 * others send, as they would be on a wire; of TCP there are none to see.
 */
#include "sentry/net/inet/wire.h"
#include "state/base/bug.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#define SOL_RAW_      255
#define ICMP_FILTER_  1 /* linux/icmp.h does not go with netinet/ip_icmp.h */
#define IP6_CHECKSUM_ 7

int raw_create(struct ctx *c, u16 family, int protocol, struct sock **ret)
{
	struct inet_sock *is;
	struct inet_ns *ns;
	int r = udp_create(c, family, (u16)protocol, ret);

	if (r < 0)
		return r;
	is = inet_sk(*ret);
	ns = inet_ns_of(*ret);
	is->sk.type = SOCK_RAW;
	is->ip.v[IPO_HDRINCL] = protocol == IPPROTO_RAW;
	is->bound_port = true;
	GUARD_WRITE(&ns->lock);
	is->local.port = (u16)protocol;
	port_add_locked(ns, is);
	atomic_fetch_add(&ns->n_raw, 1);
	return 0;
}

/* ---- receiving ---- */

static bool wants_type(const struct udp_sock *u, u8 type)
{
	if (u->inet.sk.protocol == IPPROTO_ICMP)
		return type >= 32 || !(u->icmp_filter[0] & 1u << type);
	if (u->inet.sk.protocol == IPPROTO_ICMPV6)
		return !(u->icmp_filter[type >> 5] & 1u << (type & 31));
	return true;
}

static bool matches(struct inet_sock *is, const struct packet *p, u8 proto)
{
	struct udp_sock *u = (struct udp_sock *)is;
	bool v4 = ip_is_v4(&p->dst.ip);

	if (is->local.port != proto || (is->sk.family == AF_INET) != v4)
		return false;
	if (!ip_is_any(&is->local.ip) && !ip_is_multicast(&p->dst.ip) &&
	    !ip_equal(&is->local.ip, &p->dst.ip))
		return false;
	if (u->connected && !ip_equal(&is->remote.ip, &p->src.ip))
		return false;
	return p->len == 0 || wants_type(u, p->data[0]);
}

/* What a socket of IPv4 gets begins with the IP header, of IPv6 after it. */
static struct packet *whole(const struct packet *p, u8 proto)
{
	u32 skip = ip_is_v4(&p->dst.ip) ? 0 : IP6_HEADER, len = wire_size(p, proto);
	struct packet *n = packet_new(len);

	wire_write(p, proto, n->data);
	if (skip)
		memmove(n->data, n->data + skip, len - skip);
	n->len = len - skip;
	n->src = p->src;
	n->dst = p->dst;
	n->ttl = p->ttl;
	n->tos = p->tos;
	n->stamp = p->stamp;
	return n;
}

/* Who asked for checksums gets what has right ones. */
static bool sum_holds(const struct udp_sock *u, const struct packet *w, u8 proto)
{
	if (u->inet.sk.family == AF_INET || READ_ONCE(u->csum_at) < 0)
		return true;
	return wire_sum_end(wire_sum(w->data, w->len,
	                             wire_pseudo(&w->src.ip, &w->dst.ip, proto, w->len))) == 0;
}

#define FANOUT 64u

void raw_tap(struct inet_ns *ns, const struct packet *p, u8 proto)
{
	struct udp_sock *to[FANOUT];
	struct inet_sock *is;
	u32 n = 0;

	if (likely(atomic_load_explicit(&ns->n_raw, memory_order_relaxed) == 0))
		return;
	rwlock_rdlock(&ns->lock);
	LIST_FOREACH (is, &port_bucket(ns, INET_RAW, proto)->socks, link) {
		if (n < FANOUT && matches(is, p, proto))
			to[n++] = obj_get((struct udp_sock *)is);
	}
	rwlock_unlock(&ns->lock);
	for (u32 i = 0; i < n; i++) {
		struct packet *w = whole(p, proto);

		if (sum_holds(to[i], w, proto))
			udp_enqueue(to[i], w);
		else
			free(w);
		obj_put(to[i]);
	}
}

/* ---- sending ---- */

/* A UDP header and its data, made by a program. */
static void udp_from_bytes(struct inet_ns *ns, struct packet *p)
{
	struct udphdr h;
	u32 len, sum;

	p->framed = true;
	raw_tap(ns, p, IPPROTO_UDP);
	p->framed = false;
	if (p->len < UDP_HEADER) {
		free(p);
		return;
	}
	memcpy(&h, p->data, sizeof(h));
	len = ntohs(h.len);
	sum = wire_pseudo(&p->src.ip, &p->dst.ip, IPPROTO_UDP, len);
	if (len < UDP_HEADER || len > p->len ||
	    (h.check && wire_sum_end(wire_sum(p->data, len, sum)) != 0)) {
		free(p);
		return;
	}
	p->src.port = ntohs(h.source);
	p->dst.port = ntohs(h.dest);
	p->len = len - UDP_HEADER;
	memmove(p->data, p->data + UDP_HEADER, p->len);
	if (!udp_input(ns, p))
		free(p);
}

/* The packet is on lo, and so at its destination. */
static void arrives(struct inet_ns *ns, struct packet *p, u8 proto)
{
	bool v4 = ip_is_v4(&p->dst.ip);

	if (fib_lost(ns, &p->dst.ip)) {
		free(p);
		return;
	}
	if (proto == (v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
		icmp_input(ns, p);
		return;
	}
	inet_count(ns, INET_LO_PACKETS, 1);
	inet_count(ns, INET_LO_BYTES, wire_ip_header(p) + p->len);
	if (proto == IPPROTO_UDP) {
		udp_from_bytes(ns, p);
		return;
	}
	raw_tap(ns, p, proto);
	free(p);
}

/* Takes the header that a program made off p. -EINVAL: it is none. */
static int take_header(struct packet *p, u8 *ret_proto)
{
	struct iphdr h;
	u32 head;

	if (p->len < sizeof(h))
		return -EINVAL;
	memcpy(&h, p->data, sizeof(h));
	head = h.ihl * 4u;
	if (head < sizeof(h) || head > p->len)
		return -EINVAL;
	if (h.saddr)
		p->src.ip = ip_from_v4(h.saddr);
	p->dst.ip = ip_from_v4(h.daddr);
	p->ttl = h.ttl;
	p->tos = h.tos;
	p->len -= head;
	memmove(p->data, p->data + head, p->len);
	*ret_proto = h.protocol;
	return 0;
}

/* The same of IPv6. */
static int take_header6(struct packet *p, u8 *ret_proto)
{
	if (p->len < IP6_HEADER)
		return -EINVAL;
	memcpy(p->src.ip.b, p->data + 8, 16);
	memcpy(p->dst.ip.b, p->data + 24, 16);
	*ret_proto = p->data[6];
	p->ttl = p->data[7];
	p->len -= IP6_HEADER;
	memmove(p->data, p->data + IP6_HEADER, p->len);
	return 0;
}

static int destination(struct udp_sock *u, const struct sockmsg *m, struct inet_addr *dst)
{
	struct inet_sock *is = &u->inet;
	int r;

	if (m->name_len == 0) {
		GUARD_READ(&inet_ns_of(&is->sk)->lock);
		*dst = is->remote;
		return u->connected ? 0 : -EDESTADDRREQ;
	}
	r = inet_addr_parse(is->sk.family, &m->name, m->name_len, dst);
	if (r < 0)
		return r;
	if (is->sk.family == AF_INET6) {
		if (dst->port && dst->port != is->sk.protocol && is->sk.protocol != IPPROTO_RAW)
			return -EINVAL;
		if (ip_is_v4(&dst->ip))
			return -EINVAL;
	}
	return inet_destination(is, dst);
}

/* Where the kernel sums (RFC 3542): ICMPv6 always. */
static s32 checksum_at(const struct udp_sock *u)
{
	return u->inet.sk.protocol == IPPROTO_ICMPV6 ? 2 : READ_ONCE(u->csum_at);
}

/* -EINVAL: there is no room for that. */
static int sum_up(struct packet *p, u8 proto, u32 at)
{
	u16 check = 0;

	if (at + sizeof(check) > p->len)
		return -EINVAL;
	memcpy(p->data + at, &check, sizeof(check));
	check = wire_sum_end(
		wire_sum(p->data, p->len, wire_pseudo(&p->src.ip, &p->dst.ip, proto, p->len)));
	memcpy(p->data + at, &check, sizeof(check));
	return 0;
}

static int fill(struct udp_sock *u, struct packet *p, u8 *ret_proto)
{
	bool v6 = u->inet.sk.family == AF_INET6;

	*ret_proto = (u8)u->inet.sk.protocol;
	if (u->inet.ip.v[IPO_HDRINCL])
		return v6 ? take_header6(p, ret_proto) : take_header(p, ret_proto);
	return v6 && checksum_at(u) >= 0 ? sum_up(p, *ret_proto, (u32)checksum_at(u)) : 0;
}

long raw_sendmsg(struct sock *sk, struct ctx *c, struct sockmsg *m)
{
	struct udp_sock *u = udp_sk(sk);
	const struct inet_opts *o = &u->inet.ip;
	bool v6 = sk->family == AF_INET6, header = o->v[IPO_HDRINCL] != 0;
	u64 len = uiter_count(m->it);
	struct send_how how = {.tos = (u8)o->v[v6 ? IPO_V6_TCLASS : IPO_TOS]};
	s32 ttl = o->v[v6 ? IPO_V6_HOPS : IPO_TTL];
	struct packet *p;
	u8 proto;
	long r;

	if (len > (header ? LO_MTU : 0xffff - (v6 ? 0 : IP4_HEADER)))
		return -EMSGSIZE;
	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	how.ttl = (u8)(ttl < 0 ? (s32)inet_ns_of(sk)->default_ttl : ttl);
	r = destination(u, m, &how.dst);
	if (r == 0)
		r = udp_control(u, c, m, &how);
	if (r == 0 && fib_is_broadcast(inet_ns_of(sk), &how.dst.ip) && !sk->opts.broadcast)
		r = -EACCES;
	if (r == 0)
		r = sock_take_error(sk);
	if (r < 0)
		return r;
	p = packet_new((u32)len);
	p->stamp = sock_now(c);
	p->ttl = how.ttl;
	p->tos = how.tos;
	p->dst.ip = how.dst.ip;
	{
		GUARD_READ(&inet_ns_of(sk)->lock);
		p->src.ip = u->inet.local.ip;
	}
	if (how.has_src)
		p->src.ip = how.src.ip;
	else if (ip_is_any(&p->src.ip) || ip_is_multicast(&p->src.ip))
		p->src.ip = fib_source_for(inet_ns_of(sk), &p->dst.ip);
	if (len && uiter_copy_in(m->it, p->data, len) != (long)len)
		r = -EFAULT;
	else
		r = fill(u, p, &proto);
	if (r < 0) {
		free(p);
		return r;
	}
	arrives(inet_ns_of(sk), p, proto);
	return (long)len;
}

/* ---- options ---- */

/* Where the filter of ICMP types is: its level, and how large; 0: the option is another. */
static u32 filter_size(const struct sock *sk, int level, int name)
{
	if (sk->family == AF_INET && level == SOL_RAW_ && name == ICMP_FILTER_)
		return sizeof(u32);
	if (sk->family == AF_INET6 && level == IPPROTO_ICMPV6 && name == ICMP6_FILTER)
		return sizeof(struct icmp6_filter);
	return 0;
}

static bool is_checksum(const struct sock *sk, int level, int name)
{
	return sk->family == AF_INET6 && (level == SOL_RAW_ || level == SOL_IPV6) &&
	       name == IP6_CHECKSUM_;
}

static bool is_icmp(const struct sock *sk)
{
	return sk->protocol == (sk->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

int raw_setsockopt(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val, u32 len)
{
	u32 size = filter_size(sk, level, name), filter[8];
	struct udp_sock *u = udp_sk(sk);
	int r;

	if (size == 0 && is_checksum(sk, level, name)) {
		s32 at;

		r = sockopt_get_int(c, val, len, &at);
		if (r < 0)
			return r;
		/* That of ICMPv6 is where it is. */
		if (is_icmp(sk) || (at > 0 && at % 2))
			return -EINVAL;
		WRITE_ONCE(u->csum_at, at < 0 ? -1 : at);
		return 0;
	}
	if (sk->family == AF_INET6 && level == SOL_IP)
		return -ENOPROTOOPT;
	if (size == 0)
		return inet_setsockopt(sk, c, level, name, val, len);
	if (!is_icmp(sk))
		return -EOPNOTSUPP;
	GUARD(&sk->lock);
	memcpy(filter, u->icmp_filter, sizeof(filter));
	r = user_copy_in(c, filter, val, MIN(len, size));
	if (r == 0)
		memcpy(u->icmp_filter, filter, sizeof(filter));
	return r;
}

int raw_getsockopt(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val, uaddr_t len)
{
	u32 size = filter_size(sk, level, name);

	if (size == 0 && is_checksum(sk, level, name))
		return sockopt_put_int(c, val, len, checksum_at(udp_sk(sk)));
	if (sk->family == AF_INET6 && level == SOL_IP)
		return -ENOPROTOOPT;
	if (size == 0)
		return inet_getsockopt(sk, c, level, name, val, len);
	return is_icmp(sk) ? sockopt_put(c, val, len, udp_sk(sk)->icmp_filter, size) : -EOPNOTSUPP;
}
