#pragma once
/*
 * memfd_create(2): tmpfs files without a file system, and their seals (fcntl(2), "File Sealing").
 *
 * Locking: seals under inode->lock. Lifetime, saved: as tmpfs inodes.
 */
#include "sentry/vfs/file.h"

#define SEAL_EXEC 0x20u /* F_SEAL_EXEC: the x bits of the mode stay as they are */

#define MEMFD_NAME_MAX 249

/* Linux 6.3, newer than some headers. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x8u
#define MFD_EXEC        0x10u
#endif

/* flags: MFD_*. A reference. */
MUST_CHECK int memfd_new(struct ctx *c, const char *name, u32 flags, struct file **ret);
/* -EINVAL if f is no memory file, -EPERM (sealed, not writable), -EBUSY (mapped writable). */
MUST_CHECK long memfd_add_seals(struct file *f, struct ctx *c, u32 seals);
MUST_CHECK long memfd_get_seals(struct file *f);
