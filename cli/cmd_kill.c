/* `stasis kill`, `pause`, `resume`: what is done to a running container. */
#include "cli/cli.h"
#include "cli/client.h"

#include <ctype.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* "TERM", "SIGTERM", "15", "RTMIN+2"; -1 if it is none. */
static int signal_number(const char *s)
{
	const char *name = strncasecmp(s, "SIG", 3) == 0 ? s + 3 : s;
	char *end;
	long n;
	int i;

	if (isdigit((unsigned char)*s)) {
		n = strtol(s, &end, 10);
		return *end || n > 64 ? -1 : (int)n;
	}
	if (strncasecmp(name, "RTMIN", 5) == 0 || strncasecmp(name, "RTMAX", 5) == 0) {
		n = name[5] ? strtol(name + 5, &end, 10) : 0;
		if (name[5] && (*end || end == name + 5))
			return -1;
		/* The kernel's range; libc keeps the first two of it for itself. */
		n += toupper((unsigned char)name[3]) == 'I' ? 34 : 64;
		return n < 34 || n > 64 ? -1 : (int)n;
	}
	for (i = 1; i < 32; i++)
		if (sigabbrev_np(i) && strcasecmp(sigabbrev_np(i), name) == 0)
			return i;
	return -1;
}

int cmd_kill(const struct globals *g, int argc, const char **argv, struct error *err)
{
	int all = 0, pid = 0, n, r, signo = SIGTERM;
	const struct poptOption table[] = {
		{"all", 'a', POPT_ARG_NONE, &all, 0, "to every process", NULL},
		{"pid", 0, POPT_ARG_INT, &pid, 0,
	         "to the process with this number in the container (default: its first)", "PID"},
		OPTIONS_END};
	Control__Request req = CONTROL__REQUEST__INIT;
	Control__SignalRequest sig = CONTROL__SIGNAL_REQUEST__INIT;
	struct container c;
	const char **args;

	if (parse_options(table, "[FLAG...] ID [SIGNAL]", 1, 2, argc, argv, &args, &n, err) < 0)
		return -1;
	if (n == 2)
		signo = signal_number(args[1]);
	if (signo < 0)
		return error_usage(err, "kill: %s: there is no such signal", args[1]);
	if (pid < 0)
		return error_usage(err, "kill: --pid %d: there is no such process", pid);
	if (container_open(g, args[0], &c, err) < 0)
		return -1;
	sig.signal = signo;
	sig.pid = pid;
	sig.all = all;
	req.op_case = CONTROL__REQUEST__OP_SIGNAL;
	req.signal = &sig;
	r = client_request(&c, "kill", &req, CLIENT_TIMEOUT_MS, NULL, err);
	container_finish(&c);
	return r;
}

static int simple(const struct globals *g, int argc, const char **argv, Control__Request *req,
                  struct error *err)
{
	const struct poptOption table[] = {OPTIONS_END};
	const char *verb = argv[0];
	struct container c;
	const char **args;
	int n, r;

	if (parse_options(table, "ID", 1, 1, argc, argv, &args, &n, err) < 0 ||
	    container_open(g, args[0], &c, err) < 0)
		return -1;
	r = client_request(&c, verb, req, CLIENT_TIMEOUT_MS, NULL, err);
	container_finish(&c);
	return r;
}

int cmd_pause(const struct globals *g, int argc, const char **argv, struct error *err)
{
	Control__Request req = CONTROL__REQUEST__INIT;
	Control__Empty empty = CONTROL__EMPTY__INIT;

	req.op_case = CONTROL__REQUEST__OP_PAUSE;
	req.pause = &empty;
	return simple(g, argc, argv, &req, err);
}

int cmd_resume(const struct globals *g, int argc, const char **argv, struct error *err)
{
	Control__Request req = CONTROL__REQUEST__INIT;
	Control__Empty empty = CONTROL__EMPTY__INIT;

	req.op_case = CONTROL__REQUEST__OP_RESUME;
	req.resume = &empty;
	return simple(g, argc, argv, &req, err);
}
