#pragma once
/*
 * The control server: one thread that answers the control socket and the connection of the command
 * that started the sandbox, and that notices when that command or the gofer dies.
 *
 * Locking: RANK_CONTROL_SERVER inside. The functions here are the main thread's. Lifetime: from
 * control_start to the end of the process. Saved: no.
 */
#include "sentry/boot/ops.h"

struct control;

/* Under the filter, with one thread. sandbox (packed) is what goes into images. */
MUST_CHECK int control_start(const Control__BootConfig *cfg, struct control **ret, char **ret_why);

/* Tells the starting command which attach points the image wants and sleeps until it has sent 9P
 * connections for them (the caller's). -EPIPE if it is gone. */
MUST_CHECK int control_need_gofer(struct control *c, const Control__Sandbox *sandbox, int *ret_fds,
                                  size_t max_fds, size_t *ret_n_fds);
/* The gofers to watch: when one dies the sandbox ends. fds are borrowed for the call. */
MUST_CHECK int control_watch_gofers(struct control *c, const int *fds, size_t n_fds);
/* The sandbox cannot start: tells the starting command why. */
void control_failed(struct control *c, int error, const char *why);
/* The guest runs: from here on calls are served. sandbox is the packed control.Sandbox that
 * checkpoints store, for the life of the process. */
void control_started(struct control *c, struct boot *b, const void *sandbox, size_t sandbox_size);
/* The guest has ended: tells everybody who waits. */
void control_exited(struct control *c, const struct boot_exit *status);
