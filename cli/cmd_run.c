/* `stasis run`: the container of an OCI bundle. */
#include "cli/cli.h"
#include "cli/config.h"
#include "cli/host_share.h"
#include "cli/launch.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int cmd_run(const struct globals *g, int argc, const char **argv, struct error *err)
{
	const char *bundle = ".", *autosave = NULL, *socket = NULL, *memory = NULL, *pids = NULL,
		   **args;
	int detach = 0;
	const struct poptOption table[] = {
		{"bundle", 'b', POPT_ARG_STRING, &bundle, 0,
	         "directory with config.json (default: the current one)", "DIR"},
		{"detach", 'd', POPT_ARG_NONE, &detach, 0,
	         "return when the container runs; it stays until stasis delete", NULL},
		{"console-socket", 0, POPT_ARG_STRING, &socket, 0,
	         "send the master of the container's terminal to this unix socket", "PATH"},
		{"autosave", 0, POPT_ARG_STRING, &autosave, 0,
	         "save, tear down and reload everything after every Nth system call, or whenever "
	         "the program asks for it",
	         "N|request"},
		{"memory", 'm', POPT_ARG_STRING, &memory, 0,
	         "bound all memory; at the bound a process is ended as Linux would (default: "
	         "three quarters of the host's)",
	         "BYTES[K|M|G|T]"},
		{"pids", 0, POPT_ARG_STRING, &pids, 0,
	         "bound the number of processes and threads (default: a share of the host's)", "N"},
		OPTIONS_END};
	struct launch l = {.globals = g};
	AUTO_FREE char *path = NULL;
	struct config c;
	int n, r;

	if (parse_options(table, "[FLAG...] ID", 1, 1, argc, argv, &args, &n, err) < 0 ||
	    parse_autosave(autosave, &l.autosave_every, &l.autosave_on_request, err) < 0 ||
	    parse_memory(memory, &l.memory_limit, err) < 0 ||
	    parse_pids(pids, &l.pids_limit, err) < 0)
		return -1;
	path = realpath(bundle, NULL);
	if (!path)
		return error_set(err, "cannot open bundle %s: %s", bundle, strerror(errno));
	if (config_of_bundle(path, g->overlay, &c, err) < 0)
		return -1;
	l.id = args[0];
	l.bundle = path;
	l.detach = detach;
	l.console = c.process->terminal;
	l.console_socket = c.process->terminal ? socket : NULL;
	l.restore_modes = true;
	l.sandbox = c.sandbox;
	l.process = c.process;
	l.annotations = c.annotations;
	r = launch(&l, err);
	config_free(&c);
	return r;
}
