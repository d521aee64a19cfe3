#include "tests/guest/inet_util.h"

#include <linux/filter.h>
#include <linux/if_ether.h>
#include <sys/un.h>

#ifndef SO_PEERPIDFD
#define SO_PASSPIDFD 76
#define SO_PEERPIDFD 77
#endif
#ifndef SCM_PIDFD
#define SCM_PIDFD 4
#endif

#define ATTACH(fd, ...)                                                              \
	({                                                                           \
		struct sock_filter insns_[] = {__VA_ARGS__};                         \
		struct sock_fprog prog_ = {GUEST_COUNT(insns_), insns_};             \
                                                                                     \
		setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog_, sizeof(prog_)); \
	})

/* Everything that sends to it gets through whole, or not at all. */
static void udp_pair(int family, int fd[2])
{
	struct inet_any a;

	fd[0] = inet_bound(family, SOCK_DGRAM);
	fd[1] = ASSERT_OK(socket(family, SOCK_DGRAM, 0));
	a = inet_name(fd[0]);
	ASSERT_OK(connect(fd[1], &a.u.sa, a.len));
}

/* The filter sees the UDP header and what follows. */
static void by_first_byte(int family)
{
	char buf[64];
	int fd[2];

	udp_pair(family, fd);
	/* 'a': whole; 'b': the header and three bytes; others: nothing. */
	ASSERT_OK(ATTACH(fd[0], BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8),
	                 BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'a', 2, 0),
	                 BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'b', 2, 0),
	                 BPF_STMT(BPF_RET | BPF_K, 0), BPF_STMT(BPF_RET | BPF_K, 0x40000),
	                 BPF_STMT(BPF_RET | BPF_K, 8 + 3)));
	EXPECT_EQ(send(fd[1], "none", 4, 0), 4);
	EXPECT_EQ(send(fd[1], "all of it", 9, 0), 9);
	EXPECT_EQ(send(fd[1], "", 0, 0), 0);
	EXPECT_EQ(send(fd[1], "but three", 9, 0), 9);
	MAYBE_SAVE();
	EXPECT_EQ(recv(fd[0], buf, sizeof(buf), 0), 9);
	EXPECT_EQ(recv(fd[0], buf, sizeof(buf), 0), 3);
	EXPECT_TRUE(memcmp(buf, "but", 3) == 0);
	EXPECT_EQ(send(fd[1], "cut", 3, 0), 3);
	EXPECT_EQ(send(fd[1], "other", 5, 0), 5);
	EXPECT_ERRNO(recv(fd[0], buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	EXPECT_OK(inet_setint(fd[0], SOL_SOCKET, SO_DETACH_FILTER, 0));
	EXPECT_EQ(send(fd[1], "cut", 3, 0), 3);
	EXPECT_EQ(recv(fd[0], buf, sizeof(buf), 0), 3);
	EXPECT_ERRNO(inet_setint(fd[0], SOL_SOCKET, SO_DETACH_FILTER, 0), ENOENT);
}

GUEST_TEST(udp4)
{
	by_first_byte(AF_INET);
}

GUEST_TEST(udp6)
{
	by_first_byte(AF_INET6);
}

/* Headers, lengths, what the kernel knows about a packet. */
GUEST_TEST(what_it_sees)
{
	struct inet_any a;
	char buf[64];
	int fd[2];

	udp_pair(AF_INET, fd);
	a = inet_name(fd[0]);
	ASSERT_OK(ATTACH(
		fd[0],
		/* the port, in the header of UDP */
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 2),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, inet_port(&a), 0, 13),
		/* the protocol and the length, in that of IP */
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)SKF_NET_OFF + 9),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 11),
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, (uint32_t)SKF_NET_OFF),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, (uint32_t)SKF_NET_OFF + 2),
		BPF_STMT(BPF_ALU | BPF_SUB | BPF_X, 0), BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PROTOCOL)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_IFINDEX)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0x40000),
		BPF_STMT(BPF_RET | BPF_K, 0)));
	EXPECT_EQ(send(fd[1], "seen", 4, 0), 4);
	EXPECT_EQ(recv(fd[0], buf, sizeof(buf), MSG_DONTWAIT), 4);
	/* Reading past the end ends it, as does dividing by nothing. */
	ASSERT_OK(ATTACH(fd[0], BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 12),
	                 BPF_STMT(BPF_RET | BPF_K, 99)));
	EXPECT_EQ(send(fd[1], "seven b", 7, 0), 7);
	EXPECT_ERRNO(recv(fd[0], buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	EXPECT_EQ(send(fd[1], "eight by", 8, 0), 8);
	EXPECT_EQ(recv(fd[0], buf, sizeof(buf), MSG_DONTWAIT), 8);
	ASSERT_OK(ATTACH(fd[0], BPF_STMT(BPF_LDX | BPF_IMM, 0), BPF_STMT(BPF_LD | BPF_IMM, 7),
	                 BPF_STMT(BPF_ALU | BPF_MOD | BPF_X, 0), BPF_STMT(BPF_RET | BPF_K, 99)));
	EXPECT_EQ(send(fd[1], "x", 1, 0), 1);
	EXPECT_ERRNO(recv(fd[0], buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
}

static void of_unix(int type)
{
	char buf[16];
	int fd[2];

	ASSERT_OK(socketpair(AF_UNIX, type, 0, fd));
	ASSERT_OK(ATTACH(fd[0], BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
	                 BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'x', 0, 1),
	                 BPF_STMT(BPF_RET | BPF_K, 0), BPF_STMT(BPF_RET | BPF_K, 2)));
	MAYBE_SAVE();
	EXPECT_EQ(send(fd[1], "xyz", 3, 0), 3);
	EXPECT_EQ(send(fd[1], "abc", 3, 0), 3);
	EXPECT_EQ(recv(fd[0], buf, sizeof(buf), MSG_DONTWAIT), 2);
	EXPECT_TRUE(memcmp(buf, "ab", 2) == 0);
	EXPECT_ERRNO(recv(fd[0], buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
}

GUEST_TEST(unix_packets)
{
	of_unix(SOCK_DGRAM);
	of_unix(SOCK_SEQPACKET);
}

GUEST_TEST(checked)
{
	int fd = ASSERT_OK(socket(AF_INET, SOCK_DGRAM, 0));
	struct sock_filter in = BPF_STMT(BPF_RET | BPF_K, 5);
	struct sock_fprog prog = {1, &in};

	EXPECT_ERRNO(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, 8), EINVAL);
	prog.len = 0;
	EXPECT_ERRNO(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)), EINVAL);
	prog.len = BPF_MAXINSNS + 1;
	EXPECT_ERRNO(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)), EINVAL);
	prog.len = 1;
	prog.filter = (void *)16;
	EXPECT_ERRNO(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)), EFAULT);
	EXPECT_ERRNO(ATTACH(fd, BPF_STMT(BPF_LD | BPF_IMM, 1)), EINVAL);
	EXPECT_ERRNO(ATTACH(fd, BPF_STMT(BPF_LD | BPF_MEM, 1), BPF_STMT(BPF_RET | BPF_K, 1)),
	             EINVAL);
	EXPECT_ERRNO(ATTACH(fd, BPF_STMT(BPF_JMP | BPF_JA, 1), BPF_STMT(BPF_RET | BPF_K, 1)),
	             EINVAL);
	EXPECT_ERRNO(
		ATTACH(fd, BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 0), BPF_STMT(BPF_RET | BPF_K, 1)),
		EINVAL);
	EXPECT_ERRNO(ATTACH(fd, BPF_STMT(0xff, 0), BPF_STMT(BPF_RET | BPF_K, 1)), EINVAL);
	EXPECT_ERRNO(inet_setint(fd, SOL_SOCKET, SO_ATTACH_BPF, -1), EBADF);
	EXPECT_ERRNO(inet_setint(fd, SOL_SOCKET, SO_ATTACH_BPF, fd), EINVAL);
}

GUEST_TEST(shown_and_locked)
{
	int fd = ASSERT_OK(socket(AF_INET, SOCK_DGRAM, 0));
	struct sock_filter in[4];
	socklen_t n = 0;

	EXPECT_OK(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, in, &n));
	EXPECT_EQ(n, 0);
	ASSERT_OK(ATTACH(fd, BPF_STMT(BPF_LD | BPF_IMM, 1), BPF_STMT(BPF_MISC | BPF_TAX, 0),
	                 BPF_STMT(BPF_RET | BPF_K, 7)));
	EXPECT_OK(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, in, &n));
	EXPECT_EQ(n, 3);
	n = 2;
	EXPECT_ERRNO(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, in, &n), EINVAL);
	EXPECT_OK(inet_setint(fd, SOL_SOCKET, SO_LOCK_FILTER, 1));
	MAYBE_SAVE();
	n = 4;
	EXPECT_OK(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, in, &n));
	EXPECT_EQ(n, 3);
	EXPECT_EQ(in[2].k, 7);
	EXPECT_EQ(inet_getint(fd, SOL_SOCKET, SO_LOCK_FILTER), 1);
	EXPECT_ERRNO(inet_setint(fd, SOL_SOCKET, SO_LOCK_FILTER, 0), EPERM);
	EXPECT_ERRNO(inet_setint(fd, SOL_SOCKET, SO_DETACH_FILTER, 0), EPERM);
	EXPECT_ERRNO(ATTACH(fd, BPF_STMT(BPF_RET | BPF_K, 1)), EPERM);
	EXPECT_EQ(inet_getint(fd, SOL_SOCKET, SO_BPF_EXTENSIONS), SKF_AD_MAX);
}

/* A listener's filter is its children's. */
GUEST_TEST(inherited)
{
	int l = inet_listener(AF_INET, 1), c = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0)), s;
	struct inet_any a = inet_name(l);
	socklen_t n = 0;

	ASSERT_OK(ATTACH(l, BPF_STMT(BPF_RET | BPF_K, 0x40000)));
	ASSERT_OK(connect(c, &a.u.sa, a.len));
	s = ASSERT_OK(accept(l, NULL, NULL));
	EXPECT_OK(getsockopt(s, SOL_SOCKET, SO_GET_FILTER, NULL, &n));
	EXPECT_EQ(n, 1);
	EXPECT_EQ(send(c, "x", 1, 0), 1);
	EXPECT_OK(inet_setint(s, SOL_SOCKET, SO_DETACH_FILTER, 0));
}

static int pidfd_pid(int fd)
{
	char name[64], line[128];
	int pid = 0;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	f = fopen(name, "r");
	ASSERT_TRUE(f);
	while (fgets(line, sizeof(line), f))
		sscanf(line, "Pid: %d", &pid);
	fclose(f);
	return pid;
}

GUEST_TEST(pidfds)
{
	int fd[2], one = 1, p = -1, u = ASSERT_OK(socket(AF_INET, SOCK_DGRAM, 0));
	char buf[8], control[128];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = control,
	                   .msg_controllen = sizeof(control)};
	struct cmsghdr *h;
	socklen_t n = sizeof(p);

	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	if (getsockopt(fd[0], SOL_SOCKET, SO_PEERPIDFD, &p, &n) < 0 && errno == ENOPROTOOPT)
		SKIP("no SO_PEERPIDFD");
	EXPECT_EQ(pidfd_pid(p), getpid());
	n = sizeof(p);
	EXPECT_ERRNO(getsockopt(u, SOL_SOCKET, SO_PEERPIDFD, &p, &n), ENODATA);
	ASSERT_OK(setsockopt(fd[0], SOL_SOCKET, SO_PASSPIDFD, &one, sizeof(one)));
	EXPECT_EQ(send(fd[1], "x", 1, 0), 1);
	MAYBE_SAVE();
	EXPECT_EQ(recvmsg(fd[0], &m, 0), 1);
	h = CMSG_FIRSTHDR(&m);
	ASSERT_TRUE(h);
	EXPECT_EQ(h->cmsg_type, SCM_PIDFD);
	memcpy(&p, CMSG_DATA(h), sizeof(p));
	EXPECT_EQ(pidfd_pid(p), getpid());
}

/* Groups that bring some sources' packets only. */
GUEST_TEST(sources)
{
	struct inet_any to = inet_loop(AF_INET, 0);
	int s = ASSERT_OK(socket(AF_INET, SOCK_DGRAM, 0));
	int r = ASSERT_OK(socket(AF_INET, SOCK_DGRAM, 0));
	struct in_addr lo = {htonl(INADDR_LOOPBACK)}, group = {inet_addr("232.1.2.3")};
	struct ip_mreq_source m = {.imr_multiaddr = group, .imr_interface = lo};
	char buf[8], room[IP_MSFILTER_SIZE(2)];
	struct ip_msfilter *f = (void *)room;
	struct inet_any a;
	socklen_t n;

	to.u.in.sin_addr.s_addr = INADDR_ANY;
	ASSERT_OK(bind(r, &to.u.sa, to.len));
	a = inet_name(r);
	ASSERT_OK(setsockopt(s, SOL_IP, IP_MULTICAST_IF, &lo, sizeof(lo)));
	to.u.in.sin_addr = group;
	to.u.in.sin_port = htons((uint16_t)inet_port(&a));
	m.imr_sourceaddr.s_addr = inet_addr("127.0.0.9");
	EXPECT_ERRNO(setsockopt(r, SOL_IP, IP_BLOCK_SOURCE, &m, sizeof(m)), EINVAL);
	ASSERT_OK(setsockopt(r, SOL_IP, IP_ADD_SOURCE_MEMBERSHIP, &m, sizeof(m)));
	EXPECT_ERRNO(setsockopt(r, SOL_IP, IP_ADD_SOURCE_MEMBERSHIP, &m, sizeof(m)), EADDRNOTAVAIL);
	EXPECT_EQ(sendto(s, "no", 2, 0, &to.u.sa, to.len), 2);
	EXPECT_ERRNO(recv(r, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	m.imr_sourceaddr = lo;
	ASSERT_OK(setsockopt(r, SOL_IP, IP_ADD_SOURCE_MEMBERSHIP, &m, sizeof(m)));
	EXPECT_ERRNO(setsockopt(r, SOL_IP, IP_BLOCK_SOURCE, &m, sizeof(m)), EINVAL);
	MAYBE_SAVE();
	EXPECT_EQ(sendto(s, "yes", 3, 0, &to.u.sa, to.len), 3);
	EXPECT_EQ(recv(r, buf, sizeof(buf), 0), 3);
	*f = (struct ip_msfilter){.imsf_multiaddr = group, .imsf_interface = lo, .imsf_numsrc = 2};
	n = sizeof(room);
	EXPECT_OK(getsockopt(r, SOL_IP, IP_MSFILTER, f, &n));
	EXPECT_EQ(f->imsf_fmode, MCAST_INCLUDE);
	EXPECT_EQ(f->imsf_numsrc, 2);
	EXPECT_OK(setsockopt(r, SOL_IP, IP_DROP_SOURCE_MEMBERSHIP, &m, sizeof(m)));
	m.imr_sourceaddr.s_addr = inet_addr("127.0.0.9");
	EXPECT_OK(setsockopt(r, SOL_IP, IP_DROP_SOURCE_MEMBERSHIP, &m, sizeof(m)));
	/* The last source was the membership. */
	n = sizeof(room);
	EXPECT_ERRNO(getsockopt(r, SOL_IP, IP_MSFILTER, f, &n), EADDRNOTAVAIL);
	/* All but one. */
	ASSERT_OK(setsockopt(r, SOL_IP, IP_ADD_MEMBERSHIP, &(struct ip_mreq){group, lo}, 8));
	m.imr_sourceaddr = lo;
	ASSERT_OK(setsockopt(r, SOL_IP, IP_BLOCK_SOURCE, &m, sizeof(m)));
	EXPECT_EQ(sendto(s, "no", 2, 0, &to.u.sa, to.len), 2);
	EXPECT_ERRNO(recv(r, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	ASSERT_OK(setsockopt(r, SOL_IP, IP_UNBLOCK_SOURCE, &m, sizeof(m)));
	EXPECT_EQ(sendto(s, "yes", 3, 0, &to.u.sa, to.len), 3);
	EXPECT_EQ(recv(r, buf, sizeof(buf), 0), 3);
}

/* A stream may join by the newer options, for what that is worth; who is accepted has not. */
GUEST_TEST(streams_join)
{
	int l = inet_listener(AF_INET, 1), c = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0)), s;
	struct group_req g = {.gr_interface = 1};
	struct inet_any a = inet_name(l);

	((struct sockaddr_in *)&g.gr_group)->sin_family = AF_INET;
	((struct sockaddr_in *)&g.gr_group)->sin_addr.s_addr = inet_addr("224.0.0.7");
	ASSERT_OK(setsockopt(l, SOL_IP, MCAST_JOIN_GROUP, &g, sizeof(g)));
	ASSERT_OK(connect(c, &a.u.sa, a.len));
	MAYBE_SAVE();
	s = ASSERT_OK(accept(l, NULL, NULL));
	EXPECT_ERRNO(setsockopt(s, SOL_IP, MCAST_LEAVE_GROUP, &g, sizeof(g)), EADDRNOTAVAIL);
	EXPECT_OK(setsockopt(l, SOL_IP, MCAST_LEAVE_GROUP, &g, sizeof(g)));
}

static void with_itself(int family)
{
	int fd = inet_bound(family, SOCK_STREAM);
	struct inet_any a = inet_name(fd), b;
	char buf[8];

	ASSERT_OK(connect(fd, &a.u.sa, a.len));
	b = inet_peer(fd);
	EXPECT_EQ(inet_port(&b), inet_port(&a));
	EXPECT_EQ(send(fd, "echo", 4, 0), 4);
	MAYBE_SAVE();
	EXPECT_EQ(recv(fd, buf, sizeof(buf), 0), 4);
	EXPECT_ERRNO(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	EXPECT_EQ(send(fd, "last", 4, 0), 4);
	EXPECT_OK(shutdown(fd, SHUT_WR));
	EXPECT_EQ(recv(fd, buf, sizeof(buf), 0), 4);
	EXPECT_EQ(recv(fd, buf, sizeof(buf), 0), 0);
	EXPECT_ERRNO(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
	EXPECT_OK(close(fd));
}

GUEST_TEST(self_connect)
{
	with_itself(AF_INET);
	with_itself(AF_INET6);
}

GUEST_TEST(kept_options)
{
	int fd = ASSERT_OK(socket(AF_INET, SOCK_DGRAM, 0));
	uint64_t rate = 123456789012;
	socklen_t n = sizeof(rate);

	EXPECT_EQ(inet_getint(fd, SOL_SOCKET, SO_INCOMING_CPU), -1);
	EXPECT_OK(inet_setint(fd, SOL_SOCKET, SO_INCOMING_CPU, 1));
	EXPECT_EQ(inet_getint(fd, SOL_SOCKET, SO_INCOMING_CPU), 1);
	EXPECT_ERRNO(inet_setint(fd, SOL_SOCKET, SO_BUSY_POLL, -1), EINVAL);
	EXPECT_OK(setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate)));
	MAYBE_SAVE();
	rate = 0;
	EXPECT_OK(getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, &n));
	EXPECT_TRUE(rate == 123456789012);
	n = 4;
	EXPECT_OK(getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, &n));
	EXPECT_TRUE((uint32_t)rate == UINT32_MAX);
	EXPECT_EQ(inet_getint(fd, SOL_SOCKET, SO_INCOMING_CPU), 1);
	EXPECT_ERRNO(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &rate, &n), EINVAL);
	EXPECT_ERRNO(getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, &rate, &n), ENODATA);
}
