#include "tests/guest/inet_util.h"

static char text[1 << 20];

/* The fields after the slot number of the line about a local port; false: none. */
static bool find(const char *file, unsigned port, char *remote, unsigned *state, unsigned *rx)
{
	char *save = NULL;

	ASSERT_TRUE(guest_read_file(file, text, sizeof(text)) > 0);
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		char local[64];
		unsigned tx, p;

		if (sscanf(l, " %*[^:]: %63s %63s %x %x:%x", local, remote, state, &tx, rx) != 5)
			continue;
		if (sscanf(strrchr(local, ':') + 1, "%x", &p) == 1 && p == port)
			return true;
	}
	return false;
}

GUEST_TEST(tcp_tables)
{
	int l = inet_listener(AF_INET, 4), c, l6 = inet_listener(AF_INET6, 4);
	struct inet_any n = inet_name(l), n6 = inet_name(l6), nc;
	unsigned state = 0, rx = 0;
	char remote[64];

	ASSERT_TRUE(find("/proc/net/tcp", inet_port(&n), remote, &state, &rx));
	EXPECT_EQ(state, 10);
	EXPECT_STREQ(remote, "00000000:0000");
	ASSERT_TRUE(find("/proc/net/tcp6", inet_port(&n6), remote, &state, &rx));
	EXPECT_EQ(state, 10);
	c = inet_connected(l);
	nc = inet_name(c);
	MAYBE_SAVE();
	ASSERT_TRUE(find("/proc/net/tcp", inet_port(&nc), remote, &state, &rx));
	EXPECT_EQ(state, 1);
	close(l);
}

GUEST_TEST(udp_table)
{
	int a = inet_bound(AF_INET, SOCK_DGRAM);
	struct inet_any n = inet_name(a);
	unsigned state = 0, rx = 0;
	char remote[64];

	ASSERT_TRUE(find("/proc/net/udp", inet_port(&n), remote, &state, &rx));
	EXPECT_EQ(state, 7);
	EXPECT_EQ(rx, 0);
	ASSERT_EQ(sendto(a, "x", 1, 0, &n.u.sa, n.len), 1);
	MAYBE_SAVE();
	ASSERT_TRUE(find("/proc/net/udp", inet_port(&n), remote, &state, &rx));
	EXPECT_GT(rx, 0);
	ASSERT_OK(connect(a, &n.u.sa, n.len));
	ASSERT_TRUE(find("/proc/net/udp", inet_port(&n), remote, &state, &rx));
	EXPECT_EQ(state, 1);
}

GUEST_TEST(others_are_there)
{
	static const char *const files[] = {
		"/proc/net/dev",
		"/proc/net/route",
		"/proc/net/if_inet6",
		"/proc/net/sockstat",
		"/proc/net/netstat",
		"/proc/net/snmp",
		"/proc/net/arp",
		"/proc/net/udp6",
		"/proc/net/raw",
		"/proc/net/sockstat6",
		"/proc/sys/net/core/somaxconn",
		"/proc/sys/net/ipv4/tcp_rmem",
		"/proc/sys/net/ipv4/ip_local_port_range",
		"/proc/sys/net/ipv6/conf/all/disable_ipv6",
	};

	for (size_t i = 0; i < GUEST_COUNT(files); i++) {
		if (guest_read_file(files[i], text, sizeof(text)) <= 0)
			guest_fail(__FILE__, __LINE__, "%s cannot be read", files[i]);
	}
	ASSERT_TRUE(guest_read_file("/proc/net/dev", text, sizeof(text)) > 0);
	EXPECT_TRUE(strstr(text, "    lo:"));
}
