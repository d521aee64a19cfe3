#pragma once
/*
 * Tasks (guest threads) and thread groups (guest processes), process groups and sessions.
 *
 * One host thread runs each task through its run states (task_run.c); the task's position is
 * t->run, and a save happens only while every task is parked between two steps.
 *
 * Locking: the tree (pids, parents, children, group lists, exit states) under kernel->tasks_lock;
 * signal state under thread_group->lock (RANK_SIGHAND); ctx pointers are replaced by the task
 * itself under task->lock, others read them with task_get_mm and its kin.
 * Lifetime: a task is referenced by its pid slot until it is reaped, and by its host thread.
 * Saved: everything that Linux would consider the task's state.
 */
#include "platform/platform.h"
#include "sentry/ctx/ctx.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/signal.h"
#include "sentry/mm/uaddr.h"
#include "state/object.h"

#include <pthread.h>
#include <sched.h>
#ifndef SCHED_DEADLINE
#define SCHED_DEADLINE 6
#endif
#include <sys/resource.h>
#include <sys/time.h>

struct creds;
struct fd_table;
struct file;
struct fs_context;
struct itimers;
struct mm;
struct pgrp;
struct posix_timers;
struct run_state;
struct seccomp_filter;
struct session;
struct sighand;
struct strings;
struct task;
struct terminal;
struct thread_group;
struct utsns;

/* One step of a task's life; saved by name (RUN_STATE registers it). */
struct run_state {
	const char *name;
	const struct run_state *(*step)(struct task *t);
};
#define RUN_STATE(id, fn)                                    \
	const struct run_state id = {#id, fn};               \
	static const struct run_state *const id##_registered \
		__attribute__((used, section("run_states"), aligned(sizeof(void *)))) = &id
const struct run_state *run_state_find(const char *name);
extern const struct run_state run_app;       /* in the guest */
extern const struct run_state run_syscall;   /* a call is to be made (again) */
extern const struct run_state run_interrupt; /* signals and stops before the guest goes on */
extern const struct run_state run_exit;      /* this task is leaving */

TAILQ_HEAD(task_list, task);
TAILQ_HEAD(thread_group_list, thread_group);

/* Session (setsid(2)) and process group (setpgid(2)). */
struct session {
	struct obj obj;
	u32 sid;                     /* immutable */
	struct thread_group *leader; /* weak; NULL once it has exited */
	struct terminal *tty;        /* controlling terminal; owned; tasks_lock; NULL: none */
};
OBJECT_DECL(session);
struct pgrp {
	struct obj obj;
	u32 pgid;                         /* immutable */
	struct session *session;          /* immutable, owned */
	struct thread_group_list members; /* weak list; tasks_lock */
};
OBJECT_DECL(pgrp);

enum exit_state {
	TASK_ALIVE,
	TASK_ZOMBIE,
	TASK_DEAD
};
enum stop_state {
	STOP_NONE,
	STOP_PENDING,
	STOP_STOPPED
};

/* What /proc/PID/io tells: bytes and calls of read(2), write(2) and their kin. */
struct io_counts {
	u64 rchar, wchar, syscr, syscw;
};

struct thread_group {
	struct obj obj;
	struct kernel *kernel;       /* immutable, weak */
	struct container *container; /* immutable, weak */
	u32 tgid;                    /* immutable */
	struct task *leader;         /* weak; tasks_lock */
	struct task_list tasks;      /* weak: live and zombie members; tasks_lock */
	u32 n_live;    /* members that have not exited; tasks_lock, READ_ONCE to guess */
	u32 n_exiting; /* members on their way out; lock */
	bool zombie;   /* all have exited; waits to be reaped; tasks_lock */
	TAILQ_ENTRY(thread_group) dead_link; /* exit: to be reaped at once */
	struct thread_group *parent;         /* weak; NULL for init; tasks_lock */
	struct thread_group_list children;   /* weak; tasks_lock */
	TAILQ_ENTRY(thread_group) sibling;
	struct pgrp *pgrp; /* owned; tasks_lock */
	TAILQ_ENTRY(thread_group) pgrp_link;
	bool child_subreaper, has_execed; /* tasks_lock */
	int exit_signal;                  /* what the parent gets, SIGCHLD usually; tasks_lock */
	s32 pdeath_signal;

	struct mutex lock;             /* RANK_SIGHAND */
	struct sighand *sighand;       /* actions; owned; shared by CLONE_SIGHAND groups */
	struct sigqueue shared;        /* signals for whichever thread */
	bool exiting;                  /* exit_group or a fatal signal: exit_status holds */
	s32 exit_status;               /* wait(2) status of the group */
	struct task *execing;          /* weak: the thread that ends the others for execve */
	enum stop_state stop;          /* group stop */
	s32 stop_signo;                /* why; also what wait reports */
	u32 n_stopped;                 /* members parked in run_stopped */
	bool stop_reported, continued; /* wait: WUNTRACED / WCONTINUED state */
	struct waitq child_wait;       /* wait4: a child changed */
	struct waitq stop_wait;        /* members of a stopped group sleep here */
	struct waitq pidfd_wait;       /* pidfds: the group or a thread ended or was reaped */
	struct waitq exec_wait;        /* execve and exit: the number of members changed */

	struct rlimit rlimits[RLIM_NLIMITS]; /* lock */
	struct itimers *itimers;             /* ITIMER_REAL/VIRTUAL/PROF; time helper */
	struct posix_timers *timers;         /* timer_create(2) */
	/* CPU time and faults of members that are gone, and of reaped children; tasks_lock */
	u64 dead_utime, dead_stime, child_utime, child_stime;
	u64 dead_minflt, child_minflt, dead_nvcsw, child_nvcsw;
	struct io_counts dead_io; /* the same of both together; tasks_lock */
	u64 maxrss, child_maxrss; /* bytes */
	s64 start_time;           /* guest monotonic ns; immutable */
	s32 oom_score_adj;
	u32 dump_filter; /* coredump_filter, as its difference from the default */
	bool no_tty;     /* gave its session's terminal up for itself (TIOCNOTTY); tasks_lock */
	u64 exec_id;     /* started by an exec command, which hears of the end; 0: not; immutable */
};
OBJECT_DECL(thread_group);

#define DUMP_FILTER_DEFAULT 0x33u
#define DUMP_FILTER_MASK    0x1ffu

#define TASK_COMM_LEN 16

struct task {
	struct obj obj;
	struct ctx ctx;
	struct kernel *kernel;   /* immutable, weak */
	struct utsns *utsns;     /* owned; replaced by the task itself */
	struct thread_group *tg; /* immutable but for the leader swap of execve; owned */
	TAILQ_ENTRY(task) tg_link;
	u32 tid;                    /* changes only when a thread becomes leader by execve */
	enum exit_state exit_state; /* tasks_lock */
	s32 exit_status;            /* wait(2) status of this thread */
	struct mutex lock;          /* RANK_TASK: publication of mm, fds, fs, creds */

	struct regs regs;   /* owner only */
	struct fpstate *fp; /* FP state as of the last pull, or to be pushed; owner only */
	bool fp_dirty;      /* fp is newer than the context's */
	const struct run_state *run;
	const struct run_state *run_next; /* set by a call that goes elsewhere than back */
	long syscall_ret;                 /* result of the call at hand, until regs take it */
	u64 sysno;                        /* the call at hand; orig number for restarts */
	bool in_syscall;                  /* regs.rax is to become the result / may be restarted */

	sigset64_t blocked, saved_mask; /* tg->lock */
	bool has_saved_mask;            /* saved_mask returns when the call at hand ends */
	struct sigqueue pending;        /* tg->lock */
	struct waitq signal_wait;       /* sigtimedwait, signalfd readers of this task */
	u64 altstack_sp, altstack_size;
	u32 altstack_flags;
	bool group_stop_counted;     /* counted in tg->n_stopped */
	u64 fault_addr, fault_error; /* of the last fault, for sigcontext (cr2, err) */
	u32 fault_trapno;

	u64 set_child_tid, clear_child_tid; /* guest addresses */
	u64 robust_list;
	atomic_bool gave_up_pi;   /* its memory goes: mutexes that it owned are its waiters' */
	_Atomic u32 pi_waits_for; /* tid: whose PI mutex it waits for; 0: none */
	u64 rseq_addr;
	u32 rseq_len, rseq_sig;
	s32 rseq_cpu;              /* the core number in the area; -1: none */
	char comm[TASK_COMM_LEN];  /* lock */
	struct task *vfork_parent; /* owned: sleeps until this task execs or exits */
	struct task *vfork_child;  /* weak: whom run_vfork waits for; tasks_lock */
	struct waitq vfork_done;
	u64 personality;
	/* /proc/PID/loginuid and sessionid, complemented: an image without them has none. */
	u32 login_uid, login_session;
	u64 tsc_mode, timer_slack, timer_slack_default;
	u32 keep_caps;
	cpu_set_t affinity;
	s32 nice, sched_policy, sched_priority;
	bool sched_reset; /* SCHED_RESET_ON_FORK */
	/* Of SCHED_DEADLINE (sched_setattr(2)), ns; 0 with any other policy. lock */
	u64 dl_runtime, dl_deadline, dl_period;
	u32 dl_flags;
	u64 ioprio;
	u32 mempolicy; /* set_mempolicy(2): MPOL_* and MPOL_F_*; the owner */
	s64 start_time;
	u32 seccomp_mode;               /* seccomp.h */
	struct seccomp_filter *seccomp; /* owned */
	/* Counters; written by the owner. */
	_Atomic u64 utime, stime, minflt, majflt, nvcsw, nivcsw, syscalls; /* times in ns */
	struct io_counts io; /* read by others with READ_ONCE */

	/* Vehicles: not saved. */
	_Atomic u64 last_tsc;           /* when utime or stime was last brought up to date */
	u64 recent_utime, recent_stime; /* of them, not yet held against the host's; the owner */
	u64 thread_cpu;                 /* CPU time of the thread when it last was; the owner */
	struct context *context;
	pthread_t thread;
	bool has_thread;
	_Atomic u32 run_flags;  /* for ps: what the host thread is doing */
	const char *waiting_on; /* static text for ps, or NULL */
};
OBJECT_DECL(task);

static inline struct task *ctx_task(struct ctx *c)
{
	return container_of(c, struct task, ctx);
}

/* ---- pid table (root namespace) ---- */
/* A reference for the caller, or NULL. tid may be any thread's. */
struct task *task_find(struct kernel *k, u32 tid);
struct thread_group *thread_group_find(struct kernel *k, u32 tgid);
struct pgrp *pgrp_find_locked(struct kernel *k, u32 pgid);
/* The thread group with the smallest tgid above after, or NULL: to walk all. A reference. */
struct thread_group *thread_group_next(struct kernel *k, u32 after);
/* The task of tg with the smallest tid above after, or NULL. A reference. */
struct task *task_next(struct thread_group *tg, u32 after);
u32 kernel_task_count(struct kernel *k);

/* ---- what others may look at; each returns a reference or NULL (gone) ---- */
struct mm *task_get_mm(struct task *t);
struct fd_table *task_get_fds(struct task *t);
struct fs_context *task_get_fs(struct task *t);
struct creds *task_get_creds(struct task *t);
/* Replaces the caller's own; takes over the reference to new. */
void task_set_creds(struct task *t, struct creds *new);
struct utsns *task_get_utsns(struct task *t);
/* Replaces the caller's own; takes over the reference. */
void task_set_utsns(struct task *t, struct utsns *u);
/* Its real user id. */
u32 task_uid(struct task *t);
/* What it is about to do or does; its owner changes it at any time. */
static inline const struct run_state *task_run_now(const struct task *t)
{
	return __atomic_load_n(&t->run, __ATOMIC_RELAXED);
}
void task_get_comm(struct task *t, char comm[TASK_COMM_LEN]);
void task_set_comm(struct task *t, const char *comm);
/* A call of t's that reads (writes) has returned r: counted if it got as far as the file. */
static inline void task_count_io(struct task *t, bool write, long r)
{
	u64 *chars = write ? &t->io.wchar : &t->io.rchar;
	u64 *calls = write ? &t->io.syscw : &t->io.syscr;

	if (r < 0 && r != -EAGAIN)
		return;
	if (r > 0)
		WRITE_ONCE(*chars, *chars + (u64)r);
	WRITE_ONCE(*calls, *calls + 1);
}
void io_counts_add(struct io_counts *sum, const struct io_counts *more);
/* t's own, or those of its whole process with what ended threads and reaped children left. */
void task_io(struct task *t, bool whole, struct io_counts *ret);
/* 'R' running, 'S' sleeping, 'T' stopped, 'Z' zombie: the letter of /proc/PID/stat. */
char task_state_letter(struct task *t);
/* ptrace(2) "Ptrace access mode checking": may looker see target's memory, environment, links? */
bool task_may_inspect(struct task *looker, struct task *target);
/* Numbers of /proc/PID/stat under tasks_lock. */
u32 thread_group_ppid(struct thread_group *tg);
u32 thread_group_pgid(struct thread_group *tg);
u32 thread_group_sid(struct thread_group *tg);

/* ---- life ---- */
struct clone_args_k {
	u64 flags;
	u64 stack, stack_size; /* sp = stack + stack_size when stack is not 0 */
	u64 tls;
	uaddr_t child_tid, parent_tid, pidfd;
	int exit_signal;
	u32 set_tid; /* 0: next free */
};
/* Namespaces: who asks for any but a user namespace needs CAP_SYS_ADMIN, offered or not. */
#define TASK_CLONE_NEW                                                                \
	(0x00020000ull /* NEWNS */ | 0x02000000 /* CGROUP */ | 0x04000000 /* UTS */ | \
	 0x08000000 /* IPC */ | 0x10000000 /* USER */ | 0x20000000 /* PID */ |        \
	 0x40000000 /* NET */)
/* clone(2), fork(2), vfork(2), clone3(2). The child's tid. */
MUST_CHECK long task_clone(struct task *t, const struct clone_args_k *args);
/* Ends this task / the whole group with a wait(2) status; the run loop does the rest. */
void task_exit(struct task *t, int status);
void task_exit_group(struct task *t, int status);
/* The first task of a container; not yet running. See sentry/boot. */
struct task_init {
	struct container *container;
	struct mm *mm;
	struct creds *creds;
	struct fs_context *fs;
	struct fd_table *fds;
	struct regs regs;
	const char *comm;
	const struct rlimit *rlimits; /* RLIM_NLIMITS */
	u64 ignored, blocked;         /* signal N is bit N-1 */
	int nice;
	u64 exec_id; /* not 0: one more process, without a parent, in a session of its own */
};
/* -EAGAIN: no numbers left; -ESRCH: exec's container has ended. */
MUST_CHECK int task_create_init(struct kernel *k, const struct task_init *init, struct task **ret);
/* The built-in init as pid 1, not yet running: reaps orphans, ignores signals. Before
 * task_create_init. */
MUST_CHECK int task_create_reaper(struct kernel *k, struct creds *creds);
/* Starts the task's host thread. */
MUST_CHECK int task_start(struct task *t);

/* execve(2) after path and vectors were read (the vectors are changed for scripts). 0: the new
 * program runs next (run_next is set); or -errno with the old one intact. */
MUST_CHECK long task_exec(struct task *t, struct file *exe, const char *path, struct strings *argv,
                          struct strings *envp);

/* FP state into t->fp (from the context if that is newer) / to be pushed before the next switch. */
MUST_CHECK int task_pull_fp(struct task *t);
void task_fp_changed(struct task *t);
/* FP state as a program or a signal handler finds it at its start. It was pulled before. */
void task_reset_fp(struct task *t);

/* SS_DISABLE, SS_ONSTACK, SS_AUTODISARM or 0: what sigaltstack(2) reports. */
u32 task_altstack_state(const struct task *t);

/* RLIMIT_x soft limit. */
u64 task_rlimit(struct task *t, int resource);
/* This task's CPU time so far, ns. */
void task_times(struct task *t, u64 *ret_utime, u64 *ret_stime);
void thread_group_times(struct thread_group *tg, u64 *ret_utime, u64 *ret_stime);
/* Members that have been in the guest for long come out for a moment, so that what is read next is
 * a few milliseconds old at most. May take two; holds no lock. */
void thread_group_settle(struct thread_group *tg);
/* The same for all. */
void kernel_settle_times(struct kernel *k);
void thread_group_times_locked(struct thread_group *tg, u64 *ret_utime, u64 *ret_stime);
