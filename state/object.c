#include "state/object.h"

#include "state/base/later.h"
#include "state/registry.h"

#include <stdlib.h>

static void init_chain(const struct obj_type *type, void *o)
{
	if (type->base)
		init_chain(type->base, o);
	if (type->init)
		type->init(o);
}

void *obj_alloc(const struct obj_type *type)
{
	struct obj *o;

	BUG_ON(type->abstract || type->size < sizeof(struct obj));
	o = calloc(1, type->size);
	BUG_ON(!o);
	o->type = type;
	atomic_init(&o->refs, 1);
	init_chain(type, o);
	atomic_fetch_add_explicit(type->live, 1, memory_order_relaxed);
	return o;
}

static void last_put_chain(const struct obj_type *type, void *o)
{
	if (type->base)
		last_put_chain(type->base, o);
	if (type->last_put)
		type->last_put(o);
}

static void destroy_chain(struct obj *o)
{
	for (const struct obj_type *t = o->type; t; t = t->base)
		if (t->destroy)
			t->destroy(o);
}

static void release(struct obj *o)
{
	atomic_fetch_sub_explicit(o->type->live, 1, memory_order_relaxed);
	free(o);
}

void obj_destroy(struct obj *o)
{
	last_put_chain(o->type, o);
	destroy_chain(o);
	release(o);
}

void obj_dispose_all(void *const *objs, size_t n)
{
	later_mute(true);
	for (size_t i = n; i-- > 0;)
		last_put_chain(OBJ(objs[i])->type, objs[i]);
	/* Destroys put what they own; no count reaches zero, since each object still has the
	 * caller's own reference, and memory goes only when nothing can look at it any more. */
	for (size_t i = n; i-- > 0;)
		destroy_chain(objs[i]);
	for (size_t i = n; i-- > 0;)
		release(objs[i]);
	later_mute(false);
}

bool obj_tryget(void *p)
{
	u32 old = obj_refs(p);

	do {
		if (old == 0)
			return false;
		BUG_ON(old > 0x7fffffff);
	} while (!atomic_compare_exchange_weak_explicit(
		&OBJ(p)->refs, &old, old + 1, memory_order_acquire, memory_order_relaxed));
	return true;
}

bool obj_is(const void *p, const struct obj_type *type)
{
	return p && obj_type_is(((const struct obj *)p)->type, type);
}

bool obj_type_is(const struct obj_type *t, const struct obj_type *type)
{
	for (; t; t = t->base)
		if (t == type)
			return true;
	return false;
}

void obj_leaks(void (*fn)(const struct obj_type *type, u64 count, void *arg), void *arg)
{
	const struct obj_type *t;

	for (unsigned i = 0; (t = registry_at(i)); i++) {
		u64 n = atomic_load_explicit(t->live, memory_order_relaxed);

		if (n > 0)
			fn(t, n, arg);
	}
}

u64 obj_live(void)
{
	const struct obj_type *t;
	u64 sum = 0;

	for (unsigned i = 0; (t = registry_at(i)); i++)
		sum += atomic_load_explicit(t->live, memory_order_relaxed);
	return sum;
}
