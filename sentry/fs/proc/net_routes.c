/* /proc/PID/net: the addresses and routes of the network. */
#include "sentry/fs/proc/proc_net.h"
#include "sentry/kernel/kernel.h"
#include "sentry/net/inet/lo.h"
#include "sentry/net/inet/ports.h"
#include "state/base/cleanup.h"

#include <linux/ipv6_route.h>
#include <linux/route.h>
#include <stdio.h>

#define NONEXTHOP 0x00200000u /* RTF_NONEXTHOP and RTF_LOCAL, where the kernel has them */
#define LOCAL     0x80000000u

static struct fib *fib_of(struct ctx *c)
{
	return &c->kernel->netns->inet->fib;
}

static bool is_error(const struct fib_route *r)
{
	return r->type == RTN_UNREACHABLE || r->type == RTN_PROHIBIT;
}

/* Routes of the main table, numbers as they are in memory. */
PROC_SHOW(proc_net_route)
{
	struct fib *f = fib_of(c);

	text_printf(t, "%-127s\n",
	            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU"
	            "\tWindow\tIRTT");
	GUARD_READ(&f->lock);
	for (u32 k = 0; k < f->n_routes; k++) {
		const struct fib_route *r = &f->routes[k];
		u32 mss = r->limits[RTAX_ADVMSS];
		char line[160];

		if (r->family != AF_INET || r->table != RT_TABLE_MAIN || r->type == RTN_BROADCAST ||
		    r->type == RTN_MULTICAST)
			continue;
		snprintf(line, sizeof(line), "%s\t%08X\t%08X\t%04X\t%d\t%u\t%u\t%08X\t%u\t%u\t%u",
		         r->dev ? LO_NAME : "*", ip_v4(&r->dst), r->has_via ? ip_v4(&r->via) : 0,
		         RTF_UP | (r->has_via ? RTF_GATEWAY : 0) | (r->plen == 32 ? RTF_HOST : 0) |
		                 (is_error(r) ? RTF_REJECT : 0),
		         0, 0, r->metric, r->plen ? htonl(~0u << (32 - r->plen)) : 0,
		         mss ? mss + 40 : 0, r->limits[RTAX_WINDOW], r->limits[RTAX_RTT] >> 3);
		text_printf(t, "%-127s\n", line);
	}
	return 0;
}

static void put6(struct text *t, const struct ipaddr *a)
{
	for (unsigned i = 0; i < sizeof(a->b); i++)
		text_printf(t, "%02x", a->b[i]);
}

static void line6(struct text *t, const struct ipaddr *dst, u8 plen, const struct ipaddr *via,
                  u32 metric, u32 flags)
{
	put6(t, dst);
	text_printf(t, " %02x ", plen);
	put6(t, &ip_any6);
	text_printf(t, " 00 ");
	put6(t, via);
	text_printf(t, " %08x %08x %08x %08x %8s\n", metric, 1, 0, flags, LO_NAME);
}

static u32 flags6(const struct fib_route *r)
{
	if (r->type == RTN_LOCAL)
		return RTF_UP | NONEXTHOP | LOCAL;
	if (r->type != RTN_UNICAST)
		return RTF_REJECT | NONEXTHOP;
	return RTF_UP | (r->has_via ? RTF_GATEWAY : NONEXTHOP);
}

/* Each table ends with the entry that says that nothing more is known. */
PROC_SHOW(proc_net_ipv6_route)
{
	static const u32 tables[] = {RT_TABLE_MAIN, RT_TABLE_LOCAL};
	struct fib *f = fib_of(c);

	GUARD_READ(&f->lock);
	for (unsigned n = 0; n < ARRAY_SIZE(tables); n++) {
		for (u32 k = 0; k < f->n_routes; k++) {
			const struct fib_route *r = &f->routes[k];

			if (r->family == AF_INET6 && r->table == tables[n])
				line6(t, &r->dst, r->plen, r->has_via ? &r->via : &ip_any6,
				      r->metric, flags6(r));
		}
		line6(t, &ip_any6, 0, &ip_any6, ~0u, RTF_REJECT | NONEXTHOP);
	}
	return 0;
}

static u32 scope6(const struct ipaddr *a)
{
	return ip_equal(a, &ip_loop6) ? 0x10 : ip_is_linklocal(a) ? 0x20 : 0;
}

PROC_SHOW(proc_net_if_inet6)
{
	struct fib *f = fib_of(c);

	GUARD_READ(&f->lock);
	for (u32 k = 0; k < f->n_addrs; k++) {
		const struct lo_addr *a = &f->addrs[k];

		if (a->family != AF_INET6)
			continue;
		put6(t, &a->ip);
		text_printf(t, " %02x %02x %02x %02x %8s\n", LO_INDEX, a->plen, scope6(&a->ip),
		            a->flags & 0xff, LO_NAME);
	}
	return 0;
}
