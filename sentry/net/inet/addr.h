#pragma once
/*
 * Internet addresses as all of inet/ holds them: 16 bytes, IPv4 ones mapped (::ffff:a.b.c.d), so
 * that one table serves both families. Ports are in host order.
 *
 * The network that there is: one interface, lo, index 1. What addresses it has and what that makes
 * of others, fib.h knows.
 *
 * Locking, lifetime: plain values. Saved: embedded, by their owners.
 */
#include "state/base/types.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define LO_INDEX 1
#define LO_NAME  "lo"
#define LO_MTU   65536u

struct ipaddr {
	u8 b[16];
};

struct inet_addr {
	struct ipaddr ip;
	u16 port;
	u32 scope; /* sin6_scope_id as it was given */
};

extern const struct ipaddr ip_any4, ip_any6, ip_loop4, ip_loop6;

static inline bool ip_equal(const struct ipaddr *a, const struct ipaddr *b)
{
	return __builtin_memcmp(a, b, sizeof(*a)) == 0;
}
bool ip_is_v4(const struct ipaddr *a);
/* Network byte order, as in struct in_addr. */
u32 ip_v4(const struct ipaddr *a);
struct ipaddr ip_from_v4(u32 be);
struct ipaddr ip_from_v6(const struct in6_addr *a);
bool ip_is_any(const struct ipaddr *a);
bool ip_is_multicast(const struct ipaddr *a);
bool ip_is_linklocal(const struct ipaddr *a);

/*
 * A socket address of the family of a socket. len bytes of *a came from the caller. AF_UNSPEC
 * passes for AF_INET with the any address, as bind(2) does. -EINVAL too short, -EAFNOSUPPORT.
 */
MUST_CHECK int inet_addr_parse(u16 family, const struct sockaddr_storage *a, u32 len,
                               struct inet_addr *ret);
/* The other way: as a socket of the family shows it. Returns the length. */
u32 inet_addr_format(u16 family, const struct ipaddr *ip, u16 port, u32 scope,
                     struct sockaddr_storage *ret);
