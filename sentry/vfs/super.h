#pragma once
/*
 * Super blocks: one instance of a file system. File systems register their type; mounting one by
 * name makes an instance.
 *
 * Locking: rename_lock (RANK_RENAME) as dentry.h says; the LRU under lru_lock (RANK_LEAF).
 * Lifetime: refcounted; inodes own it; the root dentry goes when the last mount of it goes.
 * Saved: by the derived types; the LRU is not.
 */
#include "sentry/ctx/ctx.h"
#include "sentry/vfs/dentry.h"
#include "state/base/lock.h"
#include "state/object.h"

#include <sys/vfs.h>

struct kernel;

struct super_block {
	struct obj obj;
	u32 dev;             /* st_dev; immutable */
	bool rdonly;         /* refuses writes whatever the mount says */
	struct dentry *root; /* owned; NULL once unmounted everywhere */
	struct rwlock rename_lock;
	_Atomic u32 active; /* mounts; rebuilt at load */
	struct mutex lru_lock;
	TAILQ_HEAD(, dentry) lru GUARDED_BY(lru_lock);
	u32 lru_count GUARDED_BY(lru_lock);
};
OBJECT_DECL(super_block);

struct super_ops {
	const char *name;     /* type in /proc/mounts; never NULL */
	u32 cache;            /* dentries that nobody uses but which stay; 0: none */
	bool changes_outside; /* by others than the sandbox: no leases */
	bool nameless; /* its dentries are places for files that have none: no names to show */
	/* Fills type, sizes, namelen; the caller sets flags. NULL: zeros and simple values. */
	int (*statfs)(struct super_block *sb, struct ctx *c, struct statfs *ret);
	int (*sync)(struct super_block *sb, struct ctx *c); /* NULL: 0 */
	/* Appends to the options in /proc/mounts: ",size=64k". NULL: none. */
	void (*show_options)(struct super_block *sb, char *buf, size_t size);
	/* A cached dentry of dir (positive or negative) is about to be used again: false if it
	 * must be looked up anew. dir's dir_lock and the rename lock may be held. NULL: always
	 * true. */
	bool (*revalidate)(struct dentry *dir, const char *name, struct dentry *d, struct ctx *c);
	/* The last mount went; the root dentry is still there. NULL: nothing. */
	void (*kill)(struct super_block *sb);
};
static inline const struct super_ops *super_ops_of(const struct super_block *sb)
{
	return sb->obj.type->ops;
}

/* Gives a new super block its device number and its root (takes references). */
void super_setup(struct super_block *sb, struct kernel *k, struct inode *root);
/* A mount of it comes / goes. At the last one caches and root are dropped. */
void super_activate(struct super_block *sb);
void super_deactivate(struct super_block *sb);
/* d was used: it stays cached for a while. */
void super_cache(struct super_block *sb, struct dentry *d);
/* d need not stay cached. The caller has a reference. */
void super_uncache(struct super_block *sb, struct dentry *d);
/* Puts all cached dentries. */
void super_shrink(struct super_block *sb);
MUST_CHECK int super_statfs(struct super_block *sb, struct ctx *c, struct statfs *ret);

struct fs_mount_args {
	struct kernel *kernel;
	struct ctx *c;       /* NULL at boot */
	const char *source;  /* never NULL */
	const char *options; /* comma separated, without the mount flags; never NULL */
	unsigned gofer;      /* index into machine->gofers, for type "9p" */
	bool rdonly;
};
struct fs_type {
	const char *name;
	bool no_user_mount; /* mount(2) refuses it (-ENODEV): only boot makes them */
	/* A new super block with its root; a reference. -EINVAL for options it does not know. */
	int (*mount)(const struct fs_mount_args *a, struct super_block **ret);
};
#define FS_TYPE(id, ...)                                   \
	static const struct fs_type id = {__VA_ARGS__};    \
	static const struct fs_type *const id##_registered \
		__attribute__((used, section("fs_types"), aligned(sizeof(void *)))) = &id
const struct fs_type *fs_type_find(const char *name);
/* The i-th registered type, NULL past the end: for /proc/filesystems. */
const struct fs_type *fs_type_at(unsigned i);
/* Takes the next "key[=value]" out of a comma separated list (destructive). False at the end. */
bool mount_option_next(char **options, char **ret_key, char **ret_value);
