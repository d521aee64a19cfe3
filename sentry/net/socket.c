/* Sockets of all families: the objects, the file around them, blocking. */
#include "sentry/net/socket.h"

#include "proto/net.pb-c.h"
#include "sentry/auth/creds.h"
#include "sentry/kernel/kernel.h"
#include "sentry/net/filter.h"
#include "sentry/net/inet/ports.h"
#include "sentry/net/netdev.h"
#include "sentry/net/sockmsg.h"
#include "sentry/vfs/fasync.h"
#include "sentry/vfs/inode.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

/* ---- struct sock ---- */

static void sock_init(void *p)
{
	struct sock *sk = p;

	mutex_init(&sk->lock, RANK_SOCK);
	waitq_init(&sk->rwait);
	waitq_init(&sk->wwait);
}

static void sock_destroy(void *p)
{
	struct sock *sk = p;

	sock_bpf_put(TAKE(sk->filter));
	netns_put(TAKE(sk->ns));
}

static int sock_after_load(struct loader *l, void *p)
{
	struct sock *sk = p;

	if (!sk->ns)
		return loader_error(l, "a socket without a network namespace");
	if (sk->opts.sndbuf < 0 || sk->opts.rcvbuf < 0 || sk->opts.sndbuf > GIB ||
	    sk->opts.rcvbuf > GIB || atomic_load(&sk->err) < 0 || atomic_load(&sk->err) > 4095)
		return loader_error(l, "a socket's options are out of range");
	return 0;
}

static void sock_sample(struct sampler *sp, void *p)
{
	struct sock *sk = p;

	sk->opts.sndbuf &= 0xffff;
	sk->opts.rcvbuf &= 0xffff;
	sk->opts.sndbuf |= 1;
	sk->opts.rcvbuf |= 1;
	atomic_store(&sk->err, 5);
}

#define SOCK_OPTS_FIELDS(F)      \
	F(VAL, sndbuf)           \
	F(VAL, rcvbuf)           \
	F(VAL, sndbuf_set)       \
	F(VAL, rcvbuf_set)       \
	F(VAL, sndtimeo)         \
	F(VAL, rcvtimeo)         \
	F(VAL, rcvlowat)         \
	F(VAL, reuseaddr)        \
	F(VAL, reuseport)        \
	F(VAL, keepalive)        \
	F(VAL, broadcast)        \
	F(VAL, oobinline)        \
	F(VAL, dontroute)        \
	F(VAL, debug)            \
	F(VAL, no_check)         \
	F(VAL, passcred)         \
	F(VAL, passsec)          \
	F(VAL, passpidfd)        \
	F(VAL, rxq_ovfl)         \
	F(VAL, select_err_queue) \
	F(VAL, zerocopy)         \
	F(VAL, txtime)           \
	F(VAL, timestamp)        \
	F(VAL, linger)           \
	F(VAL, linger_s)         \
	F(VAL, priority)         \
	F(VAL, mark)             \
	F(VAL, peek_off)         \
	F(VAL, bound_if)         \
	F(VAL, lock_filter)      \
	F(VAL, prefer_busy)      \
	F(VAL, wifi_status)      \
	F(VAL, nofcs)            \
	F(VAL, rcvmark)          \
	F(VAL, busy_poll)        \
	F(VAL, busy_budget)      \
	F(VAL, incoming_cpu)     \
	F(VAL, txrehash)         \
	F(VAL, pacing)           \
	F(VAL, tsflags)          \
	F(VAL, txtime_clock)     \
	F(VAL, txtime_flags)
STRUCT_FIELDS(sock_opts, Sentry__SockOpts, sentry__sock_opts__descriptor, SOCK_OPTS_FIELDS);

#define SOCK_FIELDS(F)           \
	F(HDR, obj)              \
	F(REF, ns, netns)        \
	F(VAL, family)           \
	F(VAL, type)             \
	F(VAL, protocol)         \
	F(SKIP, lock)            \
	F(SKIP, rwait)           \
	F(SKIP, wwait)           \
	F(SUB, opts, sock_opts)  \
	F(ATOMIC, err)           \
	F(ATOMIC, shutdown)      \
	F(ATOMIC, nospace)       \
	F(VAL, ino)              \
	F(VAL, uid)              \
	F(REF, filter, sock_bpf) \
	F(SKIP, file) /* its load sets it */
OBJECT_TYPE(sock, Sentry__Sock, sentry__sock__descriptor, SOCK_FIELDS, .abstract = true,
            .init = sock_init, .destroy = sock_destroy, .after_load = sock_after_load,
            .sample = sock_sample);

/* A buffer size of new sockets, as far as one may be. */
static s32 sock_default(const struct sock *sk, enum net_setting which)
{
	return MIN(net_setting_get(sk->ns->inet, which), (s32)SOCK_BUF_MOST);
}

void sock_setup(struct sock *sk, struct ctx *c, u16 family, u16 type, u16 protocol)
{
	sk->ns = netns_get(c->kernel->netns);
	sk->family = family;
	sk->type = type;
	sk->protocol = protocol;
	sk->uid = c->creds->fsuid;
	sk->opts = (struct sock_opts){
		.sndbuf = sock_default(sk, NET_WMEM_DEFAULT),
		.rcvbuf = sock_default(sk, NET_RMEM_DEFAULT),
		.sndtimeo = SOCK_NO_TIMEOUT,
		.rcvtimeo = SOCK_NO_TIMEOUT,
		.rcvlowat = 1,
		.peek_off = -1,
		.incoming_cpu = -1,
		.pacing = UINT64_MAX,
	};
}

void sock_inherit(struct sock *sk, const struct sock *listener)
{
	sk->opts = listener->opts;
	sk->filter = sock_bpf_get(listener->filter);
}

int sock_take_error(struct sock *sk)
{
	if (likely(atomic_load_explicit(&sk->err, memory_order_relaxed) == 0))
		return 0;
	return -atomic_exchange(&sk->err, 0);
}

u32 sock_backlog(const struct sock *sk, int backlog)
{
	/* Negative is very many. */
	return MIN((u32)backlog, (u32)net_setting_get(sk->ns->inet, NET_SOMAXCONN));
}

void sock_usage(struct sock *sk, struct sock_usage *ret)
{
	*ret = (struct sock_usage){0};
	if (sock_ops_of(sk)->usage)
		sock_ops_of(sk)->usage(sk, ret);
}

void sock_set_error(struct sock *sk, int err)
{
	atomic_store(&sk->err, err < 0 ? -err : err);
	waitq_wake(&sk->rwait, READY_IN | EPOLLERR);
	waitq_wake(&sk->wwait, READY_OUT | EPOLLERR);
}

void sock_moved(struct sock *sk, bool peek, s64 n)
{
	if (likely(READ_ONCE(sk->opts.peek_off) < 0) || n <= 0)
		return;
	GUARD(&sk->lock);
	if (sk->opts.peek_off < 0)
		return;
	if (peek)
		sk->opts.peek_off = (s32)MIN(sk->opts.peek_off + n, (s64)INT32_MAX);
	else
		sk->opts.peek_off = (s32)MAX(sk->opts.peek_off - n, (s64)0);
}

void sock_wake_writers(struct sock *sk)
{
	u32 events = READY_OUT;

	if (unlikely(atomic_load_explicit(&sk->nospace, memory_order_relaxed)) &&
	    atomic_exchange(&sk->nospace, false))
		events |= FASYNC_OUT;
	waitq_wake(&sk->wwait, events);
}

static void waiter_drop(struct ctx_waiter *cw)
{
	waitq_remove(&cw->w);
}

long sock_block(struct ctx *c, struct waitq *q, s64 timeo_ns, bool nonblock, long (*op)(void *arg),
                void *arg)
{
	__attribute__((cleanup(waiter_drop))) struct ctx_waiter cw = {0};
	struct deadline d = NEVER;
	long r = op(arg);

	if (r != -EAGAIN || nonblock)
		return r;
	if (timeo_ns != SOCK_NO_TIMEOUT)
		d = ctx_deadline(c, timeo_ns);
	ctx_waiter_init(&cw, c);
	waitq_add(q, &cw.w);
	for (;;) {
		int s;

		ctx_prepare(c);
		r = op(arg);
		if (r != -EAGAIN)
			return r;
		s = ctx_sleep(c, d);
		if (s == -ETIMEDOUT)
			return op(arg);
		if (s < 0)
			return timeo_ns == SOCK_NO_TIMEOUT ? -ERESTARTSYS : -ERESTARTUNSTOPPED;
	}
}

/* ---- the file ---- */

struct sock *sock_of(struct file *f)
{
	struct socket_file *sf = obj_cast(socket_file, f);

	return sf ? sf->sock : NULL;
}

long sock_sendmsg(struct sock *sk, struct ctx *c, struct sockmsg *m)
{
	const struct sock_ops *ops = sock_ops_of(sk);
	long r = ops->sendmsg ? ops->sendmsg(sk, c, m) : -EOPNOTSUPP;

	if (r == -EPIPE && sk->type == SOCK_STREAM && !(m->flags & MSG_NOSIGNAL))
		ctx_signal_self(c, SIGPIPE);
	return r;
}

long sock_recvmsg(struct sock *sk, struct ctx *c, struct sockmsg *m)
{
	const struct sock_ops *ops = sock_ops_of(sk);

	return ops->recvmsg ? ops->recvmsg(sk, c, m) : -EOPNOTSUPP;
}

/* read(2) and write(2): only a transfer of guest memory is the call itself and remembers what is
 * done; sendfile and splice count on their own. */
static long partial(struct ctx *c, const struct uiter *it, const struct sockmsg *m, long r)
{
	if (!sock_interrupted(r))
		return r;
	if (!it->c)
		return m->done ? (long)m->done : r;
	if (m->done == 0)
		return r;
	return ctx_partial(c, m->done);
}

static long sf_read(struct file *f, struct ctx *c, struct uiter *dst, s64 *pos)
{
	struct sock *sk = ((struct socket_file *)f)->sock;
	struct sockmsg m = {.it = dst, .flags = file_nonblock(f) ? MSG_DONTWAIT : 0};

	if (uiter_count(dst) == 0)
		return 0;
	if (dst->c) {
		m.done = MIN(ctx_done(c), uiter_count(dst));
		uiter_advance(dst, m.done);
	}
	return partial(c, dst, &m, sock_recvmsg(sk, c, &m));
}

static long sf_write(struct file *f, struct ctx *c, struct uiter *src, s64 *pos)
{
	struct sock *sk = ((struct socket_file *)f)->sock;
	struct sockmsg m = {.it = src, .flags = file_nonblock(f) ? MSG_DONTWAIT : 0};

	if (src->c) {
		m.done = MIN(ctx_done(c), uiter_count(src));
		uiter_advance(src, m.done);
	}
	return partial(c, src, &m, sock_sendmsg(sk, c, &m));
}

static u32 sf_poll(struct file *f, struct poll_table *pt)
{
	struct sock *sk = ((struct socket_file *)f)->sock;

	return sock_ops_of(sk)->poll(sk, pt);
}

static long sf_ioctl(struct file *f, struct ctx *c, u32 cmd, u64 arg)
{
	struct sock *sk = ((struct socket_file *)f)->sock;
	const struct sock_ops *ops = sock_ops_of(sk);

	long r = ops->ioctl ? ops->ioctl(sk, c, cmd, arg) : -ENOTTY;

	return r == -ENOTTY ? netdev_ioctl(sk->ns, c, cmd, arg) : r;
}

static void sf_link_name(struct file *f, char *buf, size_t size)
{
	snprintf(buf, size, "socket:[%llu]", (unsigned long long)f->inode->ino);
}

static const struct file_ops socket_file_ops = {
	.id = {.describe = file_describe},
	.read = sf_read,
	.write = sf_write,
	.poll = sf_poll,
	.ioctl = sf_ioctl,
	.set_async = file_set_async,
	.link_name = sf_link_name,
};

static void socket_file_destroy(void *p)
{
	struct socket_file *sf = p;

	if (!sf->sock)
		return;
	sf->sock->file = NULL;
	if (sock_ops_of(sf->sock)->release)
		sock_ops_of(sf->sock)->release(sf->sock);
	sock_put(TAKE(sf->sock));
}

static int socket_file_after_load(struct loader *l, void *p)
{
	struct socket_file *sf = p;

	if (!sf->sock)
		return loader_error(l, "a socket's file without its socket");
	if (sf->sock->file)
		return loader_error(l, "a socket with two files");
	sf->sock->file = &sf->file;
	return 0;
}

#define SOCKET_FILE_FIELDS(F) \
	F(BASE, file, file)   \
	F(REF, sock, sock)
OBJECT_TYPE(socket_file, Sentry__SocketFile, sentry__socket_file__descriptor, SOCKET_FILE_FIELDS,
            .base = &file_type, .ops = &socket_file_ops, .destroy = socket_file_destroy,
            .after_load = socket_file_after_load);

struct file *socket_file_new(struct ctx *c, struct sock *sk, u32 flags)
{
	AUTO(inode) inode = anon_inode_new(c->kernel, S_IFSOCK | 0777);
	struct socket_file *sf = obj_new(socket_file);

	inode->uid = c->creds->fsuid;
	inode->gid = c->creds->fsgid;
	file_setup(&sf->file, O_RDWR | (flags & O_NONBLOCK), NULL, inode);
	sk->ino = inode->ino;
	sk->file = &sf->file;
	sf->sock = sk;
	return &sf->file;
}

/* ---- families ---- */

extern const struct socket_family *const __start_socket_families[] __attribute__((weak));
extern const struct socket_family *const __stop_socket_families[] __attribute__((weak));

static const struct socket_family *family_find(int family)
{
	for (const struct socket_family *const *f = __start_socket_families;
	     f < __stop_socket_families; f++) {
		if ((*f)->family == family)
			return *f;
	}
	return NULL;
}

static int check_type(int type)
{
	return type < 0 || type > SOCK_PACKET ? -EINVAL : 0;
}

int socket_create(struct ctx *c, int family, int type, int protocol, u32 flags, struct file **ret)
{
	const struct socket_family *f = family_find(family);
	struct sock *sk;
	int r;

	if (family < 0 || family >= AF_MAX)
		return -EAFNOSUPPORT;
	r = check_type(type);
	if (r == 0 && !f)
		r = -EAFNOSUPPORT;
	if (r == 0)
		r = f->create(c, type, protocol, &sk);
	if (r < 0)
		return r;
	*ret = socket_file_new(c, sk, flags);
	return 0;
}

int socket_pair(struct ctx *c, int family, int type, int protocol, u32 flags, struct file *ret[2])
{
	const struct socket_family *f = family_find(family);
	struct sock *sk[2];
	int r;

	if (family < 0 || family >= AF_MAX)
		return -EAFNOSUPPORT;
	r = check_type(type);
	if (r == 0 && !f)
		r = -EAFNOSUPPORT;
	if (r == 0 && !f->pair) {
		/* As Linux: whether the sockets could be made counts first. */
		struct sock *probe;

		r = f->create(c, type, protocol, &probe);
		if (r == 0) {
			sock_put(probe);
			r = -EOPNOTSUPP;
		}
	}
	if (r == 0)
		r = f->pair(c, type, protocol, sk);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < 2; i++)
		ret[i] = socket_file_new(c, sk[i], flags);
	return 0;
}
