/* RTM_NEWLINK and its kin: lo. */
#include "sentry/net/netlink/rtnetlink.h"

#include "state/base/cleanup.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <string.h>

#define FIXED sizeof(struct ifinfomsg)

static u32 one_if(u32 flags, u32 bit)
{
	return flags & bit ? 1 : 0;
}

void rtnl_fill_link(struct nl_reply *out, const struct inet_ns *ns, u32 changed)
{
	const struct fib *f = &ns->fib;
	struct rtnl_link_stats64 st64 = {0};
	struct rtnl_link_stats st = {0};
	static const u8 zeros[32];
	struct ifinfomsg *i = nl_put(out, sizeof(*i));

	i->ifi_family = AF_UNSPEC;
	i->ifi_type = ARPHRD_LOOPBACK;
	i->ifi_index = LO_INDEX;
	i->ifi_flags = lo_flags(f);
	i->ifi_change = changed;
	nl_attr(out, IFLA_IFNAME, LO_NAME, sizeof(LO_NAME));
	nl_attr_u32(out, IFLA_TXQLEN, f->txqlen);
	nl_attr_u8(out, IFLA_OPERSTATE, f->flags & IFF_UP ? 0 : 2);
	nl_attr_u8(out, IFLA_LINKMODE, 0);
	nl_attr_u32(out, IFLA_MTU, f->mtu);
	nl_attr_u32(out, IFLA_GROUP, f->group);
	nl_attr_u32(out, IFLA_PROMISCUITY, one_if(f->flags, IFF_PROMISC));
	nl_attr_u32(out, IFLA_NUM_TX_QUEUES, 1);
	nl_attr_u32(out, IFLA_GSO_MAX_SEGS, 65535);
	nl_attr_u32(out, IFLA_GSO_MAX_SIZE, 65536);
	nl_attr_u32(out, IFLA_NUM_RX_QUEUES, 1);
	nl_attr_u8(out, IFLA_CARRIER, 1);
	nl_attr_u32(out, IFLA_CARRIER_CHANGES, 0);
	nl_attr(out, IFLA_MAP, zeros, sizeof(struct rtnl_link_ifmap));
	nl_attr(out, IFLA_ADDRESS, zeros, 6);
	nl_attr(out, IFLA_BROADCAST, zeros, 6);
	st64.rx_packets = st64.tx_packets = atomic_load(&ns->counters[INET_LO_PACKETS]);
	st64.rx_bytes = st64.tx_bytes = atomic_load(&ns->counters[INET_LO_BYTES]);
	st.rx_packets = st.tx_packets = (u32)st64.rx_packets;
	st.rx_bytes = st.tx_bytes = (u32)st64.rx_bytes;
	nl_attr(out, IFLA_STATS64, &st64, sizeof(st64));
	nl_attr(out, IFLA_STATS, &st, sizeof(st));
	nl_attr(out, IFLA_QDISC, "noqueue", sizeof("noqueue"));
}

/* The request names lo, by index or by name. */
static int names_lo(const struct rtnl_request *q)
{
	struct ifinfomsg i;
	const struct rtattr *name = rtnl_find(q, FIXED, IFLA_IFNAME);
	const char *s = rtnl_value(name, 1);
	size_t n;

	rtnl_body(q, &i, sizeof(i));
	if (i.ifi_index)
		return i.ifi_index == LO_INDEX ? 0 : -ENODEV;
	if (!s)
		return -EINVAL;
	n = strnlen(s, name->rta_len - RTA_LENGTH(0));
	return n == strlen(LO_NAME) && memcmp(s, LO_NAME, n) == 0 ? 0 : -ENODEV;
}

int rtnl_get_link(struct rtnl_request *q)
{
	struct inet_ns *ns = rtnl_ns(q);
	int r = q->dump ? 0 : names_lo(q);
	u32 at;

	if (r < 0)
		return r;
	at = rtnl_begin(q, RTM_NEWLINK);
	GUARD_READ(&ns->fib.lock);
	rtnl_fill_link(q->out, ns, 0);
	nl_end(q->out, at);
	return 0;
}

/* How lo queues: not at all. */
int rtnl_get_qdisc(struct rtnl_request *q)
{
	struct tcmsg *m;
	u32 at;

	if (!q->dump)
		return -ENOENT;
	at = rtnl_begin(q, RTM_NEWQDISC);
	m = nl_put(q->out, sizeof(*m));
	m->tcm_ifindex = LO_INDEX;
	m->tcm_parent = TC_H_ROOT;
	m->tcm_info = 2;
	nl_attr(q->out, TCA_KIND, "noqueue", sizeof("noqueue"));
	nl_end(q->out, at);
	return 0;
}

/* Names stay as they are, as of interfaces that are in use. */
static int check_name(const struct rtnl_request *q)
{
	const struct rtattr *a = rtnl_find(q, FIXED, IFLA_IFNAME);
	const char *s = rtnl_value(a, 1);
	size_t n = s ? strnlen(s, a->rta_len - RTA_LENGTH(0)) : 0;

	if (n == 0 || (n == strlen(LO_NAME) && memcmp(s, LO_NAME, n) == 0))
		return 0;
	return n >= IFNAMSIZ || memchr(s, '/', n) || memchr(s, ':', n) ? -EINVAL : -EBUSY;
}

/* The flags that a request leaves; none has them all at once. */
static u32 wanted_flags(const struct ifinfomsg *i, u32 now)
{
	u32 change = i->ifi_change ? i->ifi_change : i->ifi_flags ? ~0u : 0;

	return (now & ~change) | (i->ifi_flags & change);
}

/* What a request may hold and lo has nothing of, or nothing to choose about. */
static const u16 others[] = {IFLA_LINK,    IFLA_NET_NS_PID,  IFLA_NET_NS_FD,   IFLA_LINKINFO,
                             IFLA_IFALIAS, IFLA_PROMISCUITY, IFLA_OPERSTATE,   IFLA_LINKMODE,
                             IFLA_AF_SPEC, IFLA_MAP,         IFLA_VFINFO_LIST, IFLA_XDP};

/* Its hardware addresses are zeros, and it belongs to no other. */
static int check_zeros(const struct rtnl_request *q)
{
	static const u16 types[] = {IFLA_ADDRESS, IFLA_BROADCAST, IFLA_MASTER};
	static const u8 zeros[6];

	for (unsigned k = 0; k < ARRAY_SIZE(types); k++) {
		const struct rtattr *a = rtnl_find(q, FIXED, types[k]);
		u32 n = types[k] == IFLA_MASTER ? 4 : sizeof(zeros);
		const void *v = rtnl_value(a, n);

		if (a && !v)
			return -EINVAL;
		if (v && memcmp(v, zeros, n) != 0)
			return -EOPNOTSUPP;
	}
	return 0;
}

static int set_link(struct rtnl_request *q)
{
	struct inet_ns *ns = rtnl_ns(q);
	struct fib *f = &ns->fib;
	u32 mtu, txqlen, group, flags;
	struct ifinfomsg i;
	bool told;
	int r = check_name(q);

	if (r == 0)
		r = check_zeros(q);
	if (r < 0)
		return r;
	rtnl_body(q, &i, sizeof(i));
	for (unsigned k = 0; k < ARRAY_SIZE(others); k++) {
		if (rtnl_find(q, FIXED, others[k]))
			return -EOPNOTSUPP;
	}
	if (rtnl_u32(rtnl_find(q, FIXED, IFLA_MTU), &mtu)) {
		if (mtu > INT32_MAX)
			return -EINVAL;
		lo_set_mtu(f, mtu, &q->ev);
	}
	told = q->ev.n > 0;
	rwlock_wrlock(&f->lock);
	if (rtnl_u32(rtnl_find(q, FIXED, IFLA_TXQLEN), &txqlen) && txqlen != f->txqlen) {
		WRITE_ONCE(f->txqlen, txqlen);
		told = told || lo_event_add(&q->ev, LO_LINK);
	}
	if (rtnl_u32(rtnl_find(q, FIXED, IFLA_GROUP), &group) && group != f->group) {
		f->group = group;
		if (!told)
			(void)lo_event_add(&q->ev, LO_LINK);
	}
	flags = wanted_flags(&i, f->flags);
	rwlock_unlock(&f->lock);
	lo_set_flags(f, flags, rtnl_now(ns), &q->ev);
	return 0;
}

int rtnl_change_link(struct rtnl_request *q)
{
	u16 flags = q->h->nlmsg_flags;
	int r = names_lo(q);

	if (q->h->nlmsg_type == RTM_DELLINK)
		return r < 0 ? r : -EOPNOTSUPP;
	if (q->h->nlmsg_type == RTM_SETLINK)
		return r < 0 ? r : set_link(q);
	/* Of other kinds of interfaces there are none. */
	if (r < 0)
		return r == -ENODEV && (flags & NLM_F_CREATE)   ? -EOPNOTSUPP
		       : r == -EINVAL && (flags & NLM_F_CREATE) ? -EOPNOTSUPP
		                                                : -ENODEV;
	if (flags & NLM_F_EXCL)
		return -EEXIST;
	if (flags & NLM_F_REPLACE)
		return -EOPNOTSUPP;
	return set_link(q);
}
