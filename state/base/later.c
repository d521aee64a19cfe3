#include "state/base/later.h"

#include <stddef.h>

_Thread_local struct later *later_first;
_Thread_local bool later_muted;

bool later_add(struct later *l)
{
	struct later **end = &later_first;

	if (later_muted)
		return false;
	while (*end)
		end = &(*end)->next;
	l->next = NULL;
	*end = l;
	return true;
}

void later_run_all(void)
{
	/* An item may add others, and itself again. */
	while (later_first) {
		struct later *l = later_first;

		later_first = l->next;
		l->run(l);
	}
}
