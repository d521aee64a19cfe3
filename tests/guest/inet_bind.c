#include "tests/guest/inet_util.h"

static int try_bind(int type, const struct inet_any *a, bool reuse, bool reuseport, int *ret_fd)
{
	int fd = ASSERT_OK(socket(a->u.sa.sa_family, type, 0)), r;

	if (reuse)
		ASSERT_OK(inet_setint(fd, SOL_SOCKET, SO_REUSEADDR, 1));
	if (reuseport)
		ASSERT_OK(inet_setint(fd, SOL_SOCKET, SO_REUSEPORT, 1));
	r = bind(fd, &a->u.sa, a->len) < 0 ? errno : 0;
	if (ret_fd)
		*ret_fd = fd;
	else
		close(fd);
	return r;
}

GUEST_TEST(one_port_one_owner)
{
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM};

	for (size_t i = 0; i < GUEST_COUNT(types); i++) {
		int a = inet_bound(AF_INET, types[i]);
		struct inet_any n = inet_name(a), any = n, other = n;

		MAYBE_SAVE();
		EXPECT_EQ(try_bind(types[i], &n, false, false, NULL), EADDRINUSE);
		EXPECT_EQ(try_bind(types[i], &n, true, false, NULL), EADDRINUSE);
		any.u.in.sin_addr.s_addr = htonl(INADDR_ANY);
		EXPECT_EQ(try_bind(types[i], &any, false, false, NULL), EADDRINUSE);
		other.u.in.sin_addr.s_addr = htonl(0x7f000002);
		EXPECT_EQ(try_bind(types[i], &other, false, false, NULL), 0);
		close(a);
		EXPECT_EQ(try_bind(types[i], &n, false, false, NULL), 0);
	}
}

GUEST_TEST(reuseaddr)
{
	struct inet_any n = inet_loop(AF_INET, 0);
	int a, b, c;

	ASSERT_EQ(try_bind(SOCK_STREAM, &n, true, false, &a), 0);
	n = inet_name(a);
	EXPECT_EQ(try_bind(SOCK_STREAM, &n, true, false, &b), 0);
	ASSERT_OK(listen(a, 1));
	MAYBE_SAVE();
	/* One of them may listen. */
	EXPECT_ERRNO(listen(b, 1), EADDRINUSE);
	EXPECT_EQ(try_bind(SOCK_STREAM, &n, true, false, &c), EADDRINUSE);
}

GUEST_TEST(time_wait_needs_reuseaddr)
{
	int l = inet_listener(AF_INET, 1), c = inet_connected(l), s = accept(l, NULL, NULL);
	struct inet_any n = inet_name(l);
	char b;

	inet_setint(l, SOL_SOCKET, SO_REUSEADDR, 1);
	inet_setint(s, SOL_SOCKET, SO_REUSEADDR, 1);
	close(s);
	close(l);
	EXPECT_EQ(read(c, &b, 1), 0);
	close(c);
	MAYBE_SAVE();
	EXPECT_EQ(try_bind(SOCK_STREAM, &n, false, false, NULL), EADDRINUSE);
	EXPECT_EQ(try_bind(SOCK_STREAM, &n, true, false, NULL), 0);
}

GUEST_TEST(reuseport_spreads)
{
	enum {
		N = 200
	};
	struct inet_any n = inet_loop(AF_INET, 0);
	int l[2], got[2] = {0, 0}, c;

	ASSERT_EQ(try_bind(SOCK_STREAM, &n, false, true, &l[0]), 0);
	n = inet_name(l[0]);
	ASSERT_EQ(try_bind(SOCK_STREAM, &n, false, true, &l[1]), 0);
	EXPECT_EQ(try_bind(SOCK_STREAM, &n, false, false, &c), EADDRINUSE);
	for (int i = 0; i < 2; i++) {
		ASSERT_OK(listen(l[i], N));
		fcntl(l[i], F_SETFL, O_NONBLOCK);
	}
	MAYBE_SAVE();
	for (int i = 0; i < N; i++) {
		struct pollfd p[2] = {{l[0], POLLIN, 0}, {l[1], POLLIN, 0}};

		c = inet_connected(l[0]);
		ASSERT_TRUE(poll(p, 2, 10000) > 0);
		for (int k = 0; k < 2; k++) {
			int s = accept(l[k], NULL, NULL);

			if (s >= 0) {
				got[k]++;
				close(s);
			}
		}
		close(c);
	}
	EXPECT_EQ(got[0] + got[1], N);
	EXPECT_GT(got[0], 0);
	EXPECT_GT(got[1], 0);
}

GUEST_TEST(both_families)
{
	struct inet_any a4 = inet_loop(AF_INET, 0), a6 = inet_loop(AF_INET6, 0), n;
	int a, b, c;

	a4.u.in.sin_addr.s_addr = htonl(INADDR_ANY);
	a6.u.in6.sin6_addr = in6addr_any;
	ASSERT_EQ(try_bind(SOCK_STREAM, &a4, false, false, &a), 0);
	n = inet_name(a);
	a6.u.in6.sin6_port = n.u.in.sin_port;
	EXPECT_EQ(try_bind(SOCK_STREAM, &a6, false, false, NULL), EADDRINUSE);
	b = socket(AF_INET6, SOCK_STREAM, 0);
	ASSERT_OK(inet_setint(b, SOL_IPV6, IPV6_V6ONLY, 1));
	ASSERT_OK(bind(b, &a6.u.sa, a6.len));
	EXPECT_ERRNO(inet_setint(b, SOL_IPV6, IPV6_V6ONLY, 0), EINVAL);
	ASSERT_OK(listen(b, 1));
	c = socket(AF_INET, SOCK_STREAM, 0);
	a4 = inet_loop(AF_INET, inet_port(&n));
	MAYBE_SAVE();
	EXPECT_ERRNO(connect(c, &a4.u.sa, a4.len), ECONNREFUSED);
	ASSERT_OK(listen(a, 1));
	EXPECT_OK(connect(c, &a4.u.sa, a4.len));
}

GUEST_TEST(low_ports_are_privileged)
{
	struct inet_any n = inet_loop(AF_INET, 77);
	char text[32] = "";

	guest_read_file("/proc/sys/net/ipv4/ip_unprivileged_port_start", text, sizeof(text));
	if (atoi(text) <= 77)
		SKIP("they are not here");
	guest_drop_root();
	EXPECT_EQ(try_bind(SOCK_STREAM, &n, false, false, NULL), EACCES);
	EXPECT_EQ(try_bind(SOCK_DGRAM, &n, false, false, NULL), EACCES);
}

GUEST_TEST(ephemeral_range)
{
	char text[64] = "";
	int lo = 0, hi = 0;

	ASSERT_TRUE(guest_read_file("/proc/sys/net/ipv4/ip_local_port_range", text, sizeof(text)) >
	            0);
	ASSERT_EQ(sscanf(text, "%d %d", &lo, &hi), 2);
	for (int i = 0; i < 50; i++) {
		int fd = inet_bound(i % 2 ? AF_INET : AF_INET6, i % 3 ? SOCK_STREAM : SOCK_DGRAM);
		struct inet_any n = inet_name(fd);

		EXPECT_GE(inet_port(&n), lo);
		EXPECT_LE(inet_port(&n), hi);
	}
}

GUEST_TEST(chosen_ports_are_shared_with_nobody)
{
	unsigned ports[40];

	/* SO_REUSEADDR would allow it, but who asks for any port gets one of its own. */
	for (unsigned i = 0; i < GUEST_COUNT(ports); i++) {
		struct inet_any a = inet_loop(AF_INET, 0);
		int fd;

		ASSERT_EQ(try_bind(SOCK_STREAM, &a, true, false, &fd), 0);
		a = inet_name(fd);
		ports[i] = inet_port(&a);
		for (unsigned j = 0; j < i; j++)
			EXPECT_NE(ports[i], ports[j]);
		if (i == 20)
			MAYBE_SAVE();
	}
}

GUEST_TEST(packets_are_for_the_privileged)
{
	guest_drop_root();
	EXPECT_ERRNO(socket(AF_PACKET, SOCK_RAW, 0), EPERM);
	EXPECT_ERRNO(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), EPERM);
}

/* ---- what a connection can become, and what it leaves behind ---- */

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

GUEST_TEST(addrform_a_connection_becomes_one_of_ipv4)
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

GUEST_TEST(addrform_datagrams)
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

GUEST_TEST(addrform_refused)
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
