#include "sentry/syscall/admit.h"
#include "sentry/auth/creds.h"
#include "sentry/mm/heap.h"
#include "sentry/syscall/dispatch.h"
#include "sentry/vfs/file_count.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <malloc.h>
#include <sys/syscall.h>

#define MAKES_STATE 1 /* structures of any kind */
#define MAKES_FILE  2 /* open files, which are counted */

/* How many of a thread's calls go by between two looks at the heap. */
#define LOOK_EVERY 32u
/* How often freed memory is searched for pages that can be given back. */
#define TRIM_EVERY (100 * NSEC_PER_MSEC)

/* Calls that free, wait or only move bytes within bounds that exist are not here: whoever has too
 * much must be able to give it up. */
const u8 syscall_makes[SYSCALL_COUNT] = {
#define FILES(nr) [nr] = MAKES_STATE | MAKES_FILE
#define STATE(nr) [nr] = MAKES_STATE
	FILES(SYS_accept),
	FILES(SYS_accept4),
	FILES(SYS_creat),
	FILES(SYS_epoll_create),
	FILES(SYS_epoll_create1),
	FILES(SYS_eventfd),
	FILES(SYS_eventfd2),
	FILES(SYS_inotify_init),
	FILES(SYS_inotify_init1),
	FILES(SYS_memfd_create),
	FILES(SYS_mq_open),
	FILES(SYS_open),
	FILES(SYS_openat),
	FILES(SYS_openat2),
	FILES(SYS_pidfd_open),
	FILES(SYS_pipe),
	FILES(SYS_pipe2),
	FILES(SYS_signalfd),
	FILES(SYS_signalfd4),
	FILES(SYS_socket),
	FILES(SYS_socketpair),
	FILES(SYS_timerfd_create),
	STATE(SYS_bind),
	STATE(SYS_clone),
	STATE(SYS_clone3),
	STATE(SYS_connect),
	STATE(SYS_dup),
	STATE(SYS_dup2),
	STATE(SYS_dup3),
	STATE(SYS_epoll_ctl),
	STATE(SYS_execve),
	STATE(SYS_execveat),
	STATE(SYS_fcntl),
	STATE(SYS_fork),
	STATE(SYS_fsetxattr),
	STATE(SYS_inotify_add_watch),
	STATE(SYS_link),
	STATE(SYS_linkat),
	STATE(SYS_listen),
	STATE(SYS_lsetxattr),
	STATE(SYS_mkdir),
	STATE(SYS_mkdirat),
	STATE(SYS_mknod),
	STATE(SYS_mknodat),
	STATE(SYS_mmap),
	STATE(SYS_mount),
	STATE(SYS_mprotect),
	STATE(SYS_mremap),
	STATE(SYS_msgget),
	STATE(SYS_msgsnd),
	STATE(SYS_remap_file_pages),
	STATE(SYS_rt_sigqueueinfo),
	STATE(SYS_rt_tgsigqueueinfo),
	STATE(SYS_semget),
	STATE(SYS_sendmmsg),
	STATE(SYS_sendmsg),
	STATE(SYS_setxattr),
	STATE(SYS_shmat),
	STATE(SYS_shmget),
	STATE(SYS_splice),
	STATE(SYS_symlink),
	STATE(SYS_symlinkat),
	STATE(SYS_tee),
	STATE(SYS_timer_create),
	STATE(SYS_unshare),
	STATE(SYS_vfork),
	STATE(SYS_vmsplice),
#undef FILES
#undef STATE
};

/* fcntl(2) mostly asks. */
static bool makes_nothing(const struct task *t, u64 nr)
{
	int cmd = (int)t->regs.rsi;

	return nr == SYS_fcntl && cmd != F_DUPFD && cmd != F_DUPFD_CLOEXEC && cmd != F_SETLK &&
	       cmd != F_SETLKW && cmd != F_OFD_SETLK && cmd != F_OFD_SETLKW && cmd != F_SETPIPE_SZ;
}

static bool no_room(struct task *t)
{
	static _Thread_local u32 calls;
	static _Atomic s64 trimmed;
	struct machine *m = t->kernel->machine;
	struct memfile *mf = m->memfile;
	s64 now, last;

	if (likely(calls++ % LOOK_EVERY != 0) && likely(!heap_full(mf)))
		return false;
	heap_look(mf, m->statm);
	if (!heap_full(mf))
		return false;
	/* Freed memory counts until it is given back. */
	now = clock_mono(&t->kernel->clocks);
	last = atomic_load(&trimmed);
	if ((last == 0 || now < last || now - last > TRIM_EVERY) &&
	    atomic_compare_exchange_strong(&trimmed, &last, now)) {
		malloc_trim(0);
		heap_look(mf, m->statm);
	}
	return heap_full(mf);
}

int syscall_admit(struct task *t, u64 nr)
{
	if (makes_nothing(t, nr))
		return 0;
	if (no_room(t))
		return -ENOMEM;
	if (syscall_makes[nr] & MAKES_FILE &&
	    files_open() >= files_max(t->kernel->machine->memfile) &&
	    !creds_capable(t->ctx.creds, CAP_SYS_ADMIN))
		return -ENFILE;
	return 0;
}
