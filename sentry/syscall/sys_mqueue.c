/* mq_open(2) and its kin. */
#include "sentry/fs/mqueue/mqueue.h"
#include "sentry/net/netlink/netlink.h"
#include "sentry/syscall/sysarg.h"
#include "sentry/vfs/fd_table.h"
#include "state/base/cleanup.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>

SYSCALL4(mq_open, uaddr_t, uname, int, flags, u32, mode, uaddr_t, uattr)
{
	char name[DENTRY_NAME_MAX + 2];
	struct mq_attr attr;
	AUTO(file) f = NULL;
	int r;

	if (!uaddr_null(uattr)) {
		r = user_get(&t->ctx, uattr, &attr);
		if (r < 0)
			return r;
	}
	r = user_get_str(&t->ctx, uname, name, sizeof(name));
	if (r < 0)
		return r;
	r = mq_open_file(&t->ctx, name, flags, mode, uaddr_null(uattr) ? NULL : &attr, &f);
	return r < 0 ? r : fd_install(&t->ctx, f, 0, (flags & O_CLOEXEC) != 0);
}

SYSCALL1(mq_unlink, uaddr_t, uname)
{
	char name[DENTRY_NAME_MAX + 2];
	int r = user_get_str(&t->ctx, uname, name, sizeof(name));

	return r < 0 ? r : mq_unlink_name(&t->ctx, name);
}

static int get_deadline(struct task *t, uaddr_t utime, struct deadline *ret)
{
	struct timespec ts;
	int r;

	*ret = NEVER;
	if (uaddr_null(utime))
		return 0;
	r = user_get(&t->ctx, utime, &ts);
	if (r < 0)
		return r;
	if (!timespec_valid(&ts))
		return -EINVAL;
	*ret = (struct deadline){CLOCK_REALTIME, timespec_ns(&ts)};
	return 0;
}

static int get_queue(struct task *t, int fd, struct file **ret)
{
	AUTO(file) f = NULL;
	int r = fd_get(&t->ctx, fd, &f);

	if (r < 0)
		return r;
	if (!mq_of(f))
		return -EBADF;
	*ret = TAKE(f);
	return 0;
}

SYSCALL5(mq_timedsend, int, fd, uaddr_t, data, size_t, len, u32, priority, uaddr_t, utime)
{
	AUTO_FREE struct mq_message *m = NULL;
	AUTO(file) f = NULL;
	struct deadline d;
	int r = get_deadline(t, utime, &d);

	if (r < 0)
		return r;
	if (priority >= MQ_PRIORITIES)
		return -EINVAL;
	r = get_queue(t, fd, &f);
	if (r < 0)
		return r;
	if (!file_writable(f))
		return -EBADF;
	if (len > mq_of(f)->max_size)
		return -EMSGSIZE;
	m = mq_message_new((u32)len);
	m->priority = priority;
	r = user_copy_in(&t->ctx, m->data, data, len);
	return r < 0 ? r : mq_send_message(f, &t->ctx, &m, d);
}

SYSCALL5(mq_timedreceive, int, fd, uaddr_t, data, size_t, len, uaddr_t, upriority, uaddr_t, utime)
{
	AUTO_FREE struct mq_message *m = NULL;
	AUTO(file) f = NULL;
	struct deadline d;
	int r = get_deadline(t, utime, &d);

	if (r == 0)
		r = get_queue(t, fd, &f);
	if (r == 0)
		r = mq_receive_message(f, &t->ctx, len, d, &m);
	if (r < 0)
		return r;
	if (!uaddr_null(upriority) && user_put_u32(&t->ctx, upriority, m->priority) < 0)
		return -EFAULT;
	r = user_copy_out(&t->ctx, data, m->data, m->len);
	return r < 0 ? r : (long)m->len;
}

/* SIGEV_THREAD, of which the library makes this: the signal is a netlink socket, whose reader has
 * the thread run, and the value a cookie by which it knows what for. */
static int get_cookie(struct task *t, const struct sigevent *sev, struct mq_notice *n,
                      struct file **ret_file)
{
	AUTO(file) f = NULL;
	int r = user_copy_in(&t->ctx, n->cookie, UADDR((u64)(uintptr_t)sev->sigev_value.sival_ptr),
	                     sizeof(n->cookie));

	if (r == 0)
		r = fd_get(&t->ctx, sev->sigev_signo, &f);
	if (r < 0)
		return r;
	n->sock = sock_of(f);
	if (!n->sock)
		return -ENOTSOCK;
	if (n->sock->family != AF_NETLINK)
		return -EINVAL;
	/* Where Linux waits for the reader: what is told is never dropped, so it is not promised.
	 */
	if (!netlink_has_room(n->sock))
		return -EAGAIN;
	*ret_file = TAKE(f);
	return 0;
}

SYSCALL2(mq_notify, int, fd, uaddr_t, usev)
{
	AUTO(file) f = NULL;
	AUTO(file) listener = NULL;
	struct mq_notice notice = {0};
	struct sigevent sev;
	int r;

	if (!uaddr_null(usev)) {
		r = user_get(&t->ctx, usev, &sev);
		if (r < 0)
			return r;
		switch (sev.sigev_notify) {
		case SIGEV_NONE:
			break;
		case SIGEV_SIGNAL:
			if (sev.sigev_signo < 1 || sev.sigev_signo > SIGNAL_MAX)
				return -EINVAL;
			notice.signo = (u32)sev.sigev_signo;
			notice.value = (u64)(uintptr_t)sev.sigev_value.sival_ptr;
			break;
		case SIGEV_THREAD:
			r = get_cookie(t, &sev, &notice, &listener);
			if (r < 0)
				return r;
			break;
		default:
			return -EINVAL;
		}
	}
	r = get_queue(t, fd, &f);
	if (r < 0)
		return r;
	if (uaddr_null(usev)) {
		mq_unregister(mq_of(f), t->ctx.tgid);
		return 0;
	}
	return mq_register(f, &t->ctx, &notice);
}

SYSCALL3(mq_getsetattr, int, fd, uaddr_t, unew, uaddr_t, uold)
{
	struct mq_attr new, old = {0};
	AUTO(file) f = NULL;
	struct mq_inode *q;
	int r;

	if (!uaddr_null(unew)) {
		r = user_get(&t->ctx, unew, &new);
		if (r < 0)
			return r;
		if (new.mq_flags & ~(long)O_NONBLOCK)
			return -EINVAL;
	}
	r = get_queue(t, fd, &f);
	if (r < 0)
		return r;
	q = mq_of(f);
	old.mq_flags = file_flags(f) & O_NONBLOCK;
	old.mq_maxmsg = q->max_messages;
	old.mq_msgsize = q->max_size;
	mutex_lock(&q->lock);
	old.mq_curmsgs = q->count;
	mutex_unlock(&q->lock);
	if (!uaddr_null(unew)) {
		if (new.mq_flags & O_NONBLOCK)
			atomic_fetch_or(&f->flags, O_NONBLOCK);
		else
			atomic_fetch_and(&f->flags, ~(u32)O_NONBLOCK);
	}
	return uaddr_null(uold) ? 0 : user_put(&t->ctx, uold, &old);
}
