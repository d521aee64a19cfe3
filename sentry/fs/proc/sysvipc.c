/* /proc/sysvipc, as ipcs(1) reads it; the limits of message queues. */
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
	PROC_SETTING("msg_default", mq_messages_default),
	PROC_SETTING("msg_max", mq_messages),
	PROC_SETTING("msgsize_default", mq_size_default),
	PROC_SETTING("msgsize_max", mq_size),
	PROC_SETTING("queues_max", mq_queues),
};
PSEUDO_DIR(proc_sys_mqueue, .id = "proc.sys.fs.mqueue", PSEUDO_ENTRIES(mqueue_entries));
