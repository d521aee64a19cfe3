/* Names of what sockets are made of and told. */
#include "sentry/syscall/strace_names.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/socket.h>

static const struct name family_names[] = {
	N(AF_UNSPEC),    N(AF_UNIX),       N(AF_INET),    N(AF_AX25),    N(AF_IPX),
	N(AF_APPLETALK), N(AF_NETROM),     N(AF_BRIDGE),  N(AF_ATMPVC),  N(AF_X25),
	N(AF_INET6),     N(AF_ROSE),       N(AF_DECnet),  N(AF_NETBEUI), N(AF_SECURITY),
	N(AF_KEY),       N(AF_NETLINK),    N(AF_PACKET),  N(AF_ASH),     N(AF_ECONET),
	N(AF_ATMSVC),    N(AF_RDS),        N(AF_SNA),     N(AF_IRDA),    N(AF_PPPOX),
	N(AF_WANPIPE),   N(AF_LLC),        N(AF_IB),      N(AF_MPLS),    N(AF_CAN),
	N(AF_TIPC),      N(AF_BLUETOOTH),  N(AF_IUCV),    N(AF_RXRPC),   N(AF_ISDN),
	N(AF_PHONET),    N(AF_IEEE802154), N(AF_CAIF),    N(AF_ALG),     N(AF_NFC),
	N(AF_VSOCK),     N(AF_KCM),        N(AF_QIPCRTR), N(AF_SMC),     N(AF_XDP),
	{45, "AF_MCTP"},
};
static const struct name socktype_names[] = {
	N(SOCK_STREAM), N(SOCK_DGRAM),  N(SOCK_RAW),     N(SOCK_RDM),      N(SOCK_SEQPACKET),
	N(SOCK_DCCP),   N(SOCK_PACKET), N(SOCK_CLOEXEC), N(SOCK_NONBLOCK),
};
static const struct name sockflags_names[] = {
	N(SOCK_CLOEXEC),
	N(SOCK_NONBLOCK),
};
static const struct name ipproto_names[] = {
	N(IPPROTO_IP),     N(IPPROTO_ICMP),     N(IPPROTO_IGMP),   N(IPPROTO_IPIP),
	N(IPPROTO_TCP),    N(IPPROTO_EGP),      N(IPPROTO_PUP),    N(IPPROTO_UDP),
	N(IPPROTO_IDP),    N(IPPROTO_TP),       N(IPPROTO_DCCP),   N(IPPROTO_IPV6),
	N(IPPROTO_RSVP),   N(IPPROTO_GRE),      N(IPPROTO_ESP),    N(IPPROTO_AH),
	N(IPPROTO_ICMPV6), N(IPPROTO_MTP),      N(IPPROTO_BEETPH), N(IPPROTO_ENCAP),
	N(IPPROTO_PIM),    N(IPPROTO_COMP),     N(IPPROTO_SCTP),   N(IPPROTO_UDPLITE),
	N(IPPROTO_MPLS),   N(IPPROTO_ETHERNET), N(IPPROTO_RAW),    N(IPPROTO_MPTCP),
};
static const struct name netlink_names[] = {
	N(NETLINK_ROUTE),      N(NETLINK_UNUSED),
	N(NETLINK_USERSOCK),   N(NETLINK_FIREWALL),
	N(NETLINK_SOCK_DIAG),  N(NETLINK_NFLOG),
	N(NETLINK_XFRM),       N(NETLINK_SELINUX),
	N(NETLINK_ISCSI),      N(NETLINK_AUDIT),
	N(NETLINK_FIB_LOOKUP), N(NETLINK_CONNECTOR),
	N(NETLINK_NETFILTER),  N(NETLINK_IP6_FW),
	N(NETLINK_DNRTMSG),    N(NETLINK_KOBJECT_UEVENT),
	N(NETLINK_GENERIC),    N(NETLINK_SCSITRANSPORT),
	N(NETLINK_ECRYPTFS),   N(NETLINK_RDMA),
	N(NETLINK_CRYPTO),     N(NETLINK_SMC),
};
static const struct name msg_names[] = {
	N(MSG_OOB),          N(MSG_PEEK),
	N(MSG_DONTROUTE),    N(MSG_CTRUNC),
	{0x10, "MSG_PROBE"}, N(MSG_TRUNC),
	N(MSG_DONTWAIT),     N(MSG_EOR),
	N(MSG_WAITALL),      N(MSG_FIN),
	N(MSG_SYN),          N(MSG_CONFIRM),
	N(MSG_RST),          N(MSG_ERRQUEUE),
	N(MSG_NOSIGNAL),     N(MSG_MORE),
	N(MSG_WAITFORONE),   {0x20000, "MSG_SENDPAGE_NOTLAST"},
	N(MSG_BATCH),        {0x80000, "MSG_NO_SHARED_FRAGS"},
	N(MSG_ZEROCOPY),     N(MSG_FASTOPEN),
	N(MSG_CMSG_CLOEXEC),
};
static const struct name shut_names[] = {
	N(SHUT_RD),
	N(SHUT_WR),
	N(SHUT_RDWR),
};
static const struct name scm_names[] = {
	N(SCM_RIGHTS),
	N(SCM_CREDENTIALS),
	{3, "SCM_SECURITY"},
	{4, "SCM_PIDFD"},
	{SO_TIMESTAMP, "SO_TIMESTAMP_OLD"},
	{SO_TIMESTAMPNS, "SO_TIMESTAMPNS_OLD"},
	{SO_TIMESTAMPING, "SO_TIMESTAMPING_OLD"},
};
static const struct name iff_names[] = {
	N(IFF_UP),
	N(IFF_BROADCAST),
	N(IFF_DEBUG),
	N(IFF_LOOPBACK),
	N(IFF_POINTOPOINT),
	N(IFF_NOTRAILERS),
	N(IFF_RUNNING),
	N(IFF_NOARP),
	N(IFF_PROMISC),
	N(IFF_ALLMULTI),
	N(IFF_MASTER),
	N(IFF_SLAVE),
	N(IFF_MULTICAST),
	N(IFF_PORTSEL),
	N(IFF_AUTOMEDIA),
	N(IFF_DYNAMIC),
	{0x10000, "IFF_LOWER_UP"},
	{0x20000, "IFF_DORMANT"},
	{0x40000, "IFF_ECHO"},
};
static const struct name arphrd_names[] = {
	N(ARPHRD_NETROM),
	N(ARPHRD_ETHER),
	N(ARPHRD_LOOPBACK),
	N(ARPHRD_NONE),
};
static const struct name nltype_names[] = {
	N(NLMSG_NOOP),
	N(NLMSG_ERROR),
	N(NLMSG_DONE),
	N(NLMSG_OVERRUN),
};
static const struct name rtm_names[] = {
	N(NLMSG_NOOP),   N(NLMSG_ERROR),  N(NLMSG_DONE),   N(NLMSG_OVERRUN), N(RTM_NEWLINK),
	N(RTM_DELLINK),  N(RTM_GETLINK),  N(RTM_SETLINK),  N(RTM_NEWADDR),   N(RTM_DELADDR),
	N(RTM_GETADDR),  N(RTM_NEWROUTE), N(RTM_DELROUTE), N(RTM_GETROUTE),  N(RTM_NEWNEIGH),
	N(RTM_DELNEIGH), N(RTM_GETNEIGH), N(RTM_NEWRULE),  N(RTM_DELRULE),   N(RTM_GETRULE),
	N(RTM_NEWQDISC), N(RTM_DELQDISC), N(RTM_GETQDISC),
};
static const struct name nlflags_names[] = {
	N(NLM_F_REQUEST), N(NLM_F_MULTI),     N(NLM_F_ACK),
	N(NLM_F_ECHO),    N(NLM_F_DUMP_INTR), N(NLM_F_DUMP_FILTERED),
};
static const struct name nlflags_get_names[] = {
	N(NLM_F_REQUEST),       N(NLM_F_MULTI), N(NLM_F_ACK),  N(NLM_F_ECHO),  N(NLM_F_DUMP_INTR),
	N(NLM_F_DUMP_FILTERED), N(NLM_F_DUMP),  N(NLM_F_ROOT), N(NLM_F_MATCH), N(NLM_F_ATOMIC),
};
static const struct name nlflags_new_names[] = {
	N(NLM_F_REQUEST),   N(NLM_F_MULTI),         N(NLM_F_ACK),     N(NLM_F_ECHO),
	N(NLM_F_DUMP_INTR), N(NLM_F_DUMP_FILTERED), N(NLM_F_REPLACE), N(NLM_F_EXCL),
	N(NLM_F_CREATE),    N(NLM_F_APPEND),
};
static const struct name rtscope_names[] = {
	N(RT_SCOPE_UNIVERSE), N(RT_SCOPE_SITE),    N(RT_SCOPE_LINK),
	N(RT_SCOPE_HOST),     N(RT_SCOPE_NOWHERE),
};
static const struct name rttable_names[] = {
	N(RT_TABLE_UNSPEC), N(RT_TABLE_COMPAT), N(RT_TABLE_DEFAULT),
	N(RT_TABLE_MAIN),   N(RT_TABLE_LOCAL),
};
static const struct name rtprot_names[] = {
	N(RTPROT_UNSPEC), N(RTPROT_REDIRECT), N(RTPROT_KERNEL), N(RTPROT_BOOT), N(RTPROT_STATIC),
};
static const struct name rttype_names[] = {
	N(RTN_UNSPEC),   N(RTN_UNICAST),   N(RTN_LOCAL),     N(RTN_BROADCAST),
	N(RTN_ANYCAST),  N(RTN_MULTICAST), N(RTN_BLACKHOLE), N(RTN_UNREACHABLE),
	N(RTN_PROHIBIT), N(RTN_THROW),     N(RTN_NAT),       N(RTN_XRESOLVE),
};
static const struct name rtflags_names[] = {
	N(RTNH_F_DEAD),  N(RTNH_F_PERVASIVE),   N(RTNH_F_ONLINK),
	N(RTM_F_NOTIFY), N(RTM_F_CLONED),       N(RTM_F_EQUALIZE),
	N(RTM_F_PREFIX), N(RTM_F_LOOKUP_TABLE), N(RTM_F_FIB_MATCH),
};
static const struct name ifaflags_names[] = {
	N(IFA_F_SECONDARY),     N(IFA_F_NODAD),       N(IFA_F_OPTIMISTIC),
	N(IFA_F_DADFAILED),     N(IFA_F_HOMEADDRESS), N(IFA_F_DEPRECATED),
	N(IFA_F_TENTATIVE),     N(IFA_F_PERMANENT),   N(IFA_F_MANAGETEMPADDR),
	N(IFA_F_NOPREFIXROUTE), N(IFA_F_MCAUTOJOIN),  N(IFA_F_STABLE_PRIVACY),
};
static const struct name ifla_names[] = {
	N(IFLA_UNSPEC),
	N(IFLA_ADDRESS),
	N(IFLA_BROADCAST),
	N(IFLA_IFNAME),
	N(IFLA_MTU),
	N(IFLA_LINK),
	N(IFLA_QDISC),
	N(IFLA_STATS),
	N(IFLA_COST),
	N(IFLA_PRIORITY),
	N(IFLA_MASTER),
	N(IFLA_WIRELESS),
	N(IFLA_PROTINFO),
	N(IFLA_TXQLEN),
	N(IFLA_MAP),
	N(IFLA_WEIGHT),
	N(IFLA_OPERSTATE),
	N(IFLA_LINKMODE),
	N(IFLA_LINKINFO),
	N(IFLA_NET_NS_PID),
	N(IFLA_IFALIAS),
	N(IFLA_NUM_VF),
	N(IFLA_VFINFO_LIST),
	N(IFLA_STATS64),
	N(IFLA_VF_PORTS),
	N(IFLA_PORT_SELF),
	N(IFLA_AF_SPEC),
	N(IFLA_GROUP),
	N(IFLA_NET_NS_FD),
	N(IFLA_EXT_MASK),
	N(IFLA_PROMISCUITY),
	N(IFLA_NUM_TX_QUEUES),
	N(IFLA_NUM_RX_QUEUES),
	N(IFLA_CARRIER),
	N(IFLA_PHYS_PORT_ID),
	N(IFLA_CARRIER_CHANGES),
	N(IFLA_PHYS_SWITCH_ID),
	N(IFLA_LINK_NETNSID),
	N(IFLA_PHYS_PORT_NAME),
	N(IFLA_PROTO_DOWN),
	N(IFLA_GSO_MAX_SEGS),
	N(IFLA_GSO_MAX_SIZE),
	N(IFLA_PAD),
	N(IFLA_XDP),
	N(IFLA_EVENT),
	N(IFLA_NEW_NETNSID),
	N(IFLA_CARRIER_UP_COUNT),
	N(IFLA_CARRIER_DOWN_COUNT),
	N(IFLA_NEW_IFINDEX),
	N(IFLA_MIN_MTU),
	N(IFLA_MAX_MTU),
	N(IFLA_PROP_LIST),
	N(IFLA_ALT_IFNAME),
	N(IFLA_PERM_ADDRESS),
};
static const struct name ifa_names[] = {
	N(IFA_UNSPEC),    N(IFA_ADDRESS),     N(IFA_LOCAL),          N(IFA_LABEL),
	N(IFA_BROADCAST), N(IFA_ANYCAST),     N(IFA_CACHEINFO),      N(IFA_MULTICAST),
	N(IFA_FLAGS),     N(IFA_RT_PRIORITY), N(IFA_TARGET_NETNSID),
};
static const struct name rta_names[] = {
	N(RTA_UNSPEC),    N(RTA_DST),      N(RTA_SRC),       N(RTA_IIF),     N(RTA_OIF),
	N(RTA_GATEWAY),   N(RTA_PRIORITY), N(RTA_PREFSRC),   N(RTA_METRICS), N(RTA_MULTIPATH),
	N(RTA_PROTOINFO), N(RTA_FLOW),     N(RTA_CACHEINFO), N(RTA_SESSION), N(RTA_MP_ALGO),
	N(RTA_TABLE),     N(RTA_MARK),
};

const struct name_table strace_names_net[] = {
	NAME_TABLE(family, "AF_???"),
	NAME_TABLE_NUMBER(socktype, "SOCK_???", 0xf),
	NAME_TABLE(sockflags, "SOCK_???"),
	NAME_TABLE(ipproto, "IPPROTO_???"),
	NAME_TABLE(netlink, "NETLINK_???"),
	NAME_TABLE(msg, "MSG_???"),
	NAME_TABLE(shut, "SHUT_???"),
	NAME_TABLE(scm, "SCM_???"),
	NAME_TABLE(iff, "IFF_???"),
	NAME_TABLE(arphrd, "ARPHRD_???"),
	NAME_TABLE(nltype, "NLMSG_???"),
	NAME_TABLE(rtm, "RTM_???"),
	NAME_TABLE(nlflags, "NLM_F_???"),
	NAME_TABLE(nlflags_get, "NLM_F_???"),
	NAME_TABLE(nlflags_new, "NLM_F_???"),
	NAME_TABLE(rtscope, NULL),
	NAME_TABLE(rttable, NULL),
	NAME_TABLE(rtprot, NULL),
	NAME_TABLE(rttype, "RTN_???"),
	NAME_TABLE(rtflags, "RTM_F_???"),
	NAME_TABLE(ifaflags, "IFA_F_???"),
	NAME_TABLE(ifla, "IFLA_???"),
	NAME_TABLE(ifa, "IFA_???"),
	NAME_TABLE(rta, "RTA_???"),
	{0},
};
