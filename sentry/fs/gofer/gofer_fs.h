#pragma once
/*
 * Host files through the container's gofer. An inode is known by its path (parent and name); the
 * 9P fid and the host descriptors that go with it are vehicles, found again by walking the path.
 *
 * Regular files: their content is read, written and mapped through descriptors that the gofer
 * donated; without donation (a plain 9P server) through the fid. Attributes are cached: for good if
 * the mount is exclusive (nobody else changes the host's files), for an instant otherwise.
 *
 * Locking: parent and name under the super block's lock (RANK_LEAF), changed by rename only; fid,
 * descriptors and attributes under inode->lock, which is held over round trips for the inode's own
 * sake. Lifetime: as all inodes; an inode owns its parent. Saved: path, attributes, a stamp to
 * check at the restore; the content of deleted files.
 */
#include "sentry/fs/gofer/client.h"
#include "sentry/mm/mapfile.h"
#include "sentry/vfs/dir_list.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/super.h"

struct gofer_ahead;
struct gofer_inode;
struct machine;
struct shmem;

#define GOFER_BUCKETS 65536u

struct gofer_super {
	struct super_block sb;
	u32 gofer;                /* index into machine->gofers; immutable */
	char *aname;              /* immutable */
	bool exclusive;           /* immutable */
	struct kernel *kernel;    /* not owned, immutable */
	struct p9_client *client; /* not owned; NULL until connected */
	struct mutex lock;        /* RANK_LEAF */
	struct gofer_inode *table[GOFER_BUCKETS] GUARDED_BY(lock); /* by ino; not owned */
	TAILQ_HEAD(, gofer_inode)
	idle GUARDED_BY(lock); /* descriptors kept though nobody uses them */
	u32 n_idle GUARDED_BY(lock);
	TAILQ_HEAD(, gofer_ahead) ahead GUARDED_BY(lock); /* listings read ahead, oldest first */
	u32 n_ahead GUARDED_BY(lock);
};
OBJECT_DECL(gofer_super);

struct gofer_inode {
	struct inode inode;
	struct gofer_inode *parent; /* owned; NULL: the root */
	char *name;                 /* owned; in parent */
	bool deleted;
	char *target;    /* owned; symbolic links; immutable */
	u64 blocks;      /* of 512 bytes; inode->lock */
	s64 stamp_mtime; /* from the image: what the host file must look like */
	u64 stamp_size;
	bool stamped;       /* the fields are as the image says: no refresh yet; inode->lock */
	bool host_moved;    /* the host file was found to differ from the stamp */
	struct shmem *data; /* owned: content of a deleted file that came out of an image */
	/* Vehicles, under inode->lock but for the list links (the super block's). */
	u32 fid;
	bool attr_old;           /* the host's attributes may have moved on */
	s64 attr_time;           /* host monotonic ns when they were read */
	struct mapfile *ro, *rw; /* owned; donated descriptors for reading / for writing too */
	bool rw_readable;        /* rw was opened O_RDWR */
	u32 users;               /* open files; the super block's lock */
	bool idle;
	TAILQ_ENTRY(gofer_inode) idle_link;
	struct gofer_inode *hash_next;
	bool in_table;
	struct gofer_ahead *ahead; /* owned; a directory's listing; the super block's lock */
	u64 changes;               /* of names in it; the same */
};
OBJECT_DECL(gofer_inode);

struct gofer_file {
	struct file file;
	struct dir_list list; /* directories */
	bool listed;
	struct mapfile *mf; /* owned; what reads and writes go to; NULL: the fid, or data */
	u32 fid;            /* open fid where nothing was donated; P9_NOFID */
	bool uses;          /* it is one of its inode's users */
};
OBJECT_DECL(gofer_file);

static inline struct gofer_inode *gofer_i(struct inode *i)
{
	return container_of(i, struct gofer_inode, inode);
}
static inline struct gofer_super *gofer_sb(const struct inode *i)
{
	return container_of(i->sb, struct gofer_super, sb);
}

/* A super block for an attach point. exclusive: see above. -EIO, and what the gofer says. */
MUST_CHECK int gofer_new(struct kernel *k, unsigned gofer, const char *aname, bool exclusive,
                         bool rdonly, struct super_block **ret);
/* Connects to the machine's gofer. No-op if connected or there is none. */
void gofer_connect(struct gofer_super *gs, const struct machine *m);
/* The inode's unopened fid; walks to it if there is none yet. inode->lock not held. */
MUST_CHECK int gofer_fid(struct gofer_inode *gi, u32 *ret);
/* The inode for what a walk found: one that exists, or a new one. Takes over fid. */
struct gofer_inode *gofer_inode_get_or_new(struct gofer_super *gs, struct gofer_inode *parent,
                                           const char *name, const struct p9_attr *attr, u32 fid,
                                           const char *target);
void gofer_apply_attr(struct gofer_inode *gi, const struct p9_attr *attr);
/* Attributes no older than the mount allows. */
MUST_CHECK int gofer_refresh(struct gofer_inode *gi);
bool gofer_attr_fresh(struct gofer_inode *gi);
/* Path from the mount's root, for messages: malloc'd. */
char *gofer_path(struct gofer_inode *gi);

/* ---- ahead.c: what a listing brought with it ---- */
struct gofer_ahead *gofer_ahead_new(struct gofer_inode *dir);
void gofer_ahead_add(struct gofer_ahead *a, const char *name, size_t len,
                     const struct p9_attr *attr);
/* Takes a over; changes: the directory's count before the listing began. */
void gofer_ahead_publish(struct gofer_ahead *a, u64 changes);
/* A name in dir changes / the mount goes. */
void gofer_ahead_drop(struct gofer_inode *dir);
void gofer_ahead_drop_all(struct gofer_super *gs);
/* True if the answer is known: *ret with a reference, NULL if there is no such name. */
bool gofer_ahead_find(struct gofer_inode *dir, const char *name, struct gofer_inode **ret);

/* Counts an open file in or out; its descriptors may go when there is none. */
void gofer_use(struct gofer_inode *gi);
void gofer_unuse(struct gofer_inode *gi);
/*
 * A donated descriptor for access (O_ACCMODE): *ret_mf with a reference, or NULL and an open fid
 * where the server donates none.
 */
MUST_CHECK int gofer_host_file(struct gofer_inode *gi, u32 accmode, struct mapfile **ret_mf,
                               u32 *ret_fid);

extern const struct inode_ops gofer_inode_ops;
int gofer_open(struct inode *i, struct ctx *c, const struct path *path, u32 flags,
               struct file **ret);
/* Operations in ops_dir.c. */
int gofer_lookup(struct inode *dir, struct ctx *c, const char *name, struct inode **ret);
int gofer_create(struct inode *dir, struct ctx *c, const char *name, u32 mode, u32 rdev,
                 struct inode **ret);
int gofer_mkdir(struct inode *dir, struct ctx *c, const char *name, u32 mode, struct inode **ret);
int gofer_symlink(struct inode *dir, struct ctx *c, const char *name, const char *target,
                  struct inode **ret);
int gofer_link(struct inode *dir, struct ctx *c, const char *name, struct inode *target);
int gofer_unlink(struct inode *dir, struct ctx *c, const char *name, struct inode *victim);
int gofer_rmdir(struct inode *dir, struct ctx *c, const char *name, struct inode *victim);
int gofer_rename(struct inode *dir, struct ctx *c, const char *name, struct inode *victim,
                 struct inode *new_dir, const char *new_name, struct inode *target, u32 flags);
/* Lists a directory into l. */
MUST_CHECK int gofer_list(struct gofer_inode *dir, struct dir_list *l);
/* Where pages of a regular file are, for mappings. */
int gofer_translate(struct mappable *m, u64 off, u64 len, u32 access, struct backing *ret);
int gofer_sync_pages(struct mappable *m, u64 off, u64 len);
