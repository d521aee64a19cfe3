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
FACT(show_10, "10\n")
FACT(show_20, "20\n")
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

static PROC_SHOW(show_lo_mtu)
{
	text_printf(t, "%u\n", fib_mtu(ns_of(c)));
	return 0;
}

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

/* Those of settings.h, by their names. */
static PROC_SHOW(show_number)
{
	int which = net_setting_find(i->key.entry->name);

	text_printf(t, "%d\n", which < 0 ? 0 : net_setting_get(ns_of(c), (unsigned)which));
	return 0;
}

static long store_number(struct pseudo_inode *i, struct ctx *c, char *s, size_t len)
{
	int which = net_setting_find(i->key.entry->name), r;
	s64 v[2];

	if (!may_set(c))
		return -EPERM;
	if (which < 0 || parse(s, INT32_MIN, INT32_MAX, 1, v) < 0)
		return -EINVAL;
	r = net_setting_set(ns_of(c), (unsigned)which, v[0]);
	return r < 0 ? r : (long)len;
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
#define NUMBER(n) SETTING(n, show_number, store_number)
#define DIR_OF(n, d)                                           \
	{                                                      \
		.name = n, .mode = S_IFDIR | 0555, .dir = &(d) \
	}

static const struct pseudo_entry core_entries[] = {
	NUMBER("busy_poll"),
	NUMBER("busy_read"),
	REG("default_qdisc", show_qdisc),
	NUMBER("netdev_max_backlog"),
	REG("optmem_max", show_optmem),
	REG("rmem_default", show_mem_max),
	REG("rmem_max", show_mem_max),
	NUMBER("somaxconn"),
	REG("wmem_default", show_mem_max),
	REG("wmem_max", show_mem_max),
	NUMBER("netdev_budget"),
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
	NUMBER("icmp_echo_ignore_all"),
	NUMBER("icmp_echo_ignore_broadcasts"),
	REG("igmp_max_memberships", show_20),
	SETTING("ip_default_ttl", show_ttl, store_ttl),
	NUMBER("ip_forward"),
	SETTING("ip_local_port_range", show_port_range, store_port_range),
	REG("ip_local_reserved_ports", show_nothing),
	NUMBER("ip_nonlocal_bind"),
	SETTING("ip_unprivileged_port_start", show_unprivileged, store_unprivileged),
	SETTING("ping_group_range", show_ping_range, store_ping_range),
	NUMBER("tcp_abort_on_overflow"),
	REG("tcp_allowed_congestion_control", show_congestion),
	REG("tcp_available_congestion_control", show_congestion),
	REG("tcp_congestion_control", show_cubic),
	NUMBER("tcp_ecn"),
	NUMBER("tcp_fastopen"),
	NUMBER("tcp_fin_timeout"),
	NUMBER("tcp_keepalive_intvl"),
	NUMBER("tcp_keepalive_probes"),
	NUMBER("tcp_keepalive_time"),
	NUMBER("tcp_max_orphans"),
	NUMBER("tcp_max_syn_backlog"),
	NUMBER("tcp_max_tw_buckets"),
	REG("tcp_mem", show_tcp_mem),
	NUMBER("tcp_moderate_rcvbuf"),
	NUMBER("tcp_mtu_probing"),
	NUMBER("tcp_no_metrics_save"),
	NUMBER("tcp_retries1"),
	NUMBER("tcp_retries2"),
	REG("tcp_rmem", show_tcp_rmem),
	NUMBER("tcp_sack"),
	NUMBER("tcp_slow_start_after_idle"),
	NUMBER("tcp_syn_retries"),
	NUMBER("tcp_synack_retries"),
	NUMBER("tcp_syncookies"),
	NUMBER("tcp_timestamps"),
	NUMBER("tcp_tw_reuse"),
	NUMBER("tcp_window_scaling"),
	REG("tcp_wmem", show_tcp_wmem),
	REG("udp_mem", show_tcp_mem),
	NUMBER("udp_rmem_min"),
	NUMBER("udp_wmem_min"),
	NUMBER("icmp_ratelimit"),
	NUMBER("ip_no_pmtu_disc"),
	NUMBER("tcp_adv_win_scale"),
	NUMBER("tcp_autocorking"),
	NUMBER("tcp_base_mss"),
	NUMBER("tcp_dsack"),
	NUMBER("tcp_frto"),
	NUMBER("tcp_notsent_lowat"),
	NUMBER("tcp_orphan_retries"),
	NUMBER("tcp_recovery"),
	NUMBER("tcp_reordering"),
	NUMBER("tcp_rfc1337"),
	NUMBER("tcp_stdurg"),
	NUMBER("tcp_thin_linear_timeouts"),
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
	NUMBER("bindv6only"),      DIR_OF("conf", proc_sys_conf6), REG("ip_nonlocal_bind", show_0),
	NUMBER("auto_flowlabels"), NUMBER("ip6frag_time"),         NUMBER("flowlabel_consistency"),
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
