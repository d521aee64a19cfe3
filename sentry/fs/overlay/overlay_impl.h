#pragma once
/*
 * Inside the overlay: see overlay.h for how it works, for locking, lifetime and what is saved.
 */
#include "sentry/fs/overlay/overlay.h"
#include "sentry/vfs/file.h"
#include "state/base/cleanup.h"

/* Numbers of inodes made here start where those of real disks hardly are. */
#define OVERLAY_FIRST_INO (1ull << 48)

/* What became of a name. inode NULL: a whiteout, only for names that exist below. */
struct overlay_entry {
	RB_ENTRY(overlay_entry) by_name, by_cookie;
	struct inode *inode; /* owned */
	u64 cookie;          /* position in listings of names that do not exist below */
	bool hides;          /* the name exists below */
	char name[];
};
RB_HEAD(overlay_names, overlay_entry);
RB_HEAD(overlay_cookies, overlay_entry);
RB_PROTOTYPE(overlay_names, overlay_entry, by_name, );
RB_PROTOTYPE(overlay_cookies, overlay_entry, by_cookie, );

/* A name of a lower directory. */
struct overlay_below {
	char *name; /* owned */
	u64 ino;
	u8 type;
};

struct overlay_inode;
RB_HEAD(overlay_places, overlay_inode);
RB_HEAD(overlay_shared, overlay_inode);
RB_PROTOTYPE(overlay_places, overlay_inode, place, );
RB_PROTOTYPE(overlay_shared, overlay_inode, by_ino, );

struct overlay_inode {
	struct tmpfs_inode ti;
	/*
	 * What it is below; NULL: nothing, or no longer needed. A directory's never changes. Owned;
	 * guarded by copy, as the next two.
	 */
	struct inode *lower;
	struct shmem *partial; /* owned: content that an interrupted copy-up got so far */
	u64 lower_blocks;      /* st_blocks below, as long as the content is there; immutable */
	bool own_xattrs;       /* extended attributes are ti's, not the lower inode's */
	struct mutex copy;
	/* The rest is guarded by the super block's names. Of an inode that is not pinned: */
	struct overlay_inode *parent; /* owned */
	char *name;                   /* owned */
	RB_ENTRY(overlay_inode) place;
	bool placed; /* in parent's places */
	/*
	 * A file with several names below. It has no one place; the super block finds it by its
	 * number, and owns it once it was touched (kept).
	 */
	bool shared; /* immutable */
	bool kept, in_shared;
	RB_ENTRY(overlay_inode) by_ino;
	/* Of a directory: */
	struct overlay_names names;
	struct overlay_cookies cookies;
	struct overlay_places places; /* inodes from below that are not pinned; not owned */
	_Atomic bool listed;          /* below is filled, and does not change any more */
	struct overlay_below *below;  /* owned; by name */
	size_t n_below;
	u8 walked; /* of the load's look for circles */
};
OBJECT_DECL(overlay_inode);

struct overlay_super {
	struct tmpfs_super ts;
	struct super_block *lower; /* owned, immutable; mounted as long as the overlay is */
	struct mutex names;        /* RANK_OVERLAY_TREE */
	struct overlay_shared shared GUARDED_BY(names);
};
OBJECT_DECL(overlay_super);

static inline struct overlay_super *overlay_sb(const struct inode *i)
{
	return container_of(i->sb, struct overlay_super, ts.sb);
}
static inline struct mutex *overlay_names_lock(const struct inode *i)
{
	return &overlay_sb(i)->names;
}
/* NULL for files that were made here. */
static inline struct overlay_inode *overlay_i(struct inode *i)
{
	return i->map.obj.type == &overlay_inode_type
	               ? container_of(i, struct overlay_inode, ti.inode)
	               : NULL;
}

/* ---- names.c; all with names held ---- */

struct overlay_entry *overlay_entry_find(struct overlay_inode *dir, const char *name);
/* A new entry, at the end of listings (cookie 0) or at a given place; takes over the reference. */
struct overlay_entry *overlay_entry_new(struct overlay_inode *dir, const char *name,
                                        struct inode *inode, bool hides, u64 cookie);
/* The inode that name stands for as far as it is known here: 0 with a reference, -ENOENT if there
 * is none, 1 if only the lower directory can tell. */
int overlay_find(struct overlay_inode *dir, const char *name, struct inode **ret);
/* The entry of a name that is (about to be) changed: name stands for victim. -ENOENT, -ESTALE. The
 * directory must be pinned by the caller. */
MUST_CHECK int overlay_entry_of(struct overlay_inode *dir, const char *name, struct inode *victim,
                                struct overlay_entry **ret);
/* Gives a free name to inode (a reference is taken). -EEXIST. */
MUST_CHECK int overlay_entry_add(struct overlay_inode *dir, const char *name, struct inode *inode);
/* The name goes away: its inode, with the entry's reference. */
struct inode *overlay_entry_remove(struct overlay_inode *dir, struct overlay_entry *e);
/* Puts an unpinned inode at its place. */
void overlay_place(struct overlay_inode *oi, struct overlay_inode *dir, const char *name);
/* The same for one that was loaded with parent and name. -EEXIST. */
MUST_CHECK int overlay_place_loaded(struct overlay_inode *oi);
/* i will be changed: it and the directories above stay in memory from now on. Returns a reference
 * to put when the lock is dropped, or NULL. */
MUST_CHECK struct overlay_inode *overlay_pin(struct inode *i);
/* An inode with several names below: registers it, or finds the one that is (with a reference;
 * NULL: none was). */
struct overlay_inode *overlay_share(struct overlay_inode *oi);
/* The last name of i is gone: nothing can find it any more. */
void overlay_forget(struct inode *i);
/* At the end of an inode: leaves its tables, puts what it owns. names not held. */
void overlay_names_finish(struct overlay_inode *oi);
/* The super block's tables go. */
void overlay_shared_finish(struct overlay_super *os, bool unmount);
struct overlay_inode *overlay_shared_first(struct overlay_super *os);
struct overlay_inode *overlay_shared_next(struct overlay_inode *oi);
/* -EINVAL for what no file may be called. */
MUST_CHECK int overlay_check_name(const char *name);

/* ---- inode.c ---- */

/* A directory that exists only here. */
struct overlay_inode *overlay_dir_new(struct super_block *sb, struct ctx *c, u32 mode);
/* What stands for lower, not in any table yet. */
struct overlay_inode *overlay_inode_from(struct super_block *sb, struct inode *lower);
extern const struct inode_ops overlay_inode_ops;
/* Moves a sample to a super block. */
void overlay_inode_sample_sb(struct overlay_inode *oi, struct super_block *sb);

/* ---- copy.c ---- */

/* The inode below, with a reference; NULL if there is none (any more). */
struct inode *overlay_lower(struct overlay_inode *oi);
/* An open file of the regular file i that reads lower until its content is here (file.c). */
MUST_CHECK int overlay_file_open(struct inode *i, struct inode *lower, struct ctx *c,
                                 const struct path *path, u32 flags, struct file **ret);
/* Opens lower for the overlay's own use. */
MUST_CHECK int overlay_open_lower(struct overlay_inode *oi, struct inode *lower, struct ctx *c,
                                  struct file **ret);
/* Pins i, then makes up to limit bytes of its content its own. -ERESTARTNOINTR if a checkpoint or
 * the caller's end cannot wait: another call goes on. */
MUST_CHECK int overlay_copy_up(struct overlay_inode *oi, struct ctx *c, u64 limit);
/* Pins i and makes its extended attributes its own. */
MUST_CHECK int overlay_copy_xattrs(struct overlay_inode *oi, struct ctx *c);
int overlay_open(struct inode *i, struct ctx *c, const struct path *path, u32 flags,
                 struct file **ret);

/* ---- list.c ---- */

/* Makes sure that dir's lower names are known. */
MUST_CHECK int overlay_list_below(struct overlay_inode *dir, struct ctx *c);
/* False if name is known not to exist below. */
bool overlay_maybe_below(struct overlay_inode *dir, const char *name);
/* No name in it; overlay_list_below came before, names held. */
bool overlay_dir_empty(struct overlay_inode *dir);
void overlay_below_finish(struct overlay_inode *dir);
int overlay_dir_open(struct inode *i, const struct path *path, u32 flags, struct file **ret);

/* ---- dir.c ---- */

int overlay_lookup(struct inode *dir, struct ctx *c, const char *name, struct inode **ret);
int overlay_create(struct inode *dir, struct ctx *c, const char *name, u32 mode, u32 rdev,
                   struct inode **ret);
int overlay_mkdir(struct inode *dir, struct ctx *c, const char *name, u32 mode, struct inode **ret);
int overlay_symlink(struct inode *dir, struct ctx *c, const char *name, const char *target,
                    struct inode **ret);
int overlay_link(struct inode *dir, struct ctx *c, const char *name, struct inode *target);
int overlay_unlink(struct inode *dir, struct ctx *c, const char *name, struct inode *victim);
int overlay_rmdir(struct inode *dir, struct ctx *c, const char *name, struct inode *victim);
int overlay_rename(struct inode *dir, struct ctx *c, const char *name, struct inode *victim,
                   struct inode *new_dir, const char *new_name, struct inode *target, u32 flags);
int overlay_tmpfile(struct inode *dir, struct ctx *c, u32 mode, struct inode **ret);
