#pragma once
/*
 * Open files without operations: O_PATH descriptions.
 *
 * Locking: none. Lifetime: refcounted object. Saved: the base.
 */
#include "sentry/vfs/file.h"

struct path_file {
	struct file file;
};
OBJECT_DECL(path_file);

/* A reference. p's references are taken anew. */
struct file *path_file_new(u32 flags, const struct path *p);
