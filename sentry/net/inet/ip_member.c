#include "sentry/net/inet/ip_member.h"

#include "sentry/net/inet/ports.h"
#include "state/base/bug.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

bool member_names_lo(const struct inet_sock *is, u32 ifindex, u32 addr, const struct ipaddr *group)
{
	struct inet_ns *ns = inet_ns_of(&is->sk);
	struct ipaddr ip = ip_from_v4(addr);
	struct fib_result res;

	if (ifindex)
		return ifindex == LO_INDEX;
	if (addr != INADDR_ANY)
		return fib_is_local(ns, &ip);
	return group && fib_lookup(ns, group, &res) == 0;
}

/* The same of IPv6. */
static bool index_is_lo(const struct inet_sock *is, u32 ifindex, const struct ipaddr *group)
{
	struct fib_result res;

	return ifindex ? ifindex == LO_INDEX : fib_lookup(inet_ns_of(&is->sk), group, &res) == 0;
}

/* ---- the list; sk.lock is held ---- */

static int join_locked(struct inet_sock *is, const struct ipaddr *group, bool include)
{
	struct inet_ns *ns = inet_ns_of(&is->sk);
	s32 most = ip_is_v4(group) ? net_setting_get(ns, NET_IGMP_MAX_MEMBERSHIPS) : (s32)MC_MAX;
	struct inet_opts *o = &is->ip;
	struct mc_member *m;

	if (inet_opts_member(o, group))
		return -EADDRINUSE;
	if ((s64)o->n_members >= MIN((s64)most, (s64)MC_MAX))
		return -ENOBUFS;
	m = realloc(o->members, (o->n_members + 1) * sizeof(*m));
	BUG_ON(!m);
	m[o->n_members++] = (struct mc_member){.group = *group, .include = include};
	o->members = m;
	mc_groups_join(ns, group);
	return 0;
}

static int leave_locked(struct inet_sock *is, const struct ipaddr *group)
{
	struct inet_opts *o = &is->ip;
	struct mc_member *m = inet_opts_member(o, group);
	u32 i;

	if (!m)
		return -EADDRNOTAVAIL;
	mc_groups_leave(inet_ns_of(&is->sk), group);
	free(m->sources);
	i = (u32)(m - o->members);
	memmove(m, m + 1, (--o->n_members - i) * sizeof(*m));
	return 0;
}

static int source_locked(struct inet_sock *is, const struct ipaddr *group, const struct ipaddr *src,
                         bool include, bool add)
{
	struct mc_member *m = inet_opts_member(&is->ip, group);
	struct ipaddr *more;
	u32 i;

	if (!m)
		return -EINVAL;
	/* The mode may change as long as nothing depends on it. */
	if (m->include != include) {
		if (m->n_sources)
			return -EINVAL;
		m->include = include;
	}
	for (i = 0; i < m->n_sources && !ip_equal(&m->sources[i], src); i++)
		;
	if (!add) {
		if (i == m->n_sources)
			return -EADDRNOTAVAIL;
		/* Of nobody any more is not to be a member. */
		if (m->n_sources == 1 && include)
			return leave_locked(is, group);
		m->sources[i] = m->sources[--m->n_sources];
		return 0;
	}
	if (i < m->n_sources)
		return -EADDRNOTAVAIL;
	if (m->n_sources >= MC_SOURCES_MAX)
		return -ENOBUFS;
	more = realloc(m->sources, (m->n_sources + 1) * sizeof(*more));
	BUG_ON(!more);
	m->sources = more;
	m->sources[m->n_sources++] = *src;
	return 0;
}

static int membership(struct inet_sock *is, const struct ipaddr *group, bool add)
{
	GUARD(&is->sk.lock);
	return add ? join_locked(is, group, false) : leave_locked(is, group);
}

/* A source is joined, left, blocked or no longer so. */
static int source(struct inet_sock *is, const struct ipaddr *group, const struct ipaddr *src,
                  bool include, bool add)
{
	int r = 0;

	GUARD(&is->sk.lock);
	if (include && add)
		r = join_locked(is, group, true);
	if (r < 0 && r != -EADDRINUSE)
		return r;
	return source_locked(is, group, src, include, add);
}

/* All sources at once; of nobody is not to be a member. */
static int set_sources(struct inet_sock *is, const struct ipaddr *group, bool include,
                       const struct ipaddr *srcs, u32 n)
{
	struct mc_member *m;

	GUARD(&is->sk.lock);
	if (include && n == 0)
		return leave_locked(is, group);
	m = inet_opts_member(&is->ip, group);
	if (!m)
		return -EINVAL;
	free(m->sources);
	m->sources = NULL;
	m->n_sources = n;
	m->include = include;
	if (n) {
		m->sources = malloc(n * sizeof(*srcs));
		BUG_ON(!m->sources);
		memcpy(m->sources, srcs, n * sizeof(*srcs));
	}
	return 0;
}

/* ---- how the options say it ---- */

static int membership4(struct inet_sock *is, struct ctx *c, bool add, uaddr_t val, u32 len)
{
	struct ip_mreqn m = {0};
	struct ipaddr group;
	int r;

	if (is->sk.type == SOCK_STREAM)
		return -EPROTO;
	if (len < sizeof(struct ip_mreq))
		return -EINVAL;
	r = user_copy_in(c, &m, val, MIN(len, (u32)sizeof(m)));
	if (r < 0)
		return r;
	group = ip_from_v4(m.imr_multiaddr.s_addr);
	if (!ip_is_multicast(&group))
		return add ? -EINVAL : -EADDRNOTAVAIL;
	if (!member_names_lo(is, (u32)m.imr_ifindex, m.imr_address.s_addr, &group)) {
		if (add || m.imr_ifindex || m.imr_address.s_addr)
			return -ENODEV;
	}
	return membership(is, &group, add);
}

int member6_setsockopt(struct inet_sock *is, struct ctx *c, bool add, uaddr_t val, u32 len)
{
	struct ipv6_mreq m;
	struct ipaddr group;
	int r;

	if (is->sk.type == SOCK_STREAM)
		return -EPROTO;
	if (len < sizeof(m))
		return -EINVAL;
	r = user_get(c, val, &m);
	if (r < 0)
		return r;
	group = ip_from_v6(&m.ipv6mr_multiaddr);
	if (!ip_is_multicast(&group) || ip_is_v4(&group))
		return add ? -EINVAL : -EADDRNOTAVAIL;
	if (!index_is_lo(is, m.ipv6mr_interface, &group) && (add || m.ipv6mr_interface))
		return -ENODEV;
	return membership(is, &group, add);
}

static int parse(const struct sockaddr_storage *a, struct ipaddr *ret)
{
	struct inet_addr to;
	int r = inet_addr_parse(a->ss_family == AF_INET ? AF_INET : AF_INET6, a, sizeof(*a), &to);

	*ret = to.ip;
	return r < 0 ? -EADDRNOTAVAIL : 0;
}

static int membership_any(struct inet_sock *is, struct ctx *c, bool add, uaddr_t val, u32 len)
{
	struct group_req g;
	struct ipaddr group;
	int r;

	if (len < sizeof(g))
		return -EINVAL;
	r = user_get(c, val, &g);
	if (r < 0)
		return r;
	if (parse(&g.gr_group, &group) < 0 || !ip_is_multicast(&group))
		return -EINVAL;
	if (ip_is_v4(&group) ? !member_names_lo(is, g.gr_interface, INADDR_ANY, &group)
	                     : !index_is_lo(is, g.gr_interface, &group))
		return -ENODEV;
	return membership(is, &group, add);
}

static int source4(struct inet_sock *is, struct ctx *c, int name, uaddr_t val, u32 len)
{
	bool include = name == IP_ADD_SOURCE_MEMBERSHIP || name == IP_DROP_SOURCE_MEMBERSHIP;
	bool add = name == IP_ADD_SOURCE_MEMBERSHIP || name == IP_BLOCK_SOURCE;
	struct ipaddr group, src;
	struct ip_mreq_source m;
	int r;

	if (len != sizeof(m))
		return -EINVAL;
	r = user_get(c, val, &m);
	if (r < 0)
		return r;
	group = ip_from_v4(m.imr_multiaddr.s_addr);
	src = ip_from_v4(m.imr_sourceaddr.s_addr);
	if (!ip_is_multicast(&group))
		return -EINVAL;
	if (!member_names_lo(is, 0, m.imr_interface.s_addr, &group))
		return -ENODEV;
	return source(is, &group, &src, include, add);
}

static int source_any(struct inet_sock *is, struct ctx *c, int name, uaddr_t val, u32 len)
{
	bool include = name == MCAST_JOIN_SOURCE_GROUP || name == MCAST_LEAVE_SOURCE_GROUP;
	bool add = name == MCAST_JOIN_SOURCE_GROUP || name == MCAST_BLOCK_SOURCE;
	struct group_source_req g;
	struct ipaddr group, src;
	int r;

	if (len != sizeof(g))
		return -EINVAL;
	r = user_get(c, val, &g);
	if (r < 0)
		return r;
	if (g.gsr_group.ss_family != g.gsr_source.ss_family || parse(&g.gsr_group, &group) < 0 ||
	    parse(&g.gsr_source, &src) < 0)
		return -EADDRNOTAVAIL;
	if (!ip_is_multicast(&group))
		return -EINVAL;
	if (g.gsr_interface != LO_INDEX)
		return -ENODEV;
	return source(is, &group, &src, include, add);
}

static int msfilter4(struct inet_sock *is, struct ctx *c, uaddr_t val, u32 len)
{
	struct ipaddr srcs[MC_SOURCES_MAX], group;
	struct ip_msfilter h;
	u32 be[MC_SOURCES_MAX];
	int r;

	if (len < IP_MSFILTER_SIZE(0))
		return -EINVAL;
	r = user_copy_in(c, &h, val, IP_MSFILTER_SIZE(0));
	if (r < 0)
		return r;
	if (h.imsf_numsrc > MC_SOURCES_MAX)
		return -ENOBUFS;
	if (IP_MSFILTER_SIZE(h.imsf_numsrc) > len)
		return -EINVAL;
	r = user_copy_in(c, be, uaddr_add(val, IP_MSFILTER_SIZE(0)), h.imsf_numsrc * sizeof(u32));
	if (r < 0)
		return r;
	for (u32 i = 0; i < h.imsf_numsrc; i++)
		srcs[i] = ip_from_v4(be[i]);
	group = ip_from_v4(h.imsf_multiaddr.s_addr);
	if (!ip_is_multicast(&group) || h.imsf_fmode > MCAST_INCLUDE)
		return -EINVAL;
	if (!member_names_lo(is, 0, h.imsf_interface.s_addr, &group))
		return -ENODEV;
	return set_sources(is, &group, h.imsf_fmode == MCAST_INCLUDE, srcs, h.imsf_numsrc);
}

static int msfilter_any(struct inet_sock *is, struct ctx *c, uaddr_t val, u32 len)
{
	struct ipaddr srcs[MC_SOURCES_MAX], group;
	struct sockaddr_storage a;
	struct group_filter h;
	int r;

	if (len < GROUP_FILTER_SIZE(0))
		return -EINVAL;
	r = user_copy_in(c, &h, val, GROUP_FILTER_SIZE(0));
	if (r < 0)
		return r;
	if (h.gf_numsrc > MC_SOURCES_MAX)
		return -ENOBUFS;
	if (GROUP_FILTER_SIZE(h.gf_numsrc) > len)
		return -EINVAL;
	for (u32 i = 0; i < h.gf_numsrc; i++) {
		r = user_get(c, uaddr_add(val, GROUP_FILTER_SIZE(i)), &a);
		if (r == 0)
			r = parse(&a, &srcs[i]);
		if (r < 0)
			return r;
	}
	if (parse(&h.gf_group, &group) < 0 || !ip_is_multicast(&group) ||
	    h.gf_fmode > MCAST_INCLUDE)
		return -EINVAL;
	if (h.gf_interface != LO_INDEX)
		return -ENODEV;
	return set_sources(is, &group, h.gf_fmode == MCAST_INCLUDE, srcs, h.gf_numsrc);
}

int member_setsockopt(struct inet_sock *is, struct ctx *c, int name, uaddr_t val, u32 len)
{
	switch (name) {
	case IP_ADD_MEMBERSHIP:
	case IP_DROP_MEMBERSHIP:
		return membership4(is, c, name == IP_ADD_MEMBERSHIP, val, len);
	case MCAST_JOIN_GROUP:
	case MCAST_LEAVE_GROUP:
		return membership_any(is, c, name == MCAST_JOIN_GROUP, val, len);
	case IP_ADD_SOURCE_MEMBERSHIP:
	case IP_DROP_SOURCE_MEMBERSHIP:
	case IP_BLOCK_SOURCE:
	case IP_UNBLOCK_SOURCE:
		return source4(is, c, name, val, len);
	case IP_MSFILTER:
		return msfilter4(is, c, val, len);
	case MCAST_MSFILTER:
		return msfilter_any(is, c, val, len);
	default:
		return source_any(is, c, name, val, len);
	}
}

/* ---- and how they show it ---- */

struct shown {
	bool include;
	u32 n;
	struct ipaddr srcs[MC_SOURCES_MAX];
};

static int look_up(struct inet_sock *is, const struct ipaddr *group, struct shown *ret)
{
	const struct mc_member *m;

	if (!ip_is_multicast(group))
		return -EINVAL;
	GUARD(&is->sk.lock);
	m = inet_opts_member(&is->ip, group);
	if (!m)
		return -EADDRNOTAVAIL;
	ret->include = m->include;
	ret->n = m->n_sources;
	if (m->n_sources)
		memcpy(ret->srcs, m->sources, m->n_sources * sizeof(*m->sources));
	return 0;
}

static int get_msfilter4(struct inet_sock *is, struct ctx *c, uaddr_t val, uaddr_t ulen, u32 len)
{
	struct ip_msfilter h;
	struct ipaddr group;
	struct shown s;
	u32 n;
	int r;

	if (len < IP_MSFILTER_SIZE(0))
		return -EINVAL;
	r = user_copy_in(c, &h, val, IP_MSFILTER_SIZE(0));
	if (r < 0)
		return r;
	group = ip_from_v4(h.imsf_multiaddr.s_addr);
	if (ip_is_multicast(&group) && !member_names_lo(is, 0, h.imsf_interface.s_addr, &group))
		return -ENODEV;
	r = look_up(is, &group, &s);
	if (r < 0)
		return r;
	/* How many there are, and as many as were asked for. */
	n = MIN(h.imsf_numsrc, s.n);
	h.imsf_fmode = s.include ? MCAST_INCLUDE : MCAST_EXCLUDE;
	h.imsf_numsrc = s.n;
	if (IP_MSFILTER_SIZE(n) > len)
		return -EINVAL;
	for (u32 i = 0; i < n; i++) {
		u32 be = ip_v4(&s.srcs[i]);

		r = user_put_u32(c, uaddr_add(val, IP_MSFILTER_SIZE(i)), be);
		if (r < 0)
			return r;
	}
	r = user_copy_out(c, val, &h, IP_MSFILTER_SIZE(0));
	return r < 0 ? r : user_put_u32(c, ulen, IP_MSFILTER_SIZE(n));
}

static int get_msfilter_any(struct inet_sock *is, struct ctx *c, uaddr_t val, uaddr_t ulen, u32 len)
{
	struct group_filter h;
	struct ipaddr group;
	struct shown s;
	u32 n;
	int r;

	if (len < GROUP_FILTER_SIZE(0))
		return -EINVAL;
	r = user_copy_in(c, &h, val, GROUP_FILTER_SIZE(0));
	if (r < 0)
		return r;
	if (parse(&h.gf_group, &group) < 0)
		return -EADDRNOTAVAIL;
	r = look_up(is, &group, &s);
	if (r < 0)
		return r;
	n = MIN(h.gf_numsrc, s.n);
	h.gf_fmode = s.include ? MCAST_INCLUDE : MCAST_EXCLUDE;
	h.gf_numsrc = s.n;
	if (GROUP_FILTER_SIZE(n) > len)
		return -EINVAL;
	for (u32 i = 0; i < n; i++) {
		struct sockaddr_storage a = {0};

		inet_addr_format(h.gf_group.ss_family == AF_INET ? AF_INET : AF_INET6, &s.srcs[i],
		                 0, 0, &a);
		r = user_put(c, uaddr_add(val, GROUP_FILTER_SIZE(i)), &a);
		if (r < 0)
			return r;
	}
	r = user_copy_out(c, val, &h, GROUP_FILTER_SIZE(0));
	return r < 0 ? r : user_put_u32(c, ulen, GROUP_FILTER_SIZE(n));
}

int member_getsockopt(struct inet_sock *is, struct ctx *c, int name, uaddr_t val, uaddr_t ulen)
{
	u32 len;
	int r = user_get_u32(c, ulen, &len);

	if (r < 0)
		return r;
	return name == IP_MSFILTER ? get_msfilter4(is, c, val, ulen, len)
	                           : get_msfilter_any(is, c, val, ulen, len);
}
