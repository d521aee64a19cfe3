/* /proc/sys: the settings that programs read. Few can be written; the rest are facts. */
#include "sentry/auth/creds.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/fs/proc/proc_net.h"
#include "sentry/fs/tty/devpts.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/pidns.h"
#include "sentry/kernel/utsns.h"
#include "sentry/vfs/epoll.h"
#include "sentry/vfs/file_count.h"
#include "sentry/vfs/inotify.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/random.h>

#define FACT(fn, ...)                        \
	static PROC_SHOW(fn)                 \
	{                                    \
		text_printf(t, __VA_ARGS__); \
		return 0;                    \
	}

/* ---- kernel ---- */

static PROC_SHOW(show_hostname)
{
	AUTO(utsns) uts = task_get_utsns(ctx_task(c));
	char name[UTS_LEN + 1];

	utsns_get_hostname(uts, name);
	text_printf(t, "%s\n", name);
	return 0;
}

static long store_hostname(struct pseudo_inode *i, struct ctx *c, char *s, size_t len)
{
	AUTO(utsns) uts = task_get_utsns(ctx_task(c));
	int r;

	if (!creds_capable(c->creds, CAP_SYS_ADMIN))
		return -EPERM;
	r = utsns_set_hostname(uts, s, strcspn(s, "\n"));
	return r < 0 ? r : (long)len;
}

static PROC_SHOW(show_domainname)
{
	AUTO(utsns) uts = task_get_utsns(ctx_task(c));
	char name[UTS_LEN + 1];

	utsns_get_domainname(uts, name);
	text_printf(t, "%s\n", name[0] ? name : "(none)");
	return 0;
}

static long store_domainname(struct pseudo_inode *i, struct ctx *c, char *s, size_t len)
{
	AUTO(utsns) uts = task_get_utsns(ctx_task(c));
	int r;

	if (!creds_capable(c->creds, CAP_SYS_ADMIN))
		return -EPERM;
	r = utsns_set_domainname(uts, s, strcspn(s, "\n"));
	return r < 0 ? r : (long)len;
}

static void show_uuid_bytes(struct text *t, const u8 b[16])
{
	text_printf(t, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x\n",
	            b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
	            b[13], b[14], b[15]);
}

static PROC_SHOW(show_uuid)
{
	u8 b[16];

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		return -EIO;
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	show_uuid_bytes(t, b);
	return 0;
}

/* The same for a sandbox from its first start on, through any number of restores. */
static PROC_SHOW(show_boot_id)
{
	u64 seed = (u64)c->kernel->clocks.boot_realtime;
	u8 b[16];

	for (size_t k = 0; k < sizeof(b); k++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		b[k] = (u8)(seed >> 56);
	}
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	show_uuid_bytes(t, b);
	return 0;
}

FACT(show_ostype, "%s\n", UTS_SYSNAME)
FACT(show_osrelease, "%s\n", UTS_RELEASE)
FACT(show_version, "%s\n", UTS_VERSION)
FACT(show_pid_max, "%u\n", PID_MAX)
FACT(show_threads_max, "%u\n", c->kernel->machine->pids_max)
FACT(show_cap_last_cap, "%d\n", CAP_LAST_CAP)
FACT(show_ngroups_max, "%u\n", NGROUPS_MAX_SANDBOX)
FACT(show_overflow, "65534\n")
FACT(show_core_pattern, "core\n")
FACT(show_0, "0\n")
FACT(show_1, "1\n")
FACT(show_2, "2\n")
FACT(show_256, "256\n")

#define REG(n, fn)                                            \
	{                                                     \
		.name = n, .mode = S_IFREG | 0444, .show = fn \
	}
#define DIR_OF(n, d)                                           \
	{                                                      \
		.name = n, .mode = S_IFDIR | 0555, .dir = &(d) \
	}

static const struct pseudo_entry random_entries[] = {
	REG("boot_id", show_boot_id),
	REG("entropy_avail", show_256),
	REG("poolsize", show_256),
	REG("uuid", show_uuid),
};
PSEUDO_DIR(proc_sys_random, .id = "proc.sys.kernel.random", PSEUDO_ENTRIES(random_entries));

FACT(show_pty_max, "%u\n", PTYS_MAX)
FACT(show_pty_nr, "%u\n", devpts_count())

static const struct pseudo_entry pty_entries[] = {
	REG("max", show_pty_max),
	REG("nr", show_pty_nr),
	REG("reserve", show_0),
};
PSEUDO_DIR(proc_sys_pty, .id = "proc.sys.kernel.pty", PSEUDO_ENTRIES(pty_entries));

#define NEXT_ID(n)                                                                                 \
	{                                                                                          \
		.name = #n, .mode = S_IFREG | 0644, .arg = SETTING_##n, .show = proc_next_id_show, \
		.store = proc_next_id_store                                                        \
	}

#define FOUR(n, s)                                                                             \
	{                                                                                      \
		.name = n, .mode = S_IFREG | 0644, .arg = SETTING_##s, .show = proc_four_show, \
		.store = proc_four_store                                                       \
	}

static const struct pseudo_entry kernel_entries[] = {
	REG("cap_last_cap", show_cap_last_cap),
	REG("core_pattern", show_core_pattern),
	REG("core_uses_pid", show_0),
	REG("dmesg_restrict", show_1),
	{.name = "domainname",
         .mode = S_IFREG | 0644,
         .show = show_domainname,
         .store = store_domainname},
	{.name = "hostname",
         .mode = S_IFREG | 0644,
         .show = show_hostname,
         .store = store_hostname},
	NEXT_ID(msg_next_id),
	PROC_SETTING("msgmax", msgmax),
	PROC_SETTING("msgmnb", msgmnb),
	PROC_SETTING("msgmni", msgmni),
	REG("ngroups_max", show_ngroups_max),
	REG("osrelease", show_osrelease),
	REG("ostype", show_ostype),
	REG("overflowgid", show_overflow),
	REG("overflowuid", show_overflow),
	REG("perf_event_paranoid", show_2),
	REG("pid_max", show_pid_max),
	FOUR("printk", printk_console),
	DIR_OF("pty", proc_sys_pty),
	DIR_OF("random", proc_sys_random),
	REG("randomize_va_space", show_2),
	FOUR("sem", semmsl),
	NEXT_ID(sem_next_id),
	NEXT_ID(shm_next_id),
	PROC_SETTING("shmall", shmall),
	PROC_SETTING("shmmax", shmmax),
	PROC_SETTING("shmmni", shmmni),
	REG("tainted", show_0),
	REG("threads-max", show_threads_max),
	REG("version", show_version),
};
PSEUDO_DIR(proc_sys_kernel, .id = "proc.sys.kernel", PSEUDO_ENTRIES(kernel_entries));

/* ---- vm ---- */

FACT(show_swappiness, "60\n")
FACT(show_mmap_min_addr, "%llu\n", (unsigned long long)c->kernel->machine->platform->min_user_addr)
FACT(show_overcommit_ratio, "50\n")

static const struct pseudo_entry vm_entries[] = {
	PROC_SETTING("max_map_count", max_map_count),
	REG("mmap_min_addr", show_mmap_min_addr),
	REG("nr_hugepages", show_0),
	/* Memory is given when it is touched, never promised: 1, always overcommit. */
	REG("overcommit_memory", show_1),
	REG("overcommit_ratio", show_overcommit_ratio),
	REG("swappiness", show_swappiness),
};
PSEUDO_DIR(proc_sys_vm, .id = "proc.sys.vm", PSEUDO_ENTRIES(vm_entries));

/* ---- fs ---- */

FACT(show_file_max, "%llu\n", (unsigned long long)files_max(c->kernel->machine->memfile))
FACT(show_file_nr, "%llu\t0\t%llu\n", (unsigned long long)files_open(),
     (unsigned long long)files_max(c->kernel->machine->memfile))

static const struct pseudo_entry epoll_entries[] = {
	PROC_SETTING("max_user_watches", epoll_watches),
};
PSEUDO_DIR(proc_sys_epoll, .id = "proc.sys.fs.epoll", PSEUDO_ENTRIES(epoll_entries));

FACT(show_inotify_events, "%u\n", INOTIFY_MAX_EVENTS)

static const struct pseudo_entry inotify_entries[] = {
	REG("max_queued_events", show_inotify_events),
	PROC_SETTING("max_user_instances", inotify_instances),
	PROC_SETTING("max_user_watches", inotify_watches),
};
PSEUDO_DIR(proc_sys_inotify, .id = "proc.sys.fs.inotify", PSEUDO_ENTRIES(inotify_entries));

static const struct pseudo_entry fs_entries[] = {
	PROC_SETTING("dir-notify-enable", dir_notify_enable),
	DIR_OF("epoll", proc_sys_epoll),
	REG("file-max", show_file_max),
	REG("file-nr", show_file_nr),
	DIR_OF("inotify", proc_sys_inotify),
	PROC_SETTING("lease-break-time", lease_break_time),
	PROC_SETTING("leases-enable", leases_enable),
	DIR_OF("mqueue", proc_sys_mqueue),
	PROC_SETTING("nr_open", nr_open),
	{.name = "pipe-max-size",
         .mode = S_IFREG | 0644,
         .arg = SETTING_pipe_max_size,
         .show = proc_setting_show,
         .store = proc_pipe_size_store},
	REG("protected_hardlinks", show_0),
	REG("protected_symlinks", show_0),
	REG("suid_dumpable", show_0),
};
PSEUDO_DIR(proc_sys_fs, .id = "proc.sys.fs", PSEUDO_ENTRIES(fs_entries));

static const struct pseudo_entry sys_entries[] = {
	DIR_OF("fs", proc_sys_fs),
	DIR_OF("kernel", proc_sys_kernel),
	DIR_OF("net", proc_sys_net),
	DIR_OF("vm", proc_sys_vm),
};
PSEUDO_DIR(proc_sys_dir, .id = "proc.sys", PSEUDO_ENTRIES(sys_entries));
