#pragma once
/*
 * From a configuration to a running sandbox, and in the foreground to its end: what do, run and
 * restore have in common.
 *
 * Locking: none. Lifetime: one launch per process. Saved: no.
 */
#include "cli/container.h"
#include "cli/spawn.h"
#include "proto/control.pb-c.h"

struct launch {
	const struct globals *globals;
	const char *id;
	const char *bundle;  /* absolute, or NULL */
	json_t *annotations; /* or NULL; borrowed */
	bool detach;
	bool as_caller;             /* what our caller closed or ignores, the program finds so */
	bool console;               /* the first process has a pty of its own (fresh only) */
	const char *console_socket; /* where its other end is sent; NULL: it leads to our stdio */
	bool restore_modes;         /* our terminal's modes are put back in the end */
	u64 autosave_every;
	bool autosave_on_request;
	u64 memory_limit, pids_limit; /* asked for by flags; 0: not */
	/* Fresh: both. Restore: sandbox only with a bundle. Borrowed. */
	Control__Sandbox *sandbox;
	Control__Process *process;
	/* Restore: the image's files. */
	bool restore;
	bool background;
	int image_fds[4];
	const char *image; /* its name, for errors */
};

/* Returns the program's exit status (128+N for signal N), 0 at once if detached, or -1. Nothing is
 * left of the sandbox, except of a detached one that runs. */
MUST_CHECK int launch(const struct launch *l, struct error *err);
