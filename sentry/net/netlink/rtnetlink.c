/* NETLINK_ROUTE: requests taken apart, messages put together. */
#include "sentry/net/netlink/rtnetlink.h"

#include "sentry/auth/creds.h"
#include "state/base/bug.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>

/* ---- building ---- */

void *nl_put(struct nl_reply *r, u32 size)
{
	u32 need = r->len + NLMSG_ALIGN(size);
	void *at;

	if (need > r->cap) {
		r->cap = MAX(need, r->cap ? r->cap * 2 : 1024u);
		r->data = realloc(r->data, r->cap);
		BUG_ON(!r->data);
	}
	at = r->data + r->len;
	memset(at, 0, NLMSG_ALIGN(size));
	r->len = need;
	return at;
}

u32 nl_begin(struct nl_reply *r, const struct nlmsghdr *req, u32 portid, u16 type, u16 flags)
{
	u32 at = r->len;
	struct nlmsghdr *h = nl_put(r, sizeof(*h));

	h->nlmsg_type = type;
	h->nlmsg_flags = flags;
	h->nlmsg_seq = req ? req->nlmsg_seq : 0;
	h->nlmsg_pid = portid;
	return at;
}

void nl_end(struct nl_reply *r, u32 at)
{
	((struct nlmsghdr *)(void *)(r->data + at))->nlmsg_len = r->len - at;
}

void nl_attr(struct nl_reply *r, u16 type, const void *data, u32 len)
{
	struct rtattr a = {.rta_len = (u16)RTA_LENGTH(len), .rta_type = type};
	u8 *at = nl_put(r, (u32)RTA_SPACE(len));

	memcpy(at, &a, sizeof(a));
	memcpy(at + RTA_LENGTH(0), data, len);
}

u32 rtnl_begin(struct rtnl_request *q, u16 type)
{
	return nl_begin(q->out, q->h, q->nl->portid, type, q->dump ? NLM_F_MULTI : 0);
}

void rtnl_put_ip(struct nl_reply *out, u16 type, u16 family, const struct ipaddr *ip)
{
	if (family == AF_INET)
		nl_attr(out, type, ip->b + 12, 4);
	else
		nl_attr(out, type, ip->b, sizeof(ip->b));
}

/* ---- taking apart ---- */

void rtnl_body(const struct rtnl_request *q, void *ret, u32 size)
{
	u32 n = q->h->nlmsg_len - NLMSG_HDRLEN;

	memset(ret, 0, size);
	memcpy(ret, NLMSG_DATA((struct nlmsghdr *)(uintptr_t)q->h), MIN(n, size));
}

/* The last of several, as Linux parses. */
static const struct rtattr *find_in(const u8 *p, const u8 *end, u16 type)
{
	const struct rtattr *found = NULL;

	while (p + sizeof(struct rtattr) <= end) {
		const struct rtattr *a = (const struct rtattr *)(const void *)p;

		if (a->rta_len < sizeof(*a) || a->rta_len > end - p)
			break;
		if ((a->rta_type & ~NLA_F_NESTED) == type)
			found = a;
		p += RTA_ALIGN(a->rta_len);
	}
	return found;
}

const struct rtattr *rtnl_find(const struct rtnl_request *q, u32 fixed, u16 type)
{
	return find_in((const u8 *)q->h + NLMSG_HDRLEN + NLMSG_ALIGN(fixed),
	               (const u8 *)q->h + q->h->nlmsg_len, type);
}

const struct rtattr *rtnl_nested(const struct rtattr *in, u16 type)
{
	return find_in((const u8 *)in + RTA_LENGTH(0), (const u8 *)in + in->rta_len, type);
}

const void *rtnl_value(const struct rtattr *a, u32 size)
{
	return a && a->rta_len >= RTA_LENGTH(size) ? (const u8 *)a + RTA_LENGTH(0) : NULL;
}

int rtnl_ip(const struct rtattr *a, u16 family, struct ipaddr *ret, bool *ret_there)
{
	const u8 *v = rtnl_value(a, family == AF_INET ? 4 : 16);

	*ret_there = a != NULL;
	if (!a)
		return 0;
	if (!v)
		return -EINVAL;
	*ret = family == AF_INET ? ip_any4 : ip_any6;
	memcpy(family == AF_INET ? ret->b + 12 : ret->b, v, family == AF_INET ? 4 : 16);
	/* Addresses of IPv6 that stand for those of IPv4 are no addresses of lo. */
	return ip_is_v4(ret) == (family == AF_INET) ? 0 : -EADDRNOTAVAIL;
}

u64 rtnl_now(const struct inet_ns *ns)
{
	return (u64)inet_now(ns) / (NSEC_PER_SEC / 100);
}

/* ---- requests ---- */

static int get_nothing(const struct rtnl_request *q)
{
	return q->dump ? 0 : -ENOENT;
}

static int get(struct rtnl_request *q)
{
	switch (q->h->nlmsg_type) {
	case RTM_GETLINK:
		return rtnl_get_link(q);
	case RTM_GETADDR:
		return rtnl_get_addr(q);
	case RTM_GETROUTE:
		return rtnl_get_route(q);
	case RTM_GETRULE:
		return rtnl_get_rule(q);
	case RTM_GETQDISC:
		return rtnl_get_qdisc(q);
	case RTM_GETNEIGH:
	case RTM_GETNEIGHTBL:
	case RTM_GETTCLASS:
	case RTM_GETADDRLABEL:
	case RTM_GETMULTICAST:
	case RTM_GETANYCAST:
	case RTM_GETMDB:
	case RTM_GETNSID:
	case RTM_GETNEXTHOP:
		return get_nothing(q);
	default:
		return -EOPNOTSUPP;
	}
}

static int change(struct rtnl_request *q)
{
	struct inet_ns *ns = rtnl_ns(q);
	int r;

	GUARD(&ns->rtnl);
	switch (q->h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
	case RTM_SETLINK:
		r = rtnl_change_link(q);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		r = rtnl_change_addr(q);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		r = rtnl_change_route(q);
		break;
	default:
		return -EOPNOTSUPP;
	}
	rtnl_tell(q->nl->sk.ns, &q->ev, q->nl, q->h);
	lo_events_free(&q->ev);
	return r;
}

int rtnetlink_request(struct netlink_sock *nl, struct ctx *c, const struct nlmsghdr *h,
                      struct nl_reply *out, bool *ret_done)
{
	/* DUMP is two flags: one of them alone asks for a dump where there is nothing else. */
	struct rtnl_request q = {
		.nl = nl,
		.c = c,
		.h = h,
		.out = out,
		.dump = (h->nlmsg_flags & NLM_F_DUMP) != 0,
	};
	/* Types come in fours: NEW, DEL, GET, SET. */
	unsigned kind = (h->nlmsg_type - RTM_BASE) & 3;
	int r;

	if (h->nlmsg_type < RTM_BASE || h->nlmsg_type > RTM_MAX)
		return -EOPNOTSUPP;
	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(struct rtgenmsg)))
		return 0;
	if (kind == 2) {
		r = q.dump && nl_dumping(nl) ? -EBUSY : get(&q);
		if (r == 0)
			*ret_done = q.dump;
		return r;
	}
	return creds_capable(c->creds, CAP_NET_ADMIN) ? change(&q) : -EPERM;
}
