#include "sentry/fs/gofer/stamp.h"

#include "sentry/kernel/kernel.h"
#include "sentry/mm/mm_save.h"
#include "sentry/mm/pageload.h"
#include "sentry/mm/shmem.h"
#include "sentry/mm/usercopy.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <sys/stat.h>
#include <unistd.h>

/* ---- stamps ---- */

static struct mapfile *any_fd(const struct gofer_inode *gi)
{
	return gi->rw ? gi->rw : gi->ro;
}

int gofer_inode_save_stamp_mtime(struct saver *s, const struct gofer_inode *o,
                                 Sentry__GoferInode *m)
{
	struct mapfile *mf = any_fd(o);
	struct stat st;

	m->stamp = saver_msg(s, Sentry__HostStamp, sentry__host_stamp__init);
	m->stamp->size = o->stamped ? o->stamp_size : o->inode.size;
	m->stamp->mtime = o->stamped ? o->stamp_mtime : o->inode.mtime;
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
	if (i->size != gi->stamp_size || i->mtime != gi->stamp_mtime)
		return loader_fail(l, -ESTALE, "host file %s (%s) has changed since the checkpoint",
		                   path, gs->aname);
	gi->stamped = false;
	return 0;
}

/* ---- content of deleted files ---- */

static int content_read(struct page_source *src, u64 off, void *buf, u64 len)
{
	struct gofer_inode *gi = container_of(src, struct gofer_inode, source);
	struct mapfile *mf = any_fd(gi);
	u64 done = 0;

	while (done < len) {
		ssize_t n = pread(mf->fd, (u8 *)buf + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -EIO;
		if (n == 0)
			break;
		done += (u64)n;
	}
	memset((u8 *)buf + done, 0, len - done);
	return 0;
}

static u64 content_zero_prefix(struct page_source *src, u64 off, u64 len)
{
	struct gofer_inode *gi = container_of(src, struct gofer_inode, source);
	off_t data = lseek(any_fd(gi)->fd, (off_t)off, SEEK_DATA);

	if (data < 0)
		return errno == ENXIO ? len : 0;
	return (u64)data <= off ? 0 : MIN(len, PAGE_DOWN((u64)data - off));
}

int gofer_inode_save_source(struct saver *s, const struct gofer_inode *o, Sentry__GoferInode *m)
{
	struct gofer_inode *gi = (struct gofer_inode *)(uintptr_t)o;
	struct mapfile *mf = any_fd(o);
	size_t cap = 16;
	struct stat st;
	u64 off = 0, size;

	if (!o->deleted || !inode_is_reg(&o->inode) || o->data || !mf)
		return 0;
	if (fstat(mf->fd, &st) < 0)
		return saver_error(s, -EIO, "cannot read a deleted file's size");
	size = PAGE_UP((u64)st.st_size);
	gi->source.read = content_read;
	gi->source.zero_prefix = content_zero_prefix;
	gi->source.size = size;
	m->pages = saver_alloc(s, cap * sizeof(m->pages[0]));
	while (off < size) {
		Sentry__PageRun *run = saver_msg(s, Sentry__PageRun, sentry__page_run__init);
		u64 len = 0;
		int r = saver_pages(s, &gi->source, off, size - off, &run->pgno, &len);

		if (r < 0)
			return r;
		run->start = off;
		run->len = len;
		if (m->n_pages == cap) {
			Sentry__PageRun **more = saver_alloc(s, cap * 2 * sizeof(m->pages[0]));

			memcpy(more, m->pages, cap * sizeof(m->pages[0]));
			m->pages = more;
			cap *= 2;
		}
		m->pages[m->n_pages++] = run;
		off += len;
	}
	return 0;
}

/* Between load and after_load: where the content lies. */
struct saved_content {
	struct pma_tree pages;
};

int gofer_inode_load_source(struct loader *l, struct gofer_inode *o, const Sentry__GoferInode *m)
{
	struct saved_content *sc;
	int r;

	if (m->n_pages == 0)
		return 0;
	sc = calloc(1, sizeof(*sc));
	BUG_ON(!sc);
	pma_tree_init(&sc->pages);
	r = pma_load(l, &sc->pages, m->n_pages, m->pages, INT64_MAX, true);
	if (r < 0) {
		pma_drop_range(&sc->pages, 0, UINT64_MAX);
		free(sc);
		return r;
	}
	/* saved_pgno is the saver's and unused in an object that is being loaded. */
	o->source.saved_pgno = (u64 *)sc;
	return 0;
}

void gofer_inode_sample_source(struct sampler *sp, struct gofer_inode *o)
{
	(void)sp;
	(void)o;
}

int gofer_restore_content(struct loader *l, struct gofer_inode *gi)
{
	struct saved_content *sc = (struct saved_content *)gi->source.saved_pgno;
	struct kernel_load *kl = loader_user(l);
	AUTO_FREE u8 *buf = malloc(64 * KIB);
	int r = 0;

	gi->source.saved_pgno = NULL;
	if (!gi->deleted || !inode_is_reg(&gi->inode) || gi->data)
		goto out;
	gi->data = shmem_new(kl ? kl->kernel : NULL, 0);
	for (struct pma *p = sc ? pma_from(&sc->pages, 0) : NULL; p && r == 0; p = pma_next(p)) {
		for (u64 at = p->start; at < p->end && r == 0; at += 64 * KIB) {
			u64 n = MIN(p->end - at, 64 * KIB);
			UITER(it);

			r = p->mf->source->read(p->mf->source, p->off + (at - p->start), buf, n);
			uiter_init_kernel(&it, buf, n);
			if (r == 0 && shmem_write(gi->data, &it, at) != (long)n)
				r = -ENOMEM;
		}
	}
	if (r == 0)
		r = shmem_truncate(gi->data, gi->stamp_size);
	if (r < 0)
		r = loader_fail(l, r, "the content of a deleted file cannot be restored");
	else
		gi->inode.size = gi->stamp_size;
out:
	if (sc) {
		pma_drop_range(&sc->pages, 0, UINT64_MAX);
		free(sc);
	}
	return r;
}
