#include "sentry/net/inet/groups.h"

#include "sentry/net/inet/ports.h"
#include "state/base/bug.h"
#include "state/base/cleanup.h"

#include <stdlib.h>

void mc_groups_init(struct mc_groups *g)
{
	mutex_init(&g->lock, RANK_SOCK_TABLE);
	TAILQ_INIT(&g->all);
	for (unsigned i = 0; i < MC_HASH; i++)
		LIST_INIT(&g->chains[i]);
}

void mc_groups_finish(struct mc_groups *g)
{
	struct mc_group *m;

	while ((m = TAILQ_FIRST(&g->all))) {
		LIST_REMOVE(m, chain);
		TAILQ_REMOVE(&g->all, m, order);
		free(m);
	}
}

static u32 chain_of(const struct ipaddr *a)
{
	u32 h = 0;

	for (unsigned i = 0; i < sizeof(a->b); i++)
		h = h * 31 + a->b[i];
	return h % MC_HASH;
}

static struct mc_group *find(struct mc_groups *g, const struct ipaddr *ip)
{
	struct mc_group *m;

	LIST_FOREACH (m, &g->chains[chain_of(ip)], chain) {
		if (ip_equal(&m->ip, ip))
			return m;
	}
	return NULL;
}

void mc_groups_join(struct inet_ns *ns, const struct ipaddr *group)
{
	struct mc_groups *g = &ns->groups;
	struct mc_group *m;

	GUARD(&g->lock);
	m = find(g, group);
	if (!m) {
		m = calloc(1, sizeof(*m));
		BUG_ON(!m);
		m->ip = *group;
		LIST_INSERT_HEAD(&g->chains[chain_of(group)], m, chain);
		TAILQ_INSERT_HEAD(&g->all, m, order);
	}
	m->users++;
}

void mc_groups_leave(struct inet_ns *ns, const struct ipaddr *group)
{
	struct mc_groups *g = &ns->groups;
	struct mc_group *m;

	GUARD(&g->lock);
	m = find(g, group);
	if (!m || --m->users > 0)
		return;
	LIST_REMOVE(m, chain);
	TAILQ_REMOVE(&g->all, m, order);
	free(m);
}

bool mc_groups_joined(struct inet_ns *ns, const struct ipaddr *group)
{
	/* All hosts, all nodes. */
	if (ip_is_v4(group) ? ip_v4(group) == htonl(0xe0000001)
	                    : (group->b[1] & 0xf) <= 2 && group->b[15] == 1)
		return true;
	GUARD(&ns->groups.lock);
	return find(&ns->groups, group) != NULL;
}

void mc_groups_list(struct inet_ns *ns, bool v6,
                    void (*fn)(const struct ipaddr *group, u32 users, void *arg), void *arg)
{
	const struct mc_group *m;

	GUARD(&ns->groups.lock);
	TAILQ_FOREACH (m, &ns->groups.all, order) {
		if (ip_is_v4(&m->ip) != v6)
			fn(&m->ip, m->users, arg);
	}
}
