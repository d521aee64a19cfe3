#pragma once
/*
 * The sentry's seccomp filter: what the sentry itself calls, plus what its platform says it needs.
 * No opening of files, no sockets of its own, no exec, no new processes.
 *
 * Locking: one thread. Lifetime: for good, inherited by every thread. Saved: no.
 */
#include "platform/platform.h"
#include "state/base/types.h"

/* A forbidden call ends the process; with debug it fails with EPERM and the host's audit log names
 * it. -errno with a malloc'd line. seccomp(2) */
MUST_CHECK int filter_install(const struct platform_syscall *platform, bool debug, char **ret_why);
