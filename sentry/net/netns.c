/* The object that holds the tables. */
#include "sentry/net/netns.h"

#include "proto/net.pb-c.h"
#include "sentry/net/inet/ports.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

static void netns_init(void *p)
{
	struct netns *ns = p;

	mutex_init(&ns->unix_lock, RANK_SOCK_TABLE);
	mutex_init(&ns->scm_lock, RANK_SOCK_SCM);
	TAILQ_INIT(&ns->unix_socks);
	TAILQ_INIT(&ns->unix_inflight);
	for (unsigned i = 0; i < UNIX_HASH; i++)
		LIST_INIT(&ns->unix_names[i]);
}

static void netns_destroy(void *p)
{
	struct netns *ns = p;

	inet_ns_put(TAKE(ns->inet));
	free(TAKE(ns->payers));
	ns->n_payers = 0;
}

#define NETNS_FIELDS(F)                                        \
	F(HDR, obj)                                            \
	F(SKIP, unix_lock)                                     \
	F(SKIP, unix_socks)       /* socks enter themselves */ \
	F(SKIP_ARRAY, unix_names) /* the same */               \
	F(VAL, unix_autobind)                                  \
	F(SKIP, unix_queued) /* counted as queues load */      \
	F(SKIP, scm_lock)                                      \
	F(SKIP, unix_inflight) /* counted as queues load */    \
	F(SKIP, n_inflight)                                    \
	F(SKIP, payers) F(SKIP, n_payers) F(SKIP, gc_running) F(SKIP, gc_due) F(REF, inet, inet_ns)
OBJECT_TYPE(netns, Sentry__Netns, sentry__netns__descriptor, NETNS_FIELDS, .init = netns_init,
            .destroy = netns_destroy);

struct netns *netns_new(struct kernel *k)
{
	struct netns *ns = obj_new(netns);

	ns->inet = inet_ns_new(k);
	return ns;
}

void netns_loaded(struct netns *ns, struct kernel *k)
{
	/* Every socket's settings are there, also if the image has none. */
	if (!ns->inet)
		ns->inet = inet_ns_new(k);
	ns->inet->kernel = k;
}
