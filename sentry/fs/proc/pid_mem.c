/* /proc/PID/cmdline, environ, auxv, maps, smaps and mem: views of an address space. */
#include "sentry/fs/proc/proc.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

/* What Linux would show of a command line or environment is bounded by its stack. */
#define AREA_MAX (8 * MIB)

static struct mm *get_mm(struct pseudo_inode *i, struct ctx *c, int *ret_err)
{
	AUTO(task) task = proc_task(&i->key, c);

	*ret_err = task ? 0 : -ESRCH;
	return task ? task_get_mm(task) : NULL;
}

static void show_area(struct mm *mm, u64 start, u64 end, struct text *t)
{
	char buf[PAGE_SIZE];

	while (start < end) {
		u64 n = MIN(end - start, (u64)sizeof(buf));
		long r = mm_access(mm, start, buf, n, false, true);

		if (r <= 0)
			return;
		text_append(t, buf, (size_t)r);
		start += (u64)r;
	}
}

static void clip_area(u64 start, u64 *end)
{
	if (*end < start)
		*end = start;
	if (*end - start > AREA_MAX)
		*end = start + AREA_MAX;
}

PROC_SHOW(proc_pid_cmdline)
{
	int r;
	AUTO(mm) mm = get_mm(i, c, &r);
	struct mm_layout lay;
	size_t len;

	if (!mm)
		return r;
	lay = *mm_layout(mm);
	clip_area(lay.arg_start, &lay.arg_end);
	show_area(mm, lay.arg_start, lay.arg_end, t);
	/* Who overwrote the last NUL (setproctitle) has one string, which may go on into what was
	 * the environment. */
	if (t->len == 0 || t->s[t->len - 1] == 0)
		return 0;
	len = strnlen(t->s, t->len);
	if (len == t->len && lay.env_start == lay.arg_end) {
		clip_area(lay.env_start, &lay.env_end);
		show_area(mm, lay.env_start, lay.env_end, t);
		len = strnlen(t->s, t->len);
	}
	t->len = len;
	return 0;
}

PROC_SHOW(proc_pid_environ)
{
	int r;
	AUTO(mm) mm = get_mm(i, c, &r);
	struct mm_layout lay;

	if (!mm)
		return r;
	lay = *mm_layout(mm);
	clip_area(lay.env_start, &lay.env_end);
	show_area(mm, lay.env_start, lay.env_end, t);
	return 0;
}

PROC_SHOW(proc_pid_auxv)
{
	int r;
	AUTO(mm) mm = get_mm(i, c, &r);
	u64 auxv[128];

	if (!mm)
		return r;
	text_append(t, auxv, mm_get_auxv(mm, auxv, ARRAY_SIZE(auxv)) * sizeof(auxv[0]));
	return 0;
}

static void show_vma(struct text *t, const struct vma_info *v)
{
	size_t before = t->len;

	text_printf(t, "%08llx-%08llx %c%c%c%c %08llx %02x:%02x %llu ",
	            (unsigned long long)v->start, (unsigned long long)v->end,
	            v->prot & 1 ? 'r' : '-', v->prot & 2 ? 'w' : '-', v->prot & 4 ? 'x' : '-',
	            v->shared ? 's' : 'p', (unsigned long long)v->off, major(v->dev), minor(v->dev),
	            (unsigned long long)v->ino);
	if (v->name[0]) {
		while (t->len - before < 73)
			text_char(t, ' ');
		for (const char *s = v->name; *s; s++) {
			if (*s == '\n')
				text_printf(t, "\\012");
			else
				text_char(t, *s);
		}
	}
	text_char(t, '\n');
}

PROC_SHOW(proc_pid_maps)
{
	int r;
	AUTO(mm) mm = get_mm(i, c, &r);
	struct vma_info v;

	if (!mm)
		return r;
	for (u64 at = 0; mm_next_vma(mm, at, false, &v); at = v.end)
		show_vma(t, &v);
	return 0;
}

struct sums {
	u64 size, rss, shared, dirty, anon, locked;
};

static void add_sums(struct sums *s, const struct vma_info *v)
{
	s->size += v->end - v->start;
	s->rss += v->rss;
	s->shared += v->shared ? v->rss : 0;
	s->dirty += v->private_dirty;
	s->anon += v->private_dirty;
	s->locked += v->locked ? v->rss : 0;
}

static void show_kb(struct text *t, const char *name, u64 bytes)
{
	text_printf(t, "%-16s%8llu kB\n", name, (unsigned long long)(bytes / KIB));
}

static void show_sums(struct text *t, const struct sums *s, bool one)
{
	u64 private = s->rss - s->shared;
	u64 clean = private > s->dirty ? private - s->dirty : 0;

	if (one) {
		show_kb(t, "Size:", s->size);
		show_kb(t, "KernelPageSize:", PAGE_SIZE);
		show_kb(t, "MMUPageSize:", PAGE_SIZE);
	}
	show_kb(t, "Rss:", s->rss);
	show_kb(t, "Pss:", s->rss);
	show_kb(t, "Pss_Dirty:", s->dirty);
	if (!one) {
		show_kb(t, "Pss_Anon:", s->anon);
		show_kb(t, "Pss_File:", s->rss - s->anon);
		show_kb(t, "Pss_Shmem:", 0);
	}
	show_kb(t, "Shared_Clean:", 0);
	show_kb(t, "Shared_Dirty:", s->shared);
	show_kb(t, "Private_Clean:", clean);
	show_kb(t, "Private_Dirty:", s->dirty);
	show_kb(t, "Referenced:", s->rss);
	show_kb(t, "Anonymous:", s->anon);
	show_kb(t, "LazyFree:", 0);
	show_kb(t, "AnonHugePages:", 0);
	show_kb(t, "ShmemPmdMapped:", 0);
	show_kb(t, "FilePmdMapped:", 0);
	show_kb(t, "Shared_Hugetlb:", 0);
	show_kb(t, "Private_Hugetlb:", 0);
	show_kb(t, "Swap:", 0);
	show_kb(t, "SwapPss:", 0);
	show_kb(t, "Locked:", s->locked);
}

/* In the order of Linux's bits. */
static void show_flags(struct text *t, const struct vma_info *v)
{
	const struct {
		bool set;
		const char *name;
	} flags[] = {
		{v->prot & PROT_READ, "rd"},
		{v->prot & PROT_WRITE, "wr"},
		{v->prot & PROT_EXEC, "ex"},
		{v->shared, "sh"},
		{true, "mr"},
		{true, "mw"},
		{true, "me"},
		{v->shared, "ms"},
		{v->growsdown, "gd"},
		{v->locked, "lo"},
		{v->dontfork, "dc"},
		{!v->shared && v->prot & PROT_WRITE && !v->noreserve, "ac"},
		{v->noreserve, "nr"},
		{v->wipeonfork, "wf"},
		{v->dontdump, "dd"},
		{v->huge, "hg"},
		{v->small, "nh"},
	};

	text_printf(t, "VmFlags: ");
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (flags[i].set)
			text_printf(t, "%s ", flags[i].name);
	text_char(t, '\n');
}

PROC_SHOW(proc_pid_smaps)
{
	int r;
	AUTO(mm) mm = get_mm(i, c, &r);
	struct vma_info v;

	if (!mm)
		return r;
	for (u64 at = 0; mm_next_vma(mm, at, true, &v); at = v.end) {
		struct sums s = {0};

		add_sums(&s, &v);
		show_vma(t, &v);
		show_sums(t, &s, true);
		text_printf(t, "THPeligible:           0\n");
		show_flags(t, &v);
	}
	return 0;
}

PROC_SHOW(proc_pid_smaps_rollup)
{
	int r;
	AUTO(mm) mm = get_mm(i, c, &r);
	struct sums s = {0};
	struct vma_info v;
	u64 first = 0, last = 0;

	if (!mm)
		return r < 0 ? r : -ESRCH;
	for (u64 at = 0; mm_next_vma(mm, at, true, &v); at = v.end) {
		if (!last)
			first = v.start;
		last = v.end;
		add_sums(&s, &v);
	}
	v = (struct vma_info){.start = first, .end = last, .name = "[rollup]"};
	show_vma(t, &v);
	show_sums(t, &s, false);
	return 0;
}

/* ---- mem ---- */

static long move(struct pseudo_inode *i, struct ctx *c, struct uiter *it, s64 *pos, bool write)
{
	int r;
	AUTO(mm) mm = get_mm(i, c, &r);
	char buf[PAGE_SIZE];
	long done = 0;

	if (!mm)
		return r;
	while (uiter_count(it) > 0 && !(done > 0 && ctx_interrupted(c))) {
		u64 n = MIN(uiter_count(it), (u64)sizeof(buf));
		long moved;

		if (write) {
			moved = uiter_copy_in(it, buf, n);
			if (moved > 0)
				moved = mm_access(mm, (u64)*pos, buf, (u64)moved, true, true);
		} else {
			moved = mm_access(mm, (u64)*pos, buf, n, false, true);
			if (moved > 0)
				moved = uiter_copy_out(it, buf, (size_t)moved);
		}
		if (moved <= 0)
			return done ? done : moved < 0 && moved != -EFAULT ? moved : -EIO;
		*pos += moved;
		done += moved;
	}
	return done;
}

long proc_pid_mem_read(struct pseudo_inode *i, struct ctx *c, struct uiter *dst, s64 *pos)
{
	return move(i, c, dst, pos, false);
}

long proc_pid_mem_write(struct pseudo_inode *i, struct ctx *c, struct uiter *src, s64 *pos)
{
	return move(i, c, src, pos, true);
}
