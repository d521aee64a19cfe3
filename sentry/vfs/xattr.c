#include "sentry/vfs/xattr.h"

#include "sentry/auth/creds.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

static struct xattr *find(const struct xattrs *x, const char *name)
{
	for (size_t i = 0; i < x->n; i++) {
		if (!strcmp(x->v[i].name, name))
			return &x->v[i];
	}
	return NULL;
}

long xattrs_get(const struct xattrs *x, const char *name, void *buf, size_t size)
{
	const struct xattr *a = find(x, name);

	if (!a)
		return -ENODATA;
	if (size == 0)
		return (long)a->size;
	if (size < a->size)
		return -ERANGE;
	if (a->size)
		memcpy(buf, a->value, a->size);
	return (long)a->size;
}

int xattrs_set(struct xattrs *x, const char *name, const void *buf, size_t size, int flags)
{
	struct xattr *a = find(x, name), *grown;
	void *copy;

	if (a && (flags & XATTR_CREATE))
		return -EEXIST;
	if (!a && (flags & XATTR_REPLACE))
		return -ENODATA;
	copy = malloc(size + 1);
	if (!copy)
		return -ENOMEM;
	if (size)
		memcpy(copy, buf, size);
	if (!a) {
		grown = realloc(x->v, (x->n + 1) * sizeof(*x->v));
		if (grown)
			x->v = grown;
		a = &x->v[x->n];
		if (grown)
			*a = (struct xattr){.name = strdup(name)};
		if (!grown || !a->name) {
			free(copy);
			return -ENOMEM;
		}
		x->n++;
	}
	free(a->value);
	a->value = copy;
	a->size = size;
	return 0;
}

long xattrs_list(const struct xattrs *x, char *buf, size_t size)
{
	size_t need = 0;

	for (size_t i = 0; i < x->n; i++) {
		size_t len = strlen(x->v[i].name) + 1;

		if (size) {
			if (need + len > size)
				return -ERANGE;
			memcpy(buf + need, x->v[i].name, len);
		}
		need += len;
	}
	return (long)need;
}

int xattrs_remove(struct xattrs *x, const char *name)
{
	struct xattr *a = find(x, name);

	if (!a)
		return -ENODATA;
	free(a->name);
	free(a->value);
	memmove(a, a + 1, (size_t)(x->v + x->n - (a + 1)) * sizeof(*a));
	x->n--;
	return 0;
}

void xattrs_finish(struct xattrs *x)
{
	for (size_t i = 0; i < x->n; i++) {
		free(x->v[i].name);
		free(x->v[i].value);
	}
	free(x->v);
	*x = (struct xattrs){0};
}

/* ---- checks ---- */

static bool in_namespace(const char *name, const char *ns)
{
	return !strncmp(name, ns, strlen(ns));
}

static int check_access(struct ctx *c, struct inode *i, const char *name, bool write)
{
	if (in_namespace(name, "user.")) {
		if (!inode_is_reg(i) && !inode_is_dir(i))
			return write ? -EPERM : -ENODATA;
		if (write && inode_is_dir(i) && (READ_ONCE(i->mode) & S_ISVTX) &&
		    !inode_owner_or_capable(i, c))
			return -EPERM;
		return inode_permission(i, c, NULL, write ? MAY_WRITE : MAY_READ);
	}
	if (in_namespace(name, "trusted.")) {
		if (creds_capable(c->creds, CAP_SYS_ADMIN))
			return 0;
		return write ? -EPERM : -ENODATA;
	}
	if (in_namespace(name, "security.")) {
		if (!write || creds_capable(c->creds, CAP_SYS_ADMIN))
			return 0;
		if (!strcmp(name, "security.capability") && creds_capable(c->creds, CAP_SETFCAP))
			return 0;
		return -EPERM;
	}
	return -EOPNOTSUPP;
}

static int check(struct ctx *c, struct inode *i, const char *name, bool write)
{
	int r = check_access(c, i, name, write);

	/* A namespace alone is no name. */
	return r == 0 && !strchr(name, '.')[1] ? -EINVAL : r;
}

long vfs_getxattr(struct ctx *c, struct inode *i, const char *name, void *buf, size_t size)
{
	int r = check(c, i, name, false);

	if (r < 0)
		return r;
	return inode_ops_of(i)->getxattr ? inode_ops_of(i)->getxattr(i, c, name, buf, size)
	                                 : -EOPNOTSUPP;
}

int vfs_setxattr(struct ctx *c, struct inode *i, const char *name, const void *buf, size_t size,
                 int flags)
{
	int r = check(c, i, name, true);

	if (r < 0)
		return r;
	return inode_ops_of(i)->setxattr ? inode_ops_of(i)->setxattr(i, c, name, buf, size, flags)
	                                 : -EOPNOTSUPP;
}

long vfs_listxattr(struct ctx *c, struct inode *i, char *buf, size_t size)
{
	return inode_ops_of(i)->listxattr ? inode_ops_of(i)->listxattr(i, c, buf, size) : 0;
}

int vfs_removexattr(struct ctx *c, struct inode *i, const char *name)
{
	int r = check(c, i, name, true);

	if (r < 0)
		return r;
	return inode_ops_of(i)->removexattr ? inode_ops_of(i)->removexattr(i, c, name)
	                                    : -EOPNOTSUPP;
}
