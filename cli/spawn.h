#pragma once
/*
 * Starts the sentry and the gofer: this same binary, re-executed with a hidden verb, an empty
 * environment and only the descriptors that its configuration names.
 *
 * Locking: none. Lifetime: the caller waits for the processes. Saved: no.
 */
#include "cli/error.h"

#include <protobuf-c/protobuf-c.h>

struct child {
	int pid;   /* 0: none */
	int pidfd; /* -1: none */
};

/* Into fresh user, mount, pid, net, ipc, uts and cgroup namespaces, as a user of its own if we are
 * root. fds (n of them) are inherited under the same numbers. */
MUST_CHECK int spawn_sentry(const char *id, const ProtobufCMessage *config, const int *fds,
                            size_t n_fds, struct child *ret, struct error *err);
/* Into a fresh user namespace if we are root, whose ids are ours; the others, and an
 * ordinary user's, it makes when it has no more need of ours (gofer/gofer.h). */
MUST_CHECK int spawn_gofer(const char *id, const ProtobufCMessage *config, const int *fds,
                           size_t n_fds, struct child *ret, struct error *err);

/* Waits for its end. Returns the status as of waitpid(2), -1 if it cannot be known. */
int child_wait(struct child *c);
/* Waits for at most timeout_ms, then SIGKILLs. Fine on one that never was. */
void child_finish(struct child *c, int timeout_ms);
/* SIGKILLs and waits. Fine on one that never was. */
void child_kill(struct child *c);
/* "exited with status 1", "was killed by signal 9 (KILL)". */
void child_describe(int status, char *buf, size_t size);
