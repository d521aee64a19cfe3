/* open(2), openat2(2), creat(2), memfd_create(2). */
#include "sentry/fs/tmpfs/memfd.h"
#include "sentry/syscall/sysarg.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/namei.h"
#include "state/base/cleanup.h"

#include <linux/openat2.h>
#include <sys/mman.h>

static long do_open(struct task *t, int dirfd, uaddr_t upath, const struct open_how_k *how)
{
	struct ctx *c = &t->ctx;
	AUTO_FREE char *path = NULL;
	AUTO(file) f = NULL;
	int r = user_get_path(c, upath, &path);

	if (r == 0)
		r = path_open(c, dirfd, path, how, &f);
	if (r < 0)
		return r;
	return fd_install(c, f, 0, how->flags & O_CLOEXEC);
}

#define OPEN_FLAGS                                                                                 \
	(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_DSYNC |     \
	 O_SYNC | O_ASYNC | O_DIRECT | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH | \
	 O_TMPFILE | O_LARGEFILE_GUEST)

/* Unknown bits are ignored, a mode counts only where a file may be made. */
static struct open_how_k classic(int flags, u32 mode)
{
	struct open_how_k how = {.flags = (u32)(flags & OPEN_FLAGS)};

	if (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)))
		how.mode = mode & 07777;
	return how;
}

SYSCALL3(open, uaddr_t, path, int, flags, u32, mode)
{
	struct open_how_k how = classic(flags, mode);

	return do_open(t, AT_FDCWD, path, &how);
}
SYSCALL4(openat, int, dirfd, uaddr_t, path, int, flags, u32, mode)
{
	struct open_how_k how = classic(flags, mode);

	return do_open(t, dirfd, path, &how);
}
SYSCALL2(creat, uaddr_t, path, u32, mode)
{
	struct open_how_k how = classic(O_CREAT | O_WRONLY | O_TRUNC, mode);

	return do_open(t, AT_FDCWD, path, &how);
}

SYSCALL4(openat2, int, dirfd, uaddr_t, path, uaddr_t, uhow, size_t, size)
{
	const u32 resolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS |
	                    RESOLVE_BENEATH | RESOLVE_IN_ROOT;
	struct open_how how;
	struct open_how_k k;
	bool makes;
	int r;

	if (size < sizeof(how))
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	r = user_get(&t->ctx, uhow, &how);
	if (r < 0)
		return r;
	/* Fields that a newer caller knows must be zero. */
	for (size_t at = sizeof(how); at < size; at++) {
		u8 more;

		r = user_copy_in(&t->ctx, &more, uaddr_add(uhow, at), 1);
		if (r < 0 || more)
			return r < 0 ? r : -E2BIG;
	}
	makes = (how.flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) != 0;
	if ((how.flags & ~(u64)OPEN_FLAGS) || (how.mode & ~07777ull) || (how.mode && !makes) ||
	    (how.resolve & ~(u64)resolve))
		return -EINVAL;
	if ((how.resolve & RESOLVE_BENEATH) && (how.resolve & RESOLVE_IN_ROOT))
		return -EINVAL;
	if ((how.flags & O_PATH) &&
	    (how.flags & ~(u64)(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)))
		return -EINVAL;
	k = (struct open_how_k){(u32)how.flags, (u32)how.mode, (u32)how.resolve};
	return do_open(t, dirfd, path, &k);
}

SYSCALL2(memfd_create, uaddr_t, uname, u32, flags)
{
	char name[MEMFD_NAME_MAX + 1];
	AUTO(file) f = NULL;
	long n;
	int r;

	if (flags & ~(u32)(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC))
		return -EINVAL;
	if ((flags & MFD_NOEXEC_SEAL) && (flags & MFD_EXEC))
		return -EINVAL;
	n = user_get_str(&t->ctx, uname, name, sizeof(name));
	if (n < 0)
		return n == -ENAMETOOLONG ? -EINVAL : n;
	r = memfd_new(&t->ctx, name, flags, &f);
	if (r < 0)
		return r;
	return fd_install(&t->ctx, f, 0, flags & MFD_CLOEXEC);
}
