/* /proc/PID/loginuid and sessionid: whose login a task descends from, as PAM writes it down. */
#include "sentry/auth/creds.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/usercopy.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>

#define UNSET UINT32_MAX
/* Linux looks at no more of what is written. */
#define TEXT_MAX 34

PROC_SHOW(proc_pid_loginuid)
{
	AUTO(task) task = proc_task(&i->key, c);

	if (!task)
		return -ESRCH;
	text_printf(t, "%u", ~READ_ONCE(task->login_uid));
	return 0;
}

PROC_SHOW(proc_pid_sessionid)
{
	AUTO(task) task = proc_task(&i->key, c);

	if (!task)
		return -ESRCH;
	text_printf(t, "%u", ~READ_ONCE(task->login_session));
	return 0;
}

/* A number that no u64 holds is out of range whatever follows it. */
static int parse(const char *s, u32 *ret)
{
	u64 v = 0;

	s += *s == '+';
	if (*s < '0' || *s > '9')
		return -EINVAL;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *s - '0', &v))
			return -ERANGE;
	s += *s == '\n';
	if (*s)
		return -EINVAL;
	if (v > UINT32_MAX)
		return -ERANGE;
	*ret = (u32)v;
	return 0;
}

/* A task writes its own, and who has one needs a capability for another. */
long proc_pid_loginuid_write(struct pseudo_inode *i, struct ctx *c, struct uiter *src, s64 *pos)
{
	AUTO(task) t = proc_task(&i->key, c);
	size_t count = uiter_count(src);
	char buf[TEXT_MAX + 1];
	u32 uid, session = UNSET;
	long r;

	if (!t || t != ctx_task(c))
		return -EPERM;
	if (*pos != 0)
		return -EINVAL;
	r = uiter_copy_in(src, buf, MIN(count, (size_t)TEXT_MAX));
	if (r < 0)
		return r;
	buf[r] = 0;
	r = parse(buf, &uid);
	if (r < 0)
		return r;
	if (t->login_uid && !creds_capable(c->creds, CAP_AUDIT_CONTROL))
		return -EPERM;
	while (uid != UNSET && session == UNSET)
		session = atomic_fetch_add(&t->kernel->login_sessions, 1) + 1;
	WRITE_ONCE(t->login_session, ~session);
	WRITE_ONCE(t->login_uid, ~uid);
	return (long)count;
}
