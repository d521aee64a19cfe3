/* /proc/sys/net: facts, and the few settings that mean something here. */
#include "sentry/auth/creds.h"
#include "sentry/fs/proc/proc_net.h"
#include "sentry/kernel/kernel.h"
#include "sentry/net/inet/ports.h"
#include "sentry/net/inet/tcp.h"
#include "sentry/net/socket.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>

static struct inet_ns *ns_of(struct ctx *c)
{
	return c->kernel->netns->inet;
}

#define FACT(fn, ...)                        \
	static PROC_SHOW(fn)                 \
	{                                    \
		text_printf(t, __VA_ARGS__); \
		return 0;                    \
	}
FACT(show_0, "0\n")
FACT(show_1, "1\n")
FACT(show_2, "2\n")
FACT(show_3, "3\n")
FACT(show_5, "5\n")
FACT(show_6, "6\n")
FACT(show_9, "9\n")
FACT(show_10, "10\n")
FACT(show_15, "15\n")
FACT(show_20, "20\n")
FACT(show_60, "60\n")
FACT(show_75, "75\n")
FACT(show_1000, "1000\n")
FACT(show_4096, "4096\n")
FACT(show_7200, "7200\n")
FACT(show_8192, "8192\n")
FACT(show_somaxconn, "%d\n", SOCK_SOMAXCONN)
FACT(show_mem_max, "%d\n", SOCK_MEM_MAX)
FACT(show_optmem, "%d\n", SOCK_OPTMEM_MAX)
FACT(show_qdisc, "pfifo_fast\n")
FACT(show_tcp_rmem, "4096\t%d\t6291456\n", TCP_RCVBUF_DEFAULT)
FACT(show_tcp_wmem, "4096\t%d\t4194304\n", TCP_SNDBUF_DEFAULT)
FACT(show_tcp_mem, "%llu\t%llu\t%llu\n",
     (unsigned long long)heap_buffers_max(INET_MEM_MAX) / PAGE_SIZE / 2,
     (unsigned long long)heap_buffers_max(INET_MEM_MAX) / PAGE_SIZE * 3 / 4,
     (unsigned long long)heap_buffers_max(INET_MEM_MAX) / PAGE_SIZE)
FACT(show_cubic, "cubic\n")
FACT(show_congestion, "reno cubic\n")
FACT(show_nothing, "\n")
FACT(show_lo_mtu, "%u\n", LO_MTU)

/* ---- settings ---- */

/* One or two numbers between lo and hi. */
static int parse(const char *s, s64 lo, s64 hi, unsigned n, s64 ret[2])
{
	long long a, b = 0;
	char extra;
	int got = n == 2 ? sscanf(s, "%lld %lld %c", &a, &b, &extra)
	                 : sscanf(s, "%lld %c", &a, &extra);

	if (got != (int)n || a < lo || a > hi || (n == 2 && (b < lo || b > hi)))
		return -EINVAL;
	ret[0] = a;
	ret[1] = b;
	return 0;
}

static bool may_set(struct ctx *c)
{
	return creds_capable(c->creds, CAP_NET_ADMIN);
}

static PROC_SHOW(show_port_range)
{
	struct inet_ns *ns = ns_of(c);

	text_printf(t, "%u\t%u\n", ns->port_lo, ns->port_hi);
	return 0;
}

static long store_port_range(struct pseudo_inode *i, struct ctx *c, char *s, size_t len)
{
	struct inet_ns *ns = ns_of(c);
	s64 v[2];

	if (!may_set(c))
		return -EPERM;
	if (parse(s, 1, 65535, 2, v) < 0 || v[0] > v[1])
		return -EINVAL;
	GUARD_WRITE(&ns->lock);
	ns->port_lo = (u32)v[0];
	ns->port_hi = (u32)v[1];
	return (long)len;
}

static PROC_SHOW(show_unprivileged)
{
	text_printf(t, "%u\n", ns_of(c)->unprivileged_port);
	return 0;
}

static long store_unprivileged(struct pseudo_inode *i, struct ctx *c, char *s, size_t len)
{
	s64 v[2];

	if (!may_set(c))
		return -EPERM;
	if (parse(s, 0, 65535, 1, v) < 0)
		return -EINVAL;
	WRITE_ONCE(ns_of(c)->unprivileged_port, (u32)v[0]);
	return (long)len;
}

static PROC_SHOW(show_ping_range)
{
	text_printf(t, "%u\t%u\n", ns_of(c)->ping_lo, ns_of(c)->ping_hi);
	return 0;
}

static long store_ping_range(struct pseudo_inode *i, struct ctx *c, char *s, size_t len)
{
	struct inet_ns *ns = ns_of(c);
	s64 v[2];

	if (!may_set(c))
		return -EPERM;
	if (parse(s, 0, INT32_MAX, 2, v) < 0)
		return -EINVAL;
	GUARD_WRITE(&ns->lock);
	/* Backwards means nobody, as Linux writes it. */
	ns->ping_lo = v[0] <= v[1] ? (u32)v[0] : 1;
	ns->ping_hi = v[0] <= v[1] ? (u32)v[1] : 0;
	return (long)len;
}

static PROC_SHOW(show_ttl)
{
	text_printf(t, "%u\n", ns_of(c)->default_ttl);
	return 0;
}

static long store_ttl(struct pseudo_inode *i, struct ctx *c, char *s, size_t len)
{
	s64 v[2];

	if (!may_set(c))
		return -EPERM;
	if (parse(s, 1, 255, 1, v) < 0)
		return -EINVAL;
	WRITE_ONCE(ns_of(c)->default_ttl, (u32)v[0]);
	return (long)len;
}

/* ---- directories ---- */

#define REG(n, fn)                                            \
	{                                                     \
		.name = n, .mode = S_IFREG | 0444, .show = fn \
	}
#define SETTING(n, fn, to)                                                 \
	{                                                                  \
		.name = n, .mode = S_IFREG | 0644, .show = fn, .store = to \
	}
#define DIR_OF(n, d)                                           \
	{                                                      \
		.name = n, .mode = S_IFDIR | 0555, .dir = &(d) \
	}

static const struct pseudo_entry core_entries[] = {
	REG("busy_poll", show_0),          REG("busy_read", show_0),
	REG("default_qdisc", show_qdisc),  REG("netdev_max_backlog", show_1000),
	REG("optmem_max", show_optmem),    REG("rmem_default", show_mem_max),
	REG("rmem_max", show_mem_max),     REG("somaxconn", show_somaxconn),
	REG("wmem_default", show_mem_max), REG("wmem_max", show_mem_max),
};
PSEUDO_DIR(proc_sys_net_core, .id = "proc.sys.net.core", PSEUDO_ENTRIES(core_entries));

static const struct pseudo_entry conf4_entries[] = {
	REG("accept_redirects", show_1), REG("accept_source_route", show_0),
	REG("arp_ignore", show_0),       REG("disable_policy", show_1),
	REG("forwarding", show_0),       REG("rp_filter", show_0),
	REG("send_redirects", show_1),
};
PSEUDO_DIR(proc_sys_conf4_one, .id = "proc.sys.net.ipv4.conf.one", PSEUDO_ENTRIES(conf4_entries));
static const struct pseudo_entry conf4_dirs[] = {
	DIR_OF("all", proc_sys_conf4_one),
	DIR_OF("default", proc_sys_conf4_one),
	DIR_OF("lo", proc_sys_conf4_one),
};
PSEUDO_DIR(proc_sys_conf4, .id = "proc.sys.net.ipv4.conf", PSEUDO_ENTRIES(conf4_dirs));

static const struct pseudo_entry ipv4_entries[] = {
	DIR_OF("conf", proc_sys_conf4),
	REG("icmp_echo_ignore_all", show_0),
	REG("icmp_echo_ignore_broadcasts", show_1),
	REG("igmp_max_memberships", show_20),
	SETTING("ip_default_ttl", show_ttl, store_ttl),
	REG("ip_forward", show_0),
	SETTING("ip_local_port_range", show_port_range, store_port_range),
	REG("ip_local_reserved_ports", show_nothing),
	REG("ip_nonlocal_bind", show_0),
	SETTING("ip_unprivileged_port_start", show_unprivileged, store_unprivileged),
	SETTING("ping_group_range", show_ping_range, store_ping_range),
	REG("tcp_abort_on_overflow", show_0),
	REG("tcp_allowed_congestion_control", show_congestion),
	REG("tcp_available_congestion_control", show_congestion),
	REG("tcp_congestion_control", show_cubic),
	REG("tcp_ecn", show_2),
	REG("tcp_fastopen", show_1),
	REG("tcp_fin_timeout", show_60),
	REG("tcp_keepalive_intvl", show_75),
	REG("tcp_keepalive_probes", show_9),
	REG("tcp_keepalive_time", show_7200),
	REG("tcp_max_orphans", show_8192),
	REG("tcp_max_syn_backlog", show_4096),
	REG("tcp_max_tw_buckets", show_8192),
	REG("tcp_mem", show_tcp_mem),
	REG("tcp_moderate_rcvbuf", show_1),
	REG("tcp_mtu_probing", show_0),
	REG("tcp_no_metrics_save", show_0),
	REG("tcp_retries1", show_3),
	REG("tcp_retries2", show_15),
	REG("tcp_rmem", show_tcp_rmem),
	REG("tcp_sack", show_1),
	REG("tcp_slow_start_after_idle", show_1),
	REG("tcp_syn_retries", show_6),
	REG("tcp_synack_retries", show_5),
	REG("tcp_syncookies", show_1),
	REG("tcp_timestamps", show_1),
	REG("tcp_tw_reuse", show_2),
	REG("tcp_window_scaling", show_1),
	REG("tcp_wmem", show_tcp_wmem),
	REG("udp_mem", show_tcp_mem),
	REG("udp_rmem_min", show_4096),
	REG("udp_wmem_min", show_4096),
};
PSEUDO_DIR(proc_sys_net_ipv4, .id = "proc.sys.net.ipv4", PSEUDO_ENTRIES(ipv4_entries));

static const struct pseudo_entry conf6_entries[] = {
	REG("accept_dad", show_0),   REG("accept_ra", show_0),  REG("autoconf", show_1),
	REG("disable_ipv6", show_0), REG("forwarding", show_0), REG("mtu", show_lo_mtu),
	REG("use_tempaddr", show_0),
};
PSEUDO_DIR(proc_sys_conf6_one, .id = "proc.sys.net.ipv6.conf.one", PSEUDO_ENTRIES(conf6_entries));
static const struct pseudo_entry conf6_dirs[] = {
	DIR_OF("all", proc_sys_conf6_one),
	DIR_OF("default", proc_sys_conf6_one),
	DIR_OF("lo", proc_sys_conf6_one),
};
PSEUDO_DIR(proc_sys_conf6, .id = "proc.sys.net.ipv6.conf", PSEUDO_ENTRIES(conf6_dirs));
static const struct pseudo_entry ipv6_entries[] = {
	REG("bindv6only", show_0),
	DIR_OF("conf", proc_sys_conf6),
	REG("ip_nonlocal_bind", show_0),
};
PSEUDO_DIR(proc_sys_net_ipv6, .id = "proc.sys.net.ipv6", PSEUDO_ENTRIES(ipv6_entries));

static const struct pseudo_entry unix_entries[] = {REG("max_dgram_qlen", show_10)};
PSEUDO_DIR(proc_sys_net_unix, .id = "proc.sys.net.unix", PSEUDO_ENTRIES(unix_entries));

static const struct pseudo_entry net_entries[] = {
	DIR_OF("core", proc_sys_net_core),
	DIR_OF("ipv4", proc_sys_net_ipv4),
	DIR_OF("ipv6", proc_sys_net_ipv6),
	DIR_OF("unix", proc_sys_net_unix),
};
PSEUDO_DIR(proc_sys_net, .id = "proc.sys.net", PSEUDO_ENTRIES(net_entries));
