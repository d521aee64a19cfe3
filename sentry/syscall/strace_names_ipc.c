/* Names of what System V IPC and message queues are asked. */
#include "sentry/syscall/strace_names.h"

#include <linux/ipc.h>
#include <linux/msg.h>
#include <linux/sem.h>
#include <linux/shm.h>

static const struct name ipc_flags_names[] = {
	N(IPC_CREAT),
	N(IPC_EXCL),
	N(IPC_NOWAIT),
};
static const struct name shm_get_names[] = {
	N(IPC_CREAT),
	N(IPC_EXCL),
	N(SHM_HUGETLB),
	N(SHM_NORESERVE),
};
static const struct name shm_at_names[] = {
	N(SHM_RDONLY),
	N(SHM_RND),
	N(SHM_REMAP),
	N(SHM_EXEC),
};
static const struct name sem_flags_names[] = {
	N(SEM_UNDO),
	N(IPC_CREAT),
	N(IPC_EXCL),
	N(IPC_NOWAIT),
};
static const struct name msgctl_names[] = {
	N(IPC_RMID), N(IPC_SET),  N(IPC_STAT),     N(IPC_INFO),
	N(MSG_STAT), N(MSG_INFO), N(MSG_STAT_ANY),
};
static const struct name semctl_names[] = {
	N(IPC_RMID), N(IPC_SET),      N(IPC_STAT), N(IPC_INFO), N(SEM_STAT),
	N(SEM_INFO), N(SEM_STAT_ANY), N(GETPID),   N(GETVAL),   N(GETALL),
	N(GETNCNT),  N(GETZCNT),      N(SETVAL),   N(SETALL),
};
static const struct name shmctl_names[] = {
	N(IPC_RMID), N(IPC_SET),      N(IPC_STAT), N(IPC_INFO),   N(SHM_STAT),
	N(SHM_INFO), N(SHM_STAT_ANY), N(SHM_LOCK), N(SHM_UNLOCK),
};
static const struct name ipckey_names[] = {
	{0, "IPC_PRIVATE"},
};
static const struct name msg_flags_names[] = {
	N(MSG_NOERROR),
	N(MSG_EXCEPT),
	N(MSG_COPY),
	N(IPC_NOWAIT),
};

const struct name_table strace_names_ipc[] = {
	NAME_TABLE(ipc_flags, "IPC_???"), NAME_TABLE(shm_get, "SHM_???"),
	NAME_TABLE(shm_at, "SHM_???"),    NAME_TABLE(sem_flags, "SEM_???"),
	NAME_TABLE(msgctl, "MSG_???"),    NAME_TABLE(semctl, "SEM_???"),
	NAME_TABLE(shmctl, "SHM_???"),    NAME_TABLE(ipckey, NULL),
	NAME_TABLE(msg_flags, "MSG_???"), {0},
};
