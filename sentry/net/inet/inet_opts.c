/* Values and memberships: defaults, copies, how they are saved. */
#include "sentry/net/inet/inet_opts.h"

#include "sentry/net/inet/state.h"

static const struct {
	s32 level, name, def;
} defaults[] = {
#define X(id, level, name, lo, hi, def) {SOL_##level, name, def},
	IP_INT_OPTIONS(X)
#undef X
};

void inet_opts_init(struct inet_opts *o, bool v6)
{
	(void)v6;
	for (unsigned i = 0; i < IPO_N; i++)
		o->v[i] = defaults[i].def;
	o->mc_addr = ip_any4;
}

void inet_opts_copy(struct inet_opts *o, const struct inet_opts *from)
{
	memcpy(o->v, from->v, sizeof(o->v));
	o->mc_if = from->mc_if;
	o->mc_if6 = from->mc_if6;
	o->mc_addr = from->mc_addr;
}

void inet_opts_finish(struct inet_opts *o)
{
	for (u32 i = 0; i < o->n_members; i++)
		free(o->members[i].sources);
	free(o->members);
	o->members = NULL;
	o->n_members = 0;
}

void inet_opts_leave6(struct inet_opts *o)
{
	u32 kept = 0;

	for (u32 i = 0; i < o->n_members; i++) {
		if (ip_is_v4(&o->members[i].group))
			o->members[kept++] = o->members[i];
		else
			free(o->members[i].sources);
	}
	o->n_members = kept;
}

struct mc_member *inet_opts_member(const struct inet_opts *o, const struct ipaddr *group)
{
	for (u32 i = 0; i < o->n_members; i++) {
		if (ip_equal(&o->members[i].group, group))
			return &o->members[i];
	}
	return NULL;
}

bool mc_member_takes(const struct mc_member *m, const struct ipaddr *src)
{
	for (u32 i = 0; i < m->n_sources; i++) {
		if (ip_equal(&m->sources[i], src))
			return m->include;
	}
	return !m->include;
}

/* ---- saved by level and name, so that options may come and go ---- */

int inet_opts_save_v(struct saver *s, const struct inet_opts *o, Sentry__IpOpts *m)
{
	m->v = saver_alloc(s, IPO_N * sizeof(*m->v));
	for (unsigned i = 0; i < IPO_N; i++) {
		Sentry__IpOption *e;

		if (o->v[i] == defaults[i].def)
			continue;
		e = saver_msg(s, Sentry__IpOption, sentry__ip_option__init);
		e->level = (u32)defaults[i].level;
		e->name = (u32)defaults[i].name;
		e->value = o->v[i];
		m->v[m->n_v++] = e;
	}
	return 0;
}

int inet_opts_load_v(struct loader *l, struct inet_opts *o, const Sentry__IpOpts *m)
{
	inet_opts_init(o, false);
	for (size_t k = 0; k < m->n_v; k++) {
		const Sentry__IpOption *e = m->v[k];

		if (e->value < -1 || e->value > 0xffffff)
			return loader_range(l, "v");
		for (unsigned i = 0; i < IPO_N; i++) {
			if ((s32)e->level == defaults[i].level && (s32)e->name == defaults[i].name)
				o->v[i] = e->value;
		}
	}
	return 0;
}

void inet_opts_sample_v(struct sampler *sp, struct inet_opts *o)
{
	(void)sp;
	inet_opts_init(o, false);
	o->v[IPO_TTL] = 7;
}

/* A membership: the group, 1 for INCLUDE, the sources. */
#define IP_BYTES sizeof(struct ipaddr)

int inet_opts_save_members(struct saver *s, const struct inet_opts *o, Sentry__IpOpts *m)
{
	m->n_members = o->n_members;
	m->members = saver_alloc(s, o->n_members * sizeof(*m->members));
	for (u32 i = 0; i < o->n_members; i++) {
		const struct mc_member *from = &o->members[i];
		size_t len = IP_BYTES + 1 + from->n_sources * IP_BYTES;
		u8 *b = saver_alloc(s, len);

		memcpy(b, from->group.b, IP_BYTES);
		b[IP_BYTES] = from->include;
		if (from->n_sources)
			memcpy(b + IP_BYTES + 1, from->sources, from->n_sources * IP_BYTES);
		m->members[i].data = b;
		m->members[i].len = len;
	}
	return 0;
}

int inet_opts_load_members(struct loader *l, struct inet_opts *o, const Sentry__IpOpts *m)
{
	if (m->n_members > MC_MAX)
		return loader_range(l, "members");
	if (m->n_members == 0)
		return 0;
	o->members = calloc(m->n_members, sizeof(*o->members));
	BUG_ON(!o->members);
	for (size_t i = 0; i < m->n_members; i++) {
		struct mc_member *to = &o->members[i];
		const u8 *b = m->members[i].data;
		size_t n = m->members[i].len;

		if (n < IP_BYTES + 1 || (n - 1) % IP_BYTES || b[IP_BYTES] > 1 ||
		    n / IP_BYTES - 1 > MC_SOURCES_MAX)
			return loader_range(l, "members");
		memcpy(&to->group, b, IP_BYTES);
		to->include = b[IP_BYTES];
		o->n_members++;
		n -= IP_BYTES + 1;
		if (n == 0)
			continue;
		to->sources = malloc(n);
		BUG_ON(!to->sources);
		memcpy(to->sources, b + IP_BYTES + 1, n);
		to->n_sources = (u32)(n / IP_BYTES);
	}
	return 0;
}

void inet_opts_sample_members(struct sampler *sp, struct inet_opts *o)
{
	(void)sp;
	o->members = calloc(1, sizeof(*o->members));
	BUG_ON(!o->members);
	o->members[0].group = ip_loop6;
	o->members[0].include = true;
	o->members[0].sources = calloc(1, IP_BYTES);
	BUG_ON(!o->members[0].sources);
	o->members[0].n_sources = 1;
	o->n_members = 1;
}
