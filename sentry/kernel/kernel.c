/* The root object, containers and the pid table. */
#include "sentry/ctx/settings.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/pidns.h"
#include "sentry/kernel/quiesce.h"
#include "sentry/kernel/terminal.h"
#include "sentry/kernel/utsns.h"
#include "sentry/ipc/ipc.h"
#include "sentry/loader/vdso.h"
#include "sentry/mm/pageload.h"
#include "sentry/net/netns.h"
#include "sentry/vfs/mount.h"

#include "proto/task.pb-c.h"
#include "state/fields.h"

/* ---- container ---- */

static void container_destroy(void *p)
{
	struct container *c = p;

	free(c->id);
	obj_put(c->root_mnt_ns);
	obj_put(c->console);
}

#define CONTAINER_FIELDS(F)                            \
	F(HDR, obj)                                    \
	F(STR, id)                                     \
	F(SKIP, link) /* the kernel's list saves it */ \
	F(WEAK, init, thread_group)                    \
	F(VAL, exited)                                 \
	F(VAL, exit_status)                            \
	F(REF, root_mnt_ns, mount_ns)                  \
	F(REF, console, terminal)
OBJECT_TYPE(container, Sentry__Container, sentry__container__descriptor, CONTAINER_FIELDS,
            .destroy = container_destroy);

struct container *container_new(struct kernel *k, const char *id)
{
	struct container *c = obj_new(container);

	c->id = strdup(id);
	TAILQ_INSERT_TAIL(&k->containers, c, link);
	return c;
}

#define KERNEL_PART_FIELDS(F) F(HDR, obj) F(SKIP, link) /* the kernel's list saves it */
OBJECT_TYPE(kernel_part, Sentry__KernelPart, sentry__kernel_part__descriptor, KERNEL_PART_FIELDS,
            .abstract = true);

/* ---- kernel ---- */

static void kernel_init(void *p)
{
	struct kernel *k = p;

	mutex_init(&k->tasks_lock, RANK_TASKS);
	mutex_init(&k->mms_lock, RANK_LEAF);
	oom_init(&k->oom);
	TAILQ_INIT(&k->containers);
	TAILQ_INIT(&k->parts);
	TAILQ_INIT(&k->fasyncs);
	TAILQ_INIT(&k->mms);
	waitq_init(&k->signalfd_wait);
	k->rt = kernel_runtime_new();
}

static void kernel_destroy(void *p)
{
	struct kernel *k = p;
	struct container *c;
	struct kernel_part *part;

	while ((part = TAILQ_FIRST(&k->parts))) {
		TAILQ_REMOVE(&k->parts, part, link);
		obj_put(part);
	}
	while ((c = TAILQ_FIRST(&k->containers))) {
		TAILQ_REMOVE(&k->containers, c, link);
		obj_put(c);
	}
	obj_put(k->pidns);
	obj_put(k->utsns);
	obj_put(k->vdso);
	obj_put(k->netns);
	obj_put(k->ipcns);
	obj_put(k->settings);
	kernel_runtime_free(k->rt);
}

static int kernel_save_clocks(struct saver *s, const struct kernel *k, Sentry__Kernel *m)
{
	m->clocks = saver_msg(s, Sentry__Clocks, sentry__clocks__init);
	m->clocks->mono_now = k->clocks.stopped ? k->clocks.stopped : clock_mono(&k->clocks);
	m->clocks->boot_realtime = k->clocks.boot_realtime;
	return 0;
}

static int kernel_load_clocks(struct loader *l, struct kernel *k, const Sentry__Kernel *m)
{
	struct timespec now;

	if (!m->clocks)
		return loader_missing(l, "clocks");
	if (m->clocks->mono_now < 0 || m->clocks->mono_now > INT64_MAX / 2)
		return loader_range(l, "clocks");
	clock_gettime(CLOCK_MONOTONIC, &now);
	k->clocks.mono_offset = m->clocks->mono_now - timespec_ns(&now);
	k->clocks.stopped = m->clocks->mono_now;
	k->clocks.boot_realtime = m->clocks->boot_realtime;
	return 0;
}

static int kernel_save_oom(struct saver *s, const struct kernel *k, Sentry__Kernel *m)
{
	m->oom_kills = atomic_load(&k->oom.kills);
	return 0;
}

static int kernel_load_oom(struct loader *l, struct kernel *k, const Sentry__Kernel *m)
{
	k->oom.kills = m->oom_kills;
	return 0;
}

static void kernel_sample_oom(struct sampler *sp, struct kernel *k)
{
	k->oom.kills = sampler_value(sp);
}

static void kernel_sample_clocks(struct sampler *sp, struct kernel *k)
{
	k->clocks.stopped = 12345;
	k->clocks.boot_realtime = (s64)sampler_value(sp);
}

/* Runs before every other after_load: the kernel is the first record. */
static int kernel_after_load(struct loader *l, void *p)
{
	struct kernel_load *kl = loader_user(l);
	struct kernel *k = p;

	if (kl) {
		k->machine = kl->machine;
		kl->kernel = k;
	}
	/* Images of sandboxes that had no sockets yet. */
	if (!k->netns)
		k->netns = netns_new(k);
	netns_loaded(k->netns, k);
	if (!k->ipcns)
		k->ipcns = ipcns_new();
	if (!k->settings)
		k->settings = settings_new();
	return 0;
}

#define KERNEL_FIELDS(F)                              \
	F(HDR, obj)                                   \
	F(SKIP, machine) /* host side, handed over */ \
	F(CUSTOM, clocks, kernel)                     \
	F(REF, pidns, pidns)                          \
	F(REF, utsns, utsns)                          \
	F(REF, vdso, vdso)                            \
	F(REF, netns, netns)                          \
	F(REF, ipcns, ipcns)                          \
	F(REF, settings, settings)                    \
	F(LIST, containers, container, link)          \
	F(LIST, parts, kernel_part, link)             \
	F(SKIP, tasks_lock)                           \
	F(ATOMIC, next_ino)                           \
	F(ATOMIC, next_id)                            \
	F(ATOMIC, login_sessions)                     \
	F(VAL, generation)                            \
	F(SKIP, signalfd_wait)                        \
	F(SKIP, rt)      /* threads are made again */ \
	F(SKIP, fasyncs) /* their files enter them */ \
	F(SKIP, mms)     /* each mm enters itself */  \
	F(SKIP, mms_lock)                             \
	F(CUSTOM, oom, kernel)
OBJECT_TYPE(kernel, Sentry__Kernel, sentry__kernel__descriptor, KERNEL_FIELDS, .init = kernel_init,
            .destroy = kernel_destroy, .after_load = kernel_after_load);

struct kernel *kernel_new(struct machine *m)
{
	struct kernel *k = obj_new(kernel);
	struct timespec now, real;

	clock_gettime(CLOCK_MONOTONIC, &now);
	clock_gettime(CLOCK_REALTIME, &real);
	k->machine = m;
	/* A sandbox's uptime starts at about zero; one second keeps "0 means unset" readers happy.
	 */
	k->clocks.mono_offset = NSEC_PER_SEC - timespec_ns(&now);
	k->clocks.boot_realtime = timespec_ns(&real) - NSEC_PER_SEC;
	k->next_ino = 1;
	k->next_id = 1;
	k->pidns = pidns_new();
	k->utsns = utsns_new("stasis");
	k->netns = netns_new(k);
	k->ipcns = ipcns_new();
	k->settings = settings_new();
	vdso_attach(k);
	return k;
}

/* ---- pid table ---- */

static void pidns_init(void *p)
{
	struct pidns *ns = p;

	ns->slots = calloc(PID_MAX, sizeof(*ns->slots));
	BUG_ON(!ns->slots);
}

static void pidns_destroy(void *p)
{
	struct pidns *ns = p;

	for (u32 i = 0; i < PID_MAX && ns->n_tasks > 0; i++) {
		if (ns->slots[i].task) {
			obj_put(ns->slots[i].task);
			ns->n_tasks--;
		}
	}
	free(ns->slots);
}

static int pidns_save_slots(struct saver *s, const struct pidns *ns, Sentry__Pidns *m)
{
	m->tasks = saver_alloc(s, ns->n_tasks * sizeof(u64));
	for (u32 i = 0; i < PID_MAX && m->n_tasks < ns->n_tasks; i++) {
		if (ns->slots[i].task)
			m->tasks[m->n_tasks++] = saver_ref(s, ns->slots[i].task);
	}
	return 0;
}

static int pidns_load_slots(struct loader *l, struct pidns *ns, const Sentry__Pidns *m)
{
	/* tids are not filled yet: the tasks wait in the first slots, and after_load sorts them. */
	if (m->n_tasks >= PID_MAX)
		return loader_error(l, "%zu tasks are more than there are pids", m->n_tasks);
	for (size_t i = 0; i < m->n_tasks; i++) {
		struct task *t = NULL;
		int r = m->tasks[i] ? loader_ref(l, m->tasks[i], &task_type, &t)
		                    : loader_missing(l, "tasks");

		if (r < 0)
			return r;
		ns->slots[i].task = t;
		ns->n_tasks++;
	}
	return 0;
}

static int pidns_after_load(struct loader *l, void *p)
{
	struct pidns *ns = p;
	struct pid_slot *slots = calloc(PID_MAX, sizeof(*slots));

	BUG_ON(!slots);
	for (u32 i = 0; i < ns->n_tasks; i++) {
		struct task *t = ns->slots[i].task;

		if (t->tid == 0 || t->tid >= PID_MAX || slots[t->tid].task) {
			free(slots);
			return loader_error(l, "tid %u is out of range or taken twice", t->tid);
		}
		slots[t->tid].task = t;
	}
	free(ns->slots);
	ns->slots = slots;
	return 0;
}

static void pidns_sample_slots(struct sampler *sp, struct pidns *ns)
{
	struct task *t = sampler_ref(sp, &task_type);

	t->tid = 7;
	ns->slots[7].task = t;
	ns->n_tasks = 1;
}

#define PIDNS_FIELDS(F)                        \
	F(HDR, obj)                            \
	F(VAL, last_pid)                       \
	F(SKIP, n_tasks) /* counted at load */ \
	F(CUSTOM, slots, pidns)                \
	F(WEAK, init, thread_group)
OBJECT_TYPE(pidns, Sentry__Pidns, sentry__pidns__descriptor, PIDNS_FIELDS, .init = pidns_init,
            .destroy = pidns_destroy, .after_load = pidns_after_load);

struct pidns *pidns_new(void)
{
	return obj_new(pidns);
}

static bool pid_free(const struct pidns *ns, u32 pid)
{
	const struct pid_slot *s = &ns->slots[pid];

	return !s->task && !s->pgrp && !s->session;
}

int pid_alloc_locked(struct pidns *ns, u32 want, u32 *ret)
{
	if (want) {
		if (want >= PID_MAX)
			return -EINVAL;
		if (!pid_free(ns, want))
			return -EEXIST;
		*ret = want;
		return 0;
	}
	for (u32 n = 0, pid = ns->last_pid; n < PID_MAX; n++) {
		/* After a wrap numbers below 300 stay with long-lived daemons, as in Linux. */
		if (++pid >= PID_MAX)
			pid = 300;
		if (pid_free(ns, pid)) {
			ns->last_pid = pid;
			*ret = pid;
			return 0;
		}
	}
	return -EAGAIN;
}

struct task *pid_task_locked(struct pidns *ns, u32 tid)
{
	return tid < PID_MAX ? ns->slots[tid].task : NULL;
}

void pid_add_locked(struct pidns *ns, struct task *t)
{
	BUG_ON(ns->slots[t->tid].task);
	ns->slots[t->tid].task = obj_get(t);
	ns->n_tasks++;
}

struct task *pid_remove_locked(struct pidns *ns, u32 tid)
{
	struct task *t = ns->slots[tid].task;

	if (t) {
		ns->slots[tid].task = NULL;
		ns->n_tasks--;
	}
	return t;
}

bool ctx_pid_exists(struct ctx *c, u32 tgid)
{
	struct task *t = task_find(c->kernel, tgid);

	task_put(t);
	return t != NULL;
}
