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
	free(o->members);
	o->members = NULL;
	o->n_members = 0;
}

bool inet_opts_member(const struct inet_opts *o, const struct ipaddr *group)
{
	for (u32 i = 0; i < o->n_members; i++) {
		if (ip_equal(&o->members[i].group, group))
			return true;
	}
	return false;
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

int inet_opts_save_members(struct saver *s, const struct inet_opts *o, Sentry__IpOpts *m)
{
	m->n_members = o->n_members;
	m->members = saver_alloc(s, o->n_members * sizeof(*m->members));
	for (u32 i = 0; i < o->n_members; i++) {
		m->members[i].data = o->members[i].group.b;
		m->members[i].len = sizeof(struct ipaddr);
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
		if (m->members[i].len != sizeof(struct ipaddr))
			return loader_range(l, "members");
		memcpy(&o->members[i].group, m->members[i].data, sizeof(struct ipaddr));
		o->n_members++;
	}
	return 0;
}

void inet_opts_sample_members(struct sampler *sp, struct inet_opts *o)
{
	(void)sp;
	o->members = calloc(1, sizeof(*o->members));
	BUG_ON(!o->members);
	o->members[0].group = ip_loop6;
	o->n_members = 1;
}
