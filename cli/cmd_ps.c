/* `stasis ps`: the processes of a container. */
#include "cli/cli.h"
#include "cli/client.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static void print_entry(const Control__PsEntry *e)
{
	char start[32] = "-";
	time_t at = (time_t)(e->start_realtime_ns / NSEC_PER_SEC), now = time(NULL);
	u64 cpu = e->cpu_ns / NSEC_PER_SEC;
	struct tm tm;
	const char *p;

	if (localtime_r(&at, &tm))
		strftime(start, sizeof(start), now - at < 86400 ? "%H:%M" : "%b%d", &tm);
	printf("%-10u %-6d %-6d %-4u %-8s %-6s %02u:%02u:%02u ", e->uid, e->pid, e->ppid,
	       e->threads, *e->tty ? e->tty : "?", start, (unsigned)(cpu / 3600),
	       (unsigned)(cpu / 60 % 60), (unsigned)(cpu % 60));
	/* A program chooses its name; the terminal is ours. */
	for (p = e->command; *p; p++)
		putchar((unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p);
	putchar('\n');
}

static int print_all(const struct container *c, struct error *err)
{
	Control__PsRequest ps = CONTROL__PS_REQUEST__INIT;
	Control__Request req = CONTROL__REQUEST__INIT;
	Control__Reply *reply;
	bool more = true;
	size_t i;

	req.op_case = CONTROL__REQUEST__OP_PS;
	req.ps = &ps;
	while (more) {
		if (client_request(c, "ps", &req, CLIENT_TIMEOUT_MS, &reply, err) < 0)
			return -1;
		more = false;
		if (reply->result_case == CONTROL__REPLY__RESULT_PS) {
			if (ps.after_pid == 0)
				printf("%-10s %-6s %-6s %-4s %-8s %-6s %-8s %s\n", "UID", "PID",
				       "PPID", "THR", "TTY", "STIME", "TIME", "CMD");
			for (i = 0; i < reply->ps->n_entries; i++) {
				print_entry(reply->ps->entries[i]);
				/* Only ever onwards, whatever the sentry says. */
				if (reply->ps->entries[i]->pid > ps.after_pid) {
					ps.after_pid = reply->ps->entries[i]->pid;
					more = reply->ps->more;
				}
			}
		}
		control__reply__free_unpacked(reply, NULL);
	}
	return 0;
}

int cmd_ps(const struct globals *g, int argc, const char **argv, struct error *err)
{
	const struct poptOption table[] = {OPTIONS_END};
	struct container c;
	const char **args;
	int n, r;

	if (parse_options(table, "ID", 1, 1, argc, argv, &args, &n, err) < 0 ||
	    container_open(g, args[0], &c, err) < 0)
		return -1;
	r = print_all(&c, err);
	container_finish(&c);
	return r;
}
