#pragma once
/*
 * The null platform: runs nothing. A unit test gives it a list of exits, which switch_to returns
 * one by one, and looks at the maps that were made.
 *
 * Locking: each platform, aspace and context has one lock (RANK_LEAF); any thread. Lifetime: as
 * platform.h says. Saved: no.
 */
#include "platform/platform.h"

/* What one switch_to does. */
struct null_exit {
	struct exit_info exit;
	bool set_regs;    /* the guest leaves with regs; else with those it came with, and at */
	struct regs regs; /* EXIT_SYSCALL with orig_rax = rax */
};

/* Appends n exits to the script of p, which all contexts share; copied. When it is used up,
 * switch_to returns EXIT_DEAD. A kick that is due comes before the next exit. */
void null_script(struct platform *p, const struct null_exit *exits, u32 n);
/* Exits not yet returned. */
u32 null_pending(struct platform *p);

struct null_map {
	u64 addr, len, off;
	int fd, prot;
	bool shared, precommit;
};
/* The mapping that covers addr; false if there is none. */
bool null_map_at(struct aspace *as, u64 addr, struct null_map *ret_map);
/* How many mappings there are. */
u32 null_map_count(struct aspace *as);
