/* The sentry's confinement apart from system calls, which are filter.c's. */
#include "sentry/boot/sandbox.h"
#include "state/base/cleanup.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static int fail(char **ret_why, const char *what)
{
	int e = errno;

	if (asprintf(ret_why, "cannot confine the sentry: %s: %s", what, strerror(e)) < 0)
		*ret_why = NULL;
	return -e;
}

/* Makes an empty, read-only tmpfs the root and lets go of everything that was mounted. */
static int empty_root(char **ret_why)
{
	/* Any directory will do as the place to mount on for a moment. */
	static const char *const places[] = {"/proc", "/tmp", "/dev", "/sys"};
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(places); i++)
		if (mount("none", places[i], "tmpfs", flags, "size=4k,nr_inodes=4,mode=555") == 0)
			break;
	if (i == ARRAY_SIZE(places))
		return fail(ret_why, "mount an empty root");
	if (chdir(places[i]) < 0)
		return fail(ret_why, "enter the empty root");
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return fail(ret_why, "pivot_root");
	/* The old root is now stacked on the new one at "."; without it the new one is "/". */
	if (umount2(".", MNT_DETACH) < 0)
		return fail(ret_why, "let go of the host's root");
	if (mount("none", "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL) < 0)
		return fail(ret_why, "make the root read-only");
	if (chdir("/") < 0)
		return fail(ret_why, "enter the root");
	return 0;
}

static int become(const Control__BootConfig *cfg, char **ret_why)
{
	uid_t uid = cfg->sandbox_uid;
	gid_t gid = cfg->sandbox_gid;

	/* Fails in a user namespace of an ordinary user, who has none to drop but his own. */
	if (setgroups(0, NULL) < 0 && errno != EPERM)
		return fail(ret_why, "setgroups");
	if (setresgid(gid, gid, gid) < 0)
		return fail(ret_why, "setresgid");
	if (setresuid(uid, uid, uid) < 0)
		return fail(ret_why, "setresuid");
	return 0;
}

static int drop_privileges(char **ret_why)
{
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_apply(CAPNG_SELECT_ALL) != 0) {
		errno = EPERM;
		return fail(ret_why, "drop capabilities");
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail(ret_why, "no_new_privs");
	return 0;
}

static int limits(char **ret_why)
{
	struct rlimit r;

	/* Donated files and stub threads need room: as much as the host lets us have. */
	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &r);
		if (r.rlim_max < SENTRY_FDS_LEAST) {
			errno = EMFILE;
			return fail(ret_why, "RLIMIT_NOFILE is below 256");
		}
	}
	/* A core file would hold the guest's memory. */
	r = (struct rlimit){0, 0};
	(void)setrlimit(RLIMIT_CORE, &r);
	return 0;
}

static void signals(void)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	sigset_t none;
	int i;

	for (i = 1; i < 32; i++)
		if (i != SIGKILL && i != SIGSTOP)
			sigaction(i, &dfl, NULL);
	/* A guest that writes into a closed pipe gets its own SIGPIPE from the sentry. */
	signal(SIGPIPE, SIG_IGN);
	/* The host's limit is not the guest's: a write beyond it fails, and that is all. */
	signal(SIGXFSZ, SIG_IGN);
	/* Changing the modes of a terminal from the background must not stop the whole sandbox. */
	signal(SIGTTOU, SIG_IGN);
	signal(SIGTTIN, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int sentry_confine(const Control__BootConfig *cfg, char **ret_why)
{
	int r;

	signals();
	r = limits(ret_why);
	if (r < 0)
		return r;
	/* With these set, malloc opens neither /sys to count processors nor /proc to see whether it
	 * may shrink a heap (none is as large as the threshold): the filter forbids open. Few
	 * arenas also keep the sentry small. */
	mallopt(M_ARENA_MAX, 4);
	mallopt(M_TRIM_THRESHOLD, 128 * 1024 * 1024);
	mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	umask(077);
	r = empty_root(ret_why);
	if (r < 0)
		return r;
	r = become(cfg, ret_why);
	if (r < 0)
		return r;
	r = drop_privileges(ret_why);
	if (r < 0)
		return r;
	/* After the change of ids, which clears it. In the foreground the sandbox has no business
	 * without the command that waits for it. */
	if (!cfg->detach && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return fail(ret_why, "pdeathsig");
	return 0;
}

void sentry_seal(bool debug)
{
	if (!debug)
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
