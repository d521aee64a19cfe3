#include "tests/guest/inet_util.h"

#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

GUEST_TEST(getifaddrs_sees_loopback)
{
	struct ifaddrs *all = NULL;
	int seen4 = 0, seen6 = 0;

	ASSERT_OK(getifaddrs(&all));
	for (struct ifaddrs *i = all; i; i = i->ifa_next) {
		if (!i->ifa_addr || strcmp(i->ifa_name, "lo") != 0)
			continue;
		EXPECT_TRUE(i->ifa_flags & IFF_LOOPBACK);
		EXPECT_TRUE(i->ifa_flags & IFF_UP);
		if (i->ifa_addr->sa_family == AF_INET) {
			const struct sockaddr_in *a = (const void *)i->ifa_addr;

			seen4 += a->sin_addr.s_addr == htonl(INADDR_LOOPBACK);
		} else if (i->ifa_addr->sa_family == AF_INET6) {
			const struct sockaddr_in6 *a = (const void *)i->ifa_addr;

			seen6 += IN6_IS_ADDR_LOOPBACK(&a->sin6_addr);
		}
	}
	EXPECT_EQ(seen4, 1);
	EXPECT_EQ(seen6, 1);
	freeifaddrs(all);
}

GUEST_TEST(names_and_indexes)
{
	struct if_nameindex *all = if_nameindex();
	char name[IF_NAMESIZE];

	ASSERT_TRUE(all);
	EXPECT_EQ(all[0].if_index, 1);
	EXPECT_STREQ(all[0].if_name, "lo");
	if_freenameindex(all);
	EXPECT_EQ(if_nametoindex("lo"), 1);
	EXPECT_EQ(if_nametoindex("nosuch"), 0);
	EXPECT_STREQ(if_indextoname(1, name), "lo");
}

struct request {
	struct nlmsghdr h;
	struct ifinfomsg i;
};

static int route_socket(void)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK};
	int fd = ASSERT_OK(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));

	ASSERT_OK(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

GUEST_TEST(dump_of_links)
{
	struct request q = {.h = {.nlmsg_len = sizeof(q),
	                          .nlmsg_type = RTM_GETLINK,
	                          .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
	                          .nlmsg_seq = 42}};
	static char buf[65536] __attribute__((aligned(8)));
	int fd = route_socket(), lo = 0;
	struct sockaddr_nl me = {0};
	socklen_t len = sizeof(me);
	bool done = false;

	ASSERT_OK(getsockname(fd, (struct sockaddr *)&me, &len));
	EXPECT_EQ(len, sizeof(me));
	EXPECT_NE(me.nl_pid, 0);
	ASSERT_EQ(send(fd, &q, sizeof(q), 0), sizeof(q));
	MAYBE_SAVE();
	while (!done) {
		struct sockaddr_nl from = {0};
		ssize_t n, whole = recv(fd, buf, 1, MSG_PEEK | MSG_TRUNC);

		len = sizeof(from);
		n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);
		ASSERT_TRUE(n > 0);
		EXPECT_EQ(n, whole);
		EXPECT_EQ(from.nl_pid, 0);
		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			EXPECT_EQ(h->nlmsg_seq, 42);
			EXPECT_EQ(h->nlmsg_pid, me.nl_pid);
			if (h->nlmsg_type == NLMSG_DONE)
				done = true;
			else if (h->nlmsg_type == RTM_NEWLINK)
				lo += ((struct ifinfomsg *)NLMSG_DATA(h))->ifi_index == 1;
		}
	}
	EXPECT_EQ(lo, 1);
}

GUEST_TEST(errors_and_acks)
{
	struct request q = {.h = {.nlmsg_len = sizeof(q),
	                          .nlmsg_type = RTM_GETLINK,
	                          .nlmsg_flags = NLM_F_REQUEST,
	                          .nlmsg_seq = 5},
	                    .i = {.ifi_index = 9999}};
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
		char more[512];
	} in;
	int fd = route_socket();

	ASSERT_EQ(send(fd, &q, sizeof(q), 0), sizeof(q));
	EXPECT_GE(recv(fd, &in, sizeof(in), 0), sizeof(in.h) + sizeof(in.e));
	EXPECT_EQ(in.h.nlmsg_type, NLMSG_ERROR);
	EXPECT_EQ(in.h.nlmsg_seq, 5);
	EXPECT_EQ(in.e.error, -ENODEV);
	q.h.nlmsg_type = NLMSG_NOOP;
	q.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	ASSERT_EQ(send(fd, &q, sizeof(q), 0), sizeof(q));
	EXPECT_GE(recv(fd, &in, sizeof(in), 0), sizeof(in.h) + sizeof(in.e));
	EXPECT_EQ(in.h.nlmsg_type, NLMSG_ERROR);
	EXPECT_EQ(in.e.error, 0);
}

GUEST_TEST(ordinary_users_change_nothing)
{
	struct request q = {.h = {.nlmsg_len = sizeof(q),
	                          .nlmsg_type = RTM_DELLINK,
	                          .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
	                    .i = {.ifi_index = 1}};
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
		char more[512];
	} in;
	int fd;

	guest_drop_root();
	fd = route_socket();
	ASSERT_EQ(send(fd, &q, sizeof(q), 0), sizeof(q));
	EXPECT_GE(recv(fd, &in, sizeof(in), 0), sizeof(in.h) + sizeof(in.e));
	EXPECT_EQ(in.e.error, -EPERM);
}

GUEST_TEST(groups_are_accepted)
{
	int fd = route_socket(), on = RTNLGRP_LINK;
	struct pollfd p = {fd, POLLIN | POLLOUT, 0};

	EXPECT_OK(setsockopt(fd, 270, NETLINK_ADD_MEMBERSHIP, &on, sizeof(on)));
	MAYBE_SAVE();
	EXPECT_OK(setsockopt(fd, 270, NETLINK_DROP_MEMBERSHIP, &on, sizeof(on)));
	EXPECT_EQ(poll(&p, 1, 0), 1);
	EXPECT_EQ(p.revents, POLLOUT);
	EXPECT_ERRNO(socket(AF_NETLINK, SOCK_STREAM, NETLINK_ROUTE), ESOCKTNOSUPPORT);
	EXPECT_ERRNO(socket(AF_NETLINK, SOCK_RAW, 99), EPROTONOSUPPORT);
}
