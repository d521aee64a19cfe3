/* Directories: two trees over the entries, by name for lookups and by cookie for listings. */
#include "sentry/fs/tmpfs/tmpfs.h"
#include "state/base/bug.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>

static int name_compare(struct tmpfs_entry *a, struct tmpfs_entry *b)
{
	return strcmp(a->name, b->name);
}
static int cookie_compare(struct tmpfs_entry *a, struct tmpfs_entry *b)
{
	return a->cookie < b->cookie ? -1 : a->cookie > b->cookie;
}
RB_GENERATE(tmpfs_names, tmpfs_entry, by_name, name_compare);
RB_GENERATE(tmpfs_cookies, tmpfs_entry, by_cookie, cookie_compare);

/* ---- entries; tree lock held ---- */

static struct tmpfs_entry *entry_new(const char *name)
{
	size_t len = strlen(name);
	struct tmpfs_entry *e = malloc(sizeof(*e) + len + 1);

	BUG_ON(!e);
	memset(e, 0, sizeof(*e));
	e->len = (u32)len;
	memcpy(e->name, name, len + 1);
	return e;
}

static struct tmpfs_entry *find(struct tmpfs_inode *dir, const char *name)
{
	struct tmpfs_entry *e = RB_ROOT(&dir->names);

	while (e) {
		int cmp = strcmp(name, e->name);

		if (cmp == 0)
			return e;
		e = cmp < 0 ? RB_LEFT(e, by_name) : RB_RIGHT(e, by_name);
	}
	return NULL;
}

static struct tmpfs_entry *from_cookie(struct tmpfs_inode *dir, u64 cookie)
{
	struct tmpfs_entry *e = RB_ROOT(&dir->cookies), *best = NULL;

	while (e) {
		if (e->cookie >= cookie) {
			best = e;
			e = RB_LEFT(e, by_cookie);
		} else {
			e = RB_RIGHT(e, by_cookie);
		}
	}
	return best;
}

/* Takes over the inode's reference. */
static void insert(struct tmpfs_inode *dir, struct tmpfs_entry *e, struct inode *inode, u64 cookie)
{
	e->inode = inode;
	e->cookie = cookie;
	RB_INSERT(tmpfs_names, &dir->names, e);
	RB_INSERT(tmpfs_cookies, &dir->cookies, e);
	dir->n_entries++;
}

/* The caller gets the inode's reference. */
static struct inode *take(struct tmpfs_inode *dir, struct tmpfs_entry *e)
{
	struct inode *i = e->inode;

	RB_REMOVE(tmpfs_names, &dir->names, e);
	RB_REMOVE(tmpfs_cookies, &dir->cookies, e);
	dir->n_entries--;
	free(e);
	return i;
}

static void add_links(struct inode *i, int n)
{
	GUARD(&i->lock);
	i->nlink = (u32)((int)i->nlink + n);
}

static void changed(struct inode *dir, struct inode *what, struct ctx *c)
{
	if (dir)
		inode_touch(dir, c, false, true, true);
	if (what)
		inode_touch(what, c, false, false, true);
}

int tmpfs_entry_load(struct tmpfs_inode *dir, const char *name, struct inode *inode, u64 cookie)
{
	struct tmpfs_entry *e, *at;

	if (!name[0] || strlen(name) > DENTRY_NAME_MAX || strchr(name, '/') || !strcmp(name, ".") ||
	    !strcmp(name, "..") || cookie < 2 || cookie > INT64_MAX)
		return -EINVAL;
	at = from_cookie(dir, cookie);
	if (find(dir, name) || (at && at->cookie == cookie))
		return -EEXIST;
	e = entry_new(name);
	insert(dir, e, inode_get(inode), cookie);
	return 0;
}

/*
 * Inodes of a tree that goes away are put by the outermost destroy in a loop, so that the depth of
 * directories costs no stack.
 */
static __thread struct inode **dying;
static __thread size_t n_dying, max_dying;
static __thread bool draining;

void tmpfs_entries_finish(struct tmpfs_inode *ti)
{
	struct tmpfs_entry *e;

	while ((e = RB_ROOT(&ti->cookies))) {
		if (n_dying == max_dying) {
			max_dying = max_dying ? max_dying * 2 : 64;
			dying = realloc(dying, max_dying * sizeof(struct inode *));
			BUG_ON(!dying);
		}
		dying[n_dying++] = take(ti, e);
	}
	if (draining || !n_dying)
		return;
	draining = true;
	while (n_dying)
		inode_put(dying[--n_dying]);
	draining = false;
	free(TAKE(dying));
	max_dying = 0;
}

void tmpfs_walk(struct inode *dir, u64 cookie, bool (*fn)(const struct tmpfs_entry *e, void *arg),
                void *arg)
{
	struct tmpfs_inode *ti = tmpfs_i(dir);
	GUARD(&tmpfs_sb(dir)->tree);

	for (struct tmpfs_entry *e = from_cookie(ti, cookie); e;
	     e = RB_NEXT(tmpfs_cookies, &ti->cookies, e)) {
		if (!fn(e, arg))
			return;
	}
}

bool tmpfs_dir_empty(struct inode *dir)
{
	GUARD(&tmpfs_sb(dir)->tree);
	return tmpfs_i(dir)->n_entries == 0;
}

/* ---- operations ---- */

int tmpfs_lookup(struct inode *dir, struct ctx *c, const char *name, struct inode **ret)
{
	struct tmpfs_entry *e;
	GUARD(&tmpfs_sb(dir)->tree);

	(void)c;
	e = find(tmpfs_i(dir), name);
	if (!e)
		return -ENOENT;
	*ret = inode_get(e->inode);
	return 0;
}

/* tree lock held. A directory without links is on its way out. */
static int add_locked(struct inode *dir, struct ctx *c, const char *name, struct inode *i)
{
	struct tmpfs_inode *ti = tmpfs_i(dir);

	if (dir->nlink == 0)
		return -ENOENT;
	if (find(ti, name))
		return -EEXIST;
	insert(ti, entry_new(name), inode_get(i), ti->next_cookie++);
	if (inode_is_dir(i))
		add_links(dir, 1);
	changed(dir, NULL, c);
	return 0;
}

int tmpfs_add(struct inode *dir, struct ctx *c, const char *name, struct inode *i)
{
	GUARD(&tmpfs_sb(dir)->tree);
	return add_locked(dir, c, name, i);
}

int tmpfs_link(struct inode *dir, struct ctx *c, const char *name, struct inode *target)
{
	int r;
	GUARD(&tmpfs_sb(dir)->tree);

	if (target->nlink == 0 && !tmpfs_i(target)->linkable)
		return -ENOENT;
	r = add_locked(dir, c, name, target);
	if (r < 0)
		return r;
	tmpfs_i(target)->linkable = false;
	add_links(target, 1);
	changed(NULL, target, c);
	return 0;
}

static int find_victim(struct inode *dir, const char *name, struct inode *victim,
                       struct tmpfs_entry **ret)
{
	struct tmpfs_entry *e = find(tmpfs_i(dir), name);

	if (!e)
		return -ENOENT;
	if (e->inode != victim)
		return -ESTALE;
	*ret = e;
	return 0;
}

int tmpfs_unlink(struct inode *dir, struct ctx *c, const char *name, struct inode *victim)
{
	AUTO(inode) gone = NULL; /* put after the lock */
	struct tmpfs_entry *e;
	int r;
	GUARD(&tmpfs_sb(dir)->tree);

	r = find_victim(dir, name, victim, &e);
	if (r < 0)
		return r;
	gone = take(tmpfs_i(dir), e);
	add_links(victim, -1);
	changed(dir, victim, c);
	return 0;
}

int tmpfs_rmdir(struct inode *dir, struct ctx *c, const char *name, struct inode *victim)
{
	AUTO(inode) gone = NULL;
	struct tmpfs_entry *e;
	int r;
	GUARD(&tmpfs_sb(dir)->tree);

	r = find_victim(dir, name, victim, &e);
	if (r < 0)
		return r;
	if (tmpfs_i(victim)->n_entries)
		return -ENOTEMPTY;
	gone = take(tmpfs_i(dir), e);
	add_links(victim, -(int)victim->nlink);
	add_links(dir, -1);
	changed(dir, victim, c);
	return 0;
}

static int exchange(struct inode *dir, struct ctx *c, struct tmpfs_entry *e, struct inode *new_dir,
                    struct tmpfs_entry *t)
{
	struct inode *tmp = e->inode;
	int delta = (int)inode_is_dir(t->inode) - (int)inode_is_dir(e->inode);

	e->inode = t->inode;
	t->inode = tmp;
	if (dir != new_dir && delta) {
		add_links(dir, delta);
		add_links(new_dir, -delta);
	}
	changed(dir, e->inode, c);
	changed(new_dir, t->inode, c);
	return 0;
}

int tmpfs_rename(struct inode *dir, struct ctx *c, const char *name, struct inode *victim,
                 struct inode *new_dir, const char *new_name, struct inode *target, u32 flags)
{
	AUTO(inode) gone = NULL;
	AUTO(inode) whiteout = NULL;
	struct tmpfs_entry *e, *t = NULL;
	struct inode *moved;
	int r;

	if (flags & RENAME_WHITEOUT) {
		r = tmpfs_inode_new(dir->sb, c, S_IFCHR, 0, NULL, 0, &whiteout);
		if (r < 0)
			return r;
	}
	GUARD(&tmpfs_sb(dir)->tree);
	r = find_victim(dir, name, victim, &e);
	if (r == 0 && target)
		r = find_victim(new_dir, new_name, target, &t);
	if (r < 0)
		return r;
	if (!target && find(tmpfs_i(new_dir), new_name))
		return -ESTALE;
	if (new_dir->nlink == 0)
		return -ENOENT;
	if (flags & RENAME_EXCHANGE)
		return exchange(dir, c, e, new_dir, t);
	if (t) {
		if (inode_is_dir(target) && tmpfs_i(target)->n_entries)
			return -ENOTEMPTY;
		gone = take(tmpfs_i(new_dir), t);
		add_links(target, inode_is_dir(target) ? -(int)target->nlink : -1);
		if (inode_is_dir(target))
			add_links(new_dir, -1);
		changed(NULL, target, c);
	}
	moved = take(tmpfs_i(dir), e);
	insert(tmpfs_i(new_dir), entry_new(new_name), moved, tmpfs_i(new_dir)->next_cookie++);
	if (inode_is_dir(moved)) {
		add_links(dir, -1);
		add_links(new_dir, 1);
	}
	if (whiteout) {
		r = add_locked(dir, c, name, whiteout);
		BUG_ON(r < 0);
	}
	changed(dir, moved, c);
	changed(new_dir, NULL, c);
	return 0;
}
