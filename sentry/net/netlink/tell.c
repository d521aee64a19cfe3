/* What other parts of the kernel say to a program through a netlink socket of its own. */
#include "sentry/net/netlink/netlink.h"
#include "state/base/bug.h"

#include <stdlib.h>
#include <string.h>

bool netlink_has_room(struct sock *sk)
{
	GUARD(&sk->lock);
	return ((struct netlink_sock *)sk)->queued <= (u64)sk->opts.rcvbuf;
}

void netlink_tell(struct sock *sk, const void *data, u32 len)
{
	struct netlink_sock *nl = (struct netlink_sock *)sk;
	u8 *copy = malloc(len + 1);
	struct nl_packet *p;

	BUG_ON(!copy);
	memcpy(copy, data, len);
	p = nl_packet_new(copy, len);
	mutex_lock(&sk->lock);
	nl_append(nl, p);
	mutex_unlock(&sk->lock);
	waitq_wake(&sk->rwait, READY_IN);
}
