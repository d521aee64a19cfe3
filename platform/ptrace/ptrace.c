/* The ptrace platform: runs anywhere, slow and simple; the reference for the others. */
#include "platform/placement.h"
#include "platform/fpstate_x86_64.h"
#include "platform/ptrace/ptrace.h"
#include "platform/stub/filter.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Containers and hosts may forbid it in many ways: try. */
static int try_ptrace(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, 0L, 0, NULL, NULL, 0);
	int r = 0;

	if (pid < 0)
		return -errno;
	if (pid == 0)
		for (;;)
			pause();
	if (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_EXITKILL) < 0)
		r = -errno;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	return r;
}

static int probe(const char **ret_why)
{
	u64 features;
	u32 size, notify = SECCOMP_RET_USER_NOTIF;
	int r;

	r = fpstate_probe(&features, &size);
	if (r < 0) {
		*ret_why = "the CPU has no XSAVE, or more vector state than stasis can carry";
		return r;
	}
	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &notify) < 0) {
		*ret_why = "the host has no seccomp user notification (Linux 5.0)";
		return -EOPNOTSUPP;
	}
	r = try_ptrace();
	if (r < 0)
		*ret_why = "the host does not let us trace our own children";
	return r;
}

static void destroy(struct platform *base)
{
	struct pt_platform *p = pt_platform(base);

	stub_host_destroy(p->host);
	free(p);
}

static int create(const struct platform_ops *ops, struct platform **ret)
{
	static const int traps[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
	struct sock_filter prog[STUB_FILTER_MAX];
	struct stub_setup setup = {
		.filter = prog,
		.guest_filter = prog,
		.handler = STUB_ADDR(stub_blob_handler),
		.handler_flags = SA_SIGINFO | SA_NODEFER,
		.signals = traps,
		.n_signals = ARRAY_SIZE(traps),
	};
	struct pt_platform *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->base.ops = ops;
	p->base.max_user_addr = STUB_BASE;
	p->base.min_user_addr = STUB_USER_MIN;
	r = fpstate_probe(&p->base.xfeatures, &p->base.fpstate_size);
	if (r == 0) {
		setup.filter_len = stub_filter(NULL, 0, prog);
		r = stub_host_create(&setup, &p->host);
	}
	if (r < 0) {
		free(p);
		return r;
	}
	*ret = &p->base;
	return 0;
}

static int new_aspace(struct platform *p, struct aspace **ret)
{
	struct pt_aspace *as = calloc(1, sizeof(*as));
	int r;

	if (!as)
		return -ENOMEM;
	as->base.platform = p;
	LIST_INIT(&as->vehicles);
	r = stub_start(pt_platform(p)->host, &as->stub);
	if (r < 0) {
		free(as);
		return r;
	}
	*ret = &as->base;
	return 0;
}

static void aspace_end(struct aspace *base)
{
	struct pt_aspace *as = pt_aspace(base);

	pt_vehicles_end(as);
	stub_reap(&as->stub);
	free(as);
}

static int map_files(struct aspace *as, const struct aspace_map *maps, u32 n, u32 *ret_done)
{
	return stub_map_files(&pt_aspace(as)->stub, maps, n, ret_done);
}

static bool is_mapped(struct aspace *as, u64 addr, u64 len)
{
	return stub_maps(&pt_aspace(as)->stub, addr, len);
}

static int unmap(struct aspace *as, u64 addr, u64 len)
{
	return stub_unmap(&pt_aspace(as)->stub, addr, len);
}

static int protect(struct aspace *as, u64 addr, u64 len, int prot)
{
	return stub_protect(&pt_aspace(as)->stub, addr, len, prot);
}

static s64 cpu_time(struct aspace *as)
{
	return stub_cpu_time(&pt_aspace(as)->stub);
}

static int pre_fork(struct aspace *a)
{
	return stub_pre_fork(&pt_aspace(a)->stub);
}

static int post_fork(struct aspace *a)
{
	return stub_post_fork(&pt_aspace(a)->stub);
}

static int new_context(struct platform *p, struct context **ret)
{
	struct pt_context *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->base.platform = p;
	mutex_init(&c->kick_lock, RANK_LEAF);
	LIST_INIT(&c->vehicles);
	c->fp_state = PT_FP_CACHE;
	fpstate_init(p, &c->fp);
	*ret = &c->base;
	return 0;
}

static void context_end(struct context *base)
{
	struct pt_context *c = pt_context(base);

	pt_vehicles_drop(c);
	free(c);
}

static int pull_fpstate(struct context *base, struct fpstate *ret_fp)
{
	struct pt_context *c = pt_context(base);
	int r = pt_fp_pull(c);

	if (r < 0)
		return r;
	*ret_fp = c->fp;
	return 0;
}

static int push_fpstate(struct context *base, const struct fpstate *fp)
{
	struct pt_context *c = pt_context(base);

	c->fp = *fp;
	fpstate_clean(base->platform, &c->fp);
	c->fp_state = PT_FP_CACHE;
	return 0;
}

static const struct platform_syscall syscalls[] = {
	STUB_SYSCALLS,
	PLACEMENT_SYSCALLS,
	{SYS_ptrace, 1, PTRACE_SEIZE},
	{SYS_ptrace, 1, PTRACE_INTERRUPT},
	{SYS_ptrace, 1, PTRACE_DETACH},
	{SYS_ptrace, 1, PTRACE_SYSEMU},
	{SYS_ptrace, 1, PTRACE_SINGLESTEP},
	{SYS_ptrace, 1, PTRACE_SETSIGMASK},
	{SYS_ptrace, 1, PTRACE_GETSIGINFO},
	{SYS_ptrace, 1, PTRACE_GET_SYSCALL_INFO},
	{SYS_ptrace, 1, PTRACE_GETREGSET},
	{SYS_ptrace, 1, PTRACE_SETREGSET},
	{SYS_ptrace, 1, PTRACE_PEEKDATA},
	/* Kicks: to threads of stubs, with ids that no filter can know. */
	{SYS_tgkill, 3, PT_KICK},
	{SYS_clock_nanosleep},
	{-1},
};

const struct platform_ops ptrace_ops = {
	.name = "ptrace",
	.syscalls = syscalls,
	.probe = probe,
	.create = create,
	.destroy = destroy,
	.new_aspace = new_aspace,
	.aspace_release = aspace_end,
	.map_files = map_files,
	.maps = is_mapped,
	.unmap = unmap,
	.protect = protect,
	.pre_fork = pre_fork,
	.post_fork = post_fork,
	.cpu_time = cpu_time,
	.new_context = new_context,
	.context_release = context_end,
	.switch_to = pt_switch,
	.kick = pt_kick,
	.pull_fpstate = pull_fpstate,
	.push_fpstate = push_fpstate,
};
