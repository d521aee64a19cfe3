#pragma once
/*
 * Dentries: names that were looked up. They are a cache over what file systems answer, and the
 * place in the tree that open files, working directories and mounts hold on to.
 *
 * A dentry's inode never changes: a name that comes to be or goes away gets a new dentry, and the
 * old one is taken out of its parent's table (unhashed), where whoever holds it may go on using it.
 *
 * Locking: children and hashed of the children under dir->lock (RANK_DENTRY), held for moments.
 * name and parent change only by rename, under the super block's rename_lock for writing, both
 * parents' dir_lock and lock. dir_lock (RANK_DIR) serializes changes of names in one directory.
 * Lifetime: refcounted; a child owns its parent, a parent does not own its children; the super
 * block's LRU owns recently used ones. Saved: those that something else refers to.
 */
#include "sentry/ctx/ctx.h"
#include "state/base/lock.h"
#include "state/object.h"

struct inode;
struct super_block;

#define DENTRY_NAME_MAX 255

struct dentry {
	struct obj obj;
	struct dentry *parent; /* owned; NULL: root of its super block */
	char *name;            /* owned; "" for a root */
	u32 hash;
	bool unlinked;       /* its name is gone from the file system (not just from the cache) */
	struct inode *inode; /* owned, immutable; NULL: negative */
	struct super_block *sb; /* immutable; kept alive by inode or parent */
	_Atomic u32 mounted;    /* mounts on it, in any namespace; rebuilt */

	struct mutex dir_lock;
	struct mutex lock;
	struct dentry **children GUARDED_BY(lock); /* hash table, NULL: empty */
	u32 n_children, n_buckets GUARDED_BY(lock);
	u64 changes
		GUARDED_BY(lock); /* names came or went: a lookup under way must not be cached */
	/* The rest is guarded by the parent's lock. */
	struct dentry *hash_next;
	bool hashed;

	_Atomic bool used; /* since the LRU last looked */
	_Atomic bool in_lru;
	TAILQ_ENTRY(dentry) lru;
	_Atomic s64 valid_until; /* host monotonic ns; file systems that revalidate */
	u8 walked;               /* of the load's look for circles */
};
OBJECT_DECL(dentry);

/* The root of a super block; takes a reference to inode. */
struct dentry *dentry_new_root(struct super_block *sb, struct inode *inode);
/* A child that is in no table (a deleted or nameless file). */
struct dentry *dentry_new_detached(struct dentry *parent, const char *name, struct inode *inode);

/* The cached child, which may be negative: a reference, or NULL. */
struct dentry *dentry_cached(struct dentry *dir, const char *name, size_t len);
/*
 * The child, from the cache or the file system. Checks no permission. A negative dentry is no
 * error; -ENOTDIR, -ENAMETOOLONG and what the file system says are.
 */
MUST_CHECK int dentry_lookup(struct dentry *dir, struct ctx *c, const char *name, size_t len,
                             struct dentry **ret);
/* Puts a new name into the table in place of a negative dentry. dir_lock held. A reference. */
struct dentry *dentry_instantiate(struct dentry *dir, const char *name, struct inode *inode);
/* Takes d out of its parent's table, unlinked: its name is gone. */
void dentry_drop(struct dentry *d, bool unlinked);
/* After a rename in the file system: d moves to (dir, name); what was there is dropped; with other,
 * the two change places. Both dir_locks and sb->rename_lock (writing) held. */
void dentry_move(struct dentry *d, struct dentry *dir, const char *name, struct dentry *other);
/* Puts every cached descendant that nobody uses: before rmdir and unmount. */
void dentry_prune(struct dentry *dir);
/* True if a is b or above it. sb->rename_lock held. */
bool dentry_is_ancestor(const struct dentry *a, const struct dentry *b);
/* A reference to the parent (d itself for a root). */
struct dentry *dentry_get_parent(struct dentry *d);
u32 dentry_hash(const char *name, size_t len);
