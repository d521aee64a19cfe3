#pragma once
/*
 * Settings of a network that are one number: /proc/sys/net. Those about the wire change nothing
 * here, but are kept for who sets and reads them.
 *
 * Locking: written by root, read without a lock. Lifetime, saved: in struct inet_ns, by name.
 */
#include "state/base/types.h"

/* X(id, name, default, smallest, largest) */
/* clang-format off */
#define NET_SETTINGS(X) \
	X(BUSY_POLL, "busy_poll", 0, 0, INT32_MAX) \
	X(BUSY_READ, "busy_read", 0, 0, INT32_MAX) \
	X(NETDEV_BUDGET, "netdev_budget", 300, 0, INT32_MAX) \
	X(NETDEV_MAX_BACKLOG, "netdev_max_backlog", 1000, 0, INT32_MAX) \
	X(SOMAXCONN, "somaxconn", 4096, 0, 65535) \
	X(ICMP_ECHO_IGNORE_ALL, "icmp_echo_ignore_all", 0, 0, 1) \
	X(ICMP_ECHO_IGNORE_BROADCASTS, "icmp_echo_ignore_broadcasts", 1, 0, 1) \
	X(ICMP_RATELIMIT, "icmp_ratelimit", 1000, 0, INT32_MAX) \
	X(IP_FORWARD, "ip_forward", 0, 0, 1) \
	X(IP_NO_PMTU_DISC, "ip_no_pmtu_disc", 0, 0, 3) \
	X(IP_NONLOCAL_BIND, "ip_nonlocal_bind", 0, 0, 1) \
	X(TCP_ABORT_ON_OVERFLOW, "tcp_abort_on_overflow", 0, 0, 1) \
	X(TCP_ADV_WIN_SCALE, "tcp_adv_win_scale", 1, -31, 31) \
	X(TCP_AUTOCORKING, "tcp_autocorking", 1, 0, 1) \
	X(TCP_BASE_MSS, "tcp_base_mss", 1024, 0, INT32_MAX) \
	X(TCP_DSACK, "tcp_dsack", 1, 0, 1) \
	X(TCP_ECN, "tcp_ecn", 2, 0, 2) \
	X(TCP_FASTOPEN, "tcp_fastopen", 1, 0, INT32_MAX) \
	X(TCP_FIN_TIMEOUT, "tcp_fin_timeout", 60, 0, INT32_MAX) \
	X(TCP_FRTO, "tcp_frto", 2, 0, 2) \
	X(TCP_KEEPALIVE_INTVL, "tcp_keepalive_intvl", 75, 1, 32767) \
	X(TCP_KEEPALIVE_PROBES, "tcp_keepalive_probes", 9, 1, 127) \
	X(TCP_KEEPALIVE_TIME, "tcp_keepalive_time", 7200, 1, 32767) \
	X(TCP_MAX_ORPHANS, "tcp_max_orphans", 8192, 0, INT32_MAX) \
	X(TCP_MAX_SYN_BACKLOG, "tcp_max_syn_backlog", 4096, 0, INT32_MAX) \
	X(TCP_MAX_TW_BUCKETS, "tcp_max_tw_buckets", 8192, 0, INT32_MAX) \
	X(TCP_MODERATE_RCVBUF, "tcp_moderate_rcvbuf", 1, 0, 1) \
	X(TCP_MTU_PROBING, "tcp_mtu_probing", 0, 0, 2) \
	X(TCP_NO_METRICS_SAVE, "tcp_no_metrics_save", 0, 0, 1) \
	X(TCP_NOTSENT_LOWAT, "tcp_notsent_lowat", -1, -1, INT32_MAX) \
	X(TCP_ORPHAN_RETRIES, "tcp_orphan_retries", 0, 0, 255) \
	X(TCP_RECOVERY, "tcp_recovery", 1, 0, 255) \
	X(TCP_REORDERING, "tcp_reordering", 3, 1, INT32_MAX) \
	X(TCP_RETRIES1, "tcp_retries1", 3, 0, 255) \
	X(TCP_RETRIES2, "tcp_retries2", 15, 8, 255) \
	X(TCP_RFC1337, "tcp_rfc1337", 0, 0, 1) \
	X(TCP_SACK, "tcp_sack", 1, 0, 1) \
	X(TCP_SLOW_START_AFTER_IDLE, "tcp_slow_start_after_idle", 1, 0, 1) \
	X(TCP_STDURG, "tcp_stdurg", 0, 0, 1) \
	X(TCP_SYN_RETRIES, "tcp_syn_retries", 6, 1, 127) \
	X(TCP_SYNACK_RETRIES, "tcp_synack_retries", 5, 0, 255) \
	X(TCP_SYNCOOKIES, "tcp_syncookies", 1, 0, 2) \
	X(TCP_THIN_LINEAR_TIMEOUTS, "tcp_thin_linear_timeouts", 0, 0, 1) \
	X(TCP_TIMESTAMPS, "tcp_timestamps", 1, 0, 2) \
	X(TCP_TW_REUSE, "tcp_tw_reuse", 2, 0, 2) \
	X(TCP_WINDOW_SCALING, "tcp_window_scaling", 1, 0, 1) \
	X(UDP_RMEM_MIN, "udp_rmem_min", 4096, 1, INT32_MAX) \
	X(UDP_WMEM_MIN, "udp_wmem_min", 4096, 1, INT32_MAX) \
	X(AUTO_FLOWLABELS, "auto_flowlabels", 1, 0, 3) \
	X(BINDV6ONLY, "bindv6only", 0, 0, 1) \
	X(IP6FRAG_TIME, "ip6frag_time", 60, 0, INT32_MAX) \
	X(FLOWLABEL_CONSISTENCY, "flowlabel_consistency", 1, 0, 1)
/* clang-format on */

enum net_setting {
#define X(id, name, def, lo, hi) NET_##id,
	NET_SETTINGS(X)
#undef X
	NET_SETTING_N
};

struct inet_ns;

void net_settings_init(struct inet_ns *ns);
/* -1: there is none of that name. */
int net_setting_find(const char *name);
s32 net_setting_get(const struct inet_ns *ns, unsigned which);
/* -EINVAL: it is out of range. */
MUST_CHECK int net_setting_set(struct inet_ns *ns, unsigned which, s64 v);
