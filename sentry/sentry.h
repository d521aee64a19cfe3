#pragma once
/*
 * The sentry's one entry point: boots a sandbox, or a saved one, and runs it to its end.
 *
 * Locking: called once, in a process with one thread. Lifetime: returns when the sandbox has ended.
 * Saved: nothing here.
 */
#include "state/base/types.h"

/*
 * config_fd holds a packed control.BootConfig and is consumed; every other descriptor that the
 * sentry may use is named in it and is consumed too. The caller started this process in fresh
 * user, mount, pid, net, ipc, uts and cgroup namespaces as pid 1 (cli/spawn.c).
 *
 * Gives up all privileges, boots, serves the control socket and waits. Returns the exit status of
 * the process: 0 if the sandbox ran and was reported to its parent, 1 if it failed after a line
 * that says why went to the parent connection (and the log).
 */
int sentry_main(int config_fd);

/* Numbers of system calls are below this. */
#define SENTRY_SYSCALLS 512
/* What is offered of a system call: "full", "partial" (the note says what is missing), "none".
 * False: Linux has no such number. Static strings. */
bool sentry_syscall_info(u32 nr, const char **ret_name, const char **ret_support,
                         const char **ret_note);
