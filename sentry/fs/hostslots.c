/* Which host descriptors the sandbox was given: the first process's, and those of exec'ed ones. */
#include "sentry/fs/hostfd.h"

#include "sentry/kernel/kernel.h"
#include "state/base/cleanup.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct stdio_table {
	struct mutex lock;
	struct stdio_set {
		u64 owner; /* 0: free */
		int fds[HOST_SLOTS];
	} * sets;
	u32 n;
};

/* Made with the machine's first exec, in the control thread; loads come later or see none. */
int hostfd_add_exec(struct machine *m, u64 owner, const int fds[HOST_SLOTS])
{
	struct stdio_table *t = m->exec_stdio;
	struct stdio_set *more;
	u32 i;

	if (!t) {
		t = calloc(1, sizeof(*t));
		if (!t)
			return -ENOMEM;
		mutex_init(&t->lock, RANK_LEAF);
		m->exec_stdio = t;
	}
	GUARD(&t->lock);
	for (i = 0; i < t->n && t->sets[i].owner; i++)
		;
	if (i == t->n) {
		more = reallocarray(t->sets, t->n + 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		t->sets = more;
		t->n++;
	}
	t->sets[i].owner = owner;
	memcpy(t->sets[i].fds, fds, sizeof(t->sets[i].fds));
	return 0;
}

void hostfd_forget_exec(struct machine *m, u64 owner)
{
	struct stdio_table *t = m->exec_stdio;

	if (!t || !owner)
		return;
	GUARD(&t->lock);
	for (u32 i = 0; i < t->n; i++) {
		if (t->sets[i].owner != owner)
			continue;
		t->sets[i].owner = 0;
		for (u32 j = 0; j < HOST_SLOTS; j++)
			if (t->sets[i].fds[j] >= 0)
				close(t->sets[i].fds[j]);
	}
}

int hostfd_slot(struct machine *m, u64 owner, u32 slot)
{
	struct stdio_table *t;

	if (!m || slot >= HOST_SLOTS)
		return -1;
	if (!owner)
		return m->stdio[slot];
	t = m->exec_stdio;
	if (!t)
		return -1;
	GUARD(&t->lock);
	for (u32 i = 0; i < t->n; i++)
		if (t->sets[i].owner == owner)
			return t->sets[i].fds[slot];
	return -1;
}
