/* /proc/sys/net: settings, and a few facts. */
#include "sentry/auth/creds.h"
#include "sentry/fs/proc/proc_net.h"
#include "sentry/kernel/kernel.h"
#include "sentry/net/inet/ports.h"
#include "sentry/net/inet/tcp.h"
#include "sentry/net/socket.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
FACT(show_qdisc, "pfifo_fast\n")
FACT(show_tcp_mem, "%llu\t%llu\t%llu\n",
     (unsigned long long)heap_buffers_max(INET_MEM_MAX) / PAGE_SIZE / 2,
     (unsigned long long)heap_buffers_max(INET_MEM_MAX) / PAGE_SIZE * 3 / 4,
     (unsigned long long)heap_buffers_max(INET_MEM_MAX) / PAGE_SIZE)
FACT(show_congestion, "reno cubic\n")

/* ---- settings ---- */

/* n numbers between lo and hi, of at most three. */
static int parse(const char *s, s64 lo, s64 hi, unsigned n, s64 ret[3])
{
	long long v[3];
	char extra;
	int got = n == 3   ? sscanf(s, "%lld %lld %lld %c", &v[0], &v[1], &v[2], &extra)
	          : n == 2 ? sscanf(s, "%lld %lld %c", &v[0], &v[1], &extra)
	                   : sscanf(s, "%lld %c", &v[0], &extra);

	if (got != (int)n)
		return -EINVAL;
	for (unsigned k = 0; k < n; k++) {
		if (v[k] < lo || v[k] > hi)
			return -EINVAL;
		ret[k] = v[k];
	}
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
	s64 v[3];

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
	s64 v[3];

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
	s64 v[3];

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
	s64 v[3];

	if (!may_set(c))
		return -EPERM;
	if (parse(s, 1, 255, 1, v) < 0)
		return -EINVAL;
	WRITE_ONCE(ns_of(c)->default_ttl, (u32)v[0]);
	return (long)len;
}

/* Those of settings.h. */
PROC_SHOW(proc_sys_net_show)
{
	s32 v = net_setting_get(ns_of(c), i->key.entry->arg);

	/* That there is no bound is told as the largest number. */
	text_printf(t, i->key.entry->arg == NET_TCP_NOTSENT_LOWAT ? "%u\n" : "%d\n", v);
	return 0;
}

long proc_sys_net_store(struct pseudo_inode *i, struct ctx *c, char *s, size_t len)
{
	s64 v[3];
	int r;

	if (!may_set(c))
		return -EPERM;
	if (parse(s, INT32_MIN, UINT32_MAX, 1, v) < 0)
		return -EINVAL;
	if (i->key.entry->arg == NET_TCP_NOTSENT_LOWAT)
		v[0] = v[0] < 0 ? INT64_MAX : (s32)MIN(v[0], (s64)UINT32_MAX);
	r = net_setting_set(ns_of(c), i->key.entry->arg, v[0]);
	return r < 0 ? r : (long)len;
}

/* The smallest, what sockets begin with, the largest. */
static PROC_SHOW(show_three)
{
	const struct inet_ns *ns = ns_of(c);
	unsigned at = i->key.entry->arg;

	text_printf(t, "%d\t%d\t%d\n", net_setting_get(ns, at), net_setting_get(ns, at + 1),
	            net_setting_get(ns, at + 2));
	return 0;
}

static long store_three(struct pseudo_inode *i, struct ctx *c, char *s, size_t len)
{
	s64 v[3];

	if (!may_set(c))
		return -EPERM;
	if (parse(s, 1, INT32_MAX, 3, v) < 0)
		return -EINVAL;
	for (unsigned k = 0; k < 3; k++) {
		int r = net_setting_set(ns_of(c), i->key.entry->arg + k, v[k]);

		if (r < 0)
			return r;
	}
	return (long)len;
}

static PROC_SHOW(show_congestion_control)
{
	text_printf(t, "%s\n", net_setting_get(ns_of(c), NET_TCP_RENO) ? "reno" : "cubic");
	return 0;
}

static long store_congestion_control(struct pseudo_inode *i, struct ctx *c, char *s, size_t len)
{
	bool reno;

	if (!may_set(c))
		return -EPERM;
	s[strcspn(s, " \n")] = 0;
	reno = strcmp(s, "reno") == 0;
	if (!reno && strcmp(s, "cubic") != 0)
		return -ENOENT;
	return net_setting_set(ns_of(c), NET_TCP_RENO, reno) < 0 ? -EINVAL : (long)len;
}

static PROC_SHOW(show_reserved)
{
	char *list = ports_reserved_list(ns_of(c));

	text_printf(t, "%s\n", list);
	free(list);
	return 0;
}

static long store_reserved(struct pseudo_inode *i, struct ctx *c, char *s, size_t len)
{
	int r;

	if (!may_set(c))
		return -EPERM;
	s[strcspn(s, "\n")] = 0;
	r = ports_reserve(ns_of(c), s);
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
#define NUMBER(n, id)                                                         \
	{                                                                     \
		.name = n, .mode = S_IFREG | 0644, .show = proc_sys_net_show, \
		.store = proc_sys_net_store, .arg = NET_##id                  \
	}
#define THREE(n, id)                                                                         \
	{                                                                                    \
		.name = n, .mode = S_IFREG | 0644, .show = show_three, .store = store_three, \
		.arg = NET_##id                                                              \
	}
#define DIR_OF(n, d)                                           \
	{                                                      \
		.name = n, .mode = S_IFDIR | 0555, .dir = &(d) \
	}

static const struct pseudo_entry core_entries[] = {
	NUMBER("busy_poll", BUSY_POLL),         NUMBER("busy_read", BUSY_READ),
	REG("default_qdisc", show_qdisc),       NUMBER("netdev_max_backlog", NETDEV_MAX_BACKLOG),
	NUMBER("optmem_max", OPTMEM_MAX),       NUMBER("rmem_default", RMEM_DEFAULT),
	NUMBER("rmem_max", RMEM_MAX),           NUMBER("somaxconn", SOMAXCONN),
	NUMBER("wmem_default", WMEM_DEFAULT),   NUMBER("wmem_max", WMEM_MAX),
	NUMBER("netdev_budget", NETDEV_BUDGET), NUMBER("txrehash", TXREHASH),
};
PSEUDO_DIR(proc_sys_net_core, .id = "proc.sys.net.core", PSEUDO_ENTRIES(core_entries));

static const struct pseudo_entry ipv4_entries[] = {
	DIR_OF("conf", proc_sys_conf4),
	NUMBER("icmp_echo_ignore_all", ICMP_ECHO_IGNORE_ALL),
	NUMBER("icmp_echo_ignore_broadcasts", ICMP_ECHO_IGNORE_BROADCASTS),
	SETTING("ip_default_ttl", show_ttl, store_ttl),
	{.name = "ip_forward",
         .mode = S_IFREG | 0644,
         .show = proc_sys_net_show,
         .store = proc_sys_net_forward,
         .arg = NET_IP_FORWARD},
	SETTING("ip_local_port_range", show_port_range, store_port_range),
	SETTING("ip_local_reserved_ports", show_reserved, store_reserved),
	NUMBER("ip_nonlocal_bind", IP_NONLOCAL_BIND),
	SETTING("ip_unprivileged_port_start", show_unprivileged, store_unprivileged),
	SETTING("ping_group_range", show_ping_range, store_ping_range),
	NUMBER("tcp_abort_on_overflow", TCP_ABORT_ON_OVERFLOW),
	REG("tcp_allowed_congestion_control", show_congestion),
	REG("tcp_available_congestion_control", show_congestion),
	SETTING("tcp_congestion_control", show_congestion_control, store_congestion_control),
	NUMBER("tcp_ecn", TCP_ECN),
	NUMBER("tcp_fastopen", TCP_FASTOPEN),
	NUMBER("tcp_fin_timeout", TCP_FIN_TIMEOUT),
	NUMBER("tcp_keepalive_intvl", TCP_KEEPALIVE_INTVL),
	NUMBER("tcp_keepalive_probes", TCP_KEEPALIVE_PROBES),
	NUMBER("tcp_keepalive_time", TCP_KEEPALIVE_TIME),
	NUMBER("tcp_max_orphans", TCP_MAX_ORPHANS),
	NUMBER("tcp_max_syn_backlog", TCP_MAX_SYN_BACKLOG),
	NUMBER("tcp_max_tw_buckets", TCP_MAX_TW_BUCKETS),
	REG("tcp_mem", show_tcp_mem),
	NUMBER("tcp_moderate_rcvbuf", TCP_MODERATE_RCVBUF),
	NUMBER("tcp_mtu_probing", TCP_MTU_PROBING),
	NUMBER("tcp_no_metrics_save", TCP_NO_METRICS_SAVE),
	NUMBER("tcp_retries1", TCP_RETRIES1),
	NUMBER("tcp_retries2", TCP_RETRIES2),
	THREE("tcp_rmem", RMEM_TCP_MIN),
	NUMBER("tcp_sack", TCP_SACK),
	NUMBER("tcp_slow_start_after_idle", TCP_SLOW_START_AFTER_IDLE),
	NUMBER("tcp_syn_retries", TCP_SYN_RETRIES),
	NUMBER("tcp_synack_retries", TCP_SYNACK_RETRIES),
	NUMBER("tcp_syncookies", TCP_SYNCOOKIES),
	NUMBER("tcp_timestamps", TCP_TIMESTAMPS),
	NUMBER("tcp_tw_reuse", TCP_TW_REUSE),
	NUMBER("tcp_window_scaling", TCP_WINDOW_SCALING),
	THREE("tcp_wmem", WMEM_TCP_MIN),
	REG("udp_mem", show_tcp_mem),
	NUMBER("udp_rmem_min", UDP_RMEM_MIN),
	NUMBER("udp_wmem_min", UDP_WMEM_MIN),
	NUMBER("icmp_ratelimit", ICMP_RATELIMIT),
	NUMBER("ip_no_pmtu_disc", IP_NO_PMTU_DISC),
	NUMBER("tcp_adv_win_scale", TCP_ADV_WIN_SCALE),
	NUMBER("tcp_autocorking", TCP_AUTOCORKING),
	NUMBER("tcp_base_mss", TCP_BASE_MSS),
	NUMBER("tcp_dsack", TCP_DSACK),
	NUMBER("tcp_frto", TCP_FRTO),
	NUMBER("tcp_notsent_lowat", TCP_NOTSENT_LOWAT),
	NUMBER("tcp_orphan_retries", TCP_ORPHAN_RETRIES),
	NUMBER("tcp_recovery", TCP_RECOVERY),
	NUMBER("tcp_reordering", TCP_REORDERING),
	NUMBER("tcp_rfc1337", TCP_RFC1337),
	NUMBER("tcp_stdurg", TCP_STDURG),
	NUMBER("tcp_thin_linear_timeouts", TCP_THIN_LINEAR_TIMEOUTS),
	NUMBER("icmp_ignore_bogus_error_responses", ICMP_IGNORE_BOGUS),
	NUMBER("icmp_msgs_burst", ICMP_MSGS_BURST),
	NUMBER("icmp_msgs_per_sec", ICMP_MSGS_PER_SEC),
	NUMBER("icmp_ratemask", ICMP_RATEMASK),
	NUMBER("igmp_max_memberships", IGMP_MAX_MEMBERSHIPS),
	NUMBER("igmp_max_msf", IGMP_MAX_MSF),
	NUMBER("igmp_qrv", IGMP_QRV),
	NUMBER("ip_autobind_reuse", IP_AUTOBIND_REUSE),
	NUMBER("ip_dynaddr", IP_DYNADDR),
	NUMBER("ip_early_demux", IP_EARLY_DEMUX),
	NUMBER("ip_forward_use_pmtu", IP_FORWARD_USE_PMTU),
	NUMBER("ipfrag_high_thresh", IPFRAG_HIGH),
	NUMBER("ipfrag_low_thresh", IPFRAG_LOW),
	NUMBER("ipfrag_max_dist", IPFRAG_MAX_DIST),
	NUMBER("ipfrag_time", IPFRAG_TIME),
	NUMBER("tcp_app_win", TCP_APP_WIN),
	NUMBER("tcp_challenge_ack_limit", TCP_CHALLENGE_ACK_LIMIT),
	NUMBER("tcp_early_demux", TCP_EARLY_DEMUX),
	NUMBER("tcp_early_retrans", TCP_EARLY_RETRANS),
	NUMBER("tcp_ecn_fallback", TCP_ECN_FALLBACK),
	NUMBER("tcp_fastopen_blackhole_timeout_sec", TCP_FASTOPEN_BLACKHOLE),
	NUMBER("tcp_fwmark_accept", TCP_FWMARK_ACCEPT),
	NUMBER("tcp_invalid_ratelimit", TCP_INVALID_RATELIMIT),
	NUMBER("tcp_limit_output_bytes", TCP_LIMIT_OUTPUT),
	NUMBER("tcp_max_reordering", TCP_MAX_REORDERING),
	NUMBER("tcp_min_rtt_wlen", TCP_MIN_RTT_WLEN),
	NUMBER("tcp_min_snd_mss", TCP_MIN_SND_MSS),
	NUMBER("tcp_min_tso_segs", TCP_MIN_TSO_SEGS),
	NUMBER("tcp_mtu_probe_floor", TCP_MTU_PROBE_FLOOR),
	NUMBER("tcp_no_ssthresh_metrics_save", TCP_NO_SSTHRESH),
	NUMBER("tcp_pacing_ca_ratio", TCP_PACING_CA),
	NUMBER("tcp_pacing_ss_ratio", TCP_PACING_SS),
	NUMBER("tcp_probe_interval", TCP_PROBE_INTERVAL),
	NUMBER("tcp_probe_threshold", TCP_PROBE_THRESHOLD),
	NUMBER("tcp_retrans_collapse", TCP_RETRANS_COLLAPSE),
	NUMBER("tcp_tso_win_divisor", TCP_TSO_WIN_DIVISOR),
	NUMBER("tcp_workaround_signed_windows", TCP_SIGNED_WINDOWS),
	NUMBER("udp_early_demux", UDP_EARLY_DEMUX),
	NUMBER("fwmark_reflect", FWMARK_REFLECT),
	DIR_OF("neigh", proc_sys_neigh4),
	DIR_OF("route", proc_sys_route4),
};
PSEUDO_DIR(proc_sys_net_ipv4, .id = "proc.sys.net.ipv4", PSEUDO_ENTRIES(ipv4_entries));

static const struct pseudo_entry ipv6_entries[] = {
	NUMBER("bindv6only", BINDV6ONLY),
	DIR_OF("conf", proc_sys_conf6),
	NUMBER("ip_nonlocal_bind", IP6_NONLOCAL_BIND),
	DIR_OF("icmp", proc_sys_icmp6),
	DIR_OF("neigh", proc_sys_neigh6),
	DIR_OF("route", proc_sys_route6),
	NUMBER("auto_flowlabels", AUTO_FLOWLABELS),
	NUMBER("ip6frag_time", IP6FRAG_TIME),
	NUMBER("flowlabel_consistency", FLOWLABEL_CONSISTENCY),
};
PSEUDO_DIR(proc_sys_net_ipv6, .id = "proc.sys.net.ipv6", PSEUDO_ENTRIES(ipv6_entries));

static const struct pseudo_entry unix_entries[] = {NUMBER("max_dgram_qlen", UNIX_DGRAM_QLEN)};
PSEUDO_DIR(proc_sys_net_unix, .id = "proc.sys.net.unix", PSEUDO_ENTRIES(unix_entries));

static const struct pseudo_entry net_entries[] = {
	DIR_OF("core", proc_sys_net_core),
	DIR_OF("ipv4", proc_sys_net_ipv4),
	DIR_OF("ipv6", proc_sys_net_ipv6),
	DIR_OF("unix", proc_sys_net_unix),
};
PSEUDO_DIR(proc_sys_net, .id = "proc.sys.net", PSEUDO_ENTRIES(net_entries));
