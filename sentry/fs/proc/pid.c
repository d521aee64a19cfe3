/* Directories of processes and threads: what is in them, and the small files. */
#include "sentry/auth/creds.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/kernel/pidns.h"
#include "sentry/vfs/fd_table.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

struct task *proc_task(const struct pseudo_key *key, struct ctx *c)
{
	struct task *t = key->pid ? task_find(c->kernel, key->pid) : NULL;

	if (t && t->start_time != key->start) {
		task_put(t);
		return NULL;
	}
	return t;
}

int proc_inspect(const struct pseudo_key *key, struct ctx *c, struct task **ret)
{
	AUTO(task) t = proc_task(key, c);

	if (!t)
		return -ESRCH;
	if (!task_may_inspect(ctx_task(c), t))
		return -EACCES;
	*ret = TAKE(t);
	return 0;
}

int proc_may_inspect(struct pseudo_inode *i, struct ctx *c)
{
	AUTO(task) t = NULL;

	return proc_inspect(&i->key, c, &t);
}

int proc_dir_task(struct file *f, struct ctx *c, struct task **ret)
{
	struct pseudo_inode *i = obj_cast(pseudo_inode, file_place(f));

	if (!i || i->key.entry != proc_template(PROC_T_PID))
		return -EBADF;
	*ret = proc_task(&i->key, c);
	return *ret ? 0 : -ESRCH;
}

bool proc_task_alive(const struct pseudo_key *child, struct ctx *c)
{
	AUTO(task) t = proc_task(child, c);

	return t != NULL;
}

void proc_task_owner(const struct pseudo_key *child, struct ctx *c, u32 *ret_uid, u32 *ret_gid,
                     u32 *ret_perm)
{
	AUTO(task) t = proc_task(child, c);
	AUTO(creds) cr = t ? task_get_creds(t) : NULL;
	AUTO(mm) mm = NULL;

	if (!cr)
		return;
	/* What must not be dumped belongs to root; directories that anyone may list do not care. */
	mm = task_get_mm(t);
	if (mm && mm_dumpable(mm) != 1 && child->entry->mode != (S_IFDIR | 0555))
		return;
	*ret_uid = cr->euid;
	*ret_gid = cr->egid;
}

/* ---- small files ---- */

static PROC_SHOW(show_comm)
{
	AUTO(task) t_ = proc_task(&i->key, c);
	char comm[TASK_COMM_LEN];

	if (!t_)
		return -ESRCH;
	task_get_comm(t_, comm);
	text_printf(t, "%s\n", comm);
	return 0;
}

static long store_comm(struct pseudo_inode *i, struct ctx *c, char *s, size_t len)
{
	AUTO(task) t = proc_task(&i->key, c);

	if (!t)
		return -ESRCH;
	if (t->tg != ctx_task(c)->tg)
		return -EINVAL;
	s[strcspn(s, "\n")] = 0;
	task_set_comm(t, s);
	return (long)len;
}

static PROC_SHOW(show_wchan)
{
	text_char(t, '0');
	return 0;
}

static PROC_SHOW(show_personality)
{
	AUTO(task) task = proc_task(&i->key, c);

	if (!task)
		return -ESRCH;
	text_printf(t, "%08llx\n", (unsigned long long)task->personality);
	return 0;
}

static PROC_SHOW(show_cgroup)
{
	text_printf(t, "0::/\n");
	return 0;
}

static PROC_SHOW(show_cpuset)
{
	text_printf(t, "/\n");
	return 0;
}

static PROC_SHOW(show_oom_score_adj)
{
	AUTO(task) task = proc_task(&i->key, c);

	if (!task)
		return -ESRCH;
	text_printf(t, "%d\n", READ_ONCE(task->tg->oom_score_adj));
	return 0;
}

static long set_oom(struct pseudo_inode *i, struct ctx *c, s64 v, size_t len)
{
	AUTO(task) task = proc_task(&i->key, c);

	if (!task)
		return -ESRCH;
	if (v < READ_ONCE(task->tg->oom_score_adj) && !creds_capable(c->creds, CAP_SYS_RESOURCE))
		return -EACCES;
	WRITE_ONCE(task->tg->oom_score_adj, (s32)v);
	return (long)len;
}

static long store_oom_score_adj(struct pseudo_inode *i, struct ctx *c, char *s, size_t len)
{
	s64 v;
	int r = pseudo_parse(s, -1000, 1000, &v);

	return r < 0 ? r : set_oom(i, c, v, len);
}

/* The old interface, -17 to 15, scaled. */
static PROC_SHOW(show_oom_adj)
{
	AUTO(task) task = proc_task(&i->key, c);
	s32 v;

	if (!task)
		return -ESRCH;
	v = READ_ONCE(task->tg->oom_score_adj);
	text_printf(t, "%d\n", v == 1000 ? 15 : v * 17 / 1000);
	return 0;
}

static long store_oom_adj(struct pseudo_inode *i, struct ctx *c, char *s, size_t len)
{
	s64 v;
	int r = pseudo_parse(s, -17, 15, &v);

	return r < 0 ? r : set_oom(i, c, v == 15 ? 1000 : v * 1000 / 17, len);
}

static PROC_SHOW(show_oom_score)
{
	AUTO(task) task = proc_task(&i->key, c);

	if (!task)
		return -ESRCH;
	text_printf(t, "%u\n", oom_score(task->tg));
	return 0;
}

static PROC_SHOW(show_id_map)
{
	text_printf(t, "%10u %10u %10u\n", 0, 0, UINT32_MAX);
	return 0;
}

static PROC_SHOW(show_setgroups)
{
	text_printf(t, "allow\n");
	return 0;
}

static PROC_SHOW(show_io)
{
	AUTO(task) task = proc_task(&i->key, c);
	struct io_counts io;

	if (!task)
		return -ESRCH;
	task_io(task, !i->key.thread, &io);
	text_printf(t, "rchar: %llu\nwchar: %llu\nsyscr: %llu\nsyscw: %llu\n",
	            (unsigned long long)io.rchar, (unsigned long long)io.wchar,
	            (unsigned long long)io.syscr, (unsigned long long)io.syscw);
	/* No disk is behind it. */
	text_printf(t, "read_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n");
	return 0;
}

static PROC_SHOW(show_coredump_filter)
{
	AUTO(task) task = proc_task(&i->key, c);

	if (!task)
		return -ESRCH;
	text_printf(t, "%08x\n", READ_ONCE(task->tg->dump_filter) ^ DUMP_FILTER_DEFAULT);
	return 0;
}

static long store_coredump_filter(struct pseudo_inode *i, struct ctx *c, char *s, size_t len)
{
	AUTO(task) task = proc_task(&i->key, c);
	s64 v;
	int r = pseudo_parse(s, 0, UINT32_MAX, &v);

	if (r < 0)
		return r;
	if (!task)
		return -ESRCH;
	WRITE_ONCE(task->tg->dump_filter, ((u32)v & DUMP_FILTER_MASK) ^ DUMP_FILTER_DEFAULT);
	return (long)len;
}

static PROC_SHOW(show_nothing)
{
	return 0;
}

static PROC_SHOW(show_syscall)
{
	text_printf(t, "running\n");
	return 0;
}

static PROC_SHOW(show_children)
{
	AUTO(task) task = proc_task(&i->key, c);
	struct thread_group *child;

	if (!task)
		return -ESRCH;
	GUARD(&c->kernel->tasks_lock);
	if (task->tg->leader != task)
		return 0;
	TAILQ_FOREACH (child, &task->tg->children, sibling)
		text_printf(t, "%u ", child->tgid);
	return 0;
}

/* ---- tables ---- */

#define REG(n, m, ...)                                        \
	{                                                     \
		.name = n, .mode = S_IFREG | (m), __VA_ARGS__ \
	}
#define DIR_ENTRY(n, m, d)                                    \
	{                                                     \
		.name = n, .mode = S_IFDIR | (m), .dir = &(d) \
	}
#define LNK(n, l, lt)                                                         \
	{                                                                     \
		.name = n, .mode = S_IFLNK | 0777, .link = l, .link_text = lt \
	}

/* What a process and a thread directory have in common. */
#define COMMON_ENTRIES                                                                             \
	REG("auxv", 0400, .show = proc_pid_auxv, .may_open = proc_may_inspect),                    \
		REG("cgroup", 0444, .show = show_cgroup),                                          \
		REG("cmdline", 0444, .show = proc_pid_cmdline),                                    \
		REG("comm", 0644, .show = show_comm, .store = store_comm),                         \
		REG("cpuset", 0444, .show = show_cpuset),                                          \
		LNK("cwd", proc_pid_cwd, proc_pid_cwd_text),                                       \
		REG("environ", 0400, .show = proc_pid_environ, .may_open = proc_may_inspect),      \
		LNK("exe", proc_pid_exe, proc_pid_exe_text),                                       \
		{.name = "fd",                                                                     \
	         .mode = S_IFDIR | 0500,                                                           \
	         .dir = &proc_fd_dir,                                                              \
	         .may_open = proc_may_inspect},                                                    \
		{.name = "fdinfo",                                                                 \
	         .mode = S_IFDIR | 0555,                                                           \
	         .dir = &proc_fdinfo_dir,                                                          \
	         .may_open = proc_may_inspect},                                                    \
		REG("gid_map", 0644, .show = show_id_map),                                         \
		REG("io", 0400, .show = show_io, .may_open = proc_may_inspect),                    \
		REG("limits", 0444, .show = proc_pid_limits),                                      \
		REG("loginuid", 0644, .show = proc_pid_loginuid,                                   \
	            .write = proc_pid_loginuid_write),                                             \
		REG("maps", 0444, .show = proc_pid_maps, .may_open = proc_may_inspect),            \
		REG("mem", 0600, .read = proc_pid_mem_read, .write = proc_pid_mem_write,           \
	            .may_open = proc_may_inspect),                                                 \
		REG("mountinfo", 0444, .show = proc_pid_mountinfo, .watched = proc_pid_mount_ns),  \
		REG("mounts", 0444, .show = proc_pid_mounts, .watched = proc_pid_mount_ns),        \
		DIR_ENTRY("net", 0555, proc_net_dir), DIR_ENTRY("ns", 0511, proc_ns_dir),          \
		REG("numa_maps", 0444, .show = proc_pid_numa_maps, .may_open = proc_may_inspect),  \
		REG("oom_adj", 0644, .show = show_oom_adj, .store = store_oom_adj),                \
		REG("oom_score", 0444, .show = show_oom_score),                                    \
		REG("oom_score_adj", 0644, .show = show_oom_score_adj,                             \
	            .store = store_oom_score_adj),                                                 \
		REG("pagemap", 0400, .read = proc_pid_pagemap_read, .may_open = proc_may_inspect), \
		REG("personality", 0400, .show = show_personality, .may_open = proc_may_inspect),  \
		LNK("root", proc_pid_root, proc_pid_root_text),                                    \
		REG("sched", 0644, .show = proc_pid_sched),                                        \
		REG("schedstat", 0444, .show = proc_pid_schedstat),                                \
		REG("sessionid", 0444, .show = proc_pid_sessionid),                                \
		REG("setgroups", 0644, .show = show_setgroups),                                    \
		REG("smaps", 0444, .show = proc_pid_smaps, .may_open = proc_may_inspect),          \
		REG("smaps_rollup", 0444, .show = proc_pid_smaps_rollup,                           \
	            .may_open = proc_may_inspect),                                                 \
		REG("stat", 0444, .show = proc_pid_stat),                                          \
		REG("statm", 0444, .show = proc_pid_statm),                                        \
		REG("status", 0444, .show = proc_pid_status),                                      \
		REG("syscall", 0400, .show = show_syscall, .may_open = proc_may_inspect),          \
		REG("uid_map", 0644, .show = show_id_map), REG("wchan", 0444, .show = show_wchan)

static const struct pseudo_entry pid_entries[] = {
	COMMON_ENTRIES,
	REG("coredump_filter", 0644, .show = show_coredump_filter, .store = store_coredump_filter),
	DIR_ENTRY("task", 0555, proc_task_dir),
	REG("timers", 0444, .show = show_nothing),
};
PSEUDO_DIR(proc_pid_dir, .id = "proc.pid", PSEUDO_ENTRIES(pid_entries), .alive = proc_task_alive,
           .owner = proc_task_owner);

static const struct pseudo_entry tid_entries[] = {
	COMMON_ENTRIES,
	REG("children", 0444, .show = show_children),
};
PSEUDO_DIR(proc_task_tid_dir, .id = "proc.tid", PSEUDO_ENTRIES(tid_entries),
           .alive = proc_task_alive, .owner = proc_task_owner);

/* /proc/PID/task: the threads. */
static int tid_lookup(struct pseudo_inode *dir, struct ctx *c, const char *name,
                      struct pseudo_key *ret)
{
	AUTO(task) leader = proc_task(&dir->key, c);
	AUTO(task) t = NULL;
	u64 tid;

	if (!leader || !pseudo_number(name, PID_MAX, &tid))
		return -ENOENT;
	t = task_find(c->kernel, (u32)tid);
	if (!t || t->tg != leader->tg)
		return -ENOENT;
	*ret = (struct pseudo_key){proc_template(PROC_T_TID), t->tid, true, t->start_time, -1};
	return 0;
}

static bool tid_next(struct pseudo_inode *dir, struct ctx *c, u64 *num, char name[24],
                     struct pseudo_key *ret)
{
	AUTO(task) leader = proc_task(&dir->key, c);
	AUTO(task) t = NULL;

	if (!leader || *num > PID_MAX)
		return false;
	t = task_next(leader->tg, *num ? (u32)*num - 1 : 0);
	if (!t)
		return false;
	*num = t->tid;
	*ret = (struct pseudo_key){proc_template(PROC_T_TID), t->tid, true, t->start_time, -1};
	snprintf(name, 24, "%u", t->tid);
	return true;
}
PSEUDO_DIR(proc_task_dir, .id = "proc.task", .lookup = tid_lookup, .next = tid_next);

static bool template_alive(const struct pseudo_key *k, struct ctx *c)
{
	AUTO(task) t = proc_task(k, c);
	AUTO(fd_table) fds = NULL;
	AUTO(file) f = NULL;

	if (!t)
		return false;
	if (k->num < 0)
		return true;
	fds = task_get_fds(t);
	return fds && fd_table_lookup(fds, k->num, &f) == 0;
}

/* A link's permissions say how the file is open. */
static void template_owner(const struct pseudo_key *k, struct ctx *c, u32 *ret_uid, u32 *ret_gid,
                           u32 *ret_perm)
{
	AUTO(task) t = NULL;
	AUTO(fd_table) fds = NULL;
	AUTO(file) f = NULL;

	proc_task_owner(k, c, ret_uid, ret_gid, ret_perm);
	if (k->entry != proc_template(PROC_T_FD))
		return;
	t = proc_task(k, c);
	fds = t ? task_get_fds(t) : NULL;
	if (fds && fd_table_lookup(fds, k->num, &f) == 0)
		*ret_perm = (file_readable(f) ? 0500 : 0) | (file_writable(f) ? 0300 : 0);
}

static const struct pseudo_entry templates[] = {
	[PROC_T_PID] = DIR_ENTRY("PID", 0555, proc_pid_dir),
	[PROC_T_TID] = DIR_ENTRY("TID", 0555, proc_task_tid_dir),
	[PROC_T_FD] = {.name = "FD",
                       .mode = S_IFLNK | 0700,
                       .link = proc_fd_link,
                       .link_text = proc_fd_text},
	[PROC_T_FDINFO] = {.name = "FDINFO", .mode = S_IFREG | 0444, .show = proc_fdinfo},
};
PSEUDO_DIR(proc_templates, .id = "proc.numbered", PSEUDO_ENTRIES(templates),
           .alive = template_alive, .owner = template_owner);

const struct pseudo_entry *proc_template(enum proc_template t)
{
	return &templates[t];
}
