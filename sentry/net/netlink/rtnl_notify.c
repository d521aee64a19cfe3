/* Telling the groups of NETLINK_ROUTE what has changed. */
#include "sentry/net/netlink/rtnetlink.h"

static u32 group_of(const struct lo_event *e)
{
	bool v6;

	if (e->what == LO_LINK)
		return RTNLGRP_LINK;
	if (e->what == LO_ADDR_NEW || e->what == LO_ADDR_DEL) {
		v6 = e->addr.family == AF_INET6;
		return v6 ? RTNLGRP_IPV6_IFADDR : RTNLGRP_IPV4_IFADDR;
	}
	v6 = e->route.family == AF_INET6;
	return v6 ? RTNLGRP_IPV6_ROUTE : RTNLGRP_IPV4_ROUTE;
}

static const u16 types[] = {
	[LO_LINK] = RTM_NEWLINK,       [LO_ADDR_NEW] = RTM_NEWADDR,   [LO_ADDR_DEL] = RTM_DELADDR,
	[LO_ROUTE_NEW] = RTM_NEWROUTE, [LO_ROUTE_DEL] = RTM_DELROUTE,
};

void rtnl_tell(struct netns *ns, const struct lo_events *ev, struct netlink_sock *nl,
               const struct nlmsghdr *h)
{
	for (u32 i = 0; i < ev->n; i++) {
		const struct lo_event *e = &ev->v[i];
		bool asked = e->asked && h;
		struct nl_reply r = {0};
		u32 at = nl_begin(&r, asked ? h : NULL, asked ? nl->portid : 0, types[e->what],
		                  e->nlflags);

		if (e->what == LO_LINK) {
			rwlock_rdlock(&ns->inet->fib.lock);
			rtnl_fill_link(&r, ns->inet, e->changed);
			rwlock_unlock(&ns->inet->fib.lock);
		} else if (e->what == LO_ADDR_NEW || e->what == LO_ADDR_DEL) {
			rtnl_fill_addr(&r, &e->addr);
		} else {
			rtnl_fill_route(&r, &e->route);
		}
		nl_end(&r, at);
		nl_tell(ns, NETLINK_ROUTE, group_of(e), &r,
		        asked && (h->nlmsg_flags & NLM_F_ECHO) ? nl : NULL);
	}
}
