#pragma once
/*
 * What console.c (objects) asks of plug.c (descriptors and threads). Nobody else includes it.
 *
 * Locking, lifetime, saved: see console.h.
 */
#include "sentry/fs/tty/console.h"

/* The plug of this number, if there is one, serves p from now on; its thread keeps no reference:
 * plug_detach comes before p goes. False: there is none, or it serves another. */
bool plug_attach(struct consoles *cs, u64 slot, struct pty *p);
/* When it returns the plug's thread has ended. The plug stays for the next one. */
void plug_detach(struct consoles *cs, u64 slot);
