#pragma once
/*
 * Memory with offsets: the content of tmpfs files, memfds and shared anonymous mappings. A sparse
 * tree of pages in the memory file (or, after a restore, in the image until they are written).
 *
 * Locking: RANK_INODE_PAGES inside. Lifetime: refcounted object; inodes and vmas refer to it.
 * Saved: size and the runs of pages.
 */
#include "sentry/mm/mappable.h"

struct kernel;
struct shmem;
struct uiter;
OBJECT_DECL(shmem);

struct shmem *shmem_new(struct kernel *k, u64 size);
u64 shmem_size(const struct shmem *s);
/* Bytes of pages it holds (st_blocks). */
u64 shmem_bytes(const struct shmem *s);
/* How many of len bytes from off on can be written with at most room bytes of new pages. */
u64 shmem_fits(struct shmem *s, u64 off, u64 len, u64 room);
/* Shrinking frees pages, zeroes the tail of the last one, and unmaps what lies past the end from
 * every address space (further access: SIGBUS). Caller holds no RANK_MM or lower lock. */
MUST_CHECK int shmem_truncate(struct shmem *s, u64 size);
/* Allocates (fallocate mode 0; keep_size) or punches a hole. */
MUST_CHECK int shmem_allocate(struct shmem *s, u64 off, u64 len, bool keep_size);
MUST_CHECK int shmem_punch(struct shmem *s, u64 off, u64 len);
/* Bytes copied, 0 at or past the end, -errno if nothing was. Holes read as zeros. */
MUST_CHECK long shmem_read(struct shmem *s, struct uiter *dst, u64 off);
/* Grows the file; -ENOSPC when the sandbox's memory is used up. */
MUST_CHECK long shmem_write(struct shmem *s, struct uiter *src, u64 off);
/* lseek(2) SEEK_DATA / SEEK_HOLE: -ENXIO past the end. */
MUST_CHECK s64 shmem_seek(struct shmem *s, u64 off, bool data);
/* Brings what lies in an image at or past off into memory, a step of it; false if there is no more,
 * else where to go on. See sentry/mm/fill.h. */
bool shmem_fill(struct shmem *s, u64 off, u64 *ret_next);
