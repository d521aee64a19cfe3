#include "sentry/net/inet/wire.h"

#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <string.h>

u32 wire_sum(const u8 *p, u32 len, u32 sum)
{
	for (u32 i = 0; i + 1 < len; i += 2)
		sum += (u32)p[i] << 8 | p[i + 1];
	if (len & 1)
		sum += (u32)p[len - 1] << 8;
	return (sum & 0xffff) + (sum >> 16);
}

u16 wire_sum_end(u32 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((u16)~sum);
}

u32 wire_pseudo(const struct ipaddr *src, const struct ipaddr *dst, u8 proto, u32 len)
{
	bool v4 = ip_is_v4(dst);
	u32 skip = v4 ? 12 : 0, n = v4 ? 4 : 16;

	return wire_sum(src->b + skip, n, wire_sum(dst->b + skip, n, len + proto));
}

/* The header of UDP is still to be made. */
static bool frames(const struct packet *p, u8 proto)
{
	return proto == IPPROTO_UDP && !p->framed;
}

u32 wire_size(const struct packet *p, u8 proto)
{
	return wire_ip_header(p) + (frames(p, proto) ? UDP_HEADER : 0) + p->len;
}

static void ip4_header(const struct packet *p, u8 proto, u8 *out, u32 len)
{
	struct iphdr h = {
		.version = 4,
		.ihl = 5,
		.tos = p->tos,
		.tot_len = htons((u16)len),
		.frag_off = htons(IP_DF),
		.ttl = p->ttl,
		.protocol = proto,
		.saddr = ip_v4(&p->src.ip),
		.daddr = ip_v4(&p->dst.ip),
	};

	h.check = wire_sum_end(wire_sum((const u8 *)&h, sizeof(h), 0));
	memcpy(out, &h, sizeof(h));
}

static void ip6_header(const struct packet *p, u8 proto, u8 *out, u32 len)
{
	struct ip6_hdr h = {
		.ip6_flow = htonl(6u << 28 | (u32)p->tos << 20),
		.ip6_plen = htons((u16)(len - IP6_HEADER)),
		.ip6_nxt = proto,
		.ip6_hlim = p->ttl,
	};

	memcpy(&h.ip6_src, p->src.ip.b, sizeof(h.ip6_src));
	memcpy(&h.ip6_dst, p->dst.ip.b, sizeof(h.ip6_dst));
	memcpy(out, &h, sizeof(h));
}

void wire_write(const struct packet *p, u8 proto, u8 *out)
{
	u32 len = wire_size(p, proto), at = wire_ip_header(p);
	u16 sum;

	if (at == IP4_HEADER)
		ip4_header(p, proto, out, len);
	else
		ip6_header(p, proto, out, len);
	if (frames(p, proto)) {
		struct udphdr h = {
			.source = htons(p->src.port),
			.dest = htons(p->dst.port),
			.len = htons((u16)(UDP_HEADER + p->len)),
		};

		memcpy(out + at, &h, sizeof(h));
		at += UDP_HEADER;
	}
	if (p->len)
		memcpy(out + at, p->data, p->len);
	if (!frames(p, proto))
		return;
	at -= UDP_HEADER;
	sum = wire_sum_end(
		wire_sum(out + at, len - at, wire_pseudo(&p->src.ip, &p->dst.ip, proto, len - at)));
	/* 0 would say that there is none. */
	if (!sum)
		sum = 0xffff;
	memcpy(out + at + 6, &sum, sizeof(sum));
}
