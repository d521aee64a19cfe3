#pragma once
/*
 * How many open files there are in the sandbox, and may be: /proc/sys/fs/file-nr and file-max.
 *
 * Locking: none. Lifetime: none. Saved: no, counted.
 */
#include "state/base/types.h"

struct memfile;

/* Open descriptions of any kind, wherever they are referred to from. */
u64 files_open(void);
u64 files_max(const struct memfile *mf);
