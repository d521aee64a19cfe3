#pragma once
/*
 * What can be mapped, and what a mapping is called.
 *
 * A mappable is content with a page at every offset: a gofer inode, a shmem (tmpfs file, memfd,
 * shared anonymous memory). mm asks it for the pages behind an offset when a fault needs them.
 * A mapid is who the mapping belongs to in /proc/PID/maps: an open file.
 *
 * Locking: translate runs under the faulting mm's lock (RANK_MM) and may take RANK_INODE_PAGES and
 * lower; it may not block on the gofer. mapped counts vmas; atomic.
 * Lifetime: objects; a vma holds a reference to both. Saved: by their derived types.
 */
#include "sentry/mm/mapfile.h"
#include "state/object.h"

struct ctx;

struct mappable {
	struct obj obj;
	_Atomic u32 mapped; /* vmas that map it; 0: nothing to invalidate. Rebuilt at load */
};
OBJECT_DECL(mappable);

struct mappable_ops {
	/* What backs a prefix of [off, off+len) (page aligned) for access (enum access). Content
	 * past the last page of the file: -EFAULT with *no* effect (the fault becomes SIGBUS).
	 * A shared write access makes the page private to the file first (holes, image pages). */
	int (*translate)(struct mappable *m, u64 off, u64 len, u32 access, struct backing *ret);
	/* Frees the pages of a range, which then read as zeros (MADV_REMOVE); called without any
	 * mm's lock. NULL: -EOPNOTSUPP. */
	int (*punch)(struct mappable *m, u64 off, u64 len);
	/* Writes dirty shared pages back to where they came from (msync). NULL: nothing to do. */
	int (*sync)(struct mappable *m, u64 off, u64 len);
};

struct mapid {
	struct obj obj;
};
OBJECT_DECL(mapid);

struct mapid_ops {
	/* What /proc/PID/maps shows: path into buf, device and inode number. */
	void (*describe)(struct mapid *id, char *buf, size_t size, u64 *ret_dev, u64 *ret_ino);
	/* An address space begins (or, on false, ends) to have it as its executable. NULL: nothing.
	 */
	void (*executed)(struct mapid *id, bool begins);
};

static inline const struct mappable_ops *mappable_ops_of(const struct mappable *m)
{
	return m->obj.type->ops;
}
static inline const struct mapid_ops *mapid_ops_of(const struct mapid *id)
{
	return id->obj.type->ops;
}
