/* Open file descriptions: the object, and the wrappers that all calls go through. */
#include "sentry/vfs/file.h"

#include "sentry/kernel/kernel.h"
#include "sentry/vfs/dnotify.h"
#include "sentry/vfs/epoll.h"
#include "sentry/vfs/fasync.h"
#include "sentry/vfs/lease.h"
#include "sentry/vfs/namei.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/path_file.h"
#include "sentry/vfs/path_state.h"
#include "sentry/vfs/super.h"

#include "state/base/cleanup.h"

#include <linux/falloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

/* ep_items is filled by the epolls' own load. */
#define FILE_FIELDS(X)         \
	X(BASE, id, mapid)     \
	X(ATOMIC, flags)       \
	X(VAL, seekable)       \
	X(SUB, path, path)     \
	X(REF, inode, inode)   \
	X(SKIP, pos_lock)      \
	X(VAL, pos)            \
	X(VAL, owner_type)     \
	X(VAL, owner_pid)      \
	X(VAL, owner_sig)      \
	X(VAL, owner_since)    \
	X(VAL, owner_uid)      \
	X(VAL, owner_euid)     \
	X(REF, fasync, fasync) \
	X(SKIP, ep_lock)       \
	X(SKIP, ep_items)

static void file_init(void *p)
{
	struct file *f = p;

	mutex_init(&f->pos_lock, RANK_FILE_POS);
	mutex_init(&f->ep_lock, RANK_LEAF);
	TAILQ_INIT(&f->ep_items);
}
static void file_last_put(void *p)
{
	struct file *f = p;

	notify_file(f, file_writable(f) ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE);
	epoll_file_gone(f);
	fasync_file_gone(f);
	locks_file_gone(f);
	lease_file_gone(f);
	dnotify_closed(f, NULL);
}
/* Regular files know how many have them open. */
static void count_open(struct file *f, u32 n)
{
	struct inode *place = file_place(f);

	if (f->inode && file_writable(f) && inode_is_reg(f->inode))
		atomic_fetch_add(&f->inode->writers, n);
	else if (place && file_readable(f) && inode_is_reg(place))
		atomic_fetch_add(&place->readers, n);
}

static void file_destroy(void *p)
{
	struct file *f = p;

	count_open(f, ~0u);
	path_put(&f->path);
	fasync_put(TAKE(f->fasync));
	inode_put(TAKE(f->inode));
}
static int file_after_load(struct loader *l, void *p)
{
	struct file *f = p;

	if (!f->inode)
		return loader_error(l, "open file without an inode");
	if (!f->path.mount != !f->path.dentry)
		return loader_error(l, "open file with half a path");
	if (f->pos < 0)
		return loader_error(l, "negative file position");
	fasync_file_loaded(f);
	count_open(f, 1);
	return 0;
}
static void file_sample(struct sampler *sp, void *p)
{
	struct file *f = p;

	(void)sp;
	f->pos &= 0xffff;
}
OBJECT_TYPE(file, Sentry__File, sentry__file__descriptor, FILE_FIELDS, .base = &mapid_type,
            .abstract = true, .init = file_init, .last_put = file_last_put, .destroy = file_destroy,
            .after_load = file_after_load, .sample = file_sample);

void file_setup(struct file *f, u32 flags, const struct path *path, struct inode *inode)
{
	atomic_store_explicit(&f->flags, flags & ~(u32)O_NOCTTY, memory_order_relaxed);
	if (path && path->dentry) {
		f->path = *path;
		path_get(&f->path);
	}
	f->inode = inode_get(inode);
	count_open(f, 1);
}

/* ---- transfers ---- */

static long accessed(struct file *f, long r)
{
	if (r > 0)
		notify_file(f, IN_ACCESS);
	return r;
}

static long modified(struct file *f, long r)
{
	if (r > 0)
		notify_file(f, IN_MODIFY);
	return r;
}

long file_pread(struct file *f, struct ctx *c, struct uiter *dst, s64 pos)
{
	const struct file_ops *ops = file_ops_of(f);

	if (!f->seekable)
		return file_flags(f) & O_PATH ? -EBADF : -ESPIPE;
	if (!file_readable(f))
		return -EBADF;
	if (pos < 0 || uiter_count(dst) > (u64)(INT64_MAX - pos))
		return -EINVAL;
	if (!ops->read)
		return inode_is_dir(f->inode) ? -EISDIR : -EINVAL;
	return accessed(f, ops->read(f, c, dst, &pos));
}

static long read_at_pos(struct file *f, struct ctx *c, struct uiter *dst)
{
	GUARD(&f->pos_lock);
	return file_ops_of(f)->read(f, c, dst, &f->pos);
}

long file_read(struct file *f, struct ctx *c, struct uiter *dst)
{
	const struct file_ops *ops = file_ops_of(f);

	if (!file_readable(f))
		return -EBADF;
	if (!ops->read)
		return inode_is_dir(f->inode) ? -EISDIR : -EINVAL;
	return accessed(f, f->seekable ? read_at_pos(f, c, dst) : ops->read(f, c, dst, NULL));
}

/* RLIMIT_FSIZE: shortens src, or says what happens at the limit. */
static int limit_size(struct file *f, struct ctx *c, struct uiter *src, s64 pos)
{
	u64 limit = c->rlimits ? c->rlimits[RLIMIT_FSIZE].rlim_cur : RLIM_INFINITY;

	if (likely(limit == RLIM_INFINITY) || !inode_is_reg(f->inode))
		return 0;
	if (file_appends(f, src))
		pos = (s64)READ_ONCE(f->inode->size);
	if ((u64)pos >= limit && uiter_count(src)) {
		ctx_signal_self(c, SIGXFSZ);
		return -EFBIG;
	}
	uiter_truncate(src, limit - (u64)pos);
	return 0;
}

static long do_write(struct file *f, struct ctx *c, struct uiter *src, s64 *pos)
{
	const struct file_ops *ops = file_ops_of(f);

	if (pos) {
		int r = limit_size(f, c, src, *pos);

		if (r < 0)
			return r;
		if (uiter_count(src) > (u64)(INT64_MAX - *pos))
			return -EINVAL;
	}
	return ops->write(f, c, src, pos);
}

long file_pwrite(struct file *f, struct ctx *c, struct uiter *src, s64 pos)
{
	if (!f->seekable)
		return file_flags(f) & O_PATH ? -EBADF : -ESPIPE;
	if (!file_writable(f))
		return -EBADF;
	if (pos < 0 || !file_ops_of(f)->write)
		return -EINVAL;
	return modified(f, do_write(f, c, src, &pos));
}

static long write_at_pos(struct file *f, struct ctx *c, struct uiter *src)
{
	GUARD(&f->pos_lock);
	return do_write(f, c, src, &f->pos);
}

long file_write(struct file *f, struct ctx *c, struct uiter *src)
{
	if (!file_writable(f))
		return -EBADF;
	if (!file_ops_of(f)->write)
		return -EINVAL;
	return modified(f, f->seekable ? write_at_pos(f, c, src) : do_write(f, c, src, NULL));
}

/* ---- the rest ---- */

u32 file_poll(struct file *f, struct poll_table *pt)
{
	const struct file_ops *ops = file_ops_of(f);

	if (!ops->poll)
		return READY_IN | READY_OUT;
	return ops->poll(f, pt);
}

long file_ioctl(struct file *f, struct ctx *c, u32 cmd, u64 arg)
{
	const struct file_ops *ops = file_ops_of(f);

	if (file_flags(f) & O_PATH)
		return -EBADF;
	return ops->ioctl ? ops->ioctl(f, c, cmd, arg) : -ENOTTY;
}

int file_mmap(struct file *f, struct ctx *c, struct mmap_args *args)
{
	const struct file_ops *ops = file_ops_of(f);

	if (file_flags(f) & O_PATH)
		return -EBADF;
	if (!file_readable(f))
		return -EACCES;
	if ((args->flags & MAP_TYPE) != MAP_PRIVATE && (args->prot & PROT_WRITE) &&
	    !file_writable(f))
		return -EACCES;
	if (f->path.mount && (mount_flags(f->path.mount) & MS_NOEXEC) && (args->prot & PROT_EXEC))
		return -EPERM;
	if (!ops->mmap)
		return -ENODEV;
	args->max_prot = PROT_READ | PROT_WRITE | PROT_EXEC;
	if ((args->flags & MAP_TYPE) != MAP_PRIVATE && !file_writable(f))
		args->max_prot &= ~PROT_WRITE;
	if (f->path.mount && (mount_flags(f->path.mount) & MS_NOEXEC))
		args->max_prot &= ~PROT_EXEC;
	args->id = &f->id;
	return ops->mmap(f, c, args);
}

static int iterate_at_pos(struct file *f, struct ctx *c, struct dir_sink *sink)
{
	GUARD(&f->pos_lock);
	return file_ops_of(f)->iterate(f, c, sink, &f->pos);
}

int file_iterate(struct file *f, struct ctx *c, struct dir_sink *sink)
{
	const struct file_ops *ops = file_ops_of(f);
	int r;

	if (file_flags(f) & O_PATH)
		return -EBADF;
	if (!ops->iterate || !inode_is_dir(f->inode))
		return -ENOTDIR;
	if (f->path.dentry && f->path.dentry->unlinked)
		return -ENOENT;
	r = iterate_at_pos(f, c, sink);
	if (r >= 0)
		notify_file(f, IN_ACCESS);
	return r;
}

s64 file_llseek(struct file *f, struct ctx *c, s64 off, int whence)
{
	const struct file_ops *ops = file_ops_of(f);
	struct kstat st;
	s64 base = 0;
	int r;

	if (file_flags(f) & O_PATH)
		return -EBADF;
	if (ops->llseek)
		return ops->llseek(f, c, off, whence);
	if (!f->seekable)
		return -ESPIPE;
	/* How many names there are says nothing about positions. */
	if (inode_is_dir(f->inode) && whence != SEEK_SET && whence != SEEK_CUR)
		return -EINVAL;
	if (whence == SEEK_END || whence == SEEK_DATA || whence == SEEK_HOLE) {
		r = file_stat(f, c, &st);
		if (r < 0)
			return r;
		base = (s64)st.size;
	}
	GUARD(&f->pos_lock);
	switch (whence) {
	case SEEK_SET:
		base = 0;
		break;
	case SEEK_CUR:
		base = f->pos;
		break;
	case SEEK_END:
		break;
	case SEEK_DATA:
		if (off < 0 || off >= base)
			return -ENXIO;
		base = 0;
		break;
	case SEEK_HOLE:
		if (off < 0 || off >= base)
			return -ENXIO;
		off = 0;
		break;
	default:
		return -EINVAL;
	}
	if (__builtin_add_overflow(base, off, &base) || base < 0)
		return -EINVAL;
	f->pos = base;
	return base;
}

s64 file_llseek_nowhere(struct file *f, struct ctx *c, s64 off, int whence)
{
	return 0;
}

int file_fsync(struct file *f, struct ctx *c, bool data_only)
{
	const struct file_ops *ops = file_ops_of(f);

	if (file_flags(f) & O_PATH)
		return -EBADF;
	if (ops->fsync)
		return ops->fsync(f, c, data_only);
	/* Pipes, devices and their kin have nothing to write back and say so. */
	return f->path.dentry && (inode_is_reg(f->inode) || inode_is_dir(f->inode)) ? 0 : -EINVAL;
}

/* What no file of any kind does: said before the file is looked at. */
static int fallocate_mode(int mode)
{
	const int known = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_COLLAPSE_RANGE |
	                  FALLOC_FL_ZERO_RANGE | FALLOC_FL_INSERT_RANGE | FALLOC_FL_UNSHARE_RANGE;
	const int both = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;

	if ((mode & ~known) || (mode & both) == both)
		return -EOPNOTSUPP;
	if ((mode & FALLOC_FL_PUNCH_HOLE) && !(mode & FALLOC_FL_KEEP_SIZE))
		return -EOPNOTSUPP;
	if ((mode & FALLOC_FL_COLLAPSE_RANGE) && mode != FALLOC_FL_COLLAPSE_RANGE)
		return -EINVAL;
	if ((mode & FALLOC_FL_INSERT_RANGE) && mode != FALLOC_FL_INSERT_RANGE)
		return -EINVAL;
	if ((mode & FALLOC_FL_UNSHARE_RANGE) &&
	    (mode & ~(FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_KEEP_SIZE)))
		return -EINVAL;
	return 0;
}

int file_fallocate(struct file *f, struct ctx *c, int mode, s64 off, s64 len)
{
	const struct file_ops *ops = file_ops_of(f);
	int r;

	if (off < 0 || len <= 0)
		return -EINVAL;
	r = fallocate_mode(mode);
	if (r < 0)
		return r;
	if (!file_writable(f))
		return -EBADF;
	if (S_ISFIFO(f->inode->mode))
		return -ESPIPE;
	if (!inode_is_reg(f->inode))
		return inode_is_dir(f->inode) ? -EISDIR : -ENODEV;
	if (len > INT64_MAX - off)
		return -EFBIG;
	if (c->rlimits && (u64)(off + len) > c->rlimits[RLIMIT_FSIZE].rlim_cur &&
	    !(mode & FALLOC_FL_KEEP_SIZE)) {
		ctx_signal_self(c, SIGXFSZ);
		return -EFBIG;
	}
	r = ops->fallocate ? ops->fallocate(f, c, mode, off, len) : -EOPNOTSUPP;
	if (r == 0)
		notify_file(f, IN_MODIFY);
	return r;
}

struct inode *file_place(const struct file *f)
{
	return f->path.dentry ? f->path.dentry->inode : f->inode;
}

int file_stat(struct file *f, struct ctx *c, struct kstat *ret)
{
	int r = inode_getattr(file_place(f), c, ret);

	if (r == 0)
		ret->mount_id = f->path.mount ? f->path.mount->id : 0;
	if (r == 0)
		ret->mount_root = f->path.mount && f->path.dentry == f->path.mount->root;
	return r;
}

void file_executed(struct mapid *id, bool begins)
{
	struct inode *i = file_place(container_of(id, struct file, id));

	if (i)
		atomic_fetch_add(&i->executed, begins ? 1u : ~0u);
}

bool file_named(const struct file *f)
{
	return f->path.dentry && !super_ops_of(f->path.mount->sb)->nameless;
}

void file_link_name(struct file *f, char *buf, size_t size)
{
	if (file_ops_of(f)->link_name)
		file_ops_of(f)->link_name(f, buf, size);
	else
		snprintf(buf, size, "anon_inode:[file]");
}

void file_describe(struct mapid *id, char *buf, size_t size, u64 *ret_dev, u64 *ret_ino)
{
	struct file *f = container_of(id, struct file, id);
	struct inode *i = file_place(f);

	if (file_named(f))
		path_describe(&f->path, NULL, buf, size);
	else
		file_link_name(f, buf, size);
	*ret_dev = i->sb ? i->sb->dev : 0;
	*ret_ino = i->ino;
}

/* ---- inodes of anonymous files ---- */

struct anon_inode {
	struct inode inode;
};
OBJECT_DECL(anon_inode);

#define ANON_INODE_FIELDS(X) X(BASE, inode, inode)
static const struct inode_ops anon_inode_ops = {0};
OBJECT_TYPE(anon_inode, Sentry__AnonInode, sentry__anon_inode__descriptor, ANON_INODE_FIELDS,
            .base = &inode_type, .ops = &anon_inode_ops);

struct inode *anon_inode_new(struct kernel *k, u32 mode)
{
	struct anon_inode *i = obj_new(anon_inode);

	inode_setup(&i->inode, NULL, NULL, inode_next_ino(k), mode);
	return &i->inode;
}

/* ---- O_PATH ---- */

#define PATH_FILE_FIELDS(X) X(BASE, file, file)
static const struct file_ops path_file_ops = {.id.describe = file_describe};
OBJECT_TYPE(path_file, Sentry__PathFile, sentry__path_file__descriptor, PATH_FILE_FIELDS,
            .base = &file_type, .ops = &path_file_ops);

struct file *path_file_new(u32 flags, const struct path *p)
{
	struct path_file *f = obj_new(path_file);

	file_setup(&f->file, flags, p, path_inode(p));
	return &f->file;
}
