/* /proc/PID/net: the multicast groups that lo is in. */
#include "sentry/fs/proc/proc_net.h"
#include "sentry/kernel/kernel.h"
#include "sentry/net/inet/ports.h"

static void count(const struct ipaddr *group, u32 users, void *arg)
{
	(void)group;
	(void)users;
	++*(u32 *)arg;
}

static void line4(const struct ipaddr *group, u32 users, void *t)
{
	text_printf(t, "\t\t\t\t%08X %5u 0:00000000\t\t0\n", ip_v4(group), users);
}

/* All hosts' is there without anybody. */
PROC_SHOW(proc_net_igmp)
{
	struct inet_ns *ns = c->kernel->netns->inet;
	u32 n = 1;

	mc_groups_list(ns, false, count, &n);
	text_printf(t,
	            "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"
	            "%d\t%-10s: %5u      V3\n",
	            LO_INDEX, LO_NAME, n);
	mc_groups_list(ns, false, line4, t);
	text_printf(t, "\t\t\t\t%08X %5u 0:00000000\t\t0\n", htonl(INADDR_ALLHOSTS_GROUP), 1);
	return 0;
}

static void line6(const struct ipaddr *group, u32 users, void *t)
{
	text_printf(t, "%-4d %-15s ", LO_INDEX, LO_NAME);
	for (unsigned i = 0; i < sizeof(group->b); i++)
		text_printf(t, "%02x", group->b[i]);
	/* Told to routers, or not worth telling. */
	text_printf(t, " %5u %08X 0\n", users,
	            group->b[15] != 1 || group->b[1] > 2 ? 4
	            : group->b[1] == 2                   ? 0xc
	                                                 : 8);
}

PROC_SHOW(proc_net_igmp6)
{
	static const struct ipaddr nodes[] = {{{0xff, 2, [15] = 1}}, {{0xff, 1, [15] = 1}}};

	mc_groups_list(c->kernel->netns->inet, true, line6, t);
	for (unsigned k = 0; k < ARRAY_SIZE(nodes); k++)
		line6(&nodes[k], 1, t);
	return 0;
}
