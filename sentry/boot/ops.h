#pragma once
/*
 * What the boot sequence (main.c) and the control server (control.c) ask of the kernel. boot.c
 * implements it; nothing else does.
 *
 * Locking: boot_prepare, boot_create, boot_image_open, boot_restore, boot_start and boot_wait are
 * called once each, in that order, by the main thread. The rest are called by the control thread or
 * its checkpoint worker, at any time between a successful boot_start and the return of boot_wait,
 * and may overlap it; two of them never overlap each other, except that looks, signals and boot_end
 * may overlap a checkpoint. Lifetime: struct boot lives until the process ends. Saved: no.
 *
 * ret_why is set, with every error, to one malloc'd line for people: what failed, on what, why.
 */
#include "proto/control.pb-c.h"
#include "state/base/types.h"

struct boot;
struct boot_memory; /* boot.c's */

/*
 * Before the seccomp filter, with one thread and no privileges left: makes the platform, the memory
 * file and what else needs calls that the filter forbids. cfg outlives the process's work; its log
 * is open; restore and process say which of the two follows.
 */
MUST_CHECK int boot_prepare(const Control__BootConfig *cfg, const struct boot_memory *mem,
                            struct boot **ret, char **ret_why);
/* The name of the platform's calls for the filter: ended by nr = -1. */
const struct platform_syscall *boot_platform_syscalls(const struct boot *b);

/* Under the filter. A fresh sandbox of cfg->sandbox and cfg->process; gofer_fds are 9P connections
 * (consumed). Starts nothing. */
MUST_CHECK int boot_create(struct boot *b, const int *gofer_fds, size_t n_gofers, char **ret_why);

/* Under the filter. Verifies the image behind cfg->restore as far as its inventory, and hands out
 * the packed control.Sandbox that it was taken with (malloc'd). */
MUST_CHECK int boot_image_open(struct boot *b, void **ret_sandbox, size_t *ret_size,
                               char **ret_why);
/* Loads the rest. sandbox is what the gofer serves: the image's or the bundle's. Starts nothing. */
MUST_CHECK int boot_restore(struct boot *b, const Control__Sandbox *sandbox, const int *gofer_fds,
                            size_t n_gofers, char **ret_why);

/* Makes the guest's threads; boot_go lets them run. */
MUST_CHECK int boot_start(struct boot *b, char **ret_why);
void boot_go(struct boot *b);

struct boot_exit {
	bool ended; /* by boot_end: there is no status */
	int code;   /* exit code of the first process */
	int signal; /* or what killed it */
};
/* Sleeps until the first process is gone (and with it all others) or boot_end was called. */
void boot_wait(struct boot *b, struct boot_exit *ret);
/* Stops everything now; boot_wait returns. Any thread, any time after boot_start. */
void boot_end(struct boot *b);

/* pid as the container's first pid namespace sees it, 0: its first process. group: the whole
 * foreground process group of the session of the first process. all: every process.
 * -ESRCH, -EINVAL. */
MUST_CHECK int boot_signal(struct boot *b, int pid, int signo, bool group, bool all);

/* A process beside the first one, in its container. fds: its standard files, or with a terminal
 * what leads to the user (consumed, also on failure). *ret_id names it to the calls below and to
 * what boot_on_event set. *ret_command: 127 or 126 if it is the command that can't be run, else 0.
 * -EBUSY (paused), -ESRCH (ended). */
MUST_CHECK int boot_exec(struct boot *b, const Control__ExecRequest *rq, const int fds[3],
                         u64 *ret_id, int *ret_pid, int *ret_command, char **ret_why);
/* Whoever asked for it is gone: its terminal is hung up. */
void boot_exec_abandoned(struct boot *b, u64 id);
/* A signal to it, or (group) to the foreground group of its terminal. -ESRCH. */
MUST_CHECK int boot_exec_signal(struct boot *b, u64 id, int signo, bool group);
/* What the supervisor tells: exec number id has ended (exit not NULL), or, id 0, the first process
 * was stopped. Called without locks, from boot_wait. Before boot_wait. */
void boot_on_event(struct boot *b, void (*fn)(void *arg, u64 id, const struct boot_exit *exit),
                   void *arg);
/* What exec goes by: the Process of the image, or of this boot; kept by the caller. */
void boot_set_defaults(struct boot *b, const Control__Process *p);

/* Writes a PsEntry about every process to fd, a regular file (see control.proto). -errno of the
 * writing. */
MUST_CHECK int boot_ps(struct boot *b, int fd, Control__PsReply *reply);
/* The same for tasks, DebugTasks: what each is doing, in words. Everything is stopped for a moment
 * if that can be done soon; at_rest says whether it was. */
MUST_CHECK int boot_debug(struct boot *b, int fd, Control__DebugReply *reply);
/* Counters since this process started. */
MUST_CHECK int boot_events(struct boot *b, Control__EventsReply *reply);

/* Returns when nothing runs any more. -EALREADY if paused. */
MUST_CHECK int boot_pause(struct boot *b);
/* -EALREADY if it runs. */
MUST_CHECK int boot_resume(struct boot *b);

struct boot_checkpoint {
	int inventory, kernel, pagemap, pages, stats; /* borrowed, open for writing, empty */
	bool lz4;
	const void *sandbox; /* packed control.Sandbox, goes into the inventory */
	size_t sandbox_size;
	const bool *cancel; /* atomic; turns true when whoever asked is gone: give up soon */
};
/*
 * Writes an image of the running or paused sandbox. On success it is paused at the moment that the
 * image holds and stays so until boot_resume or boot_end. On failure, or when cancelled
 * (-ECANCELED), it is as it was before the call.
 */
MUST_CHECK int boot_checkpoint(struct boot *b, const struct boot_checkpoint *ck,
                               Control__CheckpointReply *ret, char **ret_why);
