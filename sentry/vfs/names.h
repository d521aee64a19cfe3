#pragma once
/*
 * Rights to make and remove names, shared by open and the calls that do so.
 *
 * Locking: the directory's dir_lock is held, so that it cannot go away in between.
 * Lifetime, saved: no state.
 */
#include "sentry/vfs/namei.h"

/* A name may be added to dir: -EROFS, -ENOENT (removed), -EACCES. */
MUST_CHECK int names_may_create(struct ctx *c, const struct path *dir);
/* d may be taken out of dir: also -EPERM (sticky), -EBUSY (mounted on). */
MUST_CHECK int names_may_delete(struct ctx *c, const struct path *dir, struct dentry *d);
