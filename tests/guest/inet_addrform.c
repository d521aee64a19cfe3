#include "tests/guest/inet_util.h"

/* What a connection leaves behind, and what it can become: IPV6_ADDRFORM, names after the end. */

static void connect_pair(int family, int s[2])
{
	int l = ASSERT_OK(socket(family, SOCK_STREAM, 0));
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a6);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (family == AF_INET6)
		ASSERT_OK(bind(l, (struct sockaddr *)&a6, sizeof(a6)));
	else
		ASSERT_OK(bind(l, (struct sockaddr *)&a, sizeof(a)));
	ASSERT_OK(listen(l, 5));
	ASSERT_OK(getsockname(l, (struct sockaddr *)&a6, &len));
	a.sin_port = a6.sin6_port;
	s[0] = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0));
	ASSERT_OK(connect(s[0], (struct sockaddr *)&a, sizeof(a)));
	s[1] = ASSERT_OK(accept(l, NULL, NULL));
	close(l);
}

static int family_of(int fd)
{
	struct sockaddr_storage a = {0};
	socklen_t len = sizeof(a);

	EXPECT_OK(getsockname(fd, (struct sockaddr *)&a, &len));
	EXPECT_EQ(len, a.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
	                                       : sizeof(struct sockaddr_in));
	return a.ss_family;
}

GUEST_TEST(a_connection_becomes_one_of_ipv4)
{
	struct sockaddr_in a = {0};
	socklen_t len = sizeof(a);
	char buf[4] = "";
	int s[2];

	connect_pair(AF_INET6, s);
	EXPECT_EQ(inet_getint(s[1], SOL_IPV6, IPV6_ADDRFORM), AF_INET6);
	EXPECT_EQ(family_of(s[1]), AF_INET6);
	EXPECT_EQ(write(s[0], "ab", 2), 2);
	EXPECT_OK(inet_setint(s[1], SOL_IPV6, IPV6_ADDRFORM, AF_INET));
	MAYBE_SAVE();
	EXPECT_EQ(family_of(s[1]), AF_INET);
	EXPECT_EQ(inet_getint(s[1], SOL_SOCKET, SO_DOMAIN), AF_INET);
	EXPECT_OK(getpeername(s[1], (struct sockaddr *)&a, &len));
	EXPECT_EQ(a.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	EXPECT_EQ(read(s[1], buf, 4), 2);
	EXPECT_STREQ(buf, "ab");
	EXPECT_EQ(write(s[1], "c", 1), 1);
	EXPECT_EQ(read(s[0], buf, 4), 1);
	EXPECT_ERRNO(inet_setint(s[1], SOL_IPV6, IPV6_ADDRFORM, AF_INET), ENOPROTOOPT);
	len = sizeof(int);
	EXPECT_ERRNO(getsockopt(s[1], SOL_IPV6, IPV6_V6ONLY, buf, &len), EOPNOTSUPP);
}

GUEST_TEST(datagrams)
{
	int u = ASSERT_OK(socket(AF_INET6, SOCK_DGRAM, 0)), to;
	struct sockaddr_in6 a = {.sin6_family = AF_INET6,
	                         .sin6_addr = {{{[10] = 0xff, 0xff, 127, 0, 0, 1}}}};
	struct sockaddr_in to4 = {.sin_family = AF_INET};
	struct ipv6_mreq group = {.ipv6mr_multiaddr = {{{0xff, 0x02, [15] = 0x77}}},
	                          .ipv6mr_interface = 1};
	socklen_t len = sizeof(to4);
	char buf[4];

	to4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to = ASSERT_OK(socket(AF_INET, SOCK_DGRAM, 0));
	ASSERT_OK(bind(to, (struct sockaddr *)&to4, sizeof(to4)));
	ASSERT_OK(getsockname(to, (struct sockaddr *)&to4, &len));
	EXPECT_OK(setsockopt(u, SOL_IPV6, IPV6_JOIN_GROUP, &group, sizeof(group)));
	EXPECT_ERRNO(inet_setint(u, SOL_IPV6, IPV6_ADDRFORM, AF_INET), ENOTCONN);
	a.sin6_port = to4.sin_port;
	ASSERT_OK(connect(u, (struct sockaddr *)&a, sizeof(a)));
	EXPECT_OK(inet_setint(u, SOL_IPV6, IPV6_ADDRFORM, AF_INET));
	MAYBE_SAVE();
	EXPECT_EQ(family_of(u), AF_INET);
	EXPECT_EQ(send(u, "abc", 3, 0), 3);
	EXPECT_EQ(recv(to, buf, 4, 0), 3);
	EXPECT_ERRNO(setsockopt(u, SOL_IPV6, IPV6_LEAVE_GROUP, &group, sizeof(group)), ENOPROTOOPT);
}

GUEST_TEST(refused)
{
	int s = ASSERT_OK(socket(AF_INET6, SOCK_STREAM, 0)), l, v;
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	socklen_t len = sizeof(a);

	EXPECT_ERRNO(inet_setint(s, SOL_IPV6, IPV6_ADDRFORM, AF_INET), ENOTCONN);
	EXPECT_ERRNO(inet_setint(s, SOL_IPV6, IPV6_ADDRFORM, AF_INET6), EINVAL);
	EXPECT_ERRNO(setsockopt(s, SOL_IPV6, IPV6_ADDRFORM, "", 1), EINVAL);
	l = ASSERT_OK(socket(AF_INET6, SOCK_STREAM, 0));
	ASSERT_OK(bind(l, (struct sockaddr *)&a, sizeof(a)));
	ASSERT_OK(listen(l, 5));
	ASSERT_OK(getsockname(l, (struct sockaddr *)&a, &len));
	EXPECT_ERRNO(inet_setint(l, SOL_IPV6, IPV6_ADDRFORM, AF_INET), ENOTCONN);
	ASSERT_OK(connect(s, (struct sockaddr *)&a, sizeof(a)));
	EXPECT_ERRNO(inet_setint(s, SOL_IPV6, IPV6_ADDRFORM, AF_INET), EADDRNOTAVAIL);
	s = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0));
	EXPECT_ERRNO(inet_setint(s, SOL_IPV6, IPV6_ADDRFORM, AF_INET), ENOPROTOOPT);
	len = sizeof(v);
	EXPECT_ERRNO(getsockopt(s, SOL_IPV6, IPV6_ADDRFORM, &v, &len), EOPNOTSUPP);
}

/* The port is shown until there is another one, and yet it is free. */
GUEST_TEST(the_port_of_a_failed_connect_is_remembered)
{
	struct sockaddr_in nobody = {.sin_family = AF_INET}, a = {0}, b = {0};
	int s = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0)), l;
	socklen_t len = sizeof(a);

	nobody.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	l = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0));
	ASSERT_OK(bind(l, (struct sockaddr *)&nobody, sizeof(nobody)));
	ASSERT_OK(getsockname(l, (struct sockaddr *)&nobody, &len));
	EXPECT_OK(getsockname(s, (struct sockaddr *)&a, &len));
	EXPECT_EQ(a.sin_port, 0);
	EXPECT_ERRNO(connect(s, (struct sockaddr *)&nobody, sizeof(nobody)), ECONNREFUSED);
	EXPECT_OK(getsockname(s, (struct sockaddr *)&a, &len));
	EXPECT_NE(a.sin_port, 0);
	EXPECT_EQ(a.sin_addr.s_addr, htonl(INADDR_ANY));
	MAYBE_SAVE();
	EXPECT_OK(getsockname(s, (struct sockaddr *)&b, &len));
	EXPECT_EQ(b.sin_port, a.sin_port);
	EXPECT_ERRNO(getpeername(s, (struct sockaddr *)&b, &len), ENOTCONN);
	b = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = a.sin_port};
	EXPECT_OK(
		bind(ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0)), (struct sockaddr *)&b, sizeof(b)));
	EXPECT_OK(listen(l, 5));
	EXPECT_OK(connect(s, (struct sockaddr *)&nobody, sizeof(nobody)));
	EXPECT_OK(getsockname(s, (struct sockaddr *)&b, &len));
	EXPECT_NE(b.sin_port, 0);
	EXPECT_EQ(b.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
}
