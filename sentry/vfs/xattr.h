#pragma once
/*
 * Extended attributes in memory, for file systems that keep them with the inode, and the checks
 * that all file systems share (xattr(7)).
 *
 * Locking: a list belongs to its inode, guarded by inode->lock. Lifetime: embedded; zeroed is
 * empty. Saved: by the owner through the two helpers.
 */
#include "sentry/vfs/inode.h"

#define XATTR_NAME_LIMIT 255
#define XATTR_SIZE_LIMIT 65536

struct xattr {
	char *name;
	void *value;
	size_t size;
};
struct xattrs {
	struct xattr *v;
	size_t n;
};

long xattrs_get(const struct xattrs *x, const char *name, void *buf, size_t size);
MUST_CHECK int xattrs_set(struct xattrs *x, const char *name, const void *buf, size_t size,
                          int flags);
long xattrs_list(const struct xattrs *x, char *buf, size_t size);
MUST_CHECK int xattrs_remove(struct xattrs *x, const char *name);
void xattrs_finish(struct xattrs *x);

/* The calls after the path was found: namespaces, permissions, read-only mounts are checked. */
MUST_CHECK long vfs_getxattr(struct ctx *c, struct inode *i, const char *name, void *buf,
                             size_t size);
MUST_CHECK int vfs_setxattr(struct ctx *c, struct inode *i, const char *name, const void *buf,
                            size_t size, int flags);
MUST_CHECK long vfs_listxattr(struct ctx *c, struct inode *i, char *buf, size_t size);
MUST_CHECK int vfs_removexattr(struct ctx *c, struct inode *i, const char *name);
