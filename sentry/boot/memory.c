#include "sentry/boot/memory.h"
#include "sentry/kernel/pidns.h"
#include "sentry/mm/heap.h"

#include "state/base/log.h"

#include <string.h>
#include <sys/resource.h>

/* Half of SENTRY_FDS_LEAST, less what the platform keeps for reuse. */
#define OWN_FDS 96u

/* What was asked for now goes before what the bundle or the image says, and that before the host's
 * share. */
static u64 choose(u64 flag, u64 sandbox, u64 share)
{
	return flag ? flag : sandbox ? sandbox : share;
}

/* The host's own limit lies a little above ours: at ours a process is ended in good order, while
 * calls under way find what they need. */
static u64 host_size(u64 limit)
{
	return PAGE_UP(limit + MIN(MAX(limit / 32, 1 * MIB), 64 * MIB));
}

void boot_memory_open(const Control__BootConfig *cfg, struct boot_memory *ret)
{
	/* An image is looked at only later: what it says can't be more than the host's share. */
	u64 limit = choose(cfg->memory_limit, cfg->sandbox ? cfg->sandbox->memory_limit : 0,
	                   cfg->memory_share);

	ret->statm = heap_open();
	ret->huge = memfile_host_huge_always();
	ret->fd = limit ? memfile_bounded(host_size(limit)) : -1;
	if (limit && ret->fd < 0)
		log_info("the host does not bound guest memory for us: %s", strerror(-ret->fd));
}

void boot_set_limits(struct machine *m, const Control__BootConfig *cfg,
                     const Control__Sandbox *sandbox)
{
	struct rlimit files;
	u64 pids = choose(cfg->pids_limit, sandbox->pids_limit, cfg->pids_share);

	m->memfile->limit =
		PAGE_DOWN(choose(cfg->memory_limit, sandbox->memory_limit, cfg->memory_share));
	if (!cfg->memory_limit && cfg->restore && cfg->memory_share)
		m->memfile->limit = MIN(m->memfile->limit, cfg->memory_share);
	pids = MIN(pids ? pids : PID_MAX - 1, PID_MAX - 1);
	/* The gofer holds at least as many descriptors as it donates, within the same limit: half
	 * of ours are enough for those, and some for us. */
	m->mms_max = getrlimit(RLIMIT_NOFILE, &files) < 0
	                     ? 0
	                     : (u32)MIN(files.rlim_cur / 2, (rlim_t)UINT32_MAX) - OWN_FDS;
	heap_attach(m->memfile, m->statm);
	m->pids_max = (u32)(cfg->pids_most ? MIN(pids, cfg->pids_most) : pids);
}
