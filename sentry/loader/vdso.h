#pragma once
/*
 * Our own vDSO (vdso(7)): an ELF image with __vdso_clock_gettime and its kin, and a data page that
 * the sentry writes, mapped into every program.
 *
 * Locking: immutable but for the data page's sequence count. Lifetime: the machine's; made again at
 * every restore. Saved: the vmas; their content is the restoring machine's.
 */
#include "sentry/kernel/kernel.h"

struct mm;

/* Maps data page and code into mm, "[vvar]" and "[vdso]". *ret_addr: the ELF header, for auxv. */
MUST_CHECK int vdso_map(struct mm *mm, struct kernel *k, u64 *ret_addr);
