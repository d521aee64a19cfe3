/* epoll_create, epoll_ctl, epoll_wait and their kin. */
#include "sentry/syscall/sysarg.h"
#include "sentry/syscall/sysmask.h"
#include "sentry/vfs/epoll.h"
#include "sentry/vfs/fd_table.h"
#include "state/base/cleanup.h"

SYSCALL1(epoll_create1, int, flags)
{
	AUTO(file) f = NULL;

	if (flags & ~EPOLL_CLOEXEC)
		return -EINVAL;
	f = epoll_create_file(&t->ctx);
	return fd_install(&t->ctx, f, 0, (flags & EPOLL_CLOEXEC) != 0);
}

SYSCALL1(epoll_create, int, size)
{
	AUTO(file) f = NULL;

	if (size <= 0)
		return -EINVAL;
	f = epoll_create_file(&t->ctx);
	return fd_install(&t->ctx, f, 0, false);
}

SYSCALL4(epoll_ctl, int, epfd, int, op, int, fd, uaddr_t, event)
{
	struct ctx *c = &t->ctx;
	struct epoll_event ev = {0};
	AUTO(file) epf = NULL;
	AUTO(file) f = NULL;
	int r = 0;

	if (op != EPOLL_CTL_DEL)
		r = user_get(c, event, &ev);
	if (r == 0)
		r = fd_get(c, epfd, &epf);
	if (r == 0)
		r = fd_get(c, fd, &f);
	if (r < 0)
		return r;
	return epoll_control(epf, op, fd, f, &ev);
}

static long do_epoll_wait(struct task *t, int epfd, uaddr_t events, int max, struct deadline d)
{
	AUTO(file) epf = NULL;
	int r = fd_get(&t->ctx, epfd, &epf);

	if (r < 0)
		return r;
	return epoll_wait_events(epf, &t->ctx, events, max, d);
}

static struct deadline ms_deadline(struct ctx *c, int ms)
{
	return ctx_deadline(c, ms < 0 ? -1 : ms * NSEC_PER_MSEC);
}

SYSCALL4(epoll_wait, int, epfd, uaddr_t, events, int, max, int, timeout_ms)
{
	return do_epoll_wait(t, epfd, events, max, ms_deadline(&t->ctx, timeout_ms));
}

SYSCALL6(epoll_pwait, int, epfd, uaddr_t, events, int, max, int, timeout_ms, uaddr_t, mask, size_t,
         mask_size)
{
	int r = sysarg_temp_mask(t, mask, mask_size);

	if (r < 0)
		return r;
	return do_epoll_wait(t, epfd, events, max, ms_deadline(&t->ctx, timeout_ms));
}

SYSCALL6(epoll_pwait2, int, epfd, uaddr_t, events, int, max, uaddr_t, ts_addr, uaddr_t, mask,
         size_t, mask_size)
{
	struct deadline d;
	int r = sysarg_timeout(&t->ctx, ts_addr, &d);

	if (r == 0)
		r = sysarg_temp_mask(t, mask, mask_size);
	if (r < 0)
		return r;
	return do_epoll_wait(t, epfd, events, max, d);
}
