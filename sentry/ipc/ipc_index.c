#include "sentry/ipc/ipc_index.h"
#include "sentry/ipc/ipc.h"
#include "state/base/bug.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int cmp_key(const struct ipc_object *a, const struct ipc_object *b)
{
	return a->owner.key < b->owner.key ? -1 : a->owner.key > b->owner.key;
}

RB_GENERATE_INTERNAL(ipc_keys, ipc_object, by_key, cmp_key, UNUSED static)

static u32 slot_of(const struct ipc_object *o)
{
	return (u32)o->owner.id & (IPC_SLOTS - 1);
}

void ipc_index_finish(struct ipc_index *x)
{
	free(x->slots);
	*x = (struct ipc_index){0};
}

s32 ipc_index_free_slot(struct ipc_index *x)
{
	while (x->lowest_free < x->n_slots && x->slots[x->lowest_free])
		x->lowest_free++;
	return x->lowest_free < IPC_OBJECTS_MAX ? (s32)x->lowest_free : -ENOSPC;
}

s32 ipc_index_free_from(const struct ipc_index *x, u32 slot)
{
	while (slot < x->n_slots && x->slots[slot])
		slot++;
	return slot < IPC_OBJECTS_MAX ? (s32)slot : -ENOSPC;
}

static void make_room(struct ipc_index *x, u32 slot)
{
	u32 n = MAX(x->n_slots, 16u);

	while (n <= slot)
		n *= 2;
	if (n == x->n_slots)
		return;
	x->slots = reallocarray(x->slots, n, sizeof(struct ipc_object *));
	BUG_ON(!x->slots);
	memset(x->slots + x->n_slots, 0, (n - x->n_slots) * sizeof(struct ipc_object *));
	x->n_slots = n;
}

int ipc_index_add(struct ipc_index *x, struct ipc_object *o)
{
	u32 slot = slot_of(o);

	if (slot >= IPC_OBJECTS_MAX)
		return -ERANGE;
	make_room(x, slot);
	if (x->slots[slot] ||
	    (o->owner.key != IPC_PRIVATE && ipc_keys_RB_INSERT(&x->keys, o) != NULL))
		return -EEXIST;
	x->slots[slot] = o;
	x->used++;
	return 0;
}

void ipc_index_forget_key(struct ipc_index *x, struct ipc_object *o)
{
	if (o->owner.key == IPC_PRIVATE)
		return;
	ipc_keys_RB_REMOVE(&x->keys, o);
	o->owner.key = IPC_PRIVATE;
}

void ipc_index_remove(struct ipc_index *x, struct ipc_object *o)
{
	u32 slot = slot_of(o);

	BUG_ON(x->slots[slot] != o);
	if (o->owner.key != IPC_PRIVATE)
		ipc_keys_RB_REMOVE(&x->keys, o);
	x->slots[slot] = NULL;
	x->used--;
	x->lowest_free = MIN(x->lowest_free, slot);
}

struct ipc_object *ipc_index_by_slot(const struct ipc_index *x, s32 slot)
{
	return slot >= 0 && (u32)slot < x->n_slots ? x->slots[slot] : NULL;
}

struct ipc_object *ipc_index_by_key(struct ipc_index *x, s32 key)
{
	struct ipc_object like = {.owner.key = key};

	return key == IPC_PRIVATE ? NULL : ipc_keys_RB_FIND(&x->keys, &like);
}

s32 ipc_index_top(const struct ipc_index *x)
{
	s32 top = (s32)x->n_slots - 1;

	while (top >= 0 && !x->slots[top])
		top--;
	return top;
}
