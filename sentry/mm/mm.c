/* Address spaces as objects: making, forking, ending them; and the small things they remember. */
#include "sentry/mm/mm.h"
#include "proto/mm.pb-c.h"
#include "sentry/mm/mm_impl.h"
#include "sentry/mm/mm_save.h"
#include "state/base/bug.h"
#include "state/fields.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static void mm_init(void *o)
{
	static _Atomic u64 next_serial = 1;
	struct mm *mm = o;

	rwlock_init(&mm->lock, RANK_MM);
	vma_tree_init(&mm->vmas);
	pma_tree_init(&mm->pmas);
	limbo_init(&mm->limbo);
	mutex_init(&mm->count.lock, RANK_LEAF);
	mm->count.until = INT64_MIN;
	mm->serial = atomic_fetch_add(&next_serial, 1);
}

/* Joins the kernel's list, which file truncation walks. */
static void join(struct mm *mm, struct kernel *k)
{
	mm->kernel = k;
	if (!k)
		return;
	GUARD(&k->mms_lock);
	TAILQ_INSERT_TAIL(&k->mms, mm, mms_link);
}

static void drop_everything(struct mm *mm)
{
	struct vma *v, *next;

	mm_drop_aspace(mm);
	mm_lock(mm);
	pma_drop_range(&mm->pmas, 0, UINT64_MAX);
	for (v = vma_from(&mm->vmas, 0); v; v = next) {
		next = vma_next(v);
		mm_account(mm, v, -1);
		vma_unlink(&mm->vmas, v);
	}
	mm->edits++;
	mm_unlock(mm);
}

static void exe_executed(struct mapid *exe, bool begins)
{
	if (exe && mapid_ops_of(exe) && mapid_ops_of(exe)->executed)
		mapid_ops_of(exe)->executed(exe, begins);
}

static void mm_destroy(void *o)
{
	struct mm *mm = o;

	if (mm->kernel) {
		GUARD(&mm->kernel->mms_lock);
		TAILQ_REMOVE(&mm->kernel->mms, mm, mms_link);
	}
	drop_everything(mm);
	exe_executed(mm->exe, false);
	obj_put(mm->exe);
}

static int mm_after_load(struct loader *l, void *o)
{
	const struct kernel_load *kl = loader_user(l);

	exe_executed(((struct mm *)o)->exe, true);
	return mm_check_loaded(l, o, kl) < 0 ? -EBADMSG : (join(o, kl ? kl->kernel : NULL), 0);
}

#define LAYOUT_FIELDS(F)    \
	F(VAL, start_code)  \
	F(VAL, end_code)    \
	F(VAL, start_data)  \
	F(VAL, end_data)    \
	F(VAL, start_stack) \
	F(VAL, arg_start)   \
	F(VAL, arg_end)     \
	F(VAL, env_start)   \
	F(VAL, env_end)     \
	F(VAL, vdso)
STRUCT_FIELDS(mm_layout, Sentry__MmLayout, sentry__mm_layout__descriptor, LAYOUT_FIELDS);

#define MM_FIELDS(F)                                             \
	F(HDR, obj)                                              \
	F(SKIP, mms_link) /* joined again in after_load */       \
	F(SKIP, kernel)   /* handed over at load */              \
	F(SKIP, lock)                                            \
	F(CUSTOM, vmas, mm)                                      \
	F(CUSTOM, pmas, mm)                                      \
	F(SKIP, aspace) /* a vehicle */                          \
	F(SKIP, users)  /* counted by the tasks */               \
	F(SKIP, serial) /* of this process only */               \
	F(SKIP, edits)                                           \
	F(SUB, layout, mm_layout)                                \
	F(VAL, brk_start)                                        \
	F(VAL, brk_end)                                          \
	F(VAL, mmap_base)                                        \
	F(VAL, dumpable)                                         \
	F(VAL, lock_future)                                      \
	F(ATOMIC, membarrier)                                    \
	F(ATOMIC, thp_disabled)                                  \
	F(ARRAY, auxv)                                           \
	F(REF, exe, mapid)                                       \
	F(SKIP, vm_total) /* summed up again from the vmas */    \
	F(SKIP, vm_data)                                         \
	F(SKIP, vm_locked)                                       \
	F(VAL, vm_peak)                                          \
	F(SKIP, alone)    /* the next host may have more room */ \
	F(SKIP, copy_end) /* guesses about the next fault */     \
	F(SKIP, copy_size)                                       \
	F(SKIP, limbo) /* nothing of the guest's */              \
	F(SKIP, count) /* counted again */

OBJECT_TYPE(mm, Sentry__Mm, sentry__mm__descriptor, MM_FIELDS, .init = mm_init,
            .destroy = mm_destroy, .after_load = mm_after_load, .sample = mm_sample);

int mm_create(struct kernel *k, struct mm **ret)
{
	struct mm *mm = obj_new(mm);

	mm->dumpable = 1;
	join(mm, k);
	mm->mmap_base = mm_top(mm);
	*ret = mm;
	return 0;
}

void mm_account(struct mm *mm, const struct vma *v, int sign)
{
	u64 len = (v->end - v->start) * (u64)(s64)sign;

	mm->vm_total += len;
	mm->vm_peak = MAX(mm->vm_peak, mm->vm_total);
	if (v->prot & PROT_WRITE && !(v->flags & (VMA_SHARED | VMA_GROWSDOWN)))
		mm->vm_data += len;
	if (v->flags & VMA_LOCKED)
		mm->vm_locked += len;
}

bool mm_range_valid(const struct mm *mm, u64 start, u64 len)
{
	return IS_ALIGNED(start, PAGE_SIZE) && len > 0 && range_ok(start, len, mm_top(mm));
}

static bool all_owned(struct mm *mm, u64 lo, u64 hi)
{
	struct pma *p;

	for (p = pma_from(&mm->pmas, lo); p && p->start < hi; p = pma_next(p))
		if (!p->owned)
			return false;
	return true;
}

/* Pages that only this guest writes to may stay within its reach for a little: they are not reused
 * before. */
static int drop_owned(struct mm *mm, struct aspace *as, u64 lo, u64 hi)
{
	struct pma *first = pma_from(&mm->pmas, lo), *last;
	u64 ticket;
	int r = aspace_unmap_soon(as, lo, hi - lo, &ticket);

	if (r < 0)
		return r;
	if (ticket == 0) {
		pma_drop_range(&mm->pmas, lo, hi);
		return 0;
	}
	if (first->start < lo)
		pma_split(&mm->pmas, first, lo);
	last = pma_find(&mm->pmas, hi - 1);
	if (last && last->end > hi)
		pma_split(&mm->pmas, last, hi);
	limbo_take(&mm->limbo, &mm->pmas, lo, hi, ticket);
	return 0;
}

void mm_drop_pages_locked(struct mm *mm, u64 start, u64 end, bool owned_too)
{
	struct aspace *as = atomic_load_explicit(&mm->aspace, memory_order_acquire);
	struct pma *p, *next;
	u64 lo, hi;

	if (!pma_span(&mm->pmas, start, end, &lo, &hi))
		return;
	mm->edits++;
	if (as)
		limbo_reap(&mm->limbo, as);
	if (as && owned_too && all_owned(mm, lo, hi) && drop_owned(mm, as, lo, hi) == 0)
		return;
	/* Nobody may reach a page any more when it becomes free. A dead stub reaches nothing. */
	if (as) {
		int r = aspace_unmap(as, lo, hi - lo);

		BUG_ON(r < 0 && r != -ESRCH);
	}
	if (owned_too) {
		pma_drop_range(&mm->pmas, lo, hi);
		return;
	}
	for (p = pma_from(&mm->pmas, lo); p && p->start < hi; p = next) {
		if (p->owned) {
			next = pma_next(p);
			continue;
		}
		p = pma_isolate(&mm->pmas, p, MAX(lo, p->start), MIN(hi, p->end));
		next = pma_next(p);
		pma_drop(&mm->pmas, p);
	}
}

void mm_zap_locked(struct mm *mm, u64 start, u64 end)
{
	struct vma *v, *next;

	mm_drop_pages_locked(mm, start, end, true);
	for (v = vma_from(&mm->vmas, start); v && v->start < end; v = next) {
		BUG_ON(v->start < start || v->end > end);
		next = vma_next(v);
		mm_account(mm, v, -1);
		vma_unlink(&mm->vmas, v);
	}
	mm->edits++;
}

int mm_cut_locked(struct mm *mm, u64 addr)
{
	struct vma *v = vma_find(&mm->vmas, addr);

	if (!v || v->start == addr)
		return 0;
	if (mm->vmas.count >= mm_maps_max(mm))
		return -ENOMEM;
	vma_split(&mm->vmas, v, addr);
	mm->edits++;
	return 0;
}

/* Takes writing away from [lo, hi) of the guest's view, where v allows it. */
static int protect_cow(struct mm *mm, const struct vma *v, u64 lo, u64 hi)
{
	struct aspace *as = atomic_load_explicit(&mm->aspace, memory_order_acquire);

	return as && lo < hi ? aspace_protect(as, lo, hi - lo, mm_host_prot(v, true)) : 0;
}

/* The child of v: shares its pages until one side writes. */
static int fork_pages(struct mm *parent, struct mm *child, const struct vma *v)
{
	struct pma *p;
	u64 lo = UINT64_MAX, hi = 0;

	for (p = pma_from(&parent->pmas, v->start); p && p->start < v->end; p = pma_next(p)) {
		u64 s = MAX(p->start, v->start), e = MIN(p->end, v->end);

		if (p->owned && !p->cow) {
			p = pma_isolate(&parent->pmas, p, s, e);
			p->cow = true;
			lo = MIN(lo, s);
			hi = MAX(hi, e);
		}
		mapfile_get(p->mf);
		mapfile_get_pages(p->mf, p->off + (s - p->start), e - s);
		pma_add(&child->pmas, s, e, p->mf, p->off + (s - p->start), p->cow, p->owned);
	}
	/* Runs that could not be written anyway need no call. */
	return v->prot & PROT_WRITE ? protect_cow(parent, v, lo, hi) : 0;
}

static int fork_locked(struct mm *parent, struct mm *child)
{
	struct vma *v, *n;
	int r = 0;

	for (v = vma_from(&parent->vmas, 0); v && r == 0; v = vma_next(v)) {
		if (v->flags & VMA_DONTFORK)
			continue;
		n = vma_clone(v);
		n->flags &= ~(u32)VMA_LOCKED;
		vma_link(&child->vmas, n);
		mm_account(child, n, 1);
		if (!(v->flags & VMA_WIPEONFORK))
			r = fork_pages(parent, child, v);
	}
	parent->edits++;
	child->edits++;
	child->layout = parent->layout;
	child->brk_start = parent->brk_start;
	child->brk_end = parent->brk_end;
	child->mmap_base = parent->mmap_base;
	child->dumpable = parent->dumpable;
	atomic_store(&child->membarrier, atomic_load(&parent->membarrier));
	mm_inherit_thp(child, parent);
	memcpy(child->auxv, parent->auxv, sizeof(child->auxv));
	child->exe = obj_get(parent->exe);
	exe_executed(child->exe, true);
	return r;
}

int mm_fork(struct mm *parent, struct mm **ret)
{
	struct aspace *as = atomic_load_explicit(&parent->aspace, memory_order_acquire);
	struct mm *child;
	int r = mm_create(parent->kernel, &child);

	if (r < 0)
		return r;
	/* Both locks: a file that shrinks meanwhile finds its pages in both or in the parent. */
	rwlock_wrlock_pair(&parent->lock, &child->lock);
	r = as ? aspace_pre_fork(as) : 0;
	if (r == 0) {
		r = fork_locked(parent, child);
		if (as) {
			int r2 = aspace_post_fork(as);

			r = r < 0 ? r : r2;
		}
	}
	rwlock_unlock_pair(&parent->lock, &child->lock);
	if (r < 0) {
		obj_put(child);
		return r;
	}
	*ret = child;
	return 0;
}

void mm_use(struct mm *mm)
{
	atomic_fetch_add(&mm->users, 1);
}

void mm_unuse(struct mm *mm)
{
	u32 old = atomic_fetch_sub(&mm->users, 1);

	BUG_ON(old == 0);
	if (old == 1)
		drop_everything(mm);
}

int mm_aspace(struct mm *mm, struct aspace **ret)
{
	struct aspace *as = atomic_load_explicit(&mm->aspace, memory_order_acquire);
	int r;

	if (likely(as)) {
		*ret = as;
		return 0;
	}
	mm_lock(mm);
	as = atomic_load_explicit(&mm->aspace, memory_order_relaxed);
	r = as ? 0 : aspace_create(mm->kernel->machine->platform, &as);
	if (r == 0) {
		atomic_store_explicit(&mm->aspace, as, memory_order_release);
		*ret = as;
	}
	mm_unlock(mm);
	return r;
}

void mm_drop_aspace(struct mm *mm)
{
	aspace_release(atomic_exchange(&mm->aspace, NULL));
	mm_lock(mm);
	limbo_reap(&mm->limbo, NULL);
	mm_unlock(mm);
}

struct mm_layout *mm_layout(struct mm *mm)
{
	return &mm->layout;
}

void mm_set_auxv(struct mm *mm, const u64 *auxv, size_t n)
{
	memset(mm->auxv, 0, sizeof(mm->auxv));
	memcpy(mm->auxv, auxv, MIN(n, (size_t)MM_AUXV_MAX) * sizeof(u64));
}

size_t mm_get_auxv(struct mm *mm, u64 *auxv, size_t max)
{
	size_t n = 0;

	/* Pairs up to and with AT_NULL. */
	while (n + 2 <= MIN(max, (size_t)MM_AUXV_MAX)) {
		auxv[n] = mm->auxv[n];
		auxv[n + 1] = mm->auxv[n + 1];
		n += 2;
		if (auxv[n - 2] == 0)
			break;
	}
	return n;
}

void mm_set_exe(struct mm *mm, struct mapid *exe)
{
	struct mapid *old;

	mm_lock(mm);
	old = mm->exe;
	mm->exe = obj_get(exe);
	exe_executed(exe, true);
	exe_executed(old, false);
	mm_unlock(mm);
	obj_put(old);
}

struct mapid *mm_get_exe(struct mm *mm)
{
	GUARD_READ(&mm->lock);
	return obj_get(mm->exe);
}

void mm_set_brk(struct mm *mm, u64 start)
{
	mm->brk_start = mm->brk_end = start;
}

void mm_set_mmap_base(struct mm *mm, u64 top)
{
	mm->mmap_base = MIN(PAGE_DOWN(top), mm_top(mm));
}

void mm_set_dumpable(struct mm *mm, int dumpable)
{
	mm->dumpable = dumpable;
}

int mm_dumpable(const struct mm *mm)
{
	return mm->dumpable;
}

void mm_set_thp_disabled(struct mm *mm, bool on)
{
	atomic_store(&mm->thp_disabled, on);
}

bool mm_thp_disabled(const struct mm *mm)
{
	return atomic_load(&mm->thp_disabled) != 0;
}

void mm_inherit_thp(struct mm *mm, const struct mm *from)
{
	mm_set_thp_disabled(mm, mm_thp_disabled(from));
}
