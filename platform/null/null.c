#include "platform/null/null.h"
#include "platform/fpstate_x86_64.h"
#include "state/base/bug.h"
#include "state/base/lock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct null_platform {
	struct platform base;
	struct mutex lock; /* guards the rest */
	struct null_exit *script;
	u32 n, next;
};

struct null_aspace {
	struct aspace base;
	struct mutex lock; /* guards the rest */
	struct null_map *maps;
	u32 n, cap;
};

struct null_context {
	struct context base;
	atomic_bool kicked;
	struct fpstate fp;
};

static struct null_platform *null_platform(struct platform *p)
{
	return container_of(p, struct null_platform, base);
}

static struct null_aspace *null_aspace(struct aspace *as)
{
	return container_of(as, struct null_aspace, base);
}

static struct null_context *null_context(struct context *c)
{
	return container_of(c, struct null_context, base);
}

void null_script(struct platform *base, const struct null_exit *exits, u32 n)
{
	struct null_platform *p = null_platform(base);
	GUARD(&p->lock);

	p->script = reallocarray(p->script, p->n + n, sizeof(*exits));
	BUG_ON(!p->script);
	memcpy(p->script + p->n, exits, n * sizeof(*exits));
	p->n += n;
}

u32 null_pending(struct platform *base)
{
	struct null_platform *p = null_platform(base);
	GUARD(&p->lock);

	return p->n - p->next;
}

bool null_map_at(struct aspace *base, u64 addr, struct null_map *ret_map)
{
	struct null_aspace *as = null_aspace(base);
	u32 i;
	GUARD(&as->lock);

	for (i = 0; i < as->n; i++) {
		if (addr - as->maps[i].addr < as->maps[i].len) {
			*ret_map = as->maps[i];
			return true;
		}
	}
	return false;
}

u32 null_map_count(struct aspace *base)
{
	struct null_aspace *as = null_aspace(base);
	GUARD(&as->lock);

	return as->n;
}

static int probe(const char **ret_why)
{
	return 0;
}

static int create(const struct platform_ops *ops, struct platform **ret)
{
	struct null_platform *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	r = fpstate_probe(&p->base.xfeatures, &p->base.fpstate_size);
	if (r < 0) {
		free(p);
		return r;
	}
	p->base.ops = ops;
	p->base.max_user_addr = 0x7fffc0000000;
	p->base.min_user_addr = 65536;
	mutex_init(&p->lock, RANK_LEAF);
	*ret = &p->base;
	return 0;
}

static void destroy(struct platform *base)
{
	struct null_platform *p = null_platform(base);

	free(p->script);
	free(p);
}

static int new_aspace(struct platform *p, struct aspace **ret)
{
	struct null_aspace *as = calloc(1, sizeof(*as));

	if (!as)
		return -ENOMEM;
	as->base.platform = p;
	mutex_init(&as->lock, RANK_LEAF);
	*ret = &as->base;
	return 0;
}

static void release_aspace(struct aspace *base)
{
	struct null_aspace *as = null_aspace(base);

	free(as->maps);
	free(as);
}

/* Room for two more: any operation on a range cuts at most one mapping in two and adds one. */
static int reserve(struct null_aspace *as)
{
	struct null_map *maps;

	if (as->n + 2 <= as->cap)
		return 0;
	maps = reallocarray(as->maps, as->cap + 64, sizeof(*maps));
	if (!maps)
		return -ENOMEM;
	as->maps = maps;
	as->cap += 64;
	return 0;
}

/* Makes addr the border of two mappings if it is inside one. */
static int split(struct null_aspace *as, u64 addr)
{
	u32 i;
	int r = reserve(as);

	if (r < 0)
		return r;
	for (i = 0; i < as->n; i++) {
		struct null_map *m = &as->maps[i], *tail = &as->maps[as->n];
		u64 head = addr - m->addr;

		if (head == 0 || head >= m->len)
			continue;
		*tail = *m;
		tail->addr += head;
		tail->off += head;
		tail->len -= head;
		m->len = head;
		as->n++;
		return 0;
	}
	return 0;
}

static int split_range(struct null_aspace *as, u64 addr, u64 len)
{
	int r = split(as, addr);

	return r < 0 ? r : split(as, addr + len);
}

static int cut(struct null_aspace *as, u64 addr, u64 len)
{
	u32 i = 0;
	int r = split_range(as, addr, len);

	if (r < 0)
		return r;
	while (i < as->n) {
		if (as->maps[i].addr - addr < len)
			as->maps[i] = as->maps[--as->n];
		else
			i++;
	}
	return reserve(as);
}

static int map_files(struct aspace *base, const struct aspace_map *maps, u32 n, u32 *ret_done)
{
	struct null_aspace *as = null_aspace(base);
	GUARD(&as->lock);

	for (u32 i = 0; i < n; i++) {
		const struct aspace_map *m = &maps[i];
		int r = cut(as, m->addr, m->len);

		if (r < 0)
			return r;
		as->maps[as->n++] = (struct null_map){m->addr, m->len,    m->off,      m->fd,
		                                      m->prot, m->shared, m->precommit};
		*ret_done = i + 1;
	}
	return 0;
}

static bool is_mapped(struct aspace *base, u64 addr, u64 len)
{
	struct null_aspace *as = null_aspace(base);
	GUARD(&as->lock);

	for (u32 i = 0; i < as->n; i++)
		if (as->maps[i].addr < addr + len && addr < as->maps[i].addr + as->maps[i].len)
			return true;
	return false;
}

static int unmap(struct aspace *base, u64 addr, u64 len)
{
	struct null_aspace *as = null_aspace(base);
	GUARD(&as->lock);

	return cut(as, addr, len);
}

static int protect(struct aspace *base, u64 addr, u64 len, int prot)
{
	struct null_aspace *as = null_aspace(base);
	u32 i;
	int r;
	GUARD(&as->lock);

	r = split_range(as, addr, len);
	if (r < 0)
		return r;
	for (i = 0; i < as->n; i++)
		if (as->maps[i].addr - addr < len)
			as->maps[i].prot = prot;
	return 0;
}

static int new_context(struct platform *p, struct context **ret)
{
	struct null_context *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->base.platform = p;
	fpstate_init(p, &c->fp);
	*ret = &c->base;
	return 0;
}

static void release_context(struct context *c)
{
	free(null_context(c));
}

static int switch_to(struct context *c, struct aspace *as, struct regs *regs,
                     struct exit_info *ret_exit)
{
	struct null_platform *p = null_platform(c->platform);
	const struct null_exit *e;
	GUARD(&p->lock);

	memset(ret_exit, 0, sizeof(*ret_exit));
	regs->orig_rax = ~0ull;
	ret_exit->reason = EXIT_KICK;
	if (atomic_exchange(&null_context(c)->kicked, false))
		return 0;
	ret_exit->reason = EXIT_DEAD;
	if (p->next == p->n)
		return 0;
	e = &p->script[p->next++];
	if (e->set_regs)
		*regs = e->regs;
	else if (e->exit.reason == EXIT_SYSCALL)
		regs->orig_rax = regs->rax;
	*ret_exit = e->exit;
	return 0;
}

static void kick(struct context *c)
{
	atomic_store(&null_context(c)->kicked, true);
}

static int pull_fpstate(struct context *c, struct fpstate *ret_fp)
{
	*ret_fp = null_context(c)->fp;
	return 0;
}

static int push_fpstate(struct context *c, const struct fpstate *fp)
{
	null_context(c)->fp = *fp;
	fpstate_clean(c->platform, &null_context(c)->fp);
	return 0;
}

static const struct platform_syscall syscalls[] = {{-1}};

const struct platform_ops null_ops = {
	.name = "null",
	.scripted = true,
	.syscalls = syscalls,
	.probe = probe,
	.create = create,
	.destroy = destroy,
	.new_aspace = new_aspace,
	.aspace_release = release_aspace,
	.map_files = map_files,
	.maps = is_mapped,
	.unmap = unmap,
	.protect = protect,
	.new_context = new_context,
	.context_release = release_context,
	.switch_to = switch_to,
	.kick = kick,
	.pull_fpstate = pull_fpstate,
	.push_fpstate = push_fpstate,
};
