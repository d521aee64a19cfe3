/* The object that holds the tables. */
#include "sentry/net/netns.h"

#include "proto/net.pb-c.h"
#include "sentry/net/inet/ports.h"
#include "state/fields.h"

static void netns_init(void *p)
{
	struct netns *ns = p;

	mutex_init(&ns->unix_lock, RANK_SOCK_TABLE);
	TAILQ_INIT(&ns->unix_socks);
	for (unsigned i = 0; i < UNIX_HASH; i++)
		LIST_INIT(&ns->unix_names[i]);
}

static void netns_destroy(void *p)
{
	inet_ns_put(((struct netns *)p)->inet);
}

#define NETNS_FIELDS(F)                                        \
	F(HDR, obj)                                            \
	F(SKIP, unix_lock)                                     \
	F(SKIP, unix_socks)       /* socks enter themselves */ \
	F(SKIP_ARRAY, unix_names) /* the same */               \
	F(VAL, unix_autobind)                                 \
	F(REF, inet, inet_ns)
OBJECT_TYPE(netns, Sentry__Netns, sentry__netns__descriptor, NETNS_FIELDS, .init = netns_init,
            .destroy = netns_destroy);

struct netns *netns_new(const struct clocks *clocks)
{
	struct netns *ns = obj_new(netns);

	ns->inet = inet_ns_new(clocks);
	return ns;
}
