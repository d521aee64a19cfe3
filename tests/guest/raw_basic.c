#include "tests/guest/inet_util.h"

#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>

static int raw(int family, int protocol)
{
	int fd = socket(family, SOCK_RAW, protocol);

	if (fd < 0 && errno == EPERM)
		SKIP("no CAP_NET_RAW");
	return ASSERT_OK(fd);
}

static uint16_t sum(const void *data, size_t n)
{
	const uint8_t *p = data;
	uint32_t s = 0;

	for (size_t i = 0; i + 1 < n; i += 2)
		s += (uint32_t)p[i] << 8 | p[i + 1];
	if (n & 1)
		s += (uint32_t)p[n - 1] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return htons((uint16_t)~s);
}

GUEST_TEST(refused)
{
	EXPECT_ERRNO(socket(AF_INET, SOCK_RAW, 0), EPROTONOSUPPORT);
	if (geteuid() == 0)
		guest_drop_root();
	EXPECT_ERRNO(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), EPERM);
	EXPECT_ERRNO(socket(AF_INET6, SOCK_RAW, IPPROTO_UDP), EPERM);
}

/* A datagram that somebody sends is seen, header and all. */
GUEST_TEST(sees_udp)
{
	int fd = raw(AF_INET, IPPROTO_UDP), r = inet_bound(AF_INET, SOCK_DGRAM);
	int s = ASSERT_OK(socket(AF_INET, SOCK_DGRAM, 0));
	struct inet_any a = inet_name(r), from = {.len = sizeof(from.u)};
	struct {
		struct iphdr ip;
		struct udphdr udp;
		char data[64];
	} p;

	ASSERT_OK(connect(s, &a.u.sa, a.len));
	EXPECT_EQ(send(s, "datagram", 8, 0), 8);
	MAYBE_SAVE();
	EXPECT_EQ(recvfrom(fd, &p, sizeof(p), 0, &from.u.sa, &from.len), 36);
	EXPECT_EQ(p.ip.version, 4);
	EXPECT_EQ(p.ip.ihl, 5);
	EXPECT_EQ(p.ip.protocol, IPPROTO_UDP);
	EXPECT_EQ(ntohs(p.ip.tot_len), 36);
	EXPECT_EQ(ntohl(p.ip.saddr), INADDR_LOOPBACK);
	EXPECT_EQ(sum(&p.ip, sizeof(p.ip)), 0);
	EXPECT_EQ(ntohs(p.udp.dest), inet_port(&a));
	EXPECT_EQ(ntohs(p.udp.len), 16);
	EXPECT_TRUE(memcmp(p.data, "datagram", 8) == 0);
	EXPECT_EQ(inet_port(&from), 0);
}

/* One that is made by hand arrives. */
GUEST_TEST(sends_udp)
{
	int fd = raw(AF_INET, IPPROTO_UDP), r = inet_bound(AF_INET, SOCK_DGRAM);
	struct inet_any a = inet_name(r), to = inet_loop(AF_INET, 0),
			from = {.len = sizeof(from.u)};
	struct {
		struct udphdr udp;
		char data[4];
	} p = {.udp = {.source = htons(77),
	               .dest = htons((uint16_t)inet_port(&a)),
	               .len = htons(12)},
	       .data = "hand"};
	char buf[16];

	EXPECT_EQ(sendto(fd, &p, 12, 0, &to.u.sa, to.len), 12);
	MAYBE_SAVE();
	EXPECT_EQ(recvfrom(r, buf, sizeof(buf), 0, &from.u.sa, &from.len), 4);
	EXPECT_EQ(inet_port(&from), 77);
	EXPECT_EQ(send(fd, &p, 12, 0), -1);
}

static size_t echo4(void *buf, unsigned seq)
{
	struct icmphdr h = {.type = ICMP_ECHO, .un.echo = {htons(0x1234), htons((uint16_t)seq)}};

	h.checksum = sum(&h, sizeof(h));
	memcpy(buf, &h, sizeof(h));
	return sizeof(h);
}

/* Both the request and its answer, but for what the filter leaves out. */
GUEST_TEST(ping4)
{
	int fd = raw(AF_INET, IPPROTO_ICMP), replies = raw(AF_INET, IPPROTO_ICMP);
	struct inet_any to = inet_loop(AF_INET, 0);
	uint32_t filter = ~(1u << ICMP_ECHOREPLY);
	struct {
		struct iphdr ip;
		struct icmphdr icmp;
	} p;
	char buf[64];

	ASSERT_OK(setsockopt(replies, SOL_RAW, 1 /* ICMP_FILTER */, &filter, sizeof(filter)));
	EXPECT_EQ(sendto(fd, buf, echo4(buf, 1), 0, &to.u.sa, to.len), 8);
	MAYBE_SAVE();
	EXPECT_EQ(recv(fd, &p, sizeof(p), 0), 28);
	EXPECT_EQ(p.icmp.type, ICMP_ECHO);
	EXPECT_EQ(recv(fd, &p, sizeof(p), 0), 28);
	EXPECT_EQ(p.icmp.type, ICMP_ECHOREPLY);
	EXPECT_EQ(p.icmp.un.echo.id, htons(0x1234));
	EXPECT_EQ(sum(&p.icmp, sizeof(p.icmp)), 0);
	EXPECT_EQ(recv(replies, &p, sizeof(p), 0), 28);
	EXPECT_EQ(p.icmp.type, ICMP_ECHOREPLY);
	EXPECT_ERRNO(recv(replies, &p, sizeof(p), MSG_DONTWAIT), EAGAIN);
	/* A wrong sum is seen, and not answered. */
	echo4(buf, 2);
	buf[3] ^= 1;
	EXPECT_EQ(sendto(fd, buf, 8, 0, &to.u.sa, to.len), 8);
	EXPECT_EQ(recv(fd, &p, sizeof(p), 0), 28);
	EXPECT_ERRNO(recv(fd, &p, sizeof(p), MSG_DONTWAIT), EAGAIN);
}

GUEST_TEST(ping6)
{
	int fd = raw(AF_INET6, IPPROTO_ICMPV6);
	struct inet_any to = inet_loop(AF_INET6, 0);
	struct icmp6_hdr h = {.icmp6_type = ICMP6_ECHO_REQUEST};
	struct icmp6_filter filter;
	int v;
	socklen_t n = sizeof(v);

	ICMP6_FILTER_SETBLOCKALL(&filter);
	ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
	ASSERT_OK(setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof(filter)));
	EXPECT_ERRNO(sendto(fd, &h, 3, 0, &to.u.sa, to.len), EINVAL);
	EXPECT_EQ(sendto(fd, &h, sizeof(h), 0, &to.u.sa, to.len), 8);
	MAYBE_SAVE();
	EXPECT_EQ(recv(fd, &h, sizeof(h), 0), 8);
	EXPECT_EQ(h.icmp6_type, ICMP6_ECHO_REPLY);
	EXPECT_OK(getsockopt(fd, SOL_IPV6, IPV6_CHECKSUM, &v, &n));
	EXPECT_EQ(v, 2);
}

/* With its own header; IPPROTO_RAW only sends. */
GUEST_TEST(own_header)
{
	int fd = raw(AF_INET, IPPROTO_RAW), see = raw(AF_INET, 201);
	struct inet_any to = inet_loop(AF_INET, 0);
	struct {
		struct iphdr ip;
		char data[4];
	} p = {.ip = {.version = 4, .ihl = 5, .ttl = 9, .protocol = 201}, .data = "mine"};
	char buf[64];

	p.ip.daddr = htonl(INADDR_LOOPBACK);
	p.ip.saddr = htonl(INADDR_LOOPBACK + 5);
	EXPECT_EQ(inet_getint(fd, SOL_IP, IP_HDRINCL), 1);
	EXPECT_EQ(sendto(fd, &p, 24, 0, &to.u.sa, to.len), 24);
	MAYBE_SAVE();
	EXPECT_EQ(recv(see, buf, sizeof(buf), 0), 24);
	memcpy(&p, buf, sizeof(p));
	EXPECT_EQ(p.ip.ttl, 9);
	EXPECT_EQ(ntohl(p.ip.saddr), INADDR_LOOPBACK + 5);
	EXPECT_EQ(sum(&p.ip, sizeof(p.ip)), 0);
	EXPECT_ERRNO(sendto(fd, &p, 10, 0, &to.u.sa, to.len), EINVAL);
}

/* Bound and connected ones get what is for them. */
GUEST_TEST(chosen)
{
	int bound = raw(AF_INET, 202), conn = raw(AF_INET, 202), any = raw(AF_INET, 202);
	struct inet_any to = inet_loop(AF_INET, 0), other = inet_loop(AF_INET, 0);
	char buf[64];

	other.u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	ASSERT_OK(bind(bound, &other.u.sa, other.len));
	ASSERT_OK(connect(conn, &other.u.sa, other.len));
	EXPECT_EQ(sendto(any, "x", 1, 0, &to.u.sa, to.len), 1);
	MAYBE_SAVE();
	EXPECT_EQ(recv(any, buf, sizeof(buf), 0), 21);
	EXPECT_ERRNO(recv(bound, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	EXPECT_ERRNO(recv(conn, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	EXPECT_EQ(sendto(any, "y", 1, 0, &other.u.sa, other.len), 1);
	EXPECT_EQ(recv(bound, buf, sizeof(buf), 0), 21);
}
