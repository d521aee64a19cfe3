/* SIOCGIF* (netdevice(7)): what there is to say about lo. */
#include "sentry/net/netdev.h"

#include "sentry/auth/creds.h"
#include "sentry/mm/usercopy.h"
#include "sentry/net/inet/addr.h"

#include <linux/capability.h>
#include <linux/ethtool.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>

static void put_addr(struct sockaddr *sa, u32 addr)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(addr)};

	memcpy(sa, &in, sizeof(in));
}

/* struct ifconf of a 64-bit program. */
struct k_ifconf {
	s32 len, pad;
	u64 buf;
};

static int ifconf(struct ctx *c, uaddr_t arg)
{
	struct k_ifconf ic;
	struct ifreq ifr = {0};
	int r = user_get(c, arg, &ic);

	if (r < 0)
		return r;
	strcpy(ifr.ifr_name, LO_NAME);
	put_addr(&ifr.ifr_addr, INADDR_LOOPBACK);
	if (ic.buf == 0) {
		ic.len = sizeof(ifr);
	} else if (ic.len >= (s32)sizeof(ifr)) {
		r = user_put(c, UADDR(ic.buf), &ifr);
		if (r < 0)
			return r;
		ic.len = sizeof(ifr);
	} else {
		ic.len = 0;
	}
	return user_put(c, arg, &ic);
}

static int one_interface(u32 cmd, struct ifreq *ifr)
{
	switch (cmd) {
	case SIOCGIFADDR:
		put_addr(&ifr->ifr_addr, INADDR_LOOPBACK);
		return 0;
	case SIOCGIFDSTADDR:
		put_addr(&ifr->ifr_dstaddr, INADDR_LOOPBACK);
		return 0;
	case SIOCGIFBRDADDR:
		put_addr(&ifr->ifr_broadaddr, INADDR_ANY);
		return 0;
	case SIOCGIFNETMASK:
		put_addr(&ifr->ifr_netmask, 0xff000000);
		return 0;
	case SIOCGIFFLAGS:
		ifr->ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING;
		return 0;
	case SIOCGIFMETRIC:
		ifr->ifr_metric = 0;
		return 0;
	case SIOCGIFMTU:
		ifr->ifr_mtu = LO_MTU;
		return 0;
	case SIOCGIFINDEX:
		ifr->ifr_ifindex = LO_INDEX;
		return 0;
	case SIOCGIFTXQLEN:
		ifr->ifr_qlen = 1000;
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

/* lo is up and stays as it is: what asks for just that is done. */
static int set_flags(struct ctx *c, uaddr_t arg)
{
	struct ifreq ifr;
	int r = user_get(c, arg, &ifr);

	if (r < 0)
		return r;
	if (!creds_capable(c->creds, CAP_NET_ADMIN))
		return -EPERM;
	ifr.ifr_name[IFNAMSIZ - 1] = 0;
	if (strcmp(ifr.ifr_name, LO_NAME) != 0)
		return -ENODEV;
	return (ifr.ifr_flags & (IFF_UP | IFF_PROMISC | IFF_ALLMULTI | IFF_NOARP)) == IFF_UP
	               ? 0
	               : -EOPNOTSUPP;
}

/* What lo has of an Ethernet card. */
static int ethtool(struct ctx *c, uaddr_t arg)
{
	struct ethtool_ts_info ts = {
		.cmd = ETHTOOL_GET_TS_INFO,
		.so_timestamping = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE,
		.phc_index = -1,
	};
	struct ethtool_drvinfo drv = {.cmd = ETHTOOL_GDRVINFO, .driver = "loopback"};
	struct ethtool_value value = {.data = 1};
	struct ifreq ifr;
	uaddr_t data;
	int r = user_get(c, arg, &ifr);

	if (r < 0)
		return r;
	ifr.ifr_name[IFNAMSIZ - 1] = 0;
	if (strcmp(ifr.ifr_name, LO_NAME) != 0)
		return -ENODEV;
	data = UADDR((uintptr_t)ifr.ifr_data);
	r = user_get_u32(c, data, &value.cmd);
	if (r < 0)
		return r;
	switch (value.cmd) {
	case ETHTOOL_GET_TS_INFO:
		return user_put(c, data, &ts);
	case ETHTOOL_GDRVINFO:
		return user_put(c, data, &drv);
	case ETHTOOL_GLINK:
		return user_put(c, data, &value);
	default:
		return -EOPNOTSUPP;
	}
}

long netdev_ioctl(struct ctx *c, u32 cmd, u64 arg)
{
	struct ifreq ifr;
	int r;

	switch (cmd) {
	case SIOCGIFCONF:
		return ifconf(c, UADDR(arg));
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
		ifr.ifr_name[IFNAMSIZ - 1] = 0;
		if (strcmp(ifr.ifr_name, LO_NAME) != 0)
			return -ENODEV;
		r = one_interface(cmd, &ifr);
		return r < 0 ? r : user_put(c, UADDR(arg), &ifr);
	case SIOCETHTOOL:
		return ethtool(c, UADDR(arg));
	case SIOCSIFFLAGS:
		return set_flags(c, UADDR(arg));
	case SIOCSIFADDR:
	case SIOCSIFNETMASK:
	case SIOCSIFMTU:
	case SIOCSIFHWADDR:
	case SIOCSIFTXQLEN:
	case SIOCSIFNAME:
	case SIOCADDRT:
	case SIOCDELRT:
		return creds_capable(c->creds, CAP_NET_ADMIN) ? -EOPNOTSUPP : -EPERM;
	default:
		return -ENOTTY;
	}
}
