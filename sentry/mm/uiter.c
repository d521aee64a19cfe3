/* Cursors over the memory that a transfer reads from or writes to. */
#include "sentry/mm/guard.h"
#include "sentry/mm/mm_impl.h"
#include "sentry/mm/usercopy.h"
#include "state/base/bug.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RW_COUNT  (0x7fffffffull & ~PAGE_MASK)
#define IOV_COUNT_MAX 1024u
/* No transfer begins with a vector that reaches past what any program can have. */
#define USER_LIMIT ((1ull << 47) - PAGE_SIZE)

void uiter_init(struct uiter *it, struct ctx *c, uaddr_t a, u64 len)
{
	*it = (struct uiter){.c = c, .n = 1, .count = MIN(len, MAX_RW_COUNT)};
	it->iov = it->inline_iov;
	it->iov[0] = (struct iovec){(void *)(uintptr_t)a.a, it->count};
}

void uiter_init_kernel(struct uiter *it, void *buf, u64 len)
{
	*it = (struct uiter){.n = 1, .count = len};
	it->iov = it->inline_iov;
	it->iov[0] = (struct iovec){buf, len};
}

int uiter_init_iov(struct uiter *it, struct ctx *c, uaddr_t iov, u64 n)
{
	u64 total = 0;
	int r;

	if (n > IOV_COUNT_MAX)
		return -EINVAL;
	*it = (struct uiter){.c = c, .n = (unsigned)n};
	it->iov = it->inline_iov;
	if (n > ARRAY_SIZE(it->inline_iov)) {
		it->iov = malloc(n * sizeof(*it->iov));
		if (!it->iov) {
			*it = (struct uiter){0};
			return -ENOMEM;
		}
	}
	r = user_copy_in(c, it->iov, iov, n * sizeof(*it->iov));
	for (u64 i = 0; r == 0 && i < n; i++) {
		u64 len = it->iov[i].iov_len;

		if ((s64)len < 0 || (u64)(uintptr_t)it->iov[i].iov_base > USER_LIMIT - len) {
			r = (s64)len < 0 ? -EINVAL : -EFAULT;
			break;
		}
		it->iov[i].iov_len = MIN(len, MAX_RW_COUNT - total);
		total += it->iov[i].iov_len;
	}
	if (r < 0) {
		uiter_finish(it);
		return r;
	}
	it->count = total;
	return 0;
}

void uiter_finish(struct uiter *it)
{
	if (it->iov && it->iov != it->inline_iov)
		free(it->iov);
	it->iov = NULL;
	it->n = 0;
	it->count = 0;
}

/* The iovecs are kept whole from the first on (skip counts through all of them), so that a cursor
 * can go back: the one that holds the position, and the offset in it. */
static struct iovec *current(const struct uiter *it, u64 *ret_off)
{
	u64 off = it->skip;
	unsigned i;

	for (i = 0; i + 1 < it->n && off >= it->iov[i].iov_len; i++)
		off -= it->iov[i].iov_len;
	*ret_off = off;
	return &it->iov[i];
}

void uiter_advance(struct uiter *it, u64 n)
{
	BUG_ON(n > it->count);
	it->skip += n;
	it->count -= n;
}

void uiter_revert(struct uiter *it, u64 n)
{
	BUG_ON(n > it->skip);
	it->skip -= n;
	it->count += n;
}

void uiter_truncate(struct uiter *it, u64 n)
{
	it->count = MIN(it->count, n);
}

static long transfer(struct uiter *it, void *buf, size_t len, enum mm_op op)
{
	u64 done = 0;
	long r = 0;

	len = MIN(len, it->count);
	while (done < len) {
		u64 off;
		struct iovec *v = current(it, &off);
		u64 n = MIN(v->iov_len - off, len - done);
		u8 *at = (u8 *)v->iov_base + off, *from = op == MM_ZERO ? NULL : (u8 *)buf + done;

		if (!it->c) {
			/* The other side may be memory that is not there. */
			u64 left = op == MM_READ    ? guard_copy(from, at, n)
			           : op == MM_WRITE ? guard_copy(at, from, n)
			                            : guard_zero(at, n);

			r = left < n ? (long)(n - left) : -EFAULT;
		} else {
			r = mm_copy(it->c->mm, it->c, (u64)(uintptr_t)at, from, n, op, 0);
		}
		if (r < 0)
			break;
		done += (u64)r;
		uiter_advance(it, (u64)r);
		if ((u64)r < n) {
			r = -EFAULT;
			break;
		}
	}
	if (done > 0 || len == 0)
		return (long)done;
	return -EFAULT;
}

long uiter_copy_out(struct uiter *it, const void *src, size_t len)
{
	return transfer(it, (void *)(uintptr_t)src, len, MM_WRITE);
}

long uiter_copy_in(struct uiter *it, void *dst, size_t len)
{
	return transfer(it, dst, len, MM_READ);
}

long uiter_zero(struct uiter *it, size_t len)
{
	return transfer(it, NULL, len, MM_ZERO);
}

struct uiter_pins {
	unsigned n, max;
	struct pin {
		struct mapfile *mf;
		u64 off, len;
	} pins[];
};

struct pin_op {
	struct uiter_pins *pins;
	struct iovec *iov;
};

static long pin_span(void *arg, const struct pma *p, const struct vma *v, u64 addr, void *ptr,
                     u64 len)
{
	struct pin_op *op = arg;
	u64 off = p->off + (addr - p->start), page = PAGE_DOWN(off);

	op->pins->pins[op->pins->n] =
		(struct pin){.mf = p->mf, .off = page, .len = PAGE_UP(off + len) - page};
	mapfile_get(p->mf);
	mapfile_get_pages(p->mf, page, PAGE_UP(off + len) - page);
	*op->iov = (struct iovec){ptr, len};
	op->pins->n++;
	return (long)len;
}

int uiter_pin(struct uiter *it, u64 len, u32 access, struct iovec *iov, unsigned n,
              struct uiter_pins **ret)
{
	struct uiter_pins *pins = malloc(sizeof(*pins) + n * sizeof(pins->pins[0]));
	struct uiter at = *it;
	unsigned filled = 0;
	u64 done = 0;

	if (!pins)
		return -ENOMEM;
	pins->n = 0;
	if (it->iov == it->inline_iov)
		at.iov = at.inline_iov;
	len = MIN(len, it->count);
	while (done < len && filled < n) {
		u64 off, want;
		struct iovec *v = current(&at, &off);
		struct pin_op op = {.pins = pins, .iov = &iov[filled]};
		long r;

		want = MIN(v->iov_len - off, len - done);
		if (it->c) {
			r = mm_with_span(it->c->mm, it->c, (u64)(uintptr_t)v->iov_base + off,
			                 access, 0, want, pin_span, &op);
			if (r < 0)
				break;
		} else {
			iov[filled] = (struct iovec){(u8 *)v->iov_base + off, want};
			r = (long)want;
		}
		filled++;
		done += (u64)r;
		uiter_advance(&at, (u64)r);
	}
	if (filled == 0 && len > 0) {
		free(pins);
		return -EFAULT;
	}
	*ret = pins;
	return (int)filled;
}

void uiter_unpin(struct uiter_pins *pins)
{
	if (!pins)
		return;
	for (unsigned i = 0; i < pins->n; i++) {
		mapfile_put_pages(pins->pins[i].mf, pins->pins[i].off, pins->pins[i].len);
		mapfile_put(pins->pins[i].mf);
	}
	free(pins);
}
