/* The sockets as /proc/net/netlink shows them. */
#include "sentry/net/netlink/netlink.h"
#include "state/base/cleanup.h"

#include <stdio.h>

void netlink_list(struct netns *ns, void (*fn)(const char *line, void *arg), void *arg)
{
	const struct netlink_sock *nl;
	char line[128];

	if (!ns->inet)
		return;
	GUARD_READ(&ns->inet->lock);
	LIST_FOREACH (nl, &ns->inet->netlinks, link) {
		snprintf(line, sizeof(line),
		         "%016x %-3u %-10u %08x %-8d %-8d %-5d %-8u %-8u %-8llu", 0,
		         nl->sk.protocol, nl->portid, nl->groups, (int)nl->queued, 0, 0, 2, 0,
		         (unsigned long long)nl->sk.ino);
		fn(line, arg);
	}
}
