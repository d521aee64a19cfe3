#pragma once
/*
 * Stub processes: one per guest address space. Its first thread (the service thread) makes the
 * system calls that we ask for and never runs guest code; the threads that it clones are the
 * vehicles of a platform. README.md tells how it is put together.
 *
 * Locking: stub_host has its own lock (RANK_PLATFORM); a stub's lock (RANK_ASPACE) serialises
 * requests, and every function on a stub takes it unless it says otherwise.
 * Lifetime: stub_host_create to stub_host_destroy; stubs end before their host. The thread that
 * creates the host is the parent of every stub: when it ends, they end.
 * Saved: never.
 *
 * Everything that a stub reports is hostile, except the results of the service thread, which are
 * known to be its by its thread id and which only live in registers.
 */
#include "platform/platform.h"
#include "platform/stub/layout.h"
#include "platform/stub/ranges.h"
#include "state/base/lock.h"

#include <linux/seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

struct stub_host;

struct stub {
	struct mutex lock;
	struct stub_host *host; /* immutable */
	pid_t pid;              /* immutable; not reaped before stub_release */
	int listener;           /* immutable; seccomp listener of the service thread's reports */
	u32 index;              /* immutable; which control page */
	struct stub_ctrl *ctrl; /* under lock; written by us only */
	u32 placed;             /* under lock; of placement_apply, for the service thread */
	u64 report;             /* under lock; id of the report that waits for its answer */
	bool dead;              /* under lock; set once */
	struct ranges mapped;   /* under lock; guest mappings */
	bool forking;           /* under lock; protections may wait for stub_post_fork */
	u32 n_queued;           /* under lock; calls to make before the next other one */
	u32 n_shown;            /* under lock; of which stub_show_edits has shown */
	struct stub_call queue[STUB_MAX_CALLS]; /* with room for a request after them */
	u64 queued;                             /* under lock; how many ever were */
	_Atomic u64 settled; /* written under lock; how many of these were made, or are void */
};

/* What the functions here call while the sentry's filter is on: entries of platform_ops.syscalls.
 */
/* clang-format off */
#define STUB_SYSCALLS                                                                              \
	{SYS_poll},                                                                                \
	{SYS_ioctl, 2, (u32)SECCOMP_IOCTL_NOTIF_RECV},                                             \
	{SYS_ioctl, 2, (u32)SECCOMP_IOCTL_NOTIF_SEND},                                             \
	{SYS_ioctl, 2, (u32)STUB_IOCTL_SET_FLAGS},                                                 \
	{SYS_futex},                                                                               \
	{SYS_clock_gettime},                                                                       \
	{SYS_kill, 2, SIGKILL},                                                                    \
	{SYS_wait4},                                                                               \
	{SYS_process_vm_readv},                                                                    \
	{SYS_close}
/* clang-format on */
/* SECCOMP_IOCTL_NOTIF_SET_FLAGS of Linux 6.6, which older headers don't have. */
#define STUB_IOCTL_SET_FLAGS _IOW('!', 4, u64)

#define STUB_BLOB_SYM(name) extern const u8 stub_blob_##name[]
STUB_BLOB_SYM(boot);
STUB_BLOB_SYM(park);
STUB_BLOB_SYM(handler);
STUB_BLOB_SYM(end);
extern const u8 stub_blob[];

/* Address of a blob symbol in a stub. */
#define STUB_ADDR(sym) (STUB_BASE + (u64)((sym)-stub_blob))

/* What a platform wants of its stubs. Borrowed for the call of stub_host_create. */
struct stub_setup {
	/* Of every stub, at most CTRL_MAX_INSNS long; it must answer STUB_REPORT_NR from inside the
	 * blob with USER_NOTIF. */
	const struct sock_filter *filter;
	u32 filter_len;
	/* For guest threads to add, at most CTRL_GUEST_INSNS long; may be empty. */
	const struct sock_filter *guest_filter;
	u32 guest_filter_len;
	/* Signal handler: address in the stub, flags of sigaction(2), mask, and of which signals.
	 */
	u64 handler, handler_flags, handler_mask;
	const int *signals;
	u32 n_signals;
};
/* Single threaded. */
MUST_CHECK int stub_host_create(const struct stub_setup *setup, struct stub_host **ret);
void stub_host_destroy(struct stub_host *h);

/* A stub with nothing of the guest's mapped. -ENOMEM, -EAGAIN. Any thread. */
MUST_CHECK int stub_start(struct stub_host *h, struct stub *s);
/* Kills the stub. Call stub_reap afterwards, when none of its threads is traced any more. */
void stub_kill(struct stub *s);
void stub_reap(struct stub *s);

/*
 * Makes the service thread do n calls in order, up to the first that fails; *ret_result is the
 * result of the last one made, *ret_done how many succeeded. -ESRCH if the stub is dead. The caller
 * holds s->lock.
 */
MUST_CHECK int stub_call(struct stub *s, const struct stub_call *calls, u32 n, s64 *ret_result,
                         u32 *ret_done);

/* platform_ops.cpu_time. Takes no lock. */
s64 stub_cpu_time(const struct stub *s);

/* maps.c: the aspace functions of platform.h; arguments checked by the registry. */
MUST_CHECK int stub_map_files(struct stub *s, const struct aspace_map *maps, u32 n, u32 *ret_done);
bool stub_maps(struct stub *s, u64 addr, u64 len);
MUST_CHECK int stub_unmap(struct stub *s, u64 addr, u64 len);
MUST_CHECK int stub_protect(struct stub *s, u64 addr, u64 len, int prot);

/*
 * unmap and protect that are only queued: the next request makes them. Until then they are true if
 * a guest thread makes what stub_show_edits shows, which it may or may not; with a protection among
 * them that has PROT_WRITE, stub_show_edits is that request.
 * *ret_ticket: made when s->settled has reached it. The range is no longer than STUB_EDIT_MAX, and
 * begins at least that much below STUB_BASE.
 */
#define STUB_EDIT_MAX (256 * KIB)
MUST_CHECK int stub_unmap_soon(struct stub *s, u64 addr, u64 len, u64 *ret_ticket);
MUST_CHECK int stub_protect_soon(struct stub *s, u64 addr, u64 len, int prot);
/* Puts what was queued since the last time on the control page, for the one guest thread there is.
 * Says whether there is anything. */
bool stub_show_edits(struct stub *s);
/* Those that are still queued are to be shown again. */
void stub_unshow_edits(struct stub *s);

/* In between, protections may take effect late; an error of theirs is post_fork's. -ESRCH. */
MUST_CHECK int stub_pre_fork(struct stub *s);
MUST_CHECK int stub_post_fork(struct stub *s);
/* Unmaps all that a guest can have, and forgets that it was there. -ESRCH. */
MUST_CHECK int stub_unmap_all(struct stub *s);

/* A new thread of the stub, parked in the blob, with its slot mapped. -EAGAIN, -ENOMEM, -ESRCH. The
 * caller holds s->lock. */
MUST_CHECK int stub_thread(struct stub *s, u32 slot, pid_t *ret_tid);

static inline u64 stub_slot_addr(u32 slot)
{
	return STUB_SLOTS + (u64)slot * STUB_SLOT_SIZE;
}
