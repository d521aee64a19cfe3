#include "tests/guest/inet_util.h"

#include <netinet/tcp.h>
#include <sys/vfs.h>

static void round_trip(int fd, int level, int name, int v)
{
	EXPECT_OK(inet_setint(fd, level, name, v));
	EXPECT_EQ(inet_getint(fd, level, name), v);
}

GUEST_TEST(tcp)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char name[16] = "";
	socklen_t len = sizeof(name);

	EXPECT_EQ(inet_getint(fd, SOL_TCP, TCP_NODELAY), 0);
	EXPECT_OK(inet_setint(fd, SOL_TCP, TCP_NODELAY, 7));
	round_trip(fd, SOL_TCP, TCP_KEEPIDLE, 100);
	round_trip(fd, SOL_TCP, TCP_KEEPINTVL, 10);
	round_trip(fd, SOL_TCP, TCP_KEEPCNT, 3);
	round_trip(fd, SOL_TCP, TCP_SYNCNT, 2);
	round_trip(fd, SOL_TCP, TCP_USER_TIMEOUT, 5000);
	round_trip(fd, SOL_TCP, TCP_MAXSEG, 1000);
	round_trip(fd, SOL_TCP, TCP_CORK, 1);
	round_trip(fd, SOL_TCP, TCP_CORK, 0);
	EXPECT_OK(inet_setint(fd, SOL_TCP, TCP_DEFER_ACCEPT, 5));
	MAYBE_SAVE();
	EXPECT_EQ(inet_getint(fd, SOL_TCP, TCP_NODELAY), 1);
	EXPECT_EQ(inet_getint(fd, SOL_TCP, TCP_KEEPIDLE), 100);
	EXPECT_EQ(inet_getint(fd, SOL_TCP, TCP_DEFER_ACCEPT), 7);
	EXPECT_ERRNO(inet_setint(fd, SOL_TCP, TCP_KEEPIDLE, 0), EINVAL);
	EXPECT_ERRNO(inet_setint(fd, SOL_TCP, TCP_KEEPIDLE, 32768), EINVAL);
	EXPECT_ERRNO(inet_setint(fd, SOL_TCP, TCP_KEEPCNT, 128), EINVAL);
	EXPECT_ERRNO(inet_setint(fd, SOL_TCP, TCP_MAXSEG, 10), EINVAL);
	EXPECT_ERRNO(inet_setint(fd, SOL_TCP, TCP_USER_TIMEOUT, -1), EINVAL);
	EXPECT_ERRNO(inet_setint(fd, SOL_TCP, 12345, 1), ENOPROTOOPT);
	EXPECT_ERRNO(setsockopt(fd, SOL_TCP, TCP_NODELAY, &len, 1), EINVAL);
	ASSERT_OK(getsockopt(fd, SOL_TCP, TCP_CONGESTION, name, &len));
	EXPECT_TRUE(name[0] != 0);
	EXPECT_OK(setsockopt(fd, SOL_TCP, TCP_CONGESTION, "reno", 4));
	len = sizeof(name);
	ASSERT_OK(getsockopt(fd, SOL_TCP, TCP_CONGESTION, name, &len));
	EXPECT_STREQ(name, "reno");
	EXPECT_ERRNO(setsockopt(fd, SOL_TCP, TCP_CONGESTION, "nosuch", 6), ENOENT);
}

GUEST_TEST(buffers)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	EXPECT_OK(inet_setint(fd, SOL_SOCKET, SO_RCVBUF, 10000));
	EXPECT_EQ(inet_getint(fd, SOL_SOCKET, SO_RCVBUF), 20000);
	EXPECT_OK(inet_setint(fd, SOL_SOCKET, SO_SNDBUF, 30000));
	EXPECT_EQ(inet_getint(fd, SOL_SOCKET, SO_SNDBUF), 60000);
	EXPECT_OK(inet_setint(fd, SOL_SOCKET, SO_RCVBUF, 1));
	EXPECT_EQ(inet_getint(fd, SOL_SOCKET, SO_RCVBUF), 2304);
	EXPECT_OK(inet_setint(fd, SOL_SOCKET, SO_SNDBUF, 1));
	EXPECT_EQ(inet_getint(fd, SOL_SOCKET, SO_SNDBUF), 4608);
}

GUEST_TEST(ip)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), c = inet_bound(AF_INET, SOCK_DGRAM);
	struct inet_any n = inet_name(c);
	socklen_t len = 1;
	unsigned char byte = 0;

	round_trip(fd, SOL_IP, IP_TTL, 12);
	round_trip(fd, SOL_IP, IP_TOS, 0x28);
	round_trip(fd, SOL_IP, IP_PKTINFO, 1);
	round_trip(fd, SOL_IP, IP_RECVERR, 1);
	round_trip(fd, SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
	MAYBE_SAVE();
	EXPECT_EQ(inet_getint(fd, SOL_IP, IP_TTL), 12);
	EXPECT_OK(inet_setint(fd, SOL_IP, IP_TTL, -1));
	EXPECT_ERRNO(inet_setint(fd, SOL_IP, IP_TTL, 0), EINVAL);
	EXPECT_ERRNO(inet_setint(fd, SOL_IP, IP_TTL, 256), EINVAL);
	/* A byte will do. */
	byte = 33;
	EXPECT_OK(setsockopt(fd, SOL_IP, IP_TTL, &byte, 1));
	byte = 0;
	EXPECT_OK(getsockopt(fd, SOL_IP, IP_TTL, &byte, &len));
	EXPECT_EQ(byte, 33);
	EXPECT_EQ(len, 1);
	EXPECT_ERRNO(getsockopt(fd, SOL_IP, IP_MTU, &len, &(socklen_t){sizeof(len)}), ENOTCONN);
	ASSERT_OK(connect(fd, &n.u.sa, n.len));
	EXPECT_EQ(inet_getint(fd, SOL_IP, IP_MTU), 65535);
	EXPECT_ERRNO(inet_setint(fd, SOL_IPV6, IPV6_V6ONLY, 1), ENOPROTOOPT);
}

GUEST_TEST(ipv6)
{
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);

	round_trip(fd, SOL_IPV6, IPV6_V6ONLY, 1);
	round_trip(fd, SOL_IPV6, IPV6_UNICAST_HOPS, 20);
	round_trip(fd, SOL_IPV6, IPV6_MULTICAST_HOPS, 3);
	round_trip(fd, SOL_IPV6, IPV6_TCLASS, 8);
	round_trip(fd, SOL_IPV6, IPV6_RECVPKTINFO, 1);
	EXPECT_OK(inet_setint(fd, SOL_IPV6, IPV6_UNICAST_HOPS, -1));
	EXPECT_EQ(inet_getint(fd, SOL_IPV6, IPV6_UNICAST_HOPS), 64);
	EXPECT_ERRNO(inet_setint(fd, SOL_IPV6, IPV6_UNICAST_HOPS, 256), EINVAL);
	EXPECT_ERRNO(inet_setint(fd, SOL_IPV6, IPV6_MULTICAST_IF, 9999), ENODEV);
	EXPECT_OK(inet_setint(fd, SOL_IPV6, IPV6_MULTICAST_IF, 1));
}

GUEST_TEST(accepted_sockets_inherit)
{
	int l = inet_listener(AF_INET, 2), c, s;

	ASSERT_OK(inet_setint(l, SOL_TCP, TCP_NODELAY, 1));
	ASSERT_OK(inet_setint(l, SOL_SOCKET, SO_KEEPALIVE, 1));
	ASSERT_OK(inet_setint(l, SOL_TCP, TCP_KEEPIDLE, 55));
	c = inet_connected(l);
	s = ASSERT_OK(accept(l, NULL, NULL));
	EXPECT_EQ(inet_getint(s, SOL_TCP, TCP_NODELAY), 1);
	EXPECT_EQ(inet_getint(s, SOL_SOCKET, SO_KEEPALIVE), 1);
	EXPECT_EQ(inet_getint(s, SOL_TCP, TCP_KEEPIDLE), 55);
	EXPECT_EQ(inet_getint(c, SOL_TCP, TCP_NODELAY), 0);
}

GUEST_TEST(odd_lengths_and_levels)
{
	int u = ASSERT_OK(socket(AF_INET, SOCK_DGRAM, 0)),
	    t = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0));
	socklen_t len = sizeof(int);
	struct statfs st;
	int v = 0x10;

	/* A value of no length is 0, for some. */
	EXPECT_OK(setsockopt(u, SOL_IP, IP_TOS, &v, sizeof(v)));
	EXPECT_OK(setsockopt(u, SOL_IP, IP_TOS, &v, 0));
	EXPECT_EQ(inet_getint(u, SOL_IP, IP_TOS), 0);
	EXPECT_ERRNO(setsockopt(u, SOL_IP, IP_TTL, &v, 0), EINVAL);
	EXPECT_ERRNO(setsockopt(u, SOL_IP, IP_MULTICAST_LOOP, &v, 0), EINVAL);
	EXPECT_ERRNO(getsockopt(u, SOL_IPV6, IPV6_V6ONLY, &v, &len), EOPNOTSUPP);
	EXPECT_ERRNO(getsockopt(t, SOL_IPV6, IPV6_V6ONLY, &v, &len), EOPNOTSUPP);
	EXPECT_ERRNO(setsockopt(u, SOL_IPV6, IPV6_V6ONLY, &v, len), ENOPROTOOPT);
	EXPECT_OK(inet_setint(t, SOL_TCP, TCP_LINGER2, 100000));
	MAYBE_SAVE();
	EXPECT_EQ(inet_getint(t, SOL_TCP, TCP_LINGER2), 120);
	EXPECT_ERRNO(inet_setint(u, SOL_SOCKET, SO_DETACH_FILTER, 0), ENOENT);
	EXPECT_OK(fstatfs(t, &st));
	EXPECT_EQ(st.f_type, 0x534f434b);
}
