/* The hidden verbs that the command re-executes itself with: `boot ID FD`, `gofer ID FD`. */
#include "cli/cli.h"
#include "gofer/gofer.h"
#include "proto/control.pb-c.h"
#include "sentry/sentry.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* argv: verb, id (for people who look at processes), descriptor of the configuration. */
static int config_fd(int argc, const char **argv, struct error *err)
{
	char *end;
	long fd;

	if (argc != 3)
		return error_usage(err, "%s is for stasis itself", argv[0]);
	fd = strtol(argv[2], &end, 10);
	if (*end || fd < 3 || fd > 1 << 20)
		return error_usage(err, "%s is for stasis itself", argv[0]);
	return (int)fd;
}

int cmd_boot(const struct globals *g, int argc, const char **argv, struct error *err)
{
	int fd = config_fd(argc, argv, err);

	if (fd < 0)
		return -1;
	/* Threads of the kernel may be anywhere: nothing of the process is torn down. */
	_exit(sentry_main(fd));
}

static int read_config(int fd, Control__GoferConfig **ret, struct error *err)
{
	AUTO_FREE u8 *buf = NULL;
	struct stat st;
	size_t size;

	if (fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > (off_t)MIB)
		return error_set(err, "gofer: no configuration");
	size = (size_t)st.st_size;
	buf = malloc(size);
	if (!buf || pread(fd, buf, size, 0) != (ssize_t)size)
		return error_set(err, "gofer: cannot read the configuration: %s", strerror(errno));
	*ret = control__gofer_config__unpack(NULL, size, buf);
	return *ret ? 0 : error_set(err, "gofer: bad configuration");
}

int cmd_gofer(const struct globals *g, int argc, const char **argv, struct error *err)
{
	AUTO_FREE struct gofer_attach *attach = NULL;
	struct gofer_config cfg = {0};
	Control__GoferConfig *m;
	int fd = config_fd(argc, argv, err);
	size_t i;

	if (fd < 0 || read_config(fd, &m, err) < 0)
		return -1;
	close(fd);
	attach = calloc(m->n_attach + 1, sizeof(*attach));
	if (!attach)
		return error_set(err, "gofer: out of memory");
	for (i = 0; i < m->n_attach; i++)
		attach[i] = (struct gofer_attach){
			.name = m->attach[i]->name,
			.fd = m->attach[i]->fd,
			.readonly = m->attach[i]->readonly,
			.flags = m->attach[i]->flags,
		};
	cfg.attach = attach;
	cfg.n_attach = m->n_attach;
	cfg.socks = m->socks;
	cfg.n_socks = m->n_socks;
	cfg.log_fd = m->log_fd;
	cfg.log_level = (enum log_level)MIN(m->log_level, (u32)LOG_DEBUG);
	cfg.hold_fd = m->lock_fd;
	cfg.cleanup.dir_fd = m->cleanup_fd;
	cfg.cleanup.names = (const char *const *)m->cleanup_files;
	cfg.cleanup.n_names = m->n_cleanup_files;
	cfg.cleanup.parent_fd = m->parent_fd;
	cfg.cleanup.dir_name = m->cleanup_name;
	_exit(gofer_main(&cfg));
}
