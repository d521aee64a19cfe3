#pragma once
/*
 * Namespaces as files: what the links of /proc/PID/ns lead to, and setns(2) takes.
 *
 * Locking: immutable. Lifetime: an open file keeps its namespace. Saved: all of it. Of the kinds
 * that a sandbox has one of each, a file stands for that one.
 */
#include "sentry/vfs/file.h"
#include "sentry/vfs/inode.h"

struct mount_ns;
struct task;
struct utsns;

struct ns_inode {
	struct inode inode;
	struct utsns *uts;    /* owned; NULL for other kinds */
	struct mount_ns *mnt; /* owned; NULL for other kinds */
	u32 kind;             /* CLONE_NEWUTS, ... */
};
OBJECT_DECL(ns_inode);

/* By the name that it has in /proc/PID/ns. -ENOENT: there is none; -ESRCH: target has gone. */
MUST_CHECK int ns_inode_of(struct task *target, const char *name, struct ns_inode **ret);
/* "uts:[4026531838]". */
void ns_inode_text(const struct ns_inode *n, char *buf, size_t size);
/* What f is open on, borrowed; NULL: no namespace. */
struct ns_inode *ns_of(struct file *f);
