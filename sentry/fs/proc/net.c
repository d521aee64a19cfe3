/* /proc/PID/net: the tables of a system that has its loopback and nothing else. */
#include "sentry/fs/proc/proc.h"
#include "sentry/kernel/kernel.h"
#include "sentry/net/unix.h"

static PROC_SHOW(show_dev)
{
	text_printf(
		t,
		"Inter-|   Receive                                                |  Transmit\n"
		" face |bytes    packets errs drop fifo frame compressed multicast|bytes    "
		"packets errs drop fifo colls carrier compressed\n"
		"    lo:       0       0    0    0    0     0          0         0        0       "
		"0    0    0    0     0       0          0\n");
	return 0;
}

static PROC_SHOW(show_tcp)
{
	text_printf(t,
	            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   "
	            "uid  timeout inode                                                     \n");
	return 0;
}

static PROC_SHOW(show_tcp6)
{
	text_printf(t,
	            "  sl  local_address                         remote_address                    "
	            "    st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n");
	return 0;
}

static PROC_SHOW(show_udp)
{
	text_printf(t,
	            "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt  "
	            " uid  timeout inode ref pointer drops             \n");
	return 0;
}

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

static PROC_SHOW(show_route)
{
	text_printf(
		t, "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\t"
		   "IRTT                                                       \n");
	return 0;
}

static PROC_SHOW(show_arp)
{
	text_printf(t, "IP address       HW type     Flags       HW address            Mask     "
	               "Device\n");
	return 0;
}

static PROC_SHOW(show_if_inet6)
{
	text_printf(t, "00000000000000000000000000000001 01 80 10 80       lo\n");
	return 0;
}

#define REG(n, fn)                                            \
	{                                                     \
		.name = n, .mode = S_IFREG | 0444, .show = fn \
	}
static const struct pseudo_entry net_entries[] = {
	REG("arp", show_arp),   REG("dev", show_dev),     REG("if_inet6", show_if_inet6),
	REG("raw", show_udp),   REG("route", show_route), REG("tcp", show_tcp),
	REG("tcp6", show_tcp6), REG("udp", show_udp),     REG("udp6", show_tcp6),
	REG("unix", show_unix),
};
PSEUDO_DIR(proc_net_dir, .id = "proc.net", PSEUDO_ENTRIES(net_entries), .alive = proc_task_alive);
