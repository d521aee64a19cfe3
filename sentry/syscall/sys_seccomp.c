/* seccomp(2), and prctl(2)'s older ways to the same. */
#include "sentry/kernel/seccomp.h"
#include "sentry/syscall/sys_seccomp.h"
#include "sentry/syscall/sysarg.h"
#include "state/base/cleanup.h"

#include <linux/seccomp.h>
#include <stdlib.h>

/* All decide for the filter that is set; nobody can listen to it, so there is no NEW_LISTENER. */
#define FILTER_FLAGS                                                                            \
	(SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW | \
	 SECCOMP_FILTER_FLAG_TSYNC_ESRCH)

long seccomp_set_filter(struct task *t, u64 flags, uaddr_t uprog)
{
	struct {
		u16 len;
		u8 pad[6];
		u64 insns;
	} prog;
	AUTO_FREE struct sock_filter *insns = NULL;
	int r;

	if (flags & ~(u64)FILTER_FLAGS)
		return -EINVAL;
	r = user_get(&t->ctx, uprog, &prog);
	if (r < 0)
		return r;
	if (prog.len == 0 || prog.len > BPF_MAXINSNS)
		return -EINVAL;
	insns = calloc(prog.len, sizeof(*insns));
	if (!insns)
		return -ENOMEM;
	r = user_copy_in(&t->ctx, insns, UADDR(prog.insns), prog.len * sizeof(*insns));
	return r < 0 ? r : seccomp_attach(t, TAKE(insns), prog.len, flags);
}

static long action_avail(struct task *t, uaddr_t uaction)
{
	u32 action;
	int r = user_get_u32(&t->ctx, uaction, &action);

	if (r < 0)
		return r;
	switch (action) {
	case SECCOMP_RET_KILL_PROCESS:
	case SECCOMP_RET_KILL_THREAD:
	case SECCOMP_RET_TRAP:
	case SECCOMP_RET_ERRNO:
	case SECCOMP_RET_TRACE:
	case SECCOMP_RET_LOG:
	case SECCOMP_RET_ALLOW:
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

SYSCALL3(seccomp, u32, op, u32, flags, uaddr_t, args)
{
	switch (op) {
	case SECCOMP_SET_MODE_STRICT:
		return flags || !uaddr_null(args) ? -EINVAL : seccomp_set_strict(t);
	case SECCOMP_SET_MODE_FILTER:
		return seccomp_set_filter(t, flags, args);
	case SECCOMP_GET_ACTION_AVAIL:
		return flags ? -EINVAL : action_avail(t, args);
	default:
		return -EINVAL;
	}
}
