#define LOG_SUBSYSTEM "hostfd"
#include "sentry/fs/hostfd.h"

#include "proto/leaf.pb-c.h"
#include "sentry/fs/hostpoll.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/pageload.h"
#include "sentry/vfs/stat.h"
#include "state/base/cleanup.h"
#include "state/base/log.h"
#include "state/fields.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#define IOV_MAX_HOST 16
#define CHUNK_MAX    (1 * MIB)

static struct hostnode *node_of(const struct file *f)
{
	return container_of(f->inode, struct hostnode, inode);
}

int hostfd_private(int fd)
{
	char name[32];
	struct stat st;
	int flags = fcntl(fd, F_GETFL), r = -1;

	if (flags >= 0 && fstat(fd, &st) == 0 &&
	    (S_ISFIFO(st.st_mode) || (S_ISCHR(st.st_mode) && isatty(fd)))) {
		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		r = open(name, (flags & O_ACCMODE) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	}
	if (r < 0)
		r = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return r < 0 ? -errno : r;
}

/* ---- transfers ---- */

static short host_poll(const struct hostnode *n, short events)
{
	struct pollfd p = {.fd = n->fd, .events = events};

	return poll(&p, 1, 0) > 0 ? p.revents : 0;
}

/* One host read or write that does not block. */
static ssize_t host_transfer(struct hostnode *n, const struct iovec *iov, int cnt, bool out)
{
	ssize_t r;

	if (n->host_seekable || n->private_nonblock)
		return out ? writev(n->fd, iov, cnt) : readv(n->fd, iov, cnt);
	r = out ? pwritev2(n->fd, iov, cnt, -1, RWF_NOWAIT)
	        : preadv2(n->fd, iov, cnt, -1, RWF_NOWAIT);
	if (r >= 0 || (errno != EOPNOTSUPP && errno != ESPIPE))
		return r;
	/* Before Linux 6.4 pipes and terminals have no RWF_NOWAIT. What poll promises is a byte to
	 * read, or room for PIPE_BUF bytes in a pipe. */
	if (!host_poll(n, out ? POLLOUT : POLLIN)) {
		errno = EAGAIN;
		return -1;
	}
	if (!out)
		return readv(n->fd, iov, cnt);
	return n->tty ? write(n->fd, iov[0].iov_base, MIN(iov[0].iov_len, (size_t)256))
	              : write(n->fd, iov[0].iov_base, MIN(iov[0].iov_len, (size_t)PIPE_BUF));
}

struct transfer {
	struct uiter *it;
	s64 *pos; /* NULL or of the file: the host's own offset */
	bool write;
	u64 done;
};

/* At an offset that is not the host's. */
static ssize_t host_transfer_at(struct hostnode *n, const struct iovec *iov, int cnt,
                                const struct transfer *x, bool append)
{
	if (!x->write)
		return preadv(n->fd, iov, cnt, *x->pos);
	return pwritev2(n->fd, iov, cnt, *x->pos, append ? RWF_APPEND : 0);
}

static long transfer_step(struct file *f, struct transfer *x)
{
	struct hostnode *n = node_of(f);
	struct iovec iov[IOV_MAX_HOST];
	struct uiter_pins *pins = NULL;
	ssize_t r;
	int cnt;

	cnt = uiter_pin(x->it, MIN(uiter_count(x->it), CHUNK_MAX),
	                x->write ? ACCESS_READ : ACCESS_WRITE, iov, IOV_MAX_HOST, &pins);
	if (cnt < 0)
		return cnt;
	if (x->pos && (x->pos != &f->pos || ((struct hostfd *)f)->own_pos))
		r = host_transfer_at(n, iov, cnt, x, (file_flags(f) & O_APPEND) != 0);
	else
		r = host_transfer(n, iov, cnt, x->write);
	if (r < 0)
		r = -errno;
	uiter_unpin(pins);
	if (r > 0) {
		uiter_advance(x->it, (u64)r);
		x->done += (u64)r;
		if (x->pos)
			*x->pos += r;
	}
	return r == -EINTR ? -EAGAIN : r;
}

/* A read gives what there is; a write goes on until all is written. */
static long transfer_try(struct file *f, struct ctx *c, void *arg)
{
	struct transfer *x = arg;
	long r;

	do {
		r = transfer_step(f, x);
		if (r < 0)
			return r;
	} while (x->write && r > 0 && uiter_count(x->it) > 0);
	return (long)x->done;
}

static long transfer(struct file *f, struct ctx *c, struct uiter *it, s64 *pos, bool write)
{
	struct hostnode *n = node_of(f);
	struct transfer x = {.it = it, .pos = pos, .write = write};
	bool is_call = write && it->c && !pos;
	u64 before;
	long r;

	if (n->tty) {
		r = write ? hosttty_check_write(n->tty, c) : terminal_check_read(&n->tty->term, c);
		if (r < 0)
			return r;
	}
	if (uiter_count(it) == 0)
		return 0;
	if (n->fd < 0) {
		r = write ? (long)uiter_count(it) : 0;
		uiter_advance(it, (u64)r);
		return r;
	}
	/* What an earlier entry of this very call wrote. */
	before = is_call ? MIN(ctx_done(c), uiter_count(it)) : 0;
	uiter_advance(it, before);
	if (before > 0 && uiter_count(it) == 0)
		return (long)before;
	r = file_block(f, c, &n->wait, write ? READY_OUT : READY_IN, transfer_try, &x);
	if (r == -ERESTARTSYS && is_call)
		return ctx_partial(c, before + x.done);
	if (r == -EPIPE)
		ctx_signal_self(c, SIGPIPE);
	return before + x.done > 0 ? (long)(before + x.done) : r;
}

static long hostfd_read(struct file *f, struct ctx *c, struct uiter *dst, s64 *pos)
{
	return transfer(f, c, dst, pos, false);
}

static long hostfd_write(struct file *f, struct ctx *c, struct uiter *src, s64 *pos)
{
	return transfer(f, c, src, pos, true);
}

static u32 hostfd_poll(struct file *f, struct poll_table *pt)
{
	struct hostnode *n = node_of(f);
	u32 ev;

	poll_add(pt, &n->wait);
	/* While loading it is not bound yet, and says what it knows when it is. */
	if (n->fd < 0)
		return n->machine ? READY_IN | READY_OUT : 0;
	ev = (u32)(u16)host_poll(n, POLLIN | POLLPRI | POLLOUT | POLLRDHUP);
	if (ev & EPOLLIN)
		ev |= EPOLLRDNORM;
	if (ev & EPOLLOUT)
		ev |= EPOLLWRNORM;
	return ev;
}

/* Regular files and /dev/null are what the host's epoll refuses too. */
static bool hostfd_can_poll(struct file *f)
{
	return node_of(f)->watch != -EPERM;
}

static long hostfd_ioctl(struct file *f, struct ctx *c, u32 cmd, u64 arg)
{
	struct hostnode *n = node_of(f);
	int v = 0;

	if (n->tty)
		return hosttty_ioctl(n->tty, n->fd, c, cmd, arg);
	if (cmd != FIONREAD || n->fd < 0)
		return -ENOTTY;
	if (ioctl(n->fd, FIONREAD, &v) < 0)
		return -errno;
	return user_put_u32(c, UADDR(arg), (u32)v);
}

/* The wrapper holds pos_lock; but for own_pos, pos only mirrors the host's offset. */
static s64 hostfd_llseek(struct file *f, struct ctx *c, s64 off, int whence)
{
	int fd = node_of(f)->fd;
	s64 r = off;

	if (((struct hostfd *)f)->own_pos) {
		struct stat st;

		if (whence == SEEK_END && fstat(fd, &st) < 0)
			return -errno;
		if (whence != SEEK_SET && whence != SEEK_CUR && whence != SEEK_END)
			return -EINVAL;
		if (__builtin_add_overflow(off,
		                           whence == SEEK_END   ? st.st_size
		                           : whence == SEEK_CUR ? f->pos
		                                                : 0,
		                           &r))
			return -EOVERFLOW;
		if (r < 0)
			return -EINVAL;
	} else {
		r = lseek(fd, off, whence);
		if (r < 0)
			return -errno;
	}
	f->pos = r;
	return r;
}

static int hostfd_fsync(struct file *f, struct ctx *c, bool data_only)
{
	int fd = node_of(f)->fd;

	return (data_only ? fdatasync(fd) : fsync(fd)) < 0 ? -errno : 0;
}

static void hostfd_link_name(struct file *f, char *buf, size_t size)
{
	static const char *const names[HOST_SLOTS] = {"stdin", "stdout", "stderr"};
	const struct hostnode *n = node_of(f);

	if (S_ISFIFO(n->inode.mode))
		snprintf(buf, size, "pipe:[%llu]", (unsigned long long)n->inode.ino);
	else if (S_ISSOCK(n->inode.mode))
		snprintf(buf, size, "socket:[%llu]", (unsigned long long)n->inode.ino);
	else if (S_ISCHR(n->inode.mode) && n->inode.rdev == makedev(1, 3))
		snprintf(buf, size, "/dev/null");
	else
		snprintf(buf, size, "host:[%s]", names[n->slot]);
}

static const struct file_ops hostfd_ops = {
	.id = {.describe = file_describe},
	.read = hostfd_read,
	.write = hostfd_write,
	.poll = hostfd_poll,
	.polls_host = true,
	.can_poll = hostfd_can_poll,
	.ioctl = hostfd_ioctl,
	.llseek = hostfd_llseek,
	.fsync = hostfd_fsync,
	.link_name = hostfd_link_name,
};

static struct file *hostfd_new(struct hostnode *n, const struct path *path, u32 flags, bool own_pos)
{
	struct hostfd *h = obj_new(hostfd);

	file_setup(&h->file, flags, path, &n->inode);
	h->file.seekable = n->host_seekable;
	h->own_pos = own_pos && n->host_seekable;
	if (n->host_seekable && !own_pos)
		h->file.pos = MAX((s64)lseek(n->fd, 0, SEEK_CUR), (s64)0);
	return &h->file;
}

/* ---- the node ---- */

static int hostnode_getattr(struct inode *inode, struct ctx *c, struct kstat *ret)
{
	struct hostnode *n = container_of(inode, struct hostnode, inode);
	struct stat st;

	inode_fill_stat(inode, ret);
	if (n->fd < 0 || fstat(n->fd, &st) < 0)
		return 0;
	/* The same file in two slots must look like the same file. */
	ret->dev = st.st_dev;
	ret->ino = st.st_ino;
	ret->rdev = st.st_rdev;
	ret->size = (u64)st.st_size;
	ret->blksize = (u64)st.st_blksize;
	ret->blocks = (u64)st.st_blocks;
	ret->mtime = timespec_ns(&st.st_mtim);
	ret->atime = timespec_ns(&st.st_atim);
	ret->ctime = timespec_ns(&st.st_ctim);
	return 0;
}

static int hostnode_setattr(struct inode *inode, struct ctx *c, const struct iattr *attr)
{
	struct hostnode *n = container_of(inode, struct hostnode, inode);

	if (attr->valid & IATTR_SIZE) {
		if (n->fd < 0 || attr->size > INT64_MAX)
			return -EINVAL;
		if (ftruncate(n->fd, (off_t)attr->size) < 0)
			return -errno;
	}
	inode_apply_attr(inode, c, attr);
	return 0;
}

/* Whoever got hold of the description may open it again: /dev/stdout of another user's shell. */
static int hostnode_permission(struct inode *inode, struct ctx *c, const struct creds *creds,
                               u32 mask)
{
	return mask & MAY_EXEC ? -EACCES : 0;
}

static u32 host_accmode(int fd)
{
	int fl = fcntl(fd, F_GETFL);

	return fl < 0 ? O_RDWR : (u32)fl & O_ACCMODE;
}

static int hostnode_open(struct inode *inode, struct ctx *c, const struct path *path, u32 flags,
                         struct file **ret)
{
	struct hostnode *n = container_of(inode, struct hostnode, inode);
	u32 have = n->fd < 0 ? O_RDWR : host_accmode(n->fd);

	/* A new description can't do what the slot's own cannot. */
	if (have != O_RDWR && have != (flags & O_ACCMODE))
		return -EACCES;
	*ret = hostfd_new(n, path, flags, true);
	return 0;
}

static const struct inode_ops hostnode_ops = {
	.getattr = hostnode_getattr,
	.setattr = hostnode_setattr,
	.permission = hostnode_permission,
	.open = hostnode_open,
};

static bool is_terminal(int fd)
{
	struct winsize ws;

	/* isatty's TCGETS is as good; this one is in the filter with a fixed structure. */
	return ioctl(fd, TIOCGWINSZ, &ws) == 0;
}

bool hostfd_any_terminal(const int fds[HOST_SLOTS])
{
	for (u32 i = 0; i < HOST_SLOTS; i++)
		if (fds[i] >= 0 && is_terminal(fds[i]))
			return true;
	return false;
}

/* Takes the machine's slot up: host things only. */
static void bind(struct hostnode *n, struct machine *m)
{
	int fl, fd = hostfd_slot(m, n->owner, n->slot);

	n->machine = m;
	if (fd < 0)
		return;
	/* Of its own, so that several nodes of one slot can watch. */
	n->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (n->fd < 0)
		return;
	fl = fcntl(n->fd, F_GETFL);
	/* Only hostfd_private makes such a one of a caller's pipe or terminal. */
	n->private_nonblock = fl >= 0 && (fl & O_NONBLOCK);
	if (!m->hostpoll) /* a test's machine */
		return;
	n->watch = hostpoll_watch(m->hostpoll, n->fd, &n->wait);
	if (n->watch < 0 && n->watch != -EPERM)
		log_warn("cannot watch descriptor %u: error %d", n->slot, -n->watch);
}

static struct hostnode *hostnode_new(struct kernel *k, u64 owner, u32 slot)
{
	struct hostnode *n = obj_new(hostnode);
	struct stat st = {.st_mode = S_IFCHR};

	n->slot = slot;
	n->owner = owner;
	bind(n, k->machine);
	if (fstat(n->fd, &st) < 0)
		log_warn("cannot stat descriptor %u", slot);
	/* /dev/null is everybody's. */
	inode_setup(&n->inode, NULL, NULL, kernel_new_ino(k),
	            (st.st_mode & S_IFMT) | (st.st_rdev == makedev(1, 3) ? 0666 : 0620));
	n->inode.rdev = (u32)st.st_rdev;
	n->host_seekable = S_ISREG(st.st_mode) || S_ISBLK(st.st_mode);
	return n;
}

static bool same_device(const struct hostnode *a, const struct hostnode *b)
{
	struct stat x, y;

	return fstat(a->fd, &x) == 0 && fstat(b->fd, &y) == 0 && x.st_rdev == y.st_rdev;
}

/* What F_GETFL shows, but for O_NONBLOCK, which hostfd_private may have set. */
static u32 host_flags(int fd)
{
	int fl = fcntl(fd, F_GETFL);
	struct stat st;

	if (fl < 0 || fstat(fd, &st) < 0)
		return O_RDWR;
	/* A pipe that was opened anew has what only opened files have. */
	return (u32)fl & (O_ACCMODE | O_APPEND | (S_ISFIFO(st.st_mode) ? 0 : O_LARGEFILE_GUEST));
}

void hostfd_open_stdio(struct kernel *k, u64 owner, const struct path *console,
                       struct file *ret[HOST_SLOTS])
{
	struct hostnode *n[HOST_SLOTS] = {NULL};

	for (u32 i = 0; i < HOST_SLOTS; i++) {
		int fd = hostfd_slot(k->machine, owner, i);

		ret[i] = NULL;
		if (fd < 0)
			continue;
		n[i] = hostnode_new(k, owner, i);
		if (is_terminal(fd)) {
			for (u32 j = 0; j < i && !n[i]->tty; j++)
				if (n[j] && n[j]->tty && same_device(n[i], n[j]))
					n[i]->tty = hosttty_get(n[j]->tty);
			if (!n[i]->tty)
				n[i]->tty = hosttty_new(fd, owner, i);
		}
		ret[i] = hostfd_new(n[i], n[i]->tty ? console : NULL, host_flags(fd), false);
	}
	for (u32 i = 0; i < HOST_SLOTS; i++)
		hostnode_put(n[i]);
}

struct hosttty *hostfd_terminal(struct file *const files[HOST_SLOTS])
{
	for (u32 i = 0; i < HOST_SLOTS; i++)
		if (files[i] && node_of(files[i])->tty)
			return node_of(files[i])->tty;
	return NULL;
}

int hostfd_open_terminal(struct hosttty *tty, struct ctx *c, const struct path *path, u32 flags,
                         struct file **ret)
{
	AUTO(hostnode) n = NULL;

	n = hostnode_new(c->kernel, tty->owner, tty->index);
	n->tty = hosttty_get(tty);
	return hostnode_open(&n->inode, c, path, flags, ret);
}

void hostfd_look_at_sizes(struct kernel *k)
{
	struct thread_group *tg;
	u32 at = 0;

	while ((tg = thread_group_next(k, at))) {
		struct hosttty *h = NULL;

		at = tg->tgid;
		mutex_lock(&k->tasks_lock);
		if (tg->pgrp)
			h = hosttty_get(obj_cast(hosttty, tg->pgrp->session->tty));
		mutex_unlock(&k->tasks_lock);
		if (h)
			hosttty_look_at_size(h, k, hostfd_slot(k->machine, h->owner, h->index));
		obj_put(h);
		obj_put(tg);
	}
}

/* ---- objects ---- */

static void hostnode_init(void *o)
{
	struct hostnode *n = o;

	waitq_init(&n->wait);
	n->fd = -1;
	n->watch = -1;
}

static void hostnode_destroy(void *o)
{
	struct hostnode *n = o;

	if (n->machine)
		hostpoll_unwatch(n->machine->hostpoll, n->watch);
	if (n->fd >= 0)
		close(n->fd);
	hosttty_put(n->tty);
}

static int hostnode_after_load(struct loader *l, void *o)
{
	struct hostnode *n = o;
	const struct kernel_load *kl = loader_user(l);
	struct stat st;

	if (n->slot >= HOST_SLOTS)
		return loader_error(l, "standard descriptor %u", n->slot);
	bind(n, kl->machine);
	if (n->tty && n->fd >= 0)
		hosttty_bind(n->tty, n->fd);
	if (n->fd < 0 || fstat(n->fd, &st) < 0)
		return 0;
	/* The file that the first sandbox had, opened again, goes on where it was. One that has an
	 * offset already is shared with others: a log of the caller's, say. */
	if (n->host_seekable && S_ISREG(st.st_mode) && n->host_pos <= st.st_size &&
	    lseek(n->fd, 0, SEEK_CUR) == 0 && lseek(n->fd, n->host_pos, SEEK_SET) < 0)
		log_warn("cannot seek descriptor %u", n->slot);
	n->host_seekable = S_ISREG(st.st_mode) || S_ISBLK(st.st_mode);
	return 0;
}

/* The host keeps the offset. */
static int hostnode_save_host_pos(struct saver *s, const struct hostnode *n, Sentry__Hostnode *m)
{
	s64 pos = n->host_seekable && n->fd >= 0 ? lseek(n->fd, 0, SEEK_CUR) : n->host_pos;

	m->host_pos = pos < 0 ? 0 : pos;
	return 0;
}

static int hostnode_load_host_pos(struct loader *l, struct hostnode *n, const Sentry__Hostnode *m)
{
	if (m->host_pos < 0)
		return loader_error(l, "negative offset");
	n->host_pos = m->host_pos;
	return 0;
}

static void hostnode_sample_host_pos(struct sampler *sp, struct hostnode *n)
{
	n->host_pos = 77;
	n->slot = 2;
}

#define HOSTNODE_FIELDS(F)                                 \
	F(BASE, inode, inode)                              \
	F(VAL, slot)                                       \
	F(VAL, owner)                                      \
	F(VAL, host_seekable)                              \
	F(REF, tty, hosttty)                               \
	F(CUSTOM, host_pos, hostnode)                      \
	F(SKIP, machine)                                   \
	F(SKIP, fd)                                        \
	F(SKIP, private_nonblock) /* of the new machine */ \
	F(SKIP, wait) F(SKIP, watch)
OBJECT_TYPE(hostnode, Sentry__Hostnode, sentry__hostnode__descriptor, HOSTNODE_FIELDS,
            .base = &inode_type, .ops = &hostnode_ops, .init = hostnode_init,
            .destroy = hostnode_destroy, .after_load = hostnode_after_load);

static int hostfd_after_load(struct loader *l, void *o)
{
	struct hostfd *h = o;
	const struct kernel_load *kl = loader_user(l);
	const struct hostnode *n;
	struct stat st;

	/* Its inode must be one of ours: everything here relies on it. */
	if (!obj_is(h->file.inode, &hostnode_type))
		return loader_error(l, "hostfd without hostnode");
	n = node_of(&h->file);
	if (fstat(hostfd_slot(kl->machine, n->owner, n->slot), &st) == 0)
		h->file.seekable = S_ISREG(st.st_mode) || S_ISBLK(st.st_mode);
	return 0;
}

static void hostfd_sample(struct sampler *sp, void *o)
{
	struct hostfd *h = o;

	inode_put(h->file.inode);
	h->file.inode = sampler_ref(sp, &hostnode_type);
}

#define HOSTFD_FIELDS(F) F(BASE, file, file) F(VAL, own_pos)
OBJECT_TYPE(hostfd, Sentry__Hostfd, sentry__hostfd__descriptor, HOSTFD_FIELDS, .base = &file_type,
            .ops = &hostfd_ops, .after_load = hostfd_after_load, .sample = hostfd_sample);
