/* Options of SOL_IP and SOL_IPV6 (ip(7), ipv6(7)). */
#include "sentry/auth/creds.h"
#include "sentry/net/inet/inet.h"
#include "sentry/net/inet/ports.h"
#include "state/base/bug.h"
#include "state/base/cleanup.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>

/* What an IPv4 packet can be at most: less than lo would carry. */
#define IP_MTU_MOST 65535

static const struct int_option {
	s32 level, name;
	s32 lo, hi; /* lo > hi: on or off */
	s32 def;
} options[] = {
#define X(id, level, name, lo, hi, def) {SOL_##level, name, lo, hi, def},
	IP_INT_OPTIONS(X)
#undef X
};

static int option_find(int level, int name)
{
	for (unsigned i = 0; i < IPO_N; i++) {
		if (options[i].level == level && options[i].name == name)
			return (int)i;
	}
	return -ENOPROTOOPT;
}

static bool is_flag(unsigned i)
{
	return options[i].lo == -1 && options[i].hi == 0;
}

/* ---- memberships ---- */

static int member_add(struct inet_sock *is, const struct ipaddr *group)
{
	struct mc_member *m;

	GUARD(&is->sk.lock);
	if (inet_opts_member(&is->ip, group))
		return -EADDRINUSE;
	if (is->ip.n_members >= MC_MAX)
		return -ENOBUFS;
	m = realloc(is->ip.members, (is->ip.n_members + 1) * sizeof(*m));
	BUG_ON(!m);
	m[is->ip.n_members++].group = *group;
	is->ip.members = m;
	return 0;
}

static int member_drop(struct inet_sock *is, const struct ipaddr *group)
{
	struct inet_opts *o = &is->ip;

	GUARD(&is->sk.lock);
	for (u32 i = 0; i < o->n_members; i++) {
		if (!ip_equal(&o->members[i].group, group))
			continue;
		memmove(&o->members[i], &o->members[i + 1],
		        (--o->n_members - i) * sizeof(*o->members));
		return 0;
	}
	return -EADDRNOTAVAIL;
}

/* The interface that an IPv4 request names by index or address: there is only lo, and no route for
 * a request that leaves the choice to routing. */
static bool names_lo(u32 ifindex, u32 addr)
{
	struct ipaddr ip = ip_from_v4(addr);

	return ifindex ? ifindex == LO_INDEX : addr != INADDR_ANY && ip_is_local(&ip);
}

static int membership4(struct inet_sock *is, struct ctx *c, bool add, uaddr_t val, u32 len)
{
	struct ip_mreqn m = {0};
	struct ipaddr group;
	int r;

	if (is->sk.type == SOCK_STREAM)
		return -EPROTO;
	if (len < sizeof(struct ip_mreq))
		return -EINVAL;
	r = user_copy_in(c, &m, val, MIN(len, (u32)sizeof(m)));
	if (r < 0)
		return r;
	group = ip_from_v4(m.imr_multiaddr.s_addr);
	if (!ip_is_multicast(&group))
		return add ? -EINVAL : -EADDRNOTAVAIL;
	if (!names_lo((u32)m.imr_ifindex, m.imr_address.s_addr)) {
		if (add || m.imr_ifindex || m.imr_address.s_addr)
			return -ENODEV;
	}
	return add ? member_add(is, &group) : member_drop(is, &group);
}

static int membership6(struct inet_sock *is, struct ctx *c, bool add, uaddr_t val, u32 len)
{
	struct ipv6_mreq m;
	struct ipaddr group;
	int r;

	if (is->sk.type == SOCK_STREAM)
		return -EPROTO;
	if (len < sizeof(m))
		return -EINVAL;
	r = user_get(c, val, &m);
	if (r < 0)
		return r;
	group = ip_from_v6(&m.ipv6mr_multiaddr);
	if (!ip_is_multicast(&group) || ip_is_v4(&group))
		return add ? -EINVAL : -EADDRNOTAVAIL;
	if (m.ipv6mr_interface != LO_INDEX && (add || m.ipv6mr_interface))
		return -ENODEV;
	return add ? member_add(is, &group) : member_drop(is, &group);
}

/* MCAST_JOIN_GROUP, MCAST_LEAVE_GROUP (RFC 3678). */
static int membership_any(struct inet_sock *is, struct ctx *c, bool add, uaddr_t val, u32 len)
{
	struct group_req g;
	struct inet_addr a;
	int r;

	if (is->sk.type == SOCK_STREAM)
		return -EPROTO;
	if (len < sizeof(g))
		return -EINVAL;
	r = user_get(c, val, &g);
	if (r < 0)
		return r;
	r = inet_addr_parse(g.gr_group.ss_family == AF_INET ? AF_INET : AF_INET6, &g.gr_group,
	                    sizeof(g.gr_group), &a);
	if (r < 0 || !ip_is_multicast(&a.ip))
		return -EINVAL;
	if (g.gr_interface != LO_INDEX)
		return -ENODEV;
	return add ? member_add(is, &a.ip) : member_drop(is, &a.ip);
}

static int set_mc_if4(struct inet_sock *is, struct ctx *c, uaddr_t val, u32 len)
{
	struct ip_mreqn m = {0};
	int r;

	if (is->sk.type == SOCK_STREAM)
		return -EINVAL;
	if (len < sizeof(struct in_addr))
		return -EINVAL;
	if (len >= sizeof(struct ip_mreq))
		r = user_copy_in(c, &m, val, MIN(len, (u32)sizeof(m)));
	else
		r = user_copy_in(c, &m.imr_address, val, sizeof(m.imr_address));
	if (r < 0)
		return r;
	GUARD(&is->sk.lock);
	if (!m.imr_ifindex && m.imr_address.s_addr == INADDR_ANY) {
		is->ip.mc_if = 0;
		is->ip.mc_addr = ip_any4;
		return 0;
	}
	if (!names_lo((u32)m.imr_ifindex, m.imr_address.s_addr))
		return -EADDRNOTAVAIL;
	is->ip.mc_if = LO_INDEX;
	is->ip.mc_addr = ip_from_v4(m.imr_address.s_addr);
	return 0;
}

/* ---- set ---- */

static int set_value(struct inet_sock *is, unsigned i, s32 v)
{
	const struct int_option *o = &options[i];

	if (is_flag(i))
		v = v != 0;
	else if (i == IPO_TOS)
		v &= 0xff;
	else if ((i == IPO_TTL || i == IPO_MC_TTL) && v == -1)
		v = o->def;
	else if (i == IPO_V6_MC_HOPS && v == -1)
		v = 1;
	else if (i == IPO_V6_TCLASS && v == -1)
		v = 0;
	else if (v < o->lo || v > o->hi)
		return -EINVAL;
	GUARD(&is->sk.lock);
	is->ip.v[i] = v;
	return 0;
}

int ip_setsockopt(struct inet_sock *is, struct ctx *c, int name, uaddr_t val, u32 len)
{
	s32 v = 0;
	u8 byte;
	int r, i;

	switch (name) {
	case IP_ADD_MEMBERSHIP:
	case IP_DROP_MEMBERSHIP:
		return membership4(is, c, name == IP_ADD_MEMBERSHIP, val, len);
	case MCAST_JOIN_GROUP:
	case MCAST_LEAVE_GROUP:
		return membership_any(is, c, name == MCAST_JOIN_GROUP, val, len);
	case IP_MULTICAST_IF:
		return set_mc_if4(is, c, val, len);
	case IP_OPTIONS:
		return len == 0 ? 0 : -EINVAL;
	case IP_TRANSPARENT:
		if (!creds_capable(c->creds, CAP_NET_RAW) &&
		    !creds_capable(c->creds, CAP_NET_ADMIN))
			return -EPERM;
		return -ENOPROTOOPT;
	default:
		break;
	}
	i = option_find(SOL_IP, name);
	if (i < 0)
		return i;
	if (len >= sizeof(v)) {
		r = user_get(c, val, &v);
	} else if (len >= 1) {
		r = user_get(c, val, &byte);
		if (r == 0)
			v = byte;
	} else {
		/* A value of no length is 0, which is none for these. */
		r = i == IPO_TTL || i == IPO_MINTTL || i == IPO_MC_TTL || i == IPO_MC_LOOP ||
		                    i == IPO_MC_ALL
		            ? -EINVAL
		            : 0;
	}
	if (r < 0)
		return r;
	if (is->sk.type == SOCK_STREAM && i == IPO_MC_TTL)
		return -EINVAL;
	return set_value(is, (unsigned)i, v);
}

int ip6_setsockopt(struct inet_sock *is, struct ctx *c, int name, uaddr_t val, u32 len)
{
	bool stream = is->sk.type == SOCK_STREAM;
	s32 v;
	int r, i;

	switch (name) {
	case IPV6_JOIN_GROUP:
	case IPV6_LEAVE_GROUP:
		return membership6(is, c, name == IPV6_JOIN_GROUP, val, len);
	case MCAST_JOIN_GROUP:
	case MCAST_LEAVE_GROUP:
		return membership_any(is, c, name == MCAST_JOIN_GROUP, val, len);
	default:
		break;
	}
	i = option_find(SOL_IPV6, name);
	if (i < 0 && name != IPV6_MULTICAST_IF && name != IPV6_MTU)
		return i;
	if (len < sizeof(v))
		return -EINVAL;
	r = user_get(c, val, &v);
	if (r < 0)
		return r;
	if (stream && (name == IPV6_MULTICAST_IF || i == IPO_V6_MC_HOPS))
		return -ENOPROTOOPT;
	if (name == IPV6_MTU)
		return v && v < 1280 ? -EINVAL : 0;
	if (name == IPV6_MULTICAST_IF) {
		if (v && v != LO_INDEX)
			return -ENODEV;
		GUARD(&is->sk.lock);
		is->ip.mc_if6 = (u32)v;
		return 0;
	}
	if (i == IPO_V6_V6ONLY) {
		GUARD_WRITE(&inet_ns_of(&is->sk)->lock);
		if (is->local.port)
			return -EINVAL;
		is->ip.v[i] = v != 0;
		return 0;
	}
	return set_value(is, (unsigned)i, v);
}

/* ---- get ---- */

static bool has_route(struct inet_sock *is)
{
	GUARD_READ(&inet_ns_of(&is->sk)->lock);
	return is->remote.port != 0;
}

static s32 shown(struct inet_sock *is, unsigned i)
{
	s32 v = is->ip.v[i];

	if (v == -1 && (i == IPO_TTL || i == IPO_V6_HOPS))
		return (s32)inet_ns_of(&is->sk)->default_ttl;
	return v;
}

/* SOL_IP gives a byte where only that is asked for. */
static int put_small(struct ctx *c, uaddr_t val, uaddr_t ulen, s32 v)
{
	u32 len;
	u8 byte = (u8)v;
	int r = user_get_u32(c, ulen, &len);

	if (r < 0)
		return r;
	if (len > 0 && len < sizeof(v) && v >= 0 && v <= 255) {
		r = user_put_u32(c, ulen, 1);
		return r < 0 ? r : user_put(c, val, &byte);
	}
	return sockopt_put_int(c, val, ulen, v);
}

int ip_getsockopt(struct inet_sock *is, struct ctx *c, int name, uaddr_t val, uaddr_t len)
{
	int i;

	switch (name) {
	case IP_MULTICAST_IF: {
		u32 addr = ip_v4(&is->ip.mc_addr);

		return sockopt_put(c, val, len, &addr, sizeof(addr));
	}
	case IP_OPTIONS:
		return user_put_u32(c, len, 0);
	case IP_MTU:
		return has_route(is) ? sockopt_put_int(c, val, len, IP_MTU_MOST) : -ENOTCONN;
	case IP_TRANSPARENT:
		return put_small(c, val, len, 0);
	default:
		break;
	}
	i = option_find(SOL_IP, name);
	return i < 0 ? i : put_small(c, val, len, shown(is, (unsigned)i));
}

int ip6_getsockopt(struct inet_sock *is, struct ctx *c, int name, uaddr_t val, uaddr_t len)
{
	int i;

	switch (name) {
	case IPV6_MULTICAST_IF:
		return sockopt_put_int(c, val, len, (s32)is->ip.mc_if6);
	case IPV6_MTU:
		return has_route(is) ? sockopt_put_int(c, val, len, LO_MTU) : -ENOTCONN;
	default:
		break;
	}
	i = option_find(SOL_IPV6, name);
	return i < 0 ? i : sockopt_put_int(c, val, len, shown(is, (unsigned)i));
}

int inet_setsockopt(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val, u32 len)
{
	switch (level) {
	case SOL_SOCKET:
		return -SOCK_OPT_GENERIC;
	case SOL_IP:
		return ip_setsockopt(inet_sk(sk), c, name, val, len);
	case SOL_IPV6:
		if (sk->family == AF_INET6)
			return ip6_setsockopt(inet_sk(sk), c, name, val, len);
		return -ENOPROTOOPT;
	default:
		return -ENOPROTOOPT;
	}
}

int inet_getsockopt(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val, uaddr_t len)
{
	switch (level) {
	case SOL_SOCKET:
		return -SOCK_OPT_GENERIC;
	case SOL_IP:
		return ip_getsockopt(inet_sk(sk), c, name, val, len);
	case SOL_IPV6:
		if (sk->family == AF_INET6)
			return ip6_getsockopt(inet_sk(sk), c, name, val, len);
		FALLTHROUGH;
	default:
		return sk->family == AF_INET6 ? -ENOPROTOOPT : -EOPNOTSUPP;
	}
}
