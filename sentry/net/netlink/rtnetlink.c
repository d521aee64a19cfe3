/* What NETLINK_ROUTE says of a network that has lo and nothing else. */
#include "sentry/net/netlink/netlink.h"

#include "sentry/auth/creds.h"
#include "sentry/net/inet/addr.h"
#include "state/base/bug.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#define FLAG_LOWER_UP 0x10000u
#define FLAG_LOCAL    0x80000000u /* of a route that was looked up */

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
	h->nlmsg_seq = req->nlmsg_seq;
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

struct request {
	struct netlink_sock *nl;
	const struct nlmsghdr *h;
	struct nl_reply *out;
	bool dump;
};

static u32 begin(struct request *q, u16 type)
{
	return nl_begin(q->out, q->h, q->nl->portid, type, q->dump ? NLM_F_MULTI : 0);
}

/* The fixed part of a request; a shorter one is zeros, as old programs send it for dumps. */
static void body(const struct request *q, void *ret, u32 size)
{
	u32 n = q->h->nlmsg_len - NLMSG_HDRLEN;

	memset(ret, 0, size);
	memcpy(ret, NLMSG_DATA((struct nlmsghdr *)(uintptr_t)q->h), MIN(n, size));
}

/* An attribute of a request after a fixed part; NULL if it is not there. */
static const struct rtattr *find_attr(const struct request *q, u32 fixed, u16 type)
{
	const u8 *p = (const u8 *)q->h + NLMSG_HDRLEN + NLMSG_ALIGN(fixed);
	const u8 *end = (const u8 *)q->h + q->h->nlmsg_len;

	while (p + sizeof(struct rtattr) <= end) {
		const struct rtattr *a = (const struct rtattr *)(const void *)p;

		if (a->rta_len < sizeof(*a) || a->rta_len > end - p)
			return NULL;
		if ((a->rta_type & ~NLA_F_NESTED) == type)
			return a;
		p += RTA_ALIGN(a->rta_len);
	}
	return NULL;
}

static const void *attr_data(const struct rtattr *a, u32 size)
{
	return a && a->rta_len >= RTA_LENGTH(size) ? (const u8 *)a + RTA_LENGTH(0) : NULL;
}

/* ---- links and addresses ---- */

static void put_link(struct request *q)
{
	struct inet_ns *ns = q->nl->sk.ns->inet;
	struct rtnl_link_stats64 st64 = {0};
	struct rtnl_link_stats st = {0};
	static const u8 zeros[32];
	u32 at = begin(q, RTM_NEWLINK);
	struct ifinfomsg *i = nl_put(q->out, sizeof(*i));

	i->ifi_family = AF_UNSPEC;
	i->ifi_type = ARPHRD_LOOPBACK;
	i->ifi_index = LO_INDEX;
	i->ifi_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING | FLAG_LOWER_UP;
	nl_attr(q->out, IFLA_IFNAME, LO_NAME, sizeof(LO_NAME));
	nl_attr_u32(q->out, IFLA_TXQLEN, 1000);
	nl_attr_u8(q->out, IFLA_OPERSTATE, 0);
	nl_attr_u8(q->out, IFLA_LINKMODE, 0);
	nl_attr_u32(q->out, IFLA_MTU, LO_MTU);
	nl_attr_u32(q->out, IFLA_GROUP, 0);
	nl_attr_u32(q->out, IFLA_PROMISCUITY, 0);
	nl_attr_u32(q->out, IFLA_NUM_TX_QUEUES, 1);
	nl_attr_u32(q->out, IFLA_GSO_MAX_SEGS, 65535);
	nl_attr_u32(q->out, IFLA_GSO_MAX_SIZE, 65536);
	nl_attr_u32(q->out, IFLA_NUM_RX_QUEUES, 1);
	nl_attr_u8(q->out, IFLA_CARRIER, 1);
	nl_attr(q->out, IFLA_QDISC, "noqueue", sizeof("noqueue"));
	nl_attr_u32(q->out, IFLA_CARRIER_CHANGES, 0);
	nl_attr(q->out, IFLA_MAP, zeros, sizeof(struct rtnl_link_ifmap));
	nl_attr(q->out, IFLA_ADDRESS, zeros, 6);
	nl_attr(q->out, IFLA_BROADCAST, zeros, 6);
	st64.rx_packets = st64.tx_packets = atomic_load(&ns->counters[INET_LO_PACKETS]);
	st64.rx_bytes = st64.tx_bytes = atomic_load(&ns->counters[INET_LO_BYTES]);
	st.rx_packets = st.tx_packets = (u32)st64.rx_packets;
	st.rx_bytes = st.tx_bytes = (u32)st64.rx_bytes;
	nl_attr(q->out, IFLA_STATS64, &st64, sizeof(st64));
	nl_attr(q->out, IFLA_STATS, &st, sizeof(st));
	nl_end(q->out, at);
}

/* The request names lo, by index or by name. */
static int names_lo(const struct request *q)
{
	struct ifinfomsg i;
	const struct rtattr *name = find_attr(q, sizeof(i), IFLA_IFNAME);
	const char *s = attr_data(name, 1);

	body(q, &i, sizeof(i));
	if (i.ifi_index ? i.ifi_index != LO_INDEX
	                : !s || strncmp(s, LO_NAME, name->rta_len - RTA_LENGTH(0)) != 0)
		return i.ifi_index || s ? -ENODEV : -EINVAL;
	return 0;
}

/* lo is up and stays as it is: what asks for just that is done. */
static int change_link(struct request *q)
{
	const struct rtattr *mtu = find_attr(q, sizeof(struct ifinfomsg), IFLA_MTU);
	static const u16 others[] = {IFLA_ADDRESS,     IFLA_BROADCAST, IFLA_TXQLEN,   IFLA_MASTER,
	                             IFLA_NET_NS_PID,  IFLA_NET_NS_FD, IFLA_LINKINFO, IFLA_GROUP,
	                             IFLA_PROMISCUITY, IFLA_OPERSTATE};
	const u32 flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING;
	struct ifinfomsg i;
	u32 v = LO_MTU;
	int r = names_lo(q);

	if (r < 0)
		return q->h->nlmsg_type == RTM_NEWLINK && (q->h->nlmsg_flags & NLM_F_CREATE)
		               ? -EOPNOTSUPP
		               : r;
	body(q, &i, sizeof(i));
	for (unsigned k = 0; k < ARRAY_SIZE(others); k++) {
		if (find_attr(q, sizeof(i), others[k]))
			return -EOPNOTSUPP;
	}
	if (attr_data(mtu, sizeof(v)))
		memcpy(&v, attr_data(mtu, sizeof(v)), sizeof(v));
	if (q->h->nlmsg_type == RTM_DELLINK || v != LO_MTU ||
	    ((i.ifi_flags ^ flags) & i.ifi_change &
	     (IFF_UP | IFF_PROMISC | IFF_ALLMULTI | IFF_NOARP)))
		return -EOPNOTSUPP;
	return 0;
}

static int get_link(struct request *q)
{
	int r = q->dump ? 0 : names_lo(q);

	if (r == 0)
		put_link(q);
	return r;
}

static void put_addr(struct request *q, u8 family)
{
	u32 at = begin(q, RTM_NEWADDR), addr = htonl(INADDR_LOOPBACK);
	struct ifaddrmsg *i = nl_put(q->out, sizeof(*i));
	struct ifa_cacheinfo ci = {.ifa_prefered = ~0u, .ifa_valid = ~0u};

	i->ifa_family = family;
	i->ifa_prefixlen = family == AF_INET ? 8 : 128;
	i->ifa_flags = IFA_F_PERMANENT;
	i->ifa_scope = RT_SCOPE_HOST;
	i->ifa_index = LO_INDEX;
	if (family == AF_INET) {
		nl_attr(q->out, IFA_ADDRESS, &addr, sizeof(addr));
		nl_attr(q->out, IFA_LOCAL, &addr, sizeof(addr));
		nl_attr(q->out, IFA_LABEL, LO_NAME, sizeof(LO_NAME));
	} else {
		nl_attr(q->out, IFA_ADDRESS, &ip_loop6, sizeof(ip_loop6));
	}
	nl_attr(q->out, IFA_CACHEINFO, &ci, sizeof(ci));
	nl_attr_u32(q->out, IFA_FLAGS, IFA_F_PERMANENT);
	nl_end(q->out, at);
}

static int get_addr(struct request *q)
{
	struct ifaddrmsg i;

	body(q, &i, sizeof(i));
	if (!q->dump)
		return -EOPNOTSUPP;
	if (i.ifa_index && i.ifa_index != LO_INDEX && (q->nl->flags & 1u << NETLINK_GET_STRICT_CHK))
		return -ENODEV;
	if (i.ifa_family == AF_UNSPEC || i.ifa_family == AF_INET)
		put_addr(q, AF_INET);
	if (i.ifa_family == AF_UNSPEC || i.ifa_family == AF_INET6)
		put_addr(q, AF_INET6);
	return 0;
}

/* ---- routes, rules ---- */

struct route {
	u8 family, len, type, table, scope;
	u32 dst; /* IPv4 */
	u32 flags;
};

static void put_route(struct request *q, const struct route *rt)
{
	u32 at = begin(q, RTM_NEWROUTE), dst = htonl(rt->dst), src = htonl(INADDR_LOOPBACK);
	struct rtmsg *m = nl_put(q->out, sizeof(*m));
	struct rta_cacheinfo ci = {0};

	m->rtm_family = rt->family;
	m->rtm_dst_len = rt->len;
	m->rtm_table = rt->table;
	m->rtm_protocol = RTPROT_KERNEL;
	m->rtm_scope = rt->scope;
	m->rtm_type = rt->type;
	m->rtm_flags = rt->flags;
	nl_attr_u32(q->out, RTA_TABLE, rt->table);
	if (rt->family == AF_INET) {
		nl_attr(q->out, RTA_DST, &dst, sizeof(dst));
		nl_attr(q->out, RTA_PREFSRC, &src, sizeof(src));
		nl_attr_u32(q->out, RTA_OIF, LO_INDEX);
		if (rt->flags & RTM_F_CLONED)
			nl_attr_u32(q->out, RTA_UID, q->nl->sk.uid);
		if (rt->flags & RTM_F_CLONED)
			nl_attr(q->out, RTA_CACHEINFO, &ci, sizeof(ci));
	} else {
		nl_attr(q->out, RTA_DST, &ip_loop6, sizeof(ip_loop6));
		nl_attr_u32(q->out, RTA_PRIORITY, rt->table == RT_TABLE_MAIN ? 256 : 0);
		nl_attr_u32(q->out, RTA_OIF, LO_INDEX);
		nl_attr(q->out, RTA_CACHEINFO, &ci, sizeof(ci));
		nl_attr_u8(q->out, RTA_PREF, 0);
	}
	nl_end(q->out, at);
}

static const struct route routes[] = {
	{AF_INET, 8, RTN_LOCAL, RT_TABLE_LOCAL, RT_SCOPE_HOST, 0x7f000000},
	{AF_INET, 32, RTN_LOCAL, RT_TABLE_LOCAL, RT_SCOPE_HOST, 0x7f000001},
	{AF_INET, 32, RTN_BROADCAST, RT_TABLE_LOCAL, RT_SCOPE_LINK, 0x7fffffff},
	{AF_INET6, 128, RTN_UNICAST, RT_TABLE_MAIN, RT_SCOPE_UNIVERSE, 0},
	{AF_INET6, 128, RTN_LOCAL, RT_TABLE_LOCAL, RT_SCOPE_UNIVERSE, 0},
};

/* "ip route get". */
static int route_to(struct request *q, const struct rtmsg *m)
{
	const struct rtattr *a = find_attr(q, sizeof(*m), RTA_DST);
	struct route rt = {
		.family = m->rtm_family,
		.type = RTN_LOCAL,
		/* Without rules of one's own, Linux keeps IPv4's local table in the main one. */
		.table = m->rtm_family == AF_INET6 ? RT_TABLE_LOCAL : RT_TABLE_MAIN,
		.flags = m->rtm_family == AF_INET ? RTM_F_CLONED | FLAG_LOCAL : 0,
	};
	struct ipaddr ip;

	if (m->rtm_family == AF_INET && attr_data(a, 4)) {
		u32 be;

		memcpy(&be, attr_data(a, 4), sizeof(be));
		ip = ip_from_v4(be);
		rt.dst = ntohl(be);
		rt.len = 32;
	} else if (m->rtm_family == AF_INET6 && attr_data(a, 16)) {
		memcpy(&ip, attr_data(a, 16), sizeof(ip));
		rt.len = 128;
	} else {
		return m->rtm_family == AF_INET || m->rtm_family == AF_INET6 ? -EINVAL
		                                                             : -EOPNOTSUPP;
	}
	if (!ip_is_local(&ip))
		return -ENETUNREACH;
	put_route(q, &rt);
	return 0;
}

static int get_route(struct request *q)
{
	struct rtmsg m;

	body(q, &m, sizeof(m));
	if (!q->dump)
		return route_to(q, &m);
	for (unsigned i = 0; i < ARRAY_SIZE(routes); i++) {
		if (m.rtm_family != AF_UNSPEC && m.rtm_family != routes[i].family)
			continue;
		/* Only who asked for strict checking may choose a table. */
		if ((q->nl->flags & 1u << NETLINK_GET_STRICT_CHK) && m.rtm_table &&
		    m.rtm_table != routes[i].table)
			continue;
		put_route(q, &routes[i]);
	}
	return 0;
}

static void put_rule(struct request *q, u8 family, u32 priority, u32 table)
{
	u32 at = begin(q, RTM_NEWRULE);
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

static int get_rule(struct request *q)
{
	struct fib_rule_hdr h;

	body(q, &h, sizeof(h));
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

static int get_nothing(struct request *q)
{
	return q->dump ? 0 : -ENOENT;
}

int rtnetlink_request(struct netlink_sock *nl, struct ctx *c, const struct nlmsghdr *h,
                      struct nl_reply *out, bool *ret_done)
{
	struct request q = {nl, h, out, (h->nlmsg_flags & NLM_F_DUMP) != 0};
	/* Types come in fours: NEW, DEL, GET, SET. */
	unsigned kind = (h->nlmsg_type - RTM_BASE) & 3;
	int r;

	if (h->nlmsg_type < RTM_BASE || h->nlmsg_type > RTM_MAX)
		return -EOPNOTSUPP;
	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(struct rtgenmsg)))
		return 0;
	if (kind != 2 && !creds_capable(c->creds, CAP_NET_ADMIN))
		return -EPERM;
	if (h->nlmsg_type >= RTM_NEWLINK && h->nlmsg_type <= RTM_SETLINK && kind != 2)
		return change_link(&q);
	if (kind != 2)
		return -EOPNOTSUPP;
	/* DUMP is two flags: one of them alone asks for a dump where there is nothing else. */
	switch (h->nlmsg_type) {
	case RTM_GETLINK:
		r = get_link(&q);
		break;
	case RTM_GETADDR:
		r = get_addr(&q);
		break;
	case RTM_GETROUTE:
		r = get_route(&q);
		break;
	case RTM_GETRULE:
		r = get_rule(&q);
		break;
	case RTM_GETNEIGH:
	case RTM_GETNEIGHTBL:
	case RTM_GETQDISC:
	case RTM_GETTCLASS:
	case RTM_GETADDRLABEL:
	case RTM_GETMULTICAST:
	case RTM_GETANYCAST:
	case RTM_GETMDB:
	case RTM_GETNSID:
		r = get_nothing(&q);
		break;
	default:
		r = -EOPNOTSUPP;
		break;
	}
	if (r == 0)
		*ret_done = q.dump;
	return r;
}
