#pragma once
/*
 * File systems whose content is made up when it is read: proc and sys. A static table per directory
 * says what is in it; directories that list processes or descriptors add entries by callbacks.
 *
 * A file's text is made at its first read and whenever it is read from the start, and stays for
 * that open description, so that a reader in small steps sees one consistent text.
 *
 * Locking: show and its kin run without locks; text is under lock (RANK_FILE). Lifetime: inodes are
 * made by each lookup; what they are about is a name (entry, task, number), never a pointer, and
 * reading about something that is gone is -ESRCH or -ENOENT. Saved: that name, and text that was
 * read from.
 */
#include "sentry/vfs/file.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/super.h"

#include <stdarg.h>

struct pseudo_dir;
struct pseudo_entry;
struct task;

/* Text under construction. Zeroed is empty. */
struct text {
	char *s;
	size_t len, cap;
};
PRINTF(2, 3) void text_printf(struct text *t, const char *fmt, ...);
void text_append(struct text *t, const void *s, size_t len);
void text_char(struct text *t, char ch);
/* A path or name: spaces, tabs, newlines and backslashes as \ooo, as mount tables need it. */
void text_escape(struct text *t, const char *s);
void text_finish(struct text *t);

/* What an inode is about. */
struct pseudo_key {
	const struct pseudo_entry *entry;
	u32 pid;     /* task that a proc path names; 0: none */
	bool thread; /* named as task/TID: numbers are the thread's, not the group's */
	s64 start;   /* that task's start time, so that a reused pid is somebody else */
	s32 num;     /* descriptor of fd/N and fdinfo/N */
};

struct pseudo_inode {
	struct inode inode;
	struct pseudo_key key; /* immutable */
};
OBJECT_DECL(pseudo_inode);

struct pseudo_entry {
	const char *name;
	u32 mode;                     /* with type bits */
	const struct pseudo_dir *dir; /* S_IFDIR */
	/* S_IFREG: the text; -errno. */
	int (*show)(struct pseudo_inode *i, struct ctx *c, struct text *t);
	/* A write of the whole text (at most a page, NUL-terminated). Bytes or -errno. NULL:
	 * -EACCES at open. */
	long (*store)(struct pseudo_inode *i, struct ctx *c, char *s, size_t len);
	u32 arg; /* theirs, where one of them stands for several files */
	/* Instead of show and store, for content that is addressed (mem). */
	long (*read)(struct pseudo_inode *i, struct ctx *c, struct uiter *dst, s64 *pos);
	long (*write)(struct pseudo_inode *i, struct ctx *c, struct uiter *src, s64 *pos);
	/* S_IFLNK: inode_ops.get_link, and what readlink shows if that jumps. */
	int (*link)(struct pseudo_inode *i, struct ctx *c, char **ret_text, struct path *ret_jump);
	int (*link_text)(struct pseudo_inode *i, struct ctx *c, char **ret_text);
	/* Beyond the mode: may c open (or, for directories, search and list) it? NULL: yes. */
	int (*may_open)(struct pseudo_inode *i, struct ctx *c);
	/* The mounts whose changes pollers of the text are told; a reference. NULL: polling says
	 * nothing. */
	struct mount_ns *(*watched)(struct pseudo_inode *i, struct ctx *c);
};

struct pseudo_dir {
	const char *id; /* unique; part of what an image names entries by */
	const struct pseudo_entry *entries;
	size_t n;
	/* Children that come and go. -ENOENT. NULL: none. ret arrives as the directory's own key.
	 */
	int (*lookup)(struct pseudo_inode *dir, struct ctx *c, const char *name,
	              struct pseudo_key *ret);
	/* The one with the smallest number >= *num, which is set to it; its name and key. */
	bool (*next)(struct pseudo_inode *dir, struct ctx *c, u64 *num, char name[24],
	             struct pseudo_key *ret);
	/* All of its entries, looked up through it, are still about something. NULL: always. */
	bool (*alive)(const struct pseudo_key *child, struct ctx *c);
	/* Owner of what is in it, and permission bits if they are not the table's; NULL: root. */
	void (*owner)(const struct pseudo_key *child, struct ctx *c, u32 *ret_uid, u32 *ret_gid,
	              u32 *ret_perm);
};
#define PSEUDO_DIR(var, ...)                                   \
	const struct pseudo_dir var = {__VA_ARGS__};           \
	static const struct pseudo_dir *const var##_registered \
		__attribute__((used, section("pseudo_dirs"), aligned(sizeof(void *)))) = &var
#define PSEUDO_ENTRIES(a) .entries = (a), .n = ARRAY_SIZE(a)

struct pseudo_super {
	struct super_block sb;
};
OBJECT_DECL(pseudo_super);

/* Sets up the super block (made by obj_new of a type derived from pseudo_super) over a directory.
 */
void pseudo_super_setup(struct pseudo_super *ps, struct kernel *k, const struct pseudo_entry *root);
/* super_ops.revalidate for all pseudo file systems. */
bool pseudo_revalidate(struct dentry *dir, const char *name, struct dentry *d, struct ctx *c);

/* A decimal number without leading zeros or signs, at most max; false: the name is none. */
bool pseudo_number(const char *name, u64 max, u64 *ret);
/* The text's number (surrounding blanks allowed) between min and max. -EINVAL. */
MUST_CHECK int pseudo_parse(const char *s, s64 min, s64 max, s64 *ret);
