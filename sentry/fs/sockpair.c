#include "sentry/fs/sockpair.h"

#include "proto/net.pb-c.h"
#include "sentry/auth/creds.h"
#include "sentry/fs/pipe.h"
#include "sentry/vfs/inode.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

static struct file *half(struct sockpair *s, struct file *const *which)
{
	GUARD(&s->lock);
	return *which ? file_get(*which) : NULL;
}

/* MSG_DONTWAIT on a socket that may block: only if it would not. */
static bool would_block(struct file *f, u32 want)
{
	return (file_poll(f, NULL) & (want | EPOLLHUP | EPOLLERR)) == 0;
}

long sockpair_recv(struct sockpair *s, struct ctx *c, struct uiter *dst, bool nonblock)
{
	AUTO(file) rx = half(s, &s->rx);

	if (!rx)
		return 0;
	if (nonblock && would_block(rx, EPOLLIN))
		return -EAGAIN;
	return file_read(rx, c, dst);
}

long sockpair_send(struct sockpair *s, struct ctx *c, struct uiter *src, bool nonblock,
                   bool nosignal)
{
	AUTO(file) tx = half(s, &s->tx);

	if (!tx || (file_poll(tx, NULL) & EPOLLERR)) {
		if (!nosignal)
			ctx_signal_self(c, SIGPIPE);
		return -EPIPE;
	}
	if (nonblock && would_block(tx, EPOLLOUT))
		return -EAGAIN;
	return file_write(tx, c, src);
}

static long sp_read(struct file *f, struct ctx *c, struct uiter *dst, s64 *pos)
{
	return sockpair_recv((struct sockpair *)f, c, dst, false);
}

static long sp_write(struct file *f, struct ctx *c, struct uiter *src, s64 *pos)
{
	return sockpair_send((struct sockpair *)f, c, src, false, false);
}

static u32 sp_poll(struct file *f, struct poll_table *pt)
{
	struct sockpair *s = (struct sockpair *)f;
	AUTO(file) rx = half(s, &s->rx);
	AUTO(file) tx = half(s, &s->tx);
	u32 in = rx ? file_poll(rx, pt) : READY_IN | EPOLLHUP;
	u32 out = tx ? file_poll(tx, pt) : EPOLLERR;
	u32 ev = in & READY_IN;

	/* The peer sends no more: end of file is readable. */
	if (in & EPOLLHUP)
		ev |= READY_IN | EPOLLRDHUP;
	/* Writing to a socket whose peer is gone does not block: it fails. */
	ev |= out & (EPOLLERR | EPOLLHUP) ? READY_OUT : out & READY_OUT;
	if ((in & EPOLLHUP) && (out & (EPOLLERR | EPOLLHUP)))
		ev |= EPOLLHUP;
	return ev;
}

static long sp_ioctl(struct file *f, struct ctx *c, u32 cmd, u64 arg)
{
	struct sockpair *s = (struct sockpair *)f;
	AUTO(file) rx = half(s, &s->rx);

	if (cmd == FIONREAD && rx)
		return file_ioctl(rx, c, cmd, arg);
	return cmd == FIONREAD ? user_put_u32(c, UADDR(arg), 0) : -ENOTTY;
}

static int sp_set_flags(struct file *f, u32 flags)
{
	struct sockpair *s = (struct sockpair *)f;
	struct file *both[] = {s->rx, s->tx};

	GUARD(&s->lock);
	for (unsigned i = 0; i < 2; i++) {
		if (!both[i])
			continue;
		if (flags & O_NONBLOCK)
			atomic_fetch_or(&both[i]->flags, O_NONBLOCK);
		else
			atomic_fetch_and(&both[i]->flags, ~(u32)O_NONBLOCK);
	}
	return 0;
}

static void sp_link_name(struct file *f, char *buf, size_t size)
{
	snprintf(buf, size, "socket:[%llu]", (unsigned long long)f->inode->ino);
}

static const struct file_ops sockpair_ops = {
	.id = {.describe = file_describe},
	.read = sp_read,
	.write = sp_write,
	.poll = sp_poll,
	.ioctl = sp_ioctl,
	.set_flags = sp_set_flags,
	.link_name = sp_link_name,
};

static void sockpair_init(void *p)
{
	mutex_init(&((struct sockpair *)p)->lock, RANK_LEAF);
}

static void sockpair_destroy(void *p)
{
	struct sockpair *s = p;

	obj_put(s->rx);
	obj_put(s->tx);
}

static int sockpair_after_load(struct loader *l, void *p)
{
	struct sockpair *s = p;

	if ((!s->rx && !s->rx_shut) || (!s->tx && !s->tx_shut) || (s->rx && !pipe_of(s->rx)) ||
	    (s->tx && !pipe_of(s->tx)))
		return loader_error(l, "a socket pair lacks a pipe");
	return 0;
}

static void sockpair_sample(struct sampler *sp, void *p)
{
	struct sockpair *s = p;

	obj_put(s->rx);
	obj_put(s->tx);
	s->rx = sampler_ref(sp, &pipe_file_type);
	s->tx = sampler_ref(sp, &pipe_file_type);
}

#define SOCKPAIR_FIELDS(F)                   \
	F(BASE, file, file)                  \
	F(SKIP, lock) /* fresh after load */ \
	F(REF, rx, file)                     \
	F(REF, tx, file)                     \
	F(VAL, rx_shut)                      \
	F(VAL, tx_shut)
OBJECT_TYPE(sockpair, Sentry__Sockpair, sentry__sockpair__descriptor, SOCKPAIR_FIELDS,
            .base = &file_type, .ops = &sockpair_ops, .init = sockpair_init,
            .destroy = sockpair_destroy, .after_load = sockpair_after_load,
            .sample = sockpair_sample);

static struct file *end_new(struct ctx *c, u32 flags, struct file *rx, struct file *tx)
{
	AUTO(inode) inode = anon_inode_new(c->kernel, S_IFSOCK | 0777);
	struct sockpair *s = obj_new(sockpair);

	inode->uid = c->creds->fsuid;
	inode->gid = c->creds->fsgid;
	file_setup(&s->file, O_RDWR | flags, NULL, inode);
	s->rx = rx;
	s->tx = tx;
	return &s->file;
}

int sockpair_create(struct ctx *c, u32 flags, struct file *ret[2])
{
	struct file *rx[2], *tx[2];
	int r;

	flags &= O_NONBLOCK;
	r = pipe_create(c, flags, &rx[0], &tx[1]);
	if (r < 0)
		return r;
	r = pipe_create(c, flags, &rx[1], &tx[0]);
	if (r < 0) {
		obj_put(rx[0]);
		obj_put(tx[1]);
		return r;
	}
	for (unsigned i = 0; i < 2; i++)
		ret[i] = end_new(c, flags, rx[i], tx[i]);
	return 0;
}

int sockpair_shutdown(struct sockpair *s, int how)
{
	struct file *rx = NULL, *tx = NULL;

	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return -EINVAL;
	mutex_lock(&s->lock);
	if (how != SHUT_WR) {
		rx = TAKE(s->rx);
		s->rx_shut = true;
	}
	if (how != SHUT_RD) {
		tx = TAKE(s->tx);
		s->tx_shut = true;
	}
	mutex_unlock(&s->lock);
	obj_put(rx);
	obj_put(tx);
	return 0;
}
