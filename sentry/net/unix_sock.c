/* AF_UNIX sockets: creation, readiness, options. */
#include "sentry/net/unix.h"

#include "sentry/auth/creds.h"
#include "sentry/kernel/kernel.h"
#include "sentry/net/sockopts.h"
#include "sentry/vfs/fd_table.h"
#include "state/base/cleanup.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <stdio.h>
#include <string.h>

struct unix_sock *unix_sock_new(struct ctx *c, struct netns *ns, u32 type)
{
	struct unix_sock *u = obj_new(unix_sock);

	sock_setup(&u->sk, c, AF_UNIX, (u16)type, 0);
	GUARD(&ns->unix_lock);
	TAILQ_INSERT_TAIL(&ns->unix_socks, u, all_link);
	u->listed = true;
	return u;
}

static int unix_create(struct ctx *c, int type, int protocol, struct sock **ret)
{
	if (protocol != 0 && protocol != AF_UNIX)
		return -EPROTONOSUPPORT;
	/* As Linux: "believe it or not BSD has AF_UNIX, SOCK_RAW though nothing uses it". */
	if (type == SOCK_RAW)
		type = SOCK_DGRAM;
	if (type != SOCK_STREAM && type != SOCK_DGRAM && type != SOCK_SEQPACKET)
		return -ESOCKTNOSUPPORT;
	*ret = &unix_sock_new(c, c->kernel->netns, (u32)type)->sk;
	return 0;
}
SOCKET_FAMILY(unix_family, .family = AF_UNIX, .create = unix_create, .pair = unix_pair);

struct unix_sock *unix_peer_get(struct unix_sock *u)
{
	GUARD(&u->sk.lock);
	return unix_sock_get(u->peer);
}

struct unix_sock *unix_set_peer(struct unix_sock *u, struct unix_sock *peer)
{
	struct unix_sock *old = u->peer;

	if (unix_connects(u)) {
		u->peer = peer;
		return old;
	}
	GUARD(&u->sk.ns->unix_lock);
	if (u->watched)
		TAILQ_REMOVE(&old->connected, u, connected_link);
	u->peer = peer;
	u->watched = peer != NULL;
	if (peer)
		TAILQ_INSERT_TAIL(&peer->connected, u, connected_link);
	return old;
}

/* ---- readiness ---- */

/* Bytes that u has under way. */
static u64 under_way(struct unix_sock *u, struct unix_sock *peer)
{
	if (!peer || u->sk.type != SOCK_STREAM)
		return atomic_load(&u->wmem);
	GUARD(&peer->q_lock);
	return unix_stream_used(peer);
}

/* As Linux: a quarter of the buffer at most, so that a writer who is told of room has plenty. */
static bool has_room(struct unix_sock *u, struct unix_sock *peer)
{
	u64 used = under_way(u, peer);

	if (used * 4 <= unix_limit(u))
		return true;
	if (used * 4 > unix_sndbuf(u))
		return false;
	/* Noted first and then looked again: whoever makes room looks after it has. */
	atomic_store(&u->squeezed, true);
	return under_way(u, peer) * 4 <= unix_limit(u);
}

/* A peer that is not connected back takes only so many. */
static bool peer_full(struct unix_sock *u, struct unix_sock *peer)
{
	bool full;

	mutex_lock(&peer->q_lock);
	full = unix_full(peer);
	mutex_unlock(&peer->q_lock);
	if (!full)
		return false;
	GUARD(&peer->sk.lock);
	return peer->peer != u;
}

static u32 queue_events(struct unix_sock *u)
{
	u32 ev = 0;

	GUARD(&u->q_lock);
	if (u->ring.len > 0 || u->n_packets > 0 || u->n_pending > 0)
		ev |= READY_IN;
	if (u->urgent)
		ev |= EPOLLPRI;
	return ev;
}

static u32 unix_poll(struct sock *sk, struct poll_table *pt)
{
	struct unix_sock *u = unix_of(sk);
	AUTO(unix_sock) peer = NULL;
	u32 shut, ev = 0, state;

	sock_poll_add(sk, pt);
	shut = sock_shut(sk);
	mutex_lock(&sk->lock);
	peer = unix_sock_get(u->peer);
	state = u->state;
	mutex_unlock(&sk->lock);
	if (atomic_load(&sk->err))
		ev |= EPOLLERR;
	if (shut == (SOCK_RCV_CLOSED | SOCK_SEND_CLOSED))
		ev |= EPOLLHUP;
	if (shut & SOCK_RCV_CLOSED)
		ev |= EPOLLRDHUP | READY_IN;
	ev |= queue_events(u);
	if (unix_connects(u) && state == UNIX_CLOSED)
		ev |= EPOLLHUP;
	if (state != UNIX_LISTEN && has_room(u, peer) &&
	    !(sk->type == SOCK_DGRAM && peer && peer != u && peer_full(u, peer)))
		ev |= READY_OUT | EPOLLWRBAND;
	return ev;
}

/* ---- /proc/net/unix ---- */

/* sun_path as the table shows it: abstract names start with '@', which also stands for any NUL. */
static void name_text(const struct unix_sock *u, char text[UNIX_PATH_SIZE + 1])
{
	u32 n = u->addr_len > 2 ? u->addr_len - 2u : 0;

	if (n > 0 && u->addr[0])
		n--;
	n = MIN(n, UNIX_PATH_SIZE);
	for (u32 i = 0; i < n; i++)
		text[i] = u->addr[i] ? u->addr[i] : '@';
	text[n] = '\0';
}

static unsigned table_state(const struct unix_sock *u)
{
	/* SS_UNCONNECTED, SS_CONNECTING, SS_CONNECTED, SS_DISCONNECTING */
	if (u->sk.file)
		return u->state == UNIX_CONNECTED ? 3 : 1;
	return u->state == UNIX_CONNECTED ? 2 : 4;
}

void unix_list(struct netns *ns, void (*fn)(const char *line, void *arg), void *arg)
{
	struct unix_sock *u;

	GUARD(&ns->unix_lock);
	TAILQ_FOREACH (u, &ns->unix_socks, all_link) {
		char name[UNIX_PATH_SIZE + 1], line[256];

		name_text(u, name);
		snprintf(line, sizeof(line), "%016x: %08X %08X %08X %04X %02X %5llu%s%s", 0,
		         obj_refs(u), 0, u->state == UNIX_LISTEN ? 0x10000 : 0, u->sk.type,
		         table_state(u), (unsigned long long)u->sk.ino, name[0] ? " " : "", name);
		fn(line, arg);
	}
}

/* ---- ioctl, options ---- */

static long bytes_in(struct unix_sock *u)
{
	struct unix_packet *p;
	long n;

	GUARD(&u->q_lock);
	if (u->sk.type == SOCK_STREAM)
		return unix_stream_unread(u);
	p = TAILQ_FIRST(&u->packets);
	n = p ? (long)p->len : 0;
	if (u->sk.type == SOCK_SEQPACKET)
		while (p && (p = TAILQ_NEXT(p, link)))
			n += p->len;
	return n;
}

static long unix_ioctl(struct sock *sk, struct ctx *c, u32 cmd, u64 arg)
{
	struct unix_sock *u = unix_of(sk);
	AUTO(unix_sock) peer = NULL;
	long n;

	switch (cmd) {
	case SIOCINQ:
		if (READ_ONCE(u->state) == UNIX_LISTEN)
			return -EINVAL;
		n = bytes_in(u);
		break;
	case SIOCOUTQ:
		n = (long)atomic_load(&u->wmem);
		peer = unix_peer_get(u);
		if (peer && sk->type == SOCK_STREAM) {
			GUARD(&peer->q_lock);
			n = (long)unix_stream_used(peer);
		}
		break;
	case SIOCPROTOPRIVATE: /* SIOCUNIXFILE */
		return unix_open_path(u, c);
	case SIOCATMARK:
		if (sk->type != SOCK_STREAM)
			return -EOPNOTSUPP;
		n = unix_at_mark(u);
		break;
	default:
		return -ENOTTY;
	}
	return user_put_u32(c, UADDR(arg), (u32)n);
}

static int get_peercred(struct unix_sock *u, struct ctx *c, uaddr_t val, uaddr_t len)
{
	struct ucred cred = {.pid = 0, .uid = (uid_t)-1, .gid = (gid_t)-1};

	mutex_lock(&u->sk.lock);
	if (u->peer_creds) {
		cred.pid = (pid_t)u->peer_pid;
		cred.uid = u->peer_creds->euid;
		cred.gid = u->peer_creds->egid;
	}
	mutex_unlock(&u->sk.lock);
	return sockopt_put(c, val, len, &cred, sizeof(cred));
}

static int get_peergroups(struct unix_sock *u, struct ctx *c, uaddr_t val, uaddr_t ulen)
{
	AUTO(creds) cr = NULL;
	u32 len, need;
	int r = user_get_u32(c, ulen, &len);

	mutex_lock(&u->sk.lock);
	cr = creds_get(u->peer_creds);
	mutex_unlock(&u->sk.lock);
	if (r < 0)
		return r;
	if (!cr)
		return -ENODATA;
	need = cr->n_groups * (u32)sizeof(u32);
	if (len < need)
		return user_put_u32(c, ulen, need) < 0 ? -EFAULT : -ERANGE;
	r = user_copy_out(c, val, cr->groups, need);
	return r < 0 ? r : user_put_u32(c, ulen, need);
}

/* The process that SO_PEERCRED names, while there is one. */
static int get_peerpidfd(struct unix_sock *u, struct ctx *c, uaddr_t val, uaddr_t ulen)
{
	AUTO(file) f = NULL;
	u32 pid = 0, len;
	int r = user_get_u32(c, ulen, &len);

	if (r < 0)
		return r;
	mutex_lock(&u->sk.lock);
	if (u->peer_creds)
		pid = u->peer_pid;
	mutex_unlock(&u->sk.lock);
	if (!pid)
		return -ENODATA;
	r = ctx_pidfd(c, pid, &f);
	if (r == 0)
		r = fd_install(c, f, 0, true);
	return r < 0 ? r : sockopt_put_int(c, val, ulen, r);
}

static int unix_getsockopt(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val,
                           uaddr_t len)
{
	struct unix_sock *u = unix_of(sk);

	if (level != SOL_SOCKET)
		return -EOPNOTSUPP;
	switch (name) {
	case SO_PEERCRED:
		return get_peercred(u, c, val, len);
	case SO_PEERGROUPS:
		return get_peergroups(u, c, val, len);
	case SO_PEERPIDFD:
		return get_peerpidfd(u, c, val, len);
	case SO_PASSPIDFD:
		return sockopt_put_int(c, val, len, sk->opts.passpidfd);
	case SO_ACCEPTCONN:
		return sockopt_put_int(c, val, len, READ_ONCE(u->state) == UNIX_LISTEN);
	default:
		return -SOCK_OPT_GENERIC;
	}
}

static int unix_setsockopt(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val,
                           u32 len)
{
	s32 v;
	int r;

	if (level != SOL_SOCKET)
		return -EOPNOTSUPP;
	if (name != SO_PASSPIDFD)
		return -SOCK_OPT_GENERIC;
	r = sockopt_get_int(c, val, len, &v);
	if (r < 0)
		return r;
	GUARD(&sk->lock);
	sk->opts.passpidfd = v != 0;
	return 0;
}

static void unix_usage(struct sock *sk, struct sock_usage *ret)
{
	struct unix_sock *u = unix_of(sk);

	ret->wmem = atomic_load(&u->wmem);
	GUARD(&u->q_lock);
	ret->rmem = u->ring.len;
}

static void unix_option_changed(struct sock *sk, int name)
{
	if (name == SO_SNDBUF || name == SO_SNDBUFFORCE)
		sock_wake_writers(sk);
}

static long unix_sendmsg(struct sock *sk, struct ctx *c, struct sockmsg *m)
{
	return sk->type == SOCK_STREAM ? unix_stream_send(sk, c, m) : unix_dgram_send(sk, c, m);
}

static long unix_recvmsg(struct sock *sk, struct ctx *c, struct sockmsg *m)
{
	return sk->type == SOCK_STREAM ? unix_stream_recv(sk, c, m) : unix_dgram_recv(sk, c, m);
}

const struct sock_ops unix_sock_ops = {
	.bind = unix_bind,
	.connect = unix_connect,
	.listen = unix_listen,
	.accept = unix_accept,
	.getname = unix_getname,
	.sendmsg = unix_sendmsg,
	.recvmsg = unix_recvmsg,
	.shutdown = unix_shutdown,
	.poll = unix_poll,
	.ioctl = unix_ioctl,
	.setsockopt = unix_setsockopt,
	.getsockopt = unix_getsockopt,
	.option_changed = unix_option_changed,
	.usage = unix_usage,
	.release = unix_release,
};
