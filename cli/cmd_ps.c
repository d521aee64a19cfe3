/* `stasis ps`: the processes of a container. */
#include "cli/cli.h"
#include "cli/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LEVELS_SHOWN 10u /* deeper ones stand below each other */
#define WAITS_MAX    26  /* columns that others make room for; longer ones move their own line */

struct table {
	Control__PsEntry **v; /* by pid */
	size_t *children;     /* indices, by parent, then pid */
	bool *done;
	size_t n;
	int uid, pid, ppid, threads, tty, waits; /* columns */
};

static int width_of(unsigned long long v)
{
	return snprintf(NULL, 0, "%llu", v);
}

static void print_entry(const struct table *t, const Control__PsEntry *e, unsigned depth)
{
	char start[32] = "-";
	time_t at = (time_t)(e->start_realtime_ns / NSEC_PER_SEC), now = time(NULL);
	u64 cpu = e->cpu_ns / NSEC_PER_SEC;
	int pad = t->tty;
	struct tm tm;

	if (localtime_r(&at, &tm))
		strftime(start, sizeof(start), now - at < 86400 ? "%H:%M" : "%b%d", &tm);
	printf("%-*u %-*d %-*d %-*u ", t->uid, e->uid, t->pid, e->pid, t->ppid, e->ppid, t->threads,
	       e->threads);
	pad -= (int)print_clean(*e->tty ? e->tty : "?", false);
	printf("%*s %-5s %02u:%02u:%02u ", MAX(pad, 0), "", start, (unsigned)(cpu / 3600),
	       (unsigned)(cpu / 60 % 60), (unsigned)(cpu % 60));
	print_clean((char[]){*e->state ? *e->state : '?', 0}, false);
	putchar(' ');
	pad = t->waits - (int)print_clean(*e->waiting ? e->waiting : "-", false);
	printf("%*s ", MAX(pad, 0), "");
	if (depth)
		printf("%*s\\_ ", (int)MIN(depth - 1, LEVELS_SHOWN) * 4, "");
	print_clean(e->command, false);
	putchar('\n');
}

static void table_finish(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		control__ps_entry__free_unpacked(t->v[i], NULL);
	free(t->v);
	free(t->children);
	free(t->done);
}

static int by_pid(const void *a, const void *b)
{
	const Control__PsEntry *x = *(Control__PsEntry *const *)a;
	const Control__PsEntry *y = *(Control__PsEntry *const *)b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static int by_parent(const void *a, const void *b, void *arg)
{
	const struct table *t = arg;
	size_t i = *(const size_t *)a, j = *(const size_t *)b;

	if (t->v[i]->ppid != t->v[j]->ppid)
		return t->v[i]->ppid < t->v[j]->ppid ? -1 : 1;
	return i < j ? -1 : i > j;
}

/* Where the children of pid begin. */
static size_t first_child(const struct table *t, s32 pid)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (t->v[t->children[mid]]->ppid < pid)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* An entry and below it its children. A hostile sentry may claim circles: each is printed once. */
static void print_tree(struct table *t, size_t at, unsigned depth)
{
	s32 pid = t->v[at]->pid;

	if (t->done[at])
		return;
	t->done[at] = true;
	print_entry(t, t->v[at], depth);
	if (depth >= 1000)
		return;
	for (size_t i = first_child(t, pid); i < t->n && t->v[t->children[i]]->ppid == pid; i++)
		print_tree(t, t->children[i], depth + 1);
}

static bool has_parent(const struct table *t, size_t at)
{
	const Control__PsEntry parent = {.pid = t->v[at]->ppid}, *key = &parent;

	return t->v[at]->ppid != t->v[at]->pid &&
	       bsearch(&key, t->v, t->n, sizeof(t->v[0]), by_pid) != NULL;
}

static void measure(struct table *t)
{
	t->uid = 3, t->pid = 3, t->ppid = 4, t->threads = 3, t->tty = 3, t->waits = 9;
	for (size_t i = 0; i < t->n; i++) {
		const Control__PsEntry *e = t->v[i];

		t->uid = MAX(t->uid, width_of(e->uid));
		t->pid = MAX(t->pid, width_of((u32)e->pid));
		t->ppid = MAX(t->ppid, width_of((u32)e->ppid));
		t->threads = MAX(t->threads, width_of(e->threads));
		t->tty = MAX(t->tty, (int)MIN(strlen(e->tty), (size_t)16));
		t->waits = MAX(t->waits, (int)MIN(strlen(e->waiting), (size_t)WAITS_MAX));
	}
}

static void print_table(struct table *t)
{
	measure(t);
	printf("%-*s %-*s %-*s %-*s %-*s %-5s %-8s %s %-*s %s\n", t->uid, "UID", t->pid, "PID",
	       t->ppid, "PPID", t->threads, "THR", t->tty, "TTY", "STIME", "TIME", "S", t->waits,
	       "WAITS FOR", "CMD");
	for (size_t i = 0; i < t->n; i++) {
		if (!has_parent(t, i))
			print_tree(t, i, 0);
	}
	for (size_t i = 0; i < t->n; i++)
		print_tree(t, i, 0);
}

/* Process ids, as runc prints them. */
static void print_json(const struct table *t)
{
	putchar('[');
	for (size_t i = 0; i < t->n; i++)
		printf(i ? ",%d" : "%d", t->v[i]->pid);
	printf("]\n");
}

static int append(struct table *t, size_t *room, Control__PsEntry *e)
{
	if (t->n == *room) {
		size_t more = *room ? *room * 2 : 64;
		Control__PsEntry **v = realloc(t->v, more * sizeof(Control__PsEntry *));

		if (!v)
			return -ENOMEM;
		t->v = v;
		*room = more;
	}
	t->v[t->n++] = e;
	return 0;
}

static int collect(const struct container *c, struct table *t, struct error *err)
{
	Control__PsRequest ps = CONTROL__PS_REQUEST__INIT;
	Control__Request req = CONTROL__REQUEST__INIT;
	Control__Reply *reply;
	ProtobufCMessage *m;
	size_t room = 0;
	FILE *answer;
	int r;

	req.op_case = CONTROL__REQUEST__OP_PS;
	req.ps = &ps;
	if (client_request_answer(c, "ps", &req, &reply, &answer, err) < 0)
		return -1;
	control__reply__free_unpacked(reply, NULL);
	while ((r = client_next(answer, &control__ps_entry__descriptor, &m)) > 0) {
		r = append(t, &room, (Control__PsEntry *)m);
		if (r < 0) {
			protobuf_c_message_free_unpacked(m, NULL);
			break;
		}
	}
	fclose(answer);
	if (r == -EBADMSG)
		return error_set(err, "ps container %s: no answer that makes sense", c->id);
	t->done = calloc(t->n + 1, sizeof(bool));
	t->children = calloc(t->n + 1, sizeof(size_t));
	if (r < 0 || !t->done || !t->children)
		return error_set(err, "out of memory");
	if (t->n)
		qsort(t->v, t->n, sizeof(t->v[0]), by_pid);
	for (size_t i = 0; i < t->n; i++)
		t->children[i] = i;
	qsort_r(t->children, t->n, sizeof(size_t), by_parent, t);
	return 0;
}

int cmd_ps(const struct globals *g, int argc, const char **argv, struct error *err)
{
	const char *format = "table";
	const struct poptOption table[] = {{"format", 'f', POPT_ARG_STRING, &format, 0,
	                                    "table (default), or json: a list of process ids",
	                                    "FORMAT"},
	                                   OPTIONS_END};
	struct container c;
	struct table t = {0};
	const char **args;
	bool json;
	int n, r;

	if (parse_options(table, "[FLAG...] ID", 1, 1, argc, argv, &args, &n, err) < 0)
		return -1;
	json = strcmp(format, "json") == 0;
	if (!json && strcmp(format, "table") != 0)
		return error_usage(err, "ps: --format %s: table or json", format);
	if (container_open(g, args[0], &c, err) < 0)
		return -1;
	r = collect(&c, &t, err);
	if (r == 0 && json)
		print_json(&t);
	else if (r == 0)
		print_table(&t);
	table_finish(&t);
	container_finish(&c);
	if (r == 0 && fflush(stdout) != 0)
		return error_set(err, "cannot write the output");
	return r;
}
