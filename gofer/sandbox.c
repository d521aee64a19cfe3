#define LOG_SUBSYSTEM "gofer"
#include "gofer/server.h"

#include "state/base/cleanup.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MNT_DETACH       2
#define DEFAULT_MAX_FIDS 65536u
/* Descriptors that are no fid's: sockets, log, roots, a file being opened. */
#define SPARE_FDS 256u

/* The first alone if nothing is served to be written. */
static const int kept_caps[] = {CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE, CAP_CHOWN, CAP_FOWNER,
                                CAP_FSETID};

static void set_limits(struct gofer *g, const struct gofer_config *cfg)
{
	rlim_t want = 2 * DEFAULT_MAX_FIDS + SPARE_FDS;
	struct rlimit rl = {want, want};

	if (setrlimit(RLIMIT_NOFILE, &rl) < 0 && getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
	getrlimit(RLIMIT_NOFILE, &rl);
	g->max_fids =
		rl.rlim_cur > 2 * SPARE_FDS ? (u32)MIN(rl.rlim_cur, want) - SPARE_FDS : SPARE_FDS;
	g->max_fids = MIN(g->max_fids, cfg->max_fids ? cfg->max_fids : DEFAULT_MAX_FIDS);
}

static bool kept(int fd, const int *keep, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (keep[i] == fd)
			return true;
	return false;
}

/* A library's message on descriptor 2 must never land in a file of the guest. */
static int null_stdio(const int *keep, size_t n)
{
	AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -errno;
	for (int fd = 0; fd <= 2; fd++)
		if (fd != null && !kept(fd, keep, n) && dup2(null, fd) < 0)
			return -errno;
	if (null <= 2)
		null = -1;
	return 0;
}

static int cmp_int(const void *a, const void *b)
{
	return *(const int *)a < *(const int *)b ? -1 : *(const int *)a > *(const int *)b;
}

static void close_others(int *keep, size_t n)
{
	unsigned from = 3;

	qsort(keep, n, sizeof(*keep), cmp_int);
	for (size_t i = 0; i < n; i++) {
		if (keep[i] < (int)from)
			continue;
		if (keep[i] > (int)from)
			syscall(SYS_close_range, from, (unsigned)keep[i] - 1, 0);
		from = (unsigned)keep[i] + 1;
	}
	syscall(SYS_close_range, from, ~0u, 0);
}

static int write_file(const char *path, const char *text)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return -errno;
	return 0;
}

/* An ordinary user needs a user namespace to have a mount namespace; it maps that user alone. */
static int enter_namespaces(bool privileged)
{
	unsigned uid = geteuid(), gid = getegid();
	char map[32];
	int r;

	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP |
	            (privileged ? 0 : CLONE_NEWUSER)) < 0) {
		r = -errno;
		log_err("cannot make the gofer's namespaces: %s", strerror(-r));
		return r;
	}
	if (privileged)
		return 0;
	/* A process that changed its user cannot write its own map files otherwise. */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	r = write_file("/proc/self/setgroups", "deny");
	if (r == 0)
		r = write_file("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	if (r == 0)
		r = write_file("/proc/self/gid_map", map);
	if (r < 0)
		log_err("cannot map the user into its namespace: %s", strerror(-r));
	return r;
}

static bool same_file(int a, int b)
{
	struct stat sa, sb;

	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

/*
 * A private copy of the mounts at and below path, in no namespace, so that nothing outside it can
 * be reached by walking from it.
 */
static int clone_tree(const char *path, const struct gofer_attach *a, int *ret_fd)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_NOSUID};
	AUTO_CLOSE int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path,
	                                 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	if (fd < 0)
		return -errno;
	if (a->readonly)
		attr.attr_set |= MOUNT_ATTR_RDONLY;
	if (!(a->flags & GOFER_ALLOW_DEV))
		attr.attr_set |= MOUNT_ATTR_NODEV;
	if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) <
	    0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int open_attach(const struct gofer_attach *a, bool confined, int *ret_fd)
{
	char link[32], path[4096];
	ssize_t n;
	int r;

	if (a->path && confined)
		return clone_tree(a->path, a, ret_fd);
	if (a->path) {
		r = open(a->path, O_PATH | O_CLOEXEC);
		if (r < 0)
			return -errno;
		*ret_fd = r;
		return 0;
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", a->fd);
	n = confined ? readlink(link, path, sizeof(path) - 1) : -1;
	if (n > 0) {
		int fd;

		path[n] = 0;
		r = clone_tree(path, a, &fd);
		if (r == 0 && same_file(fd, a->fd)) {
			close(a->fd);
			*ret_fd = fd;
			return 0;
		}
		if (r == 0)
			close(fd);
	}
	/* The file has no path any more, or not here: the descriptor itself serves. */
	*ret_fd = a->fd;
	return 0;
}

static int open_attaches(struct gofer *g, const struct gofer_config *cfg)
{
	for (size_t i = 0; i < cfg->n_attach; i++) {
		const struct gofer_attach *a = &cfg->attach[i];
		int fd, r = open_attach(a, !cfg->unconfined, &fd);
		struct stat st;

		if (r < 0) {
			log_err("%s: %s", a->path ? a->path : a->name, strerror(-r));
			return r;
		}
		g->attach[i] = (struct attach_point){a->name, fd, a->readonly, a->flags};
		g->n_attach++;
		if (fstat(fd, &st) < 0)
			return -errno;
		if (i == 0) {
			g->devs[0].used = true;
			g->devs[0].dev = st.st_dev;
		}
	}
	return 0;
}

/*
 * Makes /proc/self/fd the root and the only mount of this namespace: the one directory that is
 * needed, to open O_PATH descriptors anew, and one that shows nothing else.
 */
static int pivot(int proc)
{
	if (syscall(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    syscall(SYS_move_mount, proc, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
	    fchdir(proc) < 0)
		return -errno;
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return -errno;
	if (syscall(SYS_umount2, ".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

static int drop_caps(bool privileged, const struct gofer_config *cfg)
{
	size_t keep = privileged ? 1 : 0;

	for (size_t i = 0; privileged && i < cfg->n_attach; i++)
		if (!cfg->attach[i].readonly)
			keep = ARRAY_SIZE(kept_caps);
	capng_clear(CAPNG_SELECT_ALL);
	for (size_t i = 0; i < keep; i++)
		if (prctl(PR_CAPBSET_READ, kept_caps[i], 0, 0, 0) == 1)
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED,
			             (unsigned)kept_caps[i]);
	return capng_apply(CAPNG_SELECT_ALL) < 0 ? -EPERM : 0;
}

int sandbox_enter(struct gofer *g, const struct gofer_config *cfg, const int *keep, size_t n_keep)
{
	AUTO_CLOSE int proc = -1;
	AUTO_FREE int *all = calloc(n_keep + cfg->n_attach + 1, sizeof(int));
	bool privileged;
	int r;

	if (!all)
		return -ENOMEM;
	set_limits(g, cfg);
	if (sched_getaffinity(0, sizeof(g->cores), &g->cores) < 0)
		CPU_ZERO(&g->cores);
	umask(0);
	/* Reads /proc once, while there is one. */
	capng_get_caps_process();
	privileged = capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_ADMIN);
	g->can_chown = capng_have_capability(CAPNG_EFFECTIVE, CAP_CHOWN);
	if (cfg->unconfined) {
		r = open_attaches(g, cfg);
		if (r == 0 && chdir("/proc/self/fd") < 0)
			r = -errno;
		return r;
	}
	r = null_stdio(keep, n_keep);
	if (r == 0)
		r = enter_namespaces(privileged);
	if (r == 0)
		r = open_attaches(g, cfg);
	if (r < 0)
		return r;
	memcpy(all, keep, n_keep * sizeof(int));
	for (size_t i = 0; i < g->n_attach; i++)
		all[n_keep + i] = g->attach[i].fd;
	proc = (int)syscall(SYS_open_tree, AT_FDCWD, "/proc/self/fd",
	                    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	r = proc < 0 ? -errno : pivot(proc);
	if (r < 0) {
		log_err("cannot leave the host's root: %s", strerror(-r));
		return r;
	}
	close_others(all, n_keep + g->n_attach);
	proc = -1;
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	r = drop_caps(privileged, cfg);
	if (r < 0) {
		log_err("cannot drop capabilities");
		return r;
	}
	r = filter_load();
	if (r < 0)
		log_err("cannot load the seccomp filter: %s", strerror(-r));
	return r;
}
