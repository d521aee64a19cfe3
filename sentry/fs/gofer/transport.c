#define LOG_SUBSYSTEM "gofer client"
#include "sentry/fs/gofer/transport.h"

#include "state/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct p9_call p9_call(u8 *reply, size_t size)
{
	struct p9_call k = {.head = reply, .head_size = size, .fd = -1};

	return k;
}

static void finish(struct p9_client *c, struct p9_call *k, int status)
{
	k->status = status;
	k->done = true;
	c->n_calls--;
	pthread_cond_signal(&k->cond);
}

/* Ends every call. The lock is held. */
static void die(struct p9_client *c, const char *why)
{
	if (c->dead)
		return;
	log_warn("connection lost: %s", why);
	WRITE_ONCE(c->dead, true);
	/* Whoever reads or writes in the socket is to come back. */
	shutdown(c->sock, SHUT_RDWR);
	for (unsigned i = 0; i < MAX_TAGS; i++) {
		if (c->calls[i])
			finish(c, c->calls[i], -EIO);
		c->calls[i] = NULL;
	}
	if (c->version_call)
		finish(c, c->version_call, -EIO);
	c->version_call = NULL;
	pthread_cond_broadcast(&c->tag_free);
}

u64 p9_client_total(const struct p9_client *c)
{
	return atomic_load_explicit(&((struct p9_client *)(uintptr_t)c)->total,
	                            memory_order_relaxed);
}

void p9_client_shutdown(struct p9_client *c)
{
	mutex_lock(&c->lock);
	die(c, "shut down");
	mutex_unlock(&c->lock);
}

/* Reads what is there, at least a byte, and takes descriptors in. Called by the reading thread
 * without the lock. */
static int receive(struct p9_client *c)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(MAX_FDS * sizeof(int))];
	} ctl;
	struct iovec iov = {c->rx + c->rx_len, c->msize - c->rx_len};
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = &ctl,
	                   .msg_controllen = sizeof(ctl)};
	bool overflow = false;
	ssize_t n;

	do
		n = recvmsg(c->sock, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return -EIO;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		unsigned count = (unsigned)((h->cmsg_len - CMSG_LEN(0)) / sizeof(int));

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (unsigned i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
			if (c->n_fds == MAX_FDS) {
				overflow = true;
				close(fd);
			} else {
				c->fds[c->n_fds++] = fd;
			}
		}
	}
	if (overflow || (m.msg_flags & MSG_CTRUNC))
		return -EIO;
	c->rx_len += (size_t)n;
	return 0;
}

static bool carries_fd(const struct p9_header *h, const u8 *msg)
{
	return (h->type == P9_ROPENFD || h->type == P9_RCREATEFD) && h->size > P9_HEADER_SIZE &&
	       msg[P9_HEADER_SIZE] == 1;
}

static struct p9_call *claim(struct p9_client *c, u16 tag)
{
	struct p9_call **slot = tag == P9_NOTAG  ? &c->version_call
	                        : tag < MAX_TAGS ? &c->calls[tag]
	                                         : NULL;
	struct p9_call *k = slot ? *slot : NULL;

	if (!k)
		return NULL;
	*slot = NULL;
	if (tag != P9_NOTAG)
		pthread_cond_signal(&c->tag_free);
	return k;
}

/* Hands every whole message out. The lock is held by the reading thread. */
static int deliver(struct p9_client *c)
{
	size_t at = 0;
	struct p9_header h;

	while (p9_peek(c->rx + at, c->rx_len - at, &h)) {
		struct p9_call *k;
		u8 *msg = c->rx + at;
		size_t head;

		if (h.size < P9_HEADER_SIZE || h.size > c->msize)
			return -EIO;
		if (c->rx_len - at < h.size)
			break;
		k = claim(c, h.tag);
		if (!k)
			return -EIO;
		if (h.size > k->head_size + k->tail_size ||
		    (carries_fd(&h, msg) && c->n_fds == 0)) {
			finish(c, k, -EIO);
			return -EIO;
		}
		if (carries_fd(&h, msg)) {
			k->fd = c->fds[0];
			memmove(c->fds, c->fds + 1, --c->n_fds * sizeof(int));
		}
		head = MIN((size_t)h.size, k->head_size);
		memcpy(k->head, msg, head);
		if (h.size > head)
			memcpy(k->tail, msg + head, h.size - head);
		k->len = h.size;
		finish(c, k, 0);
		at += h.size;
	}
	c->rx_len -= at;
	memmove(c->rx, c->rx + at, c->rx_len);
	return 0;
}

static int send_all(struct p9_client *c, const u8 *req, size_t len, const void *data,
                    size_t data_len)
{
	struct iovec iov[2] = {{(void *)req, len}, {(void *)data, data_len}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = data_len ? 2 : 1};

	while (m.msg_iovlen > 0) {
		ssize_t n = sendmsg(c->sock, &m, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -EIO;
		while (m.msg_iovlen > 0 && (size_t)n >= m.msg_iov->iov_len) {
			n -= (ssize_t)m.msg_iov->iov_len;
			m.msg_iov++;
			m.msg_iovlen--;
		}
		if (m.msg_iovlen > 0) {
			m.msg_iov->iov_base = (u8 *)m.msg_iov->iov_base + n;
			m.msg_iov->iov_len -= (size_t)n;
		}
	}
	return 0;
}

static int register_call(struct p9_client *c, struct p9_call *k, u8 *req)
{
	struct p9_header h;
	unsigned tag = P9_NOTAG;

	p9_peek(req, P9_HEADER_SIZE, &h);
	while (!c->dead && h.type != P9_TVERSION) {
		for (tag = 0; tag < MAX_TAGS && c->calls[tag]; tag++)
			;
		if (tag < MAX_TAGS)
			break;
		pthread_cond_wait(&c->tag_free, &c->lock.m);
	}
	if (c->dead)
		return -EIO;
	if (tag == P9_NOTAG)
		c->version_call = k;
	else
		c->calls[tag] = k;
	c->n_calls++;
	atomic_fetch_add_explicit(&c->total, 1, memory_order_relaxed);
	req[5] = (u8)tag;
	req[6] = (u8)(tag >> 8);
	return 0;
}

/* A thread that waits takes over the reading. The lock is held, nobody reads. */
static void pass_on_reading(struct p9_client *c)
{
	for (unsigned i = 0; c->n_calls > 0 && i < MAX_TAGS; i++) {
		if (c->calls[i]) {
			pthread_cond_signal(&c->calls[i]->cond);
			return;
		}
	}
}

static void await(struct p9_client *c, struct p9_call *k) REQUIRES(c->lock);

/*
 * Every call that was sent whole has its thread in here, so while replies are due somebody reads,
 * and the gofer never waits for long to send.
 */
static void await(struct p9_client *c, struct p9_call *k)
{
	while (!k->done) {
		int r;

		if (c->reading) {
			pthread_cond_wait(&k->cond, &c->lock.m);
			continue;
		}
		c->reading = true;
		mutex_unlock(&c->lock);
		r = receive(c);
		mutex_lock(&c->lock);
		c->reading = false;
		if (r == 0 && deliver(c) < 0)
			die(c, "bad reply");
		else if (r < 0)
			die(c, "closed by the gofer");
	}
	if (!c->reading)
		pass_on_reading(c);
}

/* Tells the server where we are if that has changed. What is lost is time only. */
static void tell_place(struct p9_client *c)
{
	struct p9_tplace t = {.core = c->core()};
	u8 store[SMALL_MESSAGE];
	struct p9_rplace r;

	if (likely(atomic_load_explicit(&c->placed, memory_order_relaxed) == t.core) ||
	    atomic_exchange(&c->placed, t.core) == t.core)
		return;
	(void)!p9_call_tplace(c, &t, store, NULL, &r);
}

int p9_rpc(struct p9_client *c, struct p9_call *k, u8 *req, size_t len, const void *data,
           size_t data_len)
{
	struct p9_header h;
	u8 type = req[4];
	int r;

	if (c->core && type != P9_TPLACE)
		tell_place(c);
	pthread_cond_init(&k->cond, NULL);
	mutex_lock(&c->lock);
	r = register_call(c, k, req);
	mutex_unlock(&c->lock);
	if (r == 0) {
		mutex_lock(&c->send_lock);
		r = send_all(c, req, len, data, data_len);
		mutex_unlock(&c->send_lock);
		mutex_lock(&c->lock);
		if (r < 0)
			die(c, "cannot send");
		await(c, k);
		mutex_unlock(&c->lock);
		r = k->status;
	}
	pthread_cond_destroy(&k->cond);
	if (r < 0)
		return r;
	p9_peek(k->head, k->len, &h);
	if (h.type == P9_RLERROR && k->len == P9_HEADER_SIZE + 4) {
		struct p9_buf b = p9_buf(k->head + P9_HEADER_SIZE, 4);
		u32 e = p9_get_u32(&b);

		return e > 0 && e < 4096 ? -(int)e : -EIO;
	}
	if (h.type == type + 1)
		return 0;
	if (k->fd >= 0)
		close(k->fd);
	k->fd = -1;
	return -EIO;
}

#define P9_CALL_DEFINE(TYPE, t, r)                                                             \
	int p9_call_##t(struct p9_client *c, const struct p9_##t *req, u8 *store, int *ret_fd, \
	                struct p9_##r *ret_r)                                                  \
	{                                                                                      \
		struct p9_call k = p9_call(store, SMALL_MESSAGE);                              \
		u8 raw[SMALL_MESSAGE];                                                         \
		struct p9_buf b = p9_buf(raw, sizeof(raw));                                    \
		struct p9_##r rep;                                                             \
		size_t start = p9_begin(&b, P9_##TYPE, P9_NOTAG);                              \
		int ret;                                                                       \
                                                                                               \
		p9_put_##t(&b, req);                                                           \
		/* Only over-long names and targets make a request too long. */                \
		if (p9_end(&b, start) < 0)                                                     \
			return -ENAMETOOLONG;                                                  \
		ret = p9_rpc(c, &k, raw, b.pos, NULL, 0);                                      \
		if (ret < 0)                                                                   \
			return ret;                                                            \
		b = p9_buf(store + P9_HEADER_SIZE, k.len - P9_HEADER_SIZE);                    \
		p9_get_##r(&b, &rep);                                                          \
		if (p9_done(&b) < 0 || !ret_fd) {                                              \
			if (k.fd >= 0)                                                         \
				close(k.fd);                                                   \
			if (p9_done(&b) < 0)                                                   \
				return -EIO;                                                   \
		} else {                                                                       \
			*ret_fd = k.fd;                                                        \
		}                                                                              \
		*ret_r = rep;                                                                  \
		return 0;                                                                      \
	}
P9_CALLS(P9_CALL_DEFINE)

int p9_fid_alloc(struct p9_client *c, u32 *ret_fid)
{
	GUARD(&c->lock);

	if (c->n_free > 0) {
		*ret_fid = c->free_fids[--c->n_free];
		return 0;
	}
	/* Room for the day when it is free again, so that freeing cannot fail. */
	if (c->next_fid == c->free_room) {
		u32 room = c->free_room ? 2 * c->free_room : 256;
		u32 *p = reallocarray(c->free_fids, room, sizeof(u32));

		if (!p)
			return -ENOMEM;
		c->free_fids = p;
		c->free_room = room;
	}
	*ret_fid = c->next_fid++;
	return 0;
}

void p9_fid_free(struct p9_client *c, u32 fid)
{
	GUARD(&c->lock);

	c->free_fids[c->n_free++] = fid;
}
