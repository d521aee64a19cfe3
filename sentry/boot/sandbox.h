#pragma once
/*
 * Shuts the sentry process in: empty read-only root, foreign uid, no capabilities, no way to gain
 * any. The namespaces themselves were made with the process (cli/spawn.c).
 *
 * Locking: one thread. Lifetime: for good. Saved: no.
 */
#include "proto/control.pb-c.h"
#include "state/base/types.h"

/* With fewer descriptors than this nothing starts. */
#define SENTRY_FDS_LEAST 256u

/* Call first, with one thread. On error *ret_why is a malloc'd line; the process is then half
 * confined and has to end. user_namespaces(7), pivot_root(2), capabilities(7) */
MUST_CHECK int sentry_confine(const Control__BootConfig *cfg, char **ret_why);
/* Call when the platform has its processes: other processes of the same user can't look inside from
 * here on. */
void sentry_seal(bool debug);
