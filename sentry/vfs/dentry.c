#include "sentry/vfs/dentry.h"

#include "proto/vfs.pb-c.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/super.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#define FIRST_BUCKETS 8u

u32 dentry_hash(const char *name, size_t len)
{
	u32 h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (u8)name[i]) * 16777619u;
	return h ^ h >> 15;
}

/* ---- a directory's table; dir->lock held ---- */

static struct dentry *table_find(struct dentry *dir, const char *name, size_t len, u32 hash)
{
	struct dentry *d;

	if (!dir->children)
		return NULL;
	for (d = dir->children[hash & (dir->n_buckets - 1)]; d; d = d->hash_next) {
		if (d->hash == hash && memcmp(d->name, name, len) == 0 && d->name[len] == 0)
			return d;
	}
	return NULL;
}

static void table_grow(struct dentry *dir)
{
	u32 n = dir->children ? dir->n_buckets * 2 : FIRST_BUCKETS;
	struct dentry **table = calloc(n, sizeof(struct dentry *));

	BUG_ON(!table);
	for (u32 b = 0; dir->children && b < dir->n_buckets; b++) {
		struct dentry *d = dir->children[b], *next;

		for (; d; d = next) {
			next = d->hash_next;
			d->hash_next = table[d->hash & (n - 1)];
			table[d->hash & (n - 1)] = d;
		}
	}
	free(dir->children);
	dir->children = table;
	dir->n_buckets = n;
}

static void table_insert(struct dentry *dir, struct dentry *d)
{
	struct dentry **slot;

	if (!dir->children || dir->n_children >= dir->n_buckets * 2)
		table_grow(dir);
	slot = &dir->children[d->hash & (dir->n_buckets - 1)];
	d->hash_next = *slot;
	*slot = d;
	d->hashed = true;
	dir->n_children++;
}

static void table_remove(struct dentry *dir, struct dentry *d)
{
	struct dentry **slot;

	if (!d->hashed)
		return;
	d->hashed = false;
	if (!dir->children) /* a graph that is being disposed of: the parent went first */
		return;
	slot = &dir->children[d->hash & (dir->n_buckets - 1)];
	while (*slot != d)
		slot = &(*slot)->hash_next;
	*slot = d->hash_next;
	dir->n_children--;
}

/* ---- object ---- */

/* hash, mounted, the table and the LRU are rebuilt. */
#define DENTRY_FIELDS(X)         \
	X(HDR, obj)              \
	X(REF, parent, dentry)   \
	X(STR, name)             \
	X(SKIP, hash)            \
	X(VAL, unlinked)         \
	X(REF, inode, inode)     \
	X(WEAK, sb, super_block) \
	X(SKIP, mounted)         \
	X(SKIP, dir_lock)        \
	X(SKIP, lock)            \
	X(SKIP, children)        \
	X(SKIP, n_children)      \
	X(SKIP, n_buckets)       \
	X(SKIP, changes)         \
	X(SKIP, hash_next)       \
	X(SKIP, hashed)          \
	X(SKIP, used)            \
	X(SKIP, in_lru)          \
	X(SKIP, lru)             \
	X(SKIP, valid_until)     \
	X(SKIP, walked)

static void dentry_init(void *p)
{
	struct dentry *d = p;

	mutex_init(&d->dir_lock, RANK_DIR);
	mutex_init(&d->lock, RANK_DENTRY);
}

/*
 * Dropping the last user of a deep path drops all of its ancestors. They are put in a loop by the
 * outermost destroy, so that a chain of a million directories needs no stack.
 */
static __thread bool dying;
static __thread struct dentry *dying_parent;

static void put_parent(struct dentry *parent)
{
	if (dying) {
		if (dying_parent)
			obj_put(parent);
		else
			dying_parent = parent;
		return;
	}
	dying = true;
	for (; parent; parent = TAKE(dying_parent))
		obj_put(parent);
	dying = false;
}

static void dentry_destroy(void *p)
{
	struct dentry *d = p;

	notify_gone(d);
	if (d->parent) {
		mutex_lock(&d->parent->lock);
		table_remove(d->parent, d);
		mutex_unlock(&d->parent->lock);
	}
	free(TAKE(d->children));
	free(TAKE(d->name));
	obj_put(TAKE(d->inode));
	if (d->parent)
		put_parent(TAKE(d->parent));
}

/*
 * A chain of parents that closes on itself would never end. Each dentry is walked once, however
 * deep the tree is: what was walked before ends, or the load has failed.
 */
static bool leads_to_root(struct dentry *d)
{
	struct dentry *a;

	for (a = d; a && !a->walked; a = a->parent)
		a->walked = 1;
	if (a && a->walked == 1)
		return false;
	for (a = d; a && a->walked == 1; a = a->parent)
		a->walked = 2;
	return true;
}

static int dentry_after_load(struct loader *l, void *p)
{
	struct dentry *d = p;
	const char *name = d->name ? d->name : "";
	size_t len = strlen(name);

	if (!d->sb || !d->inode)
		return loader_error(l, "dentry without a file");
	if (!d->parent) {
		if (len)
			return loader_error(l, "root dentry with a name");
		return 0;
	}
	if (len == 0 || len > DENTRY_NAME_MAX || strchr(name, '/') || !strcmp(name, ".") ||
	    !strcmp(name, ".."))
		return loader_error(l, "bad file name");
	d->hash = dentry_hash(name, len);
	if (!leads_to_root(d))
		return loader_error(l, "dentry is its own ancestor");
	if (!d->unlinked) {
		GUARD(&d->parent->lock);
		if (table_find(d->parent, name, len, d->hash))
			return loader_error(l, "two dentries named %s in one directory", name);
		table_insert(d->parent, d);
	}
	if (!d->unlinked && inode_ops_of(d->inode)->check_loaded)
		return inode_ops_of(d->inode)->check_loaded(d->inode, l);
	return 0;
}
static void dentry_sample(struct sampler *sp, void *p)
{
	struct dentry *d = p, *a = d->parent;

	(void)sp;
	d->unlinked = true;
	/* Samples refer to each other at will, dentries form a tree. */
	while (a && a != d)
		a = a->parent;
	if (a == d) {
		obj_put(d->parent);
		d->parent = NULL;
		free(d->name);
		d->name = NULL;
	}
}
OBJECT_TYPE(dentry, Sentry__Dentry, sentry__dentry__descriptor, DENTRY_FIELDS, .init = dentry_init,
            .destroy = dentry_destroy, .after_load = dentry_after_load, .sample = dentry_sample);

static struct dentry *dentry_make(struct super_block *sb, struct dentry *parent, const char *name,
                                  size_t len, struct inode *inode)
{
	struct dentry *d = obj_new(dentry);

	d->sb = sb;
	d->parent = dentry_get(parent);
	d->name = strndup(name, len);
	BUG_ON(!d->name);
	d->hash = dentry_hash(name, len);
	d->inode = inode_get(inode);
	return d;
}

struct dentry *dentry_new_root(struct super_block *sb, struct inode *inode)
{
	return dentry_make(sb, NULL, "", 0, inode);
}

struct dentry *dentry_new_detached(struct dentry *parent, const char *name, struct inode *inode)
{
	struct dentry *d = dentry_make(parent->sb, parent, name, strlen(name), inode);

	d->unlinked = true;
	return d;
}

/* ---- lookup ---- */

struct dentry *dentry_cached(struct dentry *dir, const char *name, size_t len)
{
	u32 hash = dentry_hash(name, len);
	struct dentry *d;

	mutex_lock(&dir->lock);
	d = table_find(dir, name, len, hash);
	if (d && !obj_tryget(d))
		d = NULL;
	mutex_unlock(&dir->lock);
	return d;
}

/* Puts d into the table unless someone was faster (then that one is returned instead) or the
 * directory changed since (NULL). */
static struct dentry *insert_looked_up(struct dentry *dir, struct dentry *d, u64 changes)
{
	struct dentry *old;
	GUARD(&dir->lock);

	if (dir->changes != changes)
		return NULL;
	old = table_find(dir, d->name, strlen(d->name), d->hash);
	if (old && obj_tryget(old))
		return old;
	if (old) /* dying; its destroy finds it gone from the table */
		table_remove(dir, old);
	table_insert(dir, d);
	return dentry_get(d);
}

static int lookup_uncached(struct dentry *dir, struct ctx *c, const char *name, size_t len,
                           struct dentry **ret)
{
	const struct inode_ops *ops = inode_ops_of(dir->inode);
	char copy[DENTRY_NAME_MAX + 1];

	memcpy(copy, name, len);
	copy[len] = 0;
	for (;;) {
		AUTO(inode) inode = NULL;
		AUTO(dentry) made = NULL;
		struct dentry *d;
		u64 changes;
		int r;

		mutex_lock(&dir->lock);
		changes = dir->changes;
		mutex_unlock(&dir->lock);
		r = ops->lookup(dir->inode, c, copy, &inode);
		if (r < 0 && r != -ENOENT)
			return r;
		made = dentry_make(dir->sb, dir, copy, len, inode);
		d = insert_looked_up(dir, made, changes);
		if (d) {
			super_cache(dir->sb, d);
			*ret = d;
			return 0;
		}
	}
}

/* A cached dentry may still be used. */
static bool still_valid(struct dentry *dir, struct ctx *c, const char *name, size_t len,
                        struct dentry *d)
{
	const struct super_ops *ops = super_ops_of(dir->sb);
	char copy[DENTRY_NAME_MAX + 1];

	if (likely(!ops->revalidate))
		return true;
	memcpy(copy, name, len);
	copy[len] = 0;
	return ops->revalidate(dir, copy, d, c);
}

int dentry_lookup(struct dentry *dir, struct ctx *c, const char *name, size_t len,
                  struct dentry **ret)
{
	struct dentry *d;

	if (!dir->inode || !inode_is_dir(dir->inode) || !inode_ops_of(dir->inode)->lookup)
		return -ENOTDIR;
	if (len > DENTRY_NAME_MAX)
		return -ENAMETOOLONG;
	d = dentry_cached(dir, name, len);
	if (d) {
		if (still_valid(dir, c, name, len, d)) {
			super_cache(dir->sb, d);
			*ret = d;
			return 0;
		}
		dentry_drop(d, false);
		dentry_put(d);
	}
	return lookup_uncached(dir, c, name, len, ret);
}

/* ---- changes ---- */

struct dentry *dentry_instantiate(struct dentry *dir, const char *name, struct inode *inode)
{
	struct dentry *d = dentry_make(dir->sb, dir, name, strlen(name), inode), *old;

	mutex_lock(&dir->lock);
	dir->changes++;
	old = table_find(dir, name, strlen(name), d->hash);
	if (old)
		table_remove(dir, old);
	if (old && !obj_tryget(old))
		old = NULL;
	table_insert(dir, d);
	mutex_unlock(&dir->lock);
	/* The negative one would hold its directory, which may be removed, for nothing. */
	if (old)
		super_uncache(old->sb, old);
	dentry_put(old);
	super_cache(dir->sb, d);
	return d;
}

void dentry_drop(struct dentry *d, bool unlinked)
{
	struct dentry *dir = d->parent;

	if (!dir)
		return;
	mutex_lock(&dir->lock);
	dir->changes++;
	table_remove(dir, d);
	if (unlinked)
		d->unlinked = true;
	mutex_unlock(&dir->lock);
	super_uncache(d->sb, d);
}

void dentry_move(struct dentry *d, struct dentry *dir, const char *name, struct dentry *other)
{
	AUTO(dentry) old_dir = dentry_get(d->parent);
	AUTO(dentry) target = NULL;
	AUTO_FREE char *old_name = NULL;
	struct dentry *drop_a = NULL, *drop_b = NULL;

	mutex_lock_pair(&old_dir->lock, &dir->lock);
	old_dir->changes++;
	dir->changes++;
	table_remove(old_dir, d);
	old_name = d->name;
	if (other) {
		table_remove(dir, other);
		drop_b = other->parent;
		other->parent = dentry_get(old_dir);
		d->name = other->name;
		other->name = TAKE(old_name);
		other->hash = dentry_hash(other->name, strlen(other->name));
		table_insert(old_dir, other);
	} else {
		size_t len = strlen(name);

		target = table_find(dir, name, len, dentry_hash(name, len));
		if (target) {
			table_remove(dir, target);
			if (target->inode)
				target->unlinked = true;
			if (!obj_tryget(target))
				target = NULL;
		}
		d->name = strdup(name);
		BUG_ON(!d->name);
	}
	d->hash = dentry_hash(d->name, strlen(d->name));
	drop_a = d->parent;
	d->parent = dentry_get(dir);
	table_insert(dir, d);
	mutex_unlock_pair(&old_dir->lock, &dir->lock);
	dentry_put(drop_a);
	dentry_put(drop_b);
	if (target)
		super_uncache(target->sb, target);
}

void dentry_prune(struct dentry *dir)
{
	struct dentry **list = NULL;
	size_t n = 0;

	mutex_lock(&dir->lock);
	if (dir->n_children)
		list = calloc(dir->n_children, sizeof(struct dentry *));
	for (u32 b = 0; list && b < dir->n_buckets; b++) {
		for (struct dentry *d = dir->children[b]; d; d = d->hash_next) {
			if (obj_tryget(d))
				list[n++] = d;
		}
	}
	mutex_unlock(&dir->lock);
	for (size_t i = 0; i < n; i++) {
		super_uncache(dir->sb, list[i]);
		dentry_put(list[i]);
	}
	free(list);
}

bool dentry_is_ancestor(const struct dentry *a, const struct dentry *b)
{
	for (; b; b = b->parent) {
		if (a == b)
			return true;
	}
	return false;
}

struct dentry *dentry_get_parent(struct dentry *d)
{
	GUARD_READ(&d->sb->rename_lock);
	return dentry_get(d->parent ? d->parent : d);
}
