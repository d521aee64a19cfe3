/* `stasis ps`: the processes of a container. */
#include "cli/cli.h"
#include "cli/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A program chooses its names; the terminal is ours. */
static void print_clean(const char *p)
{
	for (; *p; p++)
		putchar((unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p);
}

static void print_entry(const Control__PsEntry *e, unsigned depth)
{
	char start[32] = "-";
	time_t at = (time_t)(e->start_realtime_ns / NSEC_PER_SEC), now = time(NULL);
	u64 cpu = e->cpu_ns / NSEC_PER_SEC;
	struct tm tm;

	if (localtime_r(&at, &tm))
		strftime(start, sizeof(start), now - at < 86400 ? "%H:%M" : "%b%d", &tm);
	printf("%-10u %-6d %-6d %-4u %-8s %-6s %02u:%02u:%02u ", e->uid, e->pid, e->ppid,
	       e->threads, *e->tty ? e->tty : "?", start, (unsigned)(cpu / 3600),
	       (unsigned)(cpu / 60 % 60), (unsigned)(cpu % 60));
	printf("%-2.1s ", *e->state ? e->state : "?");
	print_clean(*e->waiting ? e->waiting : "-");
	for (int pad = 26 - (int)strlen(*e->waiting ? e->waiting : "-"); pad > 0; pad--)
		putchar(' ');
	putchar(' ');
	if (depth)
		printf("%*s\\_ ", (int)MIN(depth - 1, 30u) * 4, "");
	print_clean(e->command);
	putchar('\n');
}

/* All entries, from as many replies as it took. */
struct table {
	Control__PsEntry **v;
	bool *done;
	size_t n;
};

static void table_finish(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		control__ps_entry__free_unpacked(t->v[i], NULL);
	free(t->v);
	free(t->done);
}

/* An entry and below it its children. A hostile sentry may claim circles: each is printed once. */
static void print_tree(struct table *t, size_t at, unsigned depth)
{
	if (t->done[at])
		return;
	t->done[at] = true;
	print_entry(t->v[at], depth);
	for (size_t i = 0; i < t->n && depth < 1000; i++) {
		if (t->v[i]->ppid == t->v[at]->pid)
			print_tree(t, i, depth + 1);
	}
}

static bool has_parent(const struct table *t, size_t at)
{
	for (size_t i = 0; i < t->n; i++) {
		if (i != at && t->v[i]->pid == t->v[at]->ppid)
			return true;
	}
	return false;
}

static void print_table(struct table *t)
{
	printf("%-10s %-6s %-6s %-4s %-8s %-6s %-8s %-2s %-26s %s\n", "UID", "PID", "PPID", "THR",
	       "TTY", "STIME", "TIME", "S", "WAITS FOR", "CMD");
	for (size_t i = 0; i < t->n; i++) {
		if (!has_parent(t, i))
			print_tree(t, i, 0);
	}
	for (size_t i = 0; i < t->n; i++)
		print_tree(t, i, 0);
}

/* Takes the entries over. */
static int append(struct table *t, Control__PsReply *ps)
{
	size_t n = t->n + ps->n_entries;
	Control__PsEntry **v = realloc(t->v, (n + 1) * sizeof(Control__PsEntry *));
	bool *done;

	if (!v)
		return -1;
	t->v = v;
	done = realloc(t->done, n + 1);
	if (!done)
		return -1;
	t->done = done;
	for (size_t i = 0; i < ps->n_entries; i++) {
		t->done[t->n] = false;
		t->v[t->n++] = ps->entries[i];
	}
	ps->n_entries = 0;
	return 0;
}

static int collect(const struct container *c, struct table *t, struct error *err)
{
	Control__PsRequest ps = CONTROL__PS_REQUEST__INIT;
	Control__Request req = CONTROL__REQUEST__INIT;
	Control__Reply *reply;
	bool more = true;
	size_t i;

	req.op_case = CONTROL__REQUEST__OP_PS;
	req.ps = &ps;
	while (more) {
		int r = 0;

		if (client_request(c, "ps", &req, CLIENT_TIMEOUT_MS, &reply, err) < 0)
			return -1;
		more = false;
		if (reply->result_case == CONTROL__REPLY__RESULT_PS) {
			for (i = 0; i < reply->ps->n_entries; i++) {
				/* Only ever onwards, whatever the sentry says. */
				if (reply->ps->entries[i]->pid > ps.after_pid) {
					ps.after_pid = reply->ps->entries[i]->pid;
					more = reply->ps->more;
				}
			}
			r = append(t, reply->ps);
		}
		control__reply__free_unpacked(reply, NULL);
		if (r < 0)
			return error_set(err, "out of memory");
	}
	return 0;
}

int cmd_ps(const struct globals *g, int argc, const char **argv, struct error *err)
{
	const struct poptOption table[] = {OPTIONS_END};
	struct container c;
	struct table t = {0};
	const char **args;
	int n, r;

	if (parse_options(table, "ID", 1, 1, argc, argv, &args, &n, err) < 0 ||
	    container_open(g, args[0], &c, err) < 0)
		return -1;
	r = collect(&c, &t, err);
	if (r == 0)
		print_table(&t);
	table_finish(&t);
	container_finish(&c);
	return r;
}
