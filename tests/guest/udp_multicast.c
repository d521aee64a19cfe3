#include "tests/guest/inet_util.h"

/* Groups and broadcasts on lo. */

static int member(unsigned port, uint32_t group)
{
	struct ip_mreqn m = {.imr_multiaddr.s_addr = htonl(group),
	                     .imr_address.s_addr = htonl(INADDR_LOOPBACK)};
	struct inet_any a = inet_loop(AF_INET, port);
	int fd = ASSERT_OK(socket(AF_INET, SOCK_DGRAM, 0));

	a.u.in.sin_addr.s_addr = htonl(INADDR_ANY);
	ASSERT_OK(inet_setint(fd, SOL_SOCKET, SO_REUSEADDR, 1));
	ASSERT_OK(inet_setint(fd, SOL_IP, IP_MULTICAST_ALL, 0));
	ASSERT_OK(bind(fd, &a.u.sa, a.len));
	ASSERT_OK(setsockopt(fd, SOL_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)));
	EXPECT_ERRNO(setsockopt(fd, SOL_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)), EADDRINUSE);
	return fd;
}

GUEST_TEST(groups)
{
	int a = member(0, 0xefff1234), b, c, s = socket(AF_INET, SOCK_DGRAM, 0);
	struct ip_mreqn out = {.imr_address.s_addr = htonl(INADDR_LOOPBACK)};
	struct inet_any n = inet_name(a), to;
	char buf[8];

	b = member(inet_port(&n), 0xefff1234);
	c = member(inet_port(&n), 0xefff4321);
	to = inet_loop(AF_INET, inet_port(&n));
	to.u.in.sin_addr.s_addr = htonl(0xefff1234);
	ASSERT_OK(setsockopt(s, SOL_IP, IP_MULTICAST_IF, &out, sizeof(out)));
	MAYBE_SAVE();
	ASSERT_EQ(sendto(s, "all", 3, 0, &to.u.sa, to.len), 3);
	EXPECT_EQ(recv(a, buf, 8, 0), 3);
	EXPECT_EQ(recv(b, buf, 8, 0), 3);
	EXPECT_ERRNO(recv(c, buf, 8, MSG_DONTWAIT), EAGAIN);
	out = (struct ip_mreqn){.imr_multiaddr.s_addr = htonl(0xefff1234),
	                        .imr_address.s_addr = htonl(INADDR_LOOPBACK)};
	ASSERT_OK(setsockopt(b, SOL_IP, IP_DROP_MEMBERSHIP, &out, sizeof(out)));
	EXPECT_ERRNO(setsockopt(b, SOL_IP, IP_DROP_MEMBERSHIP, &out, sizeof(out)), EADDRNOTAVAIL);
	ASSERT_EQ(sendto(s, "one", 3, 0, &to.u.sa, to.len), 3);
	EXPECT_EQ(recv(a, buf, 8, 0), 3);
	EXPECT_ERRNO(recv(b, buf, 8, MSG_DONTWAIT), EAGAIN);
}

GUEST_TEST(broadcast)
{
	struct inet_any a = inet_loop(AF_INET, 0), to;
	int r = socket(AF_INET, SOCK_DGRAM, 0), s = socket(AF_INET, SOCK_DGRAM, 0);
	char buf[8];

	a.u.in.sin_addr.s_addr = htonl(INADDR_ANY);
	ASSERT_OK(bind(r, &a.u.sa, a.len));
	a = inet_name(r);
	to = inet_loop(AF_INET, inet_port(&a));
	to.u.in.sin_addr.s_addr = htonl(0x7fffffff);
	EXPECT_ERRNO(sendto(s, "x", 1, 0, &to.u.sa, to.len), EACCES);
	ASSERT_OK(inet_setint(s, SOL_SOCKET, SO_BROADCAST, 1));
	MAYBE_SAVE();
	EXPECT_EQ(sendto(s, "x", 1, 0, &to.u.sa, to.len), 1);
	EXPECT_EQ(recv(r, buf, 8, 0), 1);
}

GUEST_TEST(settings)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0);
	struct ip_mreqn m = {.imr_multiaddr.s_addr = htonl(0x7f000001), .imr_ifindex = 1};
	struct in_addr in;
	socklen_t len = sizeof(in);

	EXPECT_EQ(inet_getint(fd, SOL_IP, IP_MULTICAST_TTL), 1);
	EXPECT_EQ(inet_getint(fd, SOL_IP, IP_MULTICAST_LOOP), 1);
	ASSERT_OK(inet_setint(fd, SOL_IP, IP_MULTICAST_TTL, 5));
	ASSERT_OK(inet_setint(fd, SOL_IP, IP_MULTICAST_LOOP, 0));
	MAYBE_SAVE();
	EXPECT_EQ(inet_getint(fd, SOL_IP, IP_MULTICAST_TTL), 5);
	EXPECT_EQ(inet_getint(fd, SOL_IP, IP_MULTICAST_LOOP), 0);
	EXPECT_ERRNO(inet_setint(fd, SOL_IP, IP_MULTICAST_TTL, 256), EINVAL);
	EXPECT_ERRNO(setsockopt(fd, SOL_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)), EINVAL);
	m.imr_multiaddr.s_addr = htonl(0xefff0001);
	m.imr_ifindex = 9999;
	EXPECT_ERRNO(setsockopt(fd, SOL_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)), ENODEV);
	m.imr_ifindex = 1;
	EXPECT_ERRNO(setsockopt(tcp, SOL_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)), EPROTO);
	EXPECT_OK(setsockopt(fd, SOL_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)));
	ASSERT_OK(getsockopt(fd, SOL_IP, IP_MULTICAST_IF, &in, &len));
	EXPECT_EQ(in.s_addr, 0);
}

/* How many are in the group that a table shows as hex; 0: it is not there. */
static int users(const char *file, const char *hex)
{
	static char text[65536];
	const char *at;
	int n = 0;

	ASSERT_TRUE(guest_read_file(file, text, sizeof(text)) > 0);
	at = strstr(text, hex);
	if (at)
		sscanf(at + strlen(hex), "%d", &n);
	return n;
}

static int member6(const char *group)
{
	struct ipv6_mreq m = {.ipv6mr_interface = 1};
	int fd = ASSERT_OK(socket(AF_INET6, SOCK_DGRAM, 0));

	ASSERT_EQ(inet_pton(AF_INET6, group, &m.ipv6mr_multiaddr), 1);
	ASSERT_OK(setsockopt(fd, SOL_IPV6, IPV6_ADD_MEMBERSHIP, &m, sizeof(m)));
	return fd;
}

/* Sockets count, bound or not, as long as they are there. */
GUEST_TEST(tables_of_groups)
{
	const char *hex = "BC9AFFEF", *hex6 = "ff15000000000000000000000000cafe";
	int a = member(0, 0xefff9abc), b, c = member6("ff15::cafe");
	struct inet_any n = inet_name(a);

	b = member(inet_port(&n), 0xefff9abc);
	EXPECT_EQ(users("/proc/net/igmp", hex), 2);
	EXPECT_EQ(users("/proc/net/igmp6", hex6), 1);
	MAYBE_SAVE();
	EXPECT_EQ(users("/proc/net/igmp", hex), 2);
	EXPECT_EQ(users("/proc/net/igmp6", hex6), 1);
	close(a);
	EXPECT_EQ(users("/proc/net/igmp", hex), 1);
	close(b);
	close(c);
	EXPECT_EQ(users("/proc/net/igmp", hex), 0);
	EXPECT_EQ(users("/proc/net/igmp6", hex6), 0);
	EXPECT_EQ(users("/proc/net/igmp", "010000E0"), 1);
}
