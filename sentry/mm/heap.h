#pragma once
/*
 * What the sentry itself takes of the host's memory: kernel objects, buffers of pipes and sockets,
 * stacks of its threads. Guests decide how much that is, so it counts against the limit of the
 * memory file, and beyond its share calls that would add to it fail (syscall/admit.c).
 *
 * Locking: none. Lifetime: the memory file's. Saved: no.
 */
#include "sentry/mm/memfile.h"

/* Where the host tells it, opened while /proc can be seen; -1: nowhere, nothing is counted. */
int heap_open(void);
/* Looks again. fd: heap_open's. */
void heap_look(struct memfile *mf, int fd);
/* Whose heap it is: for those below that know no machine. fd: heap_open's. */
void heap_attach(struct memfile *mf, int fd);
/* There is room for n more bytes, which the caller is about to take: buffers of which the guest
 * says how many there are and how much goes in. */
bool heap_grow(u64 n);
/* What one kind of buffers may take in all: most, or less where memory is small. */
u64 heap_buffers_max(u64 most);
/* What it may be: half of the limit, and enough for a sandbox to be of use. */
u64 heap_max(const struct memfile *mf);
/* As last looked at. */
static inline u64 heap_bytes(const struct memfile *mf)
{
	return atomic_load_explicit(&mf->heap, memory_order_relaxed);
}
static inline bool heap_full(const struct memfile *mf)
{
	return unlikely(heap_bytes(mf) > heap_max(mf));
}

/* What there is of memory, and how it is used: bytes. heap is our own part of used. */
struct memory_use {
	u64 total, free, used, heap;
};
struct memory_use memory_use(const struct memfile *mf);
