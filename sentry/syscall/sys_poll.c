/* poll, ppoll, select, pselect6: arguments, masks and timeouts around poll_wait. */
#include "sentry/kernel/signal.h"
#include "sentry/syscall/sysarg.h"
#include "sentry/syscall/sysmask.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/poll_wait.h"
#include "state/base/cleanup.h"

#include <string.h>
#include <sys/personality.h>

#define POLL_INLINE 32
#define FDS_MAX     (1u << 20) /* what RLIMIT_NOFILE can be at most */

int sysarg_temp_mask(struct task *t, uaddr_t mask, size_t size)
{
	sigset64_t set;
	int r;

	if (uaddr_null(mask))
		return 0;
	if (size != sizeof(set))
		return -EINVAL;
	r = user_get(&t->ctx, mask, &set);
	if (r < 0)
		return r;
	signal_set_temp_mask(t, set);
	return 0;
}

int sysarg_timeout(struct ctx *c, uaddr_t addr, struct deadline *ret)
{
	struct timespec ts;
	int r;

	if (uaddr_null(addr)) {
		*ret = ctx_deadline(c, -1);
		return 0;
	}
	r = user_get(c, addr, &ts);
	if (r < 0)
		return r;
	if (!timespec_valid(&ts))
		return -EINVAL;
	*ret = ctx_deadline(c, timespec_ns(&ts));
	return 0;
}

static s64 time_left(struct ctx *c, struct deadline d)
{
	s64 left = d.ns - clock_now(c->clocks, d.clock);

	return left > 0 ? left : 0;
}

/* ppoll and pselect say how much of the timeout is left; a timeout that can't be written to is not
 * worth failing a call that has done its work. */
static void put_timespec_left(struct ctx *c, uaddr_t addr, struct deadline d)
{
	struct timespec ts;

	if (uaddr_null(addr) || ctx_task(c)->personality & STICKY_TIMEOUTS)
		return;
	ts = ns_timespec(time_left(c, d));
	if (user_put(c, addr, &ts) < 0)
		return;
}

/* ---- poll ---- */

static u32 poll_fd(struct ctx *c, const struct pollfd *p, struct poll_entry *e)
{
	if (p->fd < 0)
		return 0;
	if (fd_get(c, p->fd, &e->file) < 0) {
		e->file = NULL;
		return POLLNVAL;
	}
	e->events = (u16)p->events;
	return 0;
}

static long do_poll(struct ctx *c, uaddr_t fds, u32 nfds, struct deadline d)
{
	struct pollfd pfd_inline[POLL_INLINE];
	struct poll_entry e_inline[POLL_INLINE];
	AUTO_FREE void *to_free = NULL;
	struct pollfd *pfd = pfd_inline;
	struct poll_entry *e = e_inline;
	long r, invalid = 0;

	if (nfds > FDS_MAX || nfds > c->rlimits[RLIMIT_NOFILE].rlim_cur)
		return -EINVAL;
	if (nfds > POLL_INLINE) {
		to_free = malloc(nfds * (sizeof(*e) + sizeof(*pfd)));
		if (!to_free)
			return -ENOMEM;
		e = to_free;
		pfd = (struct pollfd *)(e + nfds);
	}
	r = user_copy_in(c, pfd, fds, nfds * sizeof(*pfd));
	if (r < 0)
		return r;
	memset(e, 0, nfds * sizeof(*e));
	for (u32 i = 0; i < nfds; i++) {
		pfd[i].revents = (short)poll_fd(c, &pfd[i], &e[i]);
		if (pfd[i].revents)
			invalid++;
	}
	/* A bad descriptor is an answer: nothing to wait for. */
	if (invalid > 0)
		d = (struct deadline){CLOCK_MONOTONIC, 0};
	r = poll_wait(c, e, nfds, d);
	poll_entries_put(e, nfds);
	if (r < 0)
		return r;
	for (u32 i = 0; i < nfds; i++) {
		u16 revents = (u16)pfd[i].revents | (u16)e[i].revents;

		r = user_copy_out(
			c, uaddr_add(fds, i * sizeof(*pfd) + offsetof(struct pollfd, revents)),
			&revents, sizeof(revents));
		if (r < 0)
			return r;
		/* poll_wait's count is not known here any more; count what was written. */
		pfd[i].revents = (short)revents;
	}
	r = 0;
	for (u32 i = 0; i < nfds; i++)
		r += pfd[i].revents != 0;
	return r;
}

SYSCALL3(poll, uaddr_t, fds, u32, nfds, int, timeout_ms)
{
	struct ctx *c = &t->ctx;
	struct deadline d = ctx_deadline(c, timeout_ms < 0 ? -1 : timeout_ms * NSEC_PER_MSEC);
	long r = do_poll(c, fds, nfds, d);

	return r == -ERESTARTSYS ? -ERESTART_RESTARTBLOCK : r;
}

SYSCALL5(ppoll, uaddr_t, fds, u32, nfds, uaddr_t, ts, uaddr_t, mask, size_t, mask_size)
{
	struct ctx *c = &t->ctx;
	struct deadline d;
	long r = sysarg_timeout(c, ts, &d);

	if (r == 0)
		r = sysarg_temp_mask(t, mask, mask_size);
	if (r < 0)
		return r;
	r = do_poll(c, fds, nfds, d);
	put_timespec_left(c, ts, d);
	return r == -ERESTARTSYS ? -ERESTARTNOHAND : r;
}

/* ---- select ---- */

#define SELECT_IN  (EPOLLRDNORM | EPOLLRDBAND | EPOLLIN | EPOLLHUP | EPOLLERR)
#define SELECT_OUT (EPOLLWRBAND | EPOLLWRNORM | EPOLLOUT | EPOLLERR)
#define SELECT_EX  EPOLLPRI
#define WORD_BITS  64u

static const u32 select_bits[3] = {SELECT_IN, SELECT_OUT, SELECT_EX};

/* One select call: three bit sets in, three out, and an entry per descriptor that is in any. */
struct select_call {
	u32 n, words;
	u64 *in[3], *out[3];
	struct poll_entry *e;
	int *fd; /* of each entry */
	u32 n_entries;
};

static u32 wanted(const struct select_call *s, u32 fd)
{
	u32 events = 0;

	for (int k = 0; k < 3; k++)
		if (s->in[k][fd / WORD_BITS] >> (fd % WORD_BITS) & 1)
			events |= select_bits[k];
	return events;
}

static int select_collect(struct ctx *c, struct select_call *s)
{
	for (u32 w = 0; w < s->words; w++) {
		u64 any = s->in[0][w] | s->in[1][w] | s->in[2][w];

		for (u32 fd = w * WORD_BITS; any && fd < s->n; fd++, any >>= 1) {
			struct poll_entry *e = &s->e[s->n_entries];
			int r;

			if (!(any & 1))
				continue;
			r = fd_get(c, (int)fd, &e->file);
			if (r < 0)
				return -EBADF;
			e->events = wanted(s, fd);
			s->fd[s->n_entries++] = (int)fd;
		}
	}
	return 0;
}

static long select_result(struct select_call *s)
{
	long bits = 0;

	for (u32 i = 0; i < s->n_entries; i++) {
		u32 fd = (u32)s->fd[i];

		for (int k = 0; k < 3; k++) {
			if (!(s->in[k][fd / WORD_BITS] >> (fd % WORD_BITS) & 1) ||
			    !(s->e[i].revents & select_bits[k]))
				continue;
			s->out[k][fd / WORD_BITS] |= 1ull << (fd % WORD_BITS);
			bits++;
		}
	}
	return bits;
}

/*
 * EPOLLHUP and EPOLLERR come unasked from poll_wait, but a set that has no bit for them does not
 * end a select: only what select_result counts does.
 */
static long select_wait(struct ctx *c, struct select_call *s, struct deadline d)
{
	for (;;) {
		long r = poll_wait(c, s->e, s->n_entries, d);
		bool muted = false;

		if (r <= 0)
			return r;
		r = select_result(s);
		if (r > 0)
			return r;
		/* Those that are ready only for what nobody asked for are left out from here on. */
		for (u32 i = 0; i < s->n_entries; i++) {
			if (!s->e[i].revents)
				continue;
			obj_put(TAKE(s->e[i].file));
			muted = true;
		}
		if (!muted)
			return 0;
	}
}

static long do_select(struct ctx *c, int n, const uaddr_t set[3], struct deadline d)
{
	struct select_call s = {0};
	AUTO_FREE u64 *sets = NULL;
	AUTO_FREE struct poll_entry *e = NULL;
	AUTO_FREE int *fd = NULL;
	u64 bytes, limit = MIN(c->rlimits[RLIMIT_NOFILE].rlim_cur, (u64)FDS_MAX);
	long r = 0;

	if (n < 0)
		return -EINVAL;
	s.n = (u32)MIN((u64)n, limit);
	s.words = (s.n + WORD_BITS - 1) / WORD_BITS;
	bytes = s.words * sizeof(u64);
	sets = calloc(6, bytes ? bytes : 1);
	e = calloc(s.n + 1, sizeof(*e));
	fd = calloc(s.n + 1, sizeof(*fd));
	if (!sets || !e || !fd)
		return -ENOMEM;
	s.e = e;
	s.fd = fd;
	for (int k = 0; k < 3; k++) {
		s.in[k] = sets + k * s.words;
		s.out[k] = sets + (3 + k) * s.words;
		if (!uaddr_null(set[k])) {
			r = user_copy_in(c, s.in[k], set[k], bytes);
			if (r < 0)
				return r;
		}
	}
	r = select_collect(c, &s);
	if (r == 0)
		r = select_wait(c, &s, d);
	poll_entries_put(s.e, s.n_entries);
	if (r < 0)
		return r;
	for (int k = 0; k < 3; k++) {
		if (uaddr_null(set[k]))
			continue;
		if (user_copy_out(c, set[k], s.out[k], bytes) < 0)
			return -EFAULT;
	}
	return r;
}

SYSCALL5(select, int, n, uaddr_t, in, uaddr_t, out, uaddr_t, ex, uaddr_t, tv_addr)
{
	struct ctx *c = &t->ctx;
	const uaddr_t set[3] = {in, out, ex};
	struct deadline d;
	struct timeval tv;
	s64 left;
	long r;

	if (uaddr_null(tv_addr)) {
		d = ctx_deadline(c, -1);
	} else {
		struct timespec ts;

		r = user_get(c, tv_addr, &tv);
		if (r < 0)
			return r;
		/* Linux takes a tv_usec of a second and more, but nothing negative. */
		if (tv.tv_sec < 0 || tv.tv_usec < 0)
			return -EINVAL;
		ts.tv_sec = tv.tv_sec + tv.tv_usec / USEC_PER_SEC;
		ts.tv_nsec = tv.tv_usec % USEC_PER_SEC * NSEC_PER_USEC;
		d = ctx_deadline(c, timespec_ns(&ts));
	}
	r = do_select(c, n, set, d);
	if (!uaddr_null(tv_addr) && !(t->personality & STICKY_TIMEOUTS)) {
		left = time_left(c, d) / NSEC_PER_USEC;
		tv.tv_sec = left / USEC_PER_SEC;
		tv.tv_usec = left % USEC_PER_SEC;
		/* As for put_timespec_left. */
		if (user_put(c, tv_addr, &tv) < 0)
			return r == -ERESTARTSYS ? -ERESTARTNOHAND : r;
	}
	return r == -ERESTARTSYS ? -ERESTARTNOHAND : r;
}

SYSCALL6(pselect6, int, n, uaddr_t, in, uaddr_t, out, uaddr_t, ex, uaddr_t, ts, uaddr_t, sig)
{
	struct ctx *c = &t->ctx;
	const uaddr_t set[3] = {in, out, ex};
	struct {
		u64 mask, size;
	} arg = {0};
	struct deadline d;
	long r = 0;

	if (!uaddr_null(sig))
		r = user_get(c, sig, &arg);
	if (r == 0)
		r = sysarg_timeout(c, ts, &d);
	if (r == 0)
		r = sysarg_temp_mask(t, UADDR(arg.mask), arg.size);
	if (r < 0)
		return r;
	r = do_select(c, n, set, d);
	put_timespec_left(c, ts, d);
	return r == -ERESTARTSYS ? -ERESTARTNOHAND : r;
}
