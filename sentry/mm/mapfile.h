#pragma once
/*
 * What pages can lie in: the memory file, a host file that the gofer donated, the pages file of an
 * image. A pma names (mapfile, offset); a platform maps its descriptor; the sentry reaches the
 * bytes through mapfile_ptr.
 *
 * Locking: immutable but for counts. Lifetime: refcounted, not an object: mapfiles are vehicles.
 * Saved: never. pmas save image page numbers; host files are found again through their inode.
 */
#include "state/base/types.h"

struct mapfile;
struct page_source;

struct mapfile_ops {
	/* Pointer to [off, off+len) in the sentry, readable and (memory file, writable host files)
	 * writable; contiguous; len at most 2 MiB and inside one 2 MiB aligned window. Touching it
	 * may raise SIGBUS: only through usercopy's guarded copies. NULL: no room. */
	void *(*ptr)(struct mapfile *mf, u64 off, u64 len);
	void (*destroy)(struct mapfile *mf);
	/* Page counts, for mapfiles whose pages are owned one by one (the memory file); NULL:
	 * no-op. */
	void (*get_pages)(struct mapfile *mf, u64 off, u64 len);
	void (*put_pages)(struct mapfile *mf, u64 off, u64 len);
};
struct mapfile {
	const struct mapfile_ops *ops;
	_Atomic u32 refs;
	int fd; /* what the platform maps; immutable */
	bool writable;
	struct page_source *source; /* what a save reads its pages from; NULL: it is never saved */
};

void mapfile_get(struct mapfile *mf);
void mapfile_put(struct mapfile *mf);
static inline void *mapfile_ptr(struct mapfile *mf, u64 off, u64 len)
{
	return mf->ops->ptr(mf, off, len);
}

/* Wraps a host descriptor, which it takes over. writable: O_RDWR, may be mapped shared for writing.
 */
struct mapfile *hostfile_new(int fd, bool writable);

/* Of the pages, where the mapfile counts them (the memory file); else nothing. */
static inline void mapfile_get_pages(struct mapfile *mf, u64 off, u64 len)
{
	if (mf->ops->get_pages)
		mf->ops->get_pages(mf, off, len);
}
static inline void mapfile_put_pages(struct mapfile *mf, u64 off, u64 len)
{
	if (mf->ops->put_pages)
		mf->ops->put_pages(mf, off, len);
}

/* What backs a range of a file: pages [off, off+len) of mf, with a count on the pages
 * (mapfile_get_pages) for the caller, taken under the lock that keeps them in the file. */
struct backing {
	struct mapfile *mf; /* a reference for the caller */
	u64 off;
	u64 len;  /* at most what was asked for, page aligned, > 0 */
	bool cow; /* must be copied before anyone writes (also through a shared mapping) */
};
