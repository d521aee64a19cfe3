#pragma once
/*
 * What launch.c (starting) and foreground.c (waiting) share.
 *
 * Locking, lifetime, saved: see cli/launch.h.
 */
#include "cli/launch.h"

#include <signal.h>

struct running {
	const struct launch *l;
	struct container c;
	struct child sentry, gofer;
	int parent_fd;    /* our end of the sentry's parent connection */
	int signal_fd;    /* signals to pass on */
	sigset_t ignored; /* by our caller: they come too early for nobody */
	bool started;
	bool asked_to_stop; /* SIGTSTP was passed on */
	bool stop_early;    /* SIGTSTP came before the start */
	bool ended;         /* by a checkpoint or end, without a status */
	int console_fd;     /* the host terminal that the sandbox's console leads to; -1: stdio */
};

/* Starts the gofer for the attach points; *ret_sock is the sentry's end. */
MUST_CHECK int start_gofer(struct running *s, Control__Attach **attach, size_t n_attach,
                           int *ret_sock, struct error *err);
/* Waits until the guest runs. */
MUST_CHECK int await_start(struct running *s, struct error *err);
/* Waits for the end and passes signals on. Returns the exit status. */
MUST_CHECK int await_end(struct running *s, struct error *err);
/* Blocks the signals that are passed on, which includes all that would kill us politely;
 * *ret_ignored are those that our caller ignores: passed on only to a program that was told so
 * (launch.as_caller).
 */
MUST_CHECK int catch_signals(bool as_caller, sigset_t *ret_ignored, int *ret_fd, struct error *err);
