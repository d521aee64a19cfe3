#pragma once
/*
 * The memory file: one sparse memfd that holds all guest RAM, mapped once and whole into the
 * sentry, with a reference count per 4 KiB page and allocation in aligned runs.
 *
 * Locking: RANK_MEMFILE inside; pointers are stable for ever.
 * Lifetime: the kernel's (one per sandbox; it outlives an autosave's teardown).
 * Saved: contents of referenced pages, through saver_pages; never the offsets.
 */
#include "sentry/mm/mapfile.h"
#include "state/pages.h"

struct timers;

#define MEMFILE_HUGE (2 * MIB)

struct memfile {
	struct mapfile mapfile; /* .fd is the memfd */
	struct page_source source;
	u8 *base;
	u8 *huge;         /* the same again, for memfile_back_huge */
	bool huge_always; /* the host gives them without being asked, and so do we */
	u64 size;
	u64 limit;        /* bytes that it and the sentry's heap may have; 0: unlimited */
	u64 total_ram;    /* of the host, with swap: what no single request may exceed */
	_Atomic u64 heap; /* the sentry's own bytes, as last looked at (mm/heap.h) */
	/* allocator state: memfile_impl.h */
	struct memfile_alloc *alloc;
};

extern const struct mapfile_ops memfile_ops;
/* The memory file that mf is, or NULL. */
static inline struct memfile *memfile_of(struct mapfile *mf)
{
	return mf->ops == &memfile_ops ? container_of(mf, struct memfile, mapfile) : NULL;
}

/* In fd, an empty file in memory that the callee owns from here on, also on failure; -1: one is
 * made. No limit is set. */
MUST_CHECK int memfile_create(int fd, struct memfile **ret);
/* What the host does with memory that nobody gave advice on (transparent_hugepage/enabled). Needs
 * /sys. */
bool memfile_host_huge_always(void);
/* An empty file of a file system of its own that holds at most size bytes: a touch beyond is
 * SIGBUS. Needs CAP_SYS_ADMIN; -errno where the host can't do that. */
MUST_CHECK int memfile_bounded(u64 size);
void memfile_destroy(struct memfile *mf);
/* A run of len bytes (page aligned), zeroed, one reference per page. Fresh runs are aligned to the
 * largest power of two that len holds, up to 2 MiB, plus phase (so that file offset and address
 * agree modulo that); reused small ones lie anywhere. phase < 2 MiB. -ENOMEM. */
MUST_CHECK int memfile_alloc(struct memfile *mf, u64 len, u64 phase, u64 *ret_off);
/* The same for what is about to be used whole: the host holds all of it when this returns. small:
 * not as a huge page. Also -ENOMEM where there is not room for much more. */
MUST_CHECK int memfile_alloc_filled(struct memfile *mf, u64 len, u64 phase, bool small,
                                    u64 *ret_off);
/* The same with any content, for a caller that overwrites all of it at once. */
MUST_CHECK int memfile_alloc_dirty(struct memfile *mf, u64 len, u64 *ret_off);
/* The run of MEMFILE_HUGE bytes at off was just allocated: one huge page of the host comes behind
 * it at once, as zeroing that costs a fifth of as many small pages, and mapping it nothing. A hint:
 * where there is none to be had, or not much room, nothing happens. */
void memfile_back_huge(struct memfile *mf, u64 off);
/* Most of [off, off+len), at most MEMFILE_HUGE, has host memory behind it. */
bool memfile_mostly_resident(const struct memfile *mf, u64 off, u64 len);
/* The whole of [off, off+len) has never been touched since it was allocated: it reads as zeros. */
bool memfile_is_hole(struct memfile *mf, u64 off, u64 len);
/* Gives pages that are kept for reuse back to the host. */
void memfile_trim(struct memfile *mf);
/* From here on this is done by a timer where nobody reuses them. Once, before there are tasks; ts
 * outlives mf or is gone with no callback running. */
void memfile_trim_later(struct memfile *mf, struct timers *ts);
void memfile_get_pages(struct memfile *mf, u64 off, u64 len);
/* Pages whose count drops to 0 become free; their content is gone. */
void memfile_put_pages(struct memfile *mf, u64 off, u64 len);
u32 memfile_page_refs(const struct memfile *mf, u64 off);
static inline void *memfile_at(const struct memfile *mf, u64 off)
{
	return mf->base + off;
}
/* Bytes that have a reference / that the host really holds. */
u64 memfile_allocated(const struct memfile *mf);
u64 memfile_resident(const struct memfile *mf);
/* The limit leaves no room for len more bytes. */
bool memfile_full(const struct memfile *mf, u64 len);
/* The host holds these pages when this returns; -ENOMEM: the limit or the host leaves no room. */
MUST_CHECK int memfile_commit(struct memfile *mf, u64 off, u64 len);
/* The calling thread was refused memory since it asked last. */
bool memfile_was_starved(const struct memfile *mf);
