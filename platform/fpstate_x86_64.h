#pragma once
/*
 * The FP state format that guests see: XSAVE's standard layout with the components that we carry.
 *
 * Locking: none; the facts are those of the CPU. Lifetime: the caller's buffers. Saved: as bytes,
 * by the sentry.
 */
#include "platform/platform.h"

/* Never carried: PKRU (the host's), AMX tiles (need permission, and 8 KiB). */
#define FP_NOT_CARRIED ((1ull << 9) | (1ull << 17) | (1ull << 18))

/* What this machine has: XCR0 bits, and bytes of the layout. -EOPNOTSUPP without XSAVE. */
MUST_CHECK int fpstate_probe(u64 *ret_xfeatures, u32 *ret_size);
/* The state of a fresh process. */
void fpstate_init(const struct platform *p, struct fpstate *ret_fp);
/* Clears what the CPU would refuse to load and what is not carried. */
void fpstate_clean(const struct platform *p, struct fpstate *fp);
