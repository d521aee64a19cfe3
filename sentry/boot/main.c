/* The boot sequence: confine, make what needs privileges of any kind, filter, and only then look at
 * anything that somebody else wrote. */
#define LOG_SUBSYSTEM "boot"
#include "sentry/sentry.h"
#include "platform/platform.h"
#include "proto/rpc.h"
#include "sentry/boot/control.h"
#include "sentry/boot/filter.h"
#include "sentry/boot/memory.h"
#include "sentry/boot/sandbox.h"
#include "sentry/fs/hostfd.h"
#include "state/base/cleanup.h"
#include "state/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_CONFIG (64 * MIB) /* arguments and environment dominate */

/* What is needed from start to end, and then for ever: the process ends with it. */
struct booting {
	Control__BootConfig *cfg;
	struct control *control; /* NULL until it runs */
	struct boot *boot;
	const Control__Sandbox *sandbox;
	char *why;
};

static int read_config(int fd, Control__BootConfig **ret)
{
	AUTO_FREE u8 *buf = NULL;
	size_t size, got = 0;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size <= 0 || (u64)st.st_size > MAX_CONFIG)
		return -EINVAL;
	size = (size_t)st.st_size;
	buf = malloc(size);
	if (!buf)
		return -ENOMEM;
	while (got < size) {
		ssize_t n = pread(fd, buf + got, size - got, (off_t)got);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		got += (size_t)n;
	}
	*ret = control__boot_config__unpack(NULL, size, buf);
	return *ret ? 0 : -EBADMSG;
}

/* A restore without a bundle serves what the image was taken with. */
static int sandbox_of_image(struct booting *s)
{
	AUTO_FREE void *packed = NULL;
	Control__Sandbox *sb;
	size_t size;
	int r;

	r = boot_image_open(s->boot, &packed, &size, &s->why);
	if (r < 0)
		return r;
	if (s->cfg->sandbox) {
		s->sandbox = s->cfg->sandbox;
		return 0;
	}
	sb = control__sandbox__unpack(NULL, size, packed);
	if (!sb || sb->n_attach == 0) {
		s->why = strdup("inventory.img does not say what the sandbox was made of: use "
		                "--bundle");
		return -EBADMSG;
	}
	s->sandbox = sb;
	return 0;
}

static int load(struct booting *s)
{
	const Control__BootConfig *cfg = s->cfg;
	int fds[RPC_MAX_FDS];
	size_t n = 0, i;
	int r;

	if (cfg->restore) {
		r = sandbox_of_image(s);
		if (r < 0)
			return r;
	} else {
		s->sandbox = cfg->sandbox;
	}
	for (i = 0; i < cfg->n_gofer_fds && i < RPC_MAX_FDS; i++)
		fds[n++] = cfg->gofer_fds[i];
	if (n == 0) {
		r = control_need_gofer(s->control, s->sandbox, fds, RPC_MAX_FDS, &n);
		if (r < 0)
			return r;
	}
	r = control_watch_gofers(s->control, fds, n);
	if (r < 0)
		return r;
	if (cfg->restore)
		return boot_restore(s->boot, s->sandbox, fds, n, &s->why);
	return boot_create(s->boot, fds, n, &s->why);
}

/* Reads and writes that never block, without O_NONBLOCK on what the caller may share. While /proc
 * can be seen; where that is not possible the descriptors stay what they are.
 *
 * 0 to 2 stay taken: whatever libc says before it gives up goes to 2 and must end up in the log,
 * not in a memory file that happens to have got the number. */
static void private_stdio(Control__BootConfig *cfg)
{
	AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int old[3] = {-1, -1, -1}, fd;

	if (cfg->log_fd >= 0 && cfg->log_fd <= STDERR_FILENO) {
		fd = fcntl(cfg->log_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		if (fd < 0)
			return;
		cfg->log_fd = fd;
		log_init(fd, log_level());
	}
	for (size_t i = 0; i < cfg->n_stdio_fds && i < ARRAY_SIZE(old); i++) {
		fd = cfg->stdio_fds[i] < 0 ? -1 : hostfd_private(cfg->stdio_fds[i]);
		if (fd < 0)
			continue;
		old[i] = cfg->stdio_fds[i];
		cfg->stdio_fds[i] = fd;
	}
	for (size_t i = 0; i < ARRAY_SIZE(old); i++) {
		if (old[i] > STDERR_FILENO)
			close(old[i]);
		else if (old[i] >= 0 && null >= 0)
			(void)dup2(null, old[i]);
	}
	if (cfg->log_fd >= 0)
		(void)dup2(cfg->log_fd, STDERR_FILENO);
}

static int boot(struct booting *s)
{
	const Control__BootConfig *cfg = s->cfg;
	struct boot_memory mem;
	int r;

	if (!cfg->restore && (!cfg->sandbox || !cfg->process || cfg->process->n_args == 0)) {
		s->why = strdup("the boot configuration names nothing to run");
		return -EINVAL;
	}
	private_stdio(s->cfg);
	boot_memory_open(cfg, &mem);
	r = sentry_confine(cfg, &s->why);
	if (r < 0)
		return r;
	r = boot_prepare(cfg, &mem, &s->boot, &s->why);
	if (r < 0)
		return r;
	sentry_seal(cfg->debug);
	r = filter_install(boot_platform_syscalls(s->boot), cfg->debug, &s->why);
	if (r < 0)
		return r;
	r = control_start(cfg, &s->control, &s->why);
	if (r < 0)
		return r;
	r = load(s);
	if (r < 0)
		return r;
	return boot_start(s->boot, &s->why);
}

static void report_failure(struct booting *s, int error)
{
	const char *why = s->why ? s->why : strerror(-error);

	log_info("cannot start: %s", why);
	if (s->control) {
		control_failed(s->control, error, why);
	} else {
		Control__Reply reply = CONTROL__REPLY__INIT;

		reply.error = -error;
		reply.why = (char *)why;
		/* If even that fails, the parent sees us end without a word and says so. */
		(void)rpc_send(s->cfg->parent_fd, &reply.base, NULL, 0, true);
	}
}

/* What images of this sandbox say it is made of. */
static void *pack_sandbox(const struct booting *s, size_t *ret_size)
{
	Control__Sandbox sandbox = *s->sandbox;
	u8 *buf;

	sandbox.platform = s->cfg->platform;
	if (s->cfg->memory_limit)
		sandbox.memory_limit = s->cfg->memory_limit;
	if (s->cfg->pids_limit)
		sandbox.pids_limit = s->cfg->pids_limit;
	if (s->cfg->process)
		sandbox.process = s->cfg->process;
	buf = malloc(control__sandbox__get_packed_size(&sandbox) + 1);
	if (buf)
		*ret_size = control__sandbox__pack(&sandbox, buf);
	return buf;
}

/* One line in the state directory, for whoever asks after we are gone (cli/container.c). */
static void write_status(int fd, const struct boot_exit *status)
{
	char line[64];
	int n;

	if (fd < 0)
		return;
	if (status->ended)
		n = snprintf(line, sizeof(line), "ended\n");
	else if (status->signal)
		n = snprintf(line, sizeof(line), "signal %d\n", status->signal);
	else
		n = snprintf(line, sizeof(line), "exit %d\n", status->code);
	if (pwrite(fd, line, (size_t)n, 0) != n)
		log_err("cannot store the exit status: %s", strerror(errno));
}

int sentry_main(int config_fd)
{
	struct booting s = {0};
	struct boot_exit status;
	size_t packed_size = 0;
	void *packed;
	int r;

	r = read_config(config_fd, &s.cfg);
	close(config_fd);
	if (r < 0) {
		log_err("cannot read the boot configuration: %s", strerror(-r));
		return 1;
	}
	log_init(s.cfg->log_fd, (enum log_level)MIN(s.cfg->log_level, (u32)LOG_DEBUG));
	r = boot(&s);
	if (r < 0) {
		report_failure(&s, r);
		return 1;
	}
	packed = pack_sandbox(&s, &packed_size);
	if (!packed) {
		report_failure(&s, -ENOMEM);
		return 1;
	}
	boot_set_defaults(s.boot, s.cfg->process ? s.cfg->process : s.sandbox->process);
	/* Before its first step: who acts on what the guest says finds us ready. */
	control_started(s.control, s.boot, packed, packed_size);
	boot_go(s.boot);
	boot_wait(s.boot, &status);
	write_status(s.cfg->status_fd, &status);
	control_exited(s.control, &status);
	return 0;
}
