#pragma once
/*
 * After a lazy restore: fetching what still lies in the image before anyone asks for it.
 *
 * Locking: takes mm locks, one small step at a time. Lifetime: no state. Saved: no.
 */
#include "state/base/types.h"

struct kernel;

/*
 * Decompresses what lies in LZ4 blocks into the memory file, and has the host read raw pages into
 * its page cache, for every address space of the kernel and the memory that they share, until all
 * is there or stop(arg) says so (asked at least every few hundred KiB). Any thread that holds no
 * lock; the kernel must stay for as long.
 */
void mm_fill(struct kernel *k, bool (*stop)(void *arg), void *arg);
