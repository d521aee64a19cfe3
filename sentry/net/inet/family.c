/* socket(2) of AF_INET and AF_INET6. */
#include "sentry/auth/creds.h"
#include "sentry/net/inet/tcp.h"
#include "sentry/net/inet/udp.h"

#include <errno.h>
#include <linux/capability.h>

static int create(struct ctx *c, u16 family, int type, int protocol, struct sock **ret)
{
	int ping = family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	int r;

	if (protocol < 0 || protocol > IPPROTO_RAW)
		return protocol == 262 /* IPPROTO_MPTCP */ ? -EPROTONOSUPPORT : -EINVAL;
	switch (type) {
	case SOCK_STREAM:
		if (protocol != 0 && protocol != IPPROTO_TCP)
			return -EPROTONOSUPPORT;
		return tcp_create(c, family, ret);
	case SOCK_DGRAM:
		if (protocol == ping) {
			r = ping_may_create(c);
			return r < 0 ? r : udp_create(c, family, (u16)ping, ret);
		}
		if (protocol != 0 && protocol != IPPROTO_UDP)
			return -EPROTONOSUPPORT;
		return udp_create(c, family, IPPROTO_UDP, ret);
	case SOCK_RAW:
		if (protocol == 0)
			return -EPROTONOSUPPORT;
		return creds_capable(c->creds, CAP_NET_RAW) ? raw_create(c, family, protocol, ret)
		                                            : -EPERM;
	default:
		return -ESOCKTNOSUPPORT;
	}
}

static int create4(struct ctx *c, int type, int protocol, struct sock **ret)
{
	return create(c, AF_INET, type, protocol, ret);
}

static int create6(struct ctx *c, int type, int protocol, struct sock **ret)
{
	return create(c, AF_INET6, type, protocol, ret);
}

/* There are no packets: as for somebody without CAP_NET_RAW. */
static int create_packet(struct ctx *c, int type, int protocol, struct sock **ret)
{
	return -EPERM;
}

SOCKET_FAMILY(packet_family, .family = AF_PACKET, .create = create_packet);
SOCKET_FAMILY(inet_family, .family = AF_INET, .create = create4);
SOCKET_FAMILY(inet6_family, .family = AF_INET6, .create = create6);
