/* pipe, pipe2, eventfd, eventfd2. */
#include "sentry/fs/eventfd.h"
#include "sentry/fs/pipe.h"
#include "sentry/syscall/sysarg.h"
#include "sentry/vfs/fd_table.h"
#include "state/base/cleanup.h"

#include <sys/eventfd.h>

static long do_pipe(struct task *t, uaddr_t fds, int flags)
{
	struct ctx *c = &t->ctx;
	AUTO(file) in = NULL;
	AUTO(file) out = NULL;
	int fd[2];
	int r;

	if (flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
		return -EINVAL;
	r = pipe_create(c, (u32)flags, &in, &out);
	if (r == 0)
		r = fd_install_pair(c, in, out, (flags & O_CLOEXEC) != 0, fd);
	if (r < 0)
		return r;
	r = user_put(c, fds, &fd);
	if (r < 0) {
		for (int i = 0; i < 2; i++)
			if (fd_close(c, fd[i]) < 0)
				continue;
	}
	return r;
}

SYSCALL1(pipe, uaddr_t, fds)
{
	return do_pipe(t, fds, 0);
}

SYSCALL2(pipe2, uaddr_t, fds, int, flags)
{
	return do_pipe(t, fds, flags);
}

SYSCALL2(eventfd2, u32, count, int, flags)
{
	AUTO(file) f = NULL;

	if (flags & ~(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE))
		return -EINVAL;
	f = eventfd_create(&t->ctx, count, flags);
	return fd_install(&t->ctx, f, 0, (flags & EFD_CLOEXEC) != 0);
}

SYSCALL1(eventfd, u32, count)
{
	AUTO(file) f = eventfd_create(&t->ctx, count, 0);

	return fd_install(&t->ctx, f, 0, false);
}
