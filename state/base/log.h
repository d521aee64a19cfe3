#pragma once
/*
 * One log per process: lines "LEVEL subsystem: text" with a monotonic time stamp, written with one
 * write(2) each to a descriptor that is handed in (the sentry opens no files).
 *
 * Locking: none; a line is one write. Lifetime: the descriptor is the caller's. Saved: no.
 */
#include "state/base/types.h"

enum log_level {
	LOG_ERR,
	LOG_WARN,
	LOG_INFO,
	LOG_DEBUG
};

/* Sends log lines up to level to fd (-1: nowhere). Call before threads exist. */
void log_init(int fd, enum log_level level);
/* The descriptor and the level in force. */
int log_fd(void);
enum log_level log_level(void);

PRINTF(3, 4) void log_line(enum log_level level, const char *subsystem, const char *fmt, ...);
/* A line that may be longer than those of log_line, which are cut at 1000 bytes or so. */
void log_text(enum log_level level, const char *subsystem, const char *text, size_t n);

/* Each .c that logs defines LOG_SUBSYSTEM before the include, or inherits "stasis". */
#ifndef LOG_SUBSYSTEM
#define LOG_SUBSYSTEM "stasis"
#endif

extern enum log_level g_log_level;

#define log_at(level, ...)                                           \
	do {                                                         \
		if (unlikely((level) <= g_log_level))                \
			log_line(level, LOG_SUBSYSTEM, __VA_ARGS__); \
	} while (0)
#define log_err(...)   log_at(LOG_ERR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
