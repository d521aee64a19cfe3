#pragma once
/*
 * /proc/PID/net and /proc/sys/net: what its tables share.
 *
 * Locking, lifetime, saved: as proc.h says.
 */
#include "sentry/fs/proc/proc.h"

extern const struct pseudo_dir proc_sys_net;

/* net_inet.c */
PROC_SHOW(proc_net_tcp);
PROC_SHOW(proc_net_tcp6);
PROC_SHOW(proc_net_udp);
PROC_SHOW(proc_net_udp6);
PROC_SHOW(proc_net_icmp);
PROC_SHOW(proc_net_icmp6);
PROC_SHOW(proc_net_raw);
PROC_SHOW(proc_net_raw6);
PROC_SHOW(proc_net_dev);
PROC_SHOW(proc_net_sockstat);
PROC_SHOW(proc_net_sockstat6);
PROC_SHOW(proc_net_snmp);
PROC_SHOW(proc_net_snmp6);
PROC_SHOW(proc_net_netstat);
PROC_SHOW(proc_net_igmp);

/* net_routes.c */
PROC_SHOW(proc_net_route);
PROC_SHOW(proc_net_ipv6_route);
PROC_SHOW(proc_net_if_inet6);
