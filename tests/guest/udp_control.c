#include "tests/guest/inet_util.h"

#include <linux/errqueue.h>
#include <linux/sockios.h>

struct box {
	char buf[32], control[256];
	struct iovec iov;
	struct inet_any from;
	struct msghdr m;
};

static ssize_t receive(int fd, struct box *b, int flags)
{
	memset(b, 0, sizeof(*b));
	b->iov = (struct iovec){b->buf, sizeof(b->buf)};
	b->m = (struct msghdr){.msg_name = &b->from.u,
	                       .msg_namelen = sizeof(b->from.u),
	                       .msg_iov = &b->iov,
	                       .msg_iovlen = 1,
	                       .msg_control = b->control,
	                       .msg_controllen = sizeof(b->control)};
	return recvmsg(fd, &b->m, flags);
}

static const void *find(struct box *b, int level, int type)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&b->m); c; c = CMSG_NXTHDR(&b->m, c)) {
		if (c->cmsg_level == level && c->cmsg_type == type)
			return CMSG_DATA(c);
	}
	return NULL;
}

static int as_int(const void *p)
{
	int v = -1;

	if (p)
		memcpy(&v, p, sizeof(v));
	return v;
}

GUEST_TEST(what_a_datagram_says)
{
	int a = inet_bound(AF_INET, SOCK_DGRAM), b = inet_bound(AF_INET, SOCK_DGRAM);
	struct inet_any to = inet_name(a);
	const struct in_pktinfo *pi;
	const uint8_t *tos;
	struct box x;

	ASSERT_OK(inet_setint(a, SOL_IP, IP_PKTINFO, 1));
	ASSERT_OK(inet_setint(a, SOL_IP, IP_RECVTTL, 1));
	ASSERT_OK(inet_setint(a, SOL_IP, IP_RECVTOS, 1));
	ASSERT_OK(inet_setint(a, SOL_SOCKET, SO_TIMESTAMP, 1));
	ASSERT_OK(inet_setint(b, SOL_IP, IP_TTL, 7));
	ASSERT_OK(inet_setint(b, SOL_IP, IP_TOS, 0x10));
	ASSERT_EQ(sendto(b, "hi", 2, 0, &to.u.sa, to.len), 2);
	MAYBE_SAVE();
	EXPECT_EQ(receive(a, &x, 0), 2);
	EXPECT_EQ(x.m.msg_flags, 0);
	EXPECT_EQ(as_int(find(&x, SOL_IP, IP_TTL)), 7);
	tos = find(&x, SOL_IP, IP_TOS);
	EXPECT_TRUE(tos && *tos == 0x10);
	pi = find(&x, SOL_IP, IP_PKTINFO);
	ASSERT_TRUE(pi);
	EXPECT_EQ(pi->ipi_addr.s_addr, htonl(INADDR_LOOPBACK));
	EXPECT_EQ(pi->ipi_spec_dst.s_addr, htonl(INADDR_LOOPBACK));
	EXPECT_TRUE(find(&x, SOL_SOCKET, SCM_TIMESTAMP));
}

GUEST_TEST(the_same_over_ipv6)
{
	int a = inet_bound(AF_INET6, SOCK_DGRAM), b = inet_bound(AF_INET6, SOCK_DGRAM);
	struct inet_any to = inet_name(a);
	const struct in6_pktinfo *pi;
	struct box x;

	ASSERT_OK(inet_setint(a, SOL_IPV6, IPV6_RECVPKTINFO, 1));
	ASSERT_OK(inet_setint(a, SOL_IPV6, IPV6_RECVHOPLIMIT, 1));
	ASSERT_OK(inet_setint(a, SOL_IPV6, IPV6_RECVTCLASS, 1));
	ASSERT_OK(inet_setint(b, SOL_IPV6, IPV6_UNICAST_HOPS, 9));
	ASSERT_OK(inet_setint(b, SOL_IPV6, IPV6_TCLASS, 0x20));
	ASSERT_EQ(sendto(b, "hi", 2, 0, &to.u.sa, to.len), 2);
	EXPECT_EQ(receive(a, &x, 0), 2);
	EXPECT_EQ(as_int(find(&x, SOL_IPV6, IPV6_HOPLIMIT)), 9);
	EXPECT_EQ(as_int(find(&x, SOL_IPV6, IPV6_TCLASS)), 0x20);
	pi = find(&x, SOL_IPV6, IPV6_PKTINFO);
	ASSERT_TRUE(pi);
	EXPECT_TRUE(IN6_IS_ADDR_LOOPBACK(&pi->ipi6_addr));
	EXPECT_EQ(pi->ipi6_ifindex, 1);
}

GUEST_TEST(source_by_control_message)
{
	int a = inet_bound(AF_INET, SOCK_DGRAM), b = socket(AF_INET, SOCK_DGRAM, 0);
	struct inet_any to = inet_name(a);
	struct in_pktinfo pi = {.ipi_spec_dst.s_addr = htonl(0x7f000009)};
	char control[CMSG_SPACE(sizeof(pi))] = "";
	struct iovec iov = {(void *)"x", 1};
	struct msghdr m = {.msg_name = &to.u,
	                   .msg_namelen = to.len,
	                   .msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = control,
	                   .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	struct box x;

	c->cmsg_level = SOL_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(pi));
	memcpy(CMSG_DATA(c), &pi, sizeof(pi));
	ASSERT_EQ(sendmsg(b, &m, 0), 1);
	EXPECT_EQ(receive(a, &x, 0), 1);
	EXPECT_EQ(x.from.u.in.sin_addr.s_addr, htonl(0x7f000009));
	c->cmsg_type = 99;
	EXPECT_ERRNO(sendmsg(b, &m, 0), EINVAL);
}

GUEST_TEST(error_queue)
{
	int a = inet_bound(AF_INET, SOCK_DGRAM), b = socket(AF_INET, SOCK_DGRAM, 0);
	struct inet_any to = inet_name(a);
	const struct sock_extended_err *ee;
	struct box x;

	close(a);
	ASSERT_OK(inet_setint(b, SOL_IP, IP_RECVERR, 1));
	ASSERT_EQ(sendto(b, "lost", 4, 0, &to.u.sa, to.len), 4);
	EXPECT_TRUE(inet_poll(b, POLLERR) & POLLERR);
	ASSERT_OK(inet_setint(b, SOL_IP, IP_RECVTTL, 1));
	ASSERT_OK(inet_setint(b, SOL_IP, IP_PKTINFO, 1));
	MAYBE_SAVE();
	EXPECT_EQ(receive(b, &x, MSG_ERRQUEUE), 4);
	EXPECT_EQ(memcmp(x.buf, "lost", 4), 0);
	/* Of the message that says so. */
	ASSERT_TRUE(find(&x, SOL_IP, IP_TTL));
	EXPECT_EQ(*(const int *)find(&x, SOL_IP, IP_TTL), 64);
	ASSERT_TRUE(find(&x, SOL_IP, IP_PKTINFO));
	EXPECT_EQ(((const struct in_pktinfo *)find(&x, SOL_IP, IP_PKTINFO))->ipi_addr.s_addr,
	          htonl(INADDR_LOOPBACK));
	EXPECT_EQ(x.m.msg_flags & MSG_ERRQUEUE, MSG_ERRQUEUE);
	EXPECT_EQ(inet_port(&x.from), inet_port(&to));
	ee = find(&x, SOL_IP, IP_RECVERR);
	ASSERT_TRUE(ee);
	EXPECT_EQ(ee->ee_errno, ECONNREFUSED);
	EXPECT_EQ(ee->ee_origin, SO_EE_ORIGIN_ICMP);
	EXPECT_EQ(ee->ee_type, 3);
	EXPECT_EQ(ee->ee_code, 3);
	EXPECT_ERRNO(receive(b, &x, MSG_ERRQUEUE), EAGAIN);
}

GUEST_TEST(mapped_addresses)
{
	int a = socket(AF_INET6, SOCK_DGRAM, 0), b = inet_bound(AF_INET, SOCK_DGRAM);
	struct inet_any any = inet_loop(AF_INET6, 0), to, n;
	char buf[4];

	any.u.in6.sin6_addr = in6addr_any;
	ASSERT_OK(bind(a, &any.u.sa, any.len));
	n = inet_name(a);
	to = inet_loop(AF_INET, inet_port(&n));
	ASSERT_EQ(sendto(b, "v4", 2, 0, &to.u.sa, to.len), 2);
	n.len = sizeof(n.u);
	EXPECT_EQ(recvfrom(a, buf, 4, 0, &n.u.sa, &n.len), 2);
	EXPECT_TRUE(IN6_IS_ADDR_V4MAPPED(&n.u.in6.sin6_addr));
	EXPECT_EQ(sendto(a, "ok", 2, 0, &n.u.sa, n.len), 2);
	EXPECT_EQ(recv(b, buf, 4, 0), 2);
}

GUEST_TEST(an_error_seen_in_the_queue_is_no_longer_pending)
{
	int gone = inet_bound(AF_INET, SOCK_DGRAM), s = ASSERT_OK(socket(AF_INET, SOCK_DGRAM, 0));
	struct inet_any a = inet_name(gone);
	struct box b;

	ASSERT_OK(close(gone));
	ASSERT_OK(inet_setint(s, SOL_IP, IP_RECVERR, 1));
	ASSERT_OK(connect(s, &a.u.sa, a.len));
	ASSERT_EQ(send(s, "one", 3, 0), 3);
	MAYBE_SAVE();
	EXPECT_EQ(receive(s, &b, MSG_ERRQUEUE), 3);
	EXPECT_EQ(inet_getint(s, SOL_SOCKET, SO_ERROR), 0);
}

GUEST_TEST(stamp_by_ioctl)
{
	int r = inet_bound(AF_INET, SOCK_DGRAM), s = ASSERT_OK(socket(AF_INET, SOCK_DGRAM, 0));
	struct inet_any a = inet_name(r);
	struct timeval first, again;
	struct timespec ns;
	struct box b;

	EXPECT_ERRNO(ioctl(r, SIOCGSTAMP, &first), ENOENT);
	ASSERT_EQ(sendto(s, "x", 1, 0, &a.u.sa, a.len), 1);
	ASSERT_EQ(receive(r, &b, 0), 1);
	EXPECT_OK(ioctl(r, SIOCGSTAMP, &first));
	EXPECT_TRUE(first.tv_sec > 1000000000 && first.tv_usec < 1000000);
	MAYBE_SAVE();
	EXPECT_OK(ioctl(r, SIOCGSTAMP, &again));
	EXPECT_EQ(memcmp(&first, &again, sizeof(first)), 0);
	EXPECT_OK(ioctl(r, SIOCGSTAMPNS, &ns));
	EXPECT_EQ(ns.tv_sec, first.tv_sec);
	EXPECT_EQ(ns.tv_nsec / 1000, first.tv_usec);
}

/* SO_PEEK_OFF: peeks walk on through the queue, receives bring them back. */
GUEST_TEST(peek_offset)
{
	int r = inet_bound(AF_INET, SOCK_DGRAM), s = ASSERT_OK(socket(AF_INET, SOCK_DGRAM, 0));
	struct inet_any a = inet_name(r);
	char buf[16];

	ASSERT_OK(connect(s, &a.u.sa, a.len));
	EXPECT_OK(inet_setint(r, SOL_SOCKET, SO_PEEK_OFF, 1));
	EXPECT_EQ(send(s, "abcdef", 6, 0), 6);
	EXPECT_EQ(send(s, "", 0, 0), 0);
	EXPECT_EQ(send(s, "ghij", 4, 0), 4);
	EXPECT_EQ(recv(r, buf, 2, MSG_PEEK), 2);
	EXPECT_TRUE(memcmp(buf, "bc", 2) == 0);
	EXPECT_EQ(recv(r, buf, 3, MSG_PEEK), 3);
	EXPECT_TRUE(memcmp(buf, "def", 3) == 0);
	EXPECT_EQ(inet_getint(r, SOL_SOCKET, SO_PEEK_OFF), 6);
	/* The empty one counts once. */
	EXPECT_EQ(recv(r, buf, sizeof(buf), MSG_PEEK), 0);
	MAYBE_SAVE();
	EXPECT_EQ(recv(r, buf, sizeof(buf), MSG_PEEK), 4);
	EXPECT_TRUE(memcmp(buf, "ghij", 4) == 0);
	EXPECT_ERRNO(recv(r, buf, sizeof(buf), MSG_PEEK | MSG_DONTWAIT), EAGAIN);
	EXPECT_EQ(recv(r, buf, sizeof(buf), 0), 6);
	EXPECT_EQ(inet_getint(r, SOL_SOCKET, SO_PEEK_OFF), 4);
	EXPECT_OK(inet_setint(r, SOL_SOCKET, SO_PEEK_OFF, -1));
	EXPECT_EQ(recv(r, buf, sizeof(buf), MSG_PEEK), 0);
}
