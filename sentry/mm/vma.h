#pragma once
/*
 * What the guest asked for: an ordered set of mappings that don't overlap, augmented with the
 * widest gap below each subtree, so that a free place is found without walking.
 *
 * Locking: the mm's. Lifetime: embedded in the mm; a vma owns references to its mappable and mapid
 * and counts in mappable->mapped. Saved: by the mm, all of it.
 */
#include "sentry/mm/mappable.h"

#include <bsd/sys/cdefs.h>
#include <bsd/sys/tree.h>

/* Saved: the values are part of the image format. */
enum vma_flag {
	VMA_SHARED = 1,
	VMA_GROWSDOWN = 2,
	VMA_DONTFORK = 4,
	VMA_WIPEONFORK = 8,
	VMA_DONTDUMP = 16,
	VMA_NORESERVE = 32,
	VMA_LOCKED = 64,
	VMA_ANON = 128,  /* asked for without a file: a mappable behind it is only its memory */
	VMA_HUGE = 256,  /* MADV_HUGEPAGE */
	VMA_SMALL = 512, /* MADV_NOHUGEPAGE */
	/* mbind(2): 1 + MPOL_*, and MPOL_F_* of it; 0: none. */
	VMA_POLICY_MODE = 15 << 10,
	VMA_POLICY_FLAGS = 7 << 14,
	VMA_ALL = (1 << 17) - 1,
};
#define VMA_POLICY_MODE_SHIFT 10

#define STACK_GUARD_GAP (256 * PAGE_SIZE)

struct vma {
	RB_ENTRY(vma) node;
	u64 start, end;
	u64 gap;     /* free bytes right below, without the guard gap of a stack */
	u64 gap_max; /* the widest gap in this subtree */
	u32 prot, max_prot, flags;
	struct mappable *mappable; /* NULL: private anonymous memory */
	u64 off;
	struct mapid *id;
	char *name; /* owned; NULL: none */
};
RB_HEAD(vma_rb, vma);
struct vma_tree {
	struct vma_rb rb;
	u32 count;
	struct vma *dead; /* unlinked ones, through node.rbe_right: dropping them may block */
};

void vma_tree_init(struct vma_tree *t);
/* The first one that ends above addr, or NULL. */
struct vma *vma_from(const struct vma_tree *t, u64 addr);
/* The one that holds addr, or NULL. */
struct vma *vma_find(const struct vma_tree *t, u64 addr);
struct vma *vma_next(struct vma *v);
struct vma *vma_prev(struct vma *v);
struct vma *vma_last(const struct vma_tree *t);
/* A copy of v's attributes that is in no tree, with references of its own. */
struct vma *vma_clone(const struct vma *v);
/* Drops the references; may block. */
void vma_free(struct vma *v);
/* Frees what vma_unlink left in t->dead, which the caller took out under the lock. */
void vma_free_list(struct vma *dead);
void vma_link(struct vma_tree *t, struct vma *v);
/* Takes it out and puts it on the dead list. */
void vma_unlink(struct vma_tree *t, struct vma *v);
/* Takes it out; the caller owns it. */
void vma_detach(struct vma_tree *t, struct vma *v);
void vma_resize(struct vma_tree *t, struct vma *v, u64 start, u64 end);
/* Cuts v at addr, inside it; returns the upper part. */
struct vma *vma_split(struct vma_tree *t, struct vma *v, u64 addr);
/* Joins v with neighbours that go on as it ends; returns the one that holds it. */
struct vma *vma_merge(struct vma_tree *t, struct vma *v);
/* Nothing, also no stack's guard gap, lies in [start, end). */
bool vma_range_free(const struct vma_tree *t, u64 start, u64 end);
/* The highest start of len free bytes within [lo, hi); -ENOMEM. */
MUST_CHECK int vma_find_gap(const struct vma_tree *t, u64 len, u64 lo, u64 hi, u64 *ret);
