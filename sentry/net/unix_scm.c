/* What travels beside the bytes of AF_UNIX: descriptors and credentials. */
#include "sentry/net/unix.h"

#include "sentry/auth/creds.h"
#include "sentry/kernel/kernel.h"
#include "sentry/net/sockopts.h"
#include "sentry/vfs/fd_table.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>

const struct unix_cred unix_no_cred = {0, (u32)-1, (u32)-1};

/* ---- rights ---- */

struct unix_rights *unix_rights_new(u32 n)
{
	struct unix_rights *r = calloc(1, sizeof(*r) + n * sizeof(r->files[0]));

	BUG_ON(!r);
	return r;
}

struct unix_rights *unix_rights_copy(const struct unix_rights *r)
{
	struct unix_rights *n = unix_rights_new(r->n);

	n->payer = r->payer;
	n->n = r->n;
	for (u32 i = 0; i < r->n; i++)
		n->files[i] = file_get(r->files[i]);
	return n;
}

/*
 * Putting a socket may free what is in its queue, in which there may be sockets, and so on for as
 * long a chain as a guest likes: this thread's outermost call does all of it.
 */
static _Thread_local struct {
	struct unix_rights *first;
	bool busy;
} to_free;

void unix_rights_free(struct unix_rights *r)
{
	if (!r)
		return;
	BUG_ON(r->inflight);
	r->next = to_free.first;
	to_free.first = r;
	if (to_free.busy)
		return;
	to_free.busy = true;
	while ((r = to_free.first)) {
		to_free.first = r->next;
		for (u32 i = 0; i < r->n; i++)
			file_put(r->files[i]);
		free(r);
	}
	to_free.busy = false;
}

/* ---- what is in flight ---- */

static struct unix_payer *payer_of(struct netns *ns, u32 uid)
{
	struct unix_payer *p;
	u32 i, unused = ns->n_payers;

	for (i = 0; i < ns->n_payers; i++) {
		if (ns->payers[i].uid == uid)
			return &ns->payers[i];
		if (ns->payers[i].n == 0)
			unused = i;
	}
	if (unused == ns->n_payers) {
		p = realloc(ns->payers, (ns->n_payers + 1) * sizeof(*p));
		BUG_ON(!p);
		ns->payers = p;
		ns->n_payers++;
	}
	ns->payers[unused] = (struct unix_payer){uid, 0};
	return &ns->payers[unused];
}

static struct unix_sock *unix_sock_of(struct file *f)
{
	struct sock *sk = sock_of(f);

	return sk ? obj_cast(unix_sock, sk) : NULL;
}

void unix_inflight(struct netns *ns, struct unix_rights *r)
{
	r->inflight = true;
	payer_of(ns, r->payer)->n += r->n;
	for (u32 i = 0; i < r->n; i++) {
		struct unix_sock *u = unix_sock_of(r->files[i]);

		if (u && u->inflight++ == 0) {
			TAILQ_INSERT_TAIL(&ns->unix_inflight, u, inflight_link);
			atomic_fetch_add(&ns->n_inflight, 1);
		}
	}
}

void unix_notinflight(struct netns *ns, struct unix_rights *r)
{
	if (!r->inflight)
		return;
	r->inflight = false;
	/* When all is torn down the namespace may go first. */
	if (ns->payers)
		payer_of(ns, r->payer)->n -= r->n;
	for (u32 i = 0; i < r->n; i++) {
		struct unix_sock *u = unix_sock_of(r->files[i]);

		if (u && --u->inflight == 0) {
			TAILQ_REMOVE(&ns->unix_inflight, u, inflight_link);
			atomic_fetch_sub(&ns->n_inflight, 1);
		}
	}
}

static bool too_many(struct netns *ns, struct ctx *c, u32 uid)
{
	u64 limit = c->rlimits ? c->rlimits[RLIMIT_NOFILE].rlim_cur : RLIM_INFINITY;
	u32 n;

	mutex_lock(&ns->scm_lock);
	n = payer_of(ns, uid)->n;
	mutex_unlock(&ns->scm_lock);
	return n > limit && !creds_capable(c->creds, CAP_SYS_RESOURCE) &&
	       !creds_capable(c->creds, CAP_SYS_ADMIN);
}

/* ---- send ---- */

struct unix_cred unix_cred_of(struct ctx *c)
{
	return (struct unix_cred){c->tgid, c->creds->uid, c->creds->gid};
}

static int take_files(struct ctx *c, const struct cmsghdr *h, struct unix_rights **rights)
{
	const int *fds = cmsg_data(h);
	size_t n = cmsg_data_len(h) / sizeof(int);

	if (n == 0)
		return 0;
	if (n > UNIX_MAX_FILES)
		return -EINVAL;
	if (!*rights)
		*rights = unix_rights_new(UNIX_MAX_FILES);
	if ((*rights)->n + n > UNIX_MAX_FILES)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		int r = fd_get_path(c, fds[i], &(*rights)->files[(*rights)->n]);

		if (r < 0)
			return r;
		(*rights)->n++;
	}
	return 0;
}

static int take_cred(struct ctx *c, const struct cmsghdr *h, struct unix_cred *ret)
{
	const struct creds *cr = c->creds;
	struct ucred u;

	if (h->cmsg_len != CMSG_LEN(sizeof(u)))
		return -EINVAL;
	memcpy(&u, cmsg_data(h), sizeof(u));
	if ((u32)u.pid != c->tgid && !creds_capable(cr, CAP_SYS_ADMIN))
		return -EPERM;
	if (u.uid != cr->uid && u.uid != cr->euid && u.uid != cr->suid &&
	    !creds_capable(cr, CAP_SETUID))
		return -EPERM;
	if (u.gid != cr->gid && u.gid != cr->egid && u.gid != cr->sgid &&
	    !creds_capable(cr, CAP_SETGID))
		return -EPERM;
	if ((u32)u.pid != c->tgid && !ctx_pid_exists(c, (u32)u.pid))
		return -ESRCH;
	*ret = (struct unix_cred){(u32)u.pid, u.uid, u.gid};
	return 0;
}

int unix_scm_parse(struct unix_sock *u, struct ctx *c, const struct sockmsg *m,
                   struct unix_cred *ret_cred, struct unix_rights **ret_rights)
{
	struct unix_cred cred = unix_no_cred;
	struct unix_rights *rights = NULL;
	const struct cmsghdr *h;
	u32 off = 0;
	int r;

	while ((r = sockmsg_next(m, &off, &h)) > 0) {
		if (h->cmsg_level != SOL_SOCKET)
			continue;
		if (h->cmsg_type == SCM_RIGHTS)
			r = take_files(c, h, &rights);
		else if (h->cmsg_type == SCM_CREDENTIALS)
			r = take_cred(c, h, &cred);
		else
			r = -EINVAL;
		if (r < 0)
			break;
	}
	if (r == 0 && rights && rights->n > 0) {
		rights->payer = c->creds->uid;
		if (too_many(u->sk.ns, c, rights->payer))
			r = -ETOOMANYREFS;
	}
	if (r < 0 || (rights && rights->n == 0)) {
		unix_rights_free(rights);
		rights = NULL;
	}
	if (r < 0)
		return r;
	*ret_cred = cred;
	*ret_rights = rights;
	return 0;
}

/* ---- receive ---- */

/* SO_PASSPIDFD: the sender as a descriptor, or why there is none. */
static void put_pidfd(struct ctx *c, struct sockmsg *m, const struct unix_cred *cred)
{
	AUTO(file) f = NULL;
	s32 fd;

	if (uaddr_null(m->control) || m->control_len < CMSG_LEN(sizeof(fd))) {
		m->out_flags |= MSG_CTRUNC;
		return;
	}
	fd = cred->pid ? ctx_pidfd(c, cred->pid, &f) : -ESRCH;
	if (fd == 0)
		fd = fd_install(c, f, 0, (m->flags & MSG_CMSG_CLOEXEC) != 0);
	sockmsg_put(m, c, SOL_SOCKET, SCM_PIDFD, &fd, sizeof(fd));
}

void unix_scm_deliver(struct unix_sock *u, struct ctx *c, struct sockmsg *m,
                      const struct unix_cred *cred, struct unix_rights *rights)
{
	if (u->sk.opts.passcred) {
		struct ucred uc = {(pid_t)cred->pid, cred->uid, cred->gid};

		/* Nobody recorded who it was: as ids that no user has. */
		if (cred->uid == (u32)-1)
			uc = (struct ucred){0, 65534, 65534};
		sockmsg_put(m, c, SOL_SOCKET, SCM_CREDENTIALS, &uc, sizeof(uc));
	}
	if (rights)
		sockmsg_put_files(m, c, rights->files, rights->n);
	unix_rights_free(rights);
	if (u->sk.opts.passpidfd)
		put_pidfd(c, m, cred);
}
