#pragma once
/*
 * Consoles: ptys of the sandbox whose master end leads to the host, to descriptors of whoever asked
 * for a terminal (an OCI process.terminal, exec --tty). A plug is the host's side: two descriptors
 * and a thread that moves bytes. A console is the sandbox's side: it holds the master open.
 *
 * A host terminal behind a plug is switched to raw mode; its size becomes the pty's. When it goes
 * away the pty is hung up. A console whose plug is not there after a restore stays vacant: reads
 * end, writes vanish, as of /dev/null.
 *
 * Locking: plugs under RANK_CONSOLE, which threads hold while they move bytes and a save holds off
 * with consoles_pause. Lifetime: plugs are the process's; consoles are parts of the kernel until
 * they are removed. Saved: consoles, by number; a load finds the plug that has it.
 */
#include "sentry/fs/tty/pty.h"
#include "sentry/kernel/kernel.h"

struct consoles;

/* The console of a container's first process; others have the number of their exec. */
#define CONSOLE_FIRST 0

MUST_CHECK int consoles_create(struct consoles **ret);
/* Nothing moves until consoles_resume. Nested. NULL is fine. */
void consoles_pause(struct consoles *cs);
void consoles_resume(struct consoles *cs);

/* Host descriptors for console number slot (duplicated). in and out may be the same. watch_size:
 * nobody tells when the host terminal's size changes, so it is looked at now and then. */
MUST_CHECK int console_plug(struct consoles *cs, u64 slot, int in, int out, bool watch_size);
/* The host's side is gone: the pty is hung up and stays vacant. */
void console_unplug(struct consoles *cs, u64 slot);
/* What was written is shown, at most a few seconds are waited; then the plug goes. */
void console_drain(struct consoles *cs, u64 slot);
/* Every plugged console takes its host terminal's size. True if there is one. */
bool consoles_look_at_sizes(struct consoles *cs);

/* A new pty in the devpts of c's tree, its master held by console number slot. *ret_slave: its
 * slave, opened, where /dev/pts is. -ENODEV if there is none. */
MUST_CHECK int console_open(struct ctx *c, u64 slot, struct file **ret_slave);
/* Closes the master of console number slot. */
void console_remove(struct kernel *k, u64 slot);
/* The terminal that the container was started with: a reference, or NULL. */
struct terminal *console_terminal(struct kernel *k);
