/* Finds platforms by name and wraps their ops: what every platform may rely on is checked here. */
#include "platform/platform.h"
#include "platform/placement.h"
#include "platform/runnable.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

extern const struct platform_ops null_ops;
extern const struct platform_ops ptrace_ops;
extern const struct platform_ops systrap_ops;

/* Those for unit tests last. */
static const struct platform_ops *const platforms[] = {&systrap_ops, &ptrace_ops, &null_ops};

atomic_int g_runnable;

const struct platform_ops *platform_find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(platforms); i++)
		if (strcmp(platforms[i]->name, name) == 0)
			return platforms[i];
	return NULL;
}

const char *platform_name(unsigned i)
{
	return i < ARRAY_SIZE(platforms) && !platforms[i]->scripted ? platforms[i]->name : NULL;
}

int platform_create(const struct platform_ops *ops, struct platform **ret)
{
	placement_init(ops == &systrap_ops);
	return ops->create(ops, ret);
}

void platform_destroy(struct platform *p)
{
	if (p)
		p->ops->destroy(p);
}

int aspace_create(struct platform *p, struct aspace **ret)
{
	return p->ops->new_aspace(p, ret);
}

void aspace_release(struct aspace *as)
{
	if (as)
		as->platform->ops->aspace_release(as);
}

static int check_range(const struct aspace *as, u64 addr, u64 len)
{
	const struct platform *p = as->platform;

	if (len == 0 || !IS_ALIGNED(addr, PAGE_SIZE) || !IS_ALIGNED(len, PAGE_SIZE))
		return -EINVAL;
	if (addr < p->min_user_addr || !range_ok(addr, len, p->max_user_addr))
		return -EINVAL;
	return 0;
}

static bool prot_ok(int prot)
{
	return (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC)) == 0;
}

int aspace_map_file(struct aspace *as, u64 addr, int fd, u64 off, u64 len, int prot, bool shared,
                    bool precommit)
{
	const struct aspace_map map = {addr, off, len, fd, prot, shared, precommit};
	u32 done;

	return aspace_map_files(as, &map, 1, &done);
}

int aspace_map_files(struct aspace *as, const struct aspace_map *maps, u32 n, u32 *ret_done)
{
	*ret_done = 0;
	if (n == 0 || n > ASPACE_MAPS_MAX)
		return -EINVAL;
	for (u32 i = 0; i < n; i++) {
		const struct aspace_map *m = &maps[i];

		if (check_range(as, m->addr, m->len) < 0 || !prot_ok(m->prot) ||
		    !IS_ALIGNED(m->off, PAGE_SIZE) || !range_ok(m->off, m->len, INT64_MAX))
			return -EINVAL;
	}
	return as->platform->ops->map_files(as, maps, n, ret_done);
}

bool aspace_maps(struct aspace *as, u64 addr, u64 len)
{
	return as->platform->ops->maps(as, addr, len);
}

int aspace_unmap(struct aspace *as, u64 addr, u64 len)
{
	int r = check_range(as, addr, len);

	return r < 0 ? r : as->platform->ops->unmap(as, addr, len);
}

int aspace_protect(struct aspace *as, u64 addr, u64 len, int prot)
{
	int r = check_range(as, addr, len);

	if (r < 0)
		return r;
	return prot_ok(prot) ? as->platform->ops->protect(as, addr, len, prot) : -EINVAL;
}

int aspace_unmap_soon(struct aspace *as, u64 addr, u64 len, u64 *ret_ticket)
{
	const struct platform_ops *ops = as->platform->ops;
	int r = check_range(as, addr, len);

	if (r < 0)
		return r;
	if (ops->unmap_soon)
		return ops->unmap_soon(as, addr, len, ret_ticket);
	*ret_ticket = 0;
	return ops->unmap(as, addr, len);
}

int aspace_protect_soon(struct aspace *as, u64 addr, u64 len, int prot)
{
	const struct platform_ops *ops = as->platform->ops;
	int r = check_range(as, addr, len);

	if (r < 0)
		return r;
	if (!prot_ok(prot))
		return -EINVAL;
	return ops->protect_soon ? ops->protect_soon(as, addr, len, prot)
	                         : ops->protect(as, addr, len, prot);
}

bool aspace_settled(struct aspace *as, u64 ticket)
{
	return ticket == 0 || as->platform->ops->settled(as, ticket);
}

int aspace_pre_fork(struct aspace *as)
{
	const struct platform_ops *ops = as->platform->ops;

	return ops->pre_fork ? ops->pre_fork(as) : 0;
}

int aspace_post_fork(struct aspace *as)
{
	const struct platform_ops *ops = as->platform->ops;

	return ops->post_fork ? ops->post_fork(as) : 0;
}

/* The host brings the CPU time of a thread that it runs up to date at its ticks. */
#define TICK_MAX (10 * (u64)NSEC_PER_MSEC)

u64 aspace_charge(struct aspace *as, u64 ns, bool alone)
{
	const struct platform_ops *ops = as->platform->ops;
	s64 cpu = ops->cpu_time ? ops->cpu_time(as) : -ENOSYS;
	u64 old = atomic_load_explicit(&as->charged, memory_order_relaxed), all, ran;

	if (cpu < 0)
		return ns;
	do {
		all = (u64)cpu + TICK_MAX;
		ran = MIN(ns, all > old ? all - old : 0);
		all = alone ? MAX(old + ran, (u64)cpu) : old + ran;
	} while (!atomic_compare_exchange_weak_explicit(
		&as->charged, &old, all, memory_order_relaxed, memory_order_relaxed));
	return ran;
}

int context_create(struct platform *p, struct context **ret)
{
	return p->ops->new_context(p, ret);
}

void context_release(struct context *c)
{
	if (c)
		c->platform->ops->context_release(c);
}

int context_switch(struct context *c, struct aspace *as, struct regs *regs,
                   struct exit_info *ret_exit)
{
	return c->platform->ops->switch_to(c, as, regs, ret_exit);
}

void context_kick(struct context *c)
{
	c->platform->ops->kick(c);
}

void context_rest(struct context *c)
{
	if (c->platform->ops->rest)
		c->platform->ops->rest(c);
}

int context_pull_fpstate(struct context *c, struct fpstate *ret_fp)
{
	return c->platform->ops->pull_fpstate(c, ret_fp);
}

int context_push_fpstate(struct context *c, const struct fpstate *fp)
{
	if (fp->size != c->platform->fpstate_size)
		return -EINVAL;
	return c->platform->ops->push_fpstate(c, fp);
}

u32 platform_core(void)
{
	return placement_core();
}

void platform_runnable_add(int delta)
{
	if (delta < 0)
		placement_count_block();
	atomic_fetch_add_explicit(&g_runnable, delta, memory_order_relaxed);
}
