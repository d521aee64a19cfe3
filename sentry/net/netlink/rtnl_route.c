/* RTM_NEWROUTE and its kin: routes, and the rules that say which tables are asked. */
#include "sentry/net/netlink/rtnetlink.h"

#include "state/base/cleanup.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <string.h>

#define FIXED      sizeof(struct rtmsg)
#define METRIC6    1024u       /* of routes of IPv6 that say nothing of it */
#define FLAG_LOCAL 0x80000000u /* of a route of IPv4 that was looked up: Linux's RTCF_ bits */
#define FLAG_BCAST 0x10000000u
#define FLAG_MCAST 0x20000000u

static void put_limits(struct nl_reply *out, const u32 *limits)
{
	u32 at = out->len, n = 0;
	struct rtattr *a;

	for (u32 k = 1; k <= RTAX_MAX; k++)
		n += limits[k] != 0;
	if (n == 0)
		return;
	(void)nl_put(out, (u32)RTA_LENGTH(0));
	for (u16 k = 1; k <= RTAX_MAX; k++) {
		if (limits[k])
			nl_attr_u32(out, k, limits[k]);
	}
	a = (struct rtattr *)(void *)(out->data + at);
	a->rta_type = RTA_METRICS;
	a->rta_len = (u16)(out->len - at);
}

static void put_msg(struct nl_reply *out, const struct fib_route *r, u32 flags, u8 src_len)
{
	struct rtmsg *m = nl_put(out, sizeof(*m));

	m->rtm_family = (u8)r->family;
	m->rtm_dst_len = r->plen;
	m->rtm_src_len = src_len;
	m->rtm_tos = r->tos;
	m->rtm_table = r->table < 256 ? (u8)r->table : RT_TABLE_COMPAT;
	m->rtm_protocol = r->proto;
	m->rtm_scope = r->scope;
	m->rtm_type = r->type;
	m->rtm_flags = flags;
	nl_attr_u32(out, RTA_TABLE, r->table);
}

/* from: the answer for packets from there; NULL: any. */
static void fill(struct nl_reply *out, const struct fib_route *r, const struct ipaddr *from)
{
	struct rta_cacheinfo ci = {0};

	put_msg(out, r, 0, from ? 128 : 0);
	if (r->plen)
		rtnl_put_ip(out, RTA_DST, r->family, &r->dst);
	if (from)
		rtnl_put_ip(out, RTA_SRC, r->family, from);
	if (r->family == AF_INET) {
		if (r->metric)
			nl_attr_u32(out, RTA_PRIORITY, r->metric);
		put_limits(out, r->limits);
		if (r->has_src)
			rtnl_put_ip(out, RTA_PREFSRC, AF_INET, &r->src);
		if (r->has_via)
			rtnl_put_ip(out, RTA_GATEWAY, AF_INET, &r->via);
		if (r->dev)
			nl_attr_u32(out, RTA_OIF, LO_INDEX);
		return;
	}
	if (r->has_src)
		rtnl_put_ip(out, RTA_PREFSRC, AF_INET6, &r->src);
	put_limits(out, r->limits);
	nl_attr_u32(out, RTA_PRIORITY, r->metric);
	if (r->has_via)
		rtnl_put_ip(out, RTA_GATEWAY, AF_INET6, &r->via);
	nl_attr_u32(out, RTA_OIF, LO_INDEX);
	nl_attr(out, RTA_CACHEINFO, &ci, sizeof(ci));
	nl_attr_u8(out, RTA_PREF, 0);
}

void rtnl_fill_route(struct nl_reply *out, const struct fib_route *r)
{
	fill(out, r, NULL);
}

/* ---- looking up: "ip route get" ---- */

/* The group that every interface is in. */
static bool all_hosts(const struct ipaddr *a)
{
	return ip_v4(a) == htonl(INADDR_ALLHOSTS_GROUP);
}

static void put_found4(struct rtnl_request *q, const struct ipaddr *dst,
                       const struct fib_result *res)
{
	u32 at = rtnl_begin(q, RTM_NEWROUTE), limits[RTAX_MAX + 1] = {[RTAX_MTU] = res->mtu};
	/* Without rules of one's own, Linux keeps IPv4's local table in the main one. */
	struct fib_route r = {
		.family = AF_INET, .plen = 32, .type = res->type, .table = RT_TABLE_MAIN};
	u32 flags = RTM_F_CLONED | FLAG_LOCAL;
	struct rta_cacheinfo ci = {0};

	if (res->type == RTN_BROADCAST)
		flags |= FLAG_BCAST;
	else if (res->type == RTN_MULTICAST)
		flags = RTM_F_CLONED | FLAG_MCAST | (all_hosts(dst) ? FLAG_LOCAL : 0);
	put_msg(q->out, &r, flags, 0);
	rtnl_put_ip(q->out, RTA_DST, AF_INET, dst);
	nl_attr_u32(q->out, RTA_OIF, LO_INDEX);
	if (!ip_is_any(&res->src))
		rtnl_put_ip(q->out, RTA_PREFSRC, AF_INET, &res->src);
	if (res->has_via && !fib_is_local_locked(&rtnl_ns(q)->fib, &res->via))
		rtnl_put_ip(q->out, RTA_GATEWAY, AF_INET, &res->via);
	put_limits(q->out, limits);
	nl_attr_u32(q->out, RTA_UID, q->nl->sk.uid);
	nl_attr(q->out, RTA_CACHEINFO, &ci, sizeof(ci));
	nl_end(q->out, at);
}

static void put_found6(struct rtnl_request *q, const struct ipaddr *dst,
                       const struct fib_result *res, const struct fib_route *by)
{
	u32 at = rtnl_begin(q, RTM_NEWROUTE);
	struct fib_route r = *by;

	r.plen = 128;
	r.dst = *dst;
	r.has_src = true;
	r.src = res->src;
	fill(q->out, &r, &ip_any6);
	nl_end(q->out, at);
}

static int route_to(struct rtnl_request *q, const struct rtmsg *m)
{
	struct inet_ns *ns = rtnl_ns(q);
	struct fib_result res;
	struct ipaddr ip;
	bool there;
	int r;

	if (m->rtm_family != AF_INET && m->rtm_family != AF_INET6)
		return -EOPNOTSUPP;
	r = rtnl_ip(rtnl_find(q, FIXED, RTA_DST), m->rtm_family, &ip, &there);
	if (r < 0 || !there)
		return -EINVAL;
	if (ip_equal(&ip, &ip_any4)) {
		res = (struct fib_result){.type = RTN_LOCAL, .src = ip_loop4};
		put_found4(q, &ip, &res);
		return 0;
	}
	GUARD_READ(&ns->fib.lock);
	r = fib_lookup_locked(&ns->fib, &ip, &res);
	if (r < 0)
		return r == -EADDRNOTAVAIL ? -ENETUNREACH : r;
	if (m->rtm_family == AF_INET)
		put_found4(q, &ip, &res);
	else
		put_found6(q, &ip, &res, res.route);
	return 0;
}

int rtnl_get_route(struct rtnl_request *q)
{
	bool strict = (q->nl->flags & 1u << NETLINK_GET_STRICT_CHK) != 0;
	struct inet_ns *ns = rtnl_ns(q);
	struct rtmsg m;

	rtnl_body(q, &m, sizeof(m));
	if (!q->dump)
		return route_to(q, &m);
	GUARD_READ(&ns->fib.lock);
	for (u32 i = 0; i < ns->fib.n_routes; i++) {
		const struct fib_route *r = &ns->fib.routes[i];
		u32 at;

		if (m.rtm_family != AF_UNSPEC && m.rtm_family != r->family)
			continue;
		/* Only who asked for strict checking may choose. */
		if (strict && ((m.rtm_table && m.rtm_table != r->table) ||
		               (m.rtm_protocol && m.rtm_protocol != r->proto) ||
		               (m.rtm_type && m.rtm_type != r->type)))
			continue;
		at = rtnl_begin(q, RTM_NEWROUTE);
		rtnl_fill_route(q->out, r);
		nl_end(q->out, at);
	}
	return 0;
}

/* ---- changes ---- */

static bool is_error(u8 type)
{
	return type == RTN_BLACKHOLE || type == RTN_UNREACHABLE || type == RTN_PROHIBIT ||
	       type == RTN_THROW;
}

static int parse_limits(const struct rtattr *a, u32 *limits)
{
	if (!a)
		return 0;
	for (u16 k = 1; k <= RTAX_MAX; k++) {
		const struct rtattr *v = rtnl_nested(a, k);

		/* By name: there is one way to control congestion. */
		if (v && k == RTAX_CC_ALGO)
			return -EOPNOTSUPP;
		if (v && !rtnl_u32(v, &limits[k]))
			return -EINVAL;
	}
	return 0;
}

/* What a request says of a route. */
static int parse(const struct rtnl_request *q, const struct rtmsg *m, struct fib_route *r)
{
	/* One path, without encapsulation, that is not shared. */
	static const u16 others[] = {RTA_MULTIPATH, RTA_NH_ID, RTA_VIA,
	                             RTA_ENCAP,     RTA_SRC,   RTA_IIF};
	u32 oif = 0;
	bool dst;
	int e;

	*r = (struct fib_route){
		.family = m->rtm_family,
		.plen = m->rtm_dst_len,
		.tos = m->rtm_tos,
		.proto = m->rtm_protocol,
		.scope = m->rtm_scope,
		.type = m->rtm_type,
		.table = m->rtm_table ? m->rtm_table : (u32)RT_TABLE_MAIN,
		.dst = m->rtm_family == AF_INET ? ip_any4 : ip_any6,
	};
	for (unsigned k = 0; k < ARRAY_SIZE(others); k++) {
		if (rtnl_find(q, FIXED, others[k]))
			return -EOPNOTSUPP;
	}
	if (r->plen > (r->family == AF_INET ? 32 : 128) || m->rtm_src_len)
		return -EINVAL;
	e = rtnl_ip(rtnl_find(q, FIXED, RTA_DST), r->family, &r->dst, &dst);
	if (e == 0)
		e = rtnl_ip(rtnl_find(q, FIXED, RTA_PREFSRC), r->family, &r->src, &r->has_src);
	if (e == 0)
		e = rtnl_ip(rtnl_find(q, FIXED, RTA_GATEWAY), r->family, &r->via, &r->has_via);
	if (e == 0)
		e = parse_limits(rtnl_find(q, FIXED, RTA_METRICS), r->limits);
	if (e < 0)
		return -EINVAL;
	(void)rtnl_u32(rtnl_find(q, FIXED, RTA_TABLE), &r->table);
	(void)rtnl_u32(rtnl_find(q, FIXED, RTA_PRIORITY), &r->metric);
	if (rtnl_u32(rtnl_find(q, FIXED, RTA_OIF), &oif) && oif && oif != LO_INDEX)
		return -ENODEV;
	r->dev = oif == LO_INDEX;
	return 0;
}

/* The next hop is reached through lo. */
static int check_gateway(const struct fib *f, const struct fib_route *r)
{
	struct fib_result res;
	int e = fib_lookup_locked(f, &r->via, &res);

	/* IPv6 knows that nobody is there. */
	if (r->family == AF_INET6)
		return ip_is_linklocal(&r->via) || (e == 0 && res.type == RTN_LOCAL)
		               ? -EINVAL
		               : -EHOSTUNREACH;
	if (e < 0)
		return -ENETUNREACH;
	return r->scope >= RT_SCOPE_LINK ? -EINVAL : 0;
}

/* The host part of a destination is zero. */
static bool has_host_bits(const struct fib_route *r)
{
	u32 keep = r->plen + (r->family == AF_INET ? 96u : 0u);

	for (u32 i = keep; i < 128; i++) {
		if (r->dst.b[i / 8] & (0x80 >> (i % 8)))
			return true;
	}
	return false;
}

static void clear_host_bits(struct fib_route *r)
{
	for (u32 i = r->plen; i < 128; i++)
		r->dst.b[i / 8] &= (u8) ~(0x80 >> (i % 8));
}

static int check4(const struct fib *f, struct fib_route *r)
{
	if (has_host_bits(r) || r->type == RTN_UNSPEC || r->type > RTN_THROW)
		return -EINVAL;
	if (is_error(r->type)) {
		if (r->dev || r->has_via)
			return -EINVAL;
	} else if (!r->dev && !r->has_via) {
		return -ENODEV;
	} else if (r->type == RTN_LOCAL && r->scope != RT_SCOPE_HOST) {
		return -EINVAL;
	} else if (!(f->flags & IFF_UP)) {
		return -ENETDOWN;
	}
	if (r->has_via && !ip_is_any(&r->via)) {
		int e = check_gateway(f, r);

		if (e < 0)
			return e;
	}
	r->dev = !is_error(r->type);
	if (r->has_src && (r->type != RTN_LOCAL || !ip_equal(&r->src, &r->dst)) &&
	    !fib_is_local_locked(f, &r->src))
		return -EINVAL;
	return 0;
}

static int check6(const struct fib *f, struct fib_route *r)
{
	clear_host_bits(r);
	if (r->type == RTN_UNSPEC)
		r->type = RTN_UNICAST;
	if (r->type > RTN_MAX)
		return -EINVAL;
	if (!is_error(r->type) && !r->dev && !r->has_via)
		return -ENODEV;
	if (r->has_via) {
		int e = check_gateway(f, r);

		if (e < 0)
			return e;
	}
	if (r->has_src && !fib_is_local_locked(f, &r->src))
		return -EINVAL;
	if (!is_error(r->type) && !(f->flags & IFF_UP))
		return -ENETDOWN;
	if (r->metric == 0)
		r->metric = METRIC6;
	if (r->proto == RTPROT_UNSPEC)
		r->proto = RTPROT_BOOT;
	r->dev = true;
	r->scope = RT_SCOPE_UNIVERSE;
	r->tos = 0;
	return 0;
}

int rtnl_check_route(struct inet_ns *ns, struct fib_route *r)
{
	GUARD_READ(&ns->fib.lock);
	return r->family == AF_INET ? check4(&ns->fib, r) : check6(&ns->fib, r);
}

int rtnl_change_route(struct rtnl_request *q)
{
	struct fib *f = &rtnl_ns(q)->fib;
	struct fib_route r;
	struct rtmsg m;
	int e;

	rtnl_body(q, &m, sizeof(m));
	if (m.rtm_family != AF_INET && m.rtm_family != AF_INET6)
		return -EOPNOTSUPP;
	e = parse(q, &m, &r);
	if (e < 0)
		return e == -ENODEV && q->h->nlmsg_type == RTM_DELROUTE ? -ESRCH : e;
	if (q->h->nlmsg_type == RTM_DELROUTE) {
		/* The scope of IPv6 is not looked at, nor its type. */
		if (r.family == AF_INET6) {
			clear_host_bits(&r);
			r.scope = RT_SCOPE_NOWHERE;
			r.type = 0;
		}
		return lo_route_del(f, &r, &q->ev);
	}
	e = rtnl_check_route(rtnl_ns(q), &r);
	return e < 0 ? e : lo_route_add(f, &r, q->h->nlmsg_flags, &q->ev);
}

/* ---- rules ---- */

static void put_rule(struct rtnl_request *q, u8 family, u32 priority, u32 table)
{
	u32 at = rtnl_begin(q, RTM_NEWRULE);
	struct fib_rule_hdr *h = nl_put(q->out, sizeof(*h));

	h->family = family;
	h->table = (u8)table;
	h->action = FR_ACT_TO_TBL;
	nl_attr_u32(q->out, FRA_TABLE, table);
	nl_attr_u32(q->out, FRA_SUPPRESS_PREFIXLEN, ~0u);
	nl_attr_u8(q->out, FRA_PROTOCOL, RTPROT_KERNEL);
	if (priority)
		nl_attr_u32(q->out, FRA_PRIORITY, priority);
	nl_end(q->out, at);
}

int rtnl_get_rule(struct rtnl_request *q)
{
	struct fib_rule_hdr h;

	rtnl_body(q, &h, sizeof(h));
	if (!q->dump)
		return -EOPNOTSUPP;
	for (unsigned i = 0; i < 2; i++) {
		u8 family = i ? AF_INET6 : AF_INET;

		if (h.family != AF_UNSPEC && h.family != family)
			continue;
		put_rule(q, family, 0, RT_TABLE_LOCAL);
		put_rule(q, family, 32766, RT_TABLE_MAIN);
		if (family == AF_INET)
			put_rule(q, family, 32767, RT_TABLE_DEFAULT);
	}
	return 0;
}
