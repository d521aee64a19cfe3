#include "cli/host_share.h"
#include "state/base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

/* A thread of the guest is a thread of ours and one of a stub; a process has one more. */
#define HOST_TASKS 3
/* Of what is counted for all of the host, one sandbox takes a quarter at most. */
#define SHARE 4
/* What a task costs us on the host, in memory that no limit of the guest's counts. */
#define TASK_COST (128 * KIB)
/* A stack and its guard page, and as much again for all else. */
#define TASK_MAPS  3
#define PIDS_LEAST 128u

static u64 read_number(const char *path)
{
	FILE *f = fopen(path, "re");
	unsigned long long n = 0;

	if (!f)
		return UINT64_MAX;
	/* "max" is no number. */
	if (fscanf(f, "%llu", &n) != 1)
		n = UINT64_MAX;
	fclose(f);
	return n;
}

/* The smallest limit of that name on the way from our cgroup to the root. */
static u64 cgroup_limit(const char *name)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	u64 least = UINT64_MAX;
	char line[4096] = "", path[4200], *end;

	if (!f)
		return least;
	while (fgets(line, sizeof(line), f) && strncmp(line, "0::", 3) != 0)
		line[0] = 0;
	fclose(f);
	line[strcspn(line, "\n")] = 0;
	if (strncmp(line, "0::/", 4) != 0)
		return least;
	for (;;) {
		snprintf(path, sizeof(path), "/sys/fs/cgroup%s/%s", line + 3, name);
		least = MIN(least, read_number(path));
		end = strrchr(line + 3, '/');
		if (!end)
			return least;
		*end = 0;
	}
}

static u64 soft_limit(int which)
{
	struct rlimit r;

	return getrlimit(which, &r) < 0 || r.rlim_max == RLIM_INFINITY ? UINT64_MAX : r.rlim_max;
}

void host_share(struct host_share *ret)
{
	struct sysinfo si;
	u64 ram = 0, tasks;

	if (sysinfo(&si) == 0)
		ram = (u64)si.totalram * si.mem_unit;
	ram = MIN(ram, cgroup_limit("memory.max"));
	ret->memory = ram / 4 * 3 & ~(u64)PAGE_MASK;

	tasks = MIN(read_number("/proc/sys/kernel/pid_max"),
	            read_number("/proc/sys/kernel/threads-max"));
	tasks = MIN(tasks, MIN(soft_limit(RLIMIT_NPROC), cgroup_limit("pids.max")));
	tasks = tasks / SHARE / HOST_TASKS;
	if (ram)
		tasks = MIN(tasks, ram / 8 / TASK_COST);
	/* Every process of the guest's is a descriptor of ours as well. */
	tasks = MIN(tasks, soft_limit(RLIMIT_NOFILE) / 2);
	ret->pids_most = read_number("/proc/sys/vm/max_map_count") / TASK_MAPS;
	ret->pids = MIN(MAX(tasks, PIDS_LEAST), ret->pids_most);
}

int parse_memory(const char *arg, u64 *ret, struct error *err)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;
	u64 n, factor = 1;

	if (!arg)
		return 0;
	errno = 0;
	n = strtoull(arg, &end, 10);
	if (*end) {
		unit = strchr(units, *end & ~0x20);
		if (!unit || end[1])
			end = NULL;
		else
			factor = KIB << 10 * (unit - units);
	}
	if (!end || *arg < '0' || *arg > '9' || errno || n > INT64_MAX / factor)
		return error_usage(err, "--memory %s: a number of bytes, or with K, M, G or T",
		                   arg);
	if (n * factor < MEMORY_LEAST)
		return error_usage(err, "--memory %s: at least %lluM", arg,
		                   (unsigned long long)(MEMORY_LEAST / MIB));
	*ret = n * factor;
	return 0;
}

int parse_pids(const char *arg, u64 *ret, struct error *err)
{
	char *end;
	u64 n;

	if (!arg)
		return 0;
	errno = 0;
	n = strtoull(arg, &end, 10);
	if (*arg < '0' || *arg > '9' || *end || errno || n == 0)
		return error_usage(err, "--pids %s: a number of tasks, at least 1", arg);
	*ret = n;
	return 0;
}
