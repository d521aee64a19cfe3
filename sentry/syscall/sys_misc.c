/*
 * The rest: uname(2), sysinfo(2), getrandom(2), rseq(2), membarrier(2), kcmp(2), what a sandbox is
 * not allowed (reboot(2)), an empty log (syslog(2)). Limits and usage are in sys_rlimit.c.
 */
#include "sentry/auth/creds.h"
#include "sentry/ctx/settings.h"
#include "sentry/kernel/quiesce.h"
#include "sentry/kernel/rseq.h"
#include "sentry/kernel/sighand.h"
#include "sentry/kernel/utsns.h"
#include "sentry/mm/heap.h"
#include "sentry/mm/mm.h"
#include "sentry/syscall/sysarg.h"
#include "sentry/vfs/fd_table.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <linux/membarrier.h>
#include <linux/rseq.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

/* ---- names ---- */

struct uts {
	char sysname[UTS_LEN + 1], nodename[UTS_LEN + 1], release[UTS_LEN + 1],
		version[UTS_LEN + 1], machine[UTS_LEN + 1], domainname[UTS_LEN + 1];
};

SYSCALL1(uname, uaddr_t, out)
{
	struct uts u = {
		.sysname = UTS_SYSNAME,
		.release = UTS_RELEASE,
		.version = UTS_VERSION,
		.machine = UTS_MACHINE,
	};

	utsns_get_hostname(t->utsns, u.nodename);
	utsns_get_domainname(t->utsns, u.domainname);
	return user_put(&t->ctx, out, &u);
}

static long set_name(struct task *t, uaddr_t name, int len,
                     int (*set)(struct utsns *, const char *, size_t))
{
	char buf[UTS_LEN];
	int r;

	if (!creds_capable(t->ctx.creds, CAP_SYS_ADMIN))
		return -EPERM;
	if (len < 0 || len > UTS_LEN)
		return -EINVAL;
	r = user_copy_in(&t->ctx, buf, name, (size_t)len);
	return r < 0 ? r : set(t->utsns, buf, (size_t)len);
}

SYSCALL2(sethostname, uaddr_t, name, int, len)
{
	return set_name(t, name, len, utsns_set_hostname);
}

SYSCALL2(setdomainname, uaddr_t, name, int, len)
{
	return set_name(t, name, len, utsns_set_domainname);
}

/* ---- the machine ---- */

SYSCALL1(sysinfo, uaddr_t, out)
{
	const struct memfile *mf = t->kernel->machine->memfile;
	struct sysinfo host, si = {0};
	u64 total, used;

	if (sysinfo(&host) < 0)
		return -errno;
	total = (u64)host.totalram * host.mem_unit;
	if (mf->limit && mf->limit < total)
		total = mf->limit;
	used = MIN(memfile_resident(mf) + heap_bytes(mf), total);
	si.uptime = clock_mono(t->ctx.clocks) / NSEC_PER_SEC;
	si.totalram = total;
	si.freeram = total - used;
	si.procs = (unsigned short)MIN(kernel_task_count(t->kernel), 65535u);
	si.mem_unit = 1;
	return user_put(&t->ctx, out, &si);
}

SYSCALL3(getrandom, uaddr_t, buf, size_t, len, u32, flags)
{
	u8 bytes[1024];
	size_t done = 0;

	if (flags & ~(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE) ||
	    (flags & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
		return -EINVAL;
	len = MIN(len, (size_t)INT32_MAX);
	while (done < len) {
		ssize_t n = getrandom(bytes, MIN(len - done, sizeof(bytes)), 0);

		if (n < 0)
			return done ? (long)done : -errno;
		if (user_copy_out(&t->ctx, uaddr_add(buf, done), bytes, (size_t)n) < 0)
			return done ? (long)done : -EFAULT;
		done += (size_t)n;
		if (ctx_interrupted(&t->ctx) && done >= 256)
			break;
	}
	explicit_bzero(bytes, sizeof(bytes));
	return (long)done;
}

/* Linux: include/linux/syslog.h. */
enum {
	LOG_CLOSE,
	LOG_OPEN,
	LOG_READ,
	LOG_READ_ALL,
	LOG_READ_CLEAR,
	LOG_CLEAR,
	LOG_CONSOLE_OFF,
	LOG_CONSOLE_ON,
	LOG_CONSOLE_LEVEL,
	LOG_SIZE_UNREAD,
	LOG_SIZE_BUFFER
};
#define LOG_BUFFER (128 * KIB)

static void set_console(struct kernel *k, u64 level, u64 saved)
{
	BUG_ON(setting_set(k, SETTING_printk_console, level) < 0);
	BUG_ON(setting_set(k, SETTING_printk_saved, saved) < 0);
}

static int console(struct kernel *k, int type, int level)
{
	u64 saved = setting(k, printk_saved), now = setting(k, printk_console);

	switch (type) {
	case LOG_CONSOLE_OFF:
		set_console(k, setting(k, printk_least), saved ? saved : MIN(now, 15ull) + 1);
		return 0;
	case LOG_CONSOLE_ON:
		set_console(k, saved ? saved - 1 : now, 0);
		return 0;
	default:
		if (level < 1 || level > 8)
			return -EINVAL;
		set_console(k, MAX((u64)level, setting(k, printk_least)), 0);
		return 0;
	}
}

/* This kernel says nothing to its guests: the log is empty, and whoever waits for more waits. */
SYSCALL3(syslog, int, type, uaddr_t, buf, int, len)
{
	int r;

	/* As with kernel.dmesg_restrict. */
	if (!creds_capable(t->ctx.creds, CAP_SYSLOG))
		return -EPERM;
	switch (type) {
	case LOG_READ:
	case LOG_READ_ALL:
	case LOG_READ_CLEAR:
		if (uaddr_null(buf) || len < 0)
			return -EINVAL;
		if (type != LOG_READ || len == 0)
			return 0;
		t->waiting_on = "syslog";
		do {
			ctx_prepare(&t->ctx);
			r = ctx_sleep(&t->ctx, NEVER);
		} while (r == 0);
		t->waiting_on = NULL;
		return r;
	case LOG_CLOSE:
	case LOG_OPEN:
	case LOG_CLEAR:
	case LOG_SIZE_UNREAD:
		return 0;
	case LOG_CONSOLE_OFF:
	case LOG_CONSOLE_ON:
	case LOG_CONSOLE_LEVEL:
		return console(t->kernel, type, len);
	case LOG_SIZE_BUFFER:
		return LOG_BUFFER;
	default:
		return -EINVAL;
	}
}

SYSCALL4(reboot, u32, magic1, u32, magic2, u32, cmd, uaddr_t, arg)
{
	return -EPERM;
}

/* Nobody loads modules here. With --autosave request this call, which no program makes for its own
 * purposes, is how a test asks for a save. */
SYSCALL3(init_module, uaddr_t, image, u64, len, uaddr_t, params)
{
	if (!t->kernel->machine->autosave_on_request || !uaddr_null(image) || len)
		return -EPERM;
	kernel_request_autosave(t->kernel);
	return 0;
}

/* ---- threads ---- */

SYSCALL4(rseq, u64, area, u32, len, int, flags, u32, sig)
{
	if (flags & RSEQ_FLAG_UNREGISTER)
		return flags & ~RSEQ_FLAG_UNREGISTER ? -EINVAL : rseq_unregister(t, area, len, sig);
	return flags ? -EINVAL : rseq_register(t, area, len, sig);
}

#define MEMBARRIER_OFFERED                                                             \
	(MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_GLOBAL_EXPEDITED |                     \
	 MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | MEMBARRIER_CMD_PRIVATE_EXPEDITED | \
	 MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)

/*
 * Guest threads run in host processes of their own, which the sentry's barriers of the expedited
 * kinds don't reach; the host's global one reaches every thread there is. So all kinds are that
 * one; who registered is kept only because a call without it has an error.
 */
SYSCALL3(membarrier, int, cmd, u32, flags, int, cpu)
{
	static _Atomic int has_global = -1;

	if (has_global < 0) {
		long cmds = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

		has_global = cmds > 0 && cmds & MEMBARRIER_CMD_GLOBAL;
	}
	if (!has_global)
		return -ENOSYS;
	if (flags)
		return -EINVAL;
	switch (cmd) {
	case MEMBARRIER_CMD_QUERY:
		return MEMBARRIER_OFFERED;
	case MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED:
	case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
		mm_membarrier_register(t->ctx.mm, (u32)cmd);
		return 0;
	case MEMBARRIER_CMD_PRIVATE_EXPEDITED:
		if (!(mm_membarrier(t->ctx.mm) & MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED))
			return -EPERM;
		return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0 ? -errno : 0;
	case MEMBARRIER_CMD_GLOBAL:
	case MEMBARRIER_CMD_GLOBAL_EXPEDITED:
		return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0 ? -errno : 0;
	default:
		return -EINVAL;
	}
}

/* ---- kcmp ---- */

static long compare(const void *a, const void *b)
{
	return a == b ? 0 : (uintptr_t)a < (uintptr_t)b ? 1 : 2;
}

static long compare_files(struct task *a, u64 fd_a, struct task *b, u64 fd_b)
{
	AUTO(fd_table) ta = task_get_fds(a);
	AUTO(fd_table) tb = task_get_fds(b);
	AUTO(file) fa = NULL;
	AUTO(file) fb = NULL;

	if (!ta || !tb || fd_a > INT32_MAX || fd_b > INT32_MAX ||
	    fd_table_lookup(ta, (int)fd_a, &fa) < 0 || fd_table_lookup(tb, (int)fd_b, &fb) < 0)
		return -EBADF;
	return compare(fa, fb);
}

SYSCALL5(kcmp, u32, pid_a, u32, pid_b, int, type, u64, idx_a, u64, idx_b)
{
	AUTO(task) a = task_find(t->kernel, pid_a);
	AUTO(task) b = task_find(t->kernel, pid_b);

	if (!a || !b)
		return -ESRCH;
	if (!task_may_inspect(t, a) || !task_may_inspect(t, b))
		return -EPERM;
	switch (type) {
	case KCMP_FILE:
		return compare_files(a, idx_a, b, idx_b);
	case KCMP_VM:
		return compare(READ_ONCE(a->ctx.mm), READ_ONCE(b->ctx.mm));
	case KCMP_FILES:
		return compare(READ_ONCE(a->ctx.fds), READ_ONCE(b->ctx.fds));
	case KCMP_FS:
		return compare(READ_ONCE(a->ctx.fs), READ_ONCE(b->ctx.fs));
	case KCMP_SIGHAND:
		return compare(READ_ONCE(a->tg->sighand), READ_ONCE(b->tg->sighand));
	/* Neither is ever shared here: nobody has an I/O context or a list of undos. */
	case KCMP_IO:
	case KCMP_SYSVSEM:
		return 0;
	default:
		return -EINVAL;
	}
}
