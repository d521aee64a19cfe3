#pragma once
/*
 * How much of the host a sandbox may have: where its memory comes from, and its limits.
 *
 * Locking: none; used while there is one thread. Lifetime, saved: no state; the limits that were
 * asked for are in the image's copy of the sandbox's description.
 */
#include "proto/control.pb-c.h"
#include "sentry/kernel/kernel.h"

struct boot_memory {
	int fd;    /* the memory file's, -1: any will do */
	int statm; /* heap_open's */
	bool huge; /* memfile_host_huge_always's */
};

/* Before anything is given up: needs /proc, /sys and the right to mount. */
void boot_memory_open(const Control__BootConfig *cfg, struct boot_memory *ret);
/* Once it is known what the sandbox is made of. */
void boot_set_limits(struct machine *m, const Control__BootConfig *cfg,
                     const Control__Sandbox *sandbox);
