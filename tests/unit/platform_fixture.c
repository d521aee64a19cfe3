#include "tests/unit/platform_fixture.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Our children in the order of their pids; returns how many. */
static int children(pid_t *ret_pids, int max)
{
	char path[300], line[512];
	int n = 0, ppid, pid;
	struct dirent *d;
	DIR *dir = opendir("/proc");

	while ((d = readdir(dir))) {
		FILE *f;

		pid = atoi(d->d_name);
		if (pid == 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fgets(line, sizeof(line), f) && strrchr(line, ')') &&
		    sscanf(strrchr(line, ')'), ") %*c %d", &ppid) == 1 && ppid == getpid() &&
		    n < max)
			ret_pids[n++] = pid;
		fclose(f);
	}
	closedir(dir);
	return n;
}

void world_init(struct world *w, const char *platform)
{
	const struct platform_ops *ops = platform_find(platform);
	const char *why = NULL;
	int r;

	memset(w, 0, sizeof(*w));
	cr_assert_not_null(ops);
	r = ops->probe(&why);
	cr_assert_eq(r, 0, "%s: %s", platform, why);
	r = platform_create(ops, &w->p);
	cr_assert_eq(r, 0, "create: %s", strerror(-r));
	cr_assert_leq(children(&w->first_child, 1), 1);
	r = aspace_create(w->p, &w->as);
	cr_assert_eq(r, 0, "aspace: %s", strerror(-r));
	cr_assert_eq(context_create(w->p, &w->c), 0);
	w->fd = memfd_create("guest", MFD_CLOEXEC);
	cr_assert_eq(ftruncate(w->fd, MEM_SIZE), 0);
	w->mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
	world_map(w, w->as, CODE_AT, 0, DATA_OFF, PROT_READ | PROT_EXEC);
	world_map(w, w->as, DATA_AT, DATA_OFF, DATA_OFF, PROT_READ | PROT_WRITE);
	w->regs.rip = CODE_AT;
	w->regs.rsp = DATA_AT + DATA_OFF;
}

void world_finish(struct world *w)
{
	context_release(w->c);
	aspace_release(w->as);
	platform_destroy(w->p);
	munmap(w->mem, MEM_SIZE);
	close(w->fd);
}

u64 world_code(struct world *w, u64 at, const u8 *start, const u8 *end)
{
	memcpy(w->mem + at, start, (size_t)(end - start));
	return CODE_AT + at;
}

void world_map(struct world *w, struct aspace *as, u64 addr, u64 off, u64 len, int prot)
{
	int r = aspace_map_file(as, addr, w->fd, off, len, prot, true, false);

	cr_assert_eq(r, 0, "map: %s", strerror(-r));
}

void world_run(struct world *w, enum exit_reason reason)
{
	int r = context_switch(w->c, w->as, &w->regs, &w->e);

	cr_assert_eq(r, 0, "switch: %s", strerror(-r));
	cr_assert_eq(w->e.reason, reason, "reason %d (wanted %d) rip %lx addr %lx sig %d code %d",
	             w->e.reason, reason, w->regs.rip, w->e.addr, w->e.signo, w->e.code);
}

int count_children(void)
{
	pid_t pids[512];

	return children(pids, 512);
}

void kill_stubs(struct world *w)
{
	pid_t pids[512];
	int i, n = children(pids, 512);

	for (i = 0; i < n; i++)
		if (pids[i] != w->first_child)
			kill(pids[i], SIGKILL);
}
