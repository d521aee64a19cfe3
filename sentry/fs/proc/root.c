/* /proc itself: processes by number, and the files about the whole system. */
#include "sentry/fs/proc/proc.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/pidns.h"
#include "sentry/kernel/utsns.h"
#include "sentry/mm/heap.h"
#include "sentry/time/clock.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

/* ---- processes ---- */

static int pid_lookup(struct pseudo_inode *dir, struct ctx *c, const char *name,
                      struct pseudo_key *ret)
{
	AUTO(task) t = NULL;
	u64 pid;

	if (!pseudo_number(name, PID_MAX, &pid))
		return -ENOENT;
	t = task_find(c->kernel, (u32)pid);
	if (!t)
		return -ENOENT;
	*ret = (struct pseudo_key){proc_template(PROC_T_PID), t->tid, false, t->start_time, -1};
	return 0;
}

static bool pid_next(struct pseudo_inode *dir, struct ctx *c, u64 *num, char name[24],
                     struct pseudo_key *ret)
{
	if (*num > PID_MAX)
		return false;
	for (u32 after = *num ? (u32)*num - 1 : 0;;) {
		AUTO(thread_group) tg = thread_group_next(c->kernel, after);
		AUTO(task) t = NULL;

		if (!tg)
			return false;
		after = tg->tgid;
		t = task_find(c->kernel, tg->tgid);
		if (!t)
			continue;
		*num = tg->tgid;
		*ret = (struct pseudo_key){proc_template(PROC_T_PID), t->tid, false, t->start_time,
		                           -1};
		snprintf(name, 24, "%u", tg->tgid);
		return true;
	}
}

static PROC_LINK(self_link)
{
	if (asprintf(ret_text, "%u", c->tgid) < 0)
		return -ENOMEM;
	return 0;
}

static PROC_LINK(thread_self_link)
{
	if (asprintf(ret_text, "%u/task/%u", c->tgid, c->tid) < 0)
		return -ENOMEM;
	return 0;
}

static PROC_LINK(mounts_link)
{
	*ret_text = strdup("self/mounts");
	return *ret_text ? 0 : -ENOMEM;
}

static PROC_LINK(net_link)
{
	*ret_text = strdup("self/net");
	return *ret_text ? 0 : -ENOMEM;
}

/* ---- memory ---- */

static void kb(struct text *t, const char *name, u64 bytes)
{
	text_printf(t, "%-16s%8llu kB\n", name, (unsigned long long)(bytes / KIB));
}

static PROC_SHOW(show_meminfo)
{
	struct memory_use m = memory_use(c->kernel->machine->memfile);

	kb(t, "MemTotal:", m.total);
	kb(t, "MemFree:", m.free);
	kb(t, "MemAvailable:", m.free);
	kb(t, "Buffers:", 0);
	kb(t, "Cached:", 0);
	kb(t, "SwapCached:", 0);
	kb(t, "Active:", m.used - m.heap);
	kb(t, "Inactive:", 0);
	kb(t, "Active(anon):", m.used - m.heap);
	kb(t, "Inactive(anon):", 0);
	kb(t, "Active(file):", 0);
	kb(t, "Inactive(file):", 0);
	kb(t, "Unevictable:", 0);
	kb(t, "Mlocked:", 0);
	kb(t, "SwapTotal:", 0);
	kb(t, "SwapFree:", 0);
	kb(t, "Dirty:", 0);
	kb(t, "Writeback:", 0);
	kb(t, "AnonPages:", m.used - m.heap);
	kb(t, "Mapped:", 0);
	kb(t, "Shmem:", 0);
	kb(t, "KReclaimable:", 0);
	kb(t, "Slab:", m.heap);
	kb(t, "SReclaimable:", 0);
	kb(t, "SUnreclaim:", m.heap);
	kb(t, "KernelStack:", 0);
	kb(t, "PageTables:", 0);
	kb(t, "NFS_Unstable:", 0);
	kb(t, "Bounce:", 0);
	kb(t, "WritebackTmp:", 0);
	kb(t, "CommitLimit:", m.total);
	kb(t, "Committed_AS:", m.used);
	kb(t, "VmallocTotal:", 34359738367ull * KIB);
	kb(t, "VmallocUsed:", 0);
	kb(t, "VmallocChunk:", 0);
	text_printf(t, "HugePages_Total:       0\nHugePages_Free:        0\n"
	               "HugePages_Rsvd:        0\nHugePages_Surp:        0\n");
	kb(t, "Hugepagesize:", 2 * MIB);
	return 0;
}

static PROC_SHOW(show_vmstat)
{
	struct memory_use m = memory_use(c->kernel->machine->memfile);

	text_printf(t, "nr_free_pages %llu\nnr_anon_pages %llu\nnr_mapped 0\nnr_file_pages 0\n",
	            (unsigned long long)(m.free / PAGE_SIZE),
	            (unsigned long long)(m.used / PAGE_SIZE));
	text_printf(t,
	            "nr_dirty 0\nnr_writeback 0\npgpgin 0\npgpgout 0\npswpin 0\npswpout 0\n"
	            "pgalloc_normal 0\npgfree 0\npgfault 0\npgmajfault 0\noom_kill %llu\n",
	            (unsigned long long)atomic_load(&c->kernel->oom.kills));
	return 0;
}

/* ---- time and load ---- */

static u64 busy_ns(struct ctx *c, u64 *ret_user, u64 *ret_sys, u32 *ret_running)
{
	u32 after = 0;

	*ret_user = *ret_sys = 0;
	*ret_running = 0;
	kernel_settle_times(c->kernel);
	for (;;) {
		AUTO(thread_group) tg = thread_group_next(c->kernel, after);
		u32 tid = 0;
		u64 u, s;

		if (!tg)
			return *ret_user + *ret_sys;
		after = tg->tgid;
		thread_group_times(tg, &u, &s);
		*ret_user += u;
		*ret_sys += s;
		for (;;) {
			AUTO(task) t = task_next(tg, tid);

			if (!t)
				break;
			tid = t->tid;
			if (task_state_letter(t) == 'R')
				++*ret_running;
		}
	}
}

static PROC_SHOW(show_stat)
{
	unsigned n = MAX(c->kernel->machine->ncpu, 1u);
	s64 up = clock_mono(&c->kernel->clocks);
	u64 user, sys, idle, busy;
	u32 running, last;

	busy = busy_ns(c, &user, &sys, &running);
	idle = (u64)up * n > busy ? (u64)up * n - busy : 0;
	text_printf(t, "cpu  %llu 0 %llu %llu 0 0 0 0 0 0\n",
	            (unsigned long long)proc_ticks((s64)user),
	            (unsigned long long)proc_ticks((s64)sys),
	            (unsigned long long)proc_ticks((s64)idle));
	for (unsigned k = 0; k < n; k++)
		text_printf(t, "cpu%u %llu 0 %llu %llu 0 0 0 0 0 0\n", k,
		            (unsigned long long)proc_ticks((s64)user / n),
		            (unsigned long long)proc_ticks((s64)sys / n),
		            (unsigned long long)proc_ticks((s64)idle / n));
	mutex_lock(&c->kernel->tasks_lock);
	last = c->kernel->pidns->last_pid;
	mutex_unlock(&c->kernel->tasks_lock);
	text_printf(t,
	            "intr 0\nctxt 0\nbtime %lld\nprocesses %u\nprocs_running %u\nprocs_blocked 0\n"
	            "softirq 0 0 0 0 0 0 0 0 0 0 0\n",
	            (long long)((clock_real(&c->kernel->clocks) - up) / NSEC_PER_SEC), last,
	            MAX(running, 1u));
	return 0;
}

static PROC_SHOW(show_uptime)
{
	u64 user, sys, busy, idle;
	s64 up = clock_mono(&c->kernel->clocks);
	u32 running;

	busy = busy_ns(c, &user, &sys, &running);
	idle = (u64)up * MAX(c->kernel->machine->ncpu, 1u);
	idle = idle > busy ? idle - busy : 0;
	text_printf(t, "%llu.%02llu %llu.%02llu\n", (unsigned long long)(up / NSEC_PER_SEC),
	            (unsigned long long)(up / (NSEC_PER_SEC / 100) % 100),
	            (unsigned long long)(idle / NSEC_PER_SEC),
	            (unsigned long long)(idle / (NSEC_PER_SEC / 100) % 100));
	return 0;
}

static PROC_SHOW(show_loadavg)
{
	u64 user, sys;
	u32 running, last;

	busy_ns(c, &user, &sys, &running);
	mutex_lock(&c->kernel->tasks_lock);
	last = c->kernel->pidns->last_pid;
	mutex_unlock(&c->kernel->tasks_lock);
	text_printf(t, "0.00 0.00 0.00 %u/%u %u\n", MAX(running, 1u), kernel_task_count(c->kernel),
	            last);
	return 0;
}

/* ---- what this system is ---- */

static PROC_SHOW(show_version)
{
	text_printf(t, "%s version %s (stasis) (gcc) %s\n", UTS_SYSNAME, UTS_RELEASE, UTS_VERSION);
	return 0;
}

static PROC_SHOW(show_filesystems)
{
	const struct fs_type *fs;

	for (unsigned k = 0; (fs = fs_type_at(k)); k++)
		text_printf(t, "nodev\t%s\n", fs->name);
	return 0;
}

static PROC_SHOW(show_cmdline)
{
	text_printf(t, "BOOT_IMAGE=stasis\n");
	return 0;
}

static PROC_SHOW(show_devices)
{
	text_printf(t, "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 "
	               "/dev/ptmx\n136 pts\n\nBlock devices:\n");
	return 0;
}

static PROC_SHOW(show_partitions)
{
	text_printf(t, "major minor  #blocks  name\n\n");
	return 0;
}

static PROC_SHOW(show_swaps)
{
	text_printf(t, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
	return 0;
}

static PROC_SHOW(show_interrupts)
{
	unsigned n = MAX(c->kernel->machine->ncpu, 1u);

	text_printf(t, "           ");
	for (unsigned k = 0; k < n; k++)
		text_printf(t, "CPU%-8u", k);
	text_char(t, '\n');
	return 0;
}

static PROC_SHOW(show_cgroups)
{
	text_printf(t, "#subsys_name\thierarchy\tnum_cgroups\tenabled\n");
	return 0;
}

static PROC_SHOW(show_nothing)
{
	return 0;
}

static PROC_SHOW(show_generation)
{
	text_printf(t, "%llu\n", (unsigned long long)c->kernel->generation);
	return 0;
}

#define REG(n, fn)                                            \
	{                                                     \
		.name = n, .mode = S_IFREG | 0444, .show = fn \
	}

static const struct pseudo_entry stasis_entries[] = {REG("generation", show_generation)};
PSEUDO_DIR(proc_stasis_dir, .id = "proc.stasis", PSEUDO_ENTRIES(stasis_entries));

static const struct pseudo_entry root_entries[] = {
	REG("cgroups", show_cgroups),
	REG("cmdline", show_cmdline),
	REG("cpuinfo", proc_cpuinfo),
	REG("devices", show_devices),
	REG("diskstats", show_nothing),
	REG("filesystems", show_filesystems),
	REG("interrupts", show_interrupts),
	REG("loadavg", show_loadavg),
	REG("meminfo", show_meminfo),
	REG("modules", show_nothing),
	{.name = "mounts", .mode = S_IFLNK | 0777, .link = mounts_link},
	{.name = "net", .mode = S_IFLNK | 0777, .link = net_link},
	REG("partitions", show_partitions),
	{.name = "self", .mode = S_IFLNK | 0777, .link = self_link},
	{.name = "stasis", .mode = S_IFDIR | 0555, .dir = &proc_stasis_dir},
	REG("stat", show_stat),
	REG("swaps", show_swaps),
	{.name = "sys", .mode = S_IFDIR | 0555, .dir = &proc_sys_dir},
	{.name = "sysvipc", .mode = S_IFDIR | 0555, .dir = &proc_sysvipc_dir},
	{.name = "thread-self", .mode = S_IFLNK | 0777, .link = thread_self_link},
	REG("uptime", show_uptime),
	REG("version", show_version),
	REG("vmstat", show_vmstat),
};
PSEUDO_DIR(proc_root_dir, .id = "proc.root", PSEUDO_ENTRIES(root_entries), .lookup = pid_lookup,
           .next = pid_next);
