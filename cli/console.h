#pragma once
/*
 * Terminals of the host: the modes of the one that we were started at, and ptys whose master is
 * sent to somebody else (--console-socket, as the OCI runtimes have it).
 *
 * Locking: none. Lifetime: the caller's. Saved: no.
 */
#include "cli/error.h"

#include <stdbool.h>
#include <termios.h>

struct saved_modes {
	bool valid;
	struct termios modes;
};
/* Of standard input, if that is a terminal. */
void modes_save(struct saved_modes *m);
void modes_restore(const struct saved_modes *m);

/* Makes a host pty and sends its master to the unix socket at path (SCM_RIGHTS, with the slave's
 * name as data). *ret_slave: the other end, the caller's. */
MUST_CHECK int console_socket_send(const char *path, int *ret_slave, struct error *err);
