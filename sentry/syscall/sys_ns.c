/* setns(2). */
#include "sentry/auth/creds.h"
#include "sentry/fs/nsfs.h"
#include "sentry/kernel/pidfd.h"
#include "sentry/kernel/pidns.h"
#include "sentry/kernel/utsns.h"
#include "sentry/syscall/sysarg.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/namei.h"
#include "state/base/cleanup.h"

#include <linux/capability.h>
#include <sched.h>

#define KINDS                                                                                 \
	(CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | 0x80u | \
	 CLONE_NEWUSER | CLONE_NEWUTS)

/* Another task has the same root and working directory. */
static bool fs_is_shared(struct task *t)
{
	GUARD(&t->kernel->tasks_lock);
	for (u32 pid = 1; pid < PID_MAX; pid++) {
		struct task *o = pid_task_locked(t->kernel->pidns, pid);

		if (o && o != t && READ_ONCE(o->ctx.fs) == t->ctx.fs)
			return true;
	}
	return false;
}

/* The caller may enter namespaces of these kinds. */
static int check(struct task *t, u32 kinds)
{
	const struct creds *cr = t->ctx.creds;

	/* There is one user namespace, and nobody enters his own. */
	if (kinds & CLONE_NEWUSER)
		return -EINVAL;
	if (!creds_capable(cr, CAP_SYS_ADMIN))
		return -EPERM;
	if (!(kinds & CLONE_NEWNS))
		return 0;
	if (!creds_capable(cr, CAP_SYS_CHROOT))
		return -EPERM;
	return fs_is_shared(t) ? -EINVAL : 0;
}

static void enter_mounts(struct task *t, struct mount_ns *ns)
{
	AUTO_PATH top = {0};

	rwlock_rdlock(&ns->lock);
	top.mount = mount_get(ns->root);
	top.dentry = dentry_get(ns->root->root);
	rwlock_unlock(&ns->lock);
	mount_cross(&top);
	fs_set_ns(t->ctx.fs, ns);
	fs_set_root(t->ctx.fs, &top);
	fs_set_cwd(t->ctx.fs, &top);
}

/* Those of all processes, by kind; of the rest there is but one. */
static int enter_those_of(struct task *t, struct file *pidfd, u32 kinds)
{
	AUTO(task) target = NULL;
	AUTO(fs_context) fs = NULL;
	AUTO(mount_ns) mnt = NULL;
	AUTO(utsns) uts = NULL;
	int r;

	if (!kinds || kinds & ~KINDS)
		return -EINVAL;
	r = pidfd_task(pidfd, &target);
	if (r < 0)
		return r;
	if (!task_may_inspect(t, target))
		return -EPERM;
	r = check(t, kinds);
	if (r < 0)
		return r;
	fs = task_get_fs(target);
	if (!fs)
		return -ESRCH;
	mnt = fs_mount_ns(fs);
	uts = task_get_utsns(target);
	if (kinds & CLONE_NEWUTS)
		task_set_utsns(t, TAKE(uts));
	if (kinds & CLONE_NEWNS)
		enter_mounts(t, mnt);
	return 0;
}

SYSCALL2(setns, int, fd, u32, kinds)
{
	AUTO(file) f = NULL;
	struct ns_inode *n;
	int r = fd_get(&t->ctx, fd, &f);

	if (r < 0)
		return r;
	if (file_is_pidfd(f))
		return enter_those_of(t, f, kinds);
	n = ns_of(f);
	if (!n || (kinds && kinds != n->kind))
		return -EINVAL;
	r = check(t, n->kind);
	if (r < 0)
		return r;
	if (n->kind == CLONE_NEWUTS)
		task_set_utsns(t, obj_get(n->uts));
	if (n->kind == CLONE_NEWNS)
		enter_mounts(t, n->mnt);
	return 0;
}
