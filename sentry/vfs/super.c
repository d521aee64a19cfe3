#include "sentry/vfs/super.h"

#include "proto/vfs.pb-c.h"
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/notify.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <sys/sysmacros.h>

/* active and the LRU are rebuilt by mounts and by use. */
#define SUPER_BLOCK_FIELDS(X) \
	X(HDR, obj)           \
	X(VAL, dev)           \
	X(VAL, rdonly)        \
	X(REF, root, dentry)  \
	X(SKIP, rename_lock)  \
	X(SKIP, active)       \
	X(SKIP, lru_lock)     \
	X(SKIP, lru)          \
	X(SKIP, lru_count)

static void super_block_init(void *p)
{
	struct super_block *sb = p;

	rwlock_init(&sb->rename_lock, RANK_RENAME);
	mutex_init(&sb->lru_lock, RANK_LEAF);
	TAILQ_INIT(&sb->lru);
}
static void super_block_destroy(void *p)
{
	struct super_block *sb = p;

	obj_put(TAKE(sb->root));
}
OBJECT_TYPE(super_block, Sentry__SuperBlock, sentry__super_block__descriptor, SUPER_BLOCK_FIELDS,
            .abstract = true, .init = super_block_init, .destroy = super_block_destroy);

void super_setup(struct super_block *sb, struct kernel *k, struct inode *root)
{
	sb->dev = (u32)makedev(0, kernel_new_id(k) & 0xfffff);
	sb->root = dentry_new_root(sb, root);
}

void super_activate(struct super_block *sb)
{
	atomic_fetch_add(&sb->active, 1);
}

void super_deactivate(struct super_block *sb)
{
	const struct super_ops *ops = super_ops_of(sb);

	if (atomic_fetch_sub(&sb->active, 1) != 1)
		return;
	notify_unmount(sb);
	super_shrink(sb);
	if (ops->kill)
		ops->kill(sb);
	dentry_put(TAKE(sb->root));
}

/* ---- the LRU: a clock over the dentries that were used lately; it owns them ---- */

/* Takes what is too much out of the list, at most a few per call. lru_lock held. */
static unsigned evict(struct super_block *sb, u32 limit, struct dentry **out, unsigned max)
{
	unsigned n = 0;

	for (unsigned look = 0; sb->lru_count > limit && n < max && look < 64; look++) {
		struct dentry *d = TAILQ_FIRST(&sb->lru);

		TAILQ_REMOVE(&sb->lru, d, lru);
		if (atomic_exchange_explicit(&d->used, false, memory_order_relaxed)) {
			TAILQ_INSERT_TAIL(&sb->lru, d, lru);
			continue;
		}
		atomic_store(&d->in_lru, false);
		sb->lru_count--;
		out[n++] = d;
	}
	return n;
}

void super_cache(struct super_block *sb, struct dentry *d)
{
	u32 limit = super_ops_of(sb)->cache;
	struct dentry *out[4];
	unsigned n = 0;

	if (limit == 0)
		return;
	if (atomic_load_explicit(&d->in_lru, memory_order_relaxed)) {
		if (!atomic_load_explicit(&d->used, memory_order_relaxed))
			atomic_store_explicit(&d->used, true, memory_order_relaxed);
		return;
	}
	mutex_lock(&sb->lru_lock);
	/* hashed is read without the parent's lock: at worst a dropped name waits for eviction. */
	if (!atomic_load(&d->in_lru) && READ_ONCE(d->hashed) && atomic_load(&sb->active)) {
		atomic_store(&d->in_lru, true);
		dentry_get(d);
		TAILQ_INSERT_TAIL(&sb->lru, d, lru);
		sb->lru_count++;
		n = evict(sb, limit, out, ARRAY_SIZE(out));
	}
	mutex_unlock(&sb->lru_lock);
	while (n)
		dentry_put(out[--n]);
}

void super_uncache(struct super_block *sb, struct dentry *d)
{
	bool was;

	if (!atomic_load(&d->in_lru))
		return;
	mutex_lock(&sb->lru_lock);
	was = atomic_exchange(&d->in_lru, false);
	if (was) {
		TAILQ_REMOVE(&sb->lru, d, lru);
		sb->lru_count--;
	}
	mutex_unlock(&sb->lru_lock);
	if (was)
		dentry_put(d);
}

/* In batches: a dentry that is in use meanwhile may come back, through the same link. */
void super_shrink(struct super_block *sb)
{
	struct dentry *out[64];
	unsigned n;
	u32 left;

	mutex_lock(&sb->lru_lock);
	left = sb->lru_count;
	mutex_unlock(&sb->lru_lock);
	do {
		n = 0;
		mutex_lock(&sb->lru_lock);
		while (left && n < ARRAY_SIZE(out) && !TAILQ_EMPTY(&sb->lru)) {
			out[n] = TAILQ_FIRST(&sb->lru);
			TAILQ_REMOVE(&sb->lru, out[n], lru);
			atomic_store(&out[n++]->in_lru, false);
			sb->lru_count--;
			left--;
		}
		mutex_unlock(&sb->lru_lock);
		for (unsigned i = 0; i < n; i++)
			dentry_put(out[i]);
	} while (n);
}

int super_statfs(struct super_block *sb, struct ctx *c, struct statfs *ret)
{
	const struct super_ops *ops = super_ops_of(sb);
	struct statfs st = {.f_bsize = PAGE_SIZE, .f_frsize = PAGE_SIZE, .f_namelen = 255};

	st.f_fsid.__val[0] = (int)sb->dev;
	if (ops->statfs) {
		int r = ops->statfs(sb, c, &st);

		if (r < 0)
			return r;
	}
	*ret = st;
	return 0;
}

/* ---- registered types ---- */

extern const struct fs_type *const __start_fs_types[] __attribute__((weak));
extern const struct fs_type *const __stop_fs_types[] __attribute__((weak));

const struct fs_type *fs_type_at(unsigned i)
{
	return i < (size_t)(__stop_fs_types - __start_fs_types) ? __start_fs_types[i] : NULL;
}

const struct fs_type *fs_type_find(const char *name)
{
	for (unsigned i = 0; fs_type_at(i); i++) {
		if (!strcmp(fs_type_at(i)->name, name))
			return fs_type_at(i);
	}
	return NULL;
}

bool mount_option_next(char **options, char **ret_key, char **ret_value)
{
	char *p;

	do {
		if (!*options || !**options)
			return false;
		p = strsep(options, ",");
	} while (!*p);
	*ret_key = p;
	*ret_value = strchr(p, '=');
	if (*ret_value)
		*(*ret_value)++ = 0;
	return true;
}
