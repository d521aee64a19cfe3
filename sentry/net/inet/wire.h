#pragma once
/*
 * Packets as bytes: what a datagram would be on a wire, for those who look at that (filters, raw
 * and packet sockets).
 *
 * Locking, lifetime: the caller's memory. Saved: nothing here has state.
 */
#include "sentry/net/inet/udp.h"

#define IP4_HEADER 20u
#define IP6_HEADER 40u
#define UDP_HEADER 8u

static inline u32 wire_ip_header(const struct packet *p)
{
	return ip_is_v4(&p->dst.ip) ? IP4_HEADER : IP6_HEADER;
}
/* Bytes of the whole packet: IP header, that of UDP if proto is IPPROTO_UDP, and the data. */
u32 wire_size(const struct packet *p, u8 proto);
/* Writes it; checksums included. */
void wire_write(const struct packet *p, u8 proto, u8 *out);

/* Sums up 16 bit words in network order; wire_sum_end folds the sum into a checksum. */
u32 wire_sum(const u8 *p, u32 len, u32 sum);
u16 wire_sum_end(u32 sum);
/* The pseudo header that transports sum too. */
u32 wire_pseudo(const struct ipaddr *src, const struct ipaddr *dst, u8 proto, u32 len);
