#include "tests/guest/inet_util.h"

#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>

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

static int setting(const char *name)
{
	char path[128];
	int v = -1000;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	f = fopen(path, "r");
	ASSERT_TRUE(f);
	EXPECT_EQ(fscanf(f, "%d", &v), 1);
	fclose(f);
	return v;
}

static int set(const char *name, const char *v)
{
	char path[128];
	int fd, r;

	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return -1;
	r = write(fd, v, strlen(v)) == (ssize_t)strlen(v) ? 0 : -1;
	close(fd);
	return r;
}

static char *setting_text(const char *name)
{
	static char v[64];
	char path[128];
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	fd = ASSERT_OK(open(path, O_RDONLY));
	n = ASSERT_OK(read(fd, v, sizeof(v) - 1));
	v[n] = 0;
	close(fd);
	return v;
}

/* Kept, within bounds; some are what new sockets begin with. */
GUEST_TEST(settings)
{
	int fd;

	/* Natively in a network of its own; a sandbox has one of its own. */
	if (geteuid() != 0)
		SKIP("not root");
	if (unshare(CLONE_NEWNET) < 0)
		EXPECT_TRUE(errno == EINVAL || errno == EPERM);
	EXPECT_EQ(setting("ipv4/ip_forward"), 0);
	EXPECT_OK(set("ipv4/ip_forward", "1"));
	EXPECT_OK(set("ipv4/tcp_sack", "0"));
	EXPECT_OK(set("ipv4/tcp_keepalive_time", "77"));
	EXPECT_OK(set("ipv6/bindv6only", "1"));
	EXPECT_OK(set("core/somaxconn", "9"));
	EXPECT_OK(set("ipv4/ip_nonlocal_bind", "1"));
	EXPECT_OK(set("ipv4/tcp_notsent_lowat", "3000000000"));
	EXPECT_ERRNO(set("ipv4/tcp_notsent_lowat", "-1"), EINVAL);
	EXPECT_ERRNO(set("ipv4/tcp_notsent_lowat", "4294967296"), EINVAL);
	EXPECT_ERRNO(set("ipv4/tcp_sack", "7000"), EINVAL);
	EXPECT_ERRNO(set("ipv4/tcp_sack", "word"), EINVAL);
	MAYBE_SAVE();
	EXPECT_EQ(setting("ipv4/ip_forward"), 1);
	EXPECT_EQ(setting("ipv4/tcp_sack"), 0);
	EXPECT_EQ(setting("core/somaxconn"), 9);
	EXPECT_STREQ(setting_text("ipv4/tcp_notsent_lowat"), "3000000000\n");
	fd = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0));
	EXPECT_EQ(inet_getint(fd, SOL_TCP, TCP_KEEPIDLE), 77);
	fd = ASSERT_OK(socket(AF_INET6, SOCK_STREAM, 0));
	EXPECT_EQ(inet_getint(fd, SOL_IPV6, IPV6_V6ONLY), 1);
	fd = ASSERT_OK(socket(AF_INET, SOCK_DGRAM, 0));
	EXPECT_OK(bind(fd,
	               (struct sockaddr *)&(struct sockaddr_in){
			       .sin_family = AF_INET, .sin_addr.s_addr = inet_addr("10.9.8.7")},
	               sizeof(struct sockaddr_in)));
	/* Not to stay that way for the next case. */
	EXPECT_OK(set("ipv4/ip_forward", "0"));
	EXPECT_OK(set("ipv4/tcp_sack", "1"));
	EXPECT_OK(set("ipv4/tcp_keepalive_time", "7200"));
	EXPECT_OK(set("ipv6/bindv6only", "0"));
	EXPECT_OK(set("core/somaxconn", "4096"));
	EXPECT_OK(set("ipv4/ip_nonlocal_bind", "0"));
	EXPECT_OK(set("ipv4/tcp_notsent_lowat", "4294967295"));
}

/* Where a free port is looked for there is one left that is not spoken for. */
GUEST_TEST(reserved_ports)
{
	struct inet_any a = inet_loop(AF_INET, 0);
	int fd;

	if (geteuid() != 0)
		SKIP("not root");
	if (unshare(CLONE_NEWNET) < 0)
		EXPECT_TRUE(errno == EINVAL || errno == EPERM);
	EXPECT_OK(set("ipv4/ip_local_port_range", "40000 40009"));
	EXPECT_OK(set("ipv4/ip_local_reserved_ports", "40006-40009,7,40000-40004,9"));
	EXPECT_ERRNO(set("ipv4/ip_local_reserved_ports", "5-3"), EINVAL);
	EXPECT_ERRNO(set("ipv4/ip_local_reserved_ports", "70000"), EINVAL);
	MAYBE_SAVE();
	EXPECT_STREQ(setting_text("ipv4/ip_local_reserved_ports"), "7,9,40000-40004,40006-40009\n");
	fd = ASSERT_OK(socket(AF_INET, SOCK_DGRAM, 0));
	a.u.in.sin_addr.s_addr = htonl(INADDR_ANY);
	ASSERT_OK(bind(fd, &a.u.sa, a.len));
	a = inet_name(fd);
	EXPECT_EQ(inet_port(&a), 40005);
	close(fd);
	EXPECT_OK(set("ipv4/ip_local_reserved_ports", ""));
	EXPECT_OK(set("ipv4/ip_local_port_range", "32768 60999"));
}

/* Settings of buffers are what new sockets begin with. */
GUEST_TEST(buffer_settings)
{
	int fd;

	if (geteuid() != 0)
		SKIP("not root");
	if (unshare(CLONE_NEWNET) < 0)
		EXPECT_TRUE(errno == EINVAL || errno == EPERM);
	EXPECT_OK(set("ipv4/tcp_rmem", "4096 70000 100000"));
	EXPECT_OK(set("ipv4/tcp_wmem", "4096 50000 100000"));
	EXPECT_ERRNO(set("ipv4/tcp_wmem", "4096 0 100000"), EINVAL);
	MAYBE_SAVE();
	EXPECT_STREQ(setting_text("ipv4/tcp_rmem"), "4096\t70000\t100000\n");
	fd = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0));
	EXPECT_EQ(inet_getint(fd, SOL_SOCKET, SO_RCVBUF), 70000);
	EXPECT_EQ(inet_getint(fd, SOL_SOCKET, SO_SNDBUF), 50000);
	close(fd);
	EXPECT_OK(set("ipv4/tcp_rmem", "4096 131072 6291456"));
	EXPECT_OK(set("ipv4/tcp_wmem", "4096 16384 4194304"));
}

static bool binds_ipv6(void)
{
	struct inet_any a = inet_loop(AF_INET6, 0);
	int fd = ASSERT_OK(socket(AF_INET6, SOCK_STREAM, 0)), r = bind(fd, &a.u.sa, a.len);

	close(fd);
	return r == 0;
}

static void lo_up(void)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = ASSERT_OK(socket(AF_INET, SOCK_DGRAM, 0));

	ASSERT_OK(ioctl(fd, SIOCSIFFLAGS, &ifr));
	close(fd);
}

GUEST_TEST(ipv6_goes_and_comes)
{
	if (geteuid() != 0)
		SKIP("not root");
	if (unshare(CLONE_NEWNET) < 0)
		EXPECT_TRUE(errno == EINVAL || errno == EPERM);
	lo_up();
	EXPECT_TRUE(binds_ipv6());
	EXPECT_OK(set("ipv6/conf/all/disable_ipv6", "1"));
	EXPECT_EQ(setting("ipv6/conf/lo/disable_ipv6"), 1);
	MAYBE_SAVE();
	EXPECT_FALSE(binds_ipv6());
	EXPECT_OK(set("ipv6/conf/all/disable_ipv6", "0"));
	EXPECT_TRUE(binds_ipv6());
}
