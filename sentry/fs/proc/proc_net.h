#pragma once
/*
 * /proc/PID/net and /proc/sys/net: what its tables share.
 *
 * Locking, lifetime, saved: as proc.h says.
 */
#include "sentry/fs/proc/proc.h"

extern const struct pseudo_dir proc_sys_net;

/* sys_net.c: a setting of sentry/net/inet/settings.h, by the entry's arg. */
PROC_SHOW(proc_sys_net_show);
long proc_sys_net_store(struct pseudo_inode *i, struct ctx *c, char *s, size_t len);
/* sys_net_conf.c */
extern const struct pseudo_dir proc_sys_conf4, proc_sys_conf6, proc_sys_neigh4, proc_sys_neigh6,
	proc_sys_route4, proc_sys_route6, proc_sys_icmp6;
long proc_sys_net_forward(struct pseudo_inode *i, struct ctx *c, char *s, size_t len);

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

/* net_groups.c */
PROC_SHOW(proc_net_igmp);
PROC_SHOW(proc_net_igmp6);

/* net_routes.c */
PROC_SHOW(proc_net_route);
PROC_SHOW(proc_net_ipv6_route);
PROC_SHOW(proc_net_if_inet6);
