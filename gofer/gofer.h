#pragma once
/*
 * What: the gofer, one process per container, serves chosen host directories and files to the
 * sentry over 9P2000.L (proto/p9.h) and does nothing else.
 * Locking: one thread. Lifetime: gofer_main runs until every connection has ended.
 * Saved: no; a restored sandbox gets a new gofer and reopens by path.
 */
#include "state/base/log.h"
#include "state/base/types.h"

/* What an attach point allows beyond regular files, directories and symbolic links. */
#define GOFER_ALLOW_DEV  0x1u /* open character and block devices */
#define GOFER_ALLOW_FIFO 0x2u /* open FIFOs (never blocking) */

struct gofer_attach {
	const char *name; /* what Tattach calls it (aname); the first also answers to "" */
	const char *path; /* host path, or NULL when fd is given */
	int fd;           /* opened directory or file (O_PATH will do), or -1; the gofer's */
	bool readonly;    /* changes are EROFS */
	unsigned flags;   /* GOFER_ALLOW_* */
};

/*
 * What to remove once the last connection is gone, so that nothing is left behind when the command
 * that started the sandbox was killed: names in dir_fd (not directories), then, if parent_fd >= 0,
 * the directory itself, which is dir_name in parent_fd. What is gone already is no error; a
 * directory that another has put under dir_name since is left alone.
 */
struct gofer_cleanup {
	int dir_fd; /* -1: nothing to clean up */
	const char *const *names;
	size_t n_names;
	int parent_fd;
	const char *dir_name;
};

struct gofer_config {
	const struct gofer_attach *attach;
	size_t n_attach;  /* at least one */
	const int *socks; /* connected SOCK_STREAM unix sockets; the gofer's */
	size_t n_socks;
	int log_fd; /* -1: no log */
	enum log_level log_level;
	u32 max_fids;    /* over all connections; 0: what RLIMIT_NOFILE allows */
	bool unconfined; /* no namespaces, no seccomp, capabilities kept: unit tests and fuzzers */
	struct gofer_cleanup cleanup;
	int hold_fd; /* > 0: kept open to the end, for whoever watches its open description's lock
	              */
};

/*
 * Confines the calling process (see gofer/README.md), serves until the last socket is closed by its
 * peer, cleans up, and returns the exit status: 0, or 1 after a line in the log that says why. To
 * be called with one thread, in a process that has nothing else to do: every descriptor that the
 * config does not name is closed, the working directory, root, umask and signal dispositions
 * change.
 */
int gofer_main(const struct gofer_config *cfg);
