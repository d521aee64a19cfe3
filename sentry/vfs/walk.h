#pragma once
/*
 * The state of one path walk, for the calls of namei.h that need its last step: open and the calls
 * that make and remove names.
 *
 * Locking: none held between steps. Lifetime: on the stack; walk_finish drops what it holds.
 * Saved: no.
 */
#include "sentry/vfs/namei.h"

struct creds;

struct walk {
	struct ctx *c;
	const struct creds *creds; /* owned */
	u32 flags;                 /* enum lookup_flags */
	struct path root;          /* owned; what '/' means and '..' stops at */
	struct path start;         /* owned; for LOOKUP_BENEATH */
	struct path cur; /* owned; after walk_parent: the directory of the last component */
	unsigned links;  /* symbolic links followed */
	char *buffer;    /* owned: text of the last link and what followed it */
	/* After walk_parent, until the next step: */
	char last[DENTRY_NAME_MAX + 1]; /* "" if special */
	bool special;                   /* ends in ".", ".." or "/": cur is the result itself */
	bool slash;                     /* text ends in a slash: must be a directory */
};
#define WALK(w) __attribute__((cleanup(walk_finish))) struct walk w = {0}

/* Finds the start. name decides whether dirfd matters. */
MUST_CHECK int walk_init(struct walk *w, struct ctx *c, int dirfd, const char *name, u32 flags);
MUST_CHECK int walk_init_from(struct walk *w, struct ctx *c, const struct path *root,
                              const struct path *start, u32 flags);
void walk_finish(struct walk *w);
/* Walks all but the last component of name, from cur (or root). */
MUST_CHECK int walk_parent(struct walk *w, const char *name);
/* Looks the last component up in cur: a reference to a dentry, maybe negative, not crossed. Search
 * permission was checked by walk_parent. Not for special. */
MUST_CHECK int walk_last(struct walk *w, struct dentry **ret);
/* Makes the place that d (a child of cur) leads to the current one: crosses mounts. */
void walk_enter(struct walk *w, struct dentry *d);
/* cur is a symbolic link below the directory dir: goes on from there through the link, up to its
 * last component (as walk_parent). Takes no ownership. */
MUST_CHECK int walk_follow(struct walk *w, const struct path *dir, struct inode *link);
/* To the end: cur is the place. */
MUST_CHECK int walk_all(struct walk *w, const char *name);
