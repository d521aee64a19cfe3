/* Open files of tmpfs: content lives in a shmem. */
#include "proto/files.pb-c.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/mm/shmem.h"
#include "sentry/vfs/dirent.h"
#include "sentry/vfs/mount.h"
#include "state/fields.h"

#include <linux/falloc.h>
#include <stdio.h>
#include <sys/mman.h>

struct tmpfs_file {
	struct file file;
};
OBJECT_DECL(tmpfs_file);

void tmpfs_update_size(struct tmpfs_inode *ti)
{
	u64 bytes = shmem_bytes(ti->data);

	WRITE_ONCE(ti->inode.size, shmem_size(ti->data));
	atomic_fetch_add(&tmpfs_sb(&ti->inode)->bytes, bytes - ti->charged);
	ti->charged = bytes;
}

/* How many of len bytes at off fit: pages that are there already need no room. */
static u64 room_for(struct tmpfs_inode *ti, u64 off, u64 len)
{
	struct tmpfs_super *ts = tmpfs_sb(&ti->inode);
	u64 used = atomic_load(&ts->bytes), max = tmpfs_max_bytes(ts);
	u64 room = used < max ? max - used : 0;

	/* Rounded to pages at both ends. */
	if (len <= INT64_MAX && len + 2 * PAGE_SIZE <= room)
		return len;
	return shmem_fits(ti->data, off, len, room);
}

static long tmpfs_read(struct file *f, struct ctx *c, struct uiter *dst, s64 *pos)
{
	struct tmpfs_inode *ti = tmpfs_i(f->inode);
	long n;

	if (!ti->data)
		return -EISDIR;
	n = shmem_read(ti->data, dst, (u64)*pos);
	if (n > 0)
		*pos += n;
	inode_accessed(f->inode, c, f);
	return n;
}

static long tmpfs_write(struct file *f, struct ctx *c, struct uiter *src, s64 *pos)
{
	struct tmpfs_inode *ti = tmpfs_i(f->inode);
	u64 off, len = uiter_count(src), room;
	s64 now = inode_now(c);
	long n;

	if (!ti->data)
		return -EISDIR;
	if (len == 0)
		return 0;
	inode_write_clears_setid(f->inode, c);
	if (unlikely(READ_ONCE(ti->xattrs.n) > 0))
		inode_drop_capabilities(f->inode, c);
	GUARD(&f->inode->lock);
	off = file_appends(f, src) ? f->inode->size : (u64)*pos;
	if (off > INT64_MAX - len)
		return -EFBIG;
	if (unlikely(ti->seals)) {
		if (ti->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
			return -EPERM;
		if ((ti->seals & F_SEAL_GROW) && off + len > f->inode->size) {
			/* Page by page, and no part of a page that would make the file grow. */
			if (off >= PAGE_DOWN(f->inode->size))
				return -EPERM;
			len = PAGE_DOWN(f->inode->size) - off;
		}
	}
	room = room_for(ti, off, len);
	if (room == 0)
		return -ENOSPC;
	uiter_truncate(src, room);
	n = shmem_write(ti->data, src, off);
	tmpfs_update_size(ti);
	if (n > 0) {
		*pos = (s64)off + n;
		f->inode->mtime = f->inode->ctime = now;
	}
	return n;
}

int tmpfs_resize(struct inode *i, struct ctx *c, u64 size)
{
	struct tmpfs_inode *ti = tmpfs_i(i);
	int r;

	(void)c;
	if (!ti->data)
		return -EINVAL;
	GUARD(&i->lock);
	if ((size < i->size && (ti->seals & F_SEAL_SHRINK)) ||
	    (size > i->size && (ti->seals & F_SEAL_GROW)))
		return -EPERM;
	r = shmem_truncate(ti->data, size);
	tmpfs_update_size(ti);
	return r;
}

static int tmpfs_fallocate(struct file *f, struct ctx *c, int mode, s64 off, s64 len)
{
	struct tmpfs_inode *ti = tmpfs_i(f->inode);
	s64 now = inode_now(c), end = off + len;
	int r;

	if (!ti->data)
		return -ENODEV;
	GUARD(&f->inode->lock);
	if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) &&
	    (ti->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)))
		return -EPERM;
	if (!(mode & FALLOC_FL_KEEP_SIZE) && (u64)end > f->inode->size && (ti->seals & F_SEAL_GROW))
		return -EPERM;
	if (mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) {
		r = shmem_punch(ti->data, (u64)off, (u64)len);
	} else if (mode == 0 || mode == FALLOC_FL_KEEP_SIZE) {
		if (room_for(ti, (u64)off, (u64)len) < (u64)len)
			return -ENOSPC;
		r = shmem_allocate(ti->data, (u64)off, (u64)len, mode & FALLOC_FL_KEEP_SIZE);
	} else if (mode == FALLOC_FL_ZERO_RANGE ||
	           mode == (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)) {
		r = shmem_punch(ti->data, (u64)off, (u64)len);
		if (r == 0 && !(mode & FALLOC_FL_KEEP_SIZE) && (u64)end > f->inode->size)
			r = shmem_truncate(ti->data, (u64)end);
	} else {
		return -EOPNOTSUPP;
	}
	tmpfs_update_size(ti);
	f->inode->mtime = f->inode->ctime = now;
	return r;
}

static int tmpfs_mmap(struct file *f, struct ctx *c, struct mmap_args *args)
{
	struct tmpfs_inode *ti = tmpfs_i(f->inode);

	if (!ti->data)
		return -ENODEV;
	if ((args->flags & MAP_TYPE) != MAP_PRIVATE &&
	    (ti->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))) {
		if (args->prot & PROT_WRITE)
			return -EPERM;
		args->max_prot &= ~PROT_WRITE;
	}
	inode_accessed(f->inode, c, f);
	args->mappable = obj_cast(mappable, ti->data);
	return 0;
}

static s64 tmpfs_llseek(struct file *f, struct ctx *c, s64 off, int whence)
{
	struct tmpfs_inode *ti = tmpfs_i(f->inode);
	s64 base, r;

	(void)c;
	GUARD(&f->pos_lock);
	switch (whence) {
	case SEEK_SET:
		base = 0;
		break;
	case SEEK_CUR:
		base = f->pos;
		break;
	case SEEK_END:
		if (!ti->data)
			return -EINVAL;
		base = (s64)READ_ONCE(f->inode->size);
		break;
	case SEEK_DATA:
	case SEEK_HOLE:
		if (!ti->data)
			return -EINVAL;
		if (off < 0)
			return -ENXIO;
		r = shmem_seek(ti->data, (u64)off, whence == SEEK_DATA);
		if (r >= 0)
			f->pos = r;
		return r;
	default:
		return -EINVAL;
	}
	if (__builtin_add_overflow(base, off, &r) || r < 0)
		return -EINVAL;
	f->pos = r;
	return r;
}

struct listing {
	struct dir_sink *sink;
	s64 *pos;
};
static bool list_entry(const struct tmpfs_entry *e, void *arg)
{
	struct listing *l = arg;

	if (!l->sink->entry(l->sink, e->name, e->len, e->inode->ino, dirent_type(e->inode->mode),
	                    (s64)e->cookie + 1))
		return false;
	*l->pos = (s64)e->cookie + 1;
	return true;
}

static int tmpfs_iterate(struct file *f, struct ctx *c, struct dir_sink *sink, s64 *pos)
{
	struct listing l = {sink, pos};

	if (!inode_is_dir(f->inode))
		return -ENOTDIR;
	if (!dirent_dots(f, sink, pos))
		return 0;
	tmpfs_walk(f->inode, (u64)*pos, list_entry, &l);
	inode_accessed(f->inode, c, f);
	return 0;
}

/* Files without a name: memory files carry theirs where symbolic links have their target. */
static void tmpfs_link_name(struct file *f, char *buf, size_t size)
{
	struct tmpfs_inode *ti = tmpfs_i(f->inode);

	snprintf(buf, size, "/memfd:%s (deleted)", ti->target ? ti->target : "");
}

#define TMPFS_FILE_FIELDS(X) X(BASE, file, file)
/* Memory is all that there is of it, memfds too. */
static int tmpfs_fsync(struct file *f, struct ctx *c, bool data_only)
{
	return 0;
}

static const struct file_ops tmpfs_file_ops = {
	.id.describe = file_describe,
	.id.executed = file_executed,
	.read = tmpfs_read,
	.write = tmpfs_write,
	.mmap = tmpfs_mmap,
	.iterate = tmpfs_iterate,
	.llseek = tmpfs_llseek,
	.fallocate = tmpfs_fallocate,
	.fsync = tmpfs_fsync,
	.link_name = tmpfs_link_name,
};
static int tmpfs_file_after_load(struct loader *l, void *p)
{
	struct tmpfs_file *f = p;

	if (!obj_is(f->file.inode, &tmpfs_inode_type))
		return loader_error(l, "tmpfs file of another file system's inode");
	return 0;
}
static void tmpfs_file_sample(struct sampler *sp, void *p)
{
	struct tmpfs_file *f = p;

	obj_put(f->file.inode);
	f->file.inode = sampler_ref(sp, &tmpfs_inode_type);
}
OBJECT_TYPE(tmpfs_file, Sentry__TmpfsFile, sentry__tmpfs_file__descriptor, TMPFS_FILE_FIELDS,
            .base = &file_type, .ops = &tmpfs_file_ops, .after_load = tmpfs_file_after_load,
            .sample = tmpfs_file_sample);

int tmpfs_open(struct inode *i, struct ctx *c, const struct path *path, u32 flags,
               struct file **ret)
{
	struct tmpfs_file *f;

	if (!inode_is_reg(i) && !inode_is_dir(i))
		return special_open(i, c, path, flags, ret);
	f = obj_new(tmpfs_file);
	file_setup(&f->file, flags, path, i);
	f->file.seekable = true;
	*ret = &f->file;
	return 0;
}
