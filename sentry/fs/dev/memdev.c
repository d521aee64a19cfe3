/*
 * The devices that have no device behind them: null, zero, full, random, urandom. Terminals are in
 * sentry/fs/tty.
 */
#include "proto/leaf.pb-c.h"
#include "sentry/fs/dev/dev.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/inode.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <errno.h>
#include <linux/random.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sysmacros.h>

struct memdev {
	struct file file;
};
OBJECT_DECL(memdev);
struct randdev {
	struct file file;
};
OBJECT_DECL(randdev);

static u32 minor_of(const struct file *f)
{
	return minor(f->inode->rdev);
}

static long memdev_read(struct file *f, struct ctx *c, struct uiter *dst, s64 *pos)
{
	if (minor_of(f) == DEV_NULL_MINOR)
		return 0;
	return uiter_zero(dst, uiter_count(dst));
}

static long memdev_write(struct file *f, struct ctx *c, struct uiter *src, s64 *pos)
{
	u64 n = uiter_count(src);

	if (minor_of(f) == DEV_FULL_MINOR)
		return -ENOSPC;
	uiter_advance(src, n);
	return (long)n;
}

static s64 dev_llseek(struct file *f, struct ctx *c, s64 off, int whence)
{
	f->pos = 0;
	return 0;
}

/* Mapping /dev/zero is mapping nothing. */
static int memdev_mmap(struct file *f, struct ctx *c, struct mmap_args *args)
{
	if (minor_of(f) != DEV_ZERO_MINOR)
		return -ENODEV;
	return 0;
}

static long randdev_read(struct file *f, struct ctx *c, struct uiter *dst, s64 *pos)
{
	u8 buf[4096];
	long done = 0;

	while (uiter_count(dst) > 0) {
		size_t n = MIN(uiter_count(dst), (u64)sizeof(buf));
		long r;

		/* Up to 256 bytes are never cut short; more may be by a signal to us. */
		if (getrandom(buf, n, 0) != (ssize_t)n)
			continue;
		r = uiter_copy_out(dst, buf, n);
		if (r < 0)
			return done ? done : r;
		done += r;
		if ((size_t)r < n || (done >= (long)(1 * MIB) && ctx_interrupted(c)))
			break;
	}
	explicit_bzero(buf, sizeof(buf));
	return done;
}

/* Whatever is mixed in, the host's generator does not get worse without it. */
static long randdev_write(struct file *f, struct ctx *c, struct uiter *src, s64 *pos)
{
	u8 buf[256];
	long done = 0;

	while (uiter_count(src) > 0) {
		size_t n = MIN(uiter_count(src), (u64)sizeof(buf));
		long r = uiter_copy_in(src, buf, n);

		if (r < 0)
			return done ? done : r;
		done += r;
		if ((size_t)r < n || (done >= (long)(1 * MIB) && ctx_interrupted(c)))
			break;
	}
	explicit_bzero(buf, sizeof(buf));
	return done;
}

/* Only /dev/random can be waited for; the pool is full, so it asks for nothing. */
static bool randdev_can_poll(struct file *f)
{
	return minor_of(f) == DEV_RANDOM_MINOR;
}

static u32 randdev_poll(struct file *f, struct poll_table *pt)
{
	return randdev_can_poll(f) ? READY_IN : READY_IN | READY_OUT;
}

static long randdev_ioctl(struct file *f, struct ctx *c, u32 cmd, u64 arg)
{
	switch (cmd) {
	case RNDGETENTCNT:
		return user_put_u32(c, UADDR(arg), 256);
	case RNDADDTOENTCNT:
	case RNDADDENTROPY:
	case RNDZAPENTCNT:
	case RNDCLEARPOOL:
	case RNDRESEEDCRNG:
		return -EPERM;
	}
	return -EINVAL;
}

static int mem_open(struct inode *inode, struct ctx *c, const struct path *path, u32 flags,
                    struct file **ret)
{
	struct file *f;

	switch (minor(inode->rdev)) {
	case DEV_NULL_MINOR:
	case DEV_ZERO_MINOR:
	case DEV_FULL_MINOR:
		f = &obj_new(memdev)->file;
		break;
	case DEV_RANDOM_MINOR:
	case DEV_URANDOM_MINOR:
		f = &obj_new(randdev)->file;
		break;
	default:
		return -ENXIO;
	}
	file_setup(f, flags, path, inode);
	f->seekable = true;
	*ret = f;
	return 0;
}
SPECIAL_FILE(mem_special, .type = S_IFCHR, .major = DEV_MEM_MAJOR, .open = mem_open);

static const struct file_ops memdev_ops = {
	.id = {.describe = file_describe},
	.read = memdev_read,
	.write = memdev_write,
	.llseek = dev_llseek,
	.mmap = memdev_mmap,
};
static const struct file_ops randdev_ops = {
	.id = {.describe = file_describe},
	.read = randdev_read,
	.write = randdev_write,
	.llseek = dev_llseek,
	.poll = randdev_poll,
	.can_poll = randdev_can_poll,
	.ioctl = randdev_ioctl,
};

#define MEMDEV_FIELDS(F) F(BASE, file, file)
OBJECT_TYPE(memdev, Sentry__Memdev, sentry__memdev__descriptor, MEMDEV_FIELDS, .base = &file_type,
            .ops = &memdev_ops);
OBJECT_TYPE(randdev, Sentry__Randdev, sentry__randdev__descriptor, MEMDEV_FIELDS,
            .base = &file_type, .ops = &randdev_ops);
