/*
 * Which signals there are depends on who asks, so polling goes by the calling task. All signalfds
 * of a sandbox announce on one queue of the kernel: a wake only means that somebody was sent a
 * signal that was not delivered at once.
 */
#include "sentry/fs/signalfd.h"

#include "proto/events.pb-c.h"
#include "sentry/vfs/inode.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "state/base/cleanup.h"
#include "state/fields.h"

#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>

_Static_assert(sizeof(struct signalfd_siginfo) == 128, "struct signalfd_siginfo");

/* What the union of a siginfo holds (include/uapi/asm-generic/siginfo.h). */
enum layout {
	LAYOUT_KILL,
	LAYOUT_TIMER,
	LAYOUT_POLL,
	LAYOUT_FAULT,
	LAYOUT_CHLD,
	LAYOUT_RT,
	LAYOUT_SYS
};

static enum layout layout_of(const siginfo_t *i)
{
	if (i->si_code > SI_USER && i->si_code < SI_KERNEL) {
		switch (i->si_signo) {
		case SIGILL:
		case SIGFPE:
		case SIGSEGV:
		case SIGBUS:
		case SIGTRAP:
			return LAYOUT_FAULT;
		case SIGCHLD:
			return LAYOUT_CHLD;
		case SIGSYS:
			return LAYOUT_SYS;
		case SIGPOLL:
			return LAYOUT_POLL;
		}
		return i->si_code <= POLL_HUP ? LAYOUT_POLL : LAYOUT_KILL;
	}
	if (i->si_code == SI_TIMER)
		return LAYOUT_TIMER;
	if (i->si_code == SI_SIGIO)
		return LAYOUT_POLL;
	return i->si_code < 0 ? LAYOUT_RT : LAYOUT_KILL;
}

static struct signalfd_siginfo record_of(const siginfo_t *i)
{
	struct signalfd_siginfo s;

	memset(&s, 0, sizeof(s));
	s.ssi_signo = (u32)i->si_signo;
	s.ssi_errno = i->si_errno;
	s.ssi_code = i->si_code;
	switch (layout_of(i)) {
	case LAYOUT_KILL:
		s.ssi_pid = (u32)i->si_pid;
		s.ssi_uid = i->si_uid;
		break;
	case LAYOUT_TIMER:
		s.ssi_tid = (u32)i->si_timerid;
		s.ssi_overrun = (u32)i->si_overrun;
		s.ssi_ptr = (u64)(uintptr_t)i->si_value.sival_ptr;
		s.ssi_int = i->si_value.sival_int;
		break;
	case LAYOUT_POLL:
		s.ssi_band = (u32)i->si_band;
		s.ssi_fd = i->si_fd;
		break;
	case LAYOUT_FAULT:
		s.ssi_addr = (u64)(uintptr_t)i->si_addr;
		if (i->si_signo == SIGBUS)
			s.ssi_addr_lsb = (u16)i->si_addr_lsb;
		break;
	case LAYOUT_CHLD:
		s.ssi_pid = (u32)i->si_pid;
		s.ssi_uid = i->si_uid;
		s.ssi_status = i->si_status;
		s.ssi_utime = (u64)i->si_utime;
		s.ssi_stime = (u64)i->si_stime;
		break;
	case LAYOUT_RT:
		s.ssi_pid = (u32)i->si_pid;
		s.ssi_uid = i->si_uid;
		s.ssi_ptr = (u64)(uintptr_t)i->si_value.sival_ptr;
		s.ssi_int = i->si_value.sival_int;
		break;
	case LAYOUT_SYS:
		s.ssi_call_addr = (u64)(uintptr_t)i->si_call_addr;
		s.ssi_syscall = i->si_syscall;
		s.ssi_arch = i->si_arch;
		break;
	}
	return s;
}

static u64 mask_of(struct file *f)
{
	return atomic_load(&((struct signalfd *)f)->mask);
}

static long try_read(struct file *f, struct ctx *c, void *arg)
{
	u64 mask = mask_of(f);

	/* An empty set would mean all signals that are not blocked. */
	if (!mask || !signal_dequeue(ctx_task(c), mask, arg))
		return -EAGAIN;
	return 1;
}

static long sfd_read(struct file *f, struct ctx *c, struct uiter *dst, s64 *pos)
{
	size_t room = uiter_count(dst) / sizeof(struct signalfd_siginfo);
	siginfo_t info;
	long done = 0;

	if (room == 0)
		return -EINVAL;
	while (room-- > 0) {
		struct signalfd_siginfo rec;
		long r = done ? try_read(f, c, &info)
		              : file_block(f, c, &ctx_task(c)->signal_wait, READY_IN, try_read,
		                           &info);

		if (r < 0)
			return done ? done : r;
		rec = record_of(&info);
		r = uiter_copy_out(dst, &rec, sizeof(rec));
		if (r != sizeof(rec))
			return done ? done : -EFAULT;
		done += (long)sizeof(rec);
	}
	return done;
}

static u32 signalfd_poll(struct file *f, struct poll_table *pt)
{
	struct signalfd *s = (struct signalfd *)f;
	struct ctx *c = ctx_current();
	u64 mask = mask_of(f), pending;
	struct task *t;

	if (s->kernel)
		poll_add(pt, &s->kernel->signalfd_wait);
	/* While a sandbox is loaded nobody in particular asks: each waiter looks for itself. */
	if (!c)
		return READY_IN;
	t = ctx_task(c);
	GUARD(&t->tg->lock);
	pending = t->pending.pending | t->tg->shared.pending;
	return pending & mask ? READY_IN : 0;
}

static void signalfd_fdinfo(struct file *f, char *buf, size_t size)
{
	snprintf(buf, size, "sigmask:\t%016llx\n", (unsigned long long)mask_of(f));
}

static void signalfd_link_name(struct file *f, char *buf, size_t size)
{
	snprintf(buf, size, "anon_inode:[signalfd]");
}

static const struct file_ops signalfd_ops = {
	.id = {.describe = file_describe},
	.read = sfd_read,
	.llseek = file_llseek_nowhere,
	.poll = signalfd_poll,
	.fdinfo = signalfd_fdinfo,
	.link_name = signalfd_link_name,
};

struct file *signalfd_create(struct ctx *c, u64 mask, int flags)
{
	struct signalfd *s = obj_new(signalfd);
	AUTO(inode) inode = anon_inode_new(c->kernel, 0600);

	file_setup(&s->file, O_RDWR | (flags & SFD_NONBLOCK), NULL, inode);
	s->kernel = c->kernel;
	atomic_store(&s->mask, mask & ~SIGSET_UNBLOCKABLE);
	return &s->file;
}

int signalfd_set_mask(struct file *f, u64 mask)
{
	struct signalfd *s = obj_cast(signalfd, f);

	if (!s)
		return -EINVAL;
	atomic_store(&s->mask, mask & ~SIGSET_UNBLOCKABLE);
	/* What is pending may be of the new set. */
	waitq_wake(&s->kernel->signalfd_wait, READY_IN);
	return 0;
}

static int signalfd_after_load(struct loader *l, void *o)
{
	return ((struct signalfd *)o)->kernel ? 0 : loader_error(l, "signalfd without a kernel");
}

#define SIGNALFD_FIELDS(F) F(BASE, file, file) F(WEAK, kernel, kernel) F(ATOMIC, mask)
OBJECT_TYPE(signalfd, Sentry__Signalfd, sentry__signalfd__descriptor, SIGNALFD_FIELDS,
            .base = &file_type, .ops = &signalfd_ops, .after_load = signalfd_after_load);
