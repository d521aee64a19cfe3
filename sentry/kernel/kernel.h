#pragma once
/*
 * The root object of a sandbox: everything that is saved hangs off it.
 *
 * Locking: run/stop state under state_lock (RANK_KERNEL_STATE); the process tree under tasks_lock
 * (RANK_TASKS). Lifetime: one at a time; a restore or an autosave replaces it.
 * Saved: the REFs and values; the vehicles (platform, memfile, threads) are SKIP and handed over.
 */
#include "platform/platform.h"
#include "sentry/mm/memfile.h"
#include "sentry/time/clock.h"
#include "state/base/lock.h"
#include "state/object.h"

struct container;
struct kernel;
struct mm;
struct mount_ns;
struct pidns;
struct task;
struct timers;
struct hostpoll;
struct utsns;

/* What outlives a kernel object: host-side things that a save never holds. One per process. */
struct machine {
	struct platform *platform;
	struct memfile *memfile;
	struct timers *timers;	   /* the timer thread */
	struct hostpoll *hostpoll; /* readiness of host descriptors */
	unsigned ncpu;		   /* cores that the guest sees */
	struct p9_client **gofers; /* by container index */
	unsigned n_gofers;
	int stdio[3];		   /* host descriptors passed through, -1: none */
	bool overlay;		   /* root gets a memory upper */
	bool strace;
	u64 autosave_every;	   /* 0: off */
	bool autosave_on_request;
};

/* Immutable options of the sandbox that are part of its state. */
struct kernel {
	struct obj obj;
	struct machine *machine;  /* not owned; handed over at load */
	struct clocks clocks;
	struct pidns *pidns;	  /* the root pid namespace */
	struct utsns *utsns;
	struct mutex tasks_lock;  /* RANK_TASKS */
	struct mutex state_lock;  /* RANK_KERNEL_STATE */
	u64 next_ino;		  /* atomic: inode numbers of anonymous files, pipes */
	u64 next_id;		  /* atomic: anything else that needs to be unique (mount ids, ...) */
	u64 generation;		  /* restores so far */
	struct kernel_runtime *rt; /* threads, stop flag: not saved */
	TAILQ_HEAD(, mm) mms;	  /* every address space; guarded by mms_lock; rebuilt at load */
	struct mutex mms_lock;	  /* RANK_LEAF ... held only to walk with references */
};
OBJECT_DECL(kernel);
