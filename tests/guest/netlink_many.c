#include "tests/guest/inet_util.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* So many that a dump of them is more than a socket holds by itself. */
#define ROUTES 5000

struct one {
	struct nlmsghdr h;
	struct rtmsg m;
	struct rtattr a;
	uint8_t dst[4];
};

/* Natively in a network of its own; a sandbox has one of its own. */
static void own_network(void)
{
	if (geteuid() != 0)
		SKIP("not root");
	if (unshare(CLONE_NEWNET) < 0)
		EXPECT_TRUE(errno == EINVAL || errno == EPERM);
}

static int route_socket(void)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK};
	int fd = ASSERT_OK(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));

	ASSERT_OK(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

/* One message per route, all at once; the last says how that went. */
static void change_all(int fd, unsigned type, unsigned flags)
{
	struct one *v = calloc(ROUTES, sizeof(*v));
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
	} r;

	ASSERT_TRUE(v);
	for (unsigned i = 0; i < ROUTES; i++) {
		v[i] = (struct one){
			.h = {.nlmsg_len = sizeof(*v),
		              .nlmsg_type = (uint16_t)type,
		              .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)},
			.m = {.rtm_family = AF_INET,
		              .rtm_dst_len = 32,
		              .rtm_table = RT_TABLE_MAIN,
		              .rtm_protocol = RTPROT_BOOT,
		              .rtm_type = RTN_BLACKHOLE},
			.a = {.rta_len = RTA_LENGTH(4), .rta_type = RTA_DST},
			.dst = {10, 9, (uint8_t)(i >> 8), (uint8_t)i},
		};
	}
	v[ROUTES - 1].h.nlmsg_flags |= NLM_F_ACK;
	ASSERT_EQ(send(fd, v, ROUTES * sizeof(*v), 0), ROUTES * sizeof(*v));
	ASSERT_TRUE(recv(fd, &r, sizeof(r), 0) > 0);
	EXPECT_EQ(r.h.nlmsg_type, NLMSG_ERROR);
	EXPECT_EQ(r.e.error, 0);
	free(v);
}

struct seen {
	unsigned routes, done, busy;
};

static void read_some(int fd, struct seen *s)
{
	static char buf[65536];
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	ASSERT_TRUE(n > 0);
	for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n)) {
		if (h->nlmsg_type == RTM_NEWROUTE)
			s->routes += ((struct rtmsg *)NLMSG_DATA(h))->rtm_type == RTN_BLACKHOLE;
		else if (h->nlmsg_type == NLMSG_DONE)
			s->done++;
		else if (h->nlmsg_type == NLMSG_ERROR)
			s->busy += ((struct nlmsgerr *)NLMSG_DATA(h))->error == -EBUSY;
	}
}

/* A dump has an end, however long it is; and while it is under way there is no other. */
GUEST_TEST(many_routes)
{
	struct one dump[2] = {0};
	struct seen s = {0};
	int fd;

	own_network();
	fd = route_socket();
	change_all(fd, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
	for (unsigned i = 0; i < 2; i++) {
		dump[i].h = (struct nlmsghdr){.nlmsg_len = sizeof(dump[i]),
		                              .nlmsg_type = RTM_GETROUTE,
		                              .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP};
		dump[i].m.rtm_family = AF_INET;
		dump[i].a = (struct rtattr){.rta_len = RTA_LENGTH(4), .rta_type = RTA_DST};
	}
	ASSERT_EQ(send(fd, dump, sizeof(dump), 0), sizeof(dump));
	MAYBE_SAVE();
	while (!s.done || !s.busy)
		read_some(fd, &s);
	EXPECT_EQ(s.routes, ROUTES);
	EXPECT_EQ(s.done, 1);
	EXPECT_EQ(s.busy, 1);
	change_all(fd, RTM_DELROUTE, 0);
	close(fd);
}

/* What programs send each other is as long as a buffer that an administrator asks for. */
GUEST_TEST(a_long_message)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK};
	socklen_t len = sizeof(a);
	size_t size = 3 << 20;
	char *p = malloc(size);
	int fd, most = 4 << 20;

	if (geteuid() != 0)
		SKIP("not root");
	ASSERT_TRUE(p);
	fd = ASSERT_OK(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_USERSOCK));
	ASSERT_OK(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	ASSERT_OK(getsockname(fd, (struct sockaddr *)&a, &len));
	ASSERT_OK(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &most, sizeof(most)));
	ASSERT_OK(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &most, sizeof(most)));
	memset(p, 'a', size);
	ASSERT_EQ(sendto(fd, p, size, 0, (struct sockaddr *)&a, sizeof(a)), size);
	MAYBE_SAVE();
	memset(p, 0, size);
	EXPECT_EQ(recv(fd, p, size, 0), size);
	EXPECT_EQ(p[0], 'a');
	EXPECT_EQ(p[size - 1], 'a');
	close(fd);
	free(p);
}
