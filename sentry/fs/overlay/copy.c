/* Copy-up, and opening what was or was not copied. */
#include "sentry/fs/overlay/overlay_impl.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/shmem.h"
#include "sentry/mm/usercopy.h"
#include "sentry/vfs/xattr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK (256 * KIB)

struct inode *overlay_lower(struct overlay_inode *oi)
{
	GUARD(&oi->copy);
	return inode_get(oi->lower);
}

int overlay_open_lower(struct overlay_inode *oi, struct inode *lower, struct ctx *c,
                       struct file **ret)
{
	struct overlay_super *os = overlay_sb(&oi->ti.inode);
	/* A dentry of its own: one with a parent would take that one's lock at its end. */
	AUTO(dentry) d = dentry_new_root(os->lower, lower);
	struct path p = {.dentry = d};

	return inode_open(lower, c, &p, O_RDONLY, ret);
}

static void pin(struct overlay_inode *oi)
{
	AUTO(overlay_inode) top = NULL;
	GUARD(overlay_names_lock(&oi->ti.inode));

	top = overlay_pin(&oi->ti.inode);
}

/* ---- extended attributes; copy held ---- */

static int copy_xattr(struct overlay_inode *oi, struct ctx *c, const char *name)
{
	const struct inode_ops *ops = inode_ops_of(oi->lower);
	AUTO_FREE void *value = NULL;
	long n = ops->getxattr(oi->lower, c, name, NULL, 0);

	if (n > 0 && n <= XATTR_SIZE_LIMIT) {
		value = malloc((size_t)n);
		if (!value)
			return -ENOMEM;
		n = ops->getxattr(oi->lower, c, name, value, (size_t)n);
	}
	if (n == -ENODATA || n == -EOPNOTSUPP || n == -EPERM || n == -EACCES)
		return 0;
	if (n < 0)
		return (int)n;
	if (n > XATTR_SIZE_LIMIT || strlen(name) > XATTR_NAME_LIMIT)
		return -E2BIG;
	GUARD(&oi->ti.inode.lock);
	return xattrs_set(&oi->ti.xattrs, name, value, (size_t)n, 0);
}

static int copy_xattrs(struct overlay_inode *oi, struct ctx *c)
{
	const struct inode_ops *ops;
	AUTO_FREE char *names = NULL;
	long n = 0;
	int r = 0;

	if (oi->own_xattrs || !oi->lower)
		return 0;
	ops = inode_ops_of(oi->lower);
	if (ops->listxattr && ops->getxattr)
		n = ops->listxattr(oi->lower, c, NULL, 0);
	if (n > 0 && n <= XATTR_SIZE_LIMIT) {
		names = calloc(1, (size_t)n + 1);
		if (!names)
			return -ENOMEM;
		n = ops->listxattr(oi->lower, c, names, (size_t)n);
	}
	if (n < 0 && n != -EOPNOTSUPP)
		return (int)n;
	if (n > XATTR_SIZE_LIMIT)
		return -E2BIG;
	for (long at = 0; r == 0 && at < n; at += (long)strlen(names + at) + 1)
		r = copy_xattr(oi, c, names + at);
	if (r == 0)
		oi->own_xattrs = true;
	return r;
}

int overlay_copy_xattrs(struct overlay_inode *oi, struct ctx *c)
{
	pin(oi);
	GUARD(&oi->copy);
	return copy_xattrs(oi, c);
}

/* ---- content ---- */

static bool must_leave(struct ctx *c)
{
	return c && (atomic_load_explicit(&c->interrupt, memory_order_acquire) &
	             (INTERRUPT_STOP | INTERRUPT_KILL));
}

/* One chunk to the end of data: bytes, 0 at the end of the file. */
static long copy_chunk(struct file *f, struct ctx *c, struct shmem *data, void *buf, u64 len)
{
	s64 pos = (s64)shmem_size(data);
	UITER(dst);
	UITER(src);
	long n, done;

	uiter_init_kernel(&dst, buf, len);
	n = file_pread(f, c, &dst, pos);
	if (n <= 0)
		return n;
	uiter_init_kernel(&src, buf, (u64)n);
	done = shmem_write(data, &src, (u64)pos);
	return done == 0 ? -ENOSPC : done;
}

/* Zeros that end a file need no memory; those inside come out of the copy as they are. */
static int copy_content(struct overlay_inode *oi, struct ctx *c, u64 limit)
{
	AUTO(file) f = NULL;
	AUTO_FREE void *buf = NULL;
	int r = overlay_open_lower(oi, oi->lower, c, &f);

	if (r < 0)
		return r;
	buf = malloc(CHUNK);
	if (!buf)
		return -ENOMEM;
	for (;;) {
		u64 have = shmem_size(oi->partial);
		long n;

		if (have >= limit)
			return 0;
		n = copy_chunk(f, c, oi->partial, buf, MIN(limit - have, (u64)CHUNK));
		if (n <= 0)
			return (int)n;
		if (must_leave(c) && shmem_size(oi->partial) < limit)
			return -ERESTARTNOINTR;
	}
}

static int copy_locked(struct overlay_inode *oi, struct ctx *c, u64 limit)
{
	struct inode *i = &oi->ti.inode;
	int r;

	if (oi->ti.data)
		return 0;
	if (!oi->lower)
		return -EIO;
	r = copy_xattrs(oi, c);
	if (r < 0)
		return r;
	if (!oi->partial)
		oi->partial = shmem_new(c->kernel, 0);
	if (limit && i->size) {
		r = copy_content(oi, c, MIN(limit, i->size));
		if (r == -ERESTARTNOINTR)
			return r;
		if (r < 0) {
			shmem_put(TAKE(oi->partial));
			return r;
		}
	}
	GUARD(&i->lock);
	__atomic_store_n(&oi->ti.data, TAKE(oi->partial), __ATOMIC_RELEASE);
	tmpfs_update_size(&oi->ti);
	oi->own_xattrs = true;
	return 0;
}

int overlay_copy_up(struct overlay_inode *oi, struct ctx *c, u64 limit)
{
	AUTO(inode) done = NULL;
	int r;

	pin(oi);
	GUARD(&oi->copy);
	r = copy_locked(oi, c, limit);
	if (r == 0)
		done = TAKE(oi->lower);
	return r;
}

/* ---- open ---- */

int overlay_open(struct inode *i, struct ctx *c, const struct path *path, u32 flags,
                 struct file **ret)
{
	struct overlay_inode *oi = overlay_i(i);
	AUTO(inode) lower = NULL;

	if (inode_is_dir(i))
		return overlay_dir_open(i, path, flags, ret);
	if (!inode_is_reg(i))
		return special_open(i, c, path, flags, ret);
	if ((flags & O_ACCMODE) != O_RDONLY) {
		int r = overlay_copy_up(oi, c, UINT64_MAX);

		if (r < 0)
			return r;
	}
	lower = overlay_lower(oi);
	if (lower)
		return overlay_file_open(i, lower, c, path, flags, ret);
	return tmpfs_open(i, c, path, flags, ret);
}
