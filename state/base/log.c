#include "state/base/log.h"
#include "state/base/bug.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum log_level g_log_level = LOG_WARN;
static int g_log_fd = STDERR_FILENO;

void log_init(int fd, enum log_level level)
{
	g_log_fd = fd;
	g_log_level = level;
}

int log_fd(void)
{
	return g_log_fd;
}

enum log_level log_level(void)
{
	return g_log_level;
}

static void emit(const char *line, size_t n)
{
	int saved_errno = errno;

	while (n > 0 && g_log_fd >= 0) {
		ssize_t w = write(g_log_fd, line, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			break;
		line += w;
		n -= (size_t)w;
	}
	errno = saved_errno;
}

static int head(char *line, size_t size, enum log_level level, const char *subsystem)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};
	struct timespec now = {0};

	clock_gettime(CLOCK_MONOTONIC, &now);
	return snprintf(line, size, "%6ld.%06ld %s %s: ", (long)now.tv_sec, now.tv_nsec / 1000,
	                names[level], subsystem);
}

void log_text(enum log_level level, const char *subsystem, const char *text, size_t n)
{
	char line[10240];
	int m = head(line, sizeof(line), level, subsystem);

	n = MIN(n, sizeof(line) - (size_t)m - 1);
	memcpy(line + m, text, n);
	line[(size_t)m + n] = '\n';
	emit(line, (size_t)m + n + 1);
}

void log_line(enum log_level level, const char *subsystem, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n = head(line, sizeof(line), level, subsystem), m;

	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	if (m < 0)
		return;
	n = MIN(n + m, (int)sizeof(line) - 2);
	line[n++] = '\n';
	emit(line, (size_t)n);
}

void bug_at(const char *file, int line, const char *what)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "stasis: BUG at %s:%d: %s\n", file, line, what);

	emit(text, MIN((size_t)n, sizeof(text) - 1));
	abort();
}
