#pragma once
/*
 * tmpfs: files in the sandbox's memory (tmpfs(5)); also the upper layer of overlays.
 *
 * Locking: names of one super block under tree (RANK_TREE); file sizes and contents under
 * inode->lock, which writes hold. Lifetime: a directory owns what is in it; the root is owned by
 * the super block until it is unmounted everywhere. Saved: everything.
 */
#include "sentry/vfs/inode.h"
#include "sentry/vfs/super.h"
#include "sentry/vfs/xattr.h"

#include <bsd/sys/tree.h>

struct shmem;

struct tmpfs_super {
	struct super_block sb;
	struct mutex tree;
	u64 max_bytes, max_inodes; /* 0: a share of memory, whatever that is now; immutable */
	u64 next_ino GUARDED_BY(tree);
	_Atomic u64 bytes, inodes;     /* in use; rebuilt */
	const struct machine *machine; /* whose memory it is; NULL in a test */
};
OBJECT_DECL(tmpfs_super);

struct tmpfs_entry {
	RB_ENTRY(tmpfs_entry) by_name, by_cookie;
	struct inode *inode; /* owned */
	u64 cookie;
	u32 len;
	char name[];
};
RB_HEAD(tmpfs_names, tmpfs_entry);
RB_HEAD(tmpfs_cookies, tmpfs_entry);
RB_PROTOTYPE(tmpfs_names, tmpfs_entry, by_name, );
RB_PROTOTYPE(tmpfs_cookies, tmpfs_entry, by_cookie, );

struct tmpfs_inode {
	struct inode inode;
	struct shmem *data;       /* owned, immutable; regular files */
	char *target;             /* owned, immutable; symbolic links */
	struct tmpfs_names names; /* directories; super's tree lock, as the next three */
	struct tmpfs_cookies cookies;
	u64 next_cookie;
	u64 n_entries;
	u64 charged;          /* bytes counted in the super block; inode lock */
	struct xattrs xattrs; /* inode lock */
	u32 seals;            /* F_SEAL_*; inode lock */
	bool linkable;        /* nameless but may get a name; tree lock */
};
OBJECT_DECL(tmpfs_inode);

static inline struct tmpfs_inode *tmpfs_i(struct inode *i)
{
	return container_of(i, struct tmpfs_inode, inode);
}
static inline struct tmpfs_super *tmpfs_sb(const struct inode *i)
{
	return container_of(i->sb, struct tmpfs_super, sb);
}

/* How much it may hold. */
u64 tmpfs_max_bytes(const struct tmpfs_super *ts);
u64 tmpfs_max_inodes(const struct tmpfs_super *ts);
/* A super block with an empty root (mode 01777 unless changed). max 0: half of the memory that
 * there is, and an inode for each page of it. For overlays and the mount type. */
struct super_block *tmpfs_new(struct kernel *k, struct ctx *c, u64 max_bytes, u64 max_inodes,
                              u32 mode, u32 uid, u32 gid);
/* New inodes are numbered from first on: so that an upper layer's do not meet the lower one's. */
void tmpfs_set_first_ino(struct super_block *sb, u64 first);
/* A nameless inode (any type but directory unless dir) with the given number, 0: the next. For
 * regular files empty. -ENOSPC. */
MUST_CHECK int tmpfs_inode_new(struct super_block *sb, struct ctx *c, u32 mode, u32 rdev,
                               const char *target, u64 ino, struct inode **ret);
/* Gives a nameless inode a name. -EEXIST. */
MUST_CHECK int tmpfs_add(struct inode *dir, struct ctx *c, const char *name, struct inode *inode);
/* The content of a regular file. */
struct shmem *tmpfs_data(struct inode *i);
/* Calls fn for each name from cookie on, under the tree lock; false ends. */
void tmpfs_walk(struct inode *dir, u64 cookie, bool (*fn)(const struct tmpfs_entry *e, void *arg),
                void *arg);
/* Content changed: size and charge follow the data. inode lock held. */
void tmpfs_update_size(struct tmpfs_inode *ti);

extern const struct inode_ops tmpfs_inode_ops;
MUST_CHECK int tmpfs_open(struct inode *i, struct ctx *c, const struct path *path, u32 flags,
                          struct file **ret);
/* setattr of sizes; inode lock not held. */
MUST_CHECK int tmpfs_resize(struct inode *i, struct ctx *c, u64 size);
void tmpfs_entries_finish(struct tmpfs_inode *ti);
/* Puts an entry into a directory that is being loaded. -EEXIST. */
MUST_CHECK int tmpfs_entry_load(struct tmpfs_inode *dir, const char *name, struct inode *inode,
                                u64 cookie);
/* Directory operations, in dir.c. */
int tmpfs_lookup(struct inode *dir, struct ctx *c, const char *name, struct inode **ret);
int tmpfs_link(struct inode *dir, struct ctx *c, const char *name, struct inode *target);
int tmpfs_unlink(struct inode *dir, struct ctx *c, const char *name, struct inode *victim);
int tmpfs_rmdir(struct inode *dir, struct ctx *c, const char *name, struct inode *victim);
int tmpfs_rename(struct inode *dir, struct ctx *c, const char *name, struct inode *victim,
                 struct inode *new_dir, const char *new_name, struct inode *target, u32 flags);
bool tmpfs_dir_empty(struct inode *dir);
