/* `stasis restore`: goes on from an image. */
#include "cli/cli.h"
#include "cli/config.h"
#include "cli/host_share.h"
#include "cli/imagedir.h"
#include "cli/launch.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int cmd_restore(const struct globals *g, int argc, const char **argv, struct error *err)
{
	const char *bundle = NULL, *image = NULL, *socket = NULL, *memory = NULL, *pids = NULL,
		   **args;
	int detach = 0, background = 0;
	const struct poptOption table[] = {
		{"image-path", 0, POPT_ARG_STRING, &image, 0, "directory of the image", "IMG"},
		{"bundle", 'b', POPT_ARG_STRING, &bundle, 0,
	         "take root and mounts from this bundle (default: what the image was taken with)",
	         "DIR"},
		{"detach", 'd', POPT_ARG_NONE, &detach, 0,
	         "return when the container runs; it stays until stasis delete", NULL},
		{"console-socket", 0, POPT_ARG_STRING, &socket, 0,
	         "send the master of the container's terminal to this unix socket", "PATH"},
		{"background", 0, POPT_ARG_NONE, &background, 0,
	         "load all memory while the program runs, so that the image is not needed for long",
	         NULL},
		{"memory", 'm', POPT_ARG_STRING, &memory, 0,
	         "bound all memory; at the bound a process is ended as Linux would (default: "
	         "what the image was taken with)",
	         "BYTES[K|M|G|T]"},
		{"pids", 0, POPT_ARG_STRING, &pids, 0,
	         "bound the number of processes and threads (default: likewise)", "N"},
		OPTIONS_END};
	struct launch l = {.globals = g, .restore = true};
	AUTO_FREE char *path = NULL;
	struct config c = {0};
	int fds[IMAGE_FILES];
	int n, r;

	if (parse_options(table, "[FLAG...] ID", 1, 1, argc, argv, &args, &n, err) < 0 ||
	    parse_memory(memory, &l.memory_limit, err) < 0 ||
	    parse_pids(pids, &l.pids_limit, err) < 0)
		return -1;
	if (!image)
		return error_usage(err, "restore: --image-path is missing");
	if (imagedir_open(image, fds, err) < 0)
		return -1;
	if (bundle) {
		path = realpath(bundle, NULL);
		if (!path)
			r = error_set(err, "cannot open bundle %s: %s", bundle, strerror(errno));
		else
			r = config_of_bundle(path, g->overlay, &c, err);
		if (r < 0) {
			imagedir_close(fds);
			return -1;
		}
	}
	l.id = args[0];
	l.bundle = path;
	l.detach = detach;
	l.console_socket = socket;
	l.restore_modes = true;
	l.background = background;
	l.sandbox = c.sandbox;
	l.annotations = c.annotations;
	l.image = image;
	l.image_fds[0] = fds[IMAGE_INVENTORY];
	l.image_fds[1] = fds[IMAGE_KERNEL];
	l.image_fds[2] = fds[IMAGE_PAGEMAP];
	l.image_fds[3] = fds[IMAGE_PAGES];
	r = launch(&l, err);
	imagedir_close(fds);
	config_free(&c);
	return r;
}
