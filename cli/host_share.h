#pragma once
/*
 * What of this host one sandbox may have if nobody says how much: so that a guest that takes all
 * it gets harms neither the host nor its neighbours. And what people write when they do say it.
 *
 * Locking: none. Lifetime: one call. Saved: no.
 */
#include "cli/error.h"
#include "state/base/types.h"

struct host_share {
	u64 memory; /* bytes; 0: unknown */
	u64 pids;   /* tasks */
	u64 pids_most;
};
void host_share(struct host_share *ret);

/* --memory: bytes, or with a suffix K, M, G, T. */
MUST_CHECK int parse_memory(const char *arg, u64 *ret, struct error *err);
/* --pids. */
MUST_CHECK int parse_pids(const char *arg, u64 *ret, struct error *err);
/* Below this nothing starts. */
#define MEMORY_LEAST (8 * MIB)
