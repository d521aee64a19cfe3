/* execve(2), execveat(2). */
#include "sentry/kernel/task_run.h"
#include "sentry/loader/loader.h"
#include "sentry/syscall/sysarg.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/namei.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What argv and envp may take together: a quarter of the stack limit, between 128 KiB and 6 MiB
 * (execve(2), "Limits on size of arguments and environment"). */
static size_t args_limit(struct task *t)
{
	u64 stack = task_rlimit(t, RLIMIT_STACK);

	u64 quarter = MIN(stack / 4, 6 * MIB);

	return (size_t)MAX(quarter, 128 * KIB);
}

static long do_exec(struct task *t, int dirfd, uaddr_t upath, uaddr_t uargv, uaddr_t uenvp,
                    int flags)
{
	struct strings argv = {0}, envp = {0};
	size_t total = args_limit(t);
	AUTO(file) exe = NULL;
	AUTO_FREE char *path = NULL;
	AUTO_FREE char *shown = NULL;
	char *given;
	long r;

	if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return -EINVAL;
	r = user_get_path(&t->ctx, upath, &path);
	if (r < 0)
		return r;
	r = path_open_exec(&t->ctx, dirfd, path, flags, &exe);
	if (r < 0)
		return r;
	given = path;
	if (dirfd != AT_FDCWD && path[0] != '/') {
		if (asprintf(&shown, path[0] ? "/dev/fd/%d/%s" : "/dev/fd/%d", dirfd, path) < 0)
			return -ENOMEM;
		given = shown;
	}
	r = strings_from_user(&t->ctx, uargv, &total, &argv);
	if (r == 0)
		r = strings_from_user(&t->ctx, uenvp, &total, &envp);
	/* Linux 5.18 and later: an empty argv becomes { "" }. */
	if (r == 0 && argv.n == 0)
		strings_prepend(&argv, "");
	if (r == 0)
		r = task_exec(t, exe, given, &argv, &envp);
	strings_finish(&argv);
	strings_finish(&envp);
	return r;
}

SYSCALL3(execve, uaddr_t, path, uaddr_t, argv, uaddr_t, envp)
{
	return do_exec(t, AT_FDCWD, path, argv, envp, 0);
}

SYSCALL5(execveat, int, dirfd, uaddr_t, path, uaddr_t, argv, uaddr_t, envp, int, flags)
{
	return do_exec(t, dirfd, path, argv, envp, flags);
}
