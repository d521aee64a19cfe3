#pragma once
/*
 * Where the objects of one kind are: by slot, for ids, and by key.
 *
 * Locking: the namespace's. Lifetime: part of the namespace; borrows its objects. Saved: nothing;
 * made again from the namespace's list.
 */
#include "state/base/types.h"

#include <bsd/sys/tree.h>

/* An id is a slot and, above it, a serial number that tells its successive users apart. */
#define IPC_SLOT_BITS   15
#define IPC_SLOTS       (1 << IPC_SLOT_BITS)
#define IPC_OBJECTS_MAX 32000u /* of each kind */

struct ipc_object;
RB_HEAD(ipc_keys, ipc_object);
struct ipc_index {
	struct ipc_object **slots;
	u32 n_slots;     /* that slots has room for */
	u32 used;        /* of them */
	u32 lowest_free; /* none below it is free */
	struct ipc_keys keys;
};

void ipc_index_finish(struct ipc_index *x);
/* The lowest slot that is free; -ENOSPC. */
MUST_CHECK s32 ipc_index_free_slot(struct ipc_index *x);
/* The same at or above slot. */
s32 ipc_index_free_from(const struct ipc_index *x, u32 slot);
/* Enters o by its id, and by its key if it has one. -EEXIST: another one has it already; -ERANGE:
 * its slot is none. */
MUST_CHECK int ipc_index_add(struct ipc_index *x, struct ipc_object *o);
void ipc_index_remove(struct ipc_index *x, struct ipc_object *o);
/* It is not found by its key any more. */
void ipc_index_forget_key(struct ipc_index *x, struct ipc_object *o);
/* NULL: none. */
struct ipc_object *ipc_index_by_slot(const struct ipc_index *x, s32 slot);
struct ipc_object *ipc_index_by_key(struct ipc_index *x, s32 key);
/* The highest slot in use, -1: none. */
s32 ipc_index_top(const struct ipc_index *x);
