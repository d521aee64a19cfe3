/* Memory policies of a machine with one node: set_mempolicy(2), mbind(2), move_pages(2)... */
#include "sentry/auth/creds.h"
#include "sentry/mm/mempolicy.h"
#include "sentry/syscall/sysarg.h"
#include "state/base/cleanup.h"

#include <linux/capability.h>
#include <linux/mempolicy.h>

#ifndef MPOL_PREFERRED_MANY
#define MPOL_PREFERRED_MANY 5
#endif
#define MODES      (MPOL_PREFERRED_MANY + 1u)
#define MODE_FLAGS (MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES | 1u << 13 /* balancing */)
#define BALANCING  (1u << 13)
#define WORD_BITS  64u

/* Which of the nodes that a caller names there are; *ret_any: it names some at all. -EFAULT,
 * -EINVAL: too many bits, or a node past all that any machine has. */
static int get_nodes(struct ctx *c, uaddr_t mask, u64 maxnode, u64 *ret, bool *ret_any)
{
	u64 word, bits = maxnode - 1; /* the last is not counted, for history's sake */
	int r;

	*ret = 0;
	*ret_any = false;
	if (bits == 0 || uaddr_null(mask))
		return 0;
	if (bits > PAGE_SIZE * 8)
		return -EINVAL;
	for (u64 at = 0; at < bits; at += WORD_BITS) {
		r = user_get_u64(c, uaddr_add(mask, at / 8), &word);
		if (r < 0)
			return r;
		if (bits - at < WORD_BITS)
			word &= (1ull << (bits - at)) - 1;
		if (word && at >= MEM_NODES_MAX)
			return -EINVAL;
		*ret_any |= word != 0;
		if (at == 0)
			*ret = word & 1;
	}
	return 0;
}

/* What mode and nodes mean. -EINVAL. */
static int make_policy(struct ctx *c, u32 mode, uaddr_t mask, u64 maxnode, struct mempolicy *ret)
{
	u32 flags = mode & MODE_FLAGS, kind = mode & ~MODE_FLAGS;
	u32 fixed = flags & (MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES);
	bool any;
	u64 nodes;
	int r;

	if (kind >= MODES || fixed == (MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES) ||
	    (flags & BALANCING && kind != MPOL_BIND))
		return -EINVAL;
	r = get_nodes(c, mask, maxnode, &nodes, &any);
	if (r < 0)
		return r;
	if (kind == MPOL_PREFERRED && !any && !fixed)
		kind = MPOL_LOCAL;
	if (kind == MPOL_DEFAULT || kind == MPOL_LOCAL) {
		if (any || (kind == MPOL_LOCAL && fixed))
			return -EINVAL;
		*ret = (struct mempolicy){.mode = kind == MPOL_DEFAULT ? kind : kind | flags};
		return 0;
	}
	/* Relative ones are counted round, so that any node is one of those that there are. */
	if (!any || (!nodes && !(flags & MPOL_F_RELATIVE_NODES)))
		return -EINVAL;
	*ret = (struct mempolicy){.mode = kind | flags, .nodes = 1};
	return 0;
}

SYSCALL3(set_mempolicy, u32, mode, uaddr_t, mask, u64, maxnode)
{
	struct mempolicy p;
	int r = make_policy(&t->ctx, mode, mask, maxnode, &p);

	if (r < 0)
		return r;
	t->mempolicy = p.mode;
	return 0;
}

static int put_nodes(struct ctx *c, uaddr_t mask, u64 maxnode, u64 nodes)
{
	const u64 zero = 0;
	u64 bytes = (maxnode - 1 + WORD_BITS - 1) / WORD_BITS * sizeof(u64);
	int r;

	if (bytes > PAGE_SIZE)
		return -EINVAL;
	for (u64 at = sizeof(u64); at < bytes; at += sizeof(u64)) {
		r = user_put_u64(c, uaddr_add(mask, at), zero);
		if (r < 0)
			return r;
	}
	return bytes ? user_put_u64(c, mask, nodes) : 0;
}

/* What get_mempolicy says: *ret->mode may also be a node. */
static int ask(struct task *t, u64 addr, u64 flags, struct mempolicy *ret)
{
	struct ctx *c = &t->ctx;
	struct mempolicy p = {.mode = t->mempolicy};
	u8 byte;
	int r;

	p.nodes = p.mode == MPOL_DEFAULT || (p.mode & ~MODE_FLAGS) == MPOL_LOCAL ? 0 : 1;
	if (flags & ~(u64)(MPOL_F_NODE | MPOL_F_ADDR | MPOL_F_MEMS_ALLOWED))
		return -EINVAL;
	if (flags & MPOL_F_MEMS_ALLOWED) {
		if (flags & (MPOL_F_NODE | MPOL_F_ADDR))
			return -EINVAL;
		*ret = (struct mempolicy){.nodes = 1};
		return 0;
	}
	if (flags & MPOL_F_ADDR) {
		r = mm_policy_at(c->mm, addr, &p);
		if (r < 0)
			return r;
	} else if (addr) {
		return -EINVAL;
	}
	if (flags & MPOL_F_NODE) {
		/* Where the page is, which is to be there; or where the next one would go. */
		if (flags & MPOL_F_ADDR)
			r = user_copy_in(c, &byte, UADDR(addr), 1);
		else
			r = (p.mode & ~MODE_FLAGS) == MPOL_INTERLEAVE ? 0 : -EINVAL;
		if (r < 0)
			return r;
		p.mode = 0;
	}
	*ret = p;
	return 0;
}

SYSCALL5(get_mempolicy, uaddr_t, mode, uaddr_t, mask, u64, maxnode, u64, addr, u64, flags)
{
	struct mempolicy p;
	int r;

	if (!uaddr_null(mask) && maxnode < MEM_NODES)
		return -EINVAL;
	r = ask(t, addr, flags, &p);
	if (r == 0 && !uaddr_null(mode))
		r = user_put_u32(&t->ctx, mode, p.mode);
	if (r == 0 && !uaddr_null(mask))
		r = put_nodes(&t->ctx, mask, maxnode, p.nodes);
	return r;
}

SYSCALL6(mbind, u64, start, u64, len, u64, mode, uaddr_t, mask, u64, maxnode, u32, flags)
{
	struct ctx *c = &t->ctx;
	struct mempolicy p;
	int r;

	if (mode > UINT32_MAX)
		return -EINVAL;
	r = make_policy(c, (u32)mode, mask, maxnode, &p);
	if (r < 0)
		return r;
	if (flags & ~(u32)(MPOL_MF_STRICT | MPOL_MF_MOVE | MPOL_MF_MOVE_ALL))
		return -EINVAL;
	if (flags & MPOL_MF_MOVE_ALL && !creds_capable(c->creds, CAP_SYS_NICE))
		return -EPERM;
	if (!IS_ALIGNED(start, PAGE_SIZE))
		return -EINVAL;
	len = PAGE_UP(len);
	if (start + len < start)
		return -EINVAL;
	return len == 0 ? 0 : mm_mbind(c->mm, start, start + len, &p);
}

/* The task meant by pid, whose pages may be asked for. */
static int pick(struct task *t, int pid, struct mm **ret)
{
	AUTO(task) o = pid ? task_find(t->kernel, (u32)pid) : obj_get(t);

	if (!o)
		return -ESRCH;
	if (!task_may_inspect(t, o))
		return -EPERM;
	*ret = task_get_mm(o);
	return *ret ? 0 : -EINVAL;
}

SYSCALL4(migrate_pages, int, pid, u64, maxnode, uaddr_t, from, uaddr_t, to)
{
	AUTO(mm) mm = NULL;
	u64 nodes;
	bool any;
	int r = get_nodes(&t->ctx, from, maxnode, &nodes, &any);

	if (r == 0)
		r = get_nodes(&t->ctx, to, maxnode, &nodes, &any);
	if (r == 0)
		r = pick(t, pid, &mm);
	if (r < 0)
		return r;
	/* From node 0 to node 0: none is left that could not be moved. */
	return nodes ? 0 : any && !creds_capable(t->ctx.creds, CAP_SYS_NICE) ? -EPERM : -EINVAL;
}

/* The status of one page: its node, or what is wrong with it. */
static s32 page_status(struct mm *mm, u64 addr)
{
	u8 what;

	mm_look(mm, addr & ~(PAGE_SIZE - 1), 1, &what);
	return what == PAGE_UNMAPPED ? -EFAULT : what == PAGE_ABSENT ? -ENOENT : 0;
}

SYSCALL6(move_pages, int, pid, u64, n, uaddr_t, pages, uaddr_t, nodes, uaddr_t, status, u32, flags)
{
	struct ctx *c = &t->ctx;
	AUTO(mm) mm = NULL;
	u64 addr;
	s32 node, what;
	int r;

	if (flags & ~(u32)(MPOL_MF_MOVE | MPOL_MF_MOVE_ALL))
		return -EINVAL;
	if (flags & MPOL_MF_MOVE_ALL && !creds_capable(c->creds, CAP_SYS_NICE))
		return -EPERM;
	r = pick(t, pid, &mm);
	for (u64 i = 0; i < n && r == 0; i++) {
		if (ctx_killed(c))
			return -EINTR;
		r = user_get_u64(c, uaddr_add(pages, i * sizeof(addr)), &addr);
		if (r == 0 && !uaddr_null(nodes)) {
			r = user_get(c, uaddr_add(nodes, i * sizeof(node)), &node);
			if (r == 0 && node != 0)
				r = -ENODEV;
		}
		if (r < 0)
			break;
		what = page_status(mm, addr);
		r = user_put_u32(c, uaddr_add(status, i * sizeof(what)), (u32)what);
	}
	return r;
}

/* The node that a policy starts from: there is one to choose. */
SYSCALL4(set_mempolicy_home_node, u64, start, u64, len, u64, node, u64, flags)
{
	struct mempolicy p;
	u64 end;
	int r;

	if (!IS_ALIGNED(start, PAGE_SIZE) || flags || node >= MEM_NODES)
		return -EINVAL;
	len = PAGE_UP(len);
	end = start + len;
	if (end < start)
		return -EINVAL;
	if (end == start)
		return 0;
	r = mm_policy_at(t->ctx.mm, start, &p);
	if (r < 0)
		return -ENOENT;
	/* Only where a set of nodes is bound to, or preferred. */
	switch (p.mode & ~MODE_FLAGS) {
	case MPOL_DEFAULT:
		return -ENOENT;
	case MPOL_BIND:
	case MPOL_PREFERRED_MANY:
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}
