#include "sentry/fs/eventfd.h"

#include "proto/leaf.pb-c.h"
#include "sentry/vfs/inode.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#define COUNT_MAX (UINT64_MAX - 1)

struct eventfd_op {
	u64 v;
};

static long try_read(struct file *f, struct ctx *c, void *arg)
{
	struct eventfd *e = (struct eventfd *)f;
	struct eventfd_op *op = arg;

	mutex_lock(&e->lock);
	if (e->count == 0) {
		mutex_unlock(&e->lock);
		return -EAGAIN;
	}
	op->v = e->semaphore ? 1 : e->count;
	e->count -= op->v;
	mutex_unlock(&e->lock);
	waitq_wake(&e->wait, READY_OUT);
	return sizeof(op->v);
}

static long efd_read(struct file *f, struct ctx *c, struct uiter *dst, s64 *pos)
{
	struct eventfd *e = (struct eventfd *)f;
	struct eventfd_op op;
	long r;

	if (uiter_count(dst) < sizeof(op.v))
		return -EINVAL;
	r = file_block(f, c, &e->wait, READY_IN, try_read, &op);
	if (r < 0)
		return r;
	r = uiter_copy_out(dst, &op.v, sizeof(op.v));
	return r == sizeof(op.v) ? r : -EFAULT;
}

static long try_write(struct file *f, struct ctx *c, void *arg)
{
	struct eventfd *e = (struct eventfd *)f;
	const struct eventfd_op *op = arg;

	mutex_lock(&e->lock);
	if (op->v > COUNT_MAX - e->count) {
		mutex_unlock(&e->lock);
		return -EAGAIN;
	}
	e->count += op->v;
	mutex_unlock(&e->lock);
	waitq_wake(&e->wait, READY_IN);
	return sizeof(op->v);
}

static long efd_write(struct file *f, struct ctx *c, struct uiter *src, s64 *pos)
{
	struct eventfd *e = (struct eventfd *)f;
	struct eventfd_op op;

	if (uiter_count(src) < sizeof(op.v))
		return -EINVAL;
	if (uiter_copy_in(src, &op.v, sizeof(op.v)) != sizeof(op.v))
		return -EFAULT;
	if (op.v == UINT64_MAX)
		return -EINVAL;
	return file_block(f, c, &e->wait, READY_OUT, try_write, &op);
}

static u32 eventfd_poll(struct file *f, struct poll_table *pt)
{
	struct eventfd *e = (struct eventfd *)f;
	u32 ev = 0;

	poll_add(pt, &e->wait);
	GUARD(&e->lock);
	if (e->count > 0)
		ev |= EPOLLIN;
	if (e->count < COUNT_MAX)
		ev |= EPOLLOUT;
	return ev;
}

static void eventfd_fdinfo(struct file *f, char *buf, size_t size)
{
	struct eventfd *e = (struct eventfd *)f;

	GUARD(&e->lock);
	snprintf(buf, size, "eventfd-count: %16llx\n", (unsigned long long)e->count);
}

static void eventfd_link_name(struct file *f, char *buf, size_t size)
{
	snprintf(buf, size, "anon_inode:[eventfd]");
}

struct file *eventfd_create(struct ctx *c, u32 count, int flags)
{
	struct eventfd *e = obj_new(eventfd);
	AUTO(inode) inode = anon_inode_new(c->kernel, 0600);

	file_setup(&e->file, O_RDWR | (flags & EFD_NONBLOCK), NULL, inode);
	e->count = count;
	e->semaphore = (flags & EFD_SEMAPHORE) != 0;
	return &e->file;
}

static void eventfd_init(void *o)
{
	struct eventfd *e = o;

	mutex_init(&e->lock, RANK_FILE);
	waitq_init(&e->wait);
}

static int eventfd_after_load(struct loader *l, void *o)
{
	struct eventfd *e = o;

	return e->count > COUNT_MAX ? loader_error(l, "eventfd: count out of range") : 0;
}

static const struct file_ops eventfd_ops = {
	.id = {.describe = file_describe},
	.read = efd_read,
	.write = efd_write,
	.poll = eventfd_poll,
	.llseek = file_llseek_nowhere,
	.fdinfo = eventfd_fdinfo,
	.link_name = eventfd_link_name,
};

#define EVENTFD_FIELDS(F)   \
	F(BASE, file, file) \
	F(SKIP, lock) F(SKIP, wait) F(VAL, count) F(VAL, semaphore)
OBJECT_TYPE(eventfd, Sentry__Eventfd, sentry__eventfd__descriptor, EVENTFD_FIELDS,
            .base = &file_type, .ops = &eventfd_ops, .init = eventfd_init,
            .after_load = eventfd_after_load);
