/* Names of what memory is mapped and advised with. */
#include "sentry/syscall/strace_names.h"

#include <linux/mman.h>
#include <linux/membarrier.h>
#include <sys/mman.h>

#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static const struct name prot_names[] = {
	N(PROT_NONE),    N(PROT_READ),      N(PROT_WRITE),   N(PROT_EXEC),
	{8, "PROT_SEM"}, N(PROT_GROWSDOWN), N(PROT_GROWSUP),
};
static const struct name map_names[] = {
	{0, "MAP_FILE"},   N(MAP_SHARED),          N(MAP_PRIVATE),   N(MAP_SHARED_VALIDATE),
	N(MAP_FIXED),      N(MAP_ANONYMOUS),       N(MAP_32BIT),     N(MAP_NORESERVE),
	N(MAP_POPULATE),   N(MAP_NONBLOCK),        N(MAP_GROWSDOWN), N(MAP_DENYWRITE),
	N(MAP_EXECUTABLE), N(MAP_LOCKED),          N(MAP_STACK),     N(MAP_HUGETLB),
	N(MAP_SYNC),       N(MAP_FIXED_NOREPLACE),
};
static const struct name mremap_names[] = {
	N(MREMAP_MAYMOVE),
	N(MREMAP_FIXED),
	N(MREMAP_DONTUNMAP),
};
static const struct name msync_names[] = {
	N(MS_SYNC),
	N(MS_ASYNC),
	N(MS_INVALIDATE),
};
static const struct name madvise_names[] = {
	N(MADV_NORMAL),
	N(MADV_RANDOM),
	N(MADV_SEQUENTIAL),
	N(MADV_WILLNEED),
	N(MADV_DONTNEED),
	N(MADV_FREE),
	N(MADV_REMOVE),
	N(MADV_DONTFORK),
	N(MADV_DOFORK),
	N(MADV_HWPOISON),
	{101, "MADV_SOFT_OFFLINE"},
	N(MADV_MERGEABLE),
	N(MADV_UNMERGEABLE),
	N(MADV_HUGEPAGE),
	N(MADV_NOHUGEPAGE),
	N(MADV_DONTDUMP),
	N(MADV_DODUMP),
	N(MADV_WIPEONFORK),
	N(MADV_KEEPONFORK),
	N(MADV_COLD),
	N(MADV_PAGEOUT),
	N(MADV_POPULATE_READ),
	N(MADV_POPULATE_WRITE),
	N(MADV_DONTNEED_LOCKED),
	N(MADV_COLLAPSE),
};
static const struct name mlock_names[] = {
	N(MLOCK_ONFAULT),
};
static const struct name mlockall_names[] = {
	N(MCL_CURRENT),
	N(MCL_FUTURE),
	N(MCL_ONFAULT),
};
static const struct name membarrier_names[] = {
	N(MEMBARRIER_CMD_QUERY),
	N(MEMBARRIER_CMD_GLOBAL),
	N(MEMBARRIER_CMD_GLOBAL_EXPEDITED),
	N(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED),
	N(MEMBARRIER_CMD_PRIVATE_EXPEDITED),
	N(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED),
	N(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE),
	N(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE),
	{128, "MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ"},
	{256, "MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ"},
};
static const struct name membarrier_flags_names[] = {
	{1, "MEMBARRIER_CMD_FLAG_CPU"},
};

const struct name_table strace_names_memory[] = {
	NAME_TABLE(prot, "PROT_???"),
	NAME_TABLE_NUMBER(map, "MAP_???", 0xf),
	NAME_TABLE(mremap, "MREMAP_???"),
	NAME_TABLE(msync, "MS_???"),
	NAME_TABLE(madvise, "MADV_???"),
	NAME_TABLE(mlock, "MLOCK_???"),
	NAME_TABLE(mlockall, "MCL_???"),
	NAME_TABLE(membarrier, "MEMBARRIER_CMD_???"),
	NAME_TABLE(membarrier_flags, "MEMBARRIER_CMD_FLAG_???"),
	{0},
};
