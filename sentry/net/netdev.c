/* SIOCGIF*, SIOCSIF* (netdevice(7)): what there is to say about lo, and to change. */
#include "sentry/net/netdev.h"

#include "sentry/auth/creds.h"
#include "sentry/mm/usercopy.h"
#include "sentry/net/netlink/rtnetlink.h"
#include "state/base/cleanup.h"

#include <linux/capability.h>
#include <linux/ethtool.h>
#include <linux/net_tstamp.h>
#include <linux/route.h>
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>

static void put_addr(struct sockaddr *sa, const struct ipaddr *ip)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = ip_v4(ip)};

	memcpy(sa, &in, sizeof(in));
}

/* The name is lo, or that of one of its addresses ("lo:1"). */
static bool names_lo(struct ifreq *ifr)
{
	ifr->ifr_name[IFNAMSIZ - 1] = 0;
	return strncmp(ifr->ifr_name, LO_NAME, strlen(LO_NAME)) == 0 &&
	       (ifr->ifr_name[strlen(LO_NAME)] == 0 || ifr->ifr_name[strlen(LO_NAME)] == ':');
}

/* ---- SIOCGIFCONF ---- */

/* struct ifconf of a 64-bit program. */
struct k_ifconf {
	s32 len, pad;
	u64 buf;
};

static int ifconf(struct inet_ns *ns, struct ctx *c, uaddr_t arg)
{
	struct ifreq *all;
	struct k_ifconf ic;
	u32 n = 0, fit;
	int r = user_get(c, arg, &ic);

	if (r < 0)
		return r;
	all = calloc(FIB_ADDRS_MAX, sizeof(*all));
	if (!all)
		return -ENOMEM;
	{
		const struct fib *f = &ns->fib;

		GUARD_READ(&ns->fib.lock);
		for (u32 i = 0; i < f->n_addrs; i++) {
			if (f->addrs[i].family != AF_INET)
				continue;
			memcpy(all[n].ifr_name, f->addrs[i].label, IFNAMSIZ);
			put_addr(&all[n++].ifr_addr, &f->addrs[i].ip);
		}
	}
	fit = ic.len > 0 ? MIN((u32)ic.len / (u32)sizeof(*all), n) : 0;
	if (ic.buf == 0)
		fit = n;
	else if (fit)
		r = user_copy_out(c, UADDR(ic.buf), all, fit * sizeof(*all));
	free(all);
	ic.len = (s32)(fit * sizeof(*all));
	return r < 0 ? r : user_put(c, arg, &ic);
}

/* ---- looking ---- */

/* The address that a request is about: by label, and by itself where one was given. */
static const struct lo_addr *find_addr(const struct fib *f, const struct ifreq *ifr)
{
	const struct sockaddr_in *in = (const void *)&ifr->ifr_addr;
	const struct lo_addr *first = NULL;

	for (u32 i = 0; i < f->n_addrs; i++) {
		const struct lo_addr *a = &f->addrs[i];

		if (a->family != AF_INET || strcmp(a->label, ifr->ifr_name) != 0)
			continue;
		if (in->sin_family == AF_INET && in->sin_addr.s_addr == ip_v4(&a->ip))
			return a;
		first = first ? first : a;
	}
	return first;
}

static int get_address(struct inet_ns *ns, u32 cmd, struct ifreq *ifr)
{
	const struct lo_addr *a;
	struct ipaddr mask;

	GUARD_READ(&ns->fib.lock);
	a = find_addr(&ns->fib, ifr);
	if (!a)
		return -EADDRNOTAVAIL;
	switch (cmd) {
	case SIOCGIFADDR:
		put_addr(&ifr->ifr_addr, &a->ip);
		break;
	case SIOCGIFDSTADDR:
		put_addr(&ifr->ifr_dstaddr, &a->peer);
		break;
	case SIOCGIFBRDADDR:
		put_addr(&ifr->ifr_broadaddr, a->has_brd ? &a->brd : &ip_any4);
		break;
	default:
		mask = ip_from_v4(htonl(a->plen ? ~0u << (32 - a->plen) : 0));
		put_addr(&ifr->ifr_netmask, &mask);
		break;
	}
	return 0;
}

static int get_link(struct inet_ns *ns, u32 cmd, struct ifreq *ifr)
{
	const struct fib *f = &ns->fib;

	GUARD_READ(&ns->fib.lock);
	switch (cmd) {
	case SIOCGIFFLAGS:
		ifr->ifr_flags = (short)lo_flags(f);
		return 0;
	case SIOCGIFMETRIC:
		ifr->ifr_metric = 0;
		return 0;
	case SIOCGIFMTU:
		ifr->ifr_mtu = (int)f->mtu;
		return 0;
	case SIOCGIFINDEX:
		ifr->ifr_ifindex = LO_INDEX;
		return 0;
	case SIOCGIFTXQLEN:
		ifr->ifr_qlen = (int)f->txqlen;
		return 0;
	case SIOCGIFHWADDR:
		memset(&ifr->ifr_hwaddr, 0, sizeof(ifr->ifr_hwaddr));
		ifr->ifr_hwaddr.sa_family = ARPHRD_LOOPBACK;
		return 0;
	case SIOCGIFMAP:
		memset(&ifr->ifr_map, 0, sizeof(ifr->ifr_map));
		return 0;
	default:
		return -ENOTTY;
	}
}

/* ---- changing; the rtnl lock is held ---- */

/* The prefix of an address that nobody gave one: that of its class. */
static u8 class_plen(u32 be)
{
	u32 a = ntohl(be);

	return a == 0 ? 0 : !(a & 0x80000000) ? 8 : (a & 0xc0000000) == 0x80000000 ? 16 : 24;
}

/* Takes a label's address away. */
static void take_away(struct fib *f, const struct lo_addr *a, struct lo_events *ev)
{
	struct lo_addr like = *a;

	if (lo_addr_del(f, &like, false, ev) < 0)
		return;
}

static int set_addr(struct inet_ns *ns, u32 cmd, const struct ifreq *ifr, struct lo_events *ev)
{
	const struct sockaddr_in *in = (const void *)&ifr->ifr_addr;
	struct ipaddr ip = ip_from_v4(in->sin_addr.s_addr);
	struct fib *f = &ns->fib;
	struct lo_addr a = {.family = AF_INET}, old;
	u32 mask = ntohl(in->sin_addr.s_addr);
	const struct lo_addr *found;

	if (in->sin_family != AF_INET)
		return -EINVAL;
	rwlock_rdlock(&f->lock);
	found = find_addr(f, ifr);
	if (found)
		old = a = *found;
	rwlock_unlock(&f->lock);
	if (!found && cmd != SIOCSIFADDR)
		return -EADDRNOTAVAIL;
	if (cmd == SIOCSIFADDR) {
		if (ip_is_multicast(&ip) || ip_v4(&ip) == 0xffffffff)
			return -EINVAL;
		if (found && ip_equal(&ip, &old.ip))
			return 0;
		a = (struct lo_addr){
			.family = AF_INET,
			.plen = class_plen(in->sin_addr.s_addr),
			.scope = ip.b[12] == 127 ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE,
			.ip = ip,
			.peer = ip,
		};
		memcpy(a.label, ifr->ifr_name, sizeof(a.label));
	} else if (cmd == SIOCSIFNETMASK) {
		if (mask & ~mask >> 1 || (~mask & (~mask + 1)))
			return -EINVAL;
		a.plen = (u8)__builtin_popcount(mask);
		if (a.plen == old.plen)
			return 0;
	} else if (cmd == SIOCSIFBRDADDR) {
		a.brd = ip;
		a.has_brd = true;
	} else {
		if (ip_is_multicast(&ip) || ip_v4(&ip) == 0xffffffff)
			return -EINVAL;
		a.peer = ip;
		a.plen = 32;
	}
	a.flags = IFA_F_PERMANENT;
	a.created = a.updated = rtnl_now(ns);
	if (found)
		take_away(f, &old, ev);
	return lo_addr_add(f, &a, false, ev);
}

static int set_flags(struct inet_ns *ns, const struct ifreq *ifr, struct lo_events *ev)
{
	struct fib *f = &ns->fib;
	u32 flags;

	/* "lo:1" down takes that address away. */
	if (strchr(ifr->ifr_name, ':')) {
		const struct lo_addr *found;
		struct lo_addr a;

		rwlock_rdlock(&f->lock);
		found = find_addr(f, ifr);
		if (found)
			a = *found;
		rwlock_unlock(&f->lock);
		if (!found)
			return -EADDRNOTAVAIL;
		if (!(ifr->ifr_flags & IFF_UP))
			take_away(f, &a, ev);
		return 0;
	}
	rwlock_rdlock(&f->lock);
	/* A short has not all of them. */
	flags = (f->flags & ~0xffffu) | (u16)ifr->ifr_flags;
	rwlock_unlock(&f->lock);
	lo_set_flags(f, flags, rtnl_now(ns), ev);
	return 0;
}

static int change(struct inet_ns *ns, u32 cmd, const struct ifreq *ifr, struct lo_events *ev)
{
	switch (cmd) {
	case SIOCSIFADDR:
	case SIOCSIFNETMASK:
	case SIOCSIFBRDADDR:
	case SIOCSIFDSTADDR:
		return set_addr(ns, cmd, ifr, ev);
	case SIOCSIFFLAGS:
		return set_flags(ns, ifr, ev);
	case SIOCSIFMTU:
		if (ifr->ifr_mtu < 0)
			return -EINVAL;
		lo_set_mtu(&ns->fib, (u32)ifr->ifr_mtu, ev);
		return 0;
	case SIOCSIFTXQLEN:
		if (ifr->ifr_qlen < 0)
			return -EINVAL;
		WRITE_ONCE(ns->fib.txqlen, (u32)ifr->ifr_qlen);
		return 0;
	case SIOCSIFNAME:
		return -EBUSY;
	default:
		return -EOPNOTSUPP;
	}
}

static int set(struct netns *ns, struct ctx *c, u32 cmd, uaddr_t arg)
{
	struct lo_events ev = {0};
	struct ifreq ifr;
	int r = user_get(c, arg, &ifr);

	if (r < 0)
		return r;
	if (!creds_capable(c->creds, CAP_NET_ADMIN))
		return -EPERM;
	if (!names_lo(&ifr))
		return -ENODEV;
	GUARD(&ns->inet->rtnl);
	r = change(ns->inet, cmd, &ifr, &ev);
	rtnl_tell(ns, &ev, NULL, NULL);
	lo_events_free(&ev);
	return r;
}

/* SIOCADDRT, SIOCDELRT: routes as route(8) has them. */
static int route(struct netns *ns, struct ctx *c, u32 cmd, uaddr_t arg)
{
	struct lo_events ev = {0};
	struct sockaddr_in dst, via, mask;
	struct fib_route q = {.family = AF_INET, .table = RT_TABLE_MAIN, .type = RTN_UNICAST};
	struct rtentry rt;
	char name[IFNAMSIZ] = "";
	bool has_dev;
	u32 m;
	int r = user_get(c, arg, &rt);

	if (r < 0)
		return r;
	if (!creds_capable(c->creds, CAP_NET_ADMIN))
		return -EPERM;
	has_dev = rt.rt_dev != NULL;
	if (has_dev)
		r = user_copy_in(c, name, UADDR((uintptr_t)rt.rt_dev), sizeof(name) - 1);
	if (r < 0)
		return r;
	memcpy(&dst, &rt.rt_dst, sizeof(dst));
	memcpy(&via, &rt.rt_gateway, sizeof(via));
	memcpy(&mask, &rt.rt_genmask, sizeof(mask));
	if (dst.sin_family != AF_INET)
		return -EAFNOSUPPORT;
	m = rt.rt_flags & RTF_HOST ? ~0u : ntohl(mask.sin_addr.s_addr);
	if (~m & (~m + 1))
		return -EINVAL;
	if (has_dev && strcmp(name, LO_NAME) != 0)
		return -ENODEV;
	q.plen = (u8)__builtin_popcount(m);
	q.dst = ip_from_v4(dst.sin_addr.s_addr);
	q.dev = has_dev;
	q.has_via = (rt.rt_flags & RTF_GATEWAY) && via.sin_family == AF_INET;
	q.via = ip_from_v4(via.sin_addr.s_addr);
	q.metric = rt.rt_metric > 0 ? (u32)rt.rt_metric - 1 : 0;
	/* What route(8) calls mss is the size of a packet. */
	q.limits[RTAX_ADVMSS] = rt.rt_flags & RTF_MTU ? (u32)rt.rt_mtu - 40 : 0;
	if (rt.rt_flags & RTF_REJECT)
		q.type = RTN_UNREACHABLE;
	q.proto = cmd == SIOCADDRT ? RTPROT_BOOT : 0;
	q.scope = cmd == SIOCDELRT ? RT_SCOPE_NOWHERE
	          : q.has_via      ? RT_SCOPE_UNIVERSE
	                           : RT_SCOPE_LINK;
	GUARD(&ns->inet->rtnl);
	r = cmd == SIOCADDRT ? rtnl_check_route(ns->inet, &q) : 0;
	if (r == 0)
		r = cmd == SIOCADDRT
		            ? lo_route_add(&ns->inet->fib, &q, NLM_F_CREATE | NLM_F_EXCL, &ev)
		            : lo_route_del(&ns->inet->fib, &q, &ev);
	rtnl_tell(ns, &ev, NULL, NULL);
	lo_events_free(&ev);
	return r;
}

/* What lo has of an Ethernet card. */
static int ethtool(struct ctx *c, uaddr_t arg)
{
	struct ethtool_ts_info ts = {
		.cmd = ETHTOOL_GET_TS_INFO,
		.so_timestamping = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE,
		.phc_index = -1,
	};
	struct ethtool_value value = {.data = 1};
	struct ifreq ifr;
	uaddr_t data;
	int r = user_get(c, arg, &ifr);

	if (r < 0)
		return r;
	if (!names_lo(&ifr))
		return -ENODEV;
	data = UADDR((uintptr_t)ifr.ifr_data);
	r = user_get_u32(c, data, &value.cmd);
	if (r < 0)
		return r;
	switch (value.cmd) {
	case ETHTOOL_GET_TS_INFO:
		return user_put(c, data, &ts);
	case ETHTOOL_GLINK:
		return user_put(c, data, &value);
	default:
		return -EOPNOTSUPP;
	}
}

long netdev_ioctl(struct netns *netns, struct ctx *c, u32 cmd, u64 arg)
{
	struct inet_ns *ns = netns ? netns->inet : NULL;
	struct ifreq ifr;
	int r;

	if (!ns)
		return -ENOTTY;
	switch (cmd) {
	case SIOCGIFCONF:
		return ifconf(ns, c, UADDR(arg));
	case SIOCGIFNAME:
		r = user_get(c, UADDR(arg), &ifr);
		if (r < 0)
			return r;
		if (ifr.ifr_ifindex != LO_INDEX)
			return -ENODEV;
		memset(ifr.ifr_name, 0, sizeof(ifr.ifr_name));
		strcpy(ifr.ifr_name, LO_NAME);
		return user_put(c, UADDR(arg), &ifr);
	case SIOCGIFADDR:
	case SIOCGIFDSTADDR:
	case SIOCGIFBRDADDR:
	case SIOCGIFNETMASK:
	case SIOCGIFFLAGS:
	case SIOCGIFMETRIC:
	case SIOCGIFMTU:
	case SIOCGIFINDEX:
	case SIOCGIFTXQLEN:
	case SIOCGIFHWADDR:
	case SIOCGIFMAP:
		r = user_get(c, UADDR(arg), &ifr);
		if (r < 0)
			return r;
		if (!names_lo(&ifr))
			return -ENODEV;
		r = get_link(ns, cmd, &ifr);
		if (r == -ENOTTY)
			r = get_address(ns, cmd, &ifr);
		return r < 0 ? r : user_put(c, UADDR(arg), &ifr);
	case SIOCETHTOOL:
		return ethtool(c, UADDR(arg));
	case SIOCADDRT:
	case SIOCDELRT:
		return route(netns, c, cmd, UADDR(arg));
	case SIOCSIFFLAGS:
	case SIOCSIFADDR:
	case SIOCSIFNETMASK:
	case SIOCSIFBRDADDR:
	case SIOCSIFDSTADDR:
	case SIOCSIFMTU:
	case SIOCSIFHWADDR:
	case SIOCSIFTXQLEN:
	case SIOCSIFNAME:
		return set(netns, c, cmd, UADDR(arg));
	default:
		return -ENOTTY;
	}
}
