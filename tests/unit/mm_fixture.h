#pragma once
/*
 * A machine for tests of the memory: a memory file, a kernel object that is nothing but a list of
 * address spaces, and a platform that only remembers what is mapped where.
 *
 * Locking: single threaded use. Lifetime: per test. Saved: no.
 */
#include "platform/platform.h"
#include "sentry/ctx/ctx.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/pageload.h"
#include "sentry/mm/usercopy.h"

#include <sys/resource.h>

#define FAKE_LO  0x10000ull
#define FAKE_TOP (1ull << 47)

struct world {
	struct platform platform;
	struct machine machine;
	struct kernel kernel;
	struct rlimit rlimits[RLIM_NLIMITS];
	struct kernel_load load;
	u64 n_maps, n_unmaps, n_protects; /* what the platform was told to do */
	u64 n_requests;                   /* in how many calls it was told to map */
	u32 map_max;                      /* mappings that it makes per call; 0: any number */
};

struct world *world_new(void);
void world_end(struct world *w);
void world_ctx(struct world *w, struct mm *mm, struct ctx *ret);

/*
 * What the guest does: reads or writes a u64 at an aligned address through what the platform was
 * told to map; faults as often as it must. 0, or the signal that the guest would get.
 */
int guest_read(struct mm *mm, struct ctx *c, u64 addr, u64 *ret);
int guest_write(struct mm *mm, struct ctx *c, u64 addr, u64 val);
int guest_exec(struct mm *mm, struct ctx *c, u64 addr);
/* Pages that the aspace of mm maps now. */
u64 guest_mapped(struct mm *mm);

/* Anonymous memory: fixed if addr is not 0. */
s64 map_anon(struct mm *mm, u64 addr, u64 len, int prot, int flags);
