/* Addresses, messages and options of sockets. */
#include "sentry/syscall/strace_impl.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netpacket/packet.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

union address {
	struct sockaddr sa;
	struct sockaddr_un un;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_nl nl;
	u8 bytes[128];
};

static void path_words(struct words *w, const union address *u, size_t len)
{
	bool abstract;

	if (len == 0)
		return;
	abstract = u->un.sun_path[0] == 0;
	words_add(w, abstract ? ", sun_path=@" : ", sun_path=");
	len = MIN(len, sizeof(u->un.sun_path));
	strace_quote(w, (const u8 *)u->un.sun_path + abstract,
	             abstract ? len - 1 : strnlen(u->un.sun_path, len), false);
}

void strace_sockaddr(struct words *w, const void *p, size_t len)
{
	char text[INET6_ADDRSTRLEN] = "";
	union address u = {0};

	len = MIN(len, sizeof(u));
	memcpy(&u, p, len);
	words_add(w, "{sa_family=");
	strace_value(w, "family", u.sa.sa_family);
	len -= MIN(len, sizeof(u.sa.sa_family));
	if (u.sa.sa_family == AF_UNIX) {
		path_words(w, &u, len);
	} else if (u.sa.sa_family == AF_INET && len >= sizeof(u.in) - 2) {
		inet_ntop(AF_INET, &u.in.sin_addr, text, sizeof(text));
		words_add(w, ", sin_port=htons(%u), sin_addr=inet_addr(\"%s\")",
		          ntohs(u.in.sin_port), text);
	} else if (u.sa.sa_family == AF_INET6 && len >= sizeof(u.in6) - 6) {
		inet_ntop(AF_INET6, &u.in6.sin6_addr, text, sizeof(text));
		words_add(w,
		          ", sin6_port=htons(%u), sin6_flowinfo=htonl(%u), inet_pton(AF_INET6, "
		          "\"%s\", &sin6_addr)",
		          ntohs(u.in6.sin6_port), ntohl(u.in6.sin6_flowinfo), text);
		if (len >= sizeof(u.in6) - 2)
			words_add(w, ", sin6_scope_id=%u", u.in6.sin6_scope_id);
	} else if (u.sa.sa_family == AF_NETLINK && len >= sizeof(u.nl) - 2) {
		words_add(w, ", nl_pid=%d, nl_groups=%08x", u.nl.nl_pid, u.nl.nl_groups);
	} else if (len > 0) {
		words_add(w, ", sa_data=");
		strace_quote(w, u.bytes + sizeof(u.sa.sa_family), len, false);
	}
	words_add(w, "}");
}

static bool address_words(struct words *w, const struct call *k, u64 addr, u64 len)
{
	union address u = {0};

	len = MIN(len, (u64)sizeof(u));
	if (len < sizeof(u.sa.sa_family) || user_copy_in(k->c, &u, UADDR(addr), len) < 0)
		return false;
	strace_sockaddr(w, &u, len);
	return true;
}

/* The length is the next argument. */
static bool show_sockaddr(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	u64 len = (u32)k->a->a[(arg + 1) % STRACE_ARGS];

	return (s32)len >= 0 && address_words(w, k, addr, len);
}

/* What the call filled: the room that there was, and what that became. */
static bool show_filled_sockaddr(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	u64 at = k->a->a[(arg + 1) % STRACE_ARGS];
	u32 len;

	if (!k->before || user_get_u32(k->c, UADDR(at), &len) < 0)
		return false;
	return address_words(w, k, addr, MIN((u64)len, k->before[arg + 1]));
}

static void rights(struct words *w, const int *fds, size_t n)
{
	words_add(w, "[");
	for (size_t i = 0; i < n && i < STRACE_SHOWN; i++)
		words_add(w, i ? ", %d" : "%d", fds[i]);
	words_add(w, n > STRACE_SHOWN ? ", ...]" : "]");
}

static bool cmsg_known(struct words *w, const struct call *k, int level, int type, const u8 *p,
                       size_t len)
{
	char text[INET6_ADDRSTRLEN];

	if (level == SOL_SOCKET && type == SCM_RIGHTS) {
		rights(w, (const int *)(const void *)p, len / sizeof(int));
	} else if (level == SOL_SOCKET && type == SCM_CREDENTIALS && len >= sizeof(struct ucred)) {
		strace_layout(w, k, "ucred", p, 0);
	} else if (level == SOL_SOCKET && type == SO_TIMESTAMP && len >= sizeof(struct timeval)) {
		strace_layout(w, k, "timeval", p, 0);
	} else if (level == SOL_SOCKET && type == SO_TIMESTAMPNS &&
	           len >= sizeof(struct timespec)) {
		strace_layout(w, k, "timespec", p, 0);
	} else if (level == IPPROTO_IP && type == IP_PKTINFO && len >= sizeof(struct in_pktinfo)) {
		struct in_pktinfo i;

		memcpy(&i, p, sizeof(i));
		if (i.ipi_ifindex == 1)
			words_add(w, "{ipi_ifindex=if_nametoindex(\"lo\")");
		else
			words_add(w, "{ipi_ifindex=%d", i.ipi_ifindex);
		inet_ntop(AF_INET, &i.ipi_spec_dst, text, sizeof(text));
		words_add(w, ", ipi_spec_dst=inet_addr(\"%s\")", text);
		inet_ntop(AF_INET, &i.ipi_addr, text, sizeof(text));
		words_add(w, ", ipi_addr=inet_addr(\"%s\")}", text);
	} else if (level == IPPROTO_IP && (type == IP_TTL || type == IP_RECVERR + 100) &&
	           len >= sizeof(int)) {
		int v;

		memcpy(&v, p, sizeof(v));
		words_add(w, "[%d]", v);
	} else if (level == IPPROTO_IP && type == IP_TOS && len >= 1) {
		words_add(w, "[%#x]", p[0]);
	} else {
		return false;
	}
	return true;
}

static void cmsg_type(struct words *w, int level, int type)
{
	if (level == SOL_SOCKET)
		strace_value(w, "scm", (u32)type);
	else if (level == IPPROTO_IP)
		strace_value(w, "ip", (u32)type);
	else if (level == IPPROTO_IPV6)
		strace_value(w, "ipv6", (u32)type);
	else
		words_add(w, "%#x", (u32)type);
}

static void control_words(struct words *w, const struct call *k, u64 addr, u64 len)
{
	u8 buf[1024] __attribute__((aligned(16)));
	struct cmsghdr h;
	size_t n = MIN(len, (u64)sizeof(buf)), at = 0, room, size, start;

	if (n < sizeof(h) || user_copy_in(k->c, buf, UADDR(addr), n) < 0) {
		strace_pointer(w, addr);
		return;
	}
	words_add(w, "[");
	while (at + sizeof(h) <= n) {
		memcpy(&h, buf + at, sizeof(h));
		words_add(w, "%s{cmsg_len=%zu, cmsg_level=", at ? ", " : "", h.cmsg_len);
		if (strace_name("sol", (u32)h.cmsg_level))
			strace_value(w, "sol", (u32)h.cmsg_level);
		else
			words_add(w, "%#x /* SOL_??? */", (u32)h.cmsg_level);
		words_add(w, ", cmsg_type=");
		cmsg_type(w, h.cmsg_level, h.cmsg_type);
		room = n - at - sizeof(h);
		size = h.cmsg_len < sizeof(h) ? 0 : MIN(h.cmsg_len - sizeof(h), room);
		start = w->n;
		words_add(w, ", cmsg_data=");
		if (!size ||
		    !cmsg_known(w, k, h.cmsg_level, h.cmsg_type, buf + at + sizeof(h), size)) {
			w->n = start;
			w->s[start] = 0;
		}
		words_add(w, "}");
		if (h.cmsg_len < sizeof(h))
			break;
		at += CMSG_ALIGN(h.cmsg_len);
		if (at + sizeof(h) > n && at < n)
			words_add(w, ", ... /* %#llx */", (unsigned long long)(addr + at));
	}
	words_add(w, "]");
}

/* Of each piece as much as was moved. */
static void pieces(struct words *w, const struct call *k, u64 addr, u64 n, u64 moved)
{
	struct iovec v;

	if (!addr) {
		words_add(w, "NULL");
		return;
	}
	if (n && user_copy_in(k->c, &v, UADDR(addr), sizeof(v)) < 0) {
		strace_pointer(w, addr);
		return;
	}
	words_add(w, "[");
	for (u64 i = 0; i < n; i++) {
		u64 base, part;

		words_add(w, i ? ", " : "");
		if (i >= STRACE_SHOWN ||
		    user_copy_in(k->c, &v, UADDR(addr + i * sizeof(v)), sizeof(v)) < 0) {
			words_add(w, "...");
			break;
		}
		base = (u64)(uintptr_t)v.iov_base;
		part = MIN(moved, (u64)v.iov_len);
		moved -= part;
		words_add(w, "{iov_base=");
		if (!strace_netlink(w, k, base, part))
			strace_memory(w, k, base, part);
		words_add(w, ", iov_len=%zu}", v.iov_len);
	}
	words_add(w, "]");
}

void strace_msghdr(struct words *w, const struct call *k, u64 addr, u64 moved, u64 namelen,
                   bool filled)
{
	struct msghdr m;
	u64 name, control;
	size_t len;

	if (user_copy_in(k->c, &m, UADDR(addr), sizeof(m)) < 0) {
		strace_pointer(w, addr);
		return;
	}
	name = (u64)(uintptr_t)m.msg_name;
	control = (u64)(uintptr_t)m.msg_control;
	len = filled ? MIN((u64)m.msg_namelen, namelen) : m.msg_namelen;
	words_add(w, "{msg_name=");
	if (!name || !address_words(w, k, name, len))
		strace_pointer(w, name);
	words_add(w, ", msg_namelen=");
	if (filled && namelen != m.msg_namelen)
		words_add(w, "%d => ", (int)namelen);
	words_add(w, "%d, msg_iov=", (int)m.msg_namelen);
	pieces(w, k, (u64)(uintptr_t)m.msg_iov, m.msg_iovlen, moved);
	words_add(w, ", msg_iovlen=%zu", m.msg_iovlen);
	if (m.msg_controllen) {
		words_add(w, ", msg_control=");
		control_words(w, k, control, m.msg_controllen);
	}
	words_add(w, ", msg_controllen=%zu, msg_flags=", m.msg_controllen);
	strace_bits(w, "msg", (u32)m.msg_flags);
	words_add(w, "}");
}

static bool show_msghdr(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	bool filled = k->nr == SYS_recvmsg;

	strace_msghdr(w, k, addr, filled ? (u64)MAX(k->ret, 0l) : ~0ull,
	              k->before ? k->before[arg] : 0, filled);
	return true;
}

/* sendmmsg's, with what became of each when it was sent; recvmmsg's, as many as came. */
static bool show_mmsghdr(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	bool filled = k->nr == SYS_recvmmsg;
	u64 namelen = 0;
	struct mmsghdr m;

	STRACE_READ(k, addr, &m);
	namelen = m.msg_hdr.msg_namelen;
	words_add(w, "{msg_hdr=");
	strace_msghdr(w, k, addr, filled ? m.msg_len : ~0ull, namelen, filled);
	if (k->ended && (addr - k->a->a[arg]) / sizeof(m) < (u64)MAX(k->ret, 0l))
		words_add(w, ", msg_len=%u", m.msg_len);
	words_add(w, "}");
	return true;
}

/* A socket option's value. By getsockopt the length is at the address in the last argument. */
static bool show_optval(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	bool get = k->nr == SYS_getsockopt;
	u64 level = (u32)k->a->a[1], opt = (u32)k->a->a[2];
	const char *layout = strace_sockopt(level, opt, get);
	u32 len = (u32)k->a->a[4], size;
	u8 buf[64];

	if (get && user_get_u32(k->c, UADDR(k->a->a[4]), &len) < 0)
		return false;
	if ((s32)len < 0 || (get && !len))
		return false;
	if (get && level == SOL_SOCKET && opt == SO_ERROR && len == sizeof(int)) {
		if (user_get_u32(k->c, UADDR(addr), &size) < 0)
			return false;
		if (size && strerrorname_np((int)size))
			words_add(w, "[%s]", strerrorname_np((int)size));
		else
			words_add(w, "[%u]", size);
		return true;
	}
	if (layout) {
		size = strace_layout_size(layout);
		if (strcmp(layout, "ip_mreq") == 0 && len < size)
			return false;
		if (len < size || user_copy_in(k->c, buf, UADDR(addr), size) < 0)
			return false;
		strace_layout(w, k, layout, buf, arg);
	} else if (len == sizeof(int)) {
		strace_struct(w, k, "int", addr, 1, false, arg);
	} else if (len < sizeof(int) && level == SOL_SOCKET && opt != SO_BINDTODEVICE) {
		if (!get || user_copy_in(k->c, buf, UADDR(addr), len) < 0)
			return false;
		strace_quote_hex(w, buf, len, false);
	} else {
		strace_memory(w, k, addr, len);
	}
	return true;
}

const char *strace_sockopt(u64 level, u64 opt, bool get)
{
	static const struct {
		u32 level, opt;
		const char *layout;
	} known[] = {
		{SOL_SOCKET, SO_LINGER, "linger"},
		{SOL_SOCKET, SO_PEERCRED, "ucred"},
		{SOL_SOCKET, SO_ATTACH_FILTER, "fprog"},
		{SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, "fprog"},
		{IPPROTO_IP, IP_ADD_MEMBERSHIP, "ip_mreq"},
		{IPPROTO_IP, IP_DROP_MEMBERSHIP, "ip_mreq"},
		{IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, "ipv6_mreq"},
		{IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, "ipv6_mreq"},
		{IPPROTO_IPV6, IPV6_JOIN_ANYCAST, "ipv6_mreq"},
		{IPPROTO_IPV6, IPV6_LEAVE_ANYCAST, "ipv6_mreq"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (known[i].level == level && known[i].opt == opt &&
		    !(get && opt == SO_ATTACH_FILTER) && (get || opt != SO_PEERCRED))
			return known[i].layout;
	}
	return NULL;
}

/* sendto's and recvfrom's bytes, which may be messages of netlink. */
static bool show_packet(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	u64 len = k->a->a[arg + 1];

	if (k->nr == SYS_recvfrom)
		len = MIN(len, (u64)MAX(k->ret, 0l));
	if (!strace_netlink(w, k, addr, len))
		strace_memory(w, k, addr, len);
	return true;
}

/* struct ifreq: the name, and what the request says of the rest. */
static bool show_ifreq(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	u32 request = (u32)k->a->a[1];
	const char *what = NULL;
	struct ifreq r;

	STRACE_READ(k, addr, &r);
	/* What it asks about; there is no answer. */
	if (k->ret < 0 && request != 0x8910) {
		words_add(w, "{ifr_name=");
		strace_quote(w, (u8 *)r.ifr_name, strnlen(r.ifr_name, IFNAMSIZ), false);
		words_add(w, "}");
		return true;
	}
	switch (request) {
	case 0x8910: /* SIOCGIFNAME */
		words_add(w, "{ifr_ifindex=%d, ifr_name=", r.ifr_ifindex);
		strace_quote(w, (u8 *)r.ifr_name, strnlen(r.ifr_name, IFNAMSIZ), false);
		words_add(w, "}");
		return true;
	case 0x8915:
	case 0x8916:
		what = "addr";
		break;
	case 0x8917:
	case 0x8918:
		what = "dstaddr";
		break;
	case 0x8919:
	case 0x891a:
		what = "broadaddr";
		break;
	case 0x891b:
	case 0x891c:
		what = "netmask";
		break;
	}
	words_add(w, "{ifr_name=");
	strace_quote(w, (u8 *)r.ifr_name, strnlen(r.ifr_name, IFNAMSIZ), false);
	if (what) {
		words_add(w, ", ifr_%s=", what);
		strace_sockaddr(w, &r.ifr_addr, sizeof(r.ifr_addr));
	} else if (request == 0x8913 || request == 0x8914) {
		words_add(w, ", ifr_flags=");
		strace_bits(w, "iff", (u16)r.ifr_flags);
	} else if (request == 0x8927 || request == 0x8924) {
		const u8 *m = (const u8 *)r.ifr_hwaddr.sa_data;

		words_add(w, ", ifr_hwaddr={sa_family=");
		strace_value(w, "arphrd", r.ifr_hwaddr.sa_family);
		words_add(w, ", sa_data=%02x:%02x:%02x:%02x:%02x:%02x}", m[0], m[1], m[2], m[3],
		          m[4], m[5]);
	} else {
		const char *field = request == 0x8933                        ? "ifindex"
		                    : request == 0x8921 || request == 0x8922 ? "mtu"
		                    : request == 0x891d || request == 0x891e ? "metric"
		                                                             : "qlen";

		words_add(w, ", ifr_%s=%d", field, r.ifr_ifindex);
	}
	words_add(w, "}");
	return true;
}

static void conf_size(struct words *w, int len)
{
	words_add(w, "%d", len);
	if (len > 0 && len % sizeof(struct ifreq) == 0)
		words_add(w, " /* %zu * sizeof(struct ifreq) */", len / sizeof(struct ifreq));
}

static bool show_ifconf(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct ifconf c;
	struct ifreq r;
	unsigned n;

	STRACE_READ(k, addr, &c);
	n = c.ifc_len > 0 ? (unsigned)c.ifc_len / sizeof(r) : 0;
	words_add(w, "{ifc_len=");
	if (c.ifc_buf && k->before && (u32)k->before[arg] != (u32)c.ifc_len) {
		conf_size(w, (int)k->before[arg]);
		words_add(w, " => ");
	}
	conf_size(w, c.ifc_len);
	words_add(w, ", ifc_buf=");
	if (!c.ifc_buf) {
		words_add(w, "NULL}");
		return true;
	}
	words_add(w, "[");
	for (unsigned i = 0; i < n; i++) {
		words_add(w, i ? ", " : "");
		if (i >= STRACE_SHOWN ||
		    user_copy_in(k->c, &r, UADDR((u64)(uintptr_t)c.ifc_buf + i * sizeof(r)),
		                 sizeof(r)) < 0) {
			words_add(w, "...");
			break;
		}
		words_add(w, "{ifr_name=");
		strace_quote(w, (u8 *)r.ifr_name, strnlen(r.ifr_name, IFNAMSIZ), false);
		words_add(w, ", ifr_addr=");
		strace_sockaddr(w, &r.ifr_addr, sizeof(r.ifr_addr));
		words_add(w, "}");
	}
	words_add(w, "]}");
	return true;
}

const struct strace_kind strace_kinds_net[] = {
	{"sockaddr", show_sockaddr, 0},
	{"filledaddr", show_filled_sockaddr, 0},
	{"msghdr", show_msghdr, 0},
	{"mmsghdr", show_mmsghdr, sizeof(struct mmsghdr)},
	{"optval", show_optval, 0},
	{"packet", show_packet, 0},
	{"ifreq", show_ifreq, 0},
	{"ifconf", show_ifconf, 0},
	{0},
};
