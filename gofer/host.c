#include "gofer/server.h"

#include "state/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

struct fd_path fd_path(int fd)
{
	struct fd_path p;

	snprintf(p.s, sizeof(p.s), "%d", fd);
	return p;
}

static int open_at(int dir, const char *name, int flags, mode_t mode)
{
	/* The name is one checked component; the kernel's own confinement backs that check. */
	struct open_how how = {
		.flags = (u64)(flags | O_NOFOLLOW | O_CLOEXEC),
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
	};
	long r;

	do
		r = syscall(SYS_openat2, dir, name, &how, sizeof(how));
	while (r < 0 && (errno == EAGAIN || errno == EINTR));
	return r < 0 ? -errno : (int)r;
}

int host_walk(int dir, const char *name, int *ret_fd)
{
	int fd = open_at(dir, name, O_PATH, 0);

	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

static u64 mix(u64 x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ull;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/*
 * Inode numbers below 2^48 keep their value, with the device's slot above them, so that no two
 * files share a path and the first root's files keep their host number. The slot is the device's
 * hash, so that a later gofer gives the same file the same path; other inode numbers, and devices
 * past the table, get 63 bits of hash.
 */
u64 host_qid_path(struct gofer *g, u64 dev, u64 ino)
{
	unsigned slot = 0;

	if (ino >> 48 == 0) {
		if (g->devs[0].used && g->devs[0].dev == dev)
			return ino;
		slot = 1 + (unsigned)(mix(dev) % (MAX_DEVS - 1));
		for (unsigned i = 0; i < MAX_DEVS - 1; i++) {
			if (!g->devs[slot].used) {
				g->devs[slot].used = true;
				g->devs[slot].dev = dev;
			}
			if (g->devs[slot].dev == dev)
				return (u64)slot << 48 | ino;
			slot = slot + 1 < MAX_DEVS ? slot + 1 : 1;
		}
	}
	return 1ull << 63 | mix(mix(dev) + ino);
}

static void attr_from_statx(struct gofer *g, const struct statx *s, struct p9_attr *a)
{
	u64 dev = makedev(s->stx_dev_major, s->stx_dev_minor);

	memset(a, 0, sizeof(*a));
	a->valid = P9_GETATTR_BASIC;
	a->qid.type = S_ISDIR(s->stx_mode)   ? P9_QTDIR
	              : S_ISLNK(s->stx_mode) ? P9_QTSYMLINK
	                                     : P9_QTFILE;
	a->qid.version = (u32)s->stx_ctime.tv_sec ^ s->stx_ctime.tv_nsec;
	a->qid.path = host_qid_path(g, dev, s->stx_ino);
	a->mode = s->stx_mode;
	a->uid = s->stx_uid;
	a->gid = s->stx_gid;
	a->nlink = s->stx_nlink;
	a->rdev = makedev(s->stx_rdev_major, s->stx_rdev_minor);
	a->size = s->stx_size;
	a->blksize = s->stx_blksize;
	a->blocks = s->stx_blocks;
	a->atime_sec = (u64)s->stx_atime.tv_sec;
	a->atime_nsec = s->stx_atime.tv_nsec;
	a->mtime_sec = (u64)s->stx_mtime.tv_sec;
	a->mtime_nsec = s->stx_mtime.tv_nsec;
	a->ctime_sec = (u64)s->stx_ctime.tv_sec;
	a->ctime_nsec = s->stx_ctime.tv_nsec;
	if (s->stx_mask & STATX_BTIME) {
		a->valid |= P9_GETATTR_BTIME;
		a->btime_sec = (u64)s->stx_btime.tv_sec;
		a->btime_nsec = s->stx_btime.tv_nsec;
	}
}

int host_attr_at(struct gofer *g, int dir, const char *name, struct p9_attr *ret_attr)
{
	struct statx s;

	if (statx(dir, name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
	          STATX_BASIC_STATS | STATX_BTIME, &s) < 0)
		return -errno;
	attr_from_statx(g, &s, ret_attr);
	return 0;
}

int host_attr(struct gofer *g, int fd, struct p9_attr *ret_attr)
{
	return host_attr_at(g, fd, "", ret_attr);
}

int host_open_flags(u32 flags)
{
	return (int)flags & (O_ACCMODE | O_TRUNC | O_APPEND | O_SYNC | O_DSYNC | O_DIRECTORY);
}

int host_open(const struct attach_point *at, int path_fd, mode_t type, u32 flags, int *ret_fd)
{
	int fl = host_open_flags(flags);
	int acc = fl & O_ACCMODE;
	bool changes = acc != O_RDONLY || (fl & O_TRUNC);
	bool special = false;
	int fd;

	if (acc == O_ACCMODE)
		return -EINVAL;
	switch (type & S_IFMT) {
	case S_IFREG:
		if (fl & O_DIRECTORY)
			return -ENOTDIR;
		break;
	case S_IFDIR:
		if (changes)
			return -EISDIR;
		fl |= O_DIRECTORY;
		break;
	case S_IFLNK:
		return -ELOOP;
	case S_IFIFO:
		if (!(at->flags & GOFER_ALLOW_FIFO))
			return -ENXIO;
		special = true;
		break;
	case S_IFCHR:
	case S_IFBLK:
		if (!(at->flags & GOFER_ALLOW_DEV))
			return -ENXIO;
		special = true;
		break;
	default:
		return -ENXIO;
	}
	if (at->readonly && changes && !special)
		return -EROFS;
	/* O_NONBLOCK: a lease or a FIFO's missing peer must not stop the only thread. */
	fd = openat(AT_FDCWD, fd_path(path_fd).s, fl | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!special)
		fcntl(fd, F_SETFL, fl & (O_APPEND | O_DSYNC | O_SYNC));
	*ret_fd = fd;
	return 0;
}

int host_chown(struct gofer *g, int path_fd, u32 uid, u32 gid, mode_t mode)
{
	struct stat st;

	if ((uid == P9_NOID && gid == P9_NOID) || !g->can_chown)
		return 0;
	if (fstatat(path_fd, "", &st, AT_EMPTY_PATH) < 0)
		return -errno;
	if (uid == st.st_uid)
		uid = P9_NOID;
	if (gid == st.st_gid)
		gid = P9_NOID;
	if (uid == P9_NOID && gid == P9_NOID)
		return 0;
	if (fchownat(path_fd, "", uid, gid, AT_EMPTY_PATH) < 0)
		return -errno;
	/* A change of owner took the set-id bits away. */
	if (S_ISREG(st.st_mode) && (mode & 06000) &&
	    fchmodat(AT_FDCWD, fd_path(path_fd).s, mode & 07777, 0) < 0)
		return -errno;
	return 0;
}

int host_create(struct gofer *g, int dir, const char *name, u32 flags, u32 mode, u32 uid, u32 gid,
                int *ret_io_fd, int *ret_path_fd)
{
	int fl = (host_open_flags(flags) & ~O_DIRECTORY) | O_NONBLOCK | O_NOCTTY;
	AUTO_CLOSE int io = -1, path = -1;
	bool made = true;
	struct stat st;
	int r = 0;

	if ((fl & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	io = open_at(dir, name, fl | O_CREAT | O_EXCL, mode & 07777);
	if (io == -EEXIST && !(flags & O_EXCL)) {
		/* Looked at before it is opened: it may be a FIFO or a device by now. */
		r = host_walk(dir, name, &path);
		if (r < 0)
			return r;
		if (fstatat(path, "", &st, AT_EMPTY_PATH) < 0)
			return -errno;
		if (!S_ISREG(st.st_mode))
			return S_ISDIR(st.st_mode)   ? -EISDIR
			       : S_ISLNK(st.st_mode) ? -ELOOP
			                             : -ENXIO;
		made = false;
		io = openat(AT_FDCWD, fd_path(path).s, fl | O_CLOEXEC);
		if (io < 0)
			return -errno;
	}
	if (io < 0)
		return io;
	fcntl(io, F_SETFL, fl & (O_APPEND | O_DSYNC | O_SYNC));
	if (path < 0) {
		path = openat(AT_FDCWD, fd_path(io).s, O_PATH | O_CLOEXEC);
		r = path < 0 ? -errno : 0;
	}
	if (r == 0 && made)
		r = host_chown(g, path, uid, gid, mode);
	if (r < 0) {
		if (made)
			unlinkat(dir, name, 0);
		return r;
	}
	*ret_io_fd = TAKE_FD(io);
	*ret_path_fd = TAKE_FD(path);
	return 0;
}
