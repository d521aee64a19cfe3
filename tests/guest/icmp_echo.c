#include "tests/guest/inet_util.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

GUEST_TEST(echo)
{
	int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	struct inet_any to = inet_loop(AF_INET, 0), n;
	struct {
		struct icmphdr h;
		char data[8];
	} out = {.h = {.type = ICMP_ECHO, .un.echo.sequence = 77}, .data = "payload"}, in;

	if (fd < 0)
		SKIP("groups may not ping");
	EXPECT_EQ(sendto(fd, &out, sizeof(out), 0, &to.u.sa, to.len), sizeof(out));
	EXPECT_TRUE(inet_poll(fd, POLLIN) & POLLIN);
	MAYBE_SAVE();
	EXPECT_EQ(recv(fd, &in, sizeof(in), 0), sizeof(in));
	EXPECT_EQ(in.h.type, ICMP_ECHOREPLY);
	EXPECT_EQ(in.h.un.echo.sequence, 77);
	EXPECT_STREQ(in.data, "payload");
	n = inet_name(fd);
	EXPECT_EQ(in.h.un.echo.id, n.u.in.sin_port);
	out.h.type = ICMP_ECHOREPLY;
	EXPECT_ERRNO(sendto(fd, &out, sizeof(out), 0, &to.u.sa, to.len), EINVAL);
	EXPECT_ERRNO(sendto(fd, &out, 4, 0, &to.u.sa, to.len), EINVAL);
}

GUEST_TEST(echo_over_ipv6)
{
	int fd = socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6);
	struct inet_any to = inet_loop(AF_INET6, 0);
	struct icmp6_hdr out = {.icmp6_type = ICMP6_ECHO_REQUEST}, in;

	if (fd < 0)
		SKIP("groups may not ping");
	out.icmp6_seq = 3;
	EXPECT_EQ(sendto(fd, &out, sizeof(out), 0, &to.u.sa, to.len), sizeof(out));
	EXPECT_EQ(recv(fd, &in, sizeof(in), 0), sizeof(in));
	EXPECT_EQ(in.icmp6_type, ICMP6_ECHO_REPLY);
	EXPECT_EQ(in.icmp6_seq, 3);
}
