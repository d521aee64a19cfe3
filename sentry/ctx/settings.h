#pragma once
/*
 * What an administrator may change of the kernel (/proc/sys): numbers, each with a range.
 *
 * Locking: none, each is atomic. Lifetime: the kernel's. Saved: what differs from the defaults, so
 * that an image without one has its default.
 */
#include "state/object.h"

struct kernel;

/* S(name, default, least, most). shmmni, msgmni and the like end where tables here end. */
#define SETTINGS(S)                                                                        \
	S(lease_break_time, 45, 0, INT32_MAX)                                              \
	S(leases_enable, 1, 0, 1)                                                          \
	S(dir_notify_enable, 1, 0, 1)                                                      \
	S(pipe_max_size, 1u << 20, 4096, 1u << 31)                                         \
	S(nr_open, 1u << 20, 64, 1u << 20)                                                 \
	S(inotify_instances, 128, 0, INT32_MAX)                                            \
	S(inotify_watches, 65536, 0, INT32_MAX)                                            \
	S(epoll_watches, 1u << 20, 0, INT32_MAX)                                           \
	S(mq_queues, 256, 0, INT32_MAX)                                                    \
	S(mq_messages, 10, 1, 65536)                                                       \
	S(mq_size, 8192, 128, 16u << 20)                                                   \
	S(mq_messages_default, 10, 1, 65536)                                               \
	S(mq_size_default, 8192, 128, 16u << 20)                                           \
	S(shmmax, UINT64_MAX - (1u << 24), 0, UINT64_MAX)                                  \
	S(shmall, UINT64_MAX - (1u << 24), 0, UINT64_MAX)                                  \
	S(shmmni, 4096, 0, 4096)                                                           \
	S(msgmax, 8192, 0, 32u << 20)                                                      \
	S(msgmnb, 16384, 0, INT32_MAX)                                                     \
	S(msgmni, 32000, 0, 32000)                                                         \
	S(semmsl, 32000, 0, 32000)                                                         \
	S(semmns, 1024000000, 0, INT32_MAX)                                                \
	S(semopm, 500, 0, 500)                                                             \
	S(semmni, 32000, 0, 32000)                                                         \
	S(shm_next_id, 0, 0, 1u << 31) /* the id that the next one gets, plus 1; 0: any */ \
	S(sem_next_id, 0, 0, 1u << 31)                                                     \
	S(msg_next_id, 0, 0, 1u << 31)                                                     \
	S(printk_console, 7, 0, INT32_MAX) /* printk: in the order of its file */          \
	S(printk_message, 4, 0, INT32_MAX)                                                 \
	S(printk_least, 1, 0, INT32_MAX)                                                   \
	S(printk_boot, 7, 0, INT32_MAX)                                                    \
	S(printk_saved, 0, 0, INT32_MAX) /* by "console off", plus 1; 0: it is on */       \
	S(max_map_count, 65530, 0, 1u << 20)

struct settings {
	struct obj obj;
#define SETTING_FIELD(name, ...) _Atomic s64 name; /* less the default */
	SETTINGS(SETTING_FIELD)
#undef SETTING_FIELD
};
OBJECT_DECL(settings);

enum setting {
#define SETTING_ID(name, ...) SETTING_##name,
	SETTINGS(SETTING_ID)
#undef SETTING_ID
	SETTINGS_COUNT
};

struct settings *settings_new(void);
u64 setting_get(const struct kernel *k, enum setting which);
/* Of the kernel of whichever task the calling thread runs: for those that know no context. */
u64 setting_of_caller(enum setting which);
#define setting(k, name) setting_get(k, SETTING_##name)
/* -EINVAL: out of range. */
MUST_CHECK int setting_set(struct kernel *k, enum setting which, u64 val);
