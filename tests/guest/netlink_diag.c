#include "tests/guest/inet_util.h"

#include <linux/filter.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <net/if.h>
#include <sys/un.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

static int nl_socket(int protocol)
{
	return ASSERT_OK(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
}

static unsigned nl_bound(int fd, unsigned groups)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = groups};
	socklen_t n = sizeof(a);

	ASSERT_OK(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	ASSERT_OK(getsockname(fd, (struct sockaddr *)&a, &n));
	return a.nl_pid;
}

static unsigned ino_of(int fd)
{
	struct stat st;

	ASSERT_OK(fstat(fd, &st));
	return (unsigned)st.st_ino;
}

/* Programs among themselves. */
GUEST_TEST(usersock)
{
	int a = nl_socket(NETLINK_USERSOCK), b = nl_socket(NETLINK_USERSOCK);
	unsigned pa = nl_bound(a, 0), pb = nl_bound(b, 0);
	struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_pid = pb}, from;
	char buf[32], control[128];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_name = &from,
	                   .msg_namelen = sizeof(from),
	                   .msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = control,
	                   .msg_controllen = sizeof(control)};
	struct ucred cred;

	EXPECT_TRUE(pa != pb);
	ASSERT_OK(inet_setint(b, SOL_SOCKET, SO_PASSCRED, 1));
	EXPECT_EQ(sendto(a, "hello", 5, 0, (void *)&to, sizeof(to)), 5);
	MAYBE_SAVE();
	EXPECT_EQ(recvmsg(b, &m, 0), 5);
	EXPECT_EQ(from.nl_pid, pa);
	ASSERT_TRUE(CMSG_FIRSTHDR(&m));
	memcpy(&cred, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(cred));
	EXPECT_EQ(cred.pid, getpid());
	to.nl_pid = 123456789;
	EXPECT_ERRNO(sendto(a, "x", 1, 0, (void *)&to, sizeof(to)), ECONNREFUSED);
	/* No kernel listens. */
	to.nl_pid = 0;
	EXPECT_ERRNO(sendto(a, "x", 1, 0, (void *)&to, sizeof(to)), ECONNREFUSED);
}

GUEST_TEST(groups)
{
	int a = nl_socket(NETLINK_USERSOCK), b = nl_socket(NETLINK_USERSOCK);
	struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_groups = 1 << 4}, from;
	socklen_t n = sizeof(from);
	char buf[8];

	nl_bound(a, 0);
	nl_bound(b, 1 << 4);
	sendto(a, "all", 3, 0, (void *)&to, sizeof(to));
	MAYBE_SAVE();
	EXPECT_EQ(recvfrom(b, buf, sizeof(buf), 0, (void *)&from, &n), 3);
	EXPECT_EQ(from.nl_groups, 1 << 4);
	EXPECT_ERRNO(recv(a, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
}

/* The list is as long as the protocol has groups, once one was joined. */
GUEST_TEST(memberships)
{
	int fd = nl_socket(NETLINK_ROUTE);
	unsigned words[8];
	socklen_t n = sizeof(words);

	EXPECT_OK(getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, words, &n));
	EXPECT_EQ(n, 0);
	ASSERT_OK(inet_setint(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, RTNLGRP_LINK));
	MAYBE_SAVE();
	n = sizeof(words);
	EXPECT_OK(getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, words, &n));
	EXPECT_EQ(n, 8);
	EXPECT_EQ(words[0], 1);
}

/* Nothing comes, whatever is filtered. */
GUEST_TEST(uevent)
{
	int fd = nl_socket(NETLINK_KOBJECT_UEVENT);
	struct sock_filter in = BPF_STMT(BPF_RET | BPF_K, 0x40000);
	struct sock_fprog prog = {1, &in};
	char buf[8];

	nl_bound(fd, 1);
	ASSERT_OK(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)));
	EXPECT_ERRNO(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	EXPECT_OK(inet_setint(fd, SOL_SOCKET, SO_DETACH_FILTER, 0));
}

/* Sends the request; calls fn for each answer until the dump is done. */
static void dump(int fd, const void *body, unsigned size, void (*fn)(const void *body, void *arg),
                 void *arg)
{
	struct {
		struct nlmsghdr h;
		char room[128];
	} q = {.h = {.nlmsg_len = NLMSG_LENGTH(size),
	             .nlmsg_type = SOCK_DIAG_BY_FAMILY,
	             .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
	             .nlmsg_seq = 7}};
	static char buf[65536];

	memcpy(NLMSG_DATA(&q.h), body, size);
	ASSERT_EQ(send(fd, &q, q.h.nlmsg_len, 0), q.h.nlmsg_len);
	MAYBE_SAVE();
	for (;;) {
		ssize_t n = ASSERT_OK(recv(fd, buf, sizeof(buf), 0));

		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			EXPECT_EQ(h->nlmsg_seq, 7);
			if (h->nlmsg_type == NLMSG_DONE)
				return;
			ASSERT_EQ(h->nlmsg_type, SOCK_DIAG_BY_FAMILY);
			fn(NLMSG_DATA(h), arg);
		}
	}
}

struct seen {
	unsigned ino, n, state, port, peer, queued, waiting;
};

static void see_inet(const void *body, void *arg)
{
	const struct inet_diag_msg *m = body;
	struct seen *s = arg;

	if (m->idiag_inode != s->ino)
		return;
	s->n++;
	s->state = m->idiag_state;
	s->port = ntohs(m->id.idiag_sport);
	s->peer = ntohs(m->id.idiag_dport);
	s->queued = m->idiag_rqueue;
	s->waiting = m->idiag_wqueue;
}

GUEST_TEST(tcp)
{
	int nl = nl_socket(NETLINK_SOCK_DIAG), l = inet_listener(AF_INET, 5);
	int c = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0)), s;
	struct inet_diag_req_v2 r = {
		.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0u};
	struct inet_any a = inet_name(l), b;
	struct seen seen = {.ino = ino_of(l)};

	ASSERT_OK(connect(c, &a.u.sa, a.len));
	dump(nl, &r, sizeof(r), see_inet, &seen);
	EXPECT_EQ(seen.n, 1);
	EXPECT_EQ(seen.state, 10);
	EXPECT_EQ(seen.port, inet_port(&a));
	EXPECT_EQ(seen.queued, 1);
	EXPECT_EQ(seen.waiting, 5);
	s = ASSERT_OK(accept(l, NULL, NULL));
	EXPECT_EQ(send(c, "four", 4, 0), 4);
	seen = (struct seen){.ino = ino_of(s)};
	r.idiag_states = 1 << 1;
	dump(nl, &r, sizeof(r), see_inet, &seen);
	b = inet_name(c);
	EXPECT_EQ(seen.n, 1);
	EXPECT_EQ(seen.state, 1);
	EXPECT_EQ(seen.peer, inet_port(&b));
	EXPECT_EQ(seen.queued, 4);
	/* Listeners were not asked for. */
	seen = (struct seen){.ino = ino_of(l)};
	dump(nl, &r, sizeof(r), see_inet, &seen);
	EXPECT_EQ(seen.n, 0);
}

GUEST_TEST(udp)
{
	int nl = nl_socket(NETLINK_SOCK_DIAG), u = inet_bound(AF_INET6, SOCK_DGRAM);
	struct inet_diag_req_v2 r = {
		.sdiag_family = AF_INET6, .sdiag_protocol = IPPROTO_UDP, .idiag_states = ~0u};
	struct seen seen = {.ino = ino_of(u)};
	struct inet_any a = inet_name(u);

	dump(nl, &r, sizeof(r), see_inet, &seen);
	EXPECT_EQ(seen.n, 1);
	EXPECT_EQ(seen.state, 7);
	EXPECT_EQ(seen.port, inet_port(&a));
}

static void see_unix(const void *body, void *arg)
{
	const struct unix_diag_msg *m = body;
	struct seen *s = arg;

	if (m->udiag_ino != s->ino)
		return;
	s->n++;
	s->state = m->udiag_state;
	s->port = m->udiag_type;
}

GUEST_TEST(local)
{
	int nl = nl_socket(NETLINK_SOCK_DIAG), fd[2];
	struct unix_diag_req r = {.sdiag_family = AF_UNIX,
	                          .udiag_states = ~0u,
	                          .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER |
	                                        UDIAG_SHOW_RQLEN | UDIAG_SHOW_MEMINFO};
	struct seen seen;

	ASSERT_OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd));
	seen = (struct seen){.ino = ino_of(fd[0])};
	dump(nl, &r, sizeof(r), see_unix, &seen);
	EXPECT_EQ(seen.n, 1);
	EXPECT_EQ(seen.state, 1);
	EXPECT_EQ(seen.port, SOCK_SEQPACKET);
}

/* lo is up; to bring it up again is fine for who may. */
GUEST_TEST(link_up)
{
	int nl = nl_socket(NETLINK_ROUTE), u = ASSERT_OK(socket(AF_INET, SOCK_DGRAM, 0));
	struct {
		struct nlmsghdr h;
		struct ifinfomsg i;
	} q = {.h = {.nlmsg_len = sizeof(q),
	             .nlmsg_type = RTM_NEWLINK,
	             .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
	       .i = {.ifi_index = 1, .ifi_flags = IFF_UP, .ifi_change = IFF_UP}};
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
	} a;
	struct ifreq ifr = {.ifr_name = "lo"};

	ASSERT_OK(ioctl(u, SIOCGIFFLAGS, &ifr));
	if (geteuid() != 0 || !(ifr.ifr_flags & IFF_UP))
		SKIP("not root, or lo is down");
	ASSERT_EQ(send(nl, &q, sizeof(q), 0), sizeof(q));
	MAYBE_SAVE();
	ASSERT_OK(recv(nl, &a, sizeof(a), 0));
	EXPECT_EQ(a.h.nlmsg_type, NLMSG_ERROR);
	EXPECT_EQ(a.e.error, 0);
	ifr.ifr_flags = IFF_UP;
	EXPECT_OK(ioctl(u, SIOCSIFFLAGS, &ifr));
	memcpy(ifr.ifr_name, "nosuch", 7);
	EXPECT_ERRNO(ioctl(u, SIOCSIFFLAGS, &ifr), ENODEV);
	q.i.ifi_index = 12345;
	ASSERT_EQ(send(nl, &q, sizeof(q), 0), sizeof(q));
	ASSERT_OK(recv(nl, &a, sizeof(a), 0));
	EXPECT_EQ(a.e.error, -ENODEV);
}
