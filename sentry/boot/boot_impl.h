#pragma once
/*
 * What the files behind ops.h share: the machine, the kernel of the moment, and how it was asked to
 * be. Nobody else includes it.
 *
 * Locking: kernel is replaced only by the supervisor (boot_wait's thread) with save_lock and
 * look_lock held. A checkpoint drops look_lock when it has the kernel's state and writes it out:
 * from then on the sandbox may be looked at, signalled and ended. Lifetime: the process's. Saved:
 * no.
 */
#include "sentry/boot/ops.h"
#include "sentry/kernel/kernel.h"
#include "sentry/ctx/ctx.h"
#include "sentry/loader/loader.h"
#include "state/base/lock.h"

#include <signal.h>
#include <sys/resource.h>

struct image;
struct terminal;

#include "sentry/boot/memory.h"

struct boot {
	const Control__BootConfig *cfg;
	struct machine machine;
	struct mutex save_lock; /* RANK_CONTROL: one save, pause or exec at a time */
	struct mutex look_lock; /* RANK_LOOK: looks, signals and the end against taking the state */
	struct kernel *kernel;  /* NULL before create/restore */
	struct image *image;    /* open between image_open and restore */
	_Atomic bool ended;
	_Atomic bool paused_by_user;
	bool filled;                      /* --background was started */
	const Control__Process *defaults; /* for exec; NULL: unknown */
	void (*event)(void *arg, u64 id, const struct boot_exit *exit);
	void *event_arg;
};

/* A malloc'd line. Returns err. */
PRINTF(3, 4) int boot_why(char **ret_why, int err, const char *fmt, ...);

/* boot_mounts.c: 9P clients from connections, and the tree of mounts that sb describes. */
MUST_CHECK int boot_connect_gofers(struct boot *b, const int *fds, size_t n, char **ret_why);
MUST_CHECK int boot_mount_all(struct boot *b, struct kernel *k, const Control__Sandbox *sb,
                              struct mount_ns **ret, char **ret_why);
/* boot_process.c: the first process of container c. */
MUST_CHECK int boot_first_process(struct boot *b, struct kernel *k, struct container *c,
                                  const Control__Process *proc, char **ret_why);
/* boot_process.c: what all new processes need. */
struct newproc {
	struct creds *creds;
	struct fs_context *fs;
	struct fd_table *fds;
	struct rlimit rlimits[RLIM_NLIMITS];
	struct ctx ctx; /* for lookups while there is no task */
	struct program prog;
	const Control__Process *inherited; /* signals and nice value are from there; or NULL */
};
/* Credentials, limits, root, cwd; no files. newproc_finish undoes it, also on failure. */
MUST_CHECK int newproc_init(struct newproc *n, struct kernel *k, struct container *cont,
                            const Control__Process *proc, char **ret_why);
/* Finds and loads the program. *ret_command as boot_exec's, may be NULL. */
MUST_CHECK int newproc_load(struct newproc *n, const Control__Process *proc, int *ret_command,
                            char **ret_why);
/* The pty of console number slot as files 0 to 2; *ret_tty: a reference. */
MUST_CHECK int newproc_console(struct newproc *n, u64 slot, struct terminal **ret_tty);
MUST_CHECK int newproc_task(struct newproc *n, struct kernel *k, struct container *cont,
                            u64 exec_id, struct task **ret);
void newproc_finish(struct newproc *n);
/* boot_user.c: ids of a user as the container's files name them. args: "NAME|UID[:GROUP|GID]". */
struct user_ids {
	u32 uid, gid;
	u32 *groups; /* malloc'd */
	size_t n_groups;
	char *home; /* malloc'd, or NULL */
};
MUST_CHECK int boot_find_user(struct ctx *c, const char *user, struct user_ids *ret,
                              char **ret_why);
void user_ids_finish(struct user_ids *u);
/* boot.c: what the first process's console leads to; no console_fd and no stdio: nothing. */
MUST_CHECK int boot_plug_console(struct boot *b, char **ret_why);
/* boot.c: to every process of the group. -ESRCH. */
MUST_CHECK int boot_signal_group(struct kernel *k, u32 pgid, const siginfo_t *info);
/* boot_exec.c: an exec'ed process has ended. */
void boot_exec_ended(struct boot *b, u64 id);

/* boot_save.c: saves, throws everything away, loads it back; the kernel is replaced. Everything is
 * paused; on failure the old kernel stays. */
MUST_CHECK int boot_autosave(struct boot *b, char **ret_why);
