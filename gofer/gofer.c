#define LOG_SUBSYSTEM "gofer"
#include "gofer/server.h"

#include "state/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void clean_up(const struct gofer_cleanup *cl)
{
	struct stat dir, named;

	if (cl->dir_fd < 0)
		return;
	for (size_t i = 0; i < cl->n_names; i++)
		if (unlinkat(cl->dir_fd, cl->names[i], 0) < 0 && errno != ENOENT)
			log_warn("cannot remove %s: %s", cl->names[i], strerror(errno));
	if (cl->parent_fd < 0 || fstat(cl->dir_fd, &dir) < 0 ||
	    fstatat(cl->parent_fd, cl->dir_name, &named, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (dir.st_dev != named.st_dev || dir.st_ino != named.st_ino)
		return;
	if (unlinkat(cl->parent_fd, cl->dir_name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		log_warn("cannot remove %s: %s", cl->dir_name, strerror(errno));
}

static int run(const struct gofer_config *cfg)
{
	AUTO_FREE struct attach_point *attach = calloc(cfg->n_attach, sizeof(*attach));
	AUTO_FREE int *keep = calloc(cfg->n_socks + 4, sizeof(int));
	AUTO_FREE struct gofer *g = calloc(1, sizeof(*g));
	size_t n = 0;
	int r;

	if (cfg->n_attach == 0 || cfg->n_socks == 0)
		return -EINVAL;
	if (!attach || !keep || !g)
		return -ENOMEM;
	g->attach = attach;
	for (size_t i = 0; i < cfg->n_socks; i++)
		keep[n++] = cfg->socks[i];
	keep[n++] = cfg->log_fd;
	if (cfg->hold_fd > 0)
		keep[n++] = cfg->hold_fd;
	if (cfg->cleanup.dir_fd >= 0) {
		keep[n++] = cfg->cleanup.dir_fd;
		keep[n++] = cfg->cleanup.parent_fd;
	}
	r = sandbox_enter(g, cfg, keep, n);
	if (r < 0)
		return r;
	return gofer_serve(g, cfg->socks, cfg->n_socks);
}

/*
 * A Ctrl-C at the terminal, or whatever else is sent to the whole group, is for the sandbox's
 * programs; the gofer is needed until the sentry is gone, and ends with it.
 */
static void ignore_signals(void)
{
	static const int sigs[] = {SIGINT,  SIGQUIT, SIGHUP,  SIGTERM, SIGTSTP,
	                           SIGPIPE, SIGXFSZ, SIGUSR1, SIGUSR2};

	for (size_t i = 0; i < ARRAY_SIZE(sigs); i++)
		signal(sigs[i], SIG_IGN);
}

int gofer_main(const struct gofer_config *cfg)
{
	int r;

	ignore_signals();
	log_init(cfg->log_fd, cfg->log_level);
	r = run(cfg);
	if (r < 0)
		log_err("ended: %s", strerror(-r));
	clean_up(&cfg->cleanup);
	return r < 0;
}
