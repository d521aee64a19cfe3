/* clone(2), clone3(2), fork(2), vfork(2), exit(2), exit_group(2), set_tid_address(2), unshare(2).
 */
#include "sentry/auth/creds.h"
#include "sentry/kernel/task_run.h"
#include "sentry/kernel/utsns.h"
#include "sentry/syscall/sysarg.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/fs_context.h"

#include <linux/capability.h>
#include <linux/sched.h>
#include <string.h>

SYSCALL5(clone, u64, flags, u64, stack, uaddr_t, parent_tid, uaddr_t, child_tid, u64, tls)
{
	struct clone_args_k a = {
		/* Threads must not ask for a signal; clone(2) has always ignored the request. */
		.flags = flags & ~(u64)CSIGNAL & 0xffffffffull,
		.exit_signal = (int)(flags & CSIGNAL),
		.stack = stack,
		.tls = tls,
		.parent_tid = parent_tid,
		.child_tid = child_tid,
		.pidfd = parent_tid,
	};

	/* These bits exist only in clone3; here they are part of the exit signal's byte. */
	a.flags &= ~(u64)(CLONE_DETACHED);
	return task_clone(t, &a);
}

SYSCALL0(fork)
{
	struct clone_args_k a = {.exit_signal = SIGCHLD};

	return task_clone(t, &a);
}

SYSCALL0(vfork)
{
	struct clone_args_k a = {.flags = CLONE_VFORK | CLONE_VM, .exit_signal = SIGCHLD};

	return task_clone(t, &a);
}

/* The 32 bits of clone(2) and what came after them. */
#define CLONE3_FLAGS (0xffffffffull | CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP)

SYSCALL2(clone3, uaddr_t, uargs, size_t, size)
{
	struct clone_args ca = {0};
	struct clone_args_k a = {0};
	u8 rest[64];
	int r;

	if (size > PAGE_SIZE)
		return -E2BIG;
	if (size < CLONE_ARGS_SIZE_VER0)
		return -EINVAL;
	r = user_copy_in(&t->ctx, &ca, uargs, MIN(size, sizeof(ca)));
	if (r < 0)
		return r;
	for (size_t at = sizeof(ca); at < size; at += sizeof(rest)) {
		size_t n = MIN(size - at, sizeof(rest));

		r = user_copy_in(&t->ctx, rest, uaddr_add(uargs, at), n);
		if (r < 0)
			return r;
		for (size_t i = 0; i < n; i++) {
			if (rest[i])
				return -E2BIG;
		}
	}
	if (ca.flags & ~CLONE3_FLAGS || ca.flags & (CSIGNAL | CLONE_DETACHED) ||
	    ca.exit_signal > SIGNAL_MAX)
		return -EINVAL;
	if ((ca.flags & (CLONE_THREAD | CLONE_PARENT)) && ca.exit_signal)
		return -EINVAL;
	if ((ca.stack == 0) != (ca.stack_size == 0))
		return -EINVAL;
	if (ca.set_tid_size > 1 || (ca.set_tid_size == 0) != (ca.set_tid == 0))
		return -EINVAL;
	if (ca.set_tid_size) {
		r = user_get_u32(&t->ctx, UADDR(ca.set_tid), &a.set_tid);
		if (r < 0)
			return r;
		if (a.set_tid == 0 || a.set_tid > INT32_MAX)
			return -EINVAL;
	}
	a.flags = ca.flags;
	a.exit_signal = (int)ca.exit_signal;
	a.stack = ca.stack;
	a.stack_size = ca.stack_size;
	a.tls = ca.tls;
	a.child_tid = UADDR(ca.child_tid);
	a.parent_tid = UADDR(ca.parent_tid);
	a.pidfd = UADDR(ca.pidfd);
	return task_clone(t, &a);
}

SYSCALL1(exit, int, code)
{
	task_exit(t, (code & 0xff) << 8);
	return 0;
}

SYSCALL1(exit_group, int, code)
{
	task_exit_group(t, (code & 0xff) << 8);
	return 0;
}

SYSCALL1(set_tid_address, uaddr_t, tidptr)
{
	t->clear_child_tid = tidptr.a;
	return t->ctx.tid;
}

SYSCALL1(unshare, u64, flags)
{
	if ((flags & TASK_CLONE_NEW) && !(flags & CLONE_NEWUSER) &&
	    !creds_capable(t->ctx.creds, CAP_SYS_ADMIN))
		return -EPERM;
	if (flags & ~(u64)(CLONE_FS | CLONE_FILES | CLONE_NEWUTS | CLONE_NEWNS | CLONE_VM |
	                   CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM))
		return -EINVAL;
	if (flags & (CLONE_VM | CLONE_SIGHAND | CLONE_THREAD)) {
		u32 live;

		mutex_lock(&t->kernel->tasks_lock);
		live = t->tg->n_live;
		mutex_unlock(&t->kernel->tasks_lock);
		if (live > 1)
			return -EINVAL;
	}
	if (flags & (CLONE_FS | CLONE_NEWNS)) {
		struct fs_context *old = t->ctx.fs, *new = fs_context_copy(old);

		mutex_lock(&t->lock);
		t->ctx.fs = new;
		mutex_unlock(&t->lock);
		obj_put(old);
		if (flags & CLONE_NEWNS) {
			int r = fs_new_mount_ns(new, t->kernel);

			if (r < 0)
				return r;
		}
	}
	if ((flags & CLONE_FILES) && fd_table_users(t->ctx.fds) > 1) {
		struct fd_table *old = t->ctx.fds, *new = fd_table_copy(old);

		fd_table_use(new);
		mutex_lock(&t->lock);
		t->ctx.fds = new;
		mutex_unlock(&t->lock);
		fd_table_unuse(old, &t->ctx);
		obj_put(old);
	}
	if (flags & CLONE_NEWUTS)
		task_set_utsns(t, utsns_copy(t->utsns, kernel_new_ns_ino(t->kernel)));
	return 0;
}
