/* /proc/PID/pagemap and numa_maps: which pages of an address space there are. */
#include "sentry/fs/proc/proc.h"
#include "sentry/mm/mempolicy.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <string.h>

/* An entry of pagemap; where a page is in our memory is nobody's business, so the number of its
 * frame is 0, as Linux says to the unprivileged. */
#define PM_EXCLUSIVE (1ull << 56)
#define PM_FILE      (1ull << 61)
#define PM_PRESENT   (1ull << 63)
#define STEP         256u

static u64 entry_of(u8 what)
{
	switch (what) {
	case PAGE_OWN:
		return PM_PRESENT | PM_EXCLUSIVE;
	case PAGE_ANON:
		return PM_PRESENT;
	case PAGE_FILE:
		return PM_PRESENT | PM_FILE;
	default:
		return 0;
	}
}

long proc_pid_pagemap_read(struct pseudo_inode *i, struct ctx *c, struct uiter *dst, s64 *pos)
{
	AUTO(task) task = proc_task(&i->key, c);
	AUTO(mm) mm = task ? task_get_mm(task) : NULL;
	u64 entries[STEP], left = uiter_count(dst);
	u8 what[STEP];
	long done = 0, r;

	if (!task)
		return -ESRCH;
	if (!mm)
		return 0;
	if (*pos % sizeof(u64) || left % sizeof(u64))
		return -EINVAL;
	while (left > 0 && !(done > 0 && ctx_interrupted(c))) {
		u64 page = (u64)*pos / sizeof(u64), last = mm_space_end(mm) / PAGE_SIZE, n;

		if (page >= last)
			break;
		n = MIN(MIN(left / sizeof(u64), last - page), (u64)STEP);
		mm_look(mm, page * PAGE_SIZE, n, what);
		for (u64 k = 0; k < n; k++)
			entries[k] = entry_of(what[k]);
		r = uiter_copy_out(dst, entries, n * sizeof(u64));
		if (r <= 0)
			return done ? done : r;
		*pos += r;
		done += r;
		left -= (u64)r;
		if ((u64)r < n * sizeof(u64))
			break;
	}
	return done;
}

static void show_policy(struct text *t, u32 mode)
{
	static const char *const names[] = {"default",    "prefer", "bind",
	                                    "interleave", "local",  "prefer (many)"};
	u32 kind = mode & ~(MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES | 1u << 13);

	text_printf(t, "%s", kind < ARRAY_SIZE(names) ? names[kind] : "default");
	if (mode & MPOL_F_STATIC_NODES)
		text_printf(t, "=static");
	else if (mode & MPOL_F_RELATIVE_NODES)
		text_printf(t, "=relative");
	if (kind != MPOL_DEFAULT && kind != MPOL_LOCAL)
		text_printf(t, ":0");
}

struct page_counts {
	u64 anon, file;
};

static struct page_counts count_pages(struct mm *mm, u64 start, u64 end)
{
	struct page_counts n = {0};
	u8 what[STEP];

	/* What is reserved and never touched may be terabytes. */
	while ((start = mm_next_page(mm, start)) < end) {
		u64 k = MIN((end - start) / PAGE_SIZE, (u64)STEP);

		mm_look(mm, start, k, what);
		for (u64 i = 0; i < k; i++) {
			n.anon += what[i] == PAGE_OWN || what[i] == PAGE_ANON;
			n.file += what[i] == PAGE_FILE;
		}
		start += k * PAGE_SIZE;
	}
	return n;
}

PROC_SHOW(proc_pid_numa_maps)
{
	AUTO(task) task = proc_task(&i->key, c);
	AUTO(mm) mm = task ? task_get_mm(task) : NULL;
	struct vma_info v;

	if (!task)
		return -ESRCH;
	for (u64 at = 0; mm && mm_next_vma(mm, at, false, &v); at = v.end) {
		struct mempolicy p = {.mode = task->mempolicy};
		struct mempolicy own;
		struct page_counts n = count_pages(mm, v.start, v.end);

		if (mm_policy_at(mm, v.start, &own) == 0 && own.mode != MPOL_DEFAULT)
			p = own;
		text_printf(t, "%08llx ", (unsigned long long)v.start);
		show_policy(t, p.mode);
		if (v.name[0] == '/') {
			text_printf(t, " file=");
			text_escape(t, v.name);
		} else if (v.heap) {
			text_printf(t, " heap");
		} else if (v.stack) {
			text_printf(t, " stack");
		}
		if (n.anon)
			text_printf(t, " anon=%llu dirty=%llu", (unsigned long long)n.anon,
			            (unsigned long long)n.anon);
		if (n.file)
			text_printf(t, " mapped=%llu", (unsigned long long)n.file);
		if (n.anon + n.file)
			text_printf(t, " N0=%llu kernelpagesize_kB=4",
			            (unsigned long long)(n.anon + n.file));
		text_char(t, '\n');
	}
	return 0;
}
