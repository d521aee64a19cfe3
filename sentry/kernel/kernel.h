#pragma once
/*
 * The root object of a sandbox: everything that is saved hangs off it.
 *
 * Locking: run/stop state under state_lock (RANK_KERNEL_STATE); the process tree under tasks_lock
 * (RANK_TASKS). Lifetime: one at a time; a restore or an autosave replaces it.
 * Saved: the REFs and values; the vehicles (platform, memfile, threads) are SKIP and handed over.
 */
#include "platform/platform.h"
#include "sentry/ctx/waitq.h"
#include "sentry/kernel/oom.h"
#include "sentry/mm/memfile.h"
#include "sentry/time/clock.h"
#include "state/base/lock.h"
#include "state/object.h"

#include <sys/queue.h>

struct kernel;
struct ipcns;
struct kernel_runtime;
struct mm;
struct mount_ns;
struct netns;
struct pidns;
struct settings;
struct task;
struct timers;
struct hostpoll;
struct consoles;
struct stdio_table;
struct terminal;
struct utsns;
struct vdso;
struct vdso_machine;

/* What outlives a kernel object: host-side things that a save never holds. One per process. */
struct machine {
	struct platform *platform;
	struct memfile *memfile;
	struct timers *timers;     /* the timer thread */
	struct hostpoll *hostpoll; /* readiness of host descriptors */
	struct vdso_machine *vdso; /* clocks for guests; NULL: they get no vDSO */
	unsigned ncpu;             /* cores that the guest sees */
	int statm;                 /* where the host tells our own memory (mm/heap.h) */
	u32 pids_max;              /* tasks that there may be; 0: as many as there are pids */
	u32 mms_max;               /* address spaces, each a descriptor of ours; 0: no limit */
	struct p9_client **gofers; /* by container index */
	unsigned n_gofers;
	int stdio[3];                   /* host descriptors passed through, -1: none */
	struct stdio_table *exec_stdio; /* those of exec'ed processes; NULL: none (fs/hostfd.h) */
	struct consoles *consoles;      /* ptys that lead to the host (fs/tty/console.h) */
	bool overlay;                   /* root gets a memory upper */
	bool strace;
	u64 autosave_every; /* 0: off */
	_Atomic u64 syscalls_since_save;
	bool autosave_on_request;
};

/* One container of the sandbox: its first process, and how that ended. */
struct container {
	struct obj obj;
	char *id; /* immutable */
	TAILQ_ENTRY(container) link;
	struct thread_group *init;    /* weak; tasks_lock; NULL once it is gone */
	bool exited;                  /* tasks_lock */
	s32 exit_status;              /* wait(2) status; tasks_lock */
	struct mount_ns *root_mnt_ns; /* what exec joins; owned */
	struct terminal *console;     /* the terminal it was started with, /dev/console; owned */
};
OBJECT_DECL(container);

/* Something that lives as long as the kernel and that only higher layers know: derive from it. */
struct kernel_part {
	struct obj obj;
	TAILQ_ENTRY(kernel_part) link;
};
OBJECT_DECL(kernel_part);

struct kernel {
	struct obj obj;
	struct machine *machine; /* not owned; handed over at load */
	struct clocks clocks;
	struct pidns *pidns; /* the root pid namespace */
	struct utsns *utsns;
	struct vdso *vdso;         /* what programs get mapped; owned; NULL: nothing */
	struct netns *netns;       /* what sockets share */
	struct ipcns *ipcns;       /* System V IPC */
	struct settings *settings; /* what /proc/sys changes; owned; immutable */
	TAILQ_HEAD(, container) containers;
	TAILQ_HEAD(, kernel_part) parts; /* tasks_lock */
	struct mutex tasks_lock;         /* RANK_TASKS */
	_Atomic u64 next_ino;            /* inode numbers of anonymous files, pipes */
	_Atomic u64 next_id;             /* anything else that must be unique: mount ids, timers */
	_Atomic u32 login_sessions;      /* the last number of /proc/PID/sessionid given */
	u64 generation;                  /* restores so far */
	struct waitq signalfd_wait;   /* pollers of signalfds: a signal was queued for somebody */
	struct kernel_runtime *rt;    /* host threads, stop flag */
	TAILQ_HEAD(, fasync) fasyncs; /* loaded, not yet attached to their files; rebuilt at load */
	TAILQ_HEAD(, mm) mms;         /* every address space; mms_lock; rebuilt at load */
	struct mutex mms_lock;        /* RANK_LEAF: held only to take references while walking */
	struct oom oom;               /* who is ended for want of memory */
};
OBJECT_DECL(kernel);

/* A fresh kernel for a new sandbox: namespaces, no containers, no tasks. */
struct kernel *kernel_new(struct machine *m);
struct container *container_new(struct kernel *k, const char *id);

static inline u64 kernel_new_ino(struct kernel *k)
{
	return atomic_fetch_add(&k->next_ino, 1);
}
/* The number of a namespace that is made after the first ones. */
static inline u64 kernel_new_ns_ino(struct kernel *k)
{
	return 0xF0000100ull + kernel_new_ino(k);
}
static inline u64 kernel_new_id(struct kernel *k)
{
	return atomic_fetch_add(&k->next_id, 1);
}
