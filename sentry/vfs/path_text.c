/* From a place back to its text. */
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/namei.h"

#include <stdio.h>
#include <string.h>

struct text {
	char *buf, *p; /* filled from the end */
	bool cut;
	bool plain; /* nothing is said of what root does not lead to */
};

static void prepend(struct text *t, const char *s, size_t len)
{
	size_t room = (size_t)(t->p - t->buf);

	if (len > room) {
		t->cut = true;
		s += len - room;
		len = room;
	}
	t->p -= len;
	memcpy(t->p, s, len);
}

/* Prepends the names from d up to the first of root and stop; returns where it ended. The super
 * block's tree is locked. */
static const struct dentry *climb(struct text *t, const struct dentry *d, const struct dentry *root,
                                  const struct dentry *stop)
{
	while (d != root && d != stop && d->parent) {
		prepend(t, d->name, strlen(d->name));
		prepend(t, "/", 1);
		d = d->parent;
	}
	return d;
}

static void fill(struct text *t, const struct path *p, const struct path *root)
{
	AUTO_PATH cur = *p;

	path_get(&cur);
	for (;;) {
		const struct dentry *end;
		struct path up;

		rwlock_rdlock(&cur.mount->sb->rename_lock);
		end = climb(t, cur.dentry, cur.mount->root,
		            cur.mount == root->mount ? root->dentry : NULL);
		rwlock_unlock(&cur.mount->sb->rename_lock);
		if (cur.mount == root->mount && end == root->dentry)
			break;
		if (end != cur.mount->root || !mount_up(&cur, &up)) {
			/* A detached mount, or above the root. */
			if (*t->p != '/')
				prepend(t, "/", 1);
			if (!t->plain)
				prepend(t, "(unreachable)", 13);
			return;
		}
		path_put(&cur);
		cur = up;
	}
	if (!*t->p || *t->p != '/')
		prepend(t, "/", 1);
}

static int make_text(const struct path *p, const struct path *root, bool plain, char *buf,
                     size_t size, char **ret)
{
	struct text t = {buf, buf + size, false, plain};

	if (size < 2)
		return -ENAMETOOLONG;
	*--t.p = 0;
	if (READ_ONCE(p->dentry->unlinked)) {
		prepend(&t, " (deleted)", 10);
		/* fill looks for a slash at the front. */
		char *name_end = t.p;

		fill(&t, p, root);
		if (t.p == name_end)
			prepend(&t, "/", 1);
	} else {
		fill(&t, p, root);
	}
	if (t.cut)
		return -ENAMETOOLONG;
	*ret = t.p;
	return 0;
}

int path_text(const struct path *p, const struct path *root, char *buf, size_t size, char **ret)
{
	return make_text(p, root, false, buf, size, ret);
}

void path_describe(const struct path *p, struct ctx *c, char *buf, size_t size)
{
	AUTO_PATH root = {0};
	char text[PATH_TEXT_MAX], *start;

	if (c && c->fs) {
		fs_get_root(c->fs, &root);
	} else {
		/* Seen from the top of its namespace. */
		struct path top = {p->mount, p->mount->root}, up;

		path_get(&top);
		while (mount_up(&top, &up)) {
			path_put(&top);
			up.dentry = (dentry_put(up.dentry), dentry_get(up.mount->root));
			top = up;
		}
		root = top;
	}
	if (make_text(p, &root, true, text, sizeof(text), &start) < 0)
		start = memcpy(text, "...", 4);
	snprintf(buf, size, "%s", start);
}
