#pragma once
/*
 * Settings of a network that are one number: /proc/sys/net. Those about the wire change nothing
 * here, but are kept for who sets and reads them.
 *
 * Locking: written by root, read without a lock. Lifetime, saved: in struct inet_ns, by name.
 */
#include "sentry/net/socket.h"
#include "state/base/types.h"

/* What TCP sockets begin with. */
#define TCP_RCVBUF_DEFAULT 131072
#define TCP_SNDBUF_DEFAULT 16384

/* Of all interfaces, of those to come, and of lo: Y(X, family, id, name, default of each) */
/* clang-format off */
#define NET_CONF4(Y, X) \
	Y(X, 4, ACCEPT_LOCAL, "accept_local", 0, 0, 0) \
	Y(X, 4, ACCEPT_REDIRECTS, "accept_redirects", 1, 1, 1) \
	Y(X, 4, ACCEPT_SOURCE_ROUTE, "accept_source_route", 0, 1, 1) \
	Y(X, 4, ARP_ACCEPT, "arp_accept", 0, 0, 0) \
	Y(X, 4, ARP_ANNOUNCE, "arp_announce", 0, 0, 0) \
	Y(X, 4, ARP_FILTER, "arp_filter", 0, 0, 0) \
	Y(X, 4, ARP_IGNORE, "arp_ignore", 0, 0, 0) \
	Y(X, 4, ARP_NOTIFY, "arp_notify", 0, 0, 0) \
	Y(X, 4, DISABLE_POLICY, "disable_policy", 0, 0, 1) \
	Y(X, 4, DISABLE_XFRM, "disable_xfrm", 0, 0, 1) \
	Y(X, 4, LOG_MARTIANS, "log_martians", 0, 0, 0) \
	Y(X, 4, MEDIUM_ID, "medium_id", 0, 0, 0) \
	Y(X, 4, PROXY_ARP, "proxy_arp", 0, 0, 0) \
	Y(X, 4, ROUTE_LOCALNET, "route_localnet", 0, 0, 0) \
	Y(X, 4, RP_FILTER, "rp_filter", 0, 0, 0) \
	Y(X, 4, SECURE_REDIRECTS, "secure_redirects", 1, 1, 1) \
	Y(X, 4, SEND_REDIRECTS, "send_redirects", 1, 1, 1) \
	Y(X, 4, SHARED_MEDIA, "shared_media", 1, 1, 1) \
	Y(X, 4, SRC_VALID_MARK, "src_valid_mark", 0, 0, 0)
#define NET_CONF6(Y, X) \
	Y(X, 6, ACCEPT_DAD, "accept_dad", 0, 1, -1) \
	Y(X, 6, ACCEPT_RA, "accept_ra", 1, 1, 1) \
	Y(X, 6, ACCEPT_RA_DEFRTR, "accept_ra_defrtr", 1, 1, 1) \
	Y(X, 6, ACCEPT_REDIRECTS, "accept_redirects", 1, 1, 1) \
	Y(X, 6, ACCEPT_SOURCE_ROUTE, "accept_source_route", 0, 0, 0) \
	Y(X, 6, ADDR_GEN_MODE, "addr_gen_mode", 0, 0, 0) \
	Y(X, 6, AUTOCONF, "autoconf", 1, 1, 1) \
	Y(X, 6, DAD_TRANSMITS, "dad_transmits", 1, 1, 1) \
	Y(X, 6, FORWARDING, "forwarding", 0, 0, 0) \
	Y(X, 6, HOP_LIMIT, "hop_limit", 64, 64, 64) \
	Y(X, 6, MAX_ADDRESSES, "max_addresses", 16, 16, 16) \
	Y(X, 6, OPTIMISTIC_DAD, "optimistic_dad", 0, 0, 0) \
	Y(X, 6, PROXY_NDP, "proxy_ndp", 0, 0, 0) \
	Y(X, 6, ROUTER_SOLICITATIONS, "router_solicitations", -1, -1, -1) \
	Y(X, 6, USE_TEMPADDR, "use_tempaddr", 0, 0, -1)
#define NET_CONF_THREE(X, f, id, name, all, def, lo) \
	X(CONF##f##_ALL_##id, "ipv" #f "/conf/all/" name, all, INT32_MIN, INT32_MAX) \
	X(CONF##f##_DEF_##id, "ipv" #f "/conf/default/" name, def, INT32_MIN, INT32_MAX) \
	X(CONF##f##_LO_##id, "ipv" #f "/conf/lo/" name, lo, INT32_MIN, INT32_MAX)
/* clang-format on */

/* X(id, name, default, smallest, largest). Names are those of the files, with their directories
 * where others have the same. */
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
	X(TCP_NOTSENT_LOWAT, "tcp_notsent_lowat", -1, INT32_MIN, INT32_MAX) \
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
	X(FLOWLABEL_CONSISTENCY, "flowlabel_consistency", 1, 0, 1) \
	X(ICMP_IGNORE_BOGUS, "icmp_ignore_bogus_error_responses", 1, 0, 1) \
	X(ICMP_MSGS_BURST, "icmp_msgs_burst", 50, 0, INT32_MAX) \
	X(ICMP_MSGS_PER_SEC, "icmp_msgs_per_sec", 1000, 0, INT32_MAX) \
	X(ICMP_RATEMASK, "icmp_ratemask", 6168, INT32_MIN, INT32_MAX) \
	X(IGMP_MAX_MEMBERSHIPS, "igmp_max_memberships", 20, INT32_MIN, INT32_MAX) \
	X(IGMP_MAX_MSF, "igmp_max_msf", 10, INT32_MIN, INT32_MAX) \
	X(IGMP_QRV, "igmp_qrv", 2, 1, INT32_MAX) \
	X(IP_AUTOBIND_REUSE, "ip_autobind_reuse", 0, 0, 1) \
	X(IP_DYNADDR, "ip_dynaddr", 0, INT32_MIN, INT32_MAX) \
	X(IP_EARLY_DEMUX, "ip_early_demux", 1, 0, 255) \
	X(IP_FORWARD_USE_PMTU, "ip_forward_use_pmtu", 0, 0, 255) \
	X(IPFRAG_HIGH, "ipfrag_high_thresh", 4194304, 0, INT32_MAX) \
	X(IPFRAG_LOW, "ipfrag_low_thresh", 3145728, 0, INT32_MAX) \
	X(IPFRAG_MAX_DIST, "ipfrag_max_dist", 64, 0, INT32_MAX) \
	X(IPFRAG_TIME, "ipfrag_time", 30, 0, INT32_MAX) \
	X(TCP_APP_WIN, "tcp_app_win", 31, 0, 31) \
	X(TCP_CHALLENGE_ACK_LIMIT, "tcp_challenge_ack_limit", INT32_MAX, INT32_MIN, INT32_MAX) \
	X(TCP_EARLY_DEMUX, "tcp_early_demux", 1, 0, 255) \
	X(TCP_EARLY_RETRANS, "tcp_early_retrans", 3, 0, 4) \
	X(TCP_ECN_FALLBACK, "tcp_ecn_fallback", 1, 0, 1) \
	X(TCP_FASTOPEN_BLACKHOLE, "tcp_fastopen_blackhole_timeout_sec", 0, 0, INT32_MAX) \
	X(TCP_FWMARK_ACCEPT, "tcp_fwmark_accept", 0, 0, 255) \
	X(TCP_INVALID_RATELIMIT, "tcp_invalid_ratelimit", 500, 0, INT32_MAX) \
	X(TCP_LIMIT_OUTPUT, "tcp_limit_output_bytes", 4194304, INT32_MIN, INT32_MAX) \
	X(TCP_MAX_REORDERING, "tcp_max_reordering", 300, INT32_MIN, INT32_MAX) \
	X(TCP_MIN_RTT_WLEN, "tcp_min_rtt_wlen", 300, 0, 86400) \
	X(TCP_MIN_SND_MSS, "tcp_min_snd_mss", 48, 48, 65535) \
	X(TCP_MIN_TSO_SEGS, "tcp_min_tso_segs", 2, 1, 255) \
	X(TCP_MTU_PROBE_FLOOR, "tcp_mtu_probe_floor", 48, 48, 65535) \
	X(TCP_NO_SSTHRESH, "tcp_no_ssthresh_metrics_save", 1, 0, 1) \
	X(TCP_PACING_CA, "tcp_pacing_ca_ratio", 120, 0, 1000) \
	X(TCP_PACING_SS, "tcp_pacing_ss_ratio", 200, 0, 1000) \
	X(TCP_PROBE_INTERVAL, "tcp_probe_interval", 600, 0, INT32_MAX) \
	X(TCP_PROBE_THRESHOLD, "tcp_probe_threshold", 8, INT32_MIN, INT32_MAX) \
	X(TCP_RETRANS_COLLAPSE, "tcp_retrans_collapse", 1, 0, 255) \
	X(TCP_TSO_WIN_DIVISOR, "tcp_tso_win_divisor", 3, 0, 255) \
	X(TCP_SIGNED_WINDOWS, "tcp_workaround_signed_windows", 0, 0, 255) \
	X(UDP_EARLY_DEMUX, "udp_early_demux", 1, 0, 255) \
	X(FWMARK_REFLECT, "fwmark_reflect", 0, 0, 255) \
	X(RMEM_MAX, "core/rmem_max", SOCK_MEM_MAX, SOCK_MIN_RCVBUF, INT32_MAX) \
	X(WMEM_MAX, "core/wmem_max", SOCK_MEM_MAX, SOCK_MIN_SNDBUF, INT32_MAX) \
	X(RMEM_DEFAULT, "core/rmem_default", SOCK_MEM_MAX, SOCK_MIN_RCVBUF, INT32_MAX) \
	X(WMEM_DEFAULT, "core/wmem_default", SOCK_MEM_MAX, SOCK_MIN_SNDBUF, INT32_MAX) \
	X(OPTMEM_MAX, "core/optmem_max", SOCK_OPTMEM_MAX, 0, INT32_MAX) \
	X(TXREHASH, "core/txrehash", 1, 0, 1) \
	X(RMEM_TCP_MIN, "ipv4/tcp_rmem/0", 4096, 1, INT32_MAX) \
	X(RMEM_TCP, "ipv4/tcp_rmem/1", TCP_RCVBUF_DEFAULT, 1, INT32_MAX) \
	X(RMEM_TCP_MAX, "ipv4/tcp_rmem/2", 6291456, 1, INT32_MAX) \
	X(WMEM_TCP_MIN, "ipv4/tcp_wmem/0", 4096, 1, INT32_MAX) \
	X(WMEM_TCP, "ipv4/tcp_wmem/1", TCP_SNDBUF_DEFAULT, 1, INT32_MAX) \
	X(WMEM_TCP_MAX, "ipv4/tcp_wmem/2", 4194304, 1, INT32_MAX) \
	X(TCP_RENO, "ipv4/tcp_congestion_control", 0, 0, 1) \
	X(NEIGH4_GC1, "ipv4/neigh/default/gc_thresh1", 128, 0, INT32_MAX) \
	X(NEIGH4_GC2, "ipv4/neigh/default/gc_thresh2", 512, 0, INT32_MAX) \
	X(NEIGH4_GC3, "ipv4/neigh/default/gc_thresh3", 1024, 0, INT32_MAX) \
	X(NEIGH6_GC1, "ipv6/neigh/default/gc_thresh1", 128, 0, INT32_MAX) \
	X(NEIGH6_GC2, "ipv6/neigh/default/gc_thresh2", 512, 0, INT32_MAX) \
	X(NEIGH6_GC3, "ipv6/neigh/default/gc_thresh3", 1024, 0, INT32_MAX) \
	X(ROUTE4_MIN_PMTU, "ipv4/route/min_pmtu", 552, 68, INT32_MAX) \
	X(ROUTE4_MIN_ADVMSS, "ipv4/route/min_adv_mss", 256, 0, INT32_MAX) \
	X(ROUTE4_MTU_EXPIRES, "ipv4/route/mtu_expires", 600, 0, INT32_MAX) \
	X(ROUTE6_MAX_SIZE, "ipv6/route/max_size", INT32_MAX, INT32_MIN, INT32_MAX) \
	X(ROUTE6_GC_THRESH, "ipv6/route/gc_thresh", 1024, INT32_MIN, INT32_MAX) \
	X(ROUTE6_MTU_EXPIRES, "ipv6/route/mtu_expires", 600, 0, INT32_MAX) \
	X(IP6_NONLOCAL_BIND, "ipv6/ip_nonlocal_bind", 0, 0, 1) \
	X(ICMP6_ECHO_IGNORE_ALL, "ipv6/icmp/echo_ignore_all", 0, 0, 1) \
	X(UNIX_DGRAM_QLEN, "unix/max_dgram_qlen", 10, INT32_MIN, INT32_MAX) \
	NET_CONF_THREE(X, 4, FORWARDING, "forwarding", 0, 0, 0) \
	NET_CONF4(NET_CONF_THREE, X) \
	NET_CONF_THREE(X, 6, DISABLE_IPV6, "disable_ipv6", 0, 0, 0) \
	NET_CONF6(NET_CONF_THREE, X)
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
