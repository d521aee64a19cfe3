#pragma once
/*
 * How a struct path embedded in an object is saved: for the .c files that say SUB(x, path).
 *
 * Locking, lifetime: the owner's. Saved: both references.
 */
#include "proto/vfs.pb-c.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/mount.h"
#include "state/fields.h"

#define PATH_FIELDS(X)       \
	X(REF, mount, mount) \
	X(REF, dentry, dentry)
STRUCT_FIELDS(path, Sentry__Path, sentry__path__descriptor, PATH_FIELDS);
