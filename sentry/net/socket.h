#pragma once
/*
 * Sockets: what all families have in common. A `struct sock` is the socket itself; every family
 * derives its own object from it and gives that a sock_ops (obj_type.ops). A `struct socket_file`
 * is the open description around it that descriptors refer to. Peers, listeners and tables refer to
 * socks, never to files: a sock that waits to be accepted has no file, one whose file is closed may
 * live on while it has something to deliver.
 *
 * Locking: sk->lock (RANK_SOCK), two at once by mutex_lock_pair; what a family keeps in tables has
 * RANK_SOCK_TABLE, queues of bytes RANK_SOCK_QUEUE; user copies may run under all of them. Options
 * are written under the lock and read without it. err and shutdown are atomic. No file is put and
 * no waitq woken needs a lock; files are put with none held.
 * Lifetime: refcounted; the file owns one reference and calls ops->release when it goes. destroy
 * comes when nobody refers to it any more.
 * Saved: options, error, shutdown, identity; the families save theirs (BASE sk).
 */
#include "sentry/net/netns.h"
#include "sentry/vfs/file.h"
#include "state/base/lock.h"

#include <linux/sock_diag.h>
#include <sys/socket.h>

struct sock_bpf;
struct sockmsg;

/* Values of /proc/sys/net/core, and limits that Linux compiles in. */
#define SOCK_MEM_MAX     212992     /* rmem_max, wmem_max, and the defaults */
#define SOCK_BUF_MOST    (32 * MIB) /* whatever one may ask for */
#define SOCK_MIN_SNDBUF  4608
#define SOCK_MIN_RCVBUF  2304
#define SOCK_OPTMEM_MAX  131072
#define SOCK_SOMAXCONN   4096
#define SOCK_NO_TIMEOUT  (-1)
#define SOCK_RCV_CLOSED  1u /* bits of sock.shutdown */
#define SOCK_SEND_CLOSED 2u

/* SOL_SOCKET options that mean the same everywhere (socket(7)). */
struct sock_opts {
	s32 sndbuf, rcvbuf;          /* as getsockopt shows them: doubled */
	bool sndbuf_set, rcvbuf_set; /* by the program: no tuning */
	s64 sndtimeo, rcvtimeo;      /* ns; SOCK_NO_TIMEOUT */
	s32 rcvlowat;
	bool reuseaddr, reuseport, keepalive, broadcast, oobinline, dontroute, debug, no_check;
	bool passcred, passsec, passpidfd, rxq_ovfl, select_err_queue, zerocopy, txtime;
	u8 timestamp; /* the option that asked for it: SO_TIMESTAMP, SO_TIMESTAMPNS_NEW...; or 0 */
	bool linger;
	u32 linger_s;
	u32 priority, mark;
	s32 peek_off; /* -1: off */
	s32 bound_if; /* SO_BINDTODEVICE; 0: none */
	bool lock_filter, prefer_busy, wifi_status, nofcs, rcvmark;
	s32 busy_poll, busy_budget, incoming_cpu, txrehash;
	u64 pacing;       /* SO_MAX_PACING_RATE */
	u32 tsflags;      /* SO_TIMESTAMPING */
	s32 txtime_clock; /* SO_TXTIME; txtime: it was set */
	u32 txtime_flags;
};

struct sock {
	struct obj obj;
	struct netns *ns;           /* owned; immutable */
	u16 family, type, protocol; /* immutable; type is SOCK_STREAM, ... alone */
	struct mutex lock;          /* RANK_SOCK */
	/* Readers and acceptors; writers and connecters. A change that poll shows wakes the queue
	 * that it concerns; a hang-up or an error both. */
	struct waitq rwait, wwait;
	struct sock_opts opts;
	_Atomic s32 err;         /* SO_ERROR: a positive errno, taken by whoever sees it first */
	_Atomic u32 shutdown;    /* SOCK_*_CLOSED */
	_Atomic bool nospace;    /* a sender found no room: O_ASYNC tells when there is some */
	u64 ino;                 /* of its file's inode; 0: never had one */
	u32 uid;                 /* owner, as the tables in /proc/net show */
	struct sock_bpf *filter; /* owned; filter.h */
	struct file *file;       /* the one around it, or NULL; not owned; rebuilt */
};
OBJECT_DECL(sock);

/* Bytes, as Linux counts memory, and datagrams that found no room. */
struct sock_usage {
	u32 rmem, wmem, drops;
};

/* sk->obj.type->ops. Called with no lock; sk has a reference by the caller. A missing operation is
 * -EOPNOTSUPP unless said otherwise. Addresses are complete kernel copies: len bytes from the
 * caller, 0 <= len <= sizeof(*a), the family not yet looked at. */
struct sock_ops {
	int (*bind)(struct sock *sk, struct ctx *c, const struct sockaddr_storage *a, u32 len);
	/* May block unless nonblock (-EINPROGRESS or -EAGAIN as the family has it). */
	int (*connect)(struct sock *sk, struct ctx *c, const struct sockaddr_storage *a, u32 len,
	               bool nonblock);
	/* backlog as the caller gave it; sock_backlog clips. */
	int (*listen)(struct sock *sk, struct ctx *c, int backlog);
	/* A sock without a file; the reference is the caller's. -EAGAIN. */
	int (*accept)(struct sock *sk, struct ctx *c, bool nonblock, struct sock **ret);
	/* ret is zeroed; *ret_len how much of it is the address. */
	int (*getname)(struct sock *sk, struct ctx *c, bool peer, struct sockaddr_storage *ret,
	               u32 *ret_len);
	/* See struct sockmsg. -EPIPE of a stream raises SIGPIPE by itself (sock_sendmsg). */
	long (*sendmsg)(struct sock *sk, struct ctx *c, struct sockmsg *m);
	long (*recvmsg)(struct sock *sk, struct ctx *c, struct sockmsg *m);
	int (*shutdown)(struct sock *sk, struct ctx *c, int how); /* SHUT_*, checked */
	/* Ready events; registers on rwait and wwait first (sock_poll_add). Never NULL. */
	u32 (*poll)(struct sock *sk, struct poll_table *pt);
	/* What sock_ioctl does not know. NULL: -ENOTTY. */
	long (*ioctl)(struct sock *sk, struct ctx *c, u32 cmd, u64 arg);
	/* Every option is offered first; -SOCK_OPT_GENERIC for SOL_SOCKET options that the generic
	 * code is to handle, -ENOPROTOOPT or -EOPNOTSUPP for what there is not. */
	int (*setsockopt)(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val,
	                  u32 len);
	int (*getsockopt)(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val,
	                  uaddr_t len);
	/* A SOL_SOCKET option was set by the generic code (a buffer size: writers may go on). May
	 * be NULL. */
	void (*option_changed)(struct sock *sk, int name);
	/* What SO_MEMINFO and diagnostics show of the queues; ret is zeroed. May be NULL. */
	void (*usage)(struct sock *sk, struct sock_usage *ret);
	/* The file is gone: close(2) of the last descriptor. No ctx: it may have been closed by a
	 * garbage collection. May be NULL. */
	void (*release)(struct sock *sk);
};
#define SOCK_OPT_GENERIC 515 /* -SOCK_OPT_GENERIC: "not mine" from setsockopt, getsockopt */

static inline const struct sock_ops *sock_ops_of(const struct sock *sk)
{
	return sk->obj.type->ops;
}

struct socket_file {
	struct file file;
	struct sock *sock; /* owned; immutable */
};
OBJECT_DECL(socket_file);

/* ---- families ---- */

struct socket_family {
	int family;
	/* type without flags, as given. -ESOCKTNOSUPPORT, -EPROTONOSUPPORT, -EPERM. */
	int (*create)(struct ctx *c, int type, int protocol, struct sock **ret);
	/* NULL: -EOPNOTSUPP. */
	int (*pair)(struct ctx *c, int type, int protocol, struct sock *ret[2]);
};
#define SOCKET_FAMILY(id, ...)                                   \
	static const struct socket_family id = {__VA_ARGS__};    \
	static const struct socket_family *const id##_registered \
		__attribute__((used, section("socket_families"), aligned(sizeof(void *)))) = &id

/* socket(2), socketpair(2) short of descriptors; flags: O_NONBLOCK. References. -EAFNOSUPPORT. */
MUST_CHECK int socket_create(struct ctx *c, int family, int type, int protocol, u32 flags,
                             struct file **ret);
MUST_CHECK int socket_pair(struct ctx *c, int family, int type, int protocol, u32 flags,
                           struct file *ret[2]);
/* A file around an accepted or fresh sock, whose reference it takes over. */
struct file *socket_file_new(struct ctx *c, struct sock *sk, u32 flags);
/* Common fields of a new sock: after obj_new. Owner, namespace, default options. */
void sock_setup(struct sock *sk, struct ctx *c, u16 family, u16 type, u16 protocol);
/* What an accepted sock takes over from its listener. */
void sock_inherit(struct sock *sk, const struct sock *listener);
/* SO_PEEK_OFF, if it is on, after n bytes were looked at or taken. */
void sock_moved(struct sock *sk, bool peek, s64 n);
/* The sock of an open file, or NULL. Borrowed. */
struct sock *sock_of(struct file *f);

/* ---- help for families ---- */

/* A send found no room; room again, or a connection made: wakes writers. */
static inline void sock_no_space(struct sock *sk)
{
	if (!atomic_load_explicit(&sk->nospace, memory_order_relaxed))
		atomic_store(&sk->nospace, true);
}
void sock_wake_writers(struct sock *sk);
/* Takes the pending error: 0 or -errno. */
int sock_take_error(struct sock *sk);
/* Sets it and wakes both queues. */
void sock_set_error(struct sock *sk, int err);
static inline u32 sock_shut(const struct sock *sk)
{
	return atomic_load_explicit(&((struct sock *)(uintptr_t)sk)->shutdown,
	                            memory_order_acquire);
}
static inline void sock_poll_add(struct sock *sk, struct poll_table *pt)
{
	poll_add(pt, &sk->rwait);
	poll_add(pt, &sk->wwait);
}
/* How many connections may wait, for listen(2)'s argument. */
u32 sock_backlog(const struct sock *sk, int backlog);
/*
 * The usual blocking step: calls op until it does not say -EAGAIN, sleeping on q between. timeo_ns
 * is an option's value (SOCK_NO_TIMEOUT: for ever). -EAGAIN if nonblock or the time is up; when
 * interrupted -ERESTARTSYS, or -ERESTARTNOHAND if there is a timeout (EINTR where a handler runs).
 * The deadline is remembered across a restart.
 */
MUST_CHECK long sock_block(struct ctx *c, struct waitq *q, s64 timeo_ns, bool nonblock,
                           long (*op)(void *arg), void *arg);
static inline bool sock_interrupted(long r)
{
	return r == -ERESTARTSYS || r == -ERESTARTNOHAND;
}
/* Option values to and from the guest, with getsockopt's rules for lengths. */
MUST_CHECK int sockopt_put(struct ctx *c, uaddr_t val, uaddr_t ulen, const void *p, u32 size);
MUST_CHECK int sockopt_put_int(struct ctx *c, uaddr_t val, uaddr_t ulen, s32 v);
MUST_CHECK int sockopt_get_int(struct ctx *c, uaddr_t val, u32 len, s32 *ret);

/* ---- the calls, for sentry/syscall and file operations ---- */

MUST_CHECK long sock_sendmsg(struct sock *sk, struct ctx *c, struct sockmsg *m);
MUST_CHECK long sock_recvmsg(struct sock *sk, struct ctx *c, struct sockmsg *m);
MUST_CHECK int sock_setsockopt(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val,
                               u32 len);
MUST_CHECK int sock_getsockopt(struct sock *sk, struct ctx *c, int level, int name, uaddr_t val,
                               uaddr_t len);
void sock_usage(struct sock *sk, struct sock_usage *ret);
void sock_meminfo(struct sock *sk, u32 info[SK_MEMINFO_VARS]);
/* sockopt_int.c: SOL_SOCKET options that are a number. Under sk->lock; without. */
MUST_CHECK int sock_set_int(struct sock *sk, struct ctx *c, int name, s32 v);
MUST_CHECK int sock_get_int(struct sock *sk, int name, s32 *ret);
/* sockopt.c: SOL_SOCKET itself. */
MUST_CHECK int sock_set_common(struct sock *sk, struct ctx *c, int name, uaddr_t val, u32 len);
MUST_CHECK int sock_get_common(struct sock *sk, struct ctx *c, int name, uaddr_t val, uaddr_t len);
