#include "sentry/fs/gofer/stamp.h"

#include "sentry/kernel/kernel.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/pageload.h"
#include "sentry/mm/shmem.h"
#include "sentry/mm/usercopy.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <sys/stat.h>
#include <unistd.h>

static struct mapfile *any_fd(const struct gofer_inode *gi)
{
	return gi->rw ? gi->rw : gi->ro;
}

/* ---- stamps ---- */

int gofer_inode_save_stamp_mtime(struct saver *s, const struct gofer_inode *o,
                                 Sentry__GoferInode *m)
{
	struct mapfile *mf = any_fd(o);
	struct stat st;

	m->stamp = saver_msg(s, Sentry__HostStamp, sentry__host_stamp__init);
	/* Attributes that may be out of date are no stamp: zeros are not compared. */
	if (o->stamped) {
		m->stamp->size = o->stamp_size;
		m->stamp->mtime = o->stamp_mtime;
	} else if (!o->attr_old) {
		m->stamp->size = o->inode.size;
		m->stamp->mtime = o->inode.mtime;
	}
	if (mf && fstat(mf->fd, &st) == 0) {
		m->stamp->size = (u64)st.st_size;
		m->stamp->mtime = st.st_mtim.tv_sec * NSEC_PER_SEC + st.st_mtim.tv_nsec;
	}
	return 0;
}
int gofer_inode_load_stamp_mtime(struct loader *l, struct gofer_inode *o,
                                 const Sentry__GoferInode *m)
{
	if (!m->stamp)
		return loader_missing(l, "stamp");
	o->stamp_size = m->stamp->size;
	o->stamp_mtime = m->stamp->mtime;
	o->stamped = true;
	return 0;
}
void gofer_inode_sample_stamp_mtime(struct sampler *sp, struct gofer_inode *o)
{
	o->stamp_size = sampler_value(sp);
	o->stamp_mtime = 4711;
	o->stamped = true;
}

int gofer_check_loaded(struct inode *i, struct loader *l)
{
	struct gofer_inode *gi = gofer_i(i);
	struct gofer_super *gs = gofer_sb(i);
	struct kernel_load *kl = loader_user(l);
	AUTO_FREE char *path = NULL;
	u32 fid;
	int r = gofer_check_chain(l, gi);

	if (r < 0)
		return r;
	if (gi->deleted || gi->fid != P9_NOFID)
		return 0;
	if (kl)
		gofer_connect(gs, kl->machine);
	if (!gs->client)
		return 0; /* nothing to check against: a tool that only looks */
	path = gofer_path(gi);
	r = gofer_fid(gi, &fid);
	if (r == -ESTALE)
		return loader_fail(l, r, "host file %s (%s) is gone", path, gs->aname);
	if (r < 0)
		return loader_fail(l, r, "host file %s (%s): %s", path, gs->aname, strerror(-r));
	if (!inode_is_reg(i) || !gi->stamped)
		return 0;
	/* The walk that found the fid brought the attributes. */
	if (gi->host_moved && (gi->stamp_size || gi->stamp_mtime))
		return loader_fail(l, -ESTALE, "host file %s (%s) has changed since the checkpoint",
		                   path, gs->aname);
	return 0;
}

/* ---- content of files that have no name any more ---- */

/* Copies what the host file holds; holes stay holes. */
static int copy_content(int fd, struct shmem *to, u64 size)
{
	AUTO_FREE u8 *buf = malloc(64 * KIB);
	off_t at = 0;

	if (!buf)
		return -ENOMEM;
	while ((at = lseek(fd, at, SEEK_DATA)) >= 0 && (u64)at < size) {
		ssize_t n = pread(fd, buf, 64 * KIB, at);
		UITER(it);

		if (n <= 0)
			return n < 0 ? -errno : 0;
		uiter_init_kernel(&it, buf, (u64)n);
		if (shmem_write(to, &it, (u64)at) != n)
			return -ENOMEM;
		at += n;
	}
	return 0;
}

/*
 * Nothing can find such a file again: from its first save on its content lives in memory, here and
 * in the image alike. Everything is parked, so nobody sees the change.
 */
static int keep_in_memory(struct saver *s, struct gofer_inode *gi)
{
	struct kernel *k = gofer_sb(&gi->inode)->kernel;
	struct mapfile *mf = any_fd(gi);
	AUTO(shmem) data = NULL;
	struct stat st;
	int r;

	if (!gi->deleted || !inode_is_reg(&gi->inode) || gi->data || !mf || !k)
		return 0;
	if (fstat(mf->fd, &st) < 0)
		return saver_error(s, -EIO, "a deleted file cannot be read");
	data = shmem_new(k, 0);
	r = copy_content(mf->fd, data, (u64)st.st_size);
	if (r == 0)
		r = shmem_truncate(data, (u64)st.st_size);
	if (r < 0)
		return saver_error(s, r, "the content of a deleted file cannot be saved");
	gi->inode.size = (u64)st.st_size;
	gi->data = TAKE(data);
	mm_invalidate(k, &gi->inode.map, 0, 0);
	return 0;
}

int gofer_inode_save_data(struct saver *s, const struct gofer_inode *o, Sentry__GoferInode *m)
{
	int r = keep_in_memory(s, (struct gofer_inode *)(uintptr_t)o);

	m->data = saver_ref(s, o->data);
	return r;
}
int gofer_inode_load_data(struct loader *l, struct gofer_inode *o, const Sentry__GoferInode *m)
{
	return loader_ref(l, m->data, &shmem_type, &o->data);
}
void gofer_inode_sample_data(struct sampler *sp, struct gofer_inode *o)
{
	o->data = sampler_ref(sp, &shmem_type);
}
