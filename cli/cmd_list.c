/* `stasis list` and `stasis state`: what containers there are and how they fare. */
#include "cli/cli.h"
#include "cli/container.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static json_t *state_json(const struct container *c, enum container_status status)
{
	return json_pack("{s:s, s:s, s:s, s:i, s:s, s:s*, s:O*}", "ociVersion", "1.0.2", "id",
	                 c->id, "status", container_status_name(status), "pid",
	                 status == STATUS_STOPPED ? 0 : c->pid, "bundle",
	                 c->bundle ? c->bundle : "", "created", c->created, "annotations",
	                 c->annotations);
}

int cmd_state(const struct globals *g, int argc, const char **argv, struct error *err)
{
	const struct poptOption table[] = {OPTIONS_END};
	enum container_status status;
	struct container c;
	const char **args;
	json_t *o = NULL;
	int n, r;

	if (parse_options(table, "ID", 1, 1, argc, argv, &args, &n, err) < 0 ||
	    container_open(g, args[0], &c, err) < 0)
		return -1;
	r = container_status(&c, &status, err);
	if (r == 0) {
		o = state_json(&c, status);
		if (!o)
			r = error_set(err, "out of memory");
		else if (json_dumpf(o, stdout, JSON_INDENT(2)) == 0)
			putchar('\n');
	}
	json_decref(o);
	container_finish(&c);
	return r;
}

static const char *owner(const struct container *c)
{
	static char number[16];
	struct passwd *pw;
	struct stat st;

	if (fstat(c->dir_fd, &st) < 0)
		return "?";
	pw = getpwuid(st.st_uid);
	if (pw)
		return pw->pw_name;
	snprintf(number, sizeof(number), "%u", st.st_uid);
	return number;
}

enum list_format {
	LIST_TABLE,
	LIST_JSON,
	LIST_QUIET
};

/* One row; a container that is just going away has none. */
static void list_one(const struct globals *g, const char *id, enum list_format format, json_t *all)
{
	struct error ignored = {0};
	enum container_status status;
	struct container c;

	if (container_open(g, id, &c, &ignored) < 0) {
		error_finish(&ignored);
		return;
	}
	if (container_status(&c, &status, &ignored) == 0) {
		if (format == LIST_JSON)
			json_array_append_new(all, state_json(&c, status));
		else if (format == LIST_QUIET)
			printf("%s\n", c.id);
		else
			printf("%-28s %-8d %-10s %-28s %-32s %s\n", c.id,
			       status == STATUS_STOPPED ? 0 : c.pid, container_status_name(status),
			       c.bundle ? c.bundle : "-", c.created ? c.created : "-", owner(&c));
	}
	error_finish(&ignored);
	container_finish(&c);
}

int cmd_list(const struct globals *g, int argc, const char **argv, struct error *err)
{
	const char *format_name = "table", **args;
	int quiet = 0;
	const struct poptOption table[] = {
		{"format", 'f', POPT_ARG_STRING, &format_name, 0, "how (default table)",
	         "table|json"},
		{"quiet", 'q', POPT_ARG_NONE, &quiet, 0, "ids only", NULL},
		OPTIONS_END};
	enum list_format format;
	json_t *all = NULL;
	size_t n_ids, i;
	char **ids;
	int n;

	if (parse_options(table, "[FLAG...]", 0, 0, argc, argv, &args, &n, err) < 0)
		return -1;
	if (strcmp(format_name, "json") != 0 && strcmp(format_name, "table") != 0)
		return error_usage(err, "list: --format %s: table or json", format_name);
	format = quiet ? LIST_QUIET : strcmp(format_name, "json") == 0 ? LIST_JSON : LIST_TABLE;
	if (container_list(g, &ids, &n_ids, err) < 0)
		return -1;
	if (format == LIST_TABLE)
		printf("%-28s %-8s %-10s %-28s %-32s %s\n", "ID", "PID", "STATUS", "BUNDLE",
		       "CREATED", "OWNER");
	else if (format == LIST_JSON)
		all = json_array();
	for (i = 0; i < n_ids; i++)
		list_one(g, ids[i], format, all);
	if (all && json_dumpf(all, stdout, JSON_INDENT(2)) == 0)
		putchar('\n');
	json_decref(all);
	container_list_free(ids, n_ids);
	return 0;
}
