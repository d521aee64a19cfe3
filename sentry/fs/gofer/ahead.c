/*
 * Reading ahead: a listing brings the attributes of all names with it, so that the lookups which
 * usually follow (ls -l, find, rm -r) need no round trips. Kept for the directories listed last, on
 * exclusive mounts only, until a name in them changes.
 */
#include "sentry/fs/gofer/gofer_fs.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DIRS_MAX  8u    /* directories kept */
#define NAMES_MAX 8192u /* names of one directory */

struct ahead_item {
	char *name;
	struct gofer_inode *inode; /* owned; NULL: the name is there, ask for the rest */
};
struct gofer_ahead {
	TAILQ_ENTRY(gofer_ahead) link;
	struct gofer_inode *dir; /* not owned; its items own it */
	struct ahead_item *v;    /* sorted by name once published */
	size_t n, cap;
	bool too_many;
};

static void ahead_free(struct gofer_ahead *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->n; i++) {
		free(a->v[i].name);
		gofer_inode_put(a->v[i].inode);
	}
	free(a->v);
	free(a);
}

struct gofer_ahead *gofer_ahead_new(struct gofer_inode *dir)
{
	struct gofer_ahead *a = calloc(1, sizeof(*a));

	BUG_ON(!a);
	a->dir = dir;
	return a;
}

void gofer_ahead_add(struct gofer_ahead *a, const char *name, size_t len,
                     const struct p9_attr *attr)
{
	struct gofer_super *gs = gofer_sb(&a->dir->inode);
	struct ahead_item *item;

	if (a->n == NAMES_MAX)
		a->too_many = true;
	if (a->too_many)
		return;
	if (a->n == a->cap) {
		a->cap = a->cap ? a->cap * 2 : 32;
		a->v = reallocarray(a->v, a->cap, sizeof(*a->v));
		BUG_ON(!a->v);
	}
	item = &a->v[a->n++];
	item->name = strndup(name, len);
	item->inode = NULL;
	BUG_ON(!item->name);
	/* A listing does not say where links lead. */
	if (!S_ISLNK(attr->mode))
		item->inode = gofer_inode_get_or_new(gs, a->dir, item->name, attr, P9_NOFID, NULL);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct ahead_item *)a)->name, ((const struct ahead_item *)b)->name);
}

void gofer_ahead_publish(struct gofer_ahead *a, u64 changes)
{
	struct gofer_super *gs = gofer_sb(&a->dir->inode);
	struct gofer_ahead *old = NULL, *oldest = NULL;

	if (a->too_many) {
		ahead_free(a);
		return;
	}
	if (a->n)
		qsort(a->v, a->n, sizeof(*a->v), by_name);
	mutex_lock(&gs->lock);
	/* A name changed while the listing was under way. */
	if (a->dir->changes != changes) {
		mutex_unlock(&gs->lock);
		ahead_free(a);
		return;
	}
	old = a->dir->ahead;
	if (old) {
		TAILQ_REMOVE(&gs->ahead, old, link);
		gs->n_ahead--;
	}
	a->dir->ahead = a;
	TAILQ_INSERT_TAIL(&gs->ahead, a, link);
	if (++gs->n_ahead > DIRS_MAX) {
		oldest = TAILQ_FIRST(&gs->ahead);
		TAILQ_REMOVE(&gs->ahead, oldest, link);
		gs->n_ahead--;
		oldest->dir->ahead = NULL;
	}
	mutex_unlock(&gs->lock);
	ahead_free(old);
	ahead_free(oldest);
}

void gofer_ahead_drop(struct gofer_inode *dir)
{
	struct gofer_super *gs = gofer_sb(&dir->inode);
	struct gofer_ahead *a;

	mutex_lock(&gs->lock);
	dir->changes++;
	a = TAKE(dir->ahead);
	if (a) {
		TAILQ_REMOVE(&gs->ahead, a, link);
		gs->n_ahead--;
	}
	mutex_unlock(&gs->lock);
	ahead_free(a);
}

void gofer_ahead_drop_all(struct gofer_super *gs)
{
	struct gofer_ahead *a;

	for (;;) {
		mutex_lock(&gs->lock);
		a = TAILQ_FIRST(&gs->ahead);
		if (a) {
			TAILQ_REMOVE(&gs->ahead, a, link);
			gs->n_ahead--;
			a->dir->ahead = NULL;
		}
		mutex_unlock(&gs->lock);
		if (!a)
			return;
		ahead_free(a);
	}
}

bool gofer_ahead_find(struct gofer_inode *dir, const char *name, struct gofer_inode **ret)
{
	struct gofer_super *gs = gofer_sb(&dir->inode);
	struct ahead_item key = {.name = (char *)(uintptr_t)name}, *item;
	GUARD(&gs->lock);

	if (!dir->ahead)
		return false;
	item = dir->ahead->n ? bsearch(&key, dir->ahead->v, dir->ahead->n, sizeof(key), by_name)
	                     : NULL;
	if (item && !item->inode)
		return false;
	*ret = item ? gofer_inode_get(item->inode) : NULL;
	return true;
}
