/* --strace: every call with its arguments and result, in the log. */
#define LOG_SUBSYSTEM "strace"
#include "sentry/syscall/dispatch.h"

#include "state/base/log.h"

#include <stdio.h>
#include <string.h>

static void name_of(struct task *t, const struct syscall_entry *e, char *buf, size_t size)
{
	if (e)
		snprintf(buf, size, "%s", e->name);
	else
		snprintf(buf, size, "syscall_%llu", (unsigned long long)t->sysno);
}

/* A string argument at the front, as most path calls have it. */
static bool path_arg(struct task *t, u64 addr, char *buf, size_t size)
{
	return user_get_str(&t->ctx, UADDR(addr), buf, size) >= 0;
}

static int path_index(const char *name)
{
	static const char *const first[] = {"open",  "stat",     "lstat",    "access", "execve",
	                                    "chdir", "readlink", "unlink",   "mkdir",  "rmdir",
	                                    "chmod", "statfs",   "truncate", "chroot", "rename"};
	static const char *const second[] = {"openat",     "newfstatat", "faccessat", "faccessat2",
	                                     "readlinkat", "unlinkat",   "mkdirat",   "statx",
	                                     "fchmodat",   "utimensat",  "openat2"};

	for (size_t i = 0; i < ARRAY_SIZE(first); i++) {
		if (strcmp(name, first[i]) == 0)
			return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(second); i++) {
		if (strcmp(name, second[i]) == 0)
			return 1;
	}
	return -1;
}

static void format_args(struct task *t, const char *name, const struct sysargs *a, char *buf,
                        size_t size)
{
	char text[160];
	int at = path_index(name), n = 0;

	for (int i = 0; i < 6 && n < (int)size - 1; i++) {
		const char *sep = i ? ", " : "";

		if (i == at && path_arg(t, a->a[i], text, sizeof(text)))
			n += snprintf(buf + n, size - (size_t)n, "%s\"%s\"", sep, text);
		else
			n += snprintf(buf + n, size - (size_t)n, "%s0x%llx", sep,
			              (unsigned long long)a->a[i]);
	}
}

void strace_enter(struct task *t, const struct syscall_entry *e, const struct sysargs *a)
{
	char name[32], args[400];

	name_of(t, e, name, sizeof(name));
	format_args(t, name, a, args, sizeof(args));
	log_line(LOG_ERR, "strace", "[%u %s] %s(%s)%s", t->tid, t->comm, name, args,
	         t->ctx.restart.active ? " again" : "");
}

void strace_exit(struct task *t, const struct syscall_entry *e, const struct sysargs *a, long ret)
{
	char name[32];

	name_of(t, e, name, sizeof(name));
	if (ret < 0 && ret > -4096)
		log_line(LOG_ERR, "strace", "[%u %s] %s = %ld (%s)", t->tid, t->comm, name, ret,
		         ret > -512 ? strerror((int)-ret) : "restart");
	else
		log_line(LOG_ERR, "strace", "[%u %s] %s = 0x%lx", t->tid, t->comm, name, ret);
}
