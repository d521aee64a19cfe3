/* Messages of netlink's routing family: what `ip` and getifaddrs say, and what they hear. */
#include "sentry/syscall/strace_impl.h"

#include "sentry/net/socket.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/file.h"
#include "state/base/cleanup.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>

#define MESSAGES_MAX 8192 /* bytes that are looked at */

struct part {
	const u8 *p;
	size_t n;
};

/* How the value of an attribute is shown. */
enum value {
	VALUE_HEX,
	VALUE_TEXT,
	VALUE_U32,
	VALUE_U8,
	VALUE_MAC,
	VALUE_ADDRESS,
	VALUE_INTERFACE
};
struct attribute {
	u16 type;
	u8 value;
};

static const struct attribute link_attributes[] = {
	{IFLA_ADDRESS, VALUE_MAC},
	{IFLA_BROADCAST, VALUE_MAC},
	{IFLA_IFNAME, VALUE_TEXT},
	{IFLA_MTU, VALUE_U32},
	{IFLA_LINK, VALUE_U32},
	{IFLA_QDISC, VALUE_TEXT},
	{IFLA_TXQLEN, VALUE_U32},
	{IFLA_OPERSTATE, VALUE_U8},
	{IFLA_LINKMODE, VALUE_U8},
	{IFLA_IFALIAS, VALUE_TEXT},
	{IFLA_GROUP, VALUE_U32},
	{IFLA_PROMISCUITY, VALUE_U32},
	{IFLA_NUM_TX_QUEUES, VALUE_U32},
	{IFLA_NUM_RX_QUEUES, VALUE_U32},
	{IFLA_CARRIER, VALUE_U8},
	{IFLA_CARRIER_CHANGES, VALUE_U32},
	{IFLA_GSO_MAX_SEGS, VALUE_U32},
	{IFLA_GSO_MAX_SIZE, VALUE_U32},
	{IFLA_MIN_MTU, VALUE_U32},
	{IFLA_MAX_MTU, VALUE_U32},
	{IFLA_PROTO_DOWN, VALUE_U8},
	{IFLA_CARRIER_UP_COUNT, VALUE_U32},
	{IFLA_CARRIER_DOWN_COUNT, VALUE_U32},
	{IFLA_MASTER, VALUE_U32},
};
static const struct attribute address_attributes[] = {
	{IFA_ADDRESS, VALUE_ADDRESS}, {IFA_LOCAL, VALUE_ADDRESS},
	{IFA_LABEL, VALUE_TEXT},      {IFA_BROADCAST, VALUE_ADDRESS},
	{IFA_ANYCAST, VALUE_ADDRESS}, {IFA_MULTICAST, VALUE_ADDRESS},
	{IFA_RT_PRIORITY, VALUE_U32},
};
static const struct attribute route_attributes[] = {
	{RTA_DST, VALUE_ADDRESS},     {RTA_SRC, VALUE_ADDRESS},   {RTA_GATEWAY, VALUE_ADDRESS},
	{RTA_PREFSRC, VALUE_ADDRESS}, {RTA_IIF, VALUE_INTERFACE}, {RTA_OIF, VALUE_INTERFACE},
	{RTA_PRIORITY, VALUE_U32},    {RTA_TABLE, VALUE_U32},     {RTA_MARK, VALUE_U32},
};

static void interface(struct words *w, u32 index)
{
	/* The loopback is the first in every namespace; other names are not ours to look up. */
	if (index == 1)
		words_add(w, "if_nametoindex(\"lo\")");
	else
		words_add(w, "%u", index);
}

static u32 number(struct part v)
{
	u32 n = 0;

	memcpy(&n, v.p, MIN(v.n, sizeof(n)));
	return n;
}

static void value_words(struct words *w, enum value how, int family, struct part v)
{
	char text[INET6_ADDRSTRLEN];
	size_t shown = MIN(v.n, (size_t)STRACE_SHOWN);

	if (how == VALUE_TEXT) {
		strace_quote(w, v.p, strnlen((const char *)v.p, shown), false);
	} else if (how == VALUE_U32 && v.n >= 4) {
		words_add(w, "%u", number(v));
	} else if (how == VALUE_INTERFACE && v.n >= 4) {
		interface(w, number(v));
	} else if (how == VALUE_U8 && v.n >= 1) {
		words_add(w, "%u", v.p[0]);
	} else if (how == VALUE_MAC && v.n > 0) {
		for (size_t i = 0; i < shown; i++)
			words_add(w, i ? ":%02x" : "%02x", v.p[i]);
	} else if (how == VALUE_ADDRESS && family == AF_INET && v.n >= 4) {
		inet_ntop(AF_INET, v.p, text, sizeof(text));
		words_add(w, "inet_addr(\"%s\")", text);
	} else if (how == VALUE_ADDRESS && family == AF_INET6 && v.n >= 16) {
		inet_ntop(AF_INET6, v.p, text, sizeof(text));
		words_add(w, "inet_pton(AF_INET6, \"%s\")", text);
	} else {
		strace_quote_hex(w, v.p, shown, v.n > shown);
	}
}

static void attributes(struct words *w, struct part a, const char *names, int family,
                       const struct attribute *known, size_t n_known)
{
	size_t start = w->n, count = 0, at = 0;

	words_add(w, "[");
	while (at + sizeof(struct nlattr) <= a.n) {
		enum value how = VALUE_HEX;
		struct nlattr h;
		struct part v;

		memcpy(&h, a.p + at, sizeof(h));
		if (h.nla_len < sizeof(h) || h.nla_len > a.n - at)
			break;
		v = (struct part){a.p + at + sizeof(h), h.nla_len - sizeof(h)};
		for (size_t i = 0; i < n_known; i++)
			how = known[i].type == (h.nla_type & NLA_TYPE_MASK) ? known[i].value : how;
		words_add(w, "%s", count++ ? ", " : "");
		if (v.n)
			words_add(w, "[");
		words_add(w, "{nla_len=%u, nla_type=%s", h.nla_len,
		          h.nla_type & NLA_F_NESTED ? "NLA_F_NESTED|" : "");
		strace_value(w, names, h.nla_type & NLA_TYPE_MASK);
		words_add(w, "}");
		if (v.n) {
			words_add(w, ", ");
			value_words(w, how, family, v);
			words_add(w, "]");
		}
		at += NLA_ALIGN(h.nla_len);
	}
	/* A single one stands without a list around it. */
	if (count == 1) {
		memmove(w->s + start, w->s + start + 1, w->n - start);
		w->n--;
	} else {
		words_add(w, "]");
	}
}

static void rest(struct words *w, struct part body, size_t size, const char *names, int family,
                 const struct attribute *known, size_t n_known)
{
	if (body.n < NLMSG_ALIGN(size) + sizeof(struct nlattr))
		return;
	words_add(w, ", ");
	attributes(w, (struct part){body.p + NLMSG_ALIGN(size), body.n - NLMSG_ALIGN(size)}, names,
	           family, known, n_known);
}

static void link_words(struct words *w, struct part body)
{
	struct ifinfomsg m;

	memcpy(&m, body.p, sizeof(m));
	words_add(w, "{ifi_family=");
	strace_value(w, "family", m.ifi_family);
	words_add(w, ", ifi_type=");
	strace_value(w, "arphrd", m.ifi_type);
	words_add(w, ", ifi_index=");
	interface(w, (u32)m.ifi_index);
	words_add(w, ", ifi_flags=");
	strace_bits(w, "iff", m.ifi_flags);
	words_add(w, ", ifi_change=%#x}", m.ifi_change);
	rest(w, body, sizeof(m), "ifla", m.ifi_family, link_attributes,
	     ARRAY_SIZE(link_attributes));
}

static void address_words(struct words *w, struct part body)
{
	struct ifaddrmsg m;

	memcpy(&m, body.p, sizeof(m));
	words_add(w, "{ifa_family=");
	strace_value(w, "family", m.ifa_family);
	words_add(w, ", ifa_prefixlen=%u, ifa_flags=", m.ifa_prefixlen);
	strace_bits(w, "ifaflags", m.ifa_flags);
	words_add(w, ", ifa_scope=");
	strace_value(w, "rtscope", m.ifa_scope);
	words_add(w, ", ifa_index=");
	interface(w, m.ifa_index);
	words_add(w, "}");
	rest(w, body, sizeof(m), "ifa", m.ifa_family, address_attributes,
	     ARRAY_SIZE(address_attributes));
}

static void route_words(struct words *w, struct part body)
{
	struct rtmsg m;

	memcpy(&m, body.p, sizeof(m));
	words_add(w, "{rtm_family=");
	strace_value(w, "family", m.rtm_family);
	words_add(w, ", rtm_dst_len=%u, rtm_src_len=%u, rtm_tos=%#x, rtm_table=", m.rtm_dst_len,
	          m.rtm_src_len, m.rtm_tos);
	strace_value(w, "rttable", m.rtm_table);
	words_add(w, ", rtm_protocol=");
	strace_value(w, "rtprot", m.rtm_protocol);
	words_add(w, ", rtm_scope=");
	strace_value(w, "rtscope", m.rtm_scope);
	words_add(w, ", rtm_type=");
	strace_value(w, "rttype", m.rtm_type);
	words_add(w, ", rtm_flags=");
	strace_bits(w, "rtflags", m.rtm_flags);
	words_add(w, "}");
	rest(w, body, sizeof(m), "rta", m.rtm_family, route_attributes,
	     ARRAY_SIZE(route_attributes));
}

static void header(struct words *w, const struct nlmsghdr *h)
{
	/* By threes from RTM_BASE on: new, delete, get. */
	unsigned kind = h->nlmsg_type >= RTM_BASE ? h->nlmsg_type & 3 : 3;

	words_add(w, "{nlmsg_len=%u, nlmsg_type=", h->nlmsg_len);
	strace_value(w, h->nlmsg_type >= RTM_BASE ? "rtm" : "nltype", h->nlmsg_type);
	words_add(w, ", nlmsg_flags=");
	strace_bits(w,
	            kind == 2   ? "nlflags_get"
	            : kind == 0 ? "nlflags_new"
	                        : "nlflags",
	            h->nlmsg_flags);
	words_add(w, ", nlmsg_seq=%u, nlmsg_pid=%d}", h->nlmsg_seq, (s32)h->nlmsg_pid);
}

static void body_words(struct words *w, const struct nlmsghdr *h, struct part body)
{
	struct nlmsgerr e;

	switch (h->nlmsg_type) {
	case NLMSG_DONE:
		if (body.n >= 4) {
			words_add(w, "%d", (s32)number(body));
			return;
		}
		break;
	case NLMSG_ERROR:
		if (body.n < sizeof(e))
			break;
		memcpy(&e, body.p, sizeof(e));
		words_add(w, "{error=");
		if (e.error < 0 && strerrorname_np(-e.error))
			words_add(w, "-%s", strerrorname_np(-e.error));
		else
			words_add(w, "%d", e.error);
		words_add(w, ", msg=");
		header(w, &e.msg);
		words_add(w, "}");
		return;
	case RTM_NEWLINK:
	case RTM_DELLINK:
	case RTM_GETLINK:
	case RTM_SETLINK:
		if (body.n >= sizeof(struct ifinfomsg)) {
			link_words(w, body);
			return;
		}
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
	case RTM_GETADDR:
		if (body.n >= sizeof(struct ifaddrmsg)) {
			address_words(w, body);
			return;
		}
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
	case RTM_GETROUTE:
		if (body.n >= sizeof(struct rtmsg)) {
			route_words(w, body);
			return;
		}
		break;
	}
	strace_quote_hex(w, body.p, MIN(body.n, (size_t)STRACE_SHOWN), body.n > STRACE_SHOWN);
}

static bool is_netlink(const struct call *k)
{
	AUTO(file) f = NULL;
	struct sock *sk;

	if (!k->c->fds || fd_table_lookup(k->c->fds, (int)k->a->a[0], &f) < 0)
		return false;
	sk = sock_of(f);
	return sk && sk->family == AF_NETLINK;
}

bool strace_netlink(struct words *w, const struct call *k, u64 addr, u64 len)
{
	u8 buf[MESSAGES_MAX] __attribute__((aligned(8)));
	size_t n = MIN(len, (u64)sizeof(buf)), at = 0, start = w->n, count = 0;

	if (n < sizeof(struct nlmsghdr) || !is_netlink(k) ||
	    user_copy_in(k->c, buf, UADDR(addr), n) < 0)
		return false;
	words_add(w, "[");
	while (at + sizeof(struct nlmsghdr) <= n) {
		struct nlmsghdr h;
		struct part body;
		size_t size;

		memcpy(&h, buf + at, sizeof(h));
		size = MAX(MIN((size_t)h.nlmsg_len, n - at), sizeof(h));
		body = (struct part){buf + at + sizeof(h), size - sizeof(h)};
		words_add(w, "%s%s", count++ ? ", " : "", body.n ? "[" : "");
		header(w, &h);
		if (body.n) {
			words_add(w, ", ");
			body_words(w, &h, body);
			words_add(w, "]");
		}
		if (h.nlmsg_len < sizeof(h))
			break;
		at += NLMSG_ALIGN(size);
	}
	if (count == 1) {
		memmove(w->s + start, w->s + start + 1, w->n - start);
		w->n--;
	} else {
		words_add(w, "]");
	}
	return true;
}
