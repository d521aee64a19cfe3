#pragma once
/*
 * /proc: what its tables share. Formats are those of proc(5).
 *
 * Locking: see pseudo.h; a task that was looked up is held by a reference. Lifetime: none of its
 * own. Saved: by pseudo_inode.
 */
#include "sentry/ctx/settings.h"
#include "sentry/fs/pseudo.h"
#include "sentry/kernel/task.h"

extern const struct pseudo_dir proc_root_dir, proc_pid_dir, proc_task_dir, proc_task_tid_dir,
	proc_fd_dir, proc_fdinfo_dir, proc_ns_dir, proc_net_dir, proc_sys_dir, proc_sys_mqueue,
	proc_sysvipc_dir, proc_templates;

/* Entries of proc_templates: what numbered names stand for. */
enum proc_template {
	PROC_T_PID,
	PROC_T_TID,
	PROC_T_FD,
	PROC_T_FDINFO
};
const struct pseudo_entry *proc_template(enum proc_template t);

/* The task that an inode is about: a reference, or NULL once it is gone. */
struct task *proc_task(const struct pseudo_key *key, struct ctx *c);
/* Its file system context, descriptors or memory through it: a reference; -ESRCH, or -ENOENT (an
 * exited task has none). With a check that c may look (-EACCES). */
MUST_CHECK int proc_inspect(const struct pseudo_key *key, struct ctx *c, struct task **ret);
/* may_open of files that are about memory or other people's secrets. */
int proc_may_inspect(struct pseudo_inode *i, struct ctx *c);
/* The process that f, an open directory /proc/PID, is about: a reference; -EBADF: f is no such
 * directory, -ESRCH: it is gone. */
MUST_CHECK int proc_dir_task(struct file *f, struct ctx *c, struct task **ret);

bool proc_task_alive(const struct pseudo_key *child, struct ctx *c);
void proc_task_owner(const struct pseudo_key *child, struct ctx *c, u32 *ret_uid, u32 *ret_gid,
                     u32 *ret_perm);

/* 100 per second, as sysconf(_SC_CLK_TCK) says. */
static inline u64 proc_ticks(s64 ns)
{
	return ns > 0 ? (u64)ns / (NSEC_PER_SEC / 100) : 0;
}

/* settings.c: a file of /proc/sys that is a setting of the kernel, for root to write. */
#define PROC_SETTING(n, s)                                                                        \
	{                                                                                         \
		.name = n, .mode = S_IFREG | 0644, .arg = SETTING_##s, .show = proc_setting_show, \
		.store = proc_setting_store                                                       \
	}
int proc_setting_show(struct pseudo_inode *i, struct ctx *c, struct text *t);
long proc_setting_store(struct pseudo_inode *i, struct ctx *c, char *s, size_t len);
int proc_four_show(struct pseudo_inode *i, struct ctx *c, struct text *t);
long proc_four_store(struct pseudo_inode *i, struct ctx *c, char *s, size_t len);
int proc_next_id_show(struct pseudo_inode *i, struct ctx *c, struct text *t);
long proc_next_id_store(struct pseudo_inode *i, struct ctx *c, char *s, size_t len);
long proc_pipe_size_store(struct pseudo_inode *i, struct ctx *c, char *s, size_t len);

#define PROC_SHOW(fn) int fn(struct pseudo_inode *i, struct ctx *c, struct text *t)
/* pid_stat.c */
PROC_SHOW(proc_pid_stat);
PROC_SHOW(proc_pid_statm);
PROC_SHOW(proc_pid_limits);
PROC_SHOW(proc_pid_sched);
PROC_SHOW(proc_pid_schedstat);
/* pid_login.c */
PROC_SHOW(proc_pid_loginuid);
PROC_SHOW(proc_pid_sessionid);
long proc_pid_loginuid_write(struct pseudo_inode *i, struct ctx *c, struct uiter *src, s64 *pos);
/* pid_status.c */
PROC_SHOW(proc_pid_status);
/* pid_mem.c */
PROC_SHOW(proc_pid_cmdline);
PROC_SHOW(proc_pid_environ);
PROC_SHOW(proc_pid_auxv);
PROC_SHOW(proc_pid_maps);
PROC_SHOW(proc_pid_smaps);
PROC_SHOW(proc_pid_smaps_rollup);
long proc_pid_mem_read(struct pseudo_inode *i, struct ctx *c, struct uiter *dst, s64 *pos);
long proc_pid_mem_write(struct pseudo_inode *i, struct ctx *c, struct uiter *src, s64 *pos);
/* pid_pages.c */
PROC_SHOW(proc_pid_numa_maps);
long proc_pid_pagemap_read(struct pseudo_inode *i, struct ctx *c, struct uiter *dst, s64 *pos);
/* pid_mounts.c */
PROC_SHOW(proc_pid_mounts);
PROC_SHOW(proc_pid_mountinfo);
struct mount_ns *proc_pid_mount_ns(struct pseudo_inode *i, struct ctx *c);
/* pid_links.c */
#define PROC_LINK(fn) \
	int fn(struct pseudo_inode *i, struct ctx *c, char **ret_text, struct path *ret_jump)
#define PROC_LINK_TEXT(fn) int fn(struct pseudo_inode *i, struct ctx *c, char **ret_text)
PROC_LINK(proc_pid_exe);
PROC_LINK(proc_pid_cwd);
PROC_LINK(proc_pid_root);
PROC_LINK(proc_fd_link);
PROC_LINK_TEXT(proc_pid_exe_text);
PROC_LINK_TEXT(proc_pid_cwd_text);
PROC_LINK_TEXT(proc_pid_root_text);
PROC_LINK_TEXT(proc_fd_text);
PROC_SHOW(proc_fdinfo);
/* cpuinfo_x86_64.c */
PROC_SHOW(proc_cpuinfo);
