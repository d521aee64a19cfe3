/* Internet addresses. */
#include "sentry/net/inet/addr.h"

#include <errno.h>
#include <string.h>

const struct ipaddr ip_any4 = {{[10] = 0xff, [11] = 0xff}};
const struct ipaddr ip_any6;
const struct ipaddr ip_loop4 = {{[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
const struct ipaddr ip_loop6 = {{[15] = 1}};

bool ip_is_v4(const struct ipaddr *a)
{
	return memcmp(a, &ip_any4, 12) == 0;
}

u32 ip_v4(const struct ipaddr *a)
{
	u32 be;

	memcpy(&be, a->b + 12, sizeof(be));
	return be;
}

struct ipaddr ip_from_v4(u32 be)
{
	struct ipaddr a = ip_any4;

	memcpy(a.b + 12, &be, sizeof(be));
	return a;
}

struct ipaddr ip_from_v6(const struct in6_addr *in)
{
	struct ipaddr a;

	memcpy(a.b, in->s6_addr, sizeof(a.b));
	return a;
}

bool ip_is_any(const struct ipaddr *a)
{
	return ip_equal(a, &ip_any4) || ip_equal(a, &ip_any6);
}

bool ip_is_multicast(const struct ipaddr *a)
{
	return ip_is_v4(a) ? (a->b[12] & 0xf0) == 0xe0 : a->b[0] == 0xff;
}

bool ip_is_linklocal(const struct ipaddr *a)
{
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

int inet_addr_parse(u16 family, const struct sockaddr_storage *a, u32 len, struct inet_addr *ret)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)a;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)a;

	if (len < sizeof(sa_family_t))
		return -EINVAL;
	if (family == AF_INET) {
		if (len < sizeof(*in))
			return -EINVAL;
		if (a->ss_family != AF_INET &&
		    !(a->ss_family == AF_UNSPEC && in->sin_addr.s_addr == htonl(INADDR_ANY)))
			return -EAFNOSUPPORT;
		*ret = (struct inet_addr){ip_from_v4(in->sin_addr.s_addr), ntohs(in->sin_port), 0};
		return 0;
	}
	/* A length of 24, without the scope, is that of RFC 2133. */
	if (len < offsetof(struct sockaddr_in6, sin6_scope_id))
		return -EINVAL;
	if (a->ss_family != AF_INET6)
		return -EAFNOSUPPORT;
	*ret = (struct inet_addr){
		.ip = ip_from_v6(&in6->sin6_addr),
		.port = ntohs(in6->sin6_port),
		.scope = len >= sizeof(*in6) ? in6->sin6_scope_id : 0,
	};
	return 0;
}

u32 inet_addr_format(u16 family, const struct ipaddr *ip, u16 port, u32 scope,
                     struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)(void *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)ret;

	memset(ret, 0, sizeof(*ret));
	if (family == AF_INET) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		in->sin_addr.s_addr = ip_v4(ip);
		return sizeof(*in);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	memcpy(in6->sin6_addr.s6_addr, ip->b, sizeof(ip->b));
	if (ip_is_linklocal(ip) || (!ip_is_v4(ip) && ip->b[0] == 0xff && (ip->b[1] & 0xf) == 2))
		in6->sin6_scope_id = scope;
	return sizeof(*in6);
}
