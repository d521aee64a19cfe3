#pragma once
/*
 * What an image says about host files: stamps that a restore compares, and the content of files
 * that have no name any more.
 *
 * Locking: everything is parked, or being loaded. Lifetime: no state. Saved: it is the save.
 */
#include "proto/files.pb-c.h"
#include "sentry/fs/gofer/gofer_fs.h"

struct loader;
struct sampler;
struct saver;

int gofer_inode_save_stamp_mtime(struct saver *s, const struct gofer_inode *o,
                                 Sentry__GoferInode *m);
int gofer_inode_load_stamp_mtime(struct loader *l, struct gofer_inode *o,
                                 const Sentry__GoferInode *m);
void gofer_inode_sample_stamp_mtime(struct sampler *sp, struct gofer_inode *o);
int gofer_inode_save_data(struct saver *s, const struct gofer_inode *o, Sentry__GoferInode *m);
int gofer_inode_load_data(struct loader *l, struct gofer_inode *o, const Sentry__GoferInode *m);
void gofer_inode_sample_data(struct sampler *sp, struct gofer_inode *o);
/* A loaded inode and its ancestors hang together. -EBADMSG (noted). */
MUST_CHECK int gofer_check_chain(struct loader *l, const struct gofer_inode *gi);
/* inode_ops.check_loaded. */
int gofer_check_loaded(struct inode *i, struct loader *l);
