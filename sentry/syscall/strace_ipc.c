/* What System V IPC points to. */
#include "sentry/syscall/strace_impl.h"

#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>

/* IPC_SET passes the part that can be set. */
static bool sets(const struct call *k)
{
	return (k->a->a[k->nr == SYS_semctl ? 2 : 1] & ~0x100ull) == IPC_SET;
}

static void perm(struct words *w, const char *what, const struct ipc_perm *p, bool set)
{
	words_add(w, "{%s_perm={uid=%u, gid=%u, mode=%#03o", what, p->uid, p->gid, p->mode);
	if (!set)
		words_add(w, ", key=%u, cuid=%u, cgid=%u", (u32)p->__key, p->cuid, p->cgid);
	words_add(w, "}");
}

static bool show_semds(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct semid_ds d;

	STRACE_READ(k, addr, &d);
	perm(w, "sem", &d.sem_perm, sets(k));
	if (!sets(k))
		words_add(w, ", sem_otime=%ld, sem_ctime=%ld, sem_nsems=%lu", d.sem_otime,
		          d.sem_ctime, d.sem_nsems);
	words_add(w, "}");
	return true;
}

static bool show_shmds(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct shmid_ds d;

	STRACE_READ(k, addr, &d);
	perm(w, "shm", &d.shm_perm, sets(k));
	if (!sets(k))
		words_add(w,
		          ", shm_segsz=%zu, shm_cpid=%d, shm_lpid=%d, shm_nattch=%lu, "
		          "shm_atime=%ld, shm_dtime=%ld, shm_ctime=%ld",
		          d.shm_segsz, d.shm_cpid, d.shm_lpid, d.shm_nattch, d.shm_atime,
		          d.shm_dtime, d.shm_ctime);
	words_add(w, "}");
	return true;
}

static bool show_msgds(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct msqid_ds d;

	STRACE_READ(k, addr, &d);
	perm(w, "msg", &d.msg_perm, sets(k));
	if (!sets(k))
		words_add(w, ", msg_stime=%ld, msg_rtime=%ld, msg_ctime=%ld, msg_qnum=%lu",
		          d.msg_stime, d.msg_rtime, d.msg_ctime, d.msg_qnum);
	words_add(w, ", msg_qbytes=%lu", d.msg_qbytes);
	if (!sets(k))
		words_add(w, ", msg_lspid=%d, msg_lrpid=%d", d.msg_lspid, d.msg_lrpid);
	words_add(w, "}");
	return true;
}

static bool show_shminfo(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct shminfo i;

	STRACE_READ(k, addr, &i);
	words_add(w, "{shmmax=%lu, shmmin=%lu, shmmni=%lu, shmseg=%lu, shmall=%lu}", i.shmmax,
	          i.shmmin, i.shmmni, i.shmseg, i.shmall);
	return true;
}

static bool show_shmused(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct shm_info i;

	STRACE_READ(k, addr, &i);
	words_add(w,
	          "{used_ids=%d, shm_tot=%lu, shm_rss=%lu, shm_swp=%lu, swap_attempts=%lu, "
	          "swap_successes=%lu}",
	          i.used_ids, i.shm_tot, i.shm_rss, i.shm_swp, i.swap_attempts, i.swap_successes);
	return true;
}

static bool show_msginfo(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	struct msginfo i;

	STRACE_READ(k, addr, &i);
	words_add(w,
	          "{msgpool=%d, msgmap=%d, msgmax=%d, msgmnb=%d, msgmni=%d, msgssz=%d, msgtql=%d, "
	          "msgseg=%u}",
	          i.msgpool, i.msgmap, i.msgmax, i.msgmnb, i.msgmni, i.msgssz, i.msgtql, i.msgseg);
	return true;
}

static bool show_msgbuf(struct words *w, const struct call *k, u64 addr, unsigned arg)
{
	u64 len = k->a->a[2];
	s64 type;

	STRACE_READ(k, addr, &type);
	words_add(w, "{mtype=%lld, mtext=", (long long)type);
	strace_memory(w, k, addr + sizeof(type), len);
	words_add(w, "}");
	return true;
}

const struct strace_kind strace_kinds_ipc[] = {
	{"semds", show_semds, 0},     {"shmds", show_shmds, 0},
	{"msgds", show_msgds, 0},     {"shminfo", show_shminfo, 0},
	{"shmused", show_shmused, 0}, {"msginfo", show_msginfo, 0},
	{"msgbuf", show_msgbuf, 0},   {0},
};
