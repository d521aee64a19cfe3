/* /sys/class/net: the one interface that there is. */
#include "sentry/fs/pseudo.h"
#include "sentry/kernel/kernel.h"
#include "sentry/net/inet/lo.h"
#include "sentry/net/inet/ports.h"
#include "state/base/cleanup.h"

#include <net/if_arp.h>

extern const struct pseudo_dir sys_class_net;

#define FACT(fn, ...)                                                        \
	static int fn(struct pseudo_inode *i, struct ctx *c, struct text *t) \
	{                                                                    \
		text_printf(t, __VA_ARGS__);                                 \
		return 0;                                                    \
	}
FACT(show_address, "00:00:00:00:00:00\n")
FACT(show_type, "%d\n", ARPHRD_LOOPBACK)
FACT(show_index, "%d\n", LO_INDEX)
FACT(show_0, "0\n")
FACT(show_1, "1\n")
FACT(show_6, "6\n")

#define NUMBER(fn, format, expr)                                             \
	static int fn(struct pseudo_inode *i, struct ctx *c, struct text *t) \
	{                                                                    \
		struct fib *f = &c->kernel->netns->inet->fib;                \
                                                                             \
		GUARD_READ(&f->lock);                                        \
		text_printf(t, format, expr);                                \
		return 0;                                                    \
	}
NUMBER(show_mtu, "%u\n", f->mtu)
NUMBER(show_flags, "0x%x\n", (f->flags | IFF_LOOPBACK) & 0xffff)
NUMBER(show_txqlen, "%u\n", f->txqlen)
NUMBER(show_group, "%u\n", f->group)
NUMBER(show_operstate, "%s\n", f->flags &IFF_UP ? "unknown" : "down")

static int show_bytes(struct pseudo_inode *i, struct ctx *c, struct text *t)
{
	text_printf(
		t, "%llu\n",
		(unsigned long long)atomic_load(&c->kernel->netns->inet->counters[INET_LO_BYTES]));
	return 0;
}

static int show_packets(struct pseudo_inode *i, struct ctx *c, struct text *t)
{
	text_printf(t, "%llu\n",
	            (unsigned long long)atomic_load(
			    &c->kernel->netns->inet->counters[INET_LO_PACKETS]));
	return 0;
}

#define REG(n, fn)                                            \
	{                                                     \
		.name = n, .mode = S_IFREG | 0444, .show = fn \
	}
#define DIR_OF(n, d)                                           \
	{                                                      \
		.name = n, .mode = S_IFDIR | 0755, .dir = &(d) \
	}
static const struct pseudo_entry statistics[] = {
	REG("rx_bytes", show_bytes),     REG("rx_dropped", show_0),       REG("rx_errors", show_0),
	REG("rx_packets", show_packets), REG("tx_bytes", show_bytes),     REG("tx_dropped", show_0),
	REG("tx_errors", show_0),        REG("tx_packets", show_packets),
};
PSEUDO_DIR(sys_net_statistics, .id = "sys.class.net.lo.statistics", PSEUDO_ENTRIES(statistics));

static const struct pseudo_entry lo_entries[] = {
	REG("addr_len", show_6),
	REG("address", show_address),
	REG("broadcast", show_address),
	REG("carrier", show_1),
	REG("dev_id", show_0),
	REG("flags", show_flags),
	REG("ifindex", show_index),
	REG("iflink", show_index),
	REG("mtu", show_mtu),
	REG("netdev_group", show_group),
	REG("operstate", show_operstate),
	DIR_OF("statistics", sys_net_statistics),
	REG("tx_queue_len", show_txqlen),
	REG("type", show_type),
};
PSEUDO_DIR(sys_net_lo, .id = "sys.class.net.lo", PSEUDO_ENTRIES(lo_entries));

static const struct pseudo_entry net_entries[] = {DIR_OF("lo", sys_net_lo)};
PSEUDO_DIR(sys_class_net, .id = "sys.class.net", PSEUDO_ENTRIES(net_entries));
