#pragma once
/*
 * Which multicast groups a network's sockets have joined, and how many have: what lo receives, and
 * what /proc/net/igmp and igmp6 show.
 *
 * Locking: lock (RANK_SOCK_TABLE); joining runs under a socket's. Lifetime: in struct inet_ns.
 * Saved: never; sockets count again.
 */
#include "sentry/net/inet/addr.h"
#include "state/base/lock.h"

#include <sys/queue.h>

#define MC_HASH 64u

struct inet_ns;

struct mc_group {
	LIST_ENTRY(mc_group) chain;
	TAILQ_ENTRY(mc_group) order;
	struct ipaddr ip;
	u32 users;
};

struct mc_groups {
	struct mutex lock;
	LIST_HEAD(, mc_group) chains[MC_HASH];
	TAILQ_HEAD(, mc_group) all; /* owned; the latest first */
};

void mc_groups_init(struct mc_groups *g);
void mc_groups_finish(struct mc_groups *g);
/* One socket more, or one less. */
void mc_groups_join(struct inet_ns *ns, const struct ipaddr *group);
void mc_groups_leave(struct inet_ns *ns, const struct ipaddr *group);
/* Somebody has, or everybody always has. */
bool mc_groups_joined(struct inet_ns *ns, const struct ipaddr *group);
/* Those of a family that sockets have joined. */
void mc_groups_list(struct inet_ns *ns, bool v6,
                    void (*fn)(const struct ipaddr *group, u32 users, void *arg), void *arg);
