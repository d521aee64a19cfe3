#pragma once
/*
 * The inside of struct mm, for the files of sentry/mm only.
 *
 * Locking, lifetime, saved: see mm.h. Functions called *_locked want mm->lock held for writing.
 */
#include "platform/platform.h"
#include "sentry/ctx/settings.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/limbo.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/pma.h"
#include "sentry/mm/vma.h"
#include "state/base/lock.h"

#define MM_CHUNK       (2 * MIB)  /* anonymous memory is made present in pieces of this */
#define MM_FILL_MIN    (64 * KIB) /* and so much filled at once, when it seems to be gone through */
#define MM_STACK_CHUNK (128 * KIB) /* how far a stack grows at once */
#define MM_COPY_MIN    (16 * KIB)  /* copy on write: the first copy */
#define MM_COPY_MAX    (64 * KIB)  /* and when copies go on side by side */
#define MM_COPY_SMALL  (256 * KIB) /* of a run up to this: at once */
#define MM_MAPS_HARD   (1u << 20)  /* more than vm.max_map_count may say */
#define MM_AUXV_MAX    48u

/* Pages that the host holds, as last counted: that takes time. */
struct mm_count {
	struct mutex lock; /* RANK_LEAF */
	u64 edits;         /* good while mm->edits is still this */
	s64 until;         /* and until then, on the host's monotonic clock */
	u64 anon, file, shmem;
};

struct mm {
	struct obj obj;
	TAILQ_ENTRY(mm) mms_link;
	struct kernel *kernel; /* not owned */
	struct rwlock lock;
	struct vma_tree vmas;
	struct pma_tree pmas;
	_Atomic(struct aspace *) aspace;
	_Atomic u32 users;
	u64 serial; /* immutable: no other mm of this process ever has it */
	u64 edits;  /* counts changes of vmas and pmas: what was looked up before is void */
	struct mm_layout layout;
	u64 brk_start, brk_end, mmap_base;
	s32 dumpable;
	u32 lock_future; /* enum mlock_how */
	_Atomic u32 membarrier;
	_Atomic u32 thp_disabled;
	u64 auxv[MM_AUXV_MAX];
	struct mapid *exe;
	u64 vm_total, vm_data, vm_locked, vm_peak; /* bytes of vmas */
	bool alone; /* what lies around a fault could not be mapped: it isn't tried any more */
	u64 copy_end, copy_size; /* where the last copy on write ended, and how large it was */
	struct limbo limbo;
	struct mm_count count;
};

static inline struct memfile *mm_memfile(const struct mm *mm)
{
	return mm->kernel->machine->memfile;
}
/* vm.max_map_count */
static inline u32 mm_maps_max(const struct mm *mm)
{
	return (u32)setting(mm->kernel, max_map_count);
}
static inline u64 mm_top(const struct mm *mm)
{
	return mm->kernel->machine->platform->max_user_addr;
}
static inline u64 mm_bottom(const struct mm *mm)
{
	return mm->kernel->machine->platform->min_user_addr;
}

static inline void mm_lock(struct mm *mm)
{
	rwlock_wrlock(&mm->lock);
}
/* Also drops the mappings that were unlinked, which may block: holds nothing else of RANK_INODE or
 * lower. */
static inline void mm_unlock(struct mm *mm)
{
	struct vma *dead = mm->vmas.dead;

	mm->vmas.dead = NULL;
	rwlock_unlock(&mm->lock);
	if (dead)
		vma_free_list(dead);
}

/* mm.c */
/* Counts v's bytes in (sign 1) or out (-1) of the totals. */
void mm_account(struct mm *mm, const struct vma *v, int sign);
/* Everything that vmas and pmas say about [start, end) goes: the guest can't reach it any more when
 * this returns. */
void mm_zap_locked(struct mm *mm, u64 start, u64 end);
/* Only what backs it goes: the next touch finds fresh or clean pages. owned_too: also content. */
void mm_drop_pages_locked(struct mm *mm, u64 start, u64 end, bool owned_too);
/* Splits mappings so that none crosses addr. -ENOMEM at the limit of their number. */
MUST_CHECK int mm_cut_locked(struct mm *mm, u64 addr);
bool mm_range_valid(const struct mm *mm, u64 start, u64 len);

/* mmap.c */
/* Unmaps as munmap(2) does, without its checks. */
MUST_CHECK int mm_unmap_locked(struct mm *mm, u64 start, u64 end);
/* Where len bytes go. */
MUST_CHECK int mm_find_place(struct mm *mm, u64 hint, u64 len, int flags, u64 *ret);
/* RLIMIT_MEMLOCK of c (may be NULL), which CAP_IPC_LOCK lifts. */
u64 mm_lock_limit(const struct ctx *c);
/* Makes what [start, end) of v holds present, as far as its protection allows. -EFAULT (no
 * protection, or nothing behind it), -ENOMEM. */
MUST_CHECK int mm_populate_locked(struct mm *mm, struct vma *v, u64 start, u64 end);
/* Limits of c (may be NULL) for more bytes of address space. */
MUST_CHECK int mm_check_limits(struct mm *mm, struct ctx *c, u64 len, bool data, bool locked);

/* fault.c */
/* The vma for an access at addr; grows stacks. NULL: none. */
struct vma *mm_vma_for_locked(struct mm *mm, struct ctx *c, u64 addr);
/*
 * Makes addr, in v, present for access, whatever v's protection says: afterwards the run that holds
 * it may be read, and written if that was asked for. -EFAULT: nothing behind it (SIGBUS); -EIO:
 * what is behind it can't be read (SIGBUS); -ENOMEM. Shows the guest what it changed.
 */
MUST_CHECK int mm_get_page_locked(struct mm *mm, struct vma *v, u64 addr, u32 access,
                                  struct pma **ret);
/* page, in p, which lies in an image, and what belongs to it is brought where it can be mapped
 * from. The run that holds it then; -EIO, -ENOMEM. */
MUST_CHECK int mm_settle_locked(struct mm *mm, struct pma *p, u64 page, struct pma **ret);
/* What shows the guest as much of p around addr as lies in v and in [lo, hi): 1 and *ret; 0: it
 * can't be shown, or there is nobody to show it to; -EIO. */
MUST_CHECK int mm_mapping_locked(struct mm *mm, const struct vma *v, const struct pma *p, u64 addr,
                                 u64 lo, u64 hi, bool precommit, struct aspace_map *ret);
/* Shows it. */
MUST_CHECK int mm_map_range_locked(struct mm *mm, const struct vma *v, const struct pma *p,
                                   u64 addr, u64 lo, u64 hi, bool precommit);
/* Makes [at, end) of v, a private mapping, present as far as that is easy, up to the first run that
 * is there: the run that begins at at. ahead: for writing, if v may be. NULL: nothing was done. The
 * guest sees nothing of v yet. */
struct pma *mm_prepare_locked(struct mm *mm, struct vma *v, u64 at, bool ahead);
/* The same for a guest that faulted there: what lies around is shown too. Runs may be joined. */
MUST_CHECK int mm_show_locked(struct mm *mm, struct vma *v, const struct pma *p, u64 addr, u64 lo,
                              u64 hi, bool precommit);
/* v's protection as the host must have it. */
static inline int mm_host_prot(const struct vma *v, bool cow)
{
	int prot = (int)v->prot & 7;

	/* x86 can't write or run what it can't read. */
	if (prot)
		prot |= 1;
	return cow ? prot & ~2 : prot;
}
/* Whether v's protection allows access (enum access). */
static inline bool vma_allows(const struct vma *v, u32 access)
{
	if (access & ACCESS_WRITE && !(v->prot & 2))
		return false;
	if (access & ACCESS_EXEC && !(v->prot & 4))
		return false;
	return (v->prot & 7) != 0;
}
/* Host memory at addr in p: a pointer good for *ret_len bytes. NULL: none (-EFAULT). */
void *mm_pma_ptr(const struct pma *p, u64 addr, u64 *ret_len);

/* cow.c */
/* Makes page, in p, in v, writable; p is cow. guest: it faulted there. *ret is the run that holds
 * page then; *ret_shown: whether the guest has seen it. Errors as of mm_get_page_locked. */
MUST_CHECK int mm_break_cow_locked(struct mm *mm, struct vma *v, struct pma *p, u64 page,
                                   bool guest, struct pma **ret, bool *ret_shown);
/* [lo, hi) of p, of which the guest sees nothing, becomes its own: the run that it is then; where
 * that can't be done, p. */
struct pma *mm_copy_ahead_locked(struct mm *mm, struct pma *p, u64 lo, u64 hi);

/* around.c */
/* Mappings, at most room, that the guest will ask for next when it begins to use v, of which
 * main is shown first. Makes them present; runs may be joined. How many. */
u32 mm_around_locked(struct mm *mm, struct vma *v, const struct aspace_map *main,
                     struct aspace_map *maps, u32 room);
/* A run of v has no other user any more: what is so in the mappings around may be written again
 * without being asked for. The guest knows after the next mapping that it is shown. Runs may be
 * joined. */
void mm_unshare_around_locked(struct mm *mm, struct vma *v);
/* v and what it runs with are one program or library: nobody is going to change its file and look
 * for that in v's pages, as may be with other private mappings. */
bool mm_of_program(struct vma *v);

/* mprotect.c */
/* Sets and clears vma flags in a range. */
MUST_CHECK int mm_set_flag_locked(struct mm *mm, u64 start, u64 end, u32 set, u32 clear);
/* No hole in [start, end); the lock held in any way. */
bool mm_fully_mapped(struct mm *mm, u64 start, u64 end);

/* info.c */
/* Every address space of k, with a reference each; the list is malloc'd. */
struct mm **mm_list(struct kernel *k, size_t *ret_n);
/* One byte (0 or 1) per page of [start, end) of p: the host holds it. */
void mm_residency(struct mm *mm, const struct pma *p, u64 start, u64 end, u8 *vec);

/* access.c: user copies */
enum {
	MM_FORCE = 1, /* as ptrace: ignore protection, private copies of what is read-only */
};
enum mm_op {
	MM_READ,
	MM_WRITE,
	MM_ZERO,
};
/* Bytes moved, or -EFAULT/-ENOMEM if none were and len > 0. */
long mm_copy(struct mm *mm, struct ctx *c, u64 addr, void *buf, u64 len, enum mm_op op, u32 flags);
/*
 * Calls fn on the host memory at addr under the lock that keeps it there: fn gets the bytes that
 * lie side by side, says how many it is done with (0 ends), or -errno. What fn said, or -EFAULT.
 */
typedef long (*mm_span_fn)(void *arg, const struct pma *p, const struct vma *v, u64 addr, void *ptr,
                           u64 len);
long mm_with_span(struct mm *mm, struct ctx *c, u64 addr, u32 access, u32 flags, u64 max,
                  mm_span_fn fn, void *arg);
