/* /proc/sysvipc, as ipcs(1) reads it; the limits of message queues. */
#include "sentry/fs/mqueue/mqueue.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/ipc/ipc.h"
#include "sentry/kernel/kernel.h"

#include <stdlib.h>
#include <string.h>

static int show(struct text *t, struct ctx *c, enum ipc_kind kind)
{
	char *table = ipc_table(c->kernel->ipcns, kind);

	text_append(t, table, strlen(table));
	free(table);
	return 0;
}

static PROC_SHOW(show_shm)
{
	return show(t, c, IPC_SHM);
}

static PROC_SHOW(show_sem)
{
	return show(t, c, IPC_SEM);
}

static PROC_SHOW(show_msg)
{
	return show(t, c, IPC_MSG);
}

#define LIMIT(name)                                     \
	static PROC_SHOW(show_##name)                   \
	{                                               \
		text_printf(t, "%u\n", mq_limits.name); \
		return 0;                               \
	}
LIMIT(queues)
LIMIT(messages)
LIMIT(size)
LIMIT(messages_default)
LIMIT(size_default)

#define REG(n, fn)                                            \
	{                                                     \
		.name = n, .mode = S_IFREG | 0444, .show = fn \
	}

static const struct pseudo_entry ipc_entries[] = {
	REG("msg", show_msg),
	REG("sem", show_sem),
	REG("shm", show_shm),
};
PSEUDO_DIR(proc_sysvipc_dir, .id = "proc.sysvipc", PSEUDO_ENTRIES(ipc_entries));

static const struct pseudo_entry mqueue_entries[] = {
	REG("msg_default", show_messages_default),
	REG("msg_max", show_messages),
	REG("msgsize_default", show_size_default),
	REG("msgsize_max", show_size),
	REG("queues_max", show_queues),
};
PSEUDO_DIR(proc_sys_mqueue, .id = "proc.sys.fs.mqueue", PSEUDO_ENTRIES(mqueue_entries));
