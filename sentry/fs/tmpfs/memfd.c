#include "sentry/fs/tmpfs/memfd.h"

#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/kernel/kernel.h"
#include "state/base/cleanup.h"

#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#define ALL_SEALS                                                                              \
	(u32)(F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE | \
	      SEAL_EXEC)

int memfd_new(struct ctx *c, const char *name, u32 flags, struct file **ret)
{
	/* A super block of its own: never mounted, gone with the inode. */
	AUTO(tmpfs_super) ts = obj_new(tmpfs_super);
	AUTO(inode) i = NULL;
	u32 mode = S_IFREG | (flags & MFD_NOEXEC_SEAL ? 0666 : 0777);
	int r;

	ts->sb.dev = (u32)makedev(0, 1);
	ts->next_ino = kernel_new_ino(c->kernel);
	r = tmpfs_inode_new(&ts->sb, c, mode, 0, NULL, ts->next_ino, &i);
	if (r < 0)
		return r;
	i->nlink = 0;
	tmpfs_i(i)->target = strdup(name);
	tmpfs_i(i)->seals = F_SEAL_SEAL;
	if (flags & MFD_ALLOW_SEALING)
		tmpfs_i(i)->seals = 0;
	if (flags & MFD_NOEXEC_SEAL)
		tmpfs_i(i)->seals = SEAL_EXEC;
	return tmpfs_open(i, c, NULL, O_RDWR | O_LARGEFILE_GUEST, ret);
}

static struct tmpfs_inode *memory_file(struct file *f)
{
	struct tmpfs_inode *ti = obj_cast(tmpfs_inode, f->inode);

	/* An overlay's have the same type, and are no memory files to the guest. */
	return ti && ti->data && f->inode->sb->obj.type == &tmpfs_super_type ? ti : NULL;
}

/* Files of a tree can't be sealed. One of memfd_create(2), whose super block has none, can,
 * whichever way it was opened. Under the inode's lock. */
static u32 seals_of(const struct tmpfs_inode *ti)
{
	return ti->inode.sb->root ? F_SEAL_SEAL : ti->seals;
}

long memfd_add_seals(struct file *f, struct ctx *c, u32 seals)
{
	struct tmpfs_inode *ti = memory_file(f);
	bool writer;

	if (!file_writable(f))
		return -EPERM;
	if (!ti || (seals & ~ALL_SEALS))
		return -EINVAL;
	/* What may be executed is to stay what it is. */
	if ((seals & SEAL_EXEC) && (READ_ONCE(f->inode->mode) & 0111))
		seals |= F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
	/* Not under the lock: it may put the last reference to an address space. */
	writer = (seals & F_SEAL_WRITE) && mm_any_writer(c->kernel, (struct mappable *)ti->data);
	GUARD(&f->inode->lock);
	if (seals_of(ti) & F_SEAL_SEAL)
		return -EPERM;
	if ((seals & ~ti->seals & F_SEAL_WRITE) && writer)
		return -EBUSY;
	ti->seals |= seals;
	return 0;
}

long memfd_get_seals(struct file *f)
{
	struct tmpfs_inode *ti = memory_file(f);

	if (!ti)
		return -EINVAL;
	GUARD(&f->inode->lock);
	return seals_of(ti);
}
