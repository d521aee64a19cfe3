/* The path walk: path_resolution(7) and the RESOLVE_ flags of openat2(2). */
#include "sentry/vfs/namei.h"

#include "sentry/auth/creds.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/walk.h"
#include "state/base/cleanup.h"

#include <stdlib.h>
#include <string.h>

int user_get_path(struct ctx *c, uaddr_t src, char **ret)
{
	char buf[PATH_TEXT_MAX];
	long n = user_get_str(c, src, buf, sizeof(buf));

	if (n < 0)
		return (int)n;
	*ret = memcpy(malloc((size_t)n + 1), buf, (size_t)n + 1);
	return 0;
}

static void path_copy(struct path *dst, const struct path *src)
{
	*dst = *src;
	path_get(dst);
}

static int walk_creds(struct walk *w)
{
	const struct creds *cr = w->c->creds;

	if (w->flags & LOOKUP_REAL_IDS) {
		/* access(2): by the real ids, with the capabilities that those would have. */
		struct creds *real = creds_copy(cr);

		real->fsuid = cr->uid;
		real->fsgid = cr->gid;
		if (cr->uid != 0)
			real->cap_effective = 0;
		else
			real->cap_effective = cr->cap_permitted;
		w->creds = real;
	} else {
		w->creds = obj_get((void *)(uintptr_t)cr);
	}
	return 0;
}

int walk_init_from(struct walk *w, struct ctx *c, const struct path *root, const struct path *start,
                   u32 flags)
{
	w->c = c;
	w->flags = flags;
	path_copy(&w->root, flags & LOOKUP_IN_ROOT ? start : root);
	path_copy(&w->cur, start);
	if (flags & (LOOKUP_BENEATH | LOOKUP_IN_ROOT | LOOKUP_NO_XDEV))
		path_copy(&w->start, start);
	return walk_creds(w);
}

int walk_init(struct walk *w, struct ctx *c, int dirfd, const char *name, u32 flags)
{
	w->c = c;
	w->flags = flags;
	if (!name[0] && !(flags & LOOKUP_EMPTY))
		return -ENOENT;
	fs_get_root(c->fs, &w->root);
	if (name[0] == '/' && !(flags & (LOOKUP_IN_ROOT | LOOKUP_BENEATH))) {
		path_copy(&w->cur, &w->root);
	} else if (dirfd == AT_FDCWD) {
		fs_get_cwd(c->fs, &w->cur);
	} else {
		AUTO(file) f = NULL;
		int r = fd_get_path(c, dirfd, &f);

		if (r < 0)
			return r;
		if (!f->path.dentry)
			return name[0] ? -ENOTDIR : -EINVAL;
		if (name[0] && !inode_is_dir(f->path.dentry->inode))
			return -ENOTDIR;
		path_copy(&w->cur, &f->path);
	}
	if (flags & LOOKUP_IN_ROOT) {
		path_put(&w->root);
		path_copy(&w->root, &w->cur);
	}
	if (flags & (LOOKUP_BENEATH | LOOKUP_IN_ROOT | LOOKUP_NO_XDEV))
		path_copy(&w->start, &w->cur);
	return walk_creds(w);
}

void walk_finish(struct walk *w)
{
	path_put(&w->root);
	path_put(&w->start);
	path_put(&w->cur);
	obj_put((void *)(uintptr_t)w->creds);
	free(w->buffer);
}

static bool same_place(const struct path *a, const struct path *b)
{
	return a->mount == b->mount && a->dentry == b->dentry;
}

static int to_root(struct walk *w)
{
	if (w->flags & LOOKUP_BENEATH)
		return -EXDEV;
	if ((w->flags & LOOKUP_NO_XDEV) && w->cur.mount != w->root.mount)
		return -EXDEV;
	path_put(&w->cur);
	path_copy(&w->cur, &w->root);
	return 0;
}

static int dotdot(struct walk *w)
{
	struct dentry *parent;

	if ((w->flags & LOOKUP_BENEATH) && same_place(&w->cur, &w->start))
		return -EXDEV;
	if (same_place(&w->cur, &w->root))
		return 0;
	while (w->cur.dentry == w->cur.mount->root) {
		struct path up;

		if (!mount_up(&w->cur, &up))
			return 0;
		if (w->flags & LOOKUP_NO_XDEV) {
			path_put(&up);
			return -EXDEV;
		}
		path_put(&w->cur);
		w->cur = up;
		if (same_place(&w->cur, &w->root))
			return 0;
	}
	parent = dentry_get_parent(w->cur.dentry);
	dentry_put(w->cur.dentry);
	w->cur.dentry = parent;
	mount_cross(&w->cur);
	return 0;
}

static int may_search(struct walk *w)
{
	struct inode *i = w->cur.dentry->inode;

	if (!inode_is_dir(i))
		return -ENOTDIR;
	return inode_permission(i, w->c, w->creds, MAY_EXEC);
}

void walk_enter(struct walk *w, struct dentry *d)
{
	dentry_put(w->cur.dentry);
	w->cur.dentry = dentry_get(d);
	mount_cross(&w->cur);
}

int walk_last(struct walk *w, struct dentry **ret)
{
	return dentry_lookup(w->cur.dentry, w->c, w->last, strlen(w->last), ret);
}

/* The text that goes on after a link's target. */
static int splice_link(struct walk *w, const char *text, const char *rest)
{
	size_t a = strlen(text), b = strlen(rest);
	char *joined;

	if (a + b + 1 >= PATH_TEXT_MAX * 2)
		return -ENAMETOOLONG;
	joined = malloc(a + b + 2);
	if (!joined)
		return -ENOMEM;
	memcpy(joined, text, a);
	if (b)
		joined[a++] = '/';
	memcpy(joined + a, rest, b + 1);
	free(w->buffer);
	w->buffer = joined;
	return 0;
}

/*
 * Reads where a link leads. With text, *ret_name is what to walk next (in w->buffer), starting at
 * dir; a magic link moves cur and leaves *ret_name at rest.
 */
static int read_link(struct walk *w, const struct path *dir, struct inode *link, const char *rest,
                     const char **ret_name)
{
	AUTO_FREE char *text = NULL;
	struct path jump = {0};
	int r;

	if ((w->flags & LOOKUP_NO_SYMLINKS) || (mount_flags(dir->mount) & MS_NOSYMFOLLOW))
		return -ELOOP;
	if (++w->links > SYMLINKS_MAX)
		return -ELOOP;
	if (!inode_ops_of(link)->get_link)
		return -EINVAL;
	r = inode_ops_of(link)->get_link(link, w->c, &text, &jump);
	if (r < 0)
		return r;
	if (r == 1) {
		if (w->flags & LOOKUP_NO_MAGICLINKS) {
			path_put(&jump);
			return -ELOOP;
		}
		if (w->flags & (LOOKUP_BENEATH | LOOKUP_IN_ROOT | LOOKUP_NO_XDEV)) {
			path_put(&jump);
			return -EXDEV;
		}
		path_put(&w->cur);
		w->cur = jump;
		r = splice_link(w, "", rest);
		if (r < 0)
			return r;
		/* A leading slash of the joint would mean the root. */
		*ret_name = w->buffer + (w->buffer[0] == '/');
		return 1;
	}
	inode_accessed_through(link, w->c, mount_flags(dir->mount));
	if (!text[0])
		return -ENOENT;
	r = splice_link(w, text, rest);
	if (r < 0)
		return r;
	if (w->cur.dentry != dir->dentry || w->cur.mount != dir->mount) {
		struct path old = w->cur;

		path_copy(&w->cur, dir);
		path_put(&old);
	}
	*ret_name = w->buffer;
	return 0;
}

/* The end of a walk in a place that a name led to: no last component is left. */
static void end_special(struct walk *w)
{
	w->special = true;
	w->last[0] = 0;
}

static int walk_text(struct walk *w, const char *p)
{
	int r;

	w->special = false;
	w->slash = false;
	w->last[0] = 0;
	if (*p == '/') {
		r = to_root(w);
		if (r < 0)
			return r;
	}
	for (;;) {
		const char *end, *next;
		size_t len;

		while (*p == '/')
			p++;
		if (!*p) {
			end_special(w);
			w->slash = true;
			return 0;
		}
		end = strchrnul(p, '/');
		len = (size_t)(end - p);
		for (next = end; *next == '/'; next++)
			;
		r = may_search(w);
		if (r < 0)
			return r;
		if (p[0] == '.' && (len == 1 || (len == 2 && p[1] == '.'))) {
			if (len == 2) {
				r = dotdot(w);
				if (r < 0)
					return r;
			}
			if (!*next) {
				end_special(w);
				w->slash = true;
				return 0;
			}
			p = next;
			continue;
		}
		if (len > DENTRY_NAME_MAX)
			return -ENAMETOOLONG;
		if (!*next) {
			memcpy(w->last, p, len);
			w->last[len] = 0;
			w->slash = *end == '/';
			return 0;
		}

		AUTO(dentry) d = NULL;
		r = dentry_lookup(w->cur.dentry, w->c, p, len, &d);
		if (r < 0)
			return r;
		if (!d->inode)
			return -ENOENT;
		if (inode_is_lnk(d->inode)) {
			AUTO_PATH dir = {0};

			path_copy(&dir, &w->cur);
			r = read_link(w, &dir, d->inode, next, &p);
			if (r < 0)
				return r;
			if (r == 0 && *p == '/') {
				r = to_root(w);
				if (r < 0)
					return r;
			}
			continue;
		}
		struct mount *before = w->cur.mount;
		walk_enter(w, d);
		if ((w->flags & LOOKUP_NO_XDEV) && w->cur.mount != before)
			return -EXDEV;
		p = next;
	}
}

int walk_parent(struct walk *w, const char *name)
{
	if (!name[0])
		return -ENOENT;
	if (strlen(name) >= PATH_TEXT_MAX)
		return -ENAMETOOLONG;
	return walk_text(w, name);
}

int walk_follow(struct walk *w, const struct path *dir, struct inode *link)
{
	const char *name;
	bool slash = w->slash;
	int r = read_link(w, dir, link, "", &name);

	if (r < 0)
		return r;
	if (r == 1) {
		end_special(w);
		return 0;
	}
	r = walk_text(w, name);
	w->slash = w->slash || slash;
	return r;
}

int walk_all(struct walk *w, const char *name)
{
	int r;

	if (!name[0])
		return w->flags & LOOKUP_EMPTY ? 0 : -ENOENT;
	r = walk_parent(w, name);
	while (r == 0 && !w->special) {
		AUTO(dentry) d = NULL;
		struct mount *before = w->cur.mount;

		r = walk_last(w, &d);
		if (r < 0)
			return r;
		if (!d->inode)
			return -ENOENT;
		if (inode_is_lnk(d->inode) && ((w->flags & LOOKUP_FOLLOW) || w->slash)) {
			AUTO_PATH dir = {0};

			path_copy(&dir, &w->cur);
			r = walk_follow(w, &dir, d->inode);
			continue;
		}
		walk_enter(w, d);
		if ((w->flags & LOOKUP_NO_XDEV) && w->cur.mount != before)
			return -EXDEV;
		break;
	}
	if (r < 0)
		return r;
	if (((w->flags & LOOKUP_DIRECTORY) || w->slash) && !inode_is_dir(w->cur.dentry->inode))
		return -ENOTDIR;
	return 0;
}

int path_lookup(struct ctx *c, int dirfd, const char *name, u32 flags, struct path *ret)
{
	WALK(w);
	int r = walk_init(&w, c, dirfd, name, flags);

	if (r == 0)
		r = walk_all(&w, name);
	if (r < 0)
		return r;
	*ret = w.cur;
	w.cur = (struct path){0};
	return 0;
}

int path_lookup_from(struct ctx *c, const struct path *root, const struct path *start,
                     const char *name, u32 flags, struct path *ret)
{
	WALK(w);
	int r = walk_init_from(&w, c, root, start, flags);

	if (r == 0)
		r = walk_all(&w, name);
	if (r < 0)
		return r;
	*ret = w.cur;
	w.cur = (struct path){0};
	return 0;
}

int path_parent(struct ctx *c, int dirfd, const char *name, struct path *ret_dir, char *last,
                bool *ret_slash, bool *ret_special)
{
	WALK(w);
	int r = walk_init(&w, c, dirfd, name, 0);

	if (r == 0)
		r = walk_parent(&w, name);
	if (r < 0)
		return r;
	if (!inode_is_dir(w.cur.dentry->inode))
		return -ENOTDIR;
	memcpy(last, w.last, sizeof(w.last));
	*ret_slash = w.slash;
	*ret_special = w.special;
	*ret_dir = w.cur;
	w.cur = (struct path){0};
	return 0;
}
