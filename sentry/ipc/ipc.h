#pragma once
/*
 * System V IPC (sysvipc(7)): shared memory, semaphores, message queues, and the namespace that
 * holds them.
 *
 * Locking: ipcns->lock (RANK_IPC) guards the list and everything inside the objects; sleepers wait
 * on their object's queue. Guest memory is never touched under it.
 * Lifetime: the namespace owns its objects until IPC_RMID; who is inside a call holds a reference.
 * Saved: all of it but who waits: a parked task makes its call again.
 */
#include "sentry/ctx/ctx.h"
#include "sentry/ctx/waitq.h"
#include "sentry/ipc/ipc_index.h"
#include "sentry/mm/uaddr.h"
#include "state/base/lock.h"
#include "state/object.h"

#include <stdio.h>
#include <sys/ipc.h>

#define IPC_MODE 0777u

enum ipc_kind {
	IPC_SHM,
	IPC_SEM,
	IPC_MSG,
	IPC_KINDS,
};

struct ipc_owner {
	s32 key, id;
	u32 uid, gid, cuid, cgid, mode;
};
/* What the three kinds have in common. */
struct ipc_object {
	struct obj obj;
	TAILQ_ENTRY(ipc_object) link;
	RB_ENTRY(ipc_object) by_key; /* while owner.key is not IPC_PRIVATE */
	struct ipc_owner owner;
	s64 ctime;          /* seconds */
	bool removed;       /* IPC_RMID took it out */
	struct waitq waitq; /* whoever waits for it to change */
};
OBJECT_DECL(ipc_object);

struct ipcns {
	struct obj obj;
	struct mutex lock;
	TAILQ_HEAD(ipc_list, ipc_object) objects;
	u32 serial[IPC_KINDS]; /* how many were ever made: ids don't come back soon */
	struct ipc_index index[IPC_KINDS];
	u64 n_sems;   /* in all sets */
	u32 n_doomed; /* segments that go with their last user */
};
OBJECT_DECL(ipcns);

struct shm_segment;
struct sem_set;
struct msg_queue;

struct ipcns *ipcns_new(void);

/* ---- for the three kinds; the lock held where the name says so ---- */
extern const struct obj_type *const ipc_types[IPC_KINDS];
OBJECT_DECL(shm_segment);
OBJECT_DECL(sem_set);
OBJECT_DECL(msg_queue);
s64 ipc_now(struct ctx *c);
/* Enters o, whose type is of that kind: id, key, owner. -ENOSPC. The list takes a reference. */
MUST_CHECK int ipc_add_locked(struct ipcns *ns, enum ipc_kind kind, struct ctx *c,
                              struct ipc_object *o, s32 key, u32 mode);
/* Takes it out and wakes who waits; the caller drops the returned reference after the lock. */
struct ipc_object *ipc_remove_locked(struct ipcns *ns, struct ipc_object *o);
/* Nobody finds it by its key any more, and it goes when nobody uses it. */
void ipc_doom_locked(struct ipcns *ns, struct ipc_object *o);
/* Borrowed; NULL: none. */
struct ipc_object *ipc_by_key_locked(struct ipcns *ns, enum ipc_kind kind, s32 key);
struct ipc_object *ipc_by_id_locked(struct ipcns *ns, enum ipc_kind kind, s32 id);
/* The n-th slot that *_STAT means, NULL if it is free; the highest slot in use, -1: none. */
struct ipc_object *ipc_by_slot_locked(struct ipcns *ns, enum ipc_kind kind, s32 slot);
s32 ipc_top_slot_locked(struct ipcns *ns, enum ipc_kind kind, u32 *ret_used);
/* What IPC_STAT (by id), *_STAT (by slot) and *_STAT_ANY (and without permission) tell of. -EINVAL,
 * -EACCES. */
MUST_CHECK int ipc_find_stat_locked(struct ctx *c, struct ipcns *ns, enum ipc_kind kind, s32 id,
                                    bool by_slot, bool any, struct ipc_object **ret);
/* want: 4 read, 2 write. -EACCES. */
MUST_CHECK int ipc_may(struct ctx *c, const struct ipc_object *o, u32 want);
/* IPC_SET and IPC_RMID. -EPERM. */
MUST_CHECK int ipc_may_control(struct ctx *c, const struct ipc_object *o);
/* What *get(2) does with an object that exists. Its id, -EEXIST, -EACCES. */
MUST_CHECK long ipc_found(struct ctx *c, const struct ipc_object *o, int flags);
void ipc_perm_out(const struct ipc_object *o, struct ipc_perm *ret);
void ipc_perm_set(struct ctx *c, struct ipc_object *o, const struct ipc_perm *p);

/* /proc/sysvipc: a malloc'd table of all of a kind. */
char *ipc_table(struct ipcns *ns, enum ipc_kind kind);
/* One line of it, without the end. */
void ipc_shm_line_locked(FILE *out, const struct ipc_object *o);
void ipc_sem_line_locked(FILE *out, const struct ipc_object *o);
void ipc_msg_line_locked(FILE *out, const struct ipc_object *o);

/* ---- the calls ---- */
MUST_CHECK long ipc_shmget(struct ctx *c, struct ipcns *ns, s32 key, u64 size, int flags);
MUST_CHECK long ipc_shmat(struct ctx *c, struct ipcns *ns, s32 id, u64 addr, int flags);
MUST_CHECK long ipc_shmdt(struct ctx *c, struct ipcns *ns, u64 addr);
MUST_CHECK long ipc_shmctl(struct ctx *c, struct ipcns *ns, s32 id, int cmd, uaddr_t buf);
MUST_CHECK long ipc_semget(struct ctx *c, struct ipcns *ns, s32 key, int n, int flags);
/* -ERESTARTNOHAND if interrupted. d: semtimedop(2). */
MUST_CHECK long ipc_semop(struct ctx *c, struct ipcns *ns, s32 id, uaddr_t ops, u64 n,
                          struct deadline d);
MUST_CHECK long ipc_semctl(struct ctx *c, struct ipcns *ns, s32 id, int num, int cmd, u64 arg);
MUST_CHECK long ipc_msgget(struct ctx *c, struct ipcns *ns, s32 key, int flags);
MUST_CHECK long ipc_msgsnd(struct ctx *c, struct ipcns *ns, s32 id, uaddr_t msg, u64 len,
                           int flags);
MUST_CHECK long ipc_msgrcv(struct ctx *c, struct ipcns *ns, s32 id, uaddr_t msg, u64 len, s64 type,
                           int flags);
MUST_CHECK long ipc_msgctl(struct ctx *c, struct ipcns *ns, s32 id, int cmd, uaddr_t buf);

/* A process is gone, its memory too: what SEM_UNDO asked for, and segments that were to go with
 * their last user. RANK_TASKS may be held. */
void ipc_exit(struct ipcns *ns, struct clocks *clocks, u32 tgid);
/* How many semaphores o has; 0 if it is no set. */
u32 ipc_sems(const struct ipc_object *o);
/* The two halves of it. */
void ipc_sem_exit_locked(struct ipc_object *o, u32 tgid, s64 now);
/* The reference that is to be dropped after the lock, or NULL. */
struct ipc_object *ipc_shm_sweep_locked(struct ipcns *ns);
