/* mmap and its kin, and access to the memory of others. */
#include "sentry/mm/mm.h"
#include "sentry/mm/shmem.h"
#include "sentry/syscall/sysarg.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/inode.h"
#include "state/base/cleanup.h"

#include <stdlib.h>
#include <linux/mman.h>
#include <sys/mman.h>

#ifndef MAP_SHARED_VALIDATE
#define MAP_SHARED_VALIDATE 0x03
#endif
#ifndef MAP_SYNC
#define MAP_SYNC 0x80000
#endif
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif
#ifndef MCL_ONFAULT
#define MCL_ONFAULT 4
#endif

/* What MAP_SHARED_VALIDATE lets pass for a file (MAP_SYNC wants one that no file here is). */
#define MAP_KNOWN                                                                                \
	(MAP_TYPE | MAP_FIXED | MAP_ANONYMOUS | MAP_32BIT | MAP_GROWSDOWN | MAP_DENYWRITE |      \
	 MAP_EXECUTABLE | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK | \
	 MAP_HUGETLB | 0x100000 /* MAP_FIXED_NOREPLACE */ |                                      \
	 (int)((u32)MAP_HUGE_MASK << MAP_HUGE_SHIFT))

#define IOV_COUNT_MAX 1024u

SYSCALL6(mmap, u64, addr, u64, len, int, prot, int, flags, int, fd, u64, off)
{
	struct ctx *c = &t->ctx;
	AUTO(file) f = NULL;
	AUTO(shmem) memory = NULL;
	struct mmap_args a = {
		.addr = addr,
		.len = len,
		.prot = prot & (PROT_READ | PROT_WRITE | PROT_EXEC),
		.flags = flags,
		.off = off,
		.max_prot = PROT_READ | PROT_WRITE | PROT_EXEC,
	};
	int type = flags & MAP_TYPE;
	int r;

	if (!IS_ALIGNED(off, PAGE_SIZE))
		return -EINVAL;
	/* A bad descriptor is told before a bad length, as Linux does. */
	if (!(flags & MAP_ANONYMOUS)) {
		r = fd_get(c, fd, &f);
		if (r < 0)
			return r;
	}
	if (len == 0)
		return -EINVAL;
	if (PAGE_UP(len) == 0)
		return -ENOMEM;
	if (f) {
		/* Past where files end. */
		if (inode_is_reg(f->inode) &&
		    (PAGE_UP(len) > INT64_MAX ||
		     off / PAGE_SIZE > ((u64)INT64_MAX - PAGE_UP(len)) / PAGE_SIZE))
			return -EOVERFLOW;
		if (type == MAP_SHARED_VALIDATE && flags & ~MAP_KNOWN)
			return -EOPNOTSUPP;
		if (type != MAP_PRIVATE && type != MAP_SHARED && type != MAP_SHARED_VALIDATE)
			return -EINVAL;
		r = file_mmap(f, c, &a);
		if (r < 0)
			return r;
	} else if (type == MAP_SHARED_VALIDATE) {
		return -EINVAL;
	}
	/* Shared memory of its own: no file, or one that maps as nothing (/dev/zero). */
	if (!a.mappable) {
		a.off = 0;
		if (type == MAP_SHARED || type == MAP_SHARED_VALIDATE) {
			memory = shmem_new(t->kernel, PAGE_UP(len));
			a.mappable = (struct mappable *)memory;
		}
	}
	return mm_mmap(c->mm, c, &a);
}

SYSCALL2(munmap, u64, addr, u64, len)
{
	return mm_munmap(t->ctx.mm, addr, len);
}

SYSCALL3(mprotect, u64, addr, u64, len, int, prot)
{
	return mm_mprotect(t->ctx.mm, addr, len, prot);
}

SYSCALL1(brk, u64, addr)
{
	return (long)mm_brk(t->ctx.mm, &t->ctx, addr);
}

SYSCALL5(mremap, u64, addr, u64, old_len, u64, new_len, int, flags, u64, new_addr)
{
	return mm_mremap(t->ctx.mm, &t->ctx, addr, old_len, new_len, flags, new_addr);
}

SYSCALL5(remap_file_pages, u64, addr, u64, len, int, prot, u64, pgoff, int, flags)
{
	/* prot had a meaning that no kernel kept: it must be 0. */
	return prot ? -EINVAL : mm_remap_file_pages(t->ctx.mm, &t->ctx, addr, len, pgoff, flags);
}

SYSCALL3(madvise, u64, addr, u64, len, int, advice)
{
	return mm_madvise(t->ctx.mm, addr, len, advice);
}

SYSCALL3(msync, u64, addr, u64, len, int, flags)
{
	return mm_msync(t->ctx.mm, addr, len, flags);
}

SYSCALL3(mincore, u64, addr, u64, len, uaddr_t, vec)
{
	u8 bytes[2048];
	u64 pages = PAGE_UP(len) / PAGE_SIZE, done = 0;

	if (!IS_ALIGNED(addr, PAGE_SIZE))
		return -EINVAL;
	if (len > 0 && pages == 0)
		return -ENOMEM;
	while (done < pages) {
		u64 n = MIN(pages - done, (u64)sizeof(bytes));
		int r = mm_mincore(t->ctx.mm, addr + done * PAGE_SIZE, n * PAGE_SIZE, bytes);

		if (r == 0)
			r = user_copy_out(&t->ctx, uaddr_add(vec, done), bytes, n);
		if (r < 0)
			return r;
		done += n;
	}
	return 0;
}

SYSCALL2(mlock, u64, addr, u64, len)
{
	return mm_mlock(t->ctx.mm, &t->ctx, addr, len, MLOCK_NOW);
}

SYSCALL3(mlock2, u64, addr, u64, len, u32, flags)
{
	if (flags & ~(u32)MLOCK_ONFAULT)
		return -EINVAL;
	return mm_mlock(t->ctx.mm, &t->ctx, addr, len,
	                flags & MLOCK_ONFAULT ? MLOCK_LATER : MLOCK_NOW);
}

SYSCALL2(munlock, u64, addr, u64, len)
{
	return mm_mlock(t->ctx.mm, &t->ctx, addr, len, MLOCK_NOT);
}

SYSCALL1(mlockall, int, flags)
{
	enum mlock_how how;

	if (!flags || flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) || flags == MCL_ONFAULT)
		return -EINVAL;
	how = flags & MCL_ONFAULT ? MLOCK_LATER : MLOCK_NOW;
	return mm_mlockall(t->ctx.mm, &t->ctx, flags & MCL_CURRENT ? how : MLOCK_NOT,
	                   flags & MCL_FUTURE ? how : MLOCK_NOT);
}

SYSCALL0(munlockall)
{
	return mm_mlockall(t->ctx.mm, &t->ctx, MLOCK_NOT, MLOCK_NOT);
}

/* Moves bytes between it and the remote ranges, in order, until one of them ends or is not there.
 */
static long vm_transfer(struct mm *mm, struct uiter *it, const struct iovec *remote, u64 n,
                        bool write)
{
	AUTO_FREE u8 *buf = malloc(64 * KIB);
	u64 done = 0;

	if (!buf)
		return -ENOMEM;
	for (u64 i = 0; i < n; i++) {
		u64 at = (u64)(uintptr_t)remote[i].iov_base, left = remote[i].iov_len;

		while (left > 0 && uiter_count(it) > 0) {
			u64 len = MIN(MIN(left, 64 * KIB), uiter_count(it));
			long r = write ? uiter_copy_in(it, buf, len)
			               : mm_access(mm, at, buf, len, false, false),
			     r2;

			if (r <= 0)
				return done > 0 ? (long)done : -EFAULT;
			r2 = write ? mm_access(mm, at, buf, (u64)r, true, false)
			           : uiter_copy_out(it, buf, (u64)r);
			if (r2 <= 0)
				return done > 0 ? (long)done : -EFAULT;
			done += (u64)r2;
			if (r2 < r || (u64)r < len)
				return (long)done;
			at += (u64)r2;
			left -= (u64)r2;
		}
	}
	return (long)done;
}

static long process_vm(struct task *t, int pid, uaddr_t lvec, u64 ln, uaddr_t rvec, u64 rn,
                       u64 flags, bool write)
{
	AUTO_FREE struct iovec *remote = NULL;
	AUTO(task) target = NULL;
	AUTO(mm) mm = NULL;
	UITER(it);
	u64 total = 0;
	int r;

	if (flags != 0 || ln > IOV_COUNT_MAX || rn > IOV_COUNT_MAX)
		return -EINVAL;
	r = uiter_init_iov(&it, &t->ctx, lvec, ln);
	if (r < 0)
		return r;
	remote = malloc(MAX(rn, 1ull) * sizeof(*remote));
	if (!remote)
		return -ENOMEM;
	r = user_copy_in(&t->ctx, remote, rvec, rn * sizeof(*remote));
	if (r < 0)
		return r;
	for (u64 i = 0; i < rn; i++) {
		if ((s64)remote[i].iov_len < 0 || total + remote[i].iov_len < total)
			return -EINVAL;
		total += remote[i].iov_len;
	}
	if (uiter_count(&it) == 0 || total == 0)
		return 0;
	target = task_find(t->kernel, (u32)pid);
	if (!target)
		return -ESRCH;
	if (!task_may_inspect(t, target))
		return -EPERM;
	mm = task_get_mm(target);
	if (!mm)
		return -ESRCH;
	return vm_transfer(mm, &it, remote, rn, write);
}

SYSCALL6(process_vm_readv, int, pid, uaddr_t, lvec, u64, ln, uaddr_t, rvec, u64, rn, u64, flags)
{
	return process_vm(t, pid, lvec, ln, rvec, rn, flags, false);
}

SYSCALL6(process_vm_writev, int, pid, uaddr_t, lvec, u64, ln, uaddr_t, rvec, u64, rn, u64, flags)
{
	return process_vm(t, pid, lvec, ln, rvec, rn, flags, true);
}
