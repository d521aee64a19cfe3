/* `stasis do`: a command in a sandbox of its own, with the host's files under an overlay. */
#include "cli/cli.h"
#include "cli/config.h"
#include "cli/host_share.h"
#include "cli/launch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int parse_autosave(const char *arg, u64 *ret_every, bool *ret_on_request, struct error *err)
{
	char *end;
	unsigned long long n;

	if (!arg)
		return 0;
	if (strcmp(arg, "request") == 0) {
		*ret_on_request = true;
		return 0;
	}
	errno = 0;
	n = strtoull(arg, &end, 10);
	if (arg[0] < '0' || arg[0] > '9' || *end || n == 0 || errno)
		return error_usage(err, "--autosave %s: a number of system calls, or request", arg);
	*ret_every = n;
	return 0;
}

int cmd_do(const struct globals *g, int argc, const char **argv, struct error *err)
{
	const char *name = NULL, *autosave = NULL, *memory = NULL, *pids = NULL, **args;
	const struct poptOption table[] = {
		{"name", 0, POPT_ARG_STRING, &name, 0,
	         "id of the container (default: a random one)", "ID"},
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
	char *random_id = NULL;
	struct config c;
	int n, r;

	if (parse_options(table, "[FLAG...] [--] COMMAND [ARG...]", 1, -1, argc, argv, &args, &n,
	                  err) < 0 ||
	    parse_autosave(autosave, &l.autosave_every, &l.autosave_on_request, err) < 0 ||
	    parse_memory(memory, &l.memory_limit, err) < 0 ||
	    parse_pids(pids, &l.pids_limit, err) < 0)
		return -1;
	if (!name)
		name = random_id = container_random_id();
	if (!name)
		return error_set(err, "out of memory");
	r = config_of_caller(g->overlay, g->umask, args, n, &c, err);
	if (r == 0) {
		l.id = name;
		l.sandbox = c.sandbox;
		l.process = c.process;
		l.as_caller = true;
		r = launch(&l, err);
		config_free(&c);
	}
	free(random_id);
	return r;
}
