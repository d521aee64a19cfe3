/*
 * AF_UNIX streams: bytes go from the sender's memory into the receiver's ring and from there into
 * the receiver's. What is attached to bytes - descriptors, credentials that somebody wants to know
 * - is kept in runs, which most streams never have.
 */
#include "sentry/net/unix.h"

#include <stdlib.h>
#include <string.h>

#define RUN_COST 768u /* what a run counts as, so that many small ones are bounded too */
/* Bytes that Linux puts into one buffer at most: 16 KiB of its own and 32 KiB of pages. */
#define PIECE_MAX 48832u

u32 unix_stream_used(const struct unix_sock *u)
{
	return u->ring.len + u->n_runs * RUN_COST;
}

static bool same_cred(const struct unix_cred *a, const struct unix_cred *b)
{
	return a->pid == b->pid && a->uid == b->uid && a->gid == b->gid;
}

u32 unix_stream_unread(const struct unix_sock *u)
{
	u32 n = u->ring.len;

	for (u32 i = u->first_run; i < u->first_run + u->n_runs; i++)
		n -= u->runs[i].urgent == UNIX_MARK;
	return n;
}

bool unix_at_mark(struct unix_sock *u)
{
	u32 i;

	GUARD(&u->q_lock);
	i = u->first_run;
	if (u->n_runs == 0 || u->runs[i].urgent == UNIX_PLAIN)
		return false;
	while (i < u->first_run + u->n_runs && u->runs[i].urgent == UNIX_MARK)
		i++;
	return !u->urgent || (i < u->first_run + u->n_runs && u->runs[i].urgent == UNIX_URGENT);
}

/* ---- runs ---- */

void unix_run_append(struct unix_sock *u, const struct unix_run *run)
{
	if (u->first_run + u->n_runs == u->max_runs) {
		if (u->first_run > 0) {
			memmove(u->runs, u->runs + u->first_run, u->n_runs * sizeof(*u->runs));
			u->first_run = 0;
		}
		if (u->n_runs == u->max_runs) {
			u->max_runs = u->max_runs ? u->max_runs * 2 : 8;
			u->runs = realloc(u->runs, u->max_runs * sizeof(*u->runs));
			BUG_ON(!u->runs);
		}
	}
	u->runs[u->first_run + u->n_runs++] = *run;
}

/* n bytes were put into the ring. */
static void note_run(struct unix_sock *u, u32 n, u32 urgent, const struct unix_cred *cred,
                     struct unix_rights *rights)
{
	bool plain = !rights && !urgent && cred->uid == (u32)-1;
	struct unix_run *last;

	if (u->n_runs == 0) {
		if (plain)
			return;
		if (u->ring.len > n)
			unix_run_append(u, &(struct unix_run){u->ring.len - n, UNIX_PLAIN,
			                                      unix_no_cred, NULL});
	} else {
		last = &u->runs[u->first_run + u->n_runs - 1];
		if (!rights && !last->rights && !urgent && !last->urgent &&
		    same_cred(&last->cred, cred)) {
			last->len += n;
			return;
		}
	}
	unix_run_append(u, &(struct unix_run){n, urgent, *cred, rights});
}

/* The run of the byte that is urgent, and where in the ring. u->urgent. */
static struct unix_run *urgent_run(struct unix_sock *u, u32 *ret_at)
{
	u32 i = u->first_run, at = 0;

	while (u->runs[i].urgent != UNIX_URGENT)
		at += u->runs[i++].len;
	*ret_at = at;
	return &u->runs[i];
}

/* n bytes leave the first run. */
static void use_run(struct unix_sock *u, u32 n)
{
	struct unix_run *run = &u->runs[u->first_run];

	run->len -= n;
	if (run->len > 0)
		return;
	u->n_runs--;
	u->first_run = u->n_runs ? u->first_run + 1 : 0;
}

/* ---- send ---- */

struct send_try {
	struct unix_sock *u, *peer;
	struct sockmsg *m;
	struct unix_cred cred;
	struct unix_rights *rights;
	bool urgent; /* there is an urgent byte among what it sent */
};

/* What is sent as a whole or not at all: readers of records that are small enough rely on never
 * seeing half of one. The last piece may exceed the limit. */
static u32 piece(u32 limit)
{
	return limit > 256 ? MIN(limit / 2 - 64, PIECE_MAX) : 64;
}

/* Fills the peer's ring once. 0: all is sent; 1: go on. Of what is sent out of band the last byte
 * goes by itself; one that was urgent till then becomes one like any other. */
static long fill(struct send_try *t)
{
	struct unix_sock *u = t->u, *peer = t->peer;
	u64 left = uiter_count(t->m->it);
	bool oob = (t->m->flags & MSG_OOB) != 0, urgent = oob && left == 1;
	u32 used, limit = unix_limit(u), n, at;
	long r;

	if (left == 0)
		return 0;
	if (sock_shut(&u->sk) & SOCK_SEND_CLOSED)
		return -EPIPE;
	GUARD(&peer->q_lock);
	if (peer->dead || (sock_shut(&peer->sk) & SOCK_RCV_CLOSED))
		return -EPIPE;
	used = unix_stream_used(peer);
	if (used >= limit) {
		if (limit < unix_sndbuf(u))
			atomic_store(&u->squeezed, true);
		sock_no_space(&u->sk);
		return -EAGAIN;
	}
	n = (u32)MIN(left - (oob && !urgent), (u64)piece(limit));
	r = ring_fill(&peer->ring, t->m->it, n);
	if (r <= 0)
		return r < 0 ? r : -EFAULT;
	if (t->rights)
		unix_inflight(u->sk.ns, t->rights);
	unix_account(peer, r);
	if (urgent && peer->urgent)
		urgent_run(peer, &at)->urgent = UNIX_PLAIN;
	note_run(peer, (u32)r, urgent ? UNIX_URGENT : UNIX_PLAIN, &t->cred, TAKE(t->rights));
	peer->urgent |= urgent;
	t->urgent |= urgent;
	t->m->done += (u64)r;
	return r < (long)n ? -EFAULT : 1;
}

static long try_send(void *arg) NO_LOCK_ANALYSIS
{
	struct send_try *t = arg;
	struct mutex *scm = t->rights ? &t->u->sk.ns->scm_lock : NULL;
	u64 before = t->m->done;
	long r;

	if (scm)
		mutex_lock(scm);
	r = fill(t);
	if (scm)
		mutex_unlock(scm);
	while (r == 1)
		r = fill(t);
	if (t->m->done != before)
		waitq_wake(&t->peer->sk.rwait, t->urgent ? READY_IN | EPOLLPRI : READY_IN);
	return r;
}

long unix_stream_send(struct sock *sk, struct ctx *c, struct sockmsg *m)
{
	struct unix_sock *u = unix_of(sk);
	struct send_try t = {.u = u, .m = m, .cred = unix_no_cred};
	long r = 0;

	if (m->control_in_len)
		r = unix_scm_parse(u, c, m, &t.cred, &t.rights);
	if (r < 0)
		return r;
	/* What an earlier entry sent took the files with it. */
	if (m->done > 0) {
		unix_rights_free(t.rights);
		t.rights = NULL;
	}
	if ((m->flags & MSG_OOB) && m->done + uiter_count(m->it) == 0)
		r = -EOPNOTSUPP;
	else if (m->name_len)
		r = READ_ONCE(u->state) == UNIX_CONNECTED ? -EISCONN : -EOPNOTSUPP;
	else if (READ_ONCE(u->state) != UNIX_CONNECTED)
		r = -ENOTCONN;
	else if (sock_shut(sk) & SOCK_SEND_CLOSED)
		r = -EPIPE;
	if (r == 0) {
		t.peer = __atomic_load_n(&u->peer, __ATOMIC_ACQUIRE);
		if (!t.peer)
			r = -ENOTCONN;
	}
	if (r == 0) {
		if (t.cred.uid == (u32)-1 &&
		    unlikely(unix_wants_cred(u) || unix_wants_cred(t.peer)))
			t.cred = unix_cred_of(c);
		r = sock_block(c, &sk->wwait, sk->opts.sndtimeo, (m->flags & MSG_DONTWAIT) != 0,
		               try_send, &t);
	}
	unix_rights_free(t.rights);
	if (m->done > 0 && !sock_interrupted(r))
		return (long)m->done;
	return r;
}

/* ---- receive ---- */

struct recv_try {
	struct unix_sock *u;
	struct sockmsg *m;
	u64 target;
	u32 skip, base; /* MSG_PEEK: where the next look starts, where the first one did */
	bool peek, scm_held, knows_cred;
	bool room; /* the sender may go on */
	bool seen; /* there was something, if only for a receive of nothing */
	struct unix_cred cred;
	struct unix_rights *rights;
	struct unix_rights *lost; /* came with an urgent byte, to be freed */
};

/* Nothing (more) is there. */
static long empty(struct recv_try *t)
{
	int err;

	if (t->m->done >= t->target)
		return 0;
	err = sock_take_error(&t->u->sk);
	if (err < 0)
		return err;
	return sock_shut(&t->u->sk) & SOCK_RCV_CLOSED ? 0 : -EAGAIN;
}

/* Where a receive goes on. run NULL: nothing is attached to the bytes. */
struct spot {
	struct unix_run *run;
	u32 at, off, n; /* in the ring, in the run; how many from there on */
};

/* Does a receive that has bytes from before this run end in front of it? A mark is none while a
 * later byte is urgent. */
static bool ends_before(const struct unix_sock *u, const struct unix_run *run)
{
	return run->urgent == UNIX_URGENT || (run->urgent == UNIX_MARK && !u->urgent);
}

/* The urgent byte is received, or passed. */
static void not_urgent(struct unix_sock *u, struct unix_run *run, u32 what)
{
	run->urgent = what;
	u->urgent = false;
}

/* Throws the first run away. */
static void drop_run(struct recv_try *t)
{
	struct unix_sock *u = t->u;
	struct unix_run *run = &u->runs[u->first_run];

	if (run->rights) {
		unix_notinflight(u->sk.ns, run->rights);
		run->rights->next = t->lost;
		t->lost = TAKE(run->rights);
	}
	ring_drop(&u->ring, run->len);
	unix_account(u, -(s64)run->len);
	use_run(u, run->len);
}

/* A receive passes urgent bytes that nobody asked for, and they are lost. 1: *ret is filled;
 * 0: it ends here; -ENODATA: there is no more; -ESTALE: as drain. */
static long first_spot(struct recv_try *t, struct spot *ret)
{
	struct unix_sock *u = t->u;
	struct unix_run *run;

	while (u->n_runs > 0) {
		run = &u->runs[u->first_run];
		if (t->m->done > 0 && ends_before(u, run))
			return 0;
		if (run->urgent == UNIX_URGENT && u->sk.opts.oobinline)
			not_urgent(u, run, UNIX_PLAIN);
		if (run->urgent == UNIX_PLAIN) {
			*ret = (struct spot){run, 0, 0, run->len};
			return 1;
		}
		if (run->rights && !t->scm_held)
			return -ESTALE;
		if (run->urgent == UNIX_URGENT)
			u->urgent = false;
		drop_run(t);
	}
	*ret = (struct spot){NULL, 0, 0, u->ring.len};
	return u->ring.len > 0 ? 1 : -ENODATA;
}

/* The same for MSG_PEEK, which goes round them. */
static long peek_spot(struct recv_try *t, struct spot *ret)
{
	struct unix_sock *u = t->u;
	u32 at = 0, passed = 0;

	for (u32 i = u->first_run; i < u->first_run + u->n_runs; i++) {
		struct unix_run *run = &u->runs[i];
		bool there = run->urgent == UNIX_PLAIN ||
		             (run->urgent == UNIX_URGENT && u->sk.opts.oobinline);

		if (passed > t->base && passed == t->skip && ends_before(u, run))
			return 0;
		if (there && t->skip - passed < run->len) {
			u32 off = t->skip - passed;

			*ret = (struct spot){run, at + off, off, run->len - off};
			return 1;
		}
		at += run->len;
		passed += there ? run->len : 0;
	}
	if (u->n_runs > 0 || u->ring.len <= t->skip)
		return -ENODATA;
	*ret = (struct spot){NULL, t->skip, 0, u->ring.len - t->skip};
	return 1;
}

/* Moves bytes of one run. 1: go on; -ESTALE: scm_lock is needed. q_lock is held. */
static long drain(struct recv_try *t)
{
	struct unix_sock *u = t->u;
	struct unix_run *run;
	struct spot s;
	bool whole;
	u32 n;
	long r;

	r = t->peek ? peek_spot(t, &s) : first_spot(t, &s);
	if (r == -ENODATA)
		return empty(t);
	if (r <= 0)
		return r;
	run = s.run;
	n = s.n;
	if (run && run->rights && !t->scm_held)
		return -ESTALE;
	if (unix_wants_cred(u)) {
		const struct unix_cred *cred = run ? &run->cred : &unix_no_cred;

		if (t->knows_cred && !same_cred(&t->cred, cred))
			return 0;
		t->cred = *cred;
		t->knows_cred = true;
	}
	whole = n <= uiter_count(t->m->it);
	if (!whole)
		n = (u32)uiter_count(t->m->it);
	r = ring_copy(&u->ring, s.at, t->m->it, n);
	if (r < 0)
		return r;
	if (r < (long)n)
		whole = false;
	t->m->done += (u64)r;
	t->seen = true;
	if (run && run->rights && s.off == 0) {
		if (t->peek) {
			t->rights = unix_rights_copy(run->rights);
		} else {
			unix_notinflight(u->sk.ns, run->rights);
			t->rights = TAKE(run->rights);
		}
	}
	if (t->peek) {
		t->skip += (u32)r;
	} else {
		if (run)
			use_run(u, (u32)r);
		ring_drop(&u->ring, (u32)r);
		unix_account(u, -r);
	}
	if (r < (long)n)
		return -EFAULT;
	/* Bytes that follow descriptors are for another call. */
	return !whole || t->rights ? 0 : uiter_count(t->m->it) > 0;
}

static long try_recv(void *arg) NO_LOCK_ANALYSIS
{
	struct recv_try *t = arg;
	struct unix_sock *u = t->u, *peer;
	u32 limit, before;
	u64 done = t->m->done;
	long r;

again:
	if (t->scm_held)
		mutex_lock(&u->sk.ns->scm_lock);
	mutex_lock(&u->q_lock);
	peer = u->peer;
	limit = peer ? unix_sndbuf(peer) : 0;
	before = unix_stream_used(u);
	do
		r = drain(t);
	while (r == 1);
	if ((u64)before * 4 > limit && (u64)unix_stream_used(u) * 4 <= limit)
		t->room = true;
	if (peer && unlikely(atomic_load_explicit(&peer->squeezed, memory_order_relaxed)) &&
	    atomic_exchange(&peer->squeezed, false))
		t->room = true;
	mutex_unlock(&u->q_lock);
	if (t->scm_held)
		mutex_unlock(&u->sk.ns->scm_lock);
	if (r == -ESTALE) {
		t->scm_held = true;
		goto again;
	}
	if (t->room && peer) {
		t->room = false;
		sock_wake_writers(&peer->sk);
	}
	if (u->sk.opts.peek_off >= 0 && t->m->done != done) {
		s64 moved = (s64)(t->m->done - done);

		mutex_lock(&u->sk.lock);
		if (t->peek)
			u->sk.opts.peek_off = (s32)MIN(u->sk.opts.peek_off + moved, (s64)INT32_MAX);
		else
			u->sk.opts.peek_off = (s32)MAX(u->sk.opts.peek_off - moved, (s64)0);
		mutex_unlock(&u->sk.lock);
	}
	return r;
}

static void free_lost(struct unix_rights *r)
{
	while (r) {
		struct unix_rights *next = r->next;

		unix_rights_free(r);
		r = next;
	}
}

/* MSG_OOB: never waits, and takes nothing but the byte. What came with it stays where it was. */
static long recv_urgent(struct unix_sock *u, struct sockmsg *m)
{
	struct unix_run *run;
	u32 at;
	long r;

	GUARD(&u->q_lock);
	if (u->sk.opts.oobinline || !u->urgent)
		return -EINVAL;
	run = urgent_run(u, &at);
	if (!(m->flags & MSG_PEEK))
		not_urgent(u, run, UNIX_MARK);
	if (uiter_count(m->it) == 0)
		return -EFAULT;
	r = ring_copy(&u->ring, at, m->it, 1);
	if (r < 1)
		return -EFAULT;
	m->out_flags |= MSG_OOB;
	m->done += 1;
	return 1;
}

long unix_stream_recv(struct sock *sk, struct ctx *c, struct sockmsg *m)
{
	struct unix_sock *u = unix_of(sk);
	u64 total = m->done + uiter_count(m->it);
	struct recv_try t = {.u = u, .m = m, .peek = (m->flags & MSG_PEEK) != 0};
	long r;

	if (READ_ONCE(u->state) != UNIX_CONNECTED)
		return -EINVAL;
	if (m->flags & MSG_OOB)
		return recv_urgent(u, m);
	t.target = m->flags & MSG_WAITALL ? total : MIN(total, (u64)sk->opts.rcvlowat);
	t.target = MAX(t.target, 1ull);
	if (t.peek) {
		/* What an earlier entry looked at is still there. */
		t.skip = (u32)m->done;
		if (sk->opts.peek_off > 0)
			t.skip = (u32)sk->opts.peek_off;
		t.base = t.skip - (u32)MIN(m->done, (u64)t.skip);
	}
	r = sock_block(c, &sk->rwait, sk->opts.rcvtimeo, (m->flags & MSG_DONTWAIT) != 0, try_recv,
	               &t);
	free_lost(t.lost);
	if (sock_interrupted(r) && !t.rights)
		return r;
	if (m->done == 0 && r < 0)
		return r;
	if (m->want_name && (t.seen || m->done > 0) && u->peer)
		m->name_len = u->peer->addr_len ? unix_put_name(u->peer, &m->name) : 0;
	if (t.seen || m->done > 0)
		unix_scm_deliver(u, c, m, &t.cred, t.rights);
	return (long)m->done;
}
