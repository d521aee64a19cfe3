/* The template: a child of ours that is nothing but the blob, and that every stub is cloned from.
 */
#include "platform/stub/host.h"
#include "state/base/bug.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

/* The kernel's layout of sigaction; libc's would add its own restorer. */
struct kernel_sigaction {
	u64 handler;
	u64 flags;
	u64 restorer;
	u64 mask;
};
#define SA_RESTORER_FLAG 0x04000000u

static void child_signals(const struct stub_setup *setup)
{
	struct kernel_sigaction sa = {0};
	u64 all = ~0ull;
	stack_t off = {.ss_flags = SS_DISABLE};
	size_t i;
	int sig;

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all));
	for (sig = 1; sig <= 64; sig++)
		syscall(SYS_rt_sigaction, sig, &sa, NULL, sizeof(all));
	sa.handler = setup->handler;
	sa.restorer = STUB_ADDR(stub_blob_handler);
	sa.flags = setup->handler_flags | SA_RESTORER_FLAG;
	sa.mask = setup->handler_mask;
	for (i = 0; i < setup->n_signals; i++)
		syscall(SYS_rt_sigaction, setup->signals[i], &sa, NULL, sizeof(all));
	sigaltstack(&off, NULL);
}

/* The registered area is about to be unmapped, and the host would still write there. */
static void child_rseq(void)
{
#ifdef RSEQ_SIG
	char *area = (char *)__builtin_thread_pointer() + __rseq_offset;

	if (__rseq_size == 0)
		return;
	if (syscall(SYS_rseq, area, MAX(__rseq_size, 32u), RSEQ_FLAG_UNREGISTER, RSEQ_SIG) < 0)
		syscall(SYS_rseq, area, __rseq_size, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
#endif
}

static NORETURN void child(const struct stub_setup *setup, int blob_fd, int ctrl_fd, pid_t parent)
{
	struct rlimit none = {0, 0};
	register long r_blob __asm__("rdi") = blob_fd;
	register long r_ctrl __asm__("rsi") = ctrl_fd;
	void *boot;

	child_signals(setup);
	child_rseq();
	setrlimit(RLIMIT_CORE, &none);
	personality(PER_LINUX);
	prctl(PR_SET_NAME, "stasis-stub");
	/* Otherwise the change of ids that the sentry went through forbids us to trace it. */
	prctl(PR_SET_DUMPABLE, 1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || getppid() != parent)
		_exit(1);
	/* Far below where the blob goes, so that it does not overwrite itself on the way. */
	boot = mmap((void *)(4 * GIB), STUB_BLOB_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, blob_fd,
	            0);
	if (boot == MAP_FAILED || (u64)boot >= STUB_BASE)
		_exit(1);
	r_blob = blob_fd;
	r_ctrl = ctrl_fd;
	__asm__ volatile("jmp *%0" : : "r"(boot), "r"(r_blob), "r"(r_ctrl) : "memory");
	__builtin_unreachable();
}

/* Waits until TPL_DONE has counted to n. -EAGAIN if pid (0: nobody yet) or the template ended. */
static int wait_done(struct stub_host *h, u32 n)
{
	const struct timespec tick = {.tv_nsec = 100 * NSEC_PER_MSEC};
	u32 now;

	while ((now = __atomic_load_n(&h->page->done, __ATOMIC_ACQUIRE)) < n) {
		long r = syscall(SYS_futex, &h->page->done, FUTEX_WAIT, now, &tick, NULL, 0);
		pid_t pid = __atomic_load_n(&h->page->pid, __ATOMIC_ACQUIRE);

		if (r == 0 || errno != ETIMEDOUT)
			continue;
		if (waitpid(h->template, NULL, __WALL | WNOHANG) != 0) {
			h->failed = true;
			return -EAGAIN;
		}
		if (pid < 0)
			return pid;
		if (pid > 0 && waitpid(pid, NULL, __WALL | WNOHANG) == pid)
			return -EAGAIN;
	}
	return 0;
}

static int copy_blob(void)
{
	AUTO_CLOSE int fd = memfd_create("stasis-stub", MFD_CLOEXEC | MFD_EXEC);
	size_t size = (size_t)(stub_blob_end - stub_blob);

	if (fd < 0)
		fd = memfd_create("stasis-stub", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (pwrite(fd, stub_blob, size, 0) != (ssize_t)size)
		return -EIO;
	return TAKE_FD(fd);
}

static int start_template(struct stub_host *h, const struct stub_setup *setup)
{
	AUTO_CLOSE int blob = copy_blob();
	long pid;
	int r;

	if (blob < 0)
		return blob;
	h->self = getpid();
	h->page->ctrl_fd = h->ctrl_fd;
	/* No exit signal: neither SIGCHLD handlers nor a plain wait see our children. */
	pid = syscall(SYS_clone, (long)CLONE_FILES, 0, NULL, NULL, 0);
	if (pid < 0)
		return -errno;
	if (pid == 0)
		child(setup, blob, h->ctrl_fd, h->self);
	h->template = (pid_t)pid;
	r = wait_done(h, 1);
	return r;
}

int stub_host_create(const struct stub_setup *setup, struct stub_host **ret)
{
	struct stub_host *h;
	const size_t size = (STUB_MAX + 1) * PAGE_SIZE;
	int r;

	BUG_ON(setup->filter_len > CTRL_MAX_INSNS);
	BUG_ON(setup->guest_filter_len > CTRL_GUEST_INSNS);
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	mutex_init(&h->lock, RANK_PLATFORM);
	memcpy(h->filter, setup->filter, setup->filter_len * sizeof(h->filter[0]));
	h->filter_len = setup->filter_len;
	memcpy(h->guest_filter, setup->guest_filter,
	       setup->guest_filter_len * sizeof(h->guest_filter[0]));
	h->guest_filter_len = setup->guest_filter_len;
	h->pages = MAP_FAILED;
	h->free = calloc(STUB_MAX, sizeof(*h->free));
	h->ctrl_fd = memfd_create("stasis-ctrl", MFD_CLOEXEC);
	if (!h->free || h->ctrl_fd < 0 || ftruncate(h->ctrl_fd, (off_t)size) < 0) {
		r = -ENOMEM;
	} else {
		h->pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		                h->ctrl_fd, 0);
		h->page = (struct stub_template_page *)h->pages;
		r = h->pages == MAP_FAILED ? -ENOMEM : start_template(h, setup);
	}
	if (r < 0) {
		stub_host_destroy(h);
		return r;
	}
	*ret = h;
	return 0;
}

void stub_host_destroy(struct stub_host *h)
{
	if (!h)
		return;
	if (h->template > 0 && !h->failed) {
		kill(h->template, SIGKILL);
		waitpid(h->template, NULL, __WALL);
	}
	if (h->pages != MAP_FAILED)
		munmap(h->pages, (STUB_MAX + 1) * PAGE_SIZE);
	if (h->ctrl_fd >= 0)
		close(h->ctrl_fd);
	free(h->free);
	free(h);
}

int stub_host_page(struct stub_host *h, u32 *ret_index)
{
	GUARD(&h->lock);

	if (h->n_free)
		*ret_index = h->free[--h->n_free];
	else if (h->n_used < STUB_MAX)
		*ret_index = h->n_used++;
	else
		return -EAGAIN;
	return 0;
}

void stub_host_page_free(struct stub_host *h, u32 index)
{
	GUARD(&h->lock);

	h->free[h->n_free++] = index;
}

int stub_host_spawn(struct stub_host *h, u32 index, pid_t *ret_pid, int *ret_listener)
{
	struct stub_template_page *p = h->page;
	int r;
	GUARD(&h->lock);

	if (h->failed)
		return -EAGAIN;
	p->pid = 0;
	p->listener = -EAGAIN;
	p->offset = (index + 1) * PAGE_SIZE;
	__atomic_store_n(&p->done, 0, __ATOMIC_RELEASE);
	__atomic_add_fetch(&p->seq, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &p->seq, FUTEX_WAKE, 1, NULL, NULL, 0);
	r = wait_done(h, 1);
	/* The first of the two may be the stub's; its parent's word says whether there is one. */
	while (r == 0 && (*ret_pid = __atomic_load_n(&p->pid, __ATOMIC_ACQUIRE)) == 0)
		r = wait_done(h, 2);
	if (r < 0)
		return r;
	if (*ret_pid < 0)
		return *ret_pid;
	r = wait_done(h, 2);
	if (r < 0)
		return r;
	*ret_listener = p->listener;
	if (*ret_listener < 0) {
		r = *ret_listener;
		kill(*ret_pid, SIGKILL);
		waitpid(*ret_pid, NULL, __WALL);
		/* Out of descriptors is out of room. */
		return r == -ENOMEM ? r : -EAGAIN;
	}
	return 0;
}
