/* AF_UNIX: making and ending connections. */
#include "sentry/net/unix.h"

#include "sentry/auth/creds.h"
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/namei.h"
#include "state/base/cleanup.h"

#include <string.h>

void unix_note_creds(struct unix_sock *u, struct ctx *c)
{
	struct creds *old = u->peer_creds;

	u->peer_creds = creds_get(c->creds);
	u->peer_pid = c->tgid;
	creds_put(old);
}

/* ---- listen, accept ---- */

int unix_listen(struct sock *sk, struct ctx *c, int backlog)
{
	struct unix_sock *u = unix_of(sk);
	int r = 0;

	if (!unix_connects(u))
		return -EOPNOTSUPP;
	mutex_lock(&sk->lock);
	if (!u->addr_len || u->state == UNIX_CONNECTED) {
		r = -EINVAL;
	} else {
		mutex_lock(&u->q_lock);
		u->backlog = sock_backlog(sk, backlog);
		mutex_unlock(&u->q_lock);
		u->state = UNIX_LISTEN;
		unix_note_creds(u, c);
	}
	mutex_unlock(&sk->lock);
	if (r == 0)
		waitq_wake(&u->peer_wait, ~0u);
	return r;
}

struct accept_try {
	struct unix_sock *u;
	struct unix_sock *got;
};

static long try_accept(void *arg)
{
	struct accept_try *t = arg;
	struct unix_sock *u = t->u;
	bool was_full;

	mutex_lock(&u->q_lock);
	was_full = u->n_pending > u->backlog;
	t->got = TAILQ_FIRST(&u->pending);
	if (t->got) {
		TAILQ_REMOVE(&u->pending, t->got, pending_link);
		u->n_pending--;
	}
	mutex_unlock(&u->q_lock);
	if (!t->got)
		return sock_shut(&u->sk) & SOCK_RCV_CLOSED ? -EINVAL : -EAGAIN;
	if (was_full)
		waitq_wake(&u->peer_wait, ~0u);
	return 0;
}

int unix_accept(struct sock *sk, struct ctx *c, bool nonblock, struct sock **ret)
{
	struct accept_try t = {.u = unix_of(sk)};
	long r;

	if (!unix_connects(t.u))
		return -EOPNOTSUPP;
	if (READ_ONCE(t.u->state) != UNIX_LISTEN)
		return -EINVAL;
	r = sock_block(c, &sk->rwait, sk->opts.rcvtimeo, nonblock, try_accept, &t);
	if (r < 0)
		return (int)r;
	/* Only an image that lies has one with a file. */
	if (t.got->sk.file) {
		unix_sock_put(t.got);
		return -ECONNABORTED;
	}
	*ret = &t.got->sk;
	return 0;
}

/* ---- connect ---- */

struct connect_try {
	struct ctx *c;
	struct unix_sock *u, *other, *fresh;
};

/* The listener's side of a connection: complete but for being accepted. */
static struct unix_sock *server_side(struct connect_try *t)
{
	struct unix_sock *other = t->other, *n = unix_sock_new(t->c, t->u->sk.ns, t->u->sk.type);

	n->sk.opts.passcred = other->sk.opts.passcred;
	n->sk.opts.passpidfd = other->sk.opts.passpidfd;
	n->sk.opts.passsec = other->sk.opts.passsec;
	n->state = UNIX_CONNECTED;
	unix_note_creds(n, t->c);
	return n;
}

/* 0; -EAGAIN: the queue is full; -ESTALE: it is gone, look the name up again. */
static long try_connect(void *arg)
{
	struct connect_try *t = arg;
	struct unix_sock *u = t->u, *other = t->other, *n;
	struct creds *old = NULL;
	int r = 0;

	if (!t->fresh)
		t->fresh = server_side(t);
	n = t->fresh;
	mutex_lock_pair(&u->sk.lock, &other->sk.lock);
	mutex_lock(&other->q_lock);
	if (other->dead)
		r = -ESTALE;
	else if (other->state != UNIX_LISTEN || (sock_shut(&other->sk) & SOCK_RCV_CLOSED))
		r = -ECONNREFUSED;
	else if (other->n_pending > other->backlog)
		r = -EAGAIN;
	else if (u->state != UNIX_CLOSED)
		r = u->state == UNIX_CONNECTED ? -EISCONN : -EINVAL;
	if (r == 0) {
		memcpy(n->addr, other->addr, sizeof(n->addr));
		n->addr_len = other->addr_len;
		n->path = other->path;
		path_get(&n->path);
		n->peer = unix_sock_get(u);
		u->peer = unix_sock_get(n);
		u->state = UNIX_CONNECTED;
		old = u->peer_creds;
		u->peer_creds = creds_get(other->peer_creds);
		u->peer_pid = other->peer_pid;
		TAILQ_INSERT_TAIL(&other->pending, n, pending_link);
		other->n_pending++;
		t->fresh = NULL;
	}
	mutex_unlock(&other->q_lock);
	mutex_unlock_pair(&u->sk.lock, &other->sk.lock);
	creds_put(old);
	if (r == 0)
		waitq_wake(&other->sk.rwait, READY_IN);
	return r;
}

static int connect_stream(struct unix_sock *u, struct ctx *c, const struct sockaddr_storage *a,
                          u32 len, bool nonblock)
{
	struct connect_try t = {.c = c, .u = u};
	long r;

	do {
		r = unix_find(c, u->sk.ns, a, len, u->sk.type, &t.other);
		if (r < 0)
			break;
		r = sock_block(c, &t.other->peer_wait, u->sk.opts.sndtimeo, nonblock, try_connect,
		               &t);
		unix_sock_put(TAKE(t.other));
	} while (r == -ESTALE);
	unix_sock_put(t.fresh);
	if (r == 0)
		/* A fresh socket polls as hung up; it no longer does. */
		waitq_wake(&u->sk.wwait, READY_OUT);
	return (int)r;
}

/* A datagram socket has another peer than before: what came from the old one is void, and if there
 * was any and that was connected back it hears of it. */
static void dgram_parted(struct unix_sock *u, struct unix_sock *old)
{
	bool mutual;

	if (!unix_purge(u))
		return;
	mutex_lock(&old->sk.lock);
	mutual = old->peer == u && !old->dead;
	mutex_unlock(&old->sk.lock);
	if (mutual)
		sock_set_error(&old->sk, ECONNRESET);
}

static int connect_dgram(struct unix_sock *u, struct ctx *c, const struct sockaddr_storage *a,
                         u32 len)
{
	AUTO(unix_sock) other = NULL;
	AUTO(unix_sock) old = NULL;
	int r;

	if (len >= sizeof(a->ss_family) && a->ss_family != AF_UNSPEC) {
		r = unix_check_addr(a, len);
		if (r == 0 && unix_wants_cred(u) && !u->addr_len)
			r = unix_autobind(u);
		while (r == 0 && !other) {
			r = unix_find(c, u->sk.ns, a, len, u->sk.type, &other);
			if (r == 0 && READ_ONCE(other->dead))
				unix_sock_put(TAKE(other));
		}
		if (r < 0)
			return r;
	}
	mutex_lock_pair(&u->sk.lock, other ? &other->sk.lock : &u->sk.lock);
	/* Someone who has a peer takes from nobody else. */
	r = other && other->peer && other->peer != u ? -EPERM : 0;
	if (r == 0) {
		u->state = other ? UNIX_CONNECTED : UNIX_CLOSED;
		old = unix_set_peer(u, unix_sock_get(other));
	}
	mutex_unlock_pair(&u->sk.lock, other ? &other->sk.lock : &u->sk.lock);
	if (r == 0 && old && old != other)
		dgram_parted(u, old);
	if (r == 0)
		waitq_wake(&u->sk.wwait, READY_OUT);
	return r;
}

int unix_connect(struct sock *sk, struct ctx *c, const struct sockaddr_storage *a, u32 len,
                 bool nonblock)
{
	struct unix_sock *u = unix_of(sk);
	int r;

	if (!unix_connects(u)) {
		if (len < sizeof(a->ss_family))
			return -EINVAL;
		return connect_dgram(u, c, a, len);
	}
	r = unix_check_addr(a, len);
	if (r == 0 && unix_wants_cred(u) && !u->addr_len)
		r = unix_autobind(u);
	return r < 0 ? r : connect_stream(u, c, a, len, nonblock);
}

int unix_pair(struct ctx *c, int type, int protocol, struct sock *ret[2])
{
	struct unix_sock *u[2];

	if (protocol != 0 && protocol != AF_UNIX)
		return -EPROTONOSUPPORT;
	if (type == SOCK_RAW)
		type = SOCK_DGRAM;
	if (type != SOCK_STREAM && type != SOCK_DGRAM && type != SOCK_SEQPACKET)
		return -ESOCKTNOSUPPORT;
	for (unsigned i = 0; i < 2; i++)
		u[i] = unix_sock_new(c, c->kernel->netns, (u32)type);
	for (unsigned i = 0; i < 2; i++) {
		unix_sock_put(unix_set_peer(u[i], unix_sock_get(u[1 - i])));
		u[i]->state = UNIX_CONNECTED;
		unix_note_creds(u[i], c);
		ret[i] = &u[i]->sk;
	}
	return 0;
}

/* ---- the end ---- */

/* Both directions as the peer of someone who shut down how sees them. */
static u32 mirrored(u32 how)
{
	return (how & SOCK_RCV_CLOSED ? SOCK_SEND_CLOSED : 0) |
	       (how & SOCK_SEND_CLOSED ? SOCK_RCV_CLOSED : 0);
}

static void closed(struct unix_sock *u, u32 how)
{
	atomic_fetch_or(&u->sk.shutdown, how);
	waitq_wake(&u->sk.rwait, READY_IN | EPOLLRDHUP | EPOLLHUP);
	waitq_wake(&u->sk.wwait, READY_OUT | EPOLLHUP);
}

int unix_shutdown(struct sock *sk, struct ctx *c, int how)
{
	struct unix_sock *u = unix_of(sk);
	AUTO(unix_sock) other = unix_peer_get(u);
	u32 bits = how == SHUT_RD   ? SOCK_RCV_CLOSED
	           : how == SHUT_WR ? SOCK_SEND_CLOSED
	                            : SOCK_RCV_CLOSED | SOCK_SEND_CLOSED;

	closed(u, bits);
	if (other && unix_connects(u))
		closed(other, mirrored(bits));
	waitq_wake(&u->peer_wait, ~0u);
	return 0;
}

/* Ends a socket whose file is gone, or that nobody will accept (embryo). */
static void end_sock(struct unix_sock *u, bool embryo)
{
	struct unix_sock *peer, *n, *watcher;
	struct path path;
	bool unread;

	mutex_lock(&u->sk.lock);
	mutex_lock(&u->sk.ns->unix_lock);
	unix_name_leave(u);
	u->bound = false;
	TAILQ_FOREACH (watcher, &u->connected, connected_link)
		waitq_wake(&watcher->sk.wwait, READY_OUT);
	mutex_unlock(&u->sk.ns->unix_lock);
	mutex_lock(&u->q_lock);
	u->dead = true;
	mutex_unlock(&u->q_lock);
	u->state = UNIX_CLOSED;
	atomic_store(&u->sk.shutdown, SOCK_RCV_CLOSED | SOCK_SEND_CLOSED);
	path = u->path;
	u->path = (struct path){0};
	peer = unix_set_peer(u, NULL);
	mutex_unlock(&u->sk.lock);
	path_put(&path);
	waitq_wake(&u->peer_wait, ~0u);

	unread = unix_purge(u);
	if (peer && unix_connects(u)) {
		if (unread || embryo)
			atomic_store(&peer->sk.err, ECONNRESET);
		closed(peer, SOCK_RCV_CLOSED | SOCK_SEND_CLOSED);
	}
	unix_sock_put(peer);
	for (;;) {
		mutex_lock(&u->q_lock);
		n = TAILQ_FIRST(&u->pending);
		if (n) {
			TAILQ_REMOVE(&u->pending, n, pending_link);
			u->n_pending--;
		}
		mutex_unlock(&u->q_lock);
		if (!n)
			break;
		end_sock(n, true);
		unix_sock_put(n);
	}
}

void unix_release(struct sock *sk)
{
	struct netns *ns = netns_get(sk->ns);

	/* Of an image that failed to load. */
	if (!ns)
		return;
	end_sock(unix_of(sk), false);
	if (atomic_load(&ns->n_inflight) > 0)
		unix_gc(ns);
	netns_put(ns);
}
