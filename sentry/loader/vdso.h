#pragma once
/*
 * Our own vDSO (vdso(7)): an ELF image with __vdso_clock_gettime and its kin, and a data page that
 * the sentry writes, mapped into every program.
 *
 * The code travels with the kernel that first mapped it: programs keep addresses of its functions
 * for ever, so a restored kernel goes on with the image's code, also under a sentry of another
 * build. The data page is always the machine's (sentry/time/vvar.h keeps its layout).
 *
 * Locking: immutable but for the data page's sequence count. Lifetime: the pages are the machine's,
 * the mappable is the kernel's. Saved: the code.
 */
#include "sentry/kernel/kernel.h"
#include "sentry/mm/mappable.h"
#include "sentry/time/fastclock.h"

struct mm;

/* What outlives a kernel. */
struct vdso_machine {
	struct memfile *memfile;
	u64 vvar_off, code_off; /* in the memory file */
	struct fastclock clock;
};

/* Offset 0 is the data page, the code follows. */
struct vdso {
	struct mappable mappable;
	struct vdso_machine *machine; /* NULL until attached: nothing to map */
	u8 *code;                     /* owned; code_len bytes, whole pages */
	u32 code_len;
	u64 code_off; /* a reference on its pages in the memory file; 0 while machine is NULL */
};
OBJECT_DECL(vdso);

/* Once per process, when m->memfile is there: sets m->vdso. -ENOMEM. */
MUST_CHECK int vdso_create(struct machine *m);
/* A new or loaded kernel, nothing running: its clocks become what the vDSO says, and it gets a vDSO
 * if it has none. Without m->vdso it does nothing. */
void vdso_attach(struct kernel *k);
/* Maps data page and code into mm, "[vvar]" and "[vdso]". *ret_addr: the ELF header, for auxv; 0 if
 * the machine has none. -ENOMEM. */
MUST_CHECK int vdso_map(struct mm *mm, struct kernel *k, u64 *ret_addr);
