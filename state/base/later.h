#pragma once
/*
 * Work that a thread owes: found while it holds locks (in a wake function), done when it holds
 * none. Every thread has its own list; the places that hold no lock call later_run.
 *
 * Locking: none; a thread's list is its own, and an item is on one list at a time. Lifetime: an
 * item is kept alive by whoever added it, until its function runs. Saved: no; a task's list is
 * empty before it parks.
 */
#include "state/base/types.h"

#include <stdbool.h>

struct later {
	struct later *next;
	void (*run)(struct later *l);
};

extern _Thread_local struct later *later_first;
extern _Thread_local bool later_muted;

/* l->run is set and l is on no list. False: muted, and it will never run. */
MUST_CHECK bool later_add(struct later *l);
void later_run_all(void);

static inline void later_run(void)
{
	if (unlikely(later_first != NULL))
		later_run_all();
}

/* While a thread takes a whole graph of objects apart it takes nothing on. */
static inline void later_mute(bool on)
{
	later_muted = on;
}
