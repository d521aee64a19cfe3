/* The usual blocking transfer. */
#include "sentry/vfs/file.h"

static void waiter_drop(struct ctx_waiter *cw)
{
	waitq_remove(&cw->w);
}

long file_block(struct file *f, struct ctx *c, struct waitq *q, u32 events,
                long (*op)(struct file *f, struct ctx *c, void *arg), void *arg)
{
	__attribute__((cleanup(waiter_drop))) struct ctx_waiter cw = {0};
	long r = op(f, c, arg);

	(void)events;
	if (r != -EAGAIN || file_nonblock(f))
		return r;
	ctx_waiter_init(&cw, c);
	waitq_add(q, &cw.w);
	for (;;) {
		int s;

		ctx_prepare(c);
		r = op(f, c, arg);
		if (r != -EAGAIN)
			return r;
		s = ctx_sleep(c, NEVER);
		if (s < 0)
			return s;
	}
}
