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
