#include "sentry/auth/user_count.h"
#include "state/base/bug.h"
#include "state/base/cleanup.h"
#include "state/base/lock.h"

#include <stdlib.h>
#include <sys/queue.h>

#define BUCKETS 64u

struct user {
	LIST_ENTRY(user) link;
	u32 uid;
	u64 has[USER_COUNTS];
};

/* Of the process: a kernel that is replaced by a load hands nothing over but its users. */
static LIST_HEAD(, user) g_users[BUCKETS];
static struct mutex g_lock = {.m = PTHREAD_MUTEX_INITIALIZER, .rank = RANK_LEAF};

static struct user *find(u32 uid)
{
	struct user *u;

	LIST_FOREACH (u, &g_users[uid % BUCKETS], link) {
		if (u->uid == uid)
			return u;
	}
	return NULL;
}

bool user_charge(u32 uid, enum user_count what, u64 n, u64 max)
{
	struct user *u;
	GUARD(&g_lock);

	u = find(uid);
	if (n > max || (u && u->has[what] > max - n))
		return false;
	if (!u) {
		u = calloc(1, sizeof(*u));
		BUG_ON(!u);
		u->uid = uid;
		LIST_INSERT_HEAD(&g_users[uid % BUCKETS], u, link);
	}
	u->has[what] += n;
	return true;
}

void user_add(u32 uid, enum user_count what, u64 n)
{
	BUG_ON(!user_charge(uid, what, n, UINT64_MAX));
}

void user_sub(u32 uid, enum user_count what, u64 n)
{
	struct user *u;
	GUARD(&g_lock);

	u = find(uid);
	BUG_ON(!u || u->has[what] < n);
	u->has[what] -= n;
	for (unsigned i = 0; i < USER_COUNTS; i++) {
		if (u->has[i])
			return;
	}
	LIST_REMOVE(u, link);
	free(u);
}

u64 user_has(u32 uid, enum user_count what)
{
	struct user *u;
	GUARD(&g_lock);

	u = find(uid);
	return u ? u->has[what] : 0;
}
