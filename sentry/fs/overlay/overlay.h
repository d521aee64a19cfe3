#pragma once
/*
 * overlay: a tmpfs in front of a tree that is only read. What the container changes lives in
 * memory and travels in the image; the lower tree (a gofer's, as a rule) stays as it is.
 *
 * An overlay is a tmpfs by derivation: the super block is a tmpfs_super, every inode a tmpfs_inode.
 * Files made here are plain tmpfs inodes; struct overlay_inode stands for what came from below, and
 * for every directory. What it asks of the lower file system:
 * - nobody else changes the tree (the mount is exclusive);
 * - lookup, get_link, open, getxattr and listxattr work on inodes alone, a lookup leaves the fields
 *   of the inode it returns filled;
 * - files can be opened without a path: they lie behind an open file of the overlay's own.
 *
 * Names: a directory has an entry for each name that was touched here (made, removed, changed);
 * what has none is as below. An inode from below that was not touched is not in its directory's
 * entries but knows its place (parent, name); touching it turns that around: the entry owns it
 * ("pinned"). Removing a name that exists below leaves an entry without an inode, a whiteout. A
 * directory made here has no lower directory and thus hides whatever had its name (opaque). Renames
 * move entries, an inode keeps its lower one wherever it goes: nothing is copied.
 *
 * Content is copied when a regular file is first opened for writing or truncated, and only then.
 * Files that were open for reading before read the copy from then on (file.c); mappings stay with
 * what they were made of.
 *
 * Locking: names, entries and what tells pinned inodes from others under the super block's names
 * (RANK_OVERLAY_TREE); lower and data of one inode under its copy (RANK_OVERLAY), held while the
 * lower file system is asked. Lifetime: as tmpfs; an unpinned inode owns its parent, a directory
 * owns the inodes of its entries. Saved: everything but the listings cached of lower directories.
 */
#include "sentry/fs/tmpfs/tmpfs.h"

struct kernel;

/*
 * A new overlay over the tree at lower_root (a directory of lower; references are taken, and lower
 * counts as mounted until the overlay is unmounted). A reference in *ret. The root looks like
 * lower_root. -ENOTDIR.
 */
MUST_CHECK int overlay_new(struct kernel *k, struct super_block *lower, struct dentry *lower_root,
                           struct super_block **ret);
