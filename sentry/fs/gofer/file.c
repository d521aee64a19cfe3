/* Open host files. */
#include "sentry/fs/gofer/gofer_fs.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/pageload.h"
#include "sentry/mm/shmem.h"
#include "sentry/vfs/dirent.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/namei.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <fcntl.h>
#include <unistd.h>

#define IDLE_MAX   256u      /* files whose descriptors stay though nobody has them open */
#define SMALL      4096u     /* moved through the stack instead of pinning guest pages */
#define CHUNK      (1 * MIB) /* pinned at a time */
#define PIN_IOVECS 64u

/* ---- descriptors ---- */

void gofer_use(struct gofer_inode *gi)
{
	struct gofer_super *gs = gofer_sb(&gi->inode);
	GUARD(&gs->lock);

	gi->users++;
	if (gi->idle) {
		TAILQ_REMOVE(&gs->idle, gi, idle_link);
		gs->n_idle--;
		gi->idle = false;
	}
}

void gofer_unuse(struct gofer_inode *gi)
{
	struct gofer_super *gs = gofer_sb(&gi->inode);
	struct mapfile *drop[2] = {NULL, NULL};
	struct gofer_inode *old = NULL;

	mutex_lock(&gs->lock);
	if (--gi->users == 0 && (gi->ro || gi->rw) && !gi->idle) {
		gi->idle = true;
		TAILQ_INSERT_TAIL(&gs->idle, gi, idle_link);
		gs->n_idle++;
	}
	if (gs->n_idle > IDLE_MAX) {
		old = TAILQ_FIRST(&gs->idle);
		TAILQ_REMOVE(&gs->idle, old, idle_link);
		gs->n_idle--;
		old->idle = false;
		drop[0] = TAKE(old->ro);
		drop[1] = TAKE(old->rw);
	}
	mutex_unlock(&gs->lock);
	for (unsigned i = 0; i < ARRAY_SIZE(drop); i++) {
		if (drop[i])
			mapfile_put(drop[i]);
	}
}

/* A cached descriptor that will do, with a reference. */
static struct mapfile *cached(struct gofer_inode *gi, u32 accmode)
{
	struct mapfile *mf = NULL;
	GUARD(&gofer_sb(&gi->inode)->lock);

	if (accmode == O_RDONLY)
		mf = gi->rw && gi->rw_readable ? gi->rw : gi->ro;
	else if (gi->rw && (accmode == O_WRONLY || gi->rw_readable))
		mf = gi->rw;
	if (mf)
		mapfile_get(mf);
	return mf;
}

int gofer_host_file(struct gofer_inode *gi, u32 accmode, struct mapfile **ret_mf, u32 *ret_fid)
{
	struct gofer_super *gs = gofer_sb(&gi->inode);
	struct p9_opened o;
	struct mapfile *mf, *extra = NULL;
	u32 fid, flags = accmode == O_RDONLY ? O_RDONLY : O_RDWR;
	int r;

	mf = cached(gi, accmode);
	if (!mf) {
		r = gofer_fid(gi, &fid);
		if (r < 0)
			return r;
		r = p9_client_open(gs->client, fid, flags, false, &o);
		if (r < 0 && accmode == O_WRONLY) {
			flags = O_WRONLY;
			r = p9_client_open(gs->client, fid, flags, false, &o);
		}
		if (r < 0)
			return r;
		if (o.fd < 0) {
			*ret_fid = o.fid;
			return 0;
		}
		if (o.fid != P9_NOFID)
			p9_client_clunk_later(gs->client, o.fid);
		if (!gi->stamped)
			gofer_apply_attr(gi, &o.attr);
		mf = hostfile_new(o.fd, flags == O_RDWR);
		mapfile_get(mf);
		mutex_lock(&gs->lock);
		if (flags == O_RDONLY) {
			extra = gi->ro;
			gi->ro = mf;
		} else {
			extra = gi->rw;
			gi->rw = mf;
			gi->rw_readable = flags == O_RDWR;
		}
		mutex_unlock(&gs->lock);
		if (extra)
			mapfile_put(extra);
	}
	*ret_mf = mf;
	return 0;
}

/* ---- reading and writing ---- */

/* One stretch of memory from or to the host: bytes moved. */
static long move_pinned(struct mapfile *mf, struct uiter *it, u64 pos, bool write)
{
	struct iovec iov[PIN_IOVECS];
	struct uiter_pins *pins;
	ssize_t moved;
	int n = uiter_pin(it, CHUNK, write ? ACCESS_READ : ACCESS_WRITE, iov, PIN_IOVECS, &pins);

	if (n < 0)
		return n;
	moved = write ? pwritev(mf->fd, iov, n, (off_t)pos) : preadv(mf->fd, iov, n, (off_t)pos);
	if (moved < 0)
		moved = -errno;
	uiter_unpin(pins);
	if (moved > 0)
		uiter_advance(it, (u64)moved);
	return moved;
}

static long move_small(struct mapfile *mf, struct uiter *it, u64 pos, bool write)
{
	char buf[SMALL];
	size_t len = MIN(uiter_count(it), (u64)SMALL);
	long n, out;

	if (!write) {
		n = pread(mf->fd, buf, len, (off_t)pos);
		if (n < 0)
			return -errno;
		out = n ? uiter_copy_out(it, buf, (size_t)n) : 0;
		return out;
	}
	n = uiter_copy_in(it, buf, len);
	if (n <= 0)
		return n;
	out = pwrite(mf->fd, buf, (size_t)n, (off_t)pos);
	if (out < 0)
		out = -errno;
	if (out < n)
		uiter_revert(it, (u64)(out < 0 ? n : n - out));
	return out;
}

/* Through the server, where it donated nothing. */
static long move_fid(struct gofer_file *gf, struct uiter *it, u64 pos, bool write)
{
	struct p9_client *cl = gofer_sb(gf->file.inode)->client;
	char buf[16 * KIB];
	size_t len = MIN(MIN(uiter_count(it), sizeof(buf)), p9_client_max_io(cl)), n = 0;
	long m;
	int r;

	if (!cl)
		return -EIO;
	if (!write) {
		r = p9_client_read(cl, gf->fid, pos, buf, len, &n);
		return r < 0 ? r : n ? uiter_copy_out(it, buf, n) : 0;
	}
	m = uiter_copy_in(it, buf, len);
	if (m <= 0)
		return m;
	r = p9_client_write(cl, gf->fid, pos, buf, (size_t)m, &n);
	if (r < 0 || (long)n < m)
		uiter_revert(it, r < 0 ? (u64)m : (u64)m - n);
	return r < 0 ? r : (long)n;
}

static long move(struct gofer_file *gf, struct uiter *it, u64 pos, bool write)
{
	struct gofer_inode *gi = gofer_i(gf->file.inode);
	long done = 0;

	if (gi->data)
		return write ? shmem_write(gi->data, it, pos) : shmem_read(gi->data, it, pos);
	while (uiter_count(it)) {
		u64 want = uiter_count(it);
		long n;

		if (!gf->mf)
			n = move_fid(gf, it, pos + (u64)done, write);
		else if (want <= SMALL)
			n = move_small(gf->mf, it, pos + (u64)done, write);
		else
			n = move_pinned(gf->mf, it, pos + (u64)done, write);
		if (n < 0)
			return done ? done : n;
		done += n;
		if (n == 0)
			break;
	}
	return done;
}

static long gofer_read(struct file *f, struct ctx *c, struct uiter *dst, s64 *pos)
{
	long n;

	(void)c;
	if (inode_is_dir(f->inode))
		return -EISDIR;
	n = move(container_of(f, struct gofer_file, file), dst, (u64)*pos, false);
	if (n > 0)
		*pos += n;
	return n;
}

/* Where the host file ends now. */
static u64 host_size(struct gofer_file *gf)
{
	struct gofer_inode *gi = gofer_i(gf->file.inode);
	struct stat st;

	if (gi->data)
		return shmem_size(gi->data);
	if (gf->mf && fstat(gf->mf->fd, &st) == 0)
		return (u64)st.st_size;
	return gofer_refresh(gi) < 0 ? gi->inode.size : READ_ONCE(gi->inode.size);
}

static long gofer_write(struct file *f, struct ctx *c, struct uiter *src, s64 *pos) NO_LOCK_ANALYSIS
{
	struct gofer_file *gf = container_of(f, struct gofer_file, file);
	struct gofer_inode *gi = gofer_i(f->inode);
	u64 off;
	long n;

	if (uiter_count(src) == 0)
		return 0;
	inode_write_clears_setid(f->inode, c);
	/* Held so that appends do not overwrite each other; plain writes need no order. */
	if (file_appends(f, src)) {
		mutex_lock(&f->inode->lock);
		off = host_size(gf);
	} else {
		off = (u64)*pos;
	}
	n = move(gf, src, off, true);
	if (!file_appends(f, src))
		mutex_lock(&f->inode->lock);
	if (n > 0) {
		*pos = (s64)off + n;
		if (off + (u64)n > f->inode->size)
			WRITE_ONCE(f->inode->size, off + (u64)n);
		gi->attr_old = true;
	}
	mutex_unlock(&f->inode->lock);
	if (n > 0 && gf->mf && (file_flags(f) & (O_DSYNC | O_SYNC)) && fdatasync(gf->mf->fd) < 0)
		return -errno;
	return n;
}

/* ---- the rest ---- */

static int gofer_mmap(struct file *f, struct ctx *c, struct mmap_args *args)
{
	struct gofer_file *gf = container_of(f, struct gofer_file, file);

	(void)c;
	if (!inode_is_reg(f->inode) || (!gf->mf && !gofer_i(f->inode)->data))
		return -ENODEV;
	args->mappable = &f->inode->map;
	return 0;
}

int gofer_translate(struct mappable *m, u64 off, u64 len, u32 access, struct backing *ret)
{
	struct gofer_inode *gi = container_of(m, struct gofer_inode, inode.map);
	struct gofer_super *gs = gofer_sb(&gi->inode);
	struct mapfile *mf;
	struct stat st;
	u64 end;

	if (gi->data) {
		struct mappable *data = obj_cast(mappable, gi->data);

		return mappable_ops_of(data)->translate(data, off, len, access, ret);
	}
	mutex_lock(&gs->lock);
	mf = gi->rw && gi->rw_readable ? gi->rw : gi->ro;
	if (mf && (access & ACCESS_WRITE) && !mf->writable)
		mf = NULL;
	if (mf)
		mapfile_get(mf);
	mutex_unlock(&gs->lock);
	if (!mf)
		return -EFAULT;
	end = READ_ONCE(gi->inode.size);
	if (!gs->exclusive && fstat(mf->fd, &st) == 0)
		end = (u64)st.st_size;
	end = PAGE_UP(end);
	if (off >= end) {
		mapfile_put(mf);
		return -EFAULT;
	}
	*ret = (struct backing){.mf = mf, .off = off, .len = MIN(len, end - off)};
	return 0;
}

int gofer_sync_pages(struct mappable *m, u64 off, u64 len)
{
	struct gofer_inode *gi = container_of(m, struct gofer_inode, inode.map);
	struct gofer_super *gs = gofer_sb(&gi->inode);
	struct mapfile *mf;
	int r = 0;

	(void)off;
	(void)len;
	mutex_lock(&gs->lock);
	mf = gi->rw;
	if (mf)
		mapfile_get(mf);
	mutex_unlock(&gs->lock);
	if (mf) {
		r = fdatasync(mf->fd) < 0 ? -errno : 0;
		mapfile_put(mf);
	}
	return r;
}

static int gofer_fsync(struct file *f, struct ctx *c, bool data_only)
{
	struct gofer_file *gf = container_of(f, struct gofer_file, file);

	(void)c;
	if (gf->mf)
		return (data_only ? fdatasync(gf->mf->fd) : fsync(gf->mf->fd)) < 0 ? -errno : 0;
	if (gf->fid != P9_NOFID && gofer_sb(f->inode)->client)
		return p9_client_fsync(gofer_sb(f->inode)->client, gf->fid, data_only);
	return 0;
}

static int gofer_fallocate(struct file *f, struct ctx *c, int mode, s64 off, s64 len)
{
	struct gofer_file *gf = container_of(f, struct gofer_file, file);
	struct gofer_inode *gi = gofer_i(f->inode);
	int r;

	if (gi->data)
		return mode ? -EOPNOTSUPP : shmem_allocate(gi->data, (u64)off, (u64)len, false);
	if (!gf->mf)
		return -EOPNOTSUPP;
	r = fallocate(gf->mf->fd, mode, off, len) < 0 ? -errno : 0;
	mutex_lock(&f->inode->lock);
	gi->attr_old = true;
	mutex_unlock(&f->inode->lock);
	if (r == 0)
		r = gofer_refresh(gi);
	if (mode)
		mm_invalidate(c->kernel, &f->inode->map, (u64)off, (u64)len);
	return r;
}

static s64 gofer_llseek(struct file *f, struct ctx *c, s64 off, int whence)
{
	struct gofer_file *gf = container_of(f, struct gofer_file, file);
	s64 base = 0, r;

	(void)c;
	if (inode_is_dir(f->inode) && whence != SEEK_SET && whence != SEEK_CUR)
		return -EINVAL;
	GUARD(&f->pos_lock);
	switch (whence) {
	case SEEK_SET:
		break;
	case SEEK_CUR:
		base = f->pos;
		break;
	case SEEK_END:
		base = (s64)host_size(gf);
		break;
	case SEEK_DATA:
	case SEEK_HOLE:
		/* The host's offset is nobody's: it does not matter who moves it in between. */
		if (gf->mf) {
			r = lseek(gf->mf->fd, off, whence);
			if (r < 0)
				return -errno;
			f->pos = r;
			return r;
		}
		base = (s64)host_size(gf);
		if (off < 0 || off >= base)
			return -ENXIO;
		f->pos = whence == SEEK_DATA ? off : base;
		return f->pos;
	default:
		return -EINVAL;
	}
	if (__builtin_add_overflow(base, off, &r) || r < 0)
		return -EINVAL;
	f->pos = r;
	return r;
}

static int gofer_iterate(struct file *f, struct ctx *c, struct dir_sink *sink, s64 *pos)
{
	struct gofer_file *gf = container_of(f, struct gofer_file, file);

	(void)c;
	if (!inode_is_dir(f->inode))
		return -ENOTDIR;
	if (!gf->listed || *pos == 0) {
		int r;

		dir_list_finish(&gf->list);
		r = gofer_list(gofer_i(f->inode), &gf->list);
		if (r < 0)
			return r;
		gf->listed = true;
	}
	if (dirent_dots(f, sink, pos))
		dir_list_emit(&gf->list, sink, pos);
	return 0;
}

/* ---- object ---- */

static int gofer_file_save_list(struct saver *s, const struct gofer_file *o, Sentry__GoferFile *m)
{
	dir_list_save(s, &o->list, &m->n_items, &m->items);
	return 0;
}
static int gofer_file_load_list(struct loader *l, struct gofer_file *o, const Sentry__GoferFile *m)
{
	return dir_list_load(l, &o->list, m->n_items, m->items);
}
static void gofer_file_sample_list(struct sampler *sp, struct gofer_file *o)
{
	(void)sp;
	dir_list_add(&o->list, "name", 4, 17, 8);
}

/* Descriptors are opened anew. */
#define GOFER_FILE_FIELDS(X)        \
	X(BASE, file, file)         \
	X(CUSTOM, list, gofer_file) \
	X(VAL, listed)              \
	X(SKIP, mf)                 \
	X(SKIP, fid)                \
	X(SKIP, uses) /* counted again by the load */

static void gofer_file_init(void *p)
{
	((struct gofer_file *)p)->fid = P9_NOFID;
}
static void gofer_file_destroy(void *p)
{
	struct gofer_file *gf = p;

	dir_list_finish(&gf->list);
	if (gf->file.inode && obj_is(gf->file.inode, &gofer_inode_type) && gf->file.inode->sb) {
		struct p9_client *cl = gofer_sb(gf->file.inode)->client;

		if (gf->fid != P9_NOFID && cl)
			p9_client_clunk_later(cl, gf->fid);
		if (gf->uses)
			gofer_unuse(gofer_i(gf->file.inode));
	}
	if (gf->mf)
		mapfile_put(TAKE(gf->mf));
}

static int reopen(struct gofer_file *gf)
{
	return gofer_host_file(gofer_i(gf->file.inode), file_flags(&gf->file) & O_ACCMODE, &gf->mf,
	                       &gf->fid);
}

static int gofer_file_after_load(struct loader *l, void *p)
{
	struct gofer_file *gf = p;
	struct gofer_inode *gi;
	struct kernel_load *kl = loader_user(l);
	int r;

	if (!obj_is(gf->file.inode, &gofer_inode_type) || !gf->file.inode->sb ||
	    !obj_is(gf->file.inode->sb, &gofer_super_type))
		return loader_error(l, "host file of another file system's inode");
	gi = gofer_i(gf->file.inode);
	gofer_use(gi);
	gf->uses = true;
	if (gi->deleted || !inode_is_reg(&gi->inode))
		return 0;
	if (kl)
		gofer_connect(gofer_sb(&gi->inode), kl->machine);
	if (!gofer_sb(&gi->inode)->client)
		return 0;
	r = inode_ops_of(&gi->inode)->check_loaded(&gi->inode, l);
	if (r == 0) {
		r = reopen(gf);
		if (r < 0) {
			AUTO_FREE char *path = gofer_path(gi);

			r = loader_fail(l, r, "host file %s cannot be opened again: %s", path,
			                strerror(-r));
		}
	}
	return r;
}
static void gofer_file_sample(struct sampler *sp, void *p)
{
	struct gofer_file *gf = p;

	obj_put(gf->file.inode);
	gf->file.inode = sampler_ref(sp, &gofer_inode_type);
	gofer_use(gofer_i(gf->file.inode));
	gf->uses = true;
}

static const struct file_ops gofer_file_ops = {
	.id.describe = file_describe,
	.id.executed = file_executed,
	.read = gofer_read,
	.write = gofer_write,
	.mmap = gofer_mmap,
	.iterate = gofer_iterate,
	.llseek = gofer_llseek,
	.fsync = gofer_fsync,
	.fallocate = gofer_fallocate,
};
OBJECT_TYPE(gofer_file, Sentry__GoferFile, sentry__gofer_file__descriptor, GOFER_FILE_FIELDS,
            .base = &file_type, .ops = &gofer_file_ops, .init = gofer_file_init,
            .destroy = gofer_file_destroy, .after_load = gofer_file_after_load,
            .sample = gofer_file_sample);

int gofer_open(struct inode *i, struct ctx *c, const struct path *path, u32 flags,
               struct file **ret)
{
	AUTO(gofer_file) gf = NULL;
	int r;

	if (!inode_is_reg(i) && !inode_is_dir(i))
		return special_open(i, c, path, flags, ret);
	gf = obj_new(gofer_file);
	file_setup(&gf->file, flags, path, i);
	gf->file.seekable = true;
	gofer_use(gofer_i(i));
	gf->uses = true;
	if (inode_is_reg(i) && !gofer_i(i)->data) {
		r = reopen(gf);
		if (r < 0)
			return r == -ESTALE ? -ENOENT : r;
	}
	*ret = &TAKE(gf)->file;
	return 0;
}
