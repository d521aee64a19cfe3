#pragma once
/*
 * Requests about network interfaces (netdevice(7)), which sockets of every family answer. There is
 * one: lo.
 *
 * Locking, lifetime, saved: nothing here has state.
 */
#include "sentry/ctx/ctx.h"
#include "state/base/types.h"

/* SIOCGIF* and their kin; -ENOTTY for other requests. */
MUST_CHECK long netdev_ioctl(struct ctx *c, u32 cmd, u64 arg);
