/* xattr(7): getxattr(2), setxattr(2), listxattr(2), removexattr(2) by path, link and descriptor. */
#include "sentry/syscall/sysarg.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/namei.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/xattr.h"
#include "state/base/cleanup.h"

#include <stdlib.h>
#include <sys/xattr.h>

/* What a call works on: found by path or descriptor. */
struct subject {
	struct path path;
	struct file *f;
	struct inode *inode;
	struct mount *mount; /* NULL for anonymous files */
};
static void subject_finish(struct subject *s)
{
	path_put(&s->path);
	file_put(s->f);
}
#define SUBJECT(s) __attribute__((cleanup(subject_finish))) struct subject s = {0}

static int by_path(struct subject *s, struct ctx *c, uaddr_t upath, bool follow)
{
	AUTO_FREE char *path = NULL;
	int r = user_get_path(c, upath, &path);

	if (r == 0)
		r = path_lookup(c, AT_FDCWD, path, follow ? LOOKUP_FOLLOW : 0, &s->path);
	if (r < 0)
		return r;
	s->inode = path_inode(&s->path);
	s->mount = s->path.mount;
	return 0;
}
static int by_fd(struct subject *s, struct ctx *c, int fd)
{
	int r = fd_get(c, fd, &s->f);

	if (r < 0)
		return r;
	s->inode = s->f->path.dentry ? s->f->path.dentry->inode : s->f->inode;
	s->mount = s->f->path.mount;
	return 0;
}

static void subject_changed(struct subject *s)
{
	const struct path *p = s->f ? &s->f->path : &s->path;

	if (p->dentry)
		notify_dentry(p->dentry, IN_ATTRIB);
}

static int get_name(struct ctx *c, uaddr_t uname, char name[XATTR_NAME_LIMIT + 1])
{
	long n = user_get_str(c, uname, name, XATTR_NAME_LIMIT + 1);

	if (n == -ENAMETOOLONG || n == 0)
		return -ERANGE;
	return n < 0 ? (int)n : 0;
}

static long do_get(struct ctx *c, struct subject *s, uaddr_t uname, uaddr_t out, size_t size)
{
	char name[XATTR_NAME_LIMIT + 1];
	AUTO_FREE void *buf = NULL;
	long n = get_name(c, uname, name);
	int r;

	if (n < 0)
		return n;
	size = MIN(size, (size_t)XATTR_SIZE_LIMIT);
	buf = malloc(size + 1);
	if (!buf)
		return -ENOMEM;
	n = vfs_getxattr(c, s->inode, name, buf, size);
	if (n <= 0 || size == 0)
		return n;
	r = user_copy_out(c, out, buf, (size_t)n);
	return r < 0 ? r : n;
}
SYSCALL4(getxattr, uaddr_t, path, uaddr_t, name, uaddr_t, out, size_t, size)
{
	SUBJECT(s);
	int r = by_path(&s, &t->ctx, path, true);

	return r < 0 ? r : do_get(&t->ctx, &s, name, out, size);
}
SYSCALL4(lgetxattr, uaddr_t, path, uaddr_t, name, uaddr_t, out, size_t, size)
{
	SUBJECT(s);
	int r = by_path(&s, &t->ctx, path, false);

	return r < 0 ? r : do_get(&t->ctx, &s, name, out, size);
}
SYSCALL4(fgetxattr, int, fd, uaddr_t, name, uaddr_t, out, size_t, size)
{
	SUBJECT(s);
	int r = by_fd(&s, &t->ctx, fd);

	return r < 0 ? r : do_get(&t->ctx, &s, name, out, size);
}

static long do_set(struct ctx *c, struct subject *s, uaddr_t uname, uaddr_t value, size_t size,
                   int flags)
{
	char name[XATTR_NAME_LIMIT + 1];
	AUTO_FREE void *buf = NULL;
	int r;

	if (flags & ~(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	r = get_name(c, uname, name);
	if (r < 0)
		return r;
	if (size > XATTR_SIZE_LIMIT)
		return -E2BIG;
	buf = malloc(size + 1);
	if (!buf)
		return -ENOMEM;
	r = user_copy_in(c, buf, value, size);
	if (r == 0 && s->mount)
		r = mount_want_write(s->mount);
	if (r == 0)
		r = vfs_setxattr(c, s->inode, name, buf, size, flags);
	if (r == 0)
		subject_changed(s);
	return r;
}
SYSCALL5(setxattr, uaddr_t, path, uaddr_t, name, uaddr_t, value, size_t, size, int, flags)
{
	SUBJECT(s);
	int r = by_path(&s, &t->ctx, path, true);

	return r < 0 ? r : do_set(&t->ctx, &s, name, value, size, flags);
}
SYSCALL5(lsetxattr, uaddr_t, path, uaddr_t, name, uaddr_t, value, size_t, size, int, flags)
{
	SUBJECT(s);
	int r = by_path(&s, &t->ctx, path, false);

	return r < 0 ? r : do_set(&t->ctx, &s, name, value, size, flags);
}
SYSCALL5(fsetxattr, int, fd, uaddr_t, name, uaddr_t, value, size_t, size, int, flags)
{
	SUBJECT(s);
	int r = by_fd(&s, &t->ctx, fd);

	return r < 0 ? r : do_set(&t->ctx, &s, name, value, size, flags);
}

static long do_list(struct ctx *c, struct subject *s, uaddr_t out, size_t size)
{
	AUTO_FREE char *buf = NULL;
	long n;
	int r;

	size = MIN(size, (size_t)XATTR_SIZE_LIMIT);
	buf = malloc(size + 1);
	if (!buf)
		return -ENOMEM;
	n = vfs_listxattr(c, s->inode, buf, size);
	if (n <= 0 || size == 0)
		return n;
	r = user_copy_out(c, out, buf, (size_t)n);
	return r < 0 ? r : n;
}
SYSCALL3(listxattr, uaddr_t, path, uaddr_t, out, size_t, size)
{
	SUBJECT(s);
	int r = by_path(&s, &t->ctx, path, true);

	return r < 0 ? r : do_list(&t->ctx, &s, out, size);
}
SYSCALL3(llistxattr, uaddr_t, path, uaddr_t, out, size_t, size)
{
	SUBJECT(s);
	int r = by_path(&s, &t->ctx, path, false);

	return r < 0 ? r : do_list(&t->ctx, &s, out, size);
}
SYSCALL3(flistxattr, int, fd, uaddr_t, out, size_t, size)
{
	SUBJECT(s);
	int r = by_fd(&s, &t->ctx, fd);

	return r < 0 ? r : do_list(&t->ctx, &s, out, size);
}

static long do_remove(struct ctx *c, struct subject *s, uaddr_t uname)
{
	char name[XATTR_NAME_LIMIT + 1];
	int r = get_name(c, uname, name);

	if (r == 0 && s->mount)
		r = mount_want_write(s->mount);
	if (r == 0)
		r = vfs_removexattr(c, s->inode, name);
	if (r == 0)
		subject_changed(s);
	return r;
}
SYSCALL2(removexattr, uaddr_t, path, uaddr_t, name)
{
	SUBJECT(s);
	int r = by_path(&s, &t->ctx, path, true);

	return r < 0 ? r : do_remove(&t->ctx, &s, name);
}
SYSCALL2(lremovexattr, uaddr_t, path, uaddr_t, name)
{
	SUBJECT(s);
	int r = by_path(&s, &t->ctx, path, false);

	return r < 0 ? r : do_remove(&t->ctx, &s, name);
}
SYSCALL2(fremovexattr, int, fd, uaddr_t, name)
{
	SUBJECT(s);
	int r = by_fd(&s, &t->ctx, fd);

	return r < 0 ? r : do_remove(&t->ctx, &s, name);
}
