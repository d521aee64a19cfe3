#pragma once
/*
 * A whole save in memory, and the load of one. An image is a snapshot written to files
 * (state/image.h); autosave loads it straight back, its pages where they were.
 *
 * Locking: none; everything is parked. Lifetime: the caller's; a snapshot's page table borrows the
 * page sources. Saved: it is the save.
 */
#include "state/base/buf.h"
#include "state/object.h"
#include "state/page_table.h"

#define STATE_RECORD_MAX (64 * MIB) /* bytes of one record's message */

struct save_params {
	void *const *roots; /* distinct objects; they become records 1..n_roots */
	unsigned n_roots;
	void *user; /* saver_user() */
};

struct snapshot {
	struct buf kernel; /* body of kernel.img: header and records */
	struct page_table pages;
	u64 n_objects;
	struct obj **objs; /* what was saved, in record order; borrowed */
};

/* Saves everything that the roots reach. *ret_why: malloc'd line for people. */
MUST_CHECK int state_save(const struct save_params *params, struct snapshot *ret, char **ret_why);
void snapshot_finish(struct snapshot *snap);
/* Whether two bodies of kernel.img are the same: 0, or -EINVAL and a malloc'd line that says where
 * they differ and begins with what. */
MUST_CHECK int snapshot_compare(const char *what, const struct buf *a, const struct buf *b,
                                char **ret_why);
/* Ends every object that was saved, cycles included: see obj_dispose_all. The roots' references
 * that the caller of state_save held end with them; whatever is not saved must be gone before. */
void snapshot_discard_objects(struct snapshot *snap);

struct load_params {
	const struct obj_type *const *root_types; /* what record i+1 must be, or derive from */
	unsigned n_roots;                         /* as many as were saved */
	void *user;                               /* loader_user() */
};

/*
 * Loads the body of a kernel.img (need not outlive the call). ret_roots[i] gets a reference each.
 * -EBADMSG for bytes that are no sane snapshot, or what an after_load returned; nothing is left
 * behind then, and *ret_why is a malloc'd line ("kernel.img: record 12 (sentry.Task): ...").
 */
MUST_CHECK int state_load(const void *kernel, size_t size, const struct load_params *params,
                          void **ret_roots, char **ret_why);

/* The same, but gives all objects in record order, each with one reference for the caller beside
 * those that they hold among themselves. Tests end such a graph with obj_dispose_all. */
MUST_CHECK int state_load_all(const void *kernel, size_t size, const struct load_params *params,
                              void ***ret_objs, size_t *ret_n, char **ret_why);
