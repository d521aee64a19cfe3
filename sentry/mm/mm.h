#pragma once
/*
 * A guest address space: what the guest asked for (vmas), what backs it (pmas), and the platform
 * aspace that shows it to the guest, built lazily and rebuilt after a restore.
 *
 * Locking: mm->lock (RANK_MM), shared for user copies, exclusive for faults and edits. Public
 * functions take it themselves; none may be called with it held.
 * Lifetime: object; tasks that share it (CLONE_VM) and /proc readers hold references. The aspace
 * goes when users (running tasks) reach 0.
 * Saved: vmas, private pmas by image page number, layout numbers; the aspace and the clean file
 * pages are found again by faulting.
 */
#include "platform/platform.h"
#include "sentry/ctx/ctx.h"
#include "sentry/mm/mappable.h"
#include "sentry/mm/uaddr.h"

struct kernel;
struct mm;
OBJECT_DECL(mm);

/* Layout numbers that the loader sets and /proc and prctl(PR_SET_MM) read. */
struct mm_layout {
	u64 start_code, end_code, start_data, end_data;
	u64 start_stack, arg_start, arg_end, env_start, env_end;
	u64 vdso; /* address of the vDSO's ELF header, 0: none */
};

/* An empty one. */
MUST_CHECK int mm_create(struct kernel *k, struct mm **ret);
/* fork: the same vmas (but MADV_DONTFORK/WIPEONFORK), private pages copy-on-write. */
MUST_CHECK int mm_fork(struct mm *parent, struct mm **ret);
/* A task starts / stops using it to run; at 0 the aspace and all mappings are dropped. */
void mm_use(struct mm *mm);
void mm_unuse(struct mm *mm);
/* The aspace to run in, made if there is none. Borrowed; valid while the caller uses the mm. */
MUST_CHECK int mm_aspace(struct mm *mm, struct aspace **ret);
/* Drops the aspace (every task that uses it is parked): a checkpoint's last step. */
void mm_drop_aspace(struct mm *mm);

struct mm_layout *mm_layout(struct mm *mm);
/* auxv as written to the stack, for /proc/PID/auxv; n u64s, copied. */
void mm_set_auxv(struct mm *mm, const u64 *auxv, size_t n);
size_t mm_get_auxv(struct mm *mm, u64 *auxv, size_t max);
/* The executable's open file (mapid), for /proc/PID/exe; a reference for the caller, or NULL. */
void mm_set_exe(struct mm *mm, struct mapid *exe);
struct mapid *mm_get_exe(struct mm *mm);
/* Starts the heap at addr (page aligned), and sets where mmap looks from downwards. */
void mm_set_brk(struct mm *mm, u64 start);
void mm_set_mmap_base(struct mm *mm, u64 top);
void mm_set_dumpable(struct mm *mm, int dumpable);
int mm_dumpable(const struct mm *mm);
/* PR_SET_THP_DISABLE: remembered only, huge pages are the host's matter. fork and execve hand it
 * on.
 */
void mm_set_thp_disabled(struct mm *mm, bool on);
bool mm_thp_disabled(const struct mm *mm);
void mm_inherit_thp(struct mm *mm, const struct mm *from);

struct mmap_args {
	u64 addr, len; /* len > 0, any alignment; addr page aligned if MAP_FIXED */
	int prot, flags;
	struct mappable *mappable; /* NULL: anonymous; a reference is taken */
	struct mapid *id;          /* likewise */
	u64 off;
	int max_prot;     /* what mprotect may ever give; PROT_READ|WRITE|EXEC for anonymous */
	bool is_stack;    /* grows down, limited by rlimit_stack */
	const char *name; /* "[vdso]" and the like: a static string, or NULL */
};
/* mmap(2) after the file was looked up. limits (RLIMIT_AS, RLIMIT_DATA) come from c; c may be NULL
 * for a mm that is being built. The address, or -errno as in the man page. */
MUST_CHECK s64 mm_mmap(struct mm *mm, struct ctx *c, const struct mmap_args *args);
MUST_CHECK int mm_munmap(struct mm *mm, u64 addr, u64 len);
MUST_CHECK int mm_mprotect(struct mm *mm, u64 addr, u64 len, int prot);
MUST_CHECK s64 mm_mremap(struct mm *mm, struct ctx *c, u64 old_addr, u64 old_len, u64 new_len,
                         int flags, u64 new_addr);
MUST_CHECK int mm_madvise(struct mm *mm, u64 addr, u64 len, int advice);
MUST_CHECK int mm_msync(struct mm *mm, u64 addr, u64 len, int flags);
/* One byte per page into vec (kernel memory of len/PAGE_SIZE bytes). */
MUST_CHECK int mm_mincore(struct mm *mm, u64 addr, u64 len, u8 *vec);
/* brk(2): the break afterwards. */
u64 mm_brk(struct mm *mm, struct ctx *c, u64 brk);
/* Saved in lock_future: the values are part of the image format. */
enum mlock_how {
	MLOCK_NOT,
	MLOCK_NOW,   /* the pages are made present */
	MLOCK_LATER, /* MLOCK_ONFAULT: whenever they are touched */
};
/* mlock(2), mlock2(2), munlock(2). RLIMIT_MEMLOCK comes from c (NULL: no limit). */
MUST_CHECK int mm_mlock(struct mm *mm, struct ctx *c, u64 addr, u64 len, enum mlock_how how);
/* mlockall(2): what MCL_CURRENT and MCL_FUTURE ask for; neither: munlockall(2). */
MUST_CHECK int mm_mlockall(struct mm *mm, struct ctx *c, enum mlock_how current,
                           enum mlock_how future);
/* remap_file_pages(2): the pages of a shared mapping in another order. */
MUST_CHECK int mm_remap_file_pages(struct mm *mm, struct ctx *c, u64 addr, u64 len, u64 pgoff,
                                   int flags);
/* shmdt(2): unmaps what one mmap at addr mapped whose name is of that type; what is left of it may
 * be in pieces. *ret_id: the name, a reference. -EINVAL: there is none. */
MUST_CHECK int mm_detach(struct mm *mm, u64 addr, const struct obj_type *type,
                         struct mapid **ret_id);
/* membarrier(2): which kinds (MEMBARRIER_CMD_REGISTER_* bits) this address space asked for. */
u32 mm_membarrier(struct mm *mm);
void mm_membarrier_register(struct mm *mm, u32 kind);

/* Why a fault could not be served: what siginfo says (sigaction(2)). */
struct fault_info {
	int signo; /* SIGSEGV or SIGBUS */
	int code;  /* SEGV_MAPERR, SEGV_ACCERR, BUS_ADRERR, BUS_OBJERR */
};
/*
 * Serves a guest fault at addr: makes the page (and its neighbourhood: large chunks) present with
 * at least access and maps it into the aspace. 0: run on. -EFAULT with *ret_info: send the signal.
 * -ENOMEM: out of memory (kill). rlimit_stack from c bounds stack growth. Takes mm->lock.
 */
MUST_CHECK int mm_fault(struct mm *mm, struct ctx *c, u64 addr, u32 access,
                        struct fault_info *ret_info);

/* Some address space maps m shared and writes to it or may come to. Takes each mm's lock. */
bool mm_any_writer(struct kernel *k, struct mappable *m);
/* Unmaps [off, off+len) of a mappable (len 0: to the end) from every address space of the kernel:
 * its pages moved or were freed. Private copies stay. Takes each mm's lock; call with no RANK_MM or
 * lower. */
void mm_invalidate(struct kernel *k, struct mappable *m, u64 off, u64 len);
/* The same for a file that was cut to size: private copies of what lay behind go as well. */
void mm_truncated(struct kernel *k, struct mappable *m, u64 size);

/* The host had no page for a touch at addr of what is mapped there. 0: it has now; -ENOMEM: it
 * still has none; -EFAULT: that is not why. */
MUST_CHECK int mm_starved_at(struct mm *mm, u64 addr);
/* How many address spaces there are in this process. */
u64 mm_count(void);
/* How many mappings there are. */
u32 mm_map_count(const struct mm *mm);

/* One vma as /proc shows it. */
struct vma_info {
	u64 start, end, off, dev, ino;
	int prot;
	bool shared, stack, heap, growsdown, locked, dontfork, wipeonfork, dontdump, noreserve,
		huge, small;
	u64 rss, private_dirty; /* bytes; filled only when asked for */
	char name[512];         /* path, "[heap]", "[stack]", "[vdso]" or "" */
};
/* The first vma that ends above addr; false if there is none. with_rss also counts pages. */
bool mm_next_vma(struct mm *mm, u64 addr, bool with_rss, struct vma_info *ret);
struct mm_stat {
	u64 vm_size, vm_peak, vm_data, vm_stack, vm_exe, rss_anon, rss_file, rss_shmem, vm_hwm,
		vm_locked;
};
void mm_stat(struct mm *mm, struct mm_stat *ret);
/* /proc/PID/mem and process_vm_readv: copies between mm and kernel memory whatever its owner is
 * doing; force: as ptrace does, ignoring PROT_NONE and read-only (private copies). Bytes moved. */
MUST_CHECK long mm_access(struct mm *mm, u64 addr, void *buf, u64 len, bool write, bool force);
