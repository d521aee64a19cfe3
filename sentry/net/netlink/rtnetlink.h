#pragma once
/*
 * Inside NETLINK_ROUTE: one request, and what is said about links, addresses and routes.
 *
 * Locking: changes run under the network's rtnl lock; lookers take the lock of struct fib.
 * Lifetime: a request is that of one call. Saved: nothing here has state.
 */
#include "sentry/net/inet/lo.h"
#include "sentry/net/netlink/netlink.h"

#include <linux/rtnetlink.h>

struct rtnl_request {
	struct netlink_sock *nl;
	struct ctx *c;
	const struct nlmsghdr *h;
	struct nl_reply *out;
	bool dump;
	struct lo_events ev; /* what a change did */
};

static inline struct inet_ns *rtnl_ns(const struct rtnl_request *q)
{
	return q->nl->sk.ns->inet;
}

/* The fixed part of a request; a shorter one is zeros, as old programs send it for dumps. */
void rtnl_body(const struct rtnl_request *q, void *ret, u32 size);
/* An attribute after a fixed part; NULL if it is not there. */
const struct rtattr *rtnl_find(const struct rtnl_request *q, u32 fixed, u16 type);
/* The same inside another one. */
const struct rtattr *rtnl_nested(const struct rtattr *in, u16 type);
/* Its value, of at least size bytes; NULL if it is not. */
const void *rtnl_value(const struct rtattr *a, u32 size);
static inline bool rtnl_u32(const struct rtattr *a, u32 *ret)
{
	const void *v = rtnl_value(a, sizeof(*ret));

	if (v)
		__builtin_memcpy(ret, v, sizeof(*ret));
	return v != NULL;
}
/* An address of the family. -EINVAL: it has the wrong size. 0 also if it is not there. */
MUST_CHECK int rtnl_ip(const struct rtattr *a, u16 family, struct ipaddr *ret, bool *ret_there);
void rtnl_put_ip(struct nl_reply *out, u16 type, u16 family, const struct ipaddr *ip);
u32 rtnl_begin(struct rtnl_request *q, u16 type);
/* Hundredths of a second, as ages are told. */
u64 rtnl_now(const struct inet_ns *ns);

/* What is said of one thing, inside a message that has begun; under the lock of struct fib, but
 * for what is a copy. */
void rtnl_fill_link(struct nl_reply *out, const struct inet_ns *ns, u32 changed);
void rtnl_fill_addr(struct nl_reply *out, const struct lo_addr *a);
void rtnl_fill_route(struct nl_reply *out, const struct fib_route *r);

/* rtnl_link.c, rtnl_addr.c, rtnl_route.c */
MUST_CHECK int rtnl_get_link(struct rtnl_request *q);
MUST_CHECK int rtnl_get_qdisc(struct rtnl_request *q);
MUST_CHECK int rtnl_change_link(struct rtnl_request *q);
MUST_CHECK int rtnl_get_addr(struct rtnl_request *q);
MUST_CHECK int rtnl_change_addr(struct rtnl_request *q);
MUST_CHECK int rtnl_get_route(struct rtnl_request *q);
MUST_CHECK int rtnl_change_route(struct rtnl_request *q);
/* The route can be, and what it leaves open is filled in; Linux's errors. */
MUST_CHECK int rtnl_check_route(struct inet_ns *ns, struct fib_route *r);
MUST_CHECK int rtnl_get_rule(struct rtnl_request *q);

/* rtnl_notify.c: tells the groups what happened, nl's requester being who asked for it (h NULL: a
 * program without netlink did). The rtnl lock is held. */
void rtnl_tell(struct netns *ns, const struct lo_events *ev, struct netlink_sock *nl,
               const struct nlmsghdr *h);
