#include "tests/guest/inet_util.h"

#include <net/if.h>
#include <net/if_arp.h>

GUEST_TEST(about_lo)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq r = {.ifr_name = "lo"};
	const struct sockaddr_in *in = (const void *)&r.ifr_addr;

	ASSERT_OK(ioctl(fd, SIOCGIFADDR, &r));
	EXPECT_EQ(in->sin_family, AF_INET);
	EXPECT_EQ(in->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	ASSERT_OK(ioctl(fd, SIOCGIFNETMASK, &r));
	ASSERT_OK(ioctl(fd, SIOCGIFFLAGS, &r));
	EXPECT_EQ(r.ifr_flags, IFF_UP | IFF_LOOPBACK | IFF_RUNNING);
	ASSERT_OK(ioctl(fd, SIOCGIFMTU, &r));
	EXPECT_EQ(r.ifr_mtu, 65536);
	ASSERT_OK(ioctl(fd, SIOCGIFHWADDR, &r));
	EXPECT_EQ(r.ifr_hwaddr.sa_family, ARPHRD_LOOPBACK);
	ASSERT_OK(ioctl(fd, SIOCGIFINDEX, &r));
	EXPECT_EQ(r.ifr_ifindex, 1);
	memset(r.ifr_name, 0, sizeof(r.ifr_name));
	r.ifr_ifindex = 1;
	ASSERT_OK(ioctl(fd, SIOCGIFNAME, &r));
	EXPECT_STREQ(r.ifr_name, "lo");
	strcpy(r.ifr_name, "nosuch");
	EXPECT_ERRNO(ioctl(fd, SIOCGIFADDR, &r), ENODEV);
	EXPECT_ERRNO(ioctl(fd, 0x1234, &r), ENOTTY);
}

GUEST_TEST(list)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct ifreq r[32] = {0};
	struct ifconf c = {.ifc_len = sizeof(r), .ifc_req = r};

	ASSERT_OK(ioctl(fd, SIOCGIFCONF, &c));
	EXPECT_GE(c.ifc_len, sizeof(r[0]));
	EXPECT_STREQ(r[0].ifr_name, "lo");
	c = (struct ifconf){0};
	ASSERT_OK(ioctl(fd, SIOCGIFCONF, &c));
	EXPECT_GE(c.ifc_len, sizeof(r[0]));
}
