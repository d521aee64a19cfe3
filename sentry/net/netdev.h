#pragma once
/*
 * Requests about network interfaces (netdevice(7)), which sockets of every family answer. There is
 * one: lo.
 *
 * Locking: changes take the network's rtnl lock. Lifetime, saved: nothing here has state; lo.h has.
 */
#include "sentry/ctx/ctx.h"
#include "state/base/types.h"

struct netns;

/* SIOCGIF* and their kin; -ENOTTY for other requests. */
MUST_CHECK long netdev_ioctl(struct netns *ns, struct ctx *c, u32 cmd, u64 arg);
