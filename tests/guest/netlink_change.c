#include "tests/guest/inet_util.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/route.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Natively in a network of its own; a sandbox has one of its own. Every case leaves it as it was.
 */
static void own_network(void)
{
	struct ifreq ifr = {.ifr_name = "lo"};
	int fd;

	if (geteuid() != 0)
		SKIP("not root");
	if (unshare(CLONE_NEWNET) < 0)
		EXPECT_TRUE(errno == EINVAL || errno == EPERM);
	fd = ASSERT_OK(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	ASSERT_OK(ioctl(fd, SIOCGIFFLAGS, &ifr));
	ifr.ifr_flags |= IFF_UP;
	ASSERT_OK(ioctl(fd, SIOCSIFFLAGS, &ifr));
	close(fd);
}

/* ---- requests ---- */

struct message {
	struct nlmsghdr h;
	char body[512];
};

static int route_socket(unsigned groups)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = groups};
	int fd = ASSERT_OK(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));

	ASSERT_OK(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

static void *begin(struct message *m, unsigned type, unsigned flags, size_t fixed)
{
	memset(m, 0, sizeof(*m));
	m->h.nlmsg_type = (uint16_t)type;
	m->h.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	m->h.nlmsg_len = (uint32_t)NLMSG_LENGTH(fixed);
	m->h.nlmsg_seq = 7;
	return m->body;
}

static void attr(struct message *m, unsigned type, const void *data, size_t len)
{
	struct rtattr *a = (struct rtattr *)((char *)m + NLMSG_ALIGN(m->h.nlmsg_len));

	a->rta_type = (unsigned short)type;
	a->rta_len = (unsigned short)RTA_LENGTH(len);
	memcpy(RTA_DATA(a), data, len);
	m->h.nlmsg_len = (uint32_t)(NLMSG_ALIGN(m->h.nlmsg_len) + RTA_SPACE(len));
}

/* Its errno, 0: done. */
static int ask(struct message *m)
{
	int fd = route_socket(0);
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
		char rest[512];
	} r;

	ASSERT_EQ(send(fd, m, m->h.nlmsg_len, 0), m->h.nlmsg_len);
	ASSERT_TRUE(recv(fd, &r, sizeof(r), 0) >= (ssize_t)sizeof(r.h));
	EXPECT_EQ(r.h.nlmsg_type, NLMSG_ERROR);
	EXPECT_EQ(r.h.nlmsg_seq, 7);
	close(fd);
	return -r.e.error;
}

static size_t parse(const char *ip, void *ret)
{
	bool v6 = strchr(ip, ':') != NULL;

	ASSERT_EQ(inet_pton(v6 ? AF_INET6 : AF_INET, ip, ret), 1);
	return v6 ? 16 : 4;
}

static int change_addr(unsigned type, unsigned flags, const char *ip, int plen)
{
	struct message m;
	struct ifaddrmsg *i = begin(&m, type, flags, sizeof(*i));
	char b[16];
	size_t n = parse(ip, b);

	i->ifa_family = n == 4 ? AF_INET : AF_INET6;
	i->ifa_prefixlen = (uint8_t)plen;
	/* Of IPv6: at once, without asking around whether somebody else has it. */
	i->ifa_flags = n == 4 ? 0 : IFA_F_NODAD;
	i->ifa_index = 1;
	attr(&m, IFA_LOCAL, b, n);
	attr(&m, IFA_ADDRESS, b, n);
	return ask(&m);
}

/* One of IPv6 that is there gets other flags, or another lifetime. */
static int replace_addr(const char *ip, int plen, unsigned type, const void *data, size_t len)
{
	struct message m;
	struct ifaddrmsg *i = begin(&m, RTM_NEWADDR, NLM_F_REPLACE, sizeof(*i));
	char b[16];

	i->ifa_family = AF_INET6;
	i->ifa_prefixlen = (uint8_t)plen;
	i->ifa_index = 1;
	attr(&m, IFA_LOCAL, b, parse(ip, b));
	attr(&m, type, data, len);
	return ask(&m);
}

/* Makes it one that nothing is sent from by choice, or one that is. */
static int prefer(const char *ip, int plen, bool preferred)
{
	struct ifa_cacheinfo ci = {.ifa_valid = ~0u, .ifa_prefered = preferred ? ~0u : 0};

	return replace_addr(ip, plen, IFA_CACHEINFO, &ci, sizeof(ci));
}

static int change_flags(const char *ip, int plen, uint32_t flags)
{
	return replace_addr(ip, plen, IFA_FLAGS, &flags, sizeof(flags));
}

static int add_addr(const char *ip, int plen)
{
	return change_addr(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ip, plen);
}

static int del_addr(const char *ip, int plen)
{
	return change_addr(RTM_DELADDR, 0, ip, plen);
}

static int change_route(unsigned type, unsigned flags, int kind, const char *ip, int plen)
{
	bool error = kind == RTN_BLACKHOLE || kind == RTN_UNREACHABLE || kind == RTN_PROHIBIT;
	struct message m;
	struct rtmsg *i = begin(&m, type, flags, sizeof(*i));
	int lo = 1;
	char b[16];
	size_t n = parse(ip, b);

	i->rtm_family = n == 4 ? AF_INET : AF_INET6;
	i->rtm_dst_len = (uint8_t)plen;
	i->rtm_table = kind == RTN_LOCAL ? RT_TABLE_LOCAL : RT_TABLE_MAIN;
	i->rtm_protocol = type == RTM_NEWROUTE ? RTPROT_BOOT : 0;
	i->rtm_scope = type == RTM_DELROUTE ? RT_SCOPE_NOWHERE
	               : kind == RTN_LOCAL  ? RT_SCOPE_HOST
	               : error              ? RT_SCOPE_UNIVERSE
	                                    : RT_SCOPE_LINK;
	i->rtm_type = (uint8_t)kind;
	attr(&m, RTA_DST, b, n);
	if (!error)
		attr(&m, RTA_OIF, &lo, sizeof(lo));
	return ask(&m);
}

static int add_route(int kind, const char *ip, int plen)
{
	return change_route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, kind, ip, plen);
}

static int del_route(int kind, const char *ip, int plen)
{
	return change_route(RTM_DELROUTE, 0, kind, ip, plen);
}

static int set_link(unsigned flags, unsigned change, unsigned mtu)
{
	struct message m;
	struct ifinfomsg *i = begin(&m, RTM_NEWLINK, 0, sizeof(*i));

	i->ifi_index = 1;
	i->ifi_flags = flags;
	i->ifi_change = change;
	if (mtu)
		attr(&m, IFLA_MTU, &mtu, sizeof(mtu));
	return ask(&m);
}

/* ---- addresses in use ---- */

static struct inet_any at(const char *ip, unsigned port)
{
	struct inet_any a = inet_loop(strchr(ip, ':') ? AF_INET6 : AF_INET, port);

	if (a.u.sa.sa_family == AF_INET)
		parse(ip, &a.u.in.sin_addr);
	else
		parse(ip, &a.u.in6.sin6_addr);
	return a;
}

static int try_bind(int type, const char *ip)
{
	struct inet_any a = at(ip, 0);
	int fd = ASSERT_OK(socket(a.u.sa.sa_family, type | SOCK_CLOEXEC, 0));
	int r = bind(fd, &a.u.sa, a.len) < 0 ? errno : 0;

	close(fd);
	return r;
}

static int try_send(const char *ip)
{
	struct inet_any a = at(ip, 9);
	int fd = ASSERT_OK(socket(a.u.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	int r = sendto(fd, "x", 1, 0, &a.u.sa, a.len) < 0 ? errno : 0;

	close(fd);
	return r;
}

/* How often getifaddrs(3) shows it. */
static int shown(const char *ip)
{
	struct inet_any want = at(ip, 0);
	struct ifaddrs *all = NULL;
	int n = 0;

	ASSERT_OK(getifaddrs(&all));
	for (struct ifaddrs *i = all; i; i = i->ifa_next) {
		if (!i->ifa_addr || i->ifa_addr->sa_family != want.u.sa.sa_family)
			continue;
		if (want.u.sa.sa_family == AF_INET)
			n += ((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr.s_addr ==
			     want.u.in.sin_addr.s_addr;
		else
			n += IN6_ARE_ADDR_EQUAL(
				&((struct sockaddr_in6 *)(void *)i->ifa_addr)->sin6_addr,
				&want.u.in6.sin6_addr);
	}
	freeifaddrs(all);
	return n;
}

static void expect_source(int fd, const char *ip)
{
	struct inet_any name = inet_name(fd), want = at(ip, inet_port(&name));

	EXPECT_EQ(memcmp(&name.u, &want.u, name.len), 0);
}

/* A connection to an address, from whichever the routes choose. */
static void converse(const char *bound, const char *to, const char *from)
{
	struct inet_any a = at(bound, 0);
	int l = ASSERT_OK(socket(a.u.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
	int c = ASSERT_OK(socket(a.u.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0)), s;
	struct inet_any name;
	char buf[8];

	ASSERT_OK(bind(l, &a.u.sa, a.len));
	ASSERT_OK(listen(l, 1));
	name = inet_name(l);
	a = at(to, inet_port(&name));
	ASSERT_OK(connect(c, &a.u.sa, a.len));
	expect_source(c, from);
	s = ASSERT_OK(accept(l, NULL, NULL));
	expect_source(s, to);
	ASSERT_EQ(send(c, "hello", 5, 0), 5);
	MAYBE_SAVE();
	EXPECT_EQ(recv(s, buf, sizeof(buf), 0), 5);
	close(l);
	close(c);
	close(s);
}

GUEST_TEST(addresses_of_ipv4)
{
	own_network();
	EXPECT_EQ(try_send("10.1.2.3"), ENETUNREACH);
	ASSERT_EQ(add_addr("10.1.2.3", 24), 0);
	EXPECT_EQ(add_addr("10.1.2.3", 24), EEXIST);
	ASSERT_EQ(add_addr("10.1.2.4", 24), 0);
	ASSERT_EQ(add_addr("10.7.7.7", 32), 0);
	EXPECT_EQ(add_addr("10.7.7.8", 33), EINVAL);
	MAYBE_SAVE();
	EXPECT_EQ(shown("10.1.2.3"), 1);
	EXPECT_EQ(shown("10.1.2.4"), 1);
	EXPECT_EQ(shown("10.7.7.7"), 1);
	/* On lo the whole subnet is this machine. */
	converse("10.1.2.9", "10.1.2.9", "10.1.2.3");
	converse("0.0.0.0", "10.1.2.4", "10.1.2.3");
	converse("0.0.0.0", "10.7.7.7", "10.7.7.7");
	EXPECT_EQ(try_send("10.1.2.255"), EACCES);
	/* The first of a subnet takes the others along. */
	EXPECT_EQ(del_addr("10.1.2.3", 25), EADDRNOTAVAIL);
	EXPECT_EQ(del_addr("10.1.2.3", 24), 0);
	EXPECT_EQ(shown("10.1.2.4"), 0);
	EXPECT_EQ(try_bind(SOCK_STREAM, "10.1.2.4"), EADDRNOTAVAIL);
	EXPECT_EQ(try_send("10.1.2.4"), ENETUNREACH);
	EXPECT_EQ(del_addr("10.7.7.7", 32), 0);
	EXPECT_EQ(shown("127.0.0.1"), 1);
}

/* Adds one and waits until it is of use, which Linux sees to in the background. */
static int add_settled(const char *ip, int plen)
{
	int fd = route_socket(RTMGRP_IPV6_ROUTE), r = add_addr(ip, plen);
	struct message m = {0};

	while (r == 0 && (m.h.nlmsg_type != RTM_NEWROUTE ||
	                  ((struct rtmsg *)(void *)m.body)->rtm_type != RTN_LOCAL))
		ASSERT_TRUE(recv(fd, &m, sizeof(m), 0) > 0);
	close(fd);
	return r;
}

GUEST_TEST(addresses_of_ipv6)
{
	own_network();
	EXPECT_EQ(try_send("2001:db8::1"), ENETUNREACH);
	ASSERT_EQ(add_settled("2001:db8::1", 64), 0);
	ASSERT_EQ(add_settled("fd00::5", 128), 0);
	EXPECT_EQ(add_addr("fd00::5", 128), EEXIST);
	EXPECT_EQ(add_addr("ff02::5", 128), EADDRNOTAVAIL);
	EXPECT_EQ(shown("2001:db8::1"), 1);
	converse("2001:db8::1", "2001:db8::1", "2001:db8::1");
	converse("::", "fd00::5", "fd00::5");
	EXPECT_EQ(try_bind(SOCK_DGRAM, "2001:db8::2"), EADDRNOTAVAIL);
	/* It goes out, and nobody is there. */
	EXPECT_EQ(try_send("2001:db8::2"), 0);
	EXPECT_EQ(del_addr("2001:db8::1", 64), 0);
	EXPECT_EQ(del_addr("2001:db8::1", 64), EADDRNOTAVAIL);
	EXPECT_EQ(del_addr("fd00::5", 128), 0);
	EXPECT_EQ(try_bind(SOCK_STREAM, "fd00::5"), EADDRNOTAVAIL);
}

static void expect_from(const char *to, const char *from)
{
	struct inet_any a = at(to, 9);
	int fd = ASSERT_OK(socket(a.u.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));

	ASSERT_OK(connect(fd, &a.u.sa, a.len));
	expect_source(fd, from);
	close(fd);
}

GUEST_TEST(which_address_is_preferred)
{
	own_network();
	ASSERT_EQ(add_settled("fd00::1", 64), 0);
	ASSERT_EQ(add_settled("fd00::2", 64), 0);
	ASSERT_EQ(prefer("fd00::2", 64, false), 0);
	MAYBE_SAVE();
	expect_from("fd00::99", "fd00::1");
	expect_from("fd00::2", "fd00::2");
	ASSERT_EQ(prefer("fd00::2", 64, true), 0);
	ASSERT_EQ(prefer("fd00::1", 64, false), 0);
	expect_from("fd00::99", "fd00::2");
	EXPECT_EQ(del_addr("fd00::1", 64), 0);
	EXPECT_EQ(del_addr("fd00::2", 64), 0);
}

/* An address that is there loses its network, and gets it again. */
GUEST_TEST(network_of_an_address)
{
	own_network();
	ASSERT_EQ(add_settled("fd00::1", 64), 0);
	ASSERT_EQ(change_flags("fd00::1", 64, IFA_F_NOPREFIXROUTE), 0);
	EXPECT_EQ(try_send("fd00::99"), ENETUNREACH);
	MAYBE_SAVE();
	ASSERT_EQ(change_flags("fd00::1", 64, 0), 0);
	EXPECT_EQ(try_send("fd00::99"), 0);
	ASSERT_EQ(change_flags("fd00::1", 64, IFA_F_NOPREFIXROUTE), 0);
	EXPECT_EQ(del_addr("fd00::1", 64), 0);
	EXPECT_EQ(try_send("fd00::99"), ENETUNREACH);
}

/* More than fits into a page, for readers that have no more. */
GUEST_TEST(many_addresses)
{
	char ip[32];

	own_network();
	for (int i = 0; i < 300; i++) {
		snprintf(ip, sizeof(ip), "10.%d.%d.1", 20 + i / 100, i % 100);
		ASSERT_EQ(add_addr(ip, 24), 0);
	}
	MAYBE_SAVE();
	EXPECT_EQ(shown("10.20.0.1"), 1);
	EXPECT_EQ(shown("10.22.99.1"), 1);
	EXPECT_EQ(try_bind(SOCK_STREAM, "10.21.7.9"), 0);
	for (int i = 0; i < 300; i++) {
		snprintf(ip, sizeof(ip), "10.%d.%d.1", 20 + i / 100, i % 100);
		ASSERT_EQ(del_addr(ip, 24), 0);
	}
	EXPECT_EQ(shown("10.22.99.1"), 0);
}

static unsigned next_type(int fd)
{
	struct message m;

	ASSERT_TRUE(recv(fd, &m, sizeof(m), 0) > 0);
	return m.h.nlmsg_type;
}

GUEST_TEST(changes_are_told)
{
	struct sockaddr_nl from = {0};
	socklen_t len = sizeof(from);
	struct message m;
	int fd;

	own_network();
	fd = route_socket(RTMGRP_LINK | RTMGRP_IPV4_IFADDR);
	ASSERT_EQ(add_addr("10.1.2.3", 24), 0);
	ASSERT_EQ(set_link(0, 0, 1500), 0);
	ASSERT_EQ(del_addr("10.1.2.3", 24), 0);
	ASSERT_EQ(set_link(0, 0, 65536), 0);
	MAYBE_SAVE();
	ASSERT_TRUE(recvfrom(fd, &m, sizeof(m), 0, (struct sockaddr *)&from, &len) > 0);
	EXPECT_EQ(m.h.nlmsg_type, RTM_NEWADDR);
	EXPECT_EQ(m.h.nlmsg_seq, 7);
	EXPECT_EQ(from.nl_pid, 0);
	EXPECT_EQ(from.nl_groups, RTMGRP_IPV4_IFADDR);
	EXPECT_EQ(next_type(fd), RTM_NEWLINK);
	EXPECT_EQ(next_type(fd), RTM_DELADDR);
	EXPECT_EQ(next_type(fd), RTM_NEWLINK);
	EXPECT_ERRNO(recv(fd, &m, sizeof(m), MSG_DONTWAIT), EAGAIN);
	close(fd);
}

GUEST_TEST(lo_goes_down_and_up)
{
	struct inet_any a = at("127.0.0.1", 0);
	struct pollfd p = {.events = POLLOUT};
	int l, c, err = -1;
	socklen_t len = sizeof(err);

	own_network();
	l = ASSERT_OK(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	ASSERT_OK(bind(l, &a.u.sa, a.len));
	ASSERT_OK(listen(l, 1));
	a = inet_name(l);
	ASSERT_EQ(set_link(0, IFF_UP, 0), 0);
	EXPECT_EQ(shown("127.0.0.1"), 1);
	EXPECT_EQ(shown("::1"), 0);
	EXPECT_EQ(try_bind(SOCK_STREAM, "127.0.0.1"), 0);
	EXPECT_EQ(try_bind(SOCK_STREAM, "::1"), EADDRNOTAVAIL);
	EXPECT_EQ(try_send("127.0.0.1"), 0);
	c = ASSERT_OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
	EXPECT_ERRNO(connect(c, &a.u.sa, a.len), EINPROGRESS);
	p.fd = c;
	EXPECT_EQ(poll(&p, 1, 0), 0);
	MAYBE_SAVE();
	ASSERT_EQ(set_link(IFF_UP, IFF_UP, 0), 0);
	/* What asked while it was down asks again. */
	ASSERT_EQ(poll(&p, 1, -1), 1);
	ASSERT_OK(getsockopt(c, SOL_SOCKET, SO_ERROR, &err, &len));
	EXPECT_EQ(err, 0);
	EXPECT_EQ(shown("::1"), 1);
	close(c);
	close(l);
}

GUEST_TEST(routes)
{
	struct inet_any a = at("10.9.0.5", 9);
	int fd;

	own_network();
	ASSERT_EQ(add_route(RTN_LOCAL, "172.16.0.0", 16), 0);
	EXPECT_EQ(add_route(RTN_LOCAL, "172.16.0.0", 16), EEXIST);
	EXPECT_EQ(add_route(RTN_LOCAL, "172.16.0.1", 16), EINVAL);
	ASSERT_EQ(add_route(RTN_BLACKHOLE, "10.5.0.0", 16), 0);
	ASSERT_EQ(add_route(RTN_UNREACHABLE, "10.6.0.0", 16), 0);
	ASSERT_EQ(add_route(RTN_PROHIBIT, "10.7.0.0", 16), 0);
	ASSERT_EQ(add_route(RTN_UNICAST, "10.9.0.0", 16), 0);
	ASSERT_EQ(add_route(RTN_UNREACHABLE, "3002::", 16), 0);
	MAYBE_SAVE();
	converse("172.16.1.1", "172.16.1.1", "172.16.1.1");
	EXPECT_EQ(try_send("10.5.0.1"), EINVAL);
	EXPECT_EQ(try_send("10.6.0.1"), EHOSTUNREACH);
	EXPECT_EQ(try_send("10.7.0.1"), EACCES);
	EXPECT_EQ(try_send("10.8.0.1"), ENETUNREACH);
	EXPECT_EQ(try_send("3002::1"), EHOSTUNREACH);
	EXPECT_EQ(try_bind(SOCK_DGRAM, "10.9.0.1"), EADDRNOTAVAIL);
	EXPECT_EQ(try_send("10.9.0.1"), 0);
	fd = ASSERT_OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
	EXPECT_ERRNO(connect(fd, &a.u.sa, a.len), EINPROGRESS);
	EXPECT_ERRNO(connect(fd, &a.u.sa, a.len), EALREADY);
	close(fd);
	EXPECT_EQ(try_send("224.0.0.9"), ENETUNREACH);
	ASSERT_EQ(add_route(RTN_UNICAST, "224.0.0.0", 4), 0);
	EXPECT_EQ(try_send("224.0.0.9"), 0);
	EXPECT_EQ(del_route(RTN_UNICAST, "224.0.0.0", 4), 0);
	EXPECT_EQ(del_route(RTN_UNICAST, "224.0.0.0", 4), ESRCH);
	EXPECT_EQ(del_route(RTN_LOCAL, "172.16.0.0", 16), 0);
	EXPECT_EQ(try_bind(SOCK_DGRAM, "172.16.1.1"), EADDRNOTAVAIL);
	EXPECT_EQ(del_route(RTN_BLACKHOLE, "10.5.0.0", 16), 0);
	EXPECT_EQ(del_route(RTN_UNREACHABLE, "10.6.0.0", 16), 0);
	EXPECT_EQ(del_route(RTN_PROHIBIT, "10.7.0.0", 16), 0);
	EXPECT_EQ(del_route(RTN_UNICAST, "10.9.0.0", 16), 0);
	EXPECT_EQ(del_route(RTN_UNREACHABLE, "3002::", 16), 0);
	EXPECT_EQ(change_route(RTM_NEWROUTE, NLM_F_REPLACE, RTN_PROHIBIT, "3002::", 16), ENOENT);
	EXPECT_EQ(try_send("10.6.0.1"), ENETUNREACH);
}

static int path_mtu(const char *ip)
{
	struct inet_any a = at(ip, 9);
	int fd = ASSERT_OK(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), mtu;

	ASSERT_OK(connect(fd, &a.u.sa, a.len));
	mtu = inet_getint(fd, SOL_IP, IP_MTU);
	close(fd);
	return mtu;
}

GUEST_TEST(as_ifconfig_and_route_do)
{
	struct ifreq all[8], ifr = {.ifr_name = "lo:1"};
	struct ifconf ic = {.ifc_len = sizeof(all), .ifc_req = all};
	struct sockaddr_in sin = {.sin_family = AF_INET};
	struct rtentry rt = {.rt_flags = RTF_UP, .rt_dev = (char *)(uintptr_t) "lo"};
	int fd;

	own_network();
	fd = ASSERT_OK(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	sin.sin_addr.s_addr = inet_addr("10.3.0.1");
	memcpy(&ifr.ifr_addr, &sin, sizeof(sin));
	ASSERT_OK(ioctl(fd, SIOCSIFADDR, &ifr));
	sin.sin_addr.s_addr = inet_addr("255.255.0.0");
	memcpy(&ifr.ifr_netmask, &sin, sizeof(sin));
	ASSERT_OK(ioctl(fd, SIOCSIFNETMASK, &ifr));
	MAYBE_SAVE();
	EXPECT_EQ(try_bind(SOCK_STREAM, "10.3.99.1"), 0);
	EXPECT_EQ(try_bind(SOCK_STREAM, "10.4.99.1"), EADDRNOTAVAIL);
	ASSERT_OK(ioctl(fd, SIOCGIFCONF, &ic));
	EXPECT_EQ(ic.ifc_len, 2 * (int)sizeof(all[0]));
	EXPECT_STREQ(all[0].ifr_name, "lo");
	EXPECT_STREQ(all[1].ifr_name, "lo:1");
	ifr.ifr_flags = 0;
	ASSERT_OK(ioctl(fd, SIOCSIFFLAGS, &ifr));
	EXPECT_EQ(try_bind(SOCK_STREAM, "10.3.99.1"), EADDRNOTAVAIL);

	strcpy(ifr.ifr_name, "lo");
	ifr.ifr_mtu = 1400;
	ASSERT_OK(ioctl(fd, SIOCSIFMTU, &ifr));
	EXPECT_EQ(path_mtu("127.0.0.1"), 1400);
	ifr.ifr_mtu = 65536;
	ASSERT_OK(ioctl(fd, SIOCSIFMTU, &ifr));
	EXPECT_EQ(path_mtu("127.0.0.1"), 65535);
	ifr.ifr_mtu = -1;
	EXPECT_ERRNO(ioctl(fd, SIOCSIFMTU, &ifr), EINVAL);

	sin.sin_addr.s_addr = inet_addr("10.8.0.0");
	memcpy(&rt.rt_dst, &sin, sizeof(sin));
	sin.sin_addr.s_addr = inet_addr("255.255.0.0");
	memcpy(&rt.rt_genmask, &sin, sizeof(sin));
	ASSERT_OK(ioctl(fd, SIOCADDRT, &rt));
	EXPECT_ERRNO(ioctl(fd, SIOCADDRT, &rt), EEXIST);
	EXPECT_EQ(try_send("10.8.0.1"), 0);
	ASSERT_OK(ioctl(fd, SIOCDELRT, &rt));
	rt.rt_flags |= RTF_MSS;
	rt.rt_mss = 1400;
	ASSERT_OK(ioctl(fd, SIOCADDRT, &rt));
	EXPECT_EQ(path_mtu("10.8.0.1"), 65535);
	ASSERT_OK(ioctl(fd, SIOCDELRT, &rt));
	EXPECT_ERRNO(ioctl(fd, SIOCDELRT, &rt), ESRCH);
	EXPECT_EQ(try_send("10.8.0.1"), ENETUNREACH);
	close(fd);
}

GUEST_TEST(only_the_administrator_may)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = 0};
	int fd;

	guest_drop_root();
	EXPECT_EQ(add_addr("10.1.2.3", 24), EPERM);
	EXPECT_EQ(del_addr("127.0.0.1", 8), EPERM);
	EXPECT_EQ(add_route(RTN_LOCAL, "172.16.0.0", 16), EPERM);
	EXPECT_EQ(set_link(0, IFF_UP, 0), EPERM);
	fd = ASSERT_OK(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	EXPECT_ERRNO(ioctl(fd, SIOCSIFFLAGS, &ifr), EPERM);
	ifr.ifr_mtu = 1500;
	EXPECT_ERRNO(ioctl(fd, SIOCSIFMTU, &ifr), EPERM);
	close(fd);
}
