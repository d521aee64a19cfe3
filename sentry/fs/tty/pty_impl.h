#pragma once
/*
 * What the files of the pty share beyond pty.h. Nobody else includes it.
 *
 * Locking, lifetime, saved: see pty.h.
 */
#include "sentry/fs/tty/pty.h"

/* The file goes: its end of the pty is closed. */
void pty_file_closed(struct pty_file *pf);
