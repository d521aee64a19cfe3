/* /proc/sys/net/ipv4 and ipv6: what there is per interface, of neighbours, of routing. */
#include "sentry/auth/creds.h"
#include "sentry/fs/proc/proc_net.h"
#include "sentry/kernel/kernel.h"
#include "sentry/net/inet/lo.h"
#include "sentry/net/inet/ports.h"
#include "sentry/net/netlink/rtnetlink.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>

#define NUMBER(n, id)                                                         \
	{                                                                     \
		.name = n, .mode = S_IFREG | 0644, .show = proc_sys_net_show, \
		.store = proc_sys_net_store, .arg = NET_##id                  \
	}
#define STORE(n, id, to)                                                                   \
	{                                                                                  \
		.name = n, .mode = S_IFREG | 0644, .show = proc_sys_net_show, .store = to, \
		.arg = NET_##id                                                            \
	}
#define DIR_OF(n, d)                                           \
	{                                                      \
		.name = n, .mode = S_IFDIR | 0555, .dir = &(d) \
	}

/* ---- settings that do something ---- */

/* Of all is of each: that of lo takes IPv6's addresses away, or gives it back its own. */
static long store_disable_ipv6(struct pseudo_inode *i, struct ctx *c, char *s, size_t len)
{
	struct netns *ns = c->kernel->netns;
	struct lo_events ev = {0};
	long r = proc_sys_net_store(i, c, s, len);
	s32 v;

	if (r < 0)
		return r;
	v = net_setting_get(ns->inet, i->key.entry->arg);
	GUARD(&ns->inet->rtnl);
	if (i->key.entry->arg == NET_CONF6_ALL_DISABLE_IPV6 &&
	    (net_setting_set(ns->inet, NET_CONF6_DEF_DISABLE_IPV6, v) < 0 ||
	     net_setting_set(ns->inet, NET_CONF6_LO_DISABLE_IPV6, v) < 0))
		return -EINVAL;
	lo_set_ipv6(&ns->inet->fib, net_setting_get(ns->inet, NET_CONF6_LO_DISABLE_IPV6) == 0,
	            rtnl_now(ns->inet), &ev);
	rtnl_tell(ns, &ev, NULL, NULL);
	lo_events_free(&ev);
	return r;
}

/* Also by its other name, and of every interface. */
long proc_sys_net_forward(struct pseudo_inode *i, struct ctx *c, char *s, size_t len)
{
	static const u32 others[] = {NET_IP_FORWARD, NET_CONF4_ALL_FORWARDING,
	                             NET_CONF4_DEF_FORWARDING, NET_CONF4_LO_FORWARDING};
	struct inet_ns *ns = c->kernel->netns->inet;
	long r = proc_sys_net_store(i, c, s, len);
	s32 v;

	if (r < 0)
		return r;
	v = net_setting_get(ns, i->key.entry->arg) != 0;
	for (unsigned k = 0; k < ARRAY_SIZE(others); k++) {
		if (net_setting_set(ns, others[k], v) < 0)
			return -EINVAL;
	}
	return r;
}

/* Nothing is remembered of routes that would have to be forgotten. */
static long store_flush(struct pseudo_inode *i, struct ctx *c, char *s, size_t len)
{
	return creds_capable(c->creds, CAP_NET_ADMIN) ? (long)len : -EPERM;
}

static PROC_SHOW(show_mtu)
{
	text_printf(t, "%u\n", fib_mtu(c->kernel->netns->inet));
	return 0;
}

static PROC_SHOW(show_least_mtu)
{
	text_printf(t, "1280\n");
	return 0;
}

/* ---- conf ---- */

#define ALL4(X, f, id, name, all, def, lo) NUMBER(name, CONF4_ALL_##id),
#define DEF4(X, f, id, name, all, def, lo) NUMBER(name, CONF4_DEF_##id),
#define LO4(X, f, id, name, all, def, lo)  NUMBER(name, CONF4_LO_##id),
#define ALL6(X, f, id, name, all, def, lo) NUMBER(name, CONF6_ALL_##id),
#define DEF6(X, f, id, name, all, def, lo) NUMBER(name, CONF6_DEF_##id),
#define LO6(X, f, id, name, all, def, lo)  NUMBER(name, CONF6_LO_##id),

static const struct pseudo_entry all4[] = {
	STORE("forwarding", CONF4_ALL_FORWARDING, proc_sys_net_forward), NET_CONF4(ALL4, )};
static const struct pseudo_entry def4[] = {NUMBER("forwarding", CONF4_DEF_FORWARDING),
                                           NET_CONF4(DEF4, )};
static const struct pseudo_entry lo4[] = {NUMBER("forwarding", CONF4_LO_FORWARDING),
                                          NET_CONF4(LO4, )};
PSEUDO_DIR(conf4_all, .id = "proc.sys.net.ipv4.conf.all", PSEUDO_ENTRIES(all4));
PSEUDO_DIR(conf4_def, .id = "proc.sys.net.ipv4.conf.default", PSEUDO_ENTRIES(def4));
PSEUDO_DIR(conf4_lo, .id = "proc.sys.net.ipv4.conf.lo", PSEUDO_ENTRIES(lo4));
static const struct pseudo_entry conf4[] = {DIR_OF("all", conf4_all), DIR_OF("default", conf4_def),
                                            DIR_OF("lo", conf4_lo)};
PSEUDO_DIR(proc_sys_conf4, .id = "proc.sys.net.ipv4.conf", PSEUDO_ENTRIES(conf4));

#define MTU_LEAST                                                             \
	{                                                                     \
		.name = "mtu", .mode = S_IFREG | 0444, .show = show_least_mtu \
	}
#define MTU                                                             \
	{                                                               \
		.name = "mtu", .mode = S_IFREG | 0444, .show = show_mtu \
	}
static const struct pseudo_entry all6[] = {
	STORE("disable_ipv6", CONF6_ALL_DISABLE_IPV6, store_disable_ipv6), MTU_LEAST,
	NET_CONF6(ALL6, )};
static const struct pseudo_entry def6[] = {NUMBER("disable_ipv6", CONF6_DEF_DISABLE_IPV6),
                                           MTU_LEAST, NET_CONF6(DEF6, )};
static const struct pseudo_entry lo6[] = {
	STORE("disable_ipv6", CONF6_LO_DISABLE_IPV6, store_disable_ipv6), MTU, NET_CONF6(LO6, )};
PSEUDO_DIR(conf6_all, .id = "proc.sys.net.ipv6.conf.all", PSEUDO_ENTRIES(all6));
PSEUDO_DIR(conf6_def, .id = "proc.sys.net.ipv6.conf.default", PSEUDO_ENTRIES(def6));
PSEUDO_DIR(conf6_lo, .id = "proc.sys.net.ipv6.conf.lo", PSEUDO_ENTRIES(lo6));
static const struct pseudo_entry conf6[] = {DIR_OF("all", conf6_all), DIR_OF("default", conf6_def),
                                            DIR_OF("lo", conf6_lo)};
PSEUDO_DIR(proc_sys_conf6, .id = "proc.sys.net.ipv6.conf", PSEUDO_ENTRIES(conf6));

/* ---- neighbours, routing, ICMPv6 ---- */

#define NEIGH(f)                                                                    \
	NUMBER("gc_thresh1", NEIGH##f##_GC1), NUMBER("gc_thresh2", NEIGH##f##_GC2), \
		NUMBER("gc_thresh3", NEIGH##f##_GC3)
static const struct pseudo_entry neigh4_def[] = {NEIGH(4)};
static const struct pseudo_entry neigh6_def[] = {NEIGH(6)};
PSEUDO_DIR(neigh4_default, .id = "proc.sys.net.ipv4.neigh.default", PSEUDO_ENTRIES(neigh4_def));
PSEUDO_DIR(neigh6_default, .id = "proc.sys.net.ipv6.neigh.default", PSEUDO_ENTRIES(neigh6_def));
static const struct pseudo_entry neigh4[] = {DIR_OF("default", neigh4_default)};
static const struct pseudo_entry neigh6[] = {DIR_OF("default", neigh6_default)};
PSEUDO_DIR(proc_sys_neigh4, .id = "proc.sys.net.ipv4.neigh", PSEUDO_ENTRIES(neigh4));
PSEUDO_DIR(proc_sys_neigh6, .id = "proc.sys.net.ipv6.neigh", PSEUDO_ENTRIES(neigh6));

#define FLUSH                                                                 \
	{                                                                     \
		.name = "flush", .mode = S_IFREG | 0200, .store = store_flush \
	}
static const struct pseudo_entry route4[] = {FLUSH, NUMBER("min_adv_mss", ROUTE4_MIN_ADVMSS),
                                             NUMBER("min_pmtu", ROUTE4_MIN_PMTU),
                                             NUMBER("mtu_expires", ROUTE4_MTU_EXPIRES)};
static const struct pseudo_entry route6[] = {FLUSH, NUMBER("gc_thresh", ROUTE6_GC_THRESH),
                                             NUMBER("max_size", ROUTE6_MAX_SIZE),
                                             NUMBER("mtu_expires", ROUTE6_MTU_EXPIRES)};
static const struct pseudo_entry icmp6[] = {NUMBER("echo_ignore_all", ICMP6_ECHO_IGNORE_ALL)};
PSEUDO_DIR(proc_sys_route4, .id = "proc.sys.net.ipv4.route", PSEUDO_ENTRIES(route4));
PSEUDO_DIR(proc_sys_route6, .id = "proc.sys.net.ipv6.route", PSEUDO_ENTRIES(route6));
PSEUDO_DIR(proc_sys_icmp6, .id = "proc.sys.net.ipv6.icmp", PSEUDO_ENTRIES(icmp6));
