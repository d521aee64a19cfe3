/*
 * The sentry's way to guest memory. Under the shared lock a page that is present is copied from or
 * to directly; anything else takes the lock exclusively and makes the page present as a guest fault
 * would.
 */
#include "sentry/mm/guard.h"
#include "sentry/mm/mm_impl.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* Longest copy under the exclusive lock. */
#define SLOW_MAX (64 * KIB)

/* What this thread looked up last: runs of the memory file, whose place in the sentry never
 * changes. Good while the mm has not been edited since. */
struct span_cache {
	u64 serial, edits;
	u64 start, end;
	u8 *base; /* of start */
	bool writable;
};
#define SPAN_CACHES 8u
static __thread struct span_cache tls_spans[SPAN_CACHES];

static struct span_cache *span_slot(u64 addr)
{
	return &tls_spans[(addr >> 21 ^ addr >> 27) % SPAN_CACHES];
}

static void remember(struct span_cache *s, const struct mm *mm, const struct vma *v,
                     const struct pma *p)
{
	struct memfile *mf = memfile_of(p->mf);

	if (!mf || !vma_allows(v, ACCESS_READ))
		return;
	s->serial = mm->serial;
	s->edits = mm->edits;
	s->start = MAX(v->start, p->start);
	s->end = MIN(v->end, p->end);
	s->base = (u8 *)memfile_at(mf, p->off) + (s->start - p->start);
	s->writable = !pma_readonly(p) && vma_allows(v, ACCESS_WRITE);
}

/* Whether an access may go on; force as ptrace: shared memory keeps its protection. */
static bool allowed(const struct vma *v, u32 access, u32 flags)
{
	if (vma_allows(v, access))
		return true;
	return flags & MM_FORCE && (!(access & ACCESS_WRITE) || !(v->flags & VMA_SHARED));
}

/* -EAGAIN: needs the exclusive lock. */
static int span_shared(struct mm *mm, u64 addr, u32 access, u32 flags, void **ret_ptr, u64 *ret_len,
                       const struct pma **ret_p, const struct vma **ret_v)
{
	struct vma *v = vma_find(&mm->vmas, addr);
	struct pma *p = pma_find(&mm->pmas, addr);
	void *ptr;

	if (!v || !p || !allowed(v, access, flags) || (access & ACCESS_WRITE && pma_readonly(p)))
		return -EAGAIN;
	ptr = mm_pma_ptr(p, addr, ret_len);
	if (!ptr)
		return -EAGAIN;
	*ret_len = MIN(*ret_len, v->end - addr);
	*ret_ptr = ptr;
	*ret_p = p;
	*ret_v = v;
	return 0;
}

static int span_exclusive(struct mm *mm, struct ctx *c, u64 addr, u32 access, u32 flags,
                          void **ret_ptr, u64 *ret_len, const struct pma **ret_p,
                          const struct vma **ret_v)
{
	struct vma *v = mm_vma_for_locked(mm, c, addr);
	struct pma *p;
	void *ptr;
	int r;

	if (!v || !allowed(v, access, flags))
		return -EFAULT;
	r = mm_get_page_locked(mm, v, addr, access, &p);
	if (r < 0)
		return r == -ENOMEM ? -ENOMEM : -EFAULT;
	ptr = mm_pma_ptr(p, addr, ret_len);
	if (!ptr)
		return -EFAULT;
	*ret_len = MIN(*ret_len, v->end - addr);
	*ret_ptr = ptr;
	*ret_p = p;
	*ret_v = v;
	return 0;
}

/* Bytes not moved. */
static u64 move(void *ptr, void *buf, u64 len, enum mm_op op)
{
	switch (op) {
	case MM_READ:
		return guard_copy(buf, ptr, len);
	case MM_WRITE:
		return guard_copy(ptr, buf, len);
	case MM_ZERO:
		return guard_zero(ptr, len);
	}
	return len;
}

long mm_copy(struct mm *mm, struct ctx *c, u64 addr, void *buf, u64 len, enum mm_op op, u32 flags)
{
	u32 access = op == MM_READ ? ACCESS_READ : ACCESS_WRITE;
	const struct pma *p;
	const struct vma *v;
	u64 done = 0, n, left;
	void *ptr;
	int r = 0;

	if (unlikely(!mm))
		return -EFAULT;
	rwlock_rdlock(&mm->lock);
	while (done < len) {
		struct span_cache *s = span_slot(addr + done);

		if (likely(s->serial == mm->serial && s->edits == mm->edits &&
		           addr + done >= s->start && addr + done < s->end &&
		           (op == MM_READ || s->writable))) {
			ptr = s->base + (addr + done - s->start);
			n = s->end - (addr + done);
		} else {
			r = span_shared(mm, addr + done, access, flags, &ptr, &n, &p, &v);
			if (r == 0)
				remember(s, mm, v, p);
		}
		if (unlikely(r == -EAGAIN)) {
			rwlock_unlock(&mm->lock);
			mm_lock(mm);
			r = span_exclusive(mm, c, addr + done, access, flags, &ptr, &n, &p, &v);
			if (r == 0) {
				n = MIN(n, MIN(len - done, SLOW_MAX));
				left = move(ptr, (u8 *)buf + done, n, op);
				done += n - left;
				r = left ? -EFAULT : 0;
			}
			mm_unlock(mm);
			rwlock_rdlock(&mm->lock);
			if (r < 0)
				break;
			continue;
		}
		n = MIN(n, len - done);
		left = move(ptr, (u8 *)buf + done, n, op);
		done += n - left;
		if (unlikely(left)) {
			r = -EFAULT;
			break;
		}
	}
	rwlock_unlock(&mm->lock);
	return done > 0 || len == 0 ? (long)done : r;
}

long mm_with_span(struct mm *mm, struct ctx *c, u64 addr, u32 access, u32 flags, u64 max,
                  mm_span_fn fn, void *arg)
{
	const struct pma *p;
	const struct vma *v;
	void *ptr;
	u64 n;
	long r;

	if (!mm)
		return -EFAULT;
	rwlock_rdlock(&mm->lock);
	r = span_shared(mm, addr, access, flags, &ptr, &n, &p, &v);
	if (r == 0)
		r = fn(arg, p, v, addr, ptr, MIN(n, max));
	rwlock_unlock(&mm->lock);
	if (r != -EAGAIN)
		return r;
	mm_lock(mm);
	r = span_exclusive(mm, c, addr, access, flags, &ptr, &n, &p, &v);
	if (r == 0)
		r = fn(arg, p, v, addr, ptr, MIN(n, max));
	mm_unlock(mm);
	return r == -ENOMEM ? -EFAULT : r;
}

long mm_access(struct mm *mm, u64 addr, void *buf, u64 len, bool write, bool force)
{
	return mm_copy(mm, NULL, addr, buf, len, write ? MM_WRITE : MM_READ, force ? MM_FORCE : 0);
}
