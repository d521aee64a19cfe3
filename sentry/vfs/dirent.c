#include "sentry/vfs/dirent.h"

#include "sentry/vfs/dentry.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/mount.h"
#include "state/base/cleanup.h"

#include <dirent.h>

bool dirent_dots(struct file *f, struct dir_sink *sink, s64 *pos)
{
	u64 self = f->path.dentry ? f->path.dentry->inode->ino : f->inode->ino, up = self;

	if (*pos == 0) {
		if (!sink->entry(sink, ".", 1, self, DT_DIR, 1))
			return false;
		*pos = 1;
	}
	if (*pos == 1) {
		if (f->path.dentry) {
			AUTO(dentry) parent = dentry_get_parent(f->path.dentry);

			up = parent->inode->ino;
		}
		if (!sink->entry(sink, "..", 2, up, DT_DIR, 2))
			return false;
		*pos = 2;
	}
	return true;
}
