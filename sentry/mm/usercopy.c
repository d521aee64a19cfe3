#include "sentry/mm/usercopy.h"
#include "sentry/mm/guard.h"
#include "sentry/mm/mm_impl.h"

#include <errno.h>

int usercopy_init(void)
{
	return guard_init();
}

int user_copy_in(struct ctx *c, void *dst, uaddr_t src, size_t len)
{
	return mm_copy(c->mm, c, src.a, dst, len, MM_READ, 0) == (long)len ? 0 : -EFAULT;
}

int user_copy_out(struct ctx *c, uaddr_t dst, const void *src, size_t len)
{
	return mm_copy(c->mm, c, dst.a, (void *)(uintptr_t)src, len, MM_WRITE, 0) == (long)len
	               ? 0
	               : -EFAULT;
}

int user_zero(struct ctx *c, uaddr_t dst, size_t len)
{
	return mm_copy(c->mm, c, dst.a, NULL, len, MM_ZERO, 0) == (long)len ? 0 : -EFAULT;
}

long user_copy_in_some(struct ctx *c, void *dst, uaddr_t src, size_t len)
{
	long r = mm_copy(c->mm, c, src.a, dst, len, MM_READ, 0);

	return r == -ENOMEM ? -EFAULT : r;
}

struct str_copy {
	char *buf;
	bool found;
};

static long str_span(void *arg, const struct pma *p, const struct vma *v, u64 addr, void *ptr,
                     u64 len)
{
	struct str_copy *s = arg;
	bool fault;
	u64 left = guard_str(s->buf, ptr, len, &s->found, &fault);

	return fault ? -EFAULT : (long)(len - left);
}

long user_get_str(struct ctx *c, uaddr_t src, char *buf, size_t size)
{
	struct str_copy s = {.buf = buf};
	size_t done = 0;

	while (done < size) {
		long n = mm_with_span(c->mm, c, src.a + done, ACCESS_READ, 0, size - done, str_span,
		                      &s);

		if (n < 0)
			return n;
		done += (size_t)n;
		if (s.found)
			return (long)done - 1;
		s.buf = buf + done;
	}
	return -ENAMETOOLONG;
}

struct atomic_op {
	u32 old, new, found;
	bool swap;
};

static long atomic_span(void *arg, const struct pma *p, const struct vma *v, u64 addr, void *ptr,
                        u64 len)
{
	struct atomic_op *op = arg;

	return op->swap ? guard_cmpxchg_u32(ptr, op->old, op->new, &op->found)
	                : guard_load_u32(ptr, &op->found);
}

int user_load_u32(struct ctx *c, uaddr_t a, u32 *ret_old)
{
	struct atomic_op op = {.swap = false};
	long r;

	if (!IS_ALIGNED(a.a, sizeof(u32)))
		return -EINVAL;
	r = mm_with_span(c->mm, c, a.a, ACCESS_READ, 0, sizeof(u32), atomic_span, &op);
	if (r < 0)
		return (int)r;
	*ret_old = op.found;
	return 0;
}

int user_cmpxchg_u32(struct ctx *c, uaddr_t a, u32 old, u32 new, u32 *ret_old)
{
	struct atomic_op op = {.old = old, .new = new, .swap = true};
	long r;

	if (!IS_ALIGNED(a.a, sizeof(u32)))
		return -EINVAL;
	r = mm_with_span(c->mm, c, a.a, ACCESS_READ | ACCESS_WRITE, 0, sizeof(u32), atomic_span,
	                 &op);
	if (r < 0)
		return (int)r;
	*ret_old = op.found;
	return 0;
}

int user_futex_key(struct ctx *c, uaddr_t a, bool private, struct futex_key *ret)
{
	struct vma *v;
	u32 val;

	if (!IS_ALIGNED(a.a, sizeof(u32)))
		return -EINVAL;
	if (!c->mm || a.a >= mm_top(c->mm))
		return -EFAULT;
	*ret = (struct futex_key){c->mm, a.a};
	if (private)
		return 0;
	/* There must be a page to share: a file may have been cut below a mapping of it. */
	if (user_load_u32(c, a, &val) < 0)
		return -EFAULT;
	GUARD_READ(&c->mm->lock);
	v = vma_find(&c->mm->vmas, a.a);
	if (!v || !(v->prot & 7))
		return -EFAULT;
	if (v->flags & VMA_SHARED)
		*ret = (struct futex_key){v->mappable, v->off + (a.a - v->start)};
	else
		/* The two kinds of call do not meet there either. */
		ret->off |= 1;
	return 0;
}
