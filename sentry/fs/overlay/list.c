/*
 * Listings of merged directories. Positions: 0 and 1 are the dots, then come the names that exist
 * below, by their place in the sorted lower listing, which never changes; then the others, by the
 * cookies of their entries. So each name keeps its position as long as it is there.
 */
#include "proto/files.pb-c.h"
#include "sentry/fs/overlay/overlay_impl.h"
#include "sentry/vfs/dirent.h"
#include "sentry/vfs/mount.h"
#include "state/base/bug.h"
#include "state/fields.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BELOW_FIRST 2
#define HERE_FIRST  (1ll << 40) /* plus the cookie */

/* ---- names below ---- */

struct gather {
	struct dir_sink sink;
	struct overlay_below *v;
	size_t n, cap;
};

static bool gather_entry(struct dir_sink *s, const char *name, size_t len, u64 ino, u8 type,
                         s64 off)
{
	struct gather *g = container_of(s, struct gather, sink);
	char *copy = strndup(name, len);

	(void)off;
	BUG_ON(!copy);
	if (overlay_check_name(copy) < 0) { /* the dots, too */
		free(copy);
		return true;
	}
	if (g->n == g->cap) {
		g->cap = g->cap ? g->cap * 2 : 32;
		g->v = reallocarray(g->v, g->cap, sizeof(*g->v));
		BUG_ON(!g->v);
	}
	g->v[g->n++] = (struct overlay_below){.name = copy, .ino = ino, .type = type};
	return true;
}

static void below_free(struct overlay_below *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i].name);
	free(v);
}

static int below_compare(const void *a, const void *b)
{
	return strcmp(((const struct overlay_below *)a)->name,
	              ((const struct overlay_below *)b)->name);
}

static int gather(struct overlay_inode *dir, struct ctx *c, struct gather *g)
{
	AUTO(file) f = NULL;
	s64 pos = 2; /* the dots would want the lower tree's rename lock */
	size_t before, n = 0;
	int r = overlay_open_lower(dir, dir->lower, c, &f);

	if (r < 0)
		return r;
	if (!file_ops_of(f)->iterate)
		return -ENOTDIR;
	do {
		before = g->n;
		r = file_ops_of(f)->iterate(f, c, &g->sink, &pos);
		if (r < 0)
			return r;
	} while (g->n > before);
	if (g->n)
		qsort(g->v, g->n, sizeof(*g->v), below_compare);
	for (size_t i = 0; i < g->n; i++) {
		if (n && !strcmp(g->v[n - 1].name, g->v[i].name))
			free(g->v[i].name);
		else
			g->v[n++] = g->v[i];
	}
	g->n = n;
	return 0;
}

int overlay_list_below(struct overlay_inode *dir, struct ctx *c)
{
	struct gather g = {.sink.entry = gather_entry};
	int r;

	if (!dir->lower || atomic_load_explicit(&dir->listed, memory_order_acquire))
		return 0;
	r = gather(dir, c, &g);
	if (r == 0) {
		GUARD(&dir->copy);
		if (!dir->listed) {
			dir->below = TAKE(g.v);
			dir->n_below = g.n;
			g.n = 0;
			atomic_store_explicit(&dir->listed, true, memory_order_release);
		}
	}
	below_free(g.v, g.n);
	return r;
}

void overlay_below_finish(struct overlay_inode *dir)
{
	below_free(TAKE(dir->below), dir->n_below);
	dir->n_below = 0;
}

bool overlay_maybe_below(struct overlay_inode *dir, const char *name)
{
	struct overlay_below key = {.name = (char *)(uintptr_t)name};

	if (!atomic_load_explicit(&dir->listed, memory_order_acquire))
		return true;
	return dir->n_below && bsearch(&key, dir->below, dir->n_below, sizeof(key), below_compare);
}

bool overlay_dir_empty(struct overlay_inode *dir)
{
	struct overlay_entry *e;

	RB_FOREACH (e, overlay_cookies, &dir->cookies) {
		if (e->inode)
			return false;
	}
	for (size_t i = 0; i < dir->n_below; i++) {
		if (!overlay_entry_find(dir, dir->below[i].name))
			return false;
	}
	return true;
}

/* ---- open directories ---- */

struct overlay_dir {
	struct file file;
};
OBJECT_DECL(overlay_dir);

static bool give_below(struct overlay_inode *dir, struct dir_sink *sink, s64 *pos)
{
	for (; *pos - BELOW_FIRST < (s64)dir->n_below; ++*pos) {
		const struct overlay_below *b = &dir->below[*pos - BELOW_FIRST];
		const struct overlay_entry *e = overlay_entry_find(dir, b->name);
		u64 ino = b->ino;
		u8 type = b->type;

		if (e && (!e->inode || !e->hides))
			continue;
		if (e) {
			ino = e->inode->ino;
			type = dirent_type(e->inode->mode);
		}
		if (!sink->entry(sink, b->name, strlen(b->name), ino, type, *pos + 1))
			return false;
	}
	return true;
}

static void give_here(struct overlay_inode *dir, struct dir_sink *sink, s64 *pos)
{
	struct overlay_entry *e = RB_ROOT(&dir->cookies), *first = NULL;

	while (e) {
		if ((s64)e->cookie + HERE_FIRST >= *pos) {
			first = e;
			e = RB_LEFT(e, by_cookie);
		} else {
			e = RB_RIGHT(e, by_cookie);
		}
	}
	for (e = first; e; e = RB_NEXT(overlay_cookies, &dir->cookies, e)) {
		s64 next = (s64)e->cookie + HERE_FIRST + 1;

		if (!e->inode || e->hides)
			continue;
		if (!sink->entry(sink, e->name, strlen(e->name), e->inode->ino,
		                 dirent_type(e->inode->mode), next))
			return;
		*pos = next;
	}
}

static int overlay_dir_iterate(struct file *f, struct ctx *c, struct dir_sink *sink, s64 *pos)
{
	struct overlay_inode *dir = overlay_i(f->inode);
	int r = overlay_list_below(dir, c);

	if (r < 0)
		return r;
	if (!dirent_dots(f, sink, pos))
		return 0;
	inode_accessed(f->inode, c, f);
	GUARD(overlay_names_lock(f->inode));
	if (*pos >= HERE_FIRST || give_below(dir, sink, pos))
		give_here(dir, sink, pos);
	return 0;
}

#define OVERLAY_DIR_FIELDS(X) X(BASE, file, file)
static const struct file_ops overlay_dir_ops = {
	.id.describe = file_describe,
	.iterate = overlay_dir_iterate,
};
static int overlay_dir_after_load(struct loader *l, void *p)
{
	struct overlay_dir *d = p;

	if (!obj_is(d->file.inode, &overlay_inode_type))
		return loader_error(l, "open overlay directory of another file system's inode");
	return 0;
}
static void overlay_dir_sample(struct sampler *sp, void *p)
{
	struct overlay_dir *d = p;

	obj_put(d->file.inode);
	d->file.inode = sampler_ref(sp, &overlay_inode_type);
}
OBJECT_TYPE(overlay_dir, Sentry__OverlayDir, sentry__overlay_dir__descriptor, OVERLAY_DIR_FIELDS,
            .base = &file_type, .ops = &overlay_dir_ops, .after_load = overlay_dir_after_load,
            .sample = overlay_dir_sample);

int overlay_dir_open(struct inode *i, const struct path *path, u32 flags, struct file **ret)
{
	struct overlay_dir *d = obj_new(overlay_dir);

	file_setup(&d->file, flags, path, i);
	d->file.seekable = true;
	*ret = &d->file;
	return 0;
}
