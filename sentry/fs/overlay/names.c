/* Entries, places and pins: which names a directory has, and who owns their inodes. */
#include "sentry/fs/overlay/overlay_impl.h"
#include "state/base/bug.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int name_compare(struct overlay_entry *a, struct overlay_entry *b)
{
	return strcmp(a->name, b->name);
}
static int cookie_compare(struct overlay_entry *a, struct overlay_entry *b)
{
	return a->cookie < b->cookie ? -1 : a->cookie > b->cookie;
}
static int place_compare(struct overlay_inode *a, struct overlay_inode *b)
{
	return strcmp(a->name, b->name);
}
static int ino_compare(struct overlay_inode *a, struct overlay_inode *b)
{
	u64 x = a->ti.inode.ino, y = b->ti.inode.ino;

	return x < y ? -1 : x > y;
}
RB_GENERATE(overlay_names, overlay_entry, by_name, name_compare);
RB_GENERATE(overlay_cookies, overlay_entry, by_cookie, cookie_compare);
RB_GENERATE(overlay_places, overlay_inode, place, place_compare);
RB_GENERATE(overlay_shared, overlay_inode, by_ino, ino_compare);

int overlay_check_name(const char *name)
{
	if (!name[0] || strlen(name) > DENTRY_NAME_MAX || strchr(name, '/') || !strcmp(name, ".") ||
	    !strcmp(name, ".."))
		return -EINVAL;
	return 0;
}

/* ---- entries ---- */

struct overlay_entry *overlay_entry_find(struct overlay_inode *dir, const char *name)
{
	struct overlay_entry *e = RB_ROOT(&dir->names);

	while (e) {
		int cmp = strcmp(name, e->name);

		if (cmp == 0)
			return e;
		e = cmp < 0 ? RB_LEFT(e, by_name) : RB_RIGHT(e, by_name);
	}
	return NULL;
}

struct overlay_entry *overlay_entry_new(struct overlay_inode *dir, const char *name,
                                        struct inode *inode, bool hides, u64 cookie)
{
	size_t len = strlen(name);
	struct overlay_entry *e = calloc(1, sizeof(*e) + len + 1);

	BUG_ON(!e);
	memcpy(e->name, name, len + 1);
	e->inode = inode;
	e->hides = hides;
	e->cookie = cookie ? cookie : dir->ti.next_cookie++;
	RB_INSERT(overlay_names, &dir->names, e);
	RB_INSERT(overlay_cookies, &dir->cookies, e);
	return e;
}

static struct inode *entry_free(struct overlay_inode *dir, struct overlay_entry *e)
{
	struct inode *i = e->inode;

	RB_REMOVE(overlay_names, &dir->names, e);
	RB_REMOVE(overlay_cookies, &dir->cookies, e);
	free(e);
	return i;
}

static struct overlay_inode *find_place(struct overlay_inode *dir, const char *name)
{
	struct overlay_inode *oi = RB_ROOT(&dir->places);

	while (oi) {
		int cmp = strcmp(name, oi->name);

		if (cmp == 0)
			return oi;
		oi = cmp < 0 ? RB_LEFT(oi, place) : RB_RIGHT(oi, place);
	}
	return NULL;
}

static void unplace(struct overlay_inode *oi)
{
	if (oi->placed)
		RB_REMOVE(overlay_places, &oi->parent->places, oi);
	oi->placed = false;
}

int overlay_find(struct overlay_inode *dir, const char *name, struct inode **ret)
{
	struct overlay_entry *e = overlay_entry_find(dir, name);
	struct overlay_inode *oi;

	if (e && !e->inode)
		return -ENOENT;
	if (e) {
		*ret = inode_get(e->inode);
		return 0;
	}
	oi = find_place(dir, name);
	if (oi && obj_tryget(oi)) {
		*ret = &oi->ti.inode;
		return 0;
	}
	if (oi) /* its end is near: it finds itself unplaced */
		unplace(oi);
	return dir->lower ? 1 : -ENOENT;
}

int overlay_entry_of(struct overlay_inode *dir, const char *name, struct inode *victim,
                     struct overlay_entry **ret)
{
	struct overlay_entry *e = overlay_entry_find(dir, name);
	struct overlay_inode *oi = overlay_i(victim), *top;

	if (e) {
		if (e->inode != victim)
			return e->inode ? -ESTALE : -ENOENT;
		*ret = e;
		return 0;
	}
	if (oi && oi->placed && oi->parent == dir && !strcmp(oi->name, name)) {
		top = overlay_pin(victim);
		BUG_ON(top && top != dir); /* which the caller has a reference to */
		overlay_inode_put(top);
		*ret = overlay_entry_find(dir, name);
		return 0;
	}
	if (oi && oi->shared) {
		BUG_ON(overlay_pin(victim)); /* it has no place */
		*ret = overlay_entry_new(dir, name, inode_get(victim), true, 0);
		return 0;
	}
	return -ESTALE;
}

int overlay_entry_add(struct overlay_inode *dir, const char *name, struct inode *inode)
{
	struct overlay_entry *e = overlay_entry_find(dir, name);

	if (e ? e->inode != NULL : find_place(dir, name) != NULL)
		return -EEXIST;
	if (e)
		e->inode = inode_get(inode);
	else
		overlay_entry_new(dir, name, inode_get(inode), false, 0);
	return 0;
}

struct inode *overlay_entry_remove(struct overlay_inode *dir, struct overlay_entry *e)
{
	return e->hides ? TAKE(e->inode) : entry_free(dir, e);
}

/* ---- places and pins ---- */

void overlay_place(struct overlay_inode *oi, struct overlay_inode *dir, const char *name)
{
	oi->parent = overlay_inode_get(dir);
	oi->name = strdup(name);
	BUG_ON(!oi->name);
	oi->placed = true;
	RB_INSERT(overlay_places, &dir->places, oi);
}

int overlay_place_loaded(struct overlay_inode *oi)
{
	if (overlay_entry_find(oi->parent, oi->name) || find_place(oi->parent, oi->name))
		return -EEXIST;
	oi->placed = true;
	RB_INSERT(overlay_places, &oi->parent->places, oi);
	return 0;
}

struct overlay_inode *overlay_pin(struct inode *i)
{
	struct overlay_inode *oi = overlay_i(i), *held = NULL;

	if (!oi)
		return NULL;
	if (oi->in_shared && !oi->kept) {
		oi->kept = true;
		overlay_inode_get(oi);
	}
	while (oi->parent) {
		struct overlay_inode *dir = TAKE(oi->parent);

		RB_REMOVE(overlay_places, &dir->places, oi);
		oi->placed = false;
		overlay_entry_new(dir, oi->name, inode_get(&oi->ti.inode), true, 0);
		free(TAKE(oi->name));
		overlay_inode_put(held); /* is oi, and has an entry now */
		held = dir;
		oi = dir;
	}
	return held;
}

struct overlay_inode *overlay_share(struct overlay_inode *oi)
{
	struct overlay_shared *tree = &overlay_sb(&oi->ti.inode)->shared;
	struct overlay_inode *old = RB_FIND(overlay_shared, tree, oi);

	if (old && obj_tryget(old))
		return old;
	if (old) {
		RB_REMOVE(overlay_shared, tree, old);
		old->in_shared = false;
	}
	RB_INSERT(overlay_shared, tree, oi);
	oi->in_shared = true;
	return NULL;
}

void overlay_forget(struct inode *i)
{
	struct overlay_inode *oi = overlay_i(i);

	if (!oi || !oi->in_shared)
		return;
	RB_REMOVE(overlay_shared, &overlay_sb(i)->shared, oi);
	oi->in_shared = false;
	if (oi->kept)
		overlay_inode_put(oi); /* the caller has another */
	oi->kept = false;
}

struct overlay_inode *overlay_shared_first(struct overlay_super *os)
{
	return RB_MIN(overlay_shared, &os->shared);
}
struct overlay_inode *overlay_shared_next(struct overlay_inode *oi)
{
	return RB_NEXT(overlay_shared, &overlay_sb(&oi->ti.inode)->shared, oi);
}

/* ---- ends ---- */

/*
 * Inodes of a tree that goes away are put by the outermost destroy in a loop, so that the depth of
 * directories costs no stack, upwards or downwards.
 */
static __thread struct inode **dying;
static __thread size_t n_dying, max_dying;
static __thread bool draining;

static void put_later(struct inode *i)
{
	if (!i)
		return;
	if (n_dying == max_dying) {
		max_dying = max_dying ? max_dying * 2 : 64;
		dying = reallocarray(dying, max_dying, sizeof(struct inode *));
		BUG_ON(!dying);
	}
	dying[n_dying++] = i;
}

static void drain(void)
{
	if (draining)
		return;
	draining = true;
	while (n_dying)
		inode_put(dying[--n_dying]);
	draining = false;
	free(TAKE(dying));
	max_dying = 0;
}

void overlay_names_finish(struct overlay_inode *oi)
{
	struct super_block *sb = oi->ti.inode.sb;
	struct overlay_inode *child;
	struct overlay_entry *e;

	if (sb && obj_is(sb, &overlay_super_type)) {
		GUARD(overlay_names_lock(&oi->ti.inode));
		unplace(oi);
		if (oi->in_shared)
			RB_REMOVE(overlay_shared, &overlay_sb(&oi->ti.inode)->shared, oi);
		oi->in_shared = false;
		/* Only when a whole graph is disposed of, parents before children. */
		while ((child = RB_ROOT(&oi->places)))
			unplace(child);
	}
	while ((e = RB_ROOT(&oi->names)))
		put_later(entry_free(oi, e));
	if (oi->parent)
		put_later(&TAKE(oi->parent)->ti.inode);
	free(TAKE(oi->name));
	drain();
}

void overlay_shared_finish(struct overlay_super *os, bool unmount)
{
	struct overlay_inode *oi, *next;

	mutex_lock(&os->names);
	for (oi = RB_MIN(overlay_shared, &os->shared); oi; oi = next) {
		next = RB_NEXT(overlay_shared, &os->shared, oi);
		if (unmount && !oi->kept)
			continue;
		RB_REMOVE(overlay_shared, &os->shared, oi);
		oi->in_shared = false;
		if (oi->kept)
			put_later(&oi->ti.inode);
		oi->kept = false;
	}
	mutex_unlock(&os->names);
	drain();
}
