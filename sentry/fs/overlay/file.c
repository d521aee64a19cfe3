/*
 * Open files whose content is still below. They read there until the file is copied up, and from
 * then on what is here: who had a file open before it was first written sees what is written.
 */
#include "proto/files.pb-c.h"
#include "sentry/fs/overlay/overlay_impl.h"
#include "sentry/mm/shmem.h"
#include "sentry/vfs/path_file.h"
#include "state/fields.h"

#include <sys/mman.h>

struct overlay_file {
	struct file file;
	struct file *lower; /* owned, immutable */
};
OBJECT_DECL(overlay_file);

static struct file *lower_of(struct file *f)
{
	return container_of(f, struct overlay_file, file)->lower;
}

/* The content, if it is here by now: it never goes back. */
static struct shmem *content(struct file *f)
{
	return __atomic_load_n(&overlay_i(f->inode)->ti.data, __ATOMIC_ACQUIRE);
}

static long overlay_read(struct file *f, struct ctx *c, struct uiter *dst, s64 *pos)
{
	struct file *lower = lower_of(f);
	struct shmem *data = content(f);
	long n;

	if (!data)
		return file_ops_of(lower)->read ? file_ops_of(lower)->read(lower, c, dst, pos)
		                                : -EIO;
	n = shmem_read(data, dst, (u64)*pos);
	if (n > 0)
		*pos += n;
	inode_accessed(f->inode, c, f);
	return n;
}

/* A mapping stays with what it was made of. */
static int overlay_mmap(struct file *f, struct ctx *c, struct mmap_args *args)
{
	struct file *lower = lower_of(f);
	struct shmem *data = content(f);

	if (!data)
		return file_ops_of(lower)->mmap ? file_ops_of(lower)->mmap(lower, c, args)
		                                : -ENODEV;
	inode_accessed(f->inode, c, f);
	args->mappable = obj_cast(mappable, data);
	return 0;
}

/* Where SEEK_DATA and SEEK_HOLE lead. The lower file's own position is nobody's. */
static s64 find_data(struct file *f, struct ctx *c, s64 off, int whence)
{
	struct shmem *data = content(f);

	if (off < 0)
		return -ENXIO;
	return data ? shmem_seek(data, (u64)off, whence == SEEK_DATA)
	            : file_llseek(lower_of(f), c, off, whence);
}

static s64 overlay_llseek(struct file *f, struct ctx *c, s64 off, int whence)
{
	s64 base = 0, r = 0;

	if (whence == SEEK_DATA || whence == SEEK_HOLE)
		r = find_data(f, c, off, whence);
	if (r < 0)
		return r;
	GUARD(&f->pos_lock);
	switch (whence) {
	case SEEK_SET:
		break;
	case SEEK_CUR:
		base = f->pos;
		break;
	case SEEK_END:
		base = (s64)READ_ONCE(f->inode->size);
		break;
	case SEEK_DATA:
	case SEEK_HOLE:
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

static long overlay_ioctl(struct file *f, struct ctx *c, u32 cmd, u64 arg)
{
	return content(f) ? -ENOTTY : file_ioctl(lower_of(f), c, cmd, arg);
}

/* Memory needs no syncing, and what lies below is not written. */
static int overlay_fsync(struct file *f, struct ctx *c, bool data_only)
{
	return 0;
}

static const struct file_ops overlay_file_ops = {
	.id.describe = file_describe,
	.id.executed = file_executed,
	.read = overlay_read,
	.mmap = overlay_mmap,
	.llseek = overlay_llseek,
	.ioctl = overlay_ioctl,
	.fsync = overlay_fsync,
};

#define OVERLAY_FILE_FIELDS(X) \
	X(BASE, file, file)    \
	X(REF, lower, file)
static void overlay_file_destroy(void *p)
{
	obj_put(((struct overlay_file *)p)->lower);
}
static int overlay_file_after_load(struct loader *l, void *p)
{
	struct overlay_file *of = p;

	if (!obj_is(of->file.inode, &overlay_inode_type) || !inode_is_reg(of->file.inode))
		return loader_error(l, "open overlay file of another file system's inode");
	if (!of->lower || of->lower->id.obj.type == of->file.id.obj.type)
		return loader_error(l, "open overlay file without a lower file");
	return 0;
}
static void overlay_file_sample(struct sampler *sp, void *p)
{
	struct overlay_file *of = p;

	obj_put(of->file.inode);
	of->file.inode = sampler_ref(sp, &overlay_inode_type);
	of->file.inode->mode = S_IFREG | 0644;
	obj_put(of->lower);
	of->lower = sampler_ref(sp, &path_file_type);
}
OBJECT_TYPE(overlay_file, Sentry__OverlayFile, sentry__overlay_file__descriptor,
            OVERLAY_FILE_FIELDS, .base = &file_type, .ops = &overlay_file_ops,
            .destroy = overlay_file_destroy, .after_load = overlay_file_after_load,
            .sample = overlay_file_sample);

int overlay_file_open(struct inode *i, struct inode *lower, struct ctx *c, const struct path *path,
                      u32 flags, struct file **ret)
{
	AUTO(overlay_file) of = NULL;
	AUTO(file) f = NULL;
	/* Without a place: what is told of it (locks, watches, /proc) is told of ours. */
	const struct path nowhere = {0};
	int r = inode_open(lower, c, &nowhere, flags, &f);

	if (r < 0)
		return r;
	of = obj_new(overlay_file);
	file_setup(&of->file, flags, path, i);
	of->file.seekable = true;
	of->lower = TAKE(f);
	*ret = &TAKE(of)->file;
	return 0;
}
