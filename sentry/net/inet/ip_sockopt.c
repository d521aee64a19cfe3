/* Options of SOL_IP and SOL_IPV6 (ip(7), ipv6(7)). */
#include "sentry/auth/creds.h"
#include "sentry/net/inet/ip_member.h"
#include "sentry/net/inet/ports.h"
#include "sentry/net/inet/reuse.h"
#include "state/base/bug.h"
#include "state/base/cleanup.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>

/* What an IPv4 packet can be at most: less than lo would carry. */
#define IP_MTU_MOST 65535u

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
	if (!m.imr_ifindex && m.imr_address.s_addr == INADDR_ANY) {
		GUARD(&is->sk.lock);
		is->ip.mc_if = 0;
		is->ip.mc_addr = ip_any4;
		return 0;
	}
	if (!member_names_lo(is, (u32)m.imr_ifindex, m.imr_address.s_addr, NULL))
		return -EADDRNOTAVAIL;
	GUARD(&is->sk.lock);
	is->ip.mc_if = LO_INDEX;
	is->ip.mc_addr = ip_from_v4(m.imr_address.s_addr);
	return 0;
}

/* ---- set ---- */

/* Of linux/in6.h, which does not go with netinet/in.h. */
#define PREFER_TMP    0x1
#define PREFER_PUBLIC 0x2
#define PREFER_PUBTMP 0x100 /* as the system prefers */
#define PREFER_COA    0x4
#define PREFER_HOME   0x400
#define PREFER_CGA    0x8
#define PREFER_NONCGA 0x800

/* IPV6_ADDR_PREFERENCES (RFC 5014): one of each group at most. -EINVAL. */
static s32 preferences(s32 old, s32 v)
{
	s32 pub = v & (PREFER_TMP | PREFER_PUBLIC | PREFER_PUBTMP);
	s32 home = v & (PREFER_HOME | PREFER_COA);
	s32 cga = v & (PREFER_CGA | PREFER_NONCGA);

	if ((pub & (pub - 1)) || (home & (home - 1)) || (cga & (cga - 1)))
		return -EINVAL;
	if (pub)
		old = (old & ~(PREFER_TMP | PREFER_PUBLIC)) | (pub & ~PREFER_PUBTMP);
	if (home)
		old = (old & ~PREFER_COA) | (home & PREFER_COA);
	return old;
}

static int set_value(struct inet_sock *is, unsigned i, s32 v)
{
	const struct int_option *o = &options[i];

	if (i == IPO_V6_ADDR_PREF)
		v = preferences(is->ip.v[i], v);
	if (is_flag(i))
		v = v != 0;
	else if (i == IPO_TOS && is->sk.type == SOCK_STREAM)
		v = (v & 0xfc) | (is->ip.v[i] & 3); /* the rest is congestion's */
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

/* Other machines' addresses may be bound. */
static bool may_pretend(struct ctx *c)
{
	return creds_capable(c->creds, CAP_NET_RAW) || creds_capable(c->creds, CAP_NET_ADMIN);
}

int ip_setsockopt(struct inet_sock *is, struct ctx *c, int name, uaddr_t val, u32 len)
{
	s32 v = 0;
	u8 byte;
	int r, i;

	switch (name) {
	case IP_ADD_MEMBERSHIP:
	case IP_DROP_MEMBERSHIP:
	case IP_ADD_SOURCE_MEMBERSHIP:
	case IP_DROP_SOURCE_MEMBERSHIP:
	case IP_BLOCK_SOURCE:
	case IP_UNBLOCK_SOURCE:
	case IP_MSFILTER:
	case MCAST_JOIN_GROUP:
	case MCAST_LEAVE_GROUP:
	case MCAST_JOIN_SOURCE_GROUP:
	case MCAST_LEAVE_SOURCE_GROUP:
	case MCAST_BLOCK_SOURCE:
	case MCAST_UNBLOCK_SOURCE:
	case MCAST_MSFILTER:
		return member_setsockopt(is, c, name, val, len);
	case IP_MULTICAST_IF:
		return set_mc_if4(is, c, val, len);
	case IP_OPTIONS:
		return len == 0 ? 0 : -EINVAL;
	case IP_ROUTER_ALERT:
		return -EINVAL; /* of raw sockets alone, and a box that routes */
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
		                    i == IPO_MC_ALL || i == IPO_FREEBIND || i == IPO_TRANSPARENT
		            ? -EINVAL
		            : 0;
	}
	if (r < 0)
		return r;
	if (is->sk.type == SOCK_STREAM && (i == IPO_MC_TTL || i == IPO_RECVFRAGSIZE))
		return -EINVAL;
	if (i == IPO_HDRINCL && is->sk.type != SOCK_RAW)
		return -ENOPROTOOPT;
	if (i == IPO_TRANSPARENT && v && !may_pretend(c))
		return -EPERM;
	if (i == IPO_UNICAST_IF) {
		/* The index is in network order; all routes of lo lead to lo. */
		if (len != sizeof(v))
			return -EINVAL;
		v = (s32)ntohl((u32)v);
		if (v && v != LO_INDEX)
			return -EADDRNOTAVAIL;
	}
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
		return member6_setsockopt(is, c, name == IPV6_JOIN_GROUP, val, len);
	case MCAST_JOIN_GROUP:
	case MCAST_LEAVE_GROUP:
	case MCAST_JOIN_SOURCE_GROUP:
	case MCAST_LEAVE_SOURCE_GROUP:
	case MCAST_BLOCK_SOURCE:
	case MCAST_UNBLOCK_SOURCE:
	case MCAST_MSFILTER:
		return member_setsockopt(is, c, name, val, len);
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
	if (i == IPO_V6_TRANSPARENT && v && !may_pretend(c))
		return -EPERM;
	if (i == IPO_V6_UNICAST_IF) {
		v = (s32)ntohl((u32)v);
		if (len != sizeof(v) || (v && v != LO_INDEX))
			return len != sizeof(v) ? -EINVAL : -EADDRNOTAVAIL;
	}
	if (i == IPO_V6_TCLASS && stream && v > 0 && v < 256)
		v = (v & 0xfc) | (is->ip.v[i] & 3);
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

int inet_set_addrform(struct inet_sock *is, struct ctx *c, uaddr_t val, u32 len, bool connected)
{
	s32 v;
	int r = sockopt_get_int(c, val, len, &v);

	if (r < 0)
		return r;
	if (v != AF_INET)
		return -EINVAL;
	if (!connected)
		return -ENOTCONN;
	{
		GUARD_WRITE(&inet_ns_of(&is->sk)->lock);
		if (inet_v6only(is) || !ip_is_v4(&is->remote.ip))
			return -EADDRNOTAVAIL;
		is->sk.family = AF_INET;
		is->local.scope = is->remote.scope = 0;
	}
	GUARD(&is->sk.lock);
	for (u32 i = 0; i < is->ip.n_members; i++) {
		if (!ip_is_v4(&is->ip.members[i].group))
			mc_groups_leave(inet_ns_of(&is->sk), &is->ip.members[i].group);
	}
	inet_opts_leave6(&is->ip);
	return 0;
}

/* ---- get ---- */

static bool has_route(struct inet_sock *is)
{
	GUARD_READ(&inet_ns_of(&is->sk)->lock);
	return is->remote.port != 0;
}

/* Of a route, or of the interface that it leads to. */
s32 inet_path_mtu(struct inet_ns *ns, const struct ipaddr *dst)
{
	u32 mtu = fib_mtu(ns);
	struct fib_result res;

	if (fib_lookup(ns, dst, &res) == 0 && res.mtu)
		mtu = MIN(mtu, res.mtu);
	return (s32)(ip_is_v4(dst) ? MIN(mtu, IP_MTU_MOST) : mtu);
}

static s32 path_mtu(struct inet_sock *is)
{
	struct inet_ns *ns = inet_ns_of(&is->sk);

	GUARD_READ(&ns->lock);
	return inet_path_mtu(ns, &is->remote.ip);
}

static s32 shown(struct inet_sock *is, unsigned i)
{
	s32 v = is->ip.v[i];

	if (v == -1 && (i == IPO_TTL || i == IPO_V6_HOPS))
		return (s32)inet_ns_of(&is->sk)->default_ttl;
	if (i == IPO_UNICAST_IF || i == IPO_V6_UNICAST_IF)
		return (s32)htonl((u32)v);
	if (i == IPO_V6_ADDR_PREF) {
		if (!(v & (PREFER_TMP | PREFER_PUBLIC)))
			v |= PREFER_PUBTMP;
		return v & PREFER_COA ? v : v | PREFER_HOME;
	}
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
	case IP_MSFILTER:
	case MCAST_MSFILTER:
		return member_getsockopt(is, c, name, val, len);
	case IP_OPTIONS:
		return user_put_u32(c, len, 0);
	case IP_PKTOPTIONS: /* of a stream: what its last segment said, which said nothing */
		return is->sk.type == SOCK_STREAM ? user_put_u32(c, len, 0) : -ENOPROTOOPT;
	case IP_MTU:
		return has_route(is) ? sockopt_put_int(c, val, len, path_mtu(is)) : -ENOTCONN;
	case IP_ROUTER_ALERT: /* of raw sockets, which do not route either */
	case IP_NODEFRAG:
		return put_small(c, val, len, 0);
	default:
		break;
	}
	i = option_find(SOL_IP, name);
	return i < 0 ? i : put_small(c, val, len, shown(is, (unsigned)i));
}

static int get_pathmtu(struct inet_sock *is, struct ctx *c, uaddr_t val, uaddr_t ulen)
{
	struct ip6_mtuinfo info = {0};
	struct sockaddr_storage a = {0};
	u32 len;
	int r = user_get_u32(c, ulen, &len);

	if (r < 0)
		return r;
	if (len < sizeof(info))
		return -EINVAL;
	if (!has_route(is))
		return -ENOTCONN;
	info.ip6m_mtu = (u32)path_mtu(is);
	{
		GUARD_READ(&inet_ns_of(&is->sk)->lock);
		inet_addr_format(AF_INET6, &is->remote.ip, 0, 0, &a);
	}
	memcpy(&info.ip6m_addr, &a, sizeof(info.ip6m_addr));
	return sockopt_put(c, val, ulen, &info, sizeof(info));
}

int inet_get_addrform(struct inet_sock *is, struct ctx *c, uaddr_t val, uaddr_t len, bool connected)
{
	return connected ? sockopt_put_int(c, val, len, is->sk.family) : -ENOTCONN;
}

int ip6_getsockopt(struct inet_sock *is, struct ctx *c, int name, uaddr_t val, uaddr_t len)
{
	int i;

	switch (name) {
	case IPV6_MULTICAST_IF:
		return sockopt_put_int(c, val, len, (s32)is->ip.mc_if6);
	case MCAST_MSFILTER:
		return member_getsockopt(is, c, name, val, len);
	case IPV6_PATHMTU:
		return get_pathmtu(is, c, val, len);
	case IPV6_MTU:
		return has_route(is) ? sockopt_put_int(c, val, len, path_mtu(is)) : -ENOTCONN;
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
		return reuse_is_option(level, name)
		               ? reuse_setsockopt(inet_sk(sk), c, name, val, len)
		               : -SOCK_OPT_GENERIC;
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
