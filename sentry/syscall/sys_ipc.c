/* System V IPC: shmget(2), semget(2), msgget(2) and their kin. */
#include "sentry/ipc/ipc.h"
#include "sentry/syscall/sysarg.h"
#include "sentry/syscall/sysmask.h"

#define NS (t->kernel->ipcns)

SYSCALL3(shmget, int, key, u64, size, int, flags)
{
	return ipc_shmget(&t->ctx, NS, key, size, flags);
}

SYSCALL3(shmat, int, id, u64, addr, int, flags)
{
	return ipc_shmat(&t->ctx, NS, id, addr, flags);
}

SYSCALL1(shmdt, u64, addr)
{
	return ipc_shmdt(&t->ctx, NS, addr);
}

SYSCALL3(shmctl, int, id, int, cmd, uaddr_t, buf)
{
	return ipc_shmctl(&t->ctx, NS, id, cmd, buf);
}

SYSCALL3(semget, int, key, int, n, int, flags)
{
	return ipc_semget(&t->ctx, NS, key, n, flags);
}

SYSCALL3(semop, int, id, uaddr_t, ops, u64, n)
{
	return ipc_semop(&t->ctx, NS, id, ops, n, NEVER);
}

SYSCALL4(semtimedop, int, id, uaddr_t, ops, u64, n, uaddr_t, timeout)
{
	struct deadline d;
	long r = sysarg_timeout(&t->ctx, timeout, &d);

	return r < 0 ? r : ipc_semop(&t->ctx, NS, id, ops, n, d);
}

SYSCALL4(semctl, int, id, int, num, int, cmd, u64, arg)
{
	return ipc_semctl(&t->ctx, NS, id, num, cmd, arg);
}

SYSCALL2(msgget, int, key, int, flags)
{
	return ipc_msgget(&t->ctx, NS, key, flags);
}

SYSCALL4(msgsnd, int, id, uaddr_t, msg, u64, len, int, flags)
{
	return ipc_msgsnd(&t->ctx, NS, id, msg, len, flags);
}

SYSCALL5(msgrcv, int, id, uaddr_t, msg, u64, len, s64, type, int, flags)
{
	return ipc_msgrcv(&t->ctx, NS, id, msg, len, type, flags);
}

SYSCALL3(msgctl, int, id, int, cmd, uaddr_t, buf)
{
	return ipc_msgctl(&t->ctx, NS, id, cmd, buf);
}
