/* Flags of one command, and one-line complaints about them. */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Operands live in the context, which lives as long as the process. */
static poptContext g_context;

int output_done(struct error *err)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	return error_set(err, "cannot write the output: %s", strerror(errno));
}

int parse_options(const struct poptOption *table, const char *operands, int min, int max, int argc,
                  const char **argv, const char ***ret_operands, int *ret_n, struct error *err)
{
	static const char *none[] = {NULL};
	char name[64];
	const char **rest, *command = argv[0];
	poptContext ctx;
	int rc, n = 0;

	snprintf(name, sizeof(name), "stasis %s", argv[0]);
	argv[0] = name;
	/* What follows the operands of an open list is not ours; elsewhere flags may stand
	 * anywhere. */
	ctx = poptGetContext(name, argc, argv, table, max < 0 ? POPT_CONTEXT_POSIXMEHARDER : 0);
	if (g_context)
		poptFreeContext(g_context);
	g_context = ctx;
	poptSetOtherOptionHelp(ctx, operands);
	while ((rc = poptGetNextOpt(ctx)) > 0) {
		if (rc != OPTION_HELP)
			continue;
		poptPrintHelp(ctx, stdout, 0);
		if (output_done(err) < 0)
			return -1;
		exit(0);
	}
	if (rc < -1)
		return error_usage(err, "%s: %s: see %s --help",
		                   poptBadOption(ctx, POPT_BADOPTION_NOALIAS), poptStrerror(rc),
		                   name);
	rest = poptGetArgs(ctx);
	while (rest && rest[n])
		n++;
	if (n < min)
		return error_usage(err, "%s: missing operand: usage: %s %s", command, name,
		                   operands);
	if (max >= 0 && n > max)
		return error_usage(err, "%s: unexpected operand %s: usage: %s %s", command,
		                   rest[max], name, operands);
	*ret_operands = rest ? rest : none;
	*ret_n = n;
	return 0;
}
