#pragma once
/*
 * The sockets of a network as /proc/net shows them.
 *
 * Locking: takes the port table's lock for reading; line is called under it.
 * Lifetime, saved: nothing here has state.
 */
#include "sentry/net/inet/ports.h"

/* One line per socket of the table and family, without its end of line. */
void inet_list(struct inet_ns *ns, enum inet_proto proto, u16 family,
               void (*line)(const char *line, void *arg), void *arg);

/* For sockstat. */
struct inet_usage {
	u32 tcp4, tcp6, tw, udp4, udp6, orphans, raw4, raw6;
	u32 established; /* of TCP; ones that are half closed by the peer count */
};
void inet_usage(struct inet_ns *ns, struct inet_usage *ret);
