/* `stasis features`: the system calls, and how much of each there is. */
#include "cli/cli.h"
#include "sentry/sentry.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int print_json(struct error *err)
{
	json_t *all = json_array(), *top = json_pack("{s:o}", "syscalls", all);
	const char *name, *support, *note;
	char *text;

	for (u32 nr = 0; nr < SENTRY_SYSCALLS; nr++) {
		if (sentry_syscall_info(nr, &name, &support, &note))
			json_array_append_new(all, json_pack("{s:i, s:s, s:s, s:s}", "number",
			                                     (int)nr, "name", name, "support",
			                                     support, "note", note));
	}
	text = top ? json_dumps(top, JSON_INDENT(2)) : NULL;
	json_decref(top);
	if (!text)
		return error_set(err, "out of memory");
	puts(text);
	free(text);
	return 0;
}

static void print_table(void)
{
	const char *name, *support, *note;
	unsigned count[3] = {0};

	for (u32 nr = 0; nr < SENTRY_SYSCALLS; nr++) {
		if (!sentry_syscall_info(nr, &name, &support, &note))
			continue;
		count[strcmp(support, "full") == 0 ? 0 : strcmp(support, "partial") == 0 ? 1 : 2]++;
		if (*note)
			printf("%-4u %-24s %-8s %s\n", nr, name, support, note);
		else
			printf("%-4u %-24s %s\n", nr, name, support);
	}
	printf("%u full, %u partial, %u none\n", count[0], count[1], count[2]);
}

int cmd_features(const struct globals *g, int argc, const char **argv, struct error *err)
{
	int json = 0, n;
	const struct poptOption table[] = {{"json", 0, POPT_ARG_NONE, &json, 0, "as JSON", NULL},
	                                   OPTIONS_END};
	const char **args;

	if (parse_options(table, "[FLAG...]", 0, 0, argc, argv, &args, &n, err) < 0)
		return -1;
	if (json)
		return print_json(err);
	print_table();
	return 0;
}
