#include "sentry/net/filter.h"

#include "proto/net.pb-c.h"
#include "sentry/net/sockmsg.h"
#include "sentry/vfs/fd_table.h"
#include "state/base/bug.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <net/if_arp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define ETH_HEADER 14u
#define LO_IFINDEX 1u

/* ---- the object ---- */

/* Any load; of the ancillary words those that there are. */
static bool may(const struct sock_filter *in)
{
	if (BPF_CLASS(in->code) != BPF_LD || BPF_MODE(in->code) != BPF_ABS ||
	    in->k < (u32)SKF_AD_OFF)
		return true;
	return in->k % 4 == 0 && in->k < (u32)(SKF_AD_OFF + SKF_AD_MAX);
}

static int sock_bpf_save_insns(struct saver *s, const struct sock_bpf *f, Sentry__SockBpf *m)
{
	m->n_insns = f->n_insns;
	m->insns = saver_alloc(s, f->n_insns * sizeof(*m->insns));
	for (u32 i = 0; i < f->n_insns; i++)
		m->insns[i] = cbpf_pack(&f->insns[i]);
	return 0;
}

static int sock_bpf_load_insns(struct loader *l, struct sock_bpf *f, const Sentry__SockBpf *m)
{
	if (m->n_insns == 0 || m->n_insns > BPF_MAXINSNS)
		return loader_range(l, "insns");
	f->insns = calloc(m->n_insns, sizeof(*f->insns));
	BUG_ON(!f->insns);
	f->n_insns = (u32)m->n_insns;
	for (u32 i = 0; i < f->n_insns; i++)
		f->insns[i] = cbpf_unpack(m->insns[i]);
	return cbpf_check(f->insns, f->n_insns, may) < 0 ? loader_error(l, "bad socket filter") : 0;
}

static void sock_bpf_sample_insns(struct sampler *sp, struct sock_bpf *f)
{
	(void)sp;
	f->insns = calloc(1, sizeof(*f->insns));
	BUG_ON(!f->insns);
	f->insns[0] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 7);
	f->n_insns = 1;
}

static void sock_bpf_destroy(void *p)
{
	free(((struct sock_bpf *)p)->insns);
}

#define SOCK_BPF_FIELDS(F)         \
	F(HDR, obj)                \
	F(CUSTOM, insns, sock_bpf) \
	F(SKIP, n_insns) /* insns */
OBJECT_TYPE(sock_bpf, Sentry__SockBpf, sentry__sock_bpf__descriptor, SOCK_BPF_FIELDS,
            .destroy = sock_bpf_destroy);

/* ---- running ---- */

static bool ancillary(const struct filter_packet *p, u32 which, u32 *ret)
{
	int cpu;

	*ret = 0;
	switch (which) {
	case SKF_AD_PROTOCOL:
		*ret = p->protocol;
		break;
	case SKF_AD_PKTTYPE:
		*ret = p->kind;
		break;
	case SKF_AD_IFINDEX:
		*ret = LO_IFINDEX;
		break;
	case SKF_AD_HATYPE:
		*ret = ARPHRD_LOOPBACK;
		break;
	case SKF_AD_RANDOM:
		if (getrandom(ret, sizeof(*ret), GRND_NONBLOCK) != sizeof(*ret))
			*ret = 0;
		break;
	case SKF_AD_CPU:
		cpu = sched_getcpu();
		*ret = cpu < 0 ? 0 : (u32)cpu;
		break;
	case SKF_AD_PAY_OFFSET:
		*ret = p->start;
		break;
	default: /* marks, queues, tags, hashes: there are none */
		break;
	}
	return true;
}

static bool load(const struct cbpf_data *d, u32 off, u32 size, u32 x, u32 *ret)
{
	const struct filter_packet *p = d->p;
	u32 net = p->has_link ? ETH_HEADER : 0, v = 0;
	u64 at;

	(void)x;
	if (off >= (u32)SKF_AD_OFF)
		return ancillary(p, off - (u32)SKF_AD_OFF, ret);
	if (off >= (u32)SKF_NET_OFF)
		at = (u64)net + (off - (u32)SKF_NET_OFF);
	else if (off >= (u32)SKF_LL_OFF && p->has_link)
		at = off - (u32)SKF_LL_OFF;
	else if ((s32)off >= 0)
		at = (u64)p->start + off;
	else
		return false;
	if (at + size > p->len)
		return false;
	for (u32 i = 0; i < size; i++)
		v = v << 8 | p->bytes[at + i];
	*ret = v;
	return true;
}

bool filter_run_program(const struct sock_bpf *f, const struct filter_packet *p, u32 *ret)
{
	struct cbpf_data d = {.load = load, .p = p, .len = p->len - p->start};

	return cbpf_run(f->insns, f->n_insns, &d, ret);
}

u32 filter_run(const struct sock *sk, const struct filter_packet *p)
{
	const struct sock_bpf *f = sk->filter;
	u32 keep;

	if (!f)
		return p->len - p->start;
	return filter_run_program(f, p, &keep) ? MIN(keep, p->len - p->start) : 0;
}

/* ---- options ---- */

static int replace(struct sock *sk, struct sock_bpf *f)
{
	struct sock_bpf *old;

	mutex_lock(&sk->lock);
	if (sk->opts.lock_filter) {
		mutex_unlock(&sk->lock);
		sock_bpf_put(f);
		return -EPERM;
	}
	old = sk->filter;
	WRITE_ONCE(sk->filter, f);
	mutex_unlock(&sk->lock);
	sock_bpf_put(old);
	return !f && !old ? -ENOENT : 0;
}

int filter_program(struct sock *sk, struct ctx *c, uaddr_t val, u32 len, struct sock_bpf **ret)
{
	AUTO(sock_bpf) f = NULL;
	struct sock_fprog prog;
	int r;

	if (len != sizeof(prog))
		return -EINVAL;
	r = user_get(c, val, &prog);
	if (r < 0)
		return r;
	if (sk->opts.lock_filter)
		return -EPERM;
	if (!prog.filter || prog.len == 0 || prog.len > BPF_MAXINSNS)
		return -EINVAL;
	f = obj_new(sock_bpf);
	f->insns = calloc(prog.len, sizeof(*f->insns));
	BUG_ON(!f->insns);
	f->n_insns = prog.len;
	r = user_copy_in(c, f->insns, UADDR((uintptr_t)prog.filter), prog.len * sizeof(*f->insns));
	if (r == 0)
		r = cbpf_check(f->insns, f->n_insns, may);
	if (r < 0)
		return r;
	*ret = TAKE(f);
	return 0;
}

static int attach(struct sock *sk, struct ctx *c, uaddr_t val, u32 len)
{
	struct sock_bpf *f;
	int r = filter_program(sk, c, val, len, &f);

	return r < 0 ? r : replace(sk, f);
}

/* What the descriptor is instead. */
int filter_no_program(struct sock *sk, struct ctx *c, uaddr_t val, u32 len)
{
	AUTO(file) f = NULL;
	s32 fd;
	int r;

	if (len != sizeof(fd))
		return -EINVAL;
	r = user_copy_in(c, &fd, val, sizeof(fd));
	if (r < 0)
		return r;
	if (sk->opts.lock_filter)
		return -EPERM;
	r = fd_get(c, fd, &f);
	return r < 0 ? r : -EINVAL;
}

static int lock_filter(struct sock *sk, s32 v)
{
	GUARD(&sk->lock);
	if (sk->opts.lock_filter && !v)
		return -EPERM;
	sk->opts.lock_filter = v != 0;
	return 0;
}

int filter_setsockopt(struct sock *sk, struct ctx *c, int name, uaddr_t val, u32 len)
{
	s32 v;
	int r = sockopt_get_int(c, val, len, &v);

	if (r < 0)
		return r;
	switch (name) {
	case SO_ATTACH_FILTER:
		return attach(sk, c, val, len);
	case SO_ATTACH_BPF:
		return filter_no_program(sk, c, val, len);
	case SO_LOCK_FILTER:
		return lock_filter(sk, v);
	default:
		return replace(sk, NULL);
	}
}

int filter_getsockopt(struct sock *sk, struct ctx *c, uaddr_t val, uaddr_t ulen)
{
	AUTO(sock_bpf) f = NULL;
	u32 len;
	int r = user_get_u32(c, ulen, &len);

	if (r < 0)
		return r;
	if ((s32)len < 0)
		return -EINVAL;
	{
		GUARD(&sk->lock);
		f = sock_bpf_get(sk->filter);
	}
	if (!f)
		return user_put_u32(c, ulen, 0);
	/* The length counts instructions; none asks how many there are. */
	if (len && len < f->n_insns)
		return -EINVAL;
	if (len)
		r = user_copy_out(c, val, f->insns, f->n_insns * sizeof(*f->insns));
	return r < 0 ? r : user_put_u32(c, ulen, f->n_insns);
}
