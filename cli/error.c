/* The one line that a failed command prints. */
#include "cli/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void set(struct error *err, bool usage, const char *fmt, va_list ap)
{
	char *p;

	if (err->text)
		return;
	if (vasprintf(&err->text, fmt, ap) < 0)
		err->text = NULL;
	err->usage = usage;
	/* Names of files and containers may hold anything; the promise is one line. */
	for (p = err->text; p && *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
}

int error_set(struct error *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set(err, false, fmt, ap);
	va_end(ap);
	return -1;
}

int error_usage(struct error *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set(err, true, fmt, ap);
	va_end(ap);
	return -1;
}

void error_finish(struct error *err)
{
	free(err->text);
	err->text = NULL;
}
