/* The platform's operations. */
#include "platform/placement.h"
#include "platform/systrap/systrap.h"
#include "platform/fpstate_x86_64.h"
#include "platform/regs_x86_64.h"
#include "platform/stub/filter.h"
#include "state/base/bug.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>

STUB_BLOB_SYM(systrap_handler);

#define HWCAP2_FSGSBASE_BIT 2
#define X86_GP              13

static const struct platform_syscall st_syscalls[] = {
	STUB_SYSCALLS,
	PLACEMENT_SYSCALLS,
	/* Kicks, and looks whether a thread is there. */
	{SYS_tgkill, 3, SYSTRAP_KICK},
	{SYS_tgkill, 3, 0},
	{SYS_fallocate},
	{-1},
};

static int st_probe(const char **ret_why)
{
	u64 features;
	u32 size;

	if (fpstate_probe(&features, &size) < 0) {
		*ret_why = "the CPU has no XSAVE, or more vector state than stasis can carry";
		return -EOPNOTSUPP;
	}
	if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT)) {
		*ret_why = "the host lacks the FSGSBASE instructions (Linux 5.9 on Ivy Bridge or "
			   "later)";
		return -ENOSYS;
	}
	return 0;
}

static void st_destroy(struct platform *pl)
{
	struct st_platform *p = st_platform(pl);

	st_pool_drain(p);
	stub_host_destroy(p->host);
	st_code_destroy(p);
	if (p->slots != MAP_FAILED)
		munmap(p->slots, (u64)STUB_MAX_SLOTS * STUB_SLOT_SIZE);
	if (p->slots_fd >= 0)
		close(p->slots_fd);
	free(p->free);
	free(p);
}

static int st_create(const struct platform_ops *ops, struct platform **ret)
{
	static const int extra[] = {SYS_rt_sigreturn, SYS_sigaltstack, SYS_rt_sigprocmask,
	                            SYS_seccomp};
	static const int signals[] = {SIGSYS, SIGSEGV, SIGBUS,      SIGFPE,
	                              SIGILL, SIGTRAP, SYSTRAP_KICK};
	const u64 size = (u64)STUB_MAX_SLOTS * STUB_SLOT_SIZE;
	struct sock_filter filter[STUB_FILTER_MAX], guest[CTRL_GUEST_INSNS];
	struct stub_setup setup = {
		.filter = filter,
		.guest_filter = guest,
		.handler = STUB_ADDR(stub_blob_systrap_handler),
		.handler_flags = SA_SIGINFO | SA_ONSTACK,
		.handler_mask = ~0ull,
		.signals = signals,
		.n_signals = ARRAY_SIZE(signals),
	};
	struct st_platform *p = calloc(1, sizeof(*p));
	cpu_set_t cpus;
	int r;

	if (!p)
		return -ENOMEM;
	p->base.ops = ops;
	p->slots = MAP_FAILED;
	p->slots_fd = -1;
	p->code = MAP_FAILED;
	p->code_fd = -1;
	mutex_init(&p->lock, RANK_PLATFORM);
	p->ncpu = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? (unsigned)CPU_COUNT(&cpus) : 1;
	st_calibrate(p);
	p->base.max_user_addr = STUB_BASE;
	p->base.min_user_addr = STUB_USER_MIN;
	if (fpstate_probe(&p->base.xfeatures, &p->base.fpstate_size) < 0) {
		free(p);
		return -EOPNOTSUPP;
	}
	p->free = calloc(STUB_MAX_SLOTS, sizeof(*p->free));
	p->slots_fd = memfd_create("stasis-slots", MFD_CLOEXEC);
	if (!p->free || p->slots_fd < 0 || ftruncate(p->slots_fd, (off_t)size) < 0 ||
	    st_code_create(p) < 0) {
		st_destroy(&p->base);
		return -ENOMEM;
	}
	p->slots = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, p->slots_fd,
	                0);
	if (p->slots == MAP_FAILED) {
		st_destroy(&p->base);
		return -ENOMEM;
	}
	setup.filter_len = stub_filter(extra, ARRAY_SIZE(extra), filter);
	setup.guest_filter_len = st_guest_filter(guest);
	BUG_ON(setup.guest_filter_len > CTRL_GUEST_INSNS);
	r = stub_host_create(&setup, &p->host);
	if (r < 0) {
		st_destroy(&p->base);
		return r;
	}
	*ret = &p->base;
	return 0;
}

static int st_new_aspace(struct platform *pl, struct aspace **ret)
{
	struct st_aspace *as = st_pool_get(st_platform(pl));
	int r;

	if (as) {
		*ret = &as->base;
		return 0;
	}
	as = calloc(1, sizeof(*as));
	if (!as)
		return -ENOMEM;
	as->base.platform = pl;
	LIST_INIT(&as->vehicles);
	st_code_init(&as->code);
	r = stub_start(st_platform(pl)->host, &as->stub);
	if (r < 0) {
		free(as);
		return r;
	}
	*ret = &as->base;
	return 0;
}

void st_aspace_destroy(struct st_aspace *as)
{
	stub_kill(&as->stub);
	/* Slots are handed to others only when the stub can't write to them any more. */
	stub_reap(&as->stub);
	st_vehicles_end(as);
	st_code_finish(st_platform(as->base.platform), &as->code);
	free(as);
}

static void st_aspace_release(struct aspace *a)
{
	struct st_aspace *as = st_aspace(a);

	if (!st_pool_put(st_platform(a->platform), as))
		st_aspace_destroy(as);
}

static int st_map_files(struct aspace *a, const struct aspace_map *maps, u32 n, u32 *ret_done)
{
	struct st_aspace *as = st_aspace(a);
	int r;
	GUARD(&as->code.lock);

	for (u32 i = 0; i < n; i++)
		st_code_forget(as, maps[i].addr, maps[i].addr + maps[i].len, true);
	r = stub_map_files(&as->stub, maps, n, ret_done);
	for (u32 i = 0; i < *ret_done; i++)
		if (!maps[i].shared && maps[i].prot == (PROT_READ | PROT_EXEC))
			st_code_text(as, maps[i].addr, maps[i].addr + maps[i].len);
	return r;
}

static bool st_maps(struct aspace *a, u64 addr, u64 len)
{
	return stub_maps(&st_aspace(a)->stub, addr, len);
}

static int st_unmap(struct aspace *a, u64 addr, u64 len)
{
	struct st_aspace *as = st_aspace(a);
	GUARD(&as->code.lock);

	st_code_forget(as, addr, addr + len, false);
	return stub_unmap(&as->stub, addr, len);
}

static int st_protect(struct aspace *a, u64 addr, u64 len, int prot)
{
	struct st_aspace *as = st_aspace(a);
	GUARD(&as->code.lock);

	if (prot != (PROT_READ | PROT_EXEC))
		st_code_forget(as, addr, addr + len, true);
	return stub_protect(&as->stub, addr, len, prot);
}

static s64 st_cpu_time(struct aspace *a)
{
	return stub_cpu_time(&st_aspace(a)->stub);
}

static int st_pre_fork(struct aspace *a)
{
	return stub_pre_fork(&st_aspace(a)->stub);
}

static int st_post_fork(struct aspace *a)
{
	return stub_post_fork(&st_aspace(a)->stub);
}

static int st_new_context(struct platform *pl, struct context **ret)
{
	struct st_context *c = aligned_alloc(64, sizeof(*c));

	if (!c)
		return -ENOMEM;
	memset(c, 0, sizeof(*c));
	c->base.platform = pl;
	mutex_init(&c->kick_lock, RANK_LEAF);
	fpstate_init(pl, &c->fp);
	c->fp_state = ST_FP_CACHE;
	*ret = &c->base;
	return 0;
}

static void st_context_release(struct context *ctx)
{
	struct st_context *c = st_context(ctx);

	st_vehicle_drop(c);
	free(c);
}

static int dead(struct st_context *c, struct exit_info *ret_exit)
{
	memset(ret_exit, 0, sizeof(*ret_exit));
	ret_exit->reason = EXIT_DEAD;
	atomic_store(&c->kicked, false);
	return 0;
}

static int end_switch(struct st_context *c, struct regs *regs, struct exit_info *ret_exit,
                      const struct regs *r, const struct exit_info *e)
{
	if (atomic_load_explicit(&c->kicked, memory_order_relaxed))
		atomic_store(&c->kicked, false);
	*regs = *r;
	*ret_exit = *e;
	return 0;
}

/* Under the lock, so that the two ids belong together. If the context left meanwhile, one more
 * signal waits for it there, which turns out to be spent. */
static void send_kick(struct st_context *c)
{
	GUARD(&c->kick_lock);
	if (c->kick_pid)
		syscall(SYS_tgkill, c->kick_pid, c->kick_tid, SYSTRAP_KICK);
}

static _Thread_local u32 self_placed = PLACEMENT_UNKNOWN;

/* To the guest and back. */
static int turn(struct st_platform *p, struct st_context *c)
{
	struct placement want = placement_next(READ_ONCE(c->v->slot->cpu));
	int r;

	placement_apply(want.self, 0, &self_placed);
	placement_apply(want.stub, c->v->tid, &c->v->placed);
	/* Either we see the kick, or the kicker sees us in the guest: the exchange of the turn lies
	 * between our store and our load, as an exchange does between the kicker's. */
	atomic_store_explicit(&c->in_guest, true, memory_order_relaxed);
	st_give(p, c->v);
	if (unlikely(atomic_load_explicit(&c->kicked, memory_order_relaxed)))
		send_kick(c);
	r = st_await(p, c, c->v);
	atomic_store_explicit(&c->in_guest, false, memory_order_relaxed);
	return r < 0 ? r : st_frame_take(c->v);
}

static int st_switch(struct context *ctx, struct aspace *a, struct regs *regs,
                     struct exit_info *ret_exit)
{
	struct st_platform *p = st_platform(ctx->platform);
	struct st_context *c = st_context(ctx);
	struct exit_info e = {.reason = EXIT_KICK};
	struct regs work = *regs;
	int r;

	work.orig_rax = ~0ull;
	if (unlikely(atomic_load(&c->kicked)))
		return end_switch(c, regs, ret_exit, &work, &e);
	r = st_vehicle_get(c, st_aspace(a));
	if (unlikely(r == -ESRCH))
		return dead(c, ret_exit);
	if (unlikely(r < 0))
		return r;
	if (unlikely(regs->rip >= USER_BASE_END)) {
		/* Returning there would fault inside the host's kernel. */
		e = (struct exit_info){.reason = EXIT_SIGNAL,
		                       .signo = SIGSEGV,
		                       .code = SI_KERNEL,
		                       .trapno = X86_GP};
		return end_switch(c, regs, ret_exit, &work, &e);
	}
	regs_clean(&work);
	if (unlikely(work.gs_base) && !atomic_load(&c->v->as->code.off))
		st_code_stop(c->v->as);
	do {
		bool new_fp = c->fp_state == ST_FP_CACHE;

		if (new_fp)
			st_frame_set_fp(p, c->v, &c->fp);
		c->fp_state = ST_FP_VEHICLE;
		st_frame_set(c->v, &work, new_fp);
		if (unlikely(c->edits))
			st_edits_show(c);
		r = turn(p, c);
		if (unlikely(r < 0)) {
			/* Its frame is beyond repair, or it is gone. */
			kill(c->v->pid, SIGKILL);
			return dead(c, ret_exit);
		}
		st_frame_get(p, c->v, &work, &e);
		if (unlikely(work.rip >= STUB_BASE || work.rip < STUB_USER_MIN ||
		             e.reason == EXIT_SIGNAL))
			st_code_settle(c, &work, &e);
		else if (e.reason == EXIT_SYSCALL && !c->v->by_call)
			st_code_trapped(c->v->as, work.rip);
		/* A kick that another exit was faster than: spent. */
	} while (unlikely(e.reason == EXIT_KICK) && !atomic_load(&c->kicked));
	return end_switch(c, regs, ret_exit, &work, &e);
}

static void st_kick(struct context *ctx)
{
	struct st_context *c = st_context(ctx);

	if (!atomic_exchange(&c->kicked, true) && atomic_load(&c->in_guest))
		send_kick(c);
}

static void st_rest(struct context *ctx)
{
	struct st_vehicle *v = st_context(ctx)->v;

	if (v && v->spin && !atomic_load_explicit(&v->dead, memory_order_relaxed))
		st_let_rest(v);
}

static int st_pull_fpstate(struct context *ctx, struct fpstate *fp)
{
	struct st_context *c = st_context(ctx);

	st_fp_pull(c);
	*fp = c->fp;
	return 0;
}

static int st_push_fpstate(struct context *ctx, const struct fpstate *fp)
{
	struct st_context *c = st_context(ctx);

	if (fp->size != ctx->platform->fpstate_size)
		return -EINVAL;
	c->fp = *fp;
	fpstate_clean(ctx->platform, &c->fp);
	c->fp_state = ST_FP_CACHE;
	return 0;
}

const struct platform_ops systrap_ops = {
	.name = "systrap",
	.syscalls = st_syscalls,
	.probe = st_probe,
	.create = st_create,
	.destroy = st_destroy,
	.new_aspace = st_new_aspace,
	.aspace_release = st_aspace_release,
	.map_files = st_map_files,
	.maps = st_maps,
	.unmap = st_unmap,
	.protect = st_protect,
	.unmap_soon = st_unmap_soon,
	.protect_soon = st_protect_soon,
	.settled = st_settled,
	.pre_fork = st_pre_fork,
	.post_fork = st_post_fork,
	.cpu_time = st_cpu_time,
	.new_context = st_new_context,
	.context_release = st_context_release,
	.switch_to = st_switch,
	.kick = st_kick,
	.rest = st_rest,
	.pull_fpstate = st_pull_fpstate,
	.push_fpstate = st_push_fpstate,
};
