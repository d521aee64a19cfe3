#pragma once
/*
 * What inotify hears of: the calls of the VFS that change or use files tell it here, at the places
 * and in the order in which Linux's fsnotify has them.
 *
 * Locking: one lock (RANK_NOTIFY) inside, for every watch there is; callers may hold anything above
 * it. Costs one load while nobody watches. Lifetime, saved: inotify.h.
 */
#include "state/base/types.h"

#include <sys/inotify.h>

struct ctx;
struct dentry;
struct file;
struct inode;
struct path;
struct super_block;

extern _Atomic u32 notify_watches; /* of the whole process */
static inline bool notify_active(void)
{
	return unlikely(atomic_load_explicit(&notify_watches, memory_order_relaxed) != 0);
}

/* Something happened to the inode itself: IN_ATTRIB, IN_MOVE_SELF... */
void notify_inode(struct inode *i, u32 mask);
/* Something happened to name in dir: IN_CREATE, IN_DELETE, IN_MOVED_*. isdir: name is one. */
void notify_name(struct inode *dir, u32 mask, const char *name, bool isdir, u32 cookie);
/* The file d was changed by path: the directory that it is in hears of it, then itself. */
void notify_dentry(struct dentry *d, u32 mask);
/* The same for an open file: IN_OPEN, IN_ACCESS, IN_MODIFY, IN_CLOSE_*. */
void notify_file_slow(struct file *f, u32 mask);
static inline void notify_file(struct file *f, u32 mask)
{
	if (notify_active())
		notify_file_slow(f, mask);
}
/* Attributes were changed: valid is struct iattr's. */
void notify_attr(struct dentry *d, u32 valid);
/* d lost its name (dentry_drop was called): watches stop holding it. If nobody else does and the
 * file is gone for good, they hear it now, else from notify_gone. The caller has a reference. */
void notify_unlinked(struct dentry *d);
/* The last user of an unlinked dentry is gone: IN_DELETE_SELF if it was the file's last name. */
void notify_gone(struct dentry *d);
/* A rename was done; target is what was at the new name, or NULL. */
void notify_moved(struct ctx *c, struct inode *old_dir, const char *old_name, struct inode *new_dir,
                  const char *new_name, struct inode *moved, struct inode *target);
/* The file system goes away: IN_UNMOUNT. */
void notify_unmount(struct super_block *sb);
/* The inode goes away with watches on it: only when a whole sandbox is disposed of. */
void notify_inode_destroyed(struct inode *i);
