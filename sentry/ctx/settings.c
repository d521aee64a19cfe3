#include "sentry/ctx/settings.h"

#include "proto/task.pb-c.h"
#include "sentry/ctx/ctx.h"
#include "sentry/kernel/kernel.h"
#include "state/fields.h"

#include <errno.h>
#include <stddef.h>

static const struct {
	size_t at;
	u64 dflt, least, most;
} table[SETTINGS_COUNT] = {
#define ROW(name, dflt, least, most) {offsetof(struct settings, name), dflt, least, most},
	SETTINGS(ROW)
#undef ROW
};

static _Atomic s64 *place(const struct settings *s, enum setting which)
{
	return (_Atomic s64 *)((uintptr_t)s + table[which].at);
}

static bool in_range(enum setting which, u64 val)
{
	return val >= table[which].least && val <= table[which].most;
}

struct settings *settings_new(void)
{
	return obj_new(settings);
}

u64 setting_get(const struct kernel *k, enum setting which)
{
	/* A part of a kernel, as tests make them, has the defaults. */
	if (unlikely(!k || !k->settings))
		return table[which].dflt;
	return table[which].dflt +
	       (u64)atomic_load_explicit(place(k->settings, which), memory_order_relaxed);
}

u64 setting_of_caller(enum setting which)
{
	struct ctx *c = ctx_current();

	return setting_get(c ? c->kernel : NULL, which);
}

int setting_set(struct kernel *k, enum setting which, u64 val)
{
	if (!in_range(which, val))
		return -EINVAL;
	atomic_store(place(k->settings, which), (s64)(val - table[which].dflt));
	return 0;
}

static int settings_after_load(struct loader *l, void *p)
{
	for (unsigned i = 0; i < SETTINGS_COUNT; i++) {
		if (!in_range(i, table[i].dflt + (u64)atomic_load(place(p, i))))
			return loader_error(l, "setting %u is out of range", i);
	}
	return 0;
}

/* One more than the default, or one less, is a value of each. */
static void settings_sample(struct sampler *sp, void *p)
{
	(void)sp;
	for (unsigned i = 0; i < SETTINGS_COUNT; i++)
		atomic_store(place(p, i), table[i].dflt < table[i].most ? 1 : -1);
}

#define SETTINGS_FIELDS(F)             \
	F(HDR, obj)                    \
	F(ATOMIC, lease_break_time)    \
	F(ATOMIC, leases_enable)       \
	F(ATOMIC, dir_notify_enable)   \
	F(ATOMIC, pipe_max_size)       \
	F(ATOMIC, nr_open)             \
	F(ATOMIC, inotify_instances)   \
	F(ATOMIC, inotify_watches)     \
	F(ATOMIC, epoll_watches)       \
	F(ATOMIC, mq_queues)           \
	F(ATOMIC, mq_messages)         \
	F(ATOMIC, mq_size)             \
	F(ATOMIC, mq_messages_default) \
	F(ATOMIC, mq_size_default)     \
	F(ATOMIC, shmmax)              \
	F(ATOMIC, shmall)              \
	F(ATOMIC, shmmni)              \
	F(ATOMIC, msgmax)              \
	F(ATOMIC, msgmnb)              \
	F(ATOMIC, msgmni)              \
	F(ATOMIC, semmsl)              \
	F(ATOMIC, semmns)              \
	F(ATOMIC, semopm)              \
	F(ATOMIC, semmni)              \
	F(ATOMIC, shm_next_id)         \
	F(ATOMIC, sem_next_id)         \
	F(ATOMIC, msg_next_id)         \
	F(ATOMIC, printk_console)      \
	F(ATOMIC, printk_message)      \
	F(ATOMIC, printk_least)        \
	F(ATOMIC, printk_boot)         \
	F(ATOMIC, printk_saved)        \
	F(ATOMIC, max_map_count)
OBJECT_TYPE(settings, Sentry__Settings, sentry__settings__descriptor, SETTINGS_FIELDS,
            .after_load = settings_after_load, .sample = settings_sample);
