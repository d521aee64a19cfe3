#pragma once
/*
 * The harness of the guest programs: static programs that check one area of Linux each, run
 * natively (the oracle) and inside the sandbox, whose outputs must be equal byte for byte.
 *
 * Every GUEST_TEST runs in a process of its own, forked from main, so that one failure hides no
 * other. stdout gets one line per case and a count of marked points, nothing else; the reasons of
 * failures go to stderr.
 *
 * Locking: none; the counters are atomics in a page shared by all descendants. Lifetime: the
 * process. Saved: MAYBE_SAVE() is where the sandbox may save, tear down and reload everything.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GUEST_PAGE     4096ul
#define GUEST_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define GUEST_SKIPPED  77 /* exit status of a case that can't run here */

struct guest_case {
	const char *name;
	void (*fn)(void);
	struct guest_case *next;
};

struct guest_role {
	const char *name;
	int (*fn)(int argc, char **argv);
	struct guest_role *next;
};

void guest_add_case(struct guest_case *c);
void guest_add_role(struct guest_role *r);

/* Defines a case. It passes if it returns (or exits 0) with no check failed in any descendant. */
#define GUEST_TEST(ident)                                                        \
	static void test_##ident(void);                                          \
	__attribute__((constructor)) static void guest_register_##ident(void)    \
	{                                                                        \
		static struct guest_case guest_c = {#ident, test_##ident, NULL}; \
                                                                                 \
		guest_add_case(&guest_c);                                        \
	}                                                                        \
	static void test_##ident(void)

/* Defines what the program does when it was executed with "role:NAME" as argv[0] or argv[1]; the
 * return value is the exit status. */
#define GUEST_ROLE(ident)                                                        \
	static int role_##ident(int argc, char **argv);                          \
	__attribute__((constructor)) static void guest_register_##ident(void)    \
	{                                                                        \
		static struct guest_role guest_r = {#ident, role_##ident, NULL}; \
                                                                                 \
		guest_add_role(&guest_r);                                        \
	}                                                                        \
	static int role_##ident(int argc __attribute__((unused)),                \
	                        char **argv __attribute__((unused)))

/* A marked point. Under `--autosave request` the sandbox saves and reloads everything here; under
 * GUEST_CROSS=N (or all) the Nth one (every one) prints "@save@" and waits to be checkpointed. May
 * take long. Callable from any thread, process and signal handler; errno is kept. */
#define MAYBE_SAVE() guest_save()
void guest_save(void);

/* Ends the case as one that can't run in this environment. */
#define SKIP(why) guest_skip(why)
_Noreturn void guest_skip(const char *why);

/* Counts a failed check and says why on stderr. */
void guest_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define GUEST_CMP(a, op, b, fatal)                                                                \
	({                                                                                        \
		long long guest_a = (long long)(a), guest_b = (long long)(b);                     \
		bool guest_good = guest_a op guest_b;                                             \
                                                                                                  \
		if (!guest_good)                                                                  \
			guest_fail(__FILE__, __LINE__,                                            \
			           "%s %s %s: %lld (%#llx), %lld (%#llx), errno %d", #a, #op, #b, \
			           guest_a, guest_a, guest_b, guest_b, errno);                    \
		if (!guest_good && fatal)                                                         \
			_exit(1);                                                                 \
		guest_good;                                                                       \
	})

#define EXPECT_EQ(a, b) ((void)GUEST_CMP(a, ==, b, false))
#define EXPECT_NE(a, b) ((void)GUEST_CMP(a, !=, b, false))
#define EXPECT_LT(a, b) ((void)GUEST_CMP(a, <, b, false))
#define EXPECT_LE(a, b) ((void)GUEST_CMP(a, <=, b, false))
#define EXPECT_GT(a, b) ((void)GUEST_CMP(a, >, b, false))
#define EXPECT_GE(a, b) ((void)GUEST_CMP(a, >=, b, false))
#define ASSERT_EQ(a, b) ((void)GUEST_CMP(a, ==, b, true))
#define ASSERT_NE(a, b) ((void)GUEST_CMP(a, !=, b, true))
#define ASSERT_GE(a, b) ((void)GUEST_CMP(a, >=, b, true))

#define GUEST_TRUE(c, fatal)                                                                \
	({                                                                                  \
		bool guest_good = (c);                                                      \
                                                                                            \
		if (!guest_good)                                                            \
			guest_fail(__FILE__, __LINE__, "%s is false, errno %d", #c, errno); \
		if (!guest_good && fatal)                                                   \
			_exit(1);                                                           \
	})
#define EXPECT_TRUE(c)  GUEST_TRUE(c, false)
#define EXPECT_FALSE(c) GUEST_TRUE(!(c), false)
#define ASSERT_TRUE(c)  GUEST_TRUE(c, true)

/* The call fails with -1 and this errno. */
#define EXPECT_ERRNO(call, err)                                                               \
	({                                                                                    \
		errno = 0;                                                                    \
		long long guest_r = (long long)(call);                                        \
		int guest_e = errno;                                                          \
                                                                                              \
		if (guest_r != -1 || guest_e != (err))                                        \
			guest_fail(__FILE__, __LINE__, "%s: returned %lld, errno %d, not %s", \
			           #call, guest_r, guest_e, #err);                            \
	})

/* The call does not fail; the ASSERT form has its value. */
#define EXPECT_OK(call)                                                               \
	({                                                                            \
		long long guest_r = (long long)(call);                                \
                                                                                      \
		if (guest_r == -1)                                                    \
			guest_fail(__FILE__, __LINE__, "%s: errno %d", #call, errno); \
	})
#define ASSERT_OK(call)                                                               \
	({                                                                            \
		__auto_type guest_v = (call);                                         \
                                                                                      \
		if ((long long)guest_v == -1) {                                       \
			guest_fail(__FILE__, __LINE__, "%s: errno %d", #call, errno); \
			_exit(1);                                                     \
		}                                                                     \
		guest_v;                                                              \
	})

#define GUEST_STR(a, b, fatal)                                                             \
	({                                                                                 \
		const char *guest_a = (a), *guest_b = (b);                                 \
		bool guest_good = strcmp(guest_a, guest_b) == 0;                           \
                                                                                           \
		if (!guest_good)                                                           \
			guest_fail(__FILE__, __LINE__, "%s == %s: \"%s\", \"%s\"", #a, #b, \
			           guest_a, guest_b);                                      \
		if (!guest_good && fatal)                                                  \
			_exit(1);                                                          \
	})
#define EXPECT_STREQ(a, b) GUEST_STR(a, b, false)
#define ASSERT_STREQ(a, b) GUEST_STR(a, b, true)

/* A directory of this case's own, made at the first call and removed after the case. */
const char *guest_tmp(void);
/* Path of a name in guest_tmp(); one of 16 rotating buffers of the calling thread. */
const char *guest_path(const char *name);
/* Settings of the whole machine are the sandbox's own: a case that changes them skips elsewhere. */
bool guest_in_sandbox(void);
/* Path of this program, for execve. */
const char *guest_self(void);

/* The case goes on as uid and gid 65534 with no capabilities; skipped if it runs as root and may
 * not. guest_tmp() is chowned along. */
void guest_drop_root(void);

int64_t guest_now(clockid_t clock);
void guest_sleep_ms(int ms);
/* Waits until the task (a thread of this process, or any process) sleeps, so that what follows
 * finds it blocked. Best effort: a check must not depend on it. */
void guest_wait_blocked(pid_t tid);
/* A child that sends sig to the caller when it seems to sleep, and again and again, since it may
 * not have slept in the call that is meant; guest_pester_end ends it. */
pid_t guest_pester(int sig);
/* What the child of guest_pester does, for those that have more to do in it. */
_Noreturn void guest_pester_with(pid_t target, int sig);
void guest_pester_end(pid_t pid);
/* fork that ends the case on failure. */
pid_t guest_fork(void);
/* Waits for this child; returns its exit status, or 1000 + signal. */
int guest_reap(pid_t pid);
/* Runs fn in a child; returns as guest_reap. */
int guest_in_child(void (*fn)(void *), void *arg);

/* A one-bit gate between processes or threads, on pipes: kept across fork. */
struct guest_gate {
	int fd[2];
};
void guest_gate_init(struct guest_gate *g);
void guest_gate_open(struct guest_gate *g);
void guest_gate_wait(struct guest_gate *g);

/* Reads a whole (small) file; the text is NUL terminated, length or -1 returned. */
ssize_t guest_read_file(const char *path, char *buf, size_t size);
void guest_write_file(const char *path, const char *text, mode_t mode);
/* mmap of private anonymous memory, read-write; ends the case on failure. */
void *guest_map(size_t len, int extra_flags);
/* Memory shared with children. */
void *guest_map_shared(size_t len);
