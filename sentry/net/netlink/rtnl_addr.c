/* RTM_NEWADDR and its kin: the addresses of lo. */
#include "sentry/net/netlink/rtnetlink.h"

#include "state/base/cleanup.h"

#include <errno.h>
#include <string.h>

#define FIXED   sizeof(struct ifaddrmsg)
#define FOREVER (~0u)

#ifndef IFA_PROTO
#define IFA_PROTO 11
#endif

void rtnl_fill_addr(struct nl_reply *out, const struct lo_addr *a)
{
	struct ifaddrmsg *i = nl_put(out, sizeof(*i));
	bool v4 = a->family == AF_INET;
	struct ifa_cacheinfo ci = {
		.ifa_prefered = !v4 && (a->flags & IFA_F_DEPRECATED) ? 0 : FOREVER,
		.ifa_valid = FOREVER,
		.cstamp = (u32)a->created,
		.tstamp = (u32)a->updated,
	};

	i->ifa_family = (u8)a->family;
	i->ifa_prefixlen = a->plen;
	i->ifa_flags = (u8)a->flags;
	i->ifa_scope = a->scope;
	i->ifa_index = LO_INDEX;
	if (v4 || !ip_equal(&a->peer, &a->ip))
		rtnl_put_ip(out, v4 ? IFA_ADDRESS : IFA_LOCAL, a->family, v4 ? &a->peer : &a->ip);
	rtnl_put_ip(out, v4 ? IFA_LOCAL : IFA_ADDRESS, a->family, v4 ? &a->ip : &a->peer);
	if (a->has_brd)
		rtnl_put_ip(out, IFA_BROADCAST, a->family, &a->brd);
	if (a->label[0])
		nl_attr(out, IFA_LABEL, a->label, (u32)strlen(a->label) + 1);
	if (v4 && a->proto)
		nl_attr_u8(out, IFA_PROTO, a->proto);
	if (v4 && a->metric)
		nl_attr_u32(out, IFA_RT_PRIORITY, a->metric);
	if (v4)
		nl_attr_u32(out, IFA_FLAGS, a->flags);
	if (!v4 && a->metric)
		nl_attr_u32(out, IFA_RT_PRIORITY, a->metric);
	nl_attr(out, IFA_CACHEINFO, &ci, sizeof(ci));
	if (!v4)
		nl_attr_u32(out, IFA_FLAGS, a->flags);
	if (!v4 && a->proto)
		nl_attr_u8(out, IFA_PROTO, a->proto);
}

int rtnl_get_addr(struct rtnl_request *q)
{
	struct inet_ns *ns = rtnl_ns(q);
	struct ifaddrmsg i;

	rtnl_body(q, &i, sizeof(i));
	if (!q->dump)
		return -EOPNOTSUPP;
	if (i.ifa_index && i.ifa_index != LO_INDEX && (q->nl->flags & 1u << NETLINK_GET_STRICT_CHK))
		return -ENODEV;
	GUARD_READ(&ns->fib.lock);
	for (u32 k = 0; k < ns->fib.n_addrs; k++) {
		const struct lo_addr *a = &ns->fib.addrs[k];
		u32 at;

		if (i.ifa_family != AF_UNSPEC && i.ifa_family != a->family)
			continue;
		at = rtnl_begin(q, RTM_NEWADDR);
		rtnl_fill_addr(q->out, a);
		nl_end(q->out, at);
	}
	return 0;
}

/* ---- changes ---- */

/* What a request says of an address. -EADDRNOTAVAIL also where there is none. */
static int parse(const struct rtnl_request *q, const struct ifaddrmsg *i, struct lo_addr *a,
                 bool *ret_any_peer)
{
	const struct rtattr *label = rtnl_find(q, FIXED, IFA_LABEL);
	const u8 *proto = rtnl_value(rtnl_find(q, FIXED, IFA_PROTO), 1);
	bool local, peer, brd;
	int r;

	*a = (struct lo_addr){
		.family = i->ifa_family,
		.plen = i->ifa_prefixlen,
		.scope = i->ifa_scope,
		.flags = i->ifa_flags,
		.proto = proto ? *proto : 0,
		.ip = i->ifa_family == AF_INET ? ip_any4 : ip_any6,
	};
	r = rtnl_ip(rtnl_find(q, FIXED, IFA_LOCAL), a->family, &a->ip, &local);
	if (r == 0)
		r = rtnl_ip(rtnl_find(q, FIXED, IFA_ADDRESS), a->family, &a->peer, &peer);
	if (r == 0)
		r = rtnl_ip(rtnl_find(q, FIXED, IFA_BROADCAST), a->family, &a->brd, &brd);
	if (r < 0)
		return r;
	*ret_any_peer = !peer;
	if (a->family == AF_INET6 && !local)
		a->ip = a->peer;
	if (!peer)
		a->peer = a->ip;
	if (!local && !peer && a->family == AF_INET6)
		return -EINVAL;
	a->has_brd = brd && a->family == AF_INET;
	(void)rtnl_u32(rtnl_find(q, FIXED, IFA_FLAGS), &a->flags);
	(void)rtnl_u32(rtnl_find(q, FIXED, IFA_RT_PRIORITY), &a->metric);
	if (label && a->family == AF_INET) {
		u32 n = label->rta_len - (u32)RTA_LENGTH(0);
		const char *s = rtnl_value(label, 1);

		if (!s || strnlen(s, n) >= IFNAMSIZ)
			return -ERANGE;
		memcpy(a->label, s, strnlen(s, n));
	}
	return 0;
}

/* How long it lasts: for ever, and is preferred as long or not at all. -EOPNOTSUPP: it would end
 * some day, which here it doesn't. */
static int set_lifetime(const struct rtnl_request *q, struct lo_addr *a)
{
	struct ifa_cacheinfo ci;
	const void *v = rtnl_value(rtnl_find(q, FIXED, IFA_CACHEINFO), sizeof(ci));

	a->flags = (a->flags & ~(u32)IFA_F_DEPRECATED) | IFA_F_PERMANENT;
	if (!v)
		return 0;
	memcpy(&ci, v, sizeof(ci));
	if (ci.ifa_valid == 0 || ci.ifa_prefered > ci.ifa_valid)
		return -EINVAL;
	if (ci.ifa_prefered == 0)
		a->flags |= IFA_F_DEPRECATED;
	return ci.ifa_valid == FOREVER && (ci.ifa_prefered == FOREVER || ci.ifa_prefered == 0)
	               ? 0
	               : -EOPNOTSUPP;
}

static int new4(struct rtnl_request *q, const struct ifaddrmsg *i, struct lo_addr *a)
{
	if (a->plen > 32 || !rtnl_find(q, FIXED, IFA_LOCAL))
		return -EINVAL;
	if (i->ifa_index != LO_INDEX)
		return -ENODEV;
	if (!a->label[0])
		strcpy(a->label, LO_NAME);
	return 0;
}

static int new6(const struct ifaddrmsg *i, struct lo_addr *a)
{
	if (a->plen > 128)
		return -EINVAL;
	if (i->ifa_index != LO_INDEX)
		return -ENODEV;
	if (ip_is_any(&a->ip) || ip_is_multicast(&a->ip))
		return -EADDRNOTAVAIL;
	/* How far it reaches is in the address. */
	a->scope = ip_equal(&a->ip, &ip_loop6) ? RT_SCOPE_HOST
	           : ip_is_linklocal(&a->ip)   ? RT_SCOPE_LINK
	                                       : RT_SCOPE_UNIVERSE;
	a->flags &= IFA_F_NODAD | IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR | IFA_F_NOPREFIXROUTE |
	            IFA_F_MCAUTOJOIN | IFA_F_OPTIMISTIC;
	return 0;
}

int rtnl_change_addr(struct rtnl_request *q)
{
	bool add = q->h->nlmsg_type == RTM_NEWADDR, any_peer;
	struct inet_ns *ns = rtnl_ns(q);
	struct ifaddrmsg i;
	struct lo_addr a;
	int r;

	rtnl_body(q, &i, sizeof(i));
	if (i.ifa_family != AF_INET && i.ifa_family != AF_INET6)
		return -EOPNOTSUPP;
	r = parse(q, &i, &a, &any_peer);
	if (r < 0)
		return r;
	if (!add) {
		if (i.ifa_index != LO_INDEX)
			return -ENODEV;
		return lo_addr_del(&ns->fib, &a, any_peer, &q->ev);
	}
	r = a.family == AF_INET ? new4(q, &i, &a) : new6(&i, &a);
	if (r == 0)
		r = set_lifetime(q, &a);
	if (r < 0)
		return r;
	a.created = a.updated = rtnl_now(ns);
	return lo_addr_add(&ns->fib, &a, (q->h->nlmsg_flags & NLM_F_REPLACE) != 0, &q->ev);
}
