#pragma once
/*
 * What the files behind ops.h share: the machine, the kernel of the moment, and how it was asked to
 * be. Nobody else includes it.
 *
 * Locking: kernel is replaced only by the supervisor (boot_wait's thread) with save_lock held.
 * Lifetime: the process's. Saved: no.
 */
#include "sentry/boot/ops.h"
#include "sentry/kernel/kernel.h"
#include "state/base/lock.h"

struct image;

struct boot {
	const Control__BootConfig *cfg;
	struct machine machine;
	struct mutex save_lock; /* RANK_CONTROL: one save, pause or signal at a time */
	struct kernel *kernel;  /* NULL before create/restore */
	struct image *image;    /* open between image_open and restore */
	_Atomic bool ended;
	_Atomic bool paused_by_user;
	bool filled; /* --background was started */
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
/* boot_save.c: saves, throws everything away, loads it back; the kernel is replaced. Everything is
 * paused; on failure the old kernel stays. */
MUST_CHECK int boot_autosave(struct boot *b, char **ret_why);
