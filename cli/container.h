#pragma once
/*
 * The state directory ROOT/ID of a container:
 *
 *     lock          flock'ed by every process of the sandbox through one open description: whoever
 *                   can lock it knows that none is left
 *     control.sock  answers as long as the sentry lives
 *     state.json    what was started
 *     status        how it ended, one line, written by the sentry (sentry/boot/main.c)
 *
 * ROOT/.lock serializes creation, pruning and removal. Directories whose processes are gone are
 * pruned by whoever sees them, unless the container was detached: those wait for `delete`.
 *
 * Locking: files, as said. Lifetime: struct container is its caller's. Saved: no.
 */
#include "cli/cli.h"

#include <jansson.h>

struct container {
	char *id;
	int root_fd;
	int dir_fd;
	int lock_fd; /* as creator: the lock is held through it; else -1 */
	int listen_fd;
	int status_fd;
	/* of state.json, once read or saved */
	int pid;
	u64 pid_start; /* field 22 of /proc/PID/stat: tells it from a reused id */
	bool detached;
	char *bundle;
	char *created; /* RFC 3339 */
	json_t *annotations;
};

enum container_status {
	STATUS_CREATING,
	STATUS_RUNNING,
	STATUS_PAUSED,
	STATUS_STOPPED
};
const char *container_status_name(enum container_status status);

/* Where containers live by default; never fails. */
const char *container_default_root(void);
/* "stasis-" and something unused. Malloc'd. */
char *container_random_id(void);

/* Makes the directory, holds its lock, binds the socket. */
MUST_CHECK int container_create(const struct globals *g, const char *id, struct container *ret,
                                struct error *err);
/* Writes state.json; the fields of c have been set. */
MUST_CHECK int container_save(struct container *c, struct error *err);
/* An existing container; its state.json is read. */
MUST_CHECK int container_open(const struct globals *g, const char *id, struct container *ret,
                              struct error *err);
/* Closes what it holds. The directory stays. */
void container_finish(struct container *c);
/* Removes the directory. What is gone already is no error. */
void container_remove(struct container *c);

/* Asks the sentry; a sentry that is gone is STATUS_STOPPED. */
MUST_CHECK int container_status(const struct container *c, enum container_status *ret,
                                struct error *err);
/* Connects to the sentry. -ECONNREFUSED (err not set): it is gone; other errors set err. */
MUST_CHECK int container_connect(const struct container *c, int *ret_fd, struct error *err);
/* The line in status: 0 and exit status or 128+signal; -ENODATA (err not set) if it has none. */
MUST_CHECK int container_exit_status(const struct container *c, int *ret_status, struct error *err);
/* SIGKILLs the sentry if its process is still the one that was started, and waits until all
 * processes of the sandbox are gone, at most timeout_ms. */
MUST_CHECK int container_kill(const struct container *c, int timeout_ms, struct error *err);

/* The ids below g->root that exist after pruning, sorted, malloc'd; *ret_n may be 0. */
MUST_CHECK int container_list(const struct globals *g, char ***ret_ids, size_t *ret_n,
                              struct error *err);
void container_list_free(char **ids, size_t n);

/* field 22 of /proc/PID/stat, 0 if there is no such process. */
u64 process_start_time(int pid);
