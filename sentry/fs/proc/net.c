/* /proc/PID/net: its list of files, and what is not of the Internet protocols. */
#include "sentry/fs/proc/proc_net.h"
#include "sentry/kernel/kernel.h"
#include "sentry/net/netlink/netlink.h"
#include "sentry/net/unix.h"

static void unix_line(const char *line, void *t)
{
	text_printf(t, "%s\n", line);
}

static PROC_SHOW(show_unix)
{
	text_printf(t, "Num       RefCount Protocol Flags    Type St Inode Path\n");
	unix_list(c->kernel->netns, unix_line, t);
	return 0;
}

static PROC_SHOW(show_netlink)
{
	text_printf(t, "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    "
	               "Drops    Inode\n");
	netlink_list(c->kernel->netns, unix_line, t);
	return 0;
}

static PROC_SHOW(show_packet)
{
	text_printf(t, "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n");
	return 0;
}

static PROC_SHOW(show_ptype)
{
	text_printf(t, "Type Device      Function\n0800          ip_rcv\n86dd          ipv6_rcv\n");
	return 0;
}

static PROC_SHOW(show_arp)
{
	text_printf(t, "IP address       HW type     Flags       HW address            Mask     "
	               "Device\n");
	return 0;
}

static PROC_SHOW(show_nothing)
{
	return 0;
}

#define REG(n, fn)                                            \
	{                                                     \
		.name = n, .mode = S_IFREG | 0444, .show = fn \
	}
static const struct pseudo_entry net_entries[] = {
	REG("arp", show_arp),
	REG("dev", proc_net_dev),
	REG("dev_mcast", show_nothing),
	REG("icmp", proc_net_icmp),
	REG("icmp6", proc_net_icmp6),
	REG("if_inet6", proc_net_if_inet6),
	REG("igmp", proc_net_igmp),
	REG("igmp6", proc_net_igmp6),
	REG("ipv6_route", proc_net_ipv6_route),
	REG("netlink", show_netlink),
	REG("netstat", proc_net_netstat),
	REG("packet", show_packet),
	REG("ptype", show_ptype),
	REG("raw", proc_net_raw),
	REG("raw6", proc_net_raw6),
	REG("route", proc_net_route),
	REG("snmp", proc_net_snmp),
	REG("snmp6", proc_net_snmp6),
	REG("sockstat", proc_net_sockstat),
	REG("sockstat6", proc_net_sockstat6),
	REG("tcp", proc_net_tcp),
	REG("tcp6", proc_net_tcp6),
	REG("udp", proc_net_udp),
	REG("udp6", proc_net_udp6),
	REG("unix", show_unix),
};
PSEUDO_DIR(proc_net_dir, .id = "proc.net", PSEUDO_ENTRIES(net_entries), .alive = proc_task_alive);
