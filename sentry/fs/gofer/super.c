#include "sentry/fs/gofer/gofer_fs.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/pageload.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <linux/magic.h>
#include <stdio.h>
#include <string.h>

#define GOFER_SUPER_FIELDS(X)                                  \
	X(BASE, sb, super_block)                               \
	X(VAL, gofer)                                          \
	X(STR, aname)                                          \
	X(VAL, exclusive)                                      \
	X(SKIP, kernel) /* handed over by the load */          \
	X(SKIP, client) /* the machine's */                    \
	X(SKIP, lock)                                          \
	X(SKIP_ARRAY, table) /* inodes enter when they load */ \
	X(SKIP, idle)                                          \
	X(SKIP, n_idle)                                        \
	X(SKIP, ahead)                                         \
	X(SKIP, n_ahead)

static void gofer_super_init(void *p)
{
	struct gofer_super *gs = p;

	mutex_init(&gs->lock, RANK_LEAF);
	TAILQ_INIT(&gs->idle);
	TAILQ_INIT(&gs->ahead);
}
static void gofer_super_destroy(void *p)
{
	free(TAKE(((struct gofer_super *)p)->aname));
}
static int gofer_super_after_load(struct loader *l, void *p)
{
	struct kernel_load *kl = loader_user(l);

	if (!((struct gofer_super *)p)->aname)
		return loader_error(l, "no attach point");
	if (kl) {
		((struct gofer_super *)p)->kernel = kl->kernel;
		gofer_connect(p, kl->machine);
	}
	return 0;
}

void gofer_connect(struct gofer_super *gs, const struct machine *m)
{
	if (!gs->client && m && gs->gofer < m->n_gofers)
		gs->client = m->gofers[gs->gofer];
}

static int gofer_statfs(struct super_block *sb, struct ctx *c, struct statfs *st)
{
	struct gofer_super *gs = container_of(sb, struct gofer_super, sb);
	AUTO(dentry) root = dentry_get(sb->root);
	struct p9_rstatfs r;
	u32 fid;
	int err;

	(void)c;
	if (!root)
		return -EIO;
	err = gofer_fid(gofer_i(root->inode), &fid);
	if (err == 0)
		err = p9_client_statfs(gs->client, fid, &r);
	if (err < 0)
		return err;
	st->f_type = V9FS_MAGIC;
	st->f_bsize = st->f_frsize = r.bsize ? r.bsize : PAGE_SIZE;
	st->f_blocks = r.blocks;
	st->f_bfree = r.bfree;
	st->f_bavail = r.bavail;
	st->f_files = r.files;
	st->f_ffree = r.ffree;
	st->f_namelen = r.namelen ? r.namelen : 255;
	return 0;
}

static s64 host_mono(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

/* Names and attributes that others may change are believed this long: a burst of lookups of one
 * path costs one look at the host. */
#define TRUST_NS (2 * NSEC_PER_MSEC)

bool gofer_attr_fresh(struct gofer_inode *gi)
{
	if (gi->attr_old)
		return false;
	return gofer_sb(&gi->inode)->exclusive || host_mono() - gi->attr_time < TRUST_NS;
}

static bool gofer_revalidate(struct dentry *dir, const char *name, struct dentry *d, struct ctx *c)
{
	struct gofer_super *gs = container_of(d->sb, struct gofer_super, sb);
	AUTO(inode) now = NULL;
	s64 t = host_mono();
	int r;

	if (gs->exclusive || t < atomic_load(&d->valid_until))
		return true;
	r = gofer_lookup(dir->inode, c, name, &now);
	/* A gofer that is gone makes no name disappear: the use of it will fail. */
	if (r == 0 ? now != d->inode : r == -ENOENT && d->inode)
		return false;
	atomic_store(&d->valid_until, t + TRUST_NS);
	return true;
}

static void gofer_kill(struct super_block *sb)
{
	gofer_ahead_drop_all(container_of(sb, struct gofer_super, sb));
}

static const struct super_ops gofer_super_ops = {
	.name = "9p",
	.cache = 8192,
	.changes_outside = true,
	.statfs = gofer_statfs,
	.revalidate = gofer_revalidate,
	.kill = gofer_kill,
};
OBJECT_TYPE(gofer_super, Sentry__GoferSuper, sentry__gofer_super__descriptor, GOFER_SUPER_FIELDS,
            .base = &super_block_type, .ops = &gofer_super_ops, .init = gofer_super_init,
            .destroy = gofer_super_destroy, .after_load = gofer_super_after_load);

int gofer_new(struct kernel *k, unsigned gofer, const char *aname, bool exclusive, bool rdonly,
              struct super_block **ret)
{
	AUTO(gofer_super) gs = obj_new(gofer_super);
	AUTO(gofer_inode) root = NULL;
	struct p9_attr attr;
	u32 fid;
	int r;

	gs->gofer = gofer;
	gs->aname = strdup(aname);
	BUG_ON(!gs->aname);
	gs->exclusive = exclusive;
	gs->sb.rdonly = rdonly;
	gs->kernel = k;
	gofer_connect(gs, k->machine);
	if (!gs->client)
		return -EIO;
	r = p9_client_attach(gs->client, aname, &fid, &attr);
	if (r < 0)
		return r;
	root = gofer_inode_get_or_new(gs, NULL, NULL, &attr, fid, NULL);
	super_setup(&gs->sb, k, &root->inode);
	*ret = &TAKE(gs)->sb;
	return 0;
}

/* The source names the attach point; options: "exclusive". */
static int gofer_mount(const struct fs_mount_args *a, struct super_block **ret)
{
	return gofer_new(a->kernel, a->gofer, a->source, strstr(a->options, "exclusive") != NULL,
	                 a->rdonly, ret);
}
FS_TYPE(gofer_fs, .name = "9p", .no_user_mount = true, .mount = gofer_mount);
