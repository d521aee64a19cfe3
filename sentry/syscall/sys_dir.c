/* getdents(2), mkdir(2), rmdir(2), getcwd(2), chdir(2), chroot(2). */
#include "sentry/auth/creds.h"
#include "sentry/syscall/sysarg.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/namei.h"
#include "state/base/cleanup.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>

#define DENTS_MAX (64 * KIB)

/* Collects entries in the kernel; they go out in one copy. */
struct dents {
	struct dir_sink sink;
	u8 *buf;
	size_t size, len;
	bool old;      /* struct linux_dirent instead of linux_dirent64 */
	bool toosmall; /* not even the first entry fits */
};

static bool add_entry(struct dir_sink *s, const char *name, size_t len, u64 ino, u8 type, s64 off)
{
	struct dents *d = container_of(s, struct dents, sink);
	/* ino, off, reclen, [type,] name, NUL[, type] */
	size_t need = ALIGN_UP(d->old ? 18 + len + 2 : 19 + len + 1, 8u);
	u8 *p = d->buf + d->len;
	u16 reclen = (u16)need;

	if (d->len + need > d->size) {
		d->toosmall = d->len == 0;
		return false;
	}
	memset(p, 0, need);
	memcpy(p, &ino, 8);
	memcpy(p + 8, &off, 8);
	memcpy(p + 16, &reclen, 2);
	if (d->old) {
		memcpy(p + 18, name, len);
		p[need - 1] = type;
	} else {
		p[18] = type;
		memcpy(p + 19, name, len);
	}
	d->len += need;
	return true;
}

/* Not all of them could be copied: as many as there is room for. What the guest did not get is
 * still to come. */
static long copy_entries(struct ctx *c, struct file *f, uaddr_t out, const struct dents *d,
                         s64 before)
{
	size_t done = 0;
	s64 pos = before;
	u16 len;

	for (; done < d->len; done += len) {
		memcpy(&len, d->buf + done + 16, sizeof(len));
		if (user_copy_out(c, UADDR(out.a + done), d->buf + done, len) < 0)
			break;
		memcpy(&pos, d->buf + done + 8, sizeof(pos));
	}
	GUARD(&f->pos_lock);
	f->pos = pos;
	return done ? (long)done : -EFAULT;
}

static long do_getdents(struct task *t, int fd, uaddr_t out, u32 count, bool old)
{
	struct dents d = {.sink.entry = add_entry, .old = old, .size = MIN(count, DENTS_MAX)};
	AUTO(file) f = NULL;
	AUTO_FREE u8 *buf = NULL;
	int r = fd_get(&t->ctx, fd, &f);
	s64 before;

	if (r < 0)
		return r;
	if ((s32)count < 0)
		d.size = 0;
	before = READ_ONCE(f->pos);
	buf = malloc(d.size + 1);
	if (!buf)
		return -ENOMEM;
	d.buf = buf;
	r = file_iterate(f, &t->ctx, &d.sink);
	if (d.len == 0)
		return r < 0 ? r : d.toosmall ? -EINVAL : 0;
	r = user_copy_out(&t->ctx, out, buf, d.len);
	return r < 0 ? copy_entries(&t->ctx, f, out, &d, before) : (long)d.len;
}

SYSCALL3(getdents, int, fd, uaddr_t, out, u32, count)
{
	return do_getdents(t, fd, out, count, true);
}
SYSCALL3(getdents64, int, fd, uaddr_t, out, u32, count)
{
	return do_getdents(t, fd, out, count, false);
}

static long do_mkdir(struct task *t, int dirfd, uaddr_t upath, u32 mode)
{
	AUTO_FREE char *path = NULL;
	int r = user_get_path(&t->ctx, upath, &path);

	return r < 0 ? r : vfs_mkdir(&t->ctx, dirfd, path, mode);
}
SYSCALL2(mkdir, uaddr_t, path, u32, mode)
{
	return do_mkdir(t, AT_FDCWD, path, mode);
}
SYSCALL3(mkdirat, int, dirfd, uaddr_t, path, u32, mode)
{
	return do_mkdir(t, dirfd, path, mode);
}

SYSCALL1(rmdir, uaddr_t, upath)
{
	AUTO_FREE char *path = NULL;
	int r = user_get_path(&t->ctx, upath, &path);

	return r < 0 ? r : vfs_rmdir(&t->ctx, AT_FDCWD, path);
}

SYSCALL2(getcwd, uaddr_t, out, size_t, size)
{
	struct ctx *c = &t->ctx;
	AUTO_PATH cwd = {0};
	AUTO_PATH root = {0};
	char buf[PATH_TEXT_MAX + 32], *text;
	size_t n;
	int r;

	fs_get_cwd(c->fs, &cwd);
	fs_get_root(c->fs, &root);
	if (cwd.dentry->unlinked)
		return -ENOENT;
	r = path_text(&cwd, &root, buf, sizeof(buf), &text);
	if (r < 0)
		return r;
	n = strlen(text) + 1;
	if (n > size)
		return -ERANGE;
	r = user_copy_out(c, out, text, n);
	return r < 0 ? r : (long)n;
}

static long change_dir(struct ctx *c, const struct path *p)
{
	int r;

	if (!inode_is_dir(path_inode(p)))
		return -ENOTDIR;
	r = inode_permission(path_inode(p), c, NULL, MAY_EXEC);
	if (r == 0)
		fs_set_cwd(c->fs, p);
	return r;
}

SYSCALL1(chdir, uaddr_t, upath)
{
	AUTO_FREE char *path = NULL;
	AUTO_PATH p = {0};
	int r = user_get_path(&t->ctx, upath, &path);

	if (r == 0)
		r = path_lookup(&t->ctx, AT_FDCWD, path, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &p);
	return r < 0 ? r : change_dir(&t->ctx, &p);
}
SYSCALL1(fchdir, int, fd)
{
	AUTO(file) f = NULL;
	int r = fd_get_path(&t->ctx, fd, &f);

	if (r < 0)
		return r;
	return f->path.dentry ? change_dir(&t->ctx, &f->path) : -ENOTDIR;
}

SYSCALL1(chroot, uaddr_t, upath)
{
	struct ctx *c = &t->ctx;
	AUTO_FREE char *path = NULL;
	AUTO_PATH p = {0};
	int r = user_get_path(c, upath, &path);

	if (r == 0)
		r = path_lookup(c, AT_FDCWD, path, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &p);
	if (r == 0)
		r = inode_permission(path_inode(&p), c, NULL, MAY_EXEC);
	if (r < 0)
		return r;
	if (!creds_capable(c->creds, CAP_SYS_CHROOT))
		return -EPERM;
	fs_set_root(c->fs, &p);
	return 0;
}
