#include "sentry/auth/creds.h"

#include "proto/task.pb-c.h"
#include "state/fields.h"

#include <linux/capability.h>
#include <linux/securebits.h>

static int u32_compare(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return x < y ? -1 : x > y;
}

static int creds_save_groups(struct saver *s, const struct creds *o, Sentry__Creds *m)
{
	(void)s;
	m->groups = o->groups;
	m->n_groups = o->n_groups;
	return 0;
}
static int creds_load_groups(struct loader *l, struct creds *o, const Sentry__Creds *m)
{
	if (m->n_groups > NGROUPS_MAX_SANDBOX)
		return loader_range(l, "groups");
	return creds_set_groups(o, m->groups, (u32)m->n_groups);
}
static void creds_sample_groups(struct sampler *sp, struct creds *o)
{
	u32 g[2] = {(u32)(sampler_value(sp) & 0xff) + 1, 4711};

	BUG_ON(creds_set_groups(o, g, 2) < 0);
}

/* n_groups is the count of groups. */
#define CREDS_FIELDS(X)          \
	X(HDR, obj)              \
	X(VAL, uid)              \
	X(VAL, euid)             \
	X(VAL, suid)             \
	X(VAL, fsuid)            \
	X(VAL, gid)              \
	X(VAL, egid)             \
	X(VAL, sgid)             \
	X(VAL, fsgid)            \
	X(VAL, cap_inheritable)  \
	X(VAL, cap_permitted)    \
	X(VAL, cap_effective)    \
	X(VAL, cap_bounding)     \
	X(VAL, cap_ambient)      \
	X(VAL, securebits)       \
	X(VAL, no_new_privs)     \
	X(CUSTOM, groups, creds) \
	X(SKIP, n_groups)

static void creds_destroy(void *p)
{
	free(((struct creds *)p)->groups);
}
OBJECT_TYPE(creds, Sentry__Creds, sentry__creds__descriptor, CREDS_FIELDS,
            .destroy = creds_destroy);

struct creds *creds_new(u32 uid, u32 gid, const u32 *groups, u32 n_groups)
{
	struct creds *c = obj_new(creds);

	c->uid = c->euid = c->suid = c->fsuid = uid;
	c->gid = c->egid = c->sgid = c->fsgid = gid;
	c->cap_bounding = CAP_FULL;
	if (uid == 0)
		c->cap_permitted = c->cap_effective = CAP_FULL;
	BUG_ON(creds_set_groups(c, groups, n_groups) < 0);
	return c;
}

struct creds *creds_copy(const struct creds *o)
{
	struct creds *c = obj_new(creds);

	c->uid = o->uid;
	c->euid = o->euid;
	c->suid = o->suid;
	c->fsuid = o->fsuid;
	c->gid = o->gid;
	c->egid = o->egid;
	c->sgid = o->sgid;
	c->fsgid = o->fsgid;
	c->cap_inheritable = o->cap_inheritable;
	c->cap_permitted = o->cap_permitted;
	c->cap_effective = o->cap_effective;
	c->cap_bounding = o->cap_bounding;
	c->cap_ambient = o->cap_ambient;
	c->securebits = o->securebits;
	c->no_new_privs = o->no_new_privs;
	BUG_ON(creds_set_groups(c, o->groups, o->n_groups) < 0);
	return c;
}

bool creds_capable(const struct creds *c, unsigned cap)
{
	return cap < 64 && (c->cap_effective >> cap & 1);
}

bool creds_in_group(const struct creds *c, u32 gid)
{
	return c->fsgid == gid || (c->n_groups && bsearch(&gid, c->groups, c->n_groups, sizeof(gid),
	                                                  u32_compare) != NULL);
}

int creds_set_groups(struct creds *c, const u32 *groups, u32 n)
{
	u32 *copy = NULL;

	if (n > NGROUPS_MAX_SANDBOX)
		return -EINVAL;
	if (n) {
		copy = malloc(n * sizeof(*copy));
		if (!copy)
			return -ENOMEM;
		memcpy(copy, groups, n * sizeof(*copy));
		qsort(copy, n, sizeof(*copy), u32_compare);
	}
	free(c->groups);
	c->groups = copy;
	c->n_groups = n;
	return 0;
}

bool creds_exec(struct creds *c, s64 suid, s64 sgid)
{
	bool privileged = false, noroot = (c->securebits & SECBIT_NOROOT) != 0;

	if (!c->no_new_privs) {
		if (suid >= 0 && (u32)suid != c->euid) {
			c->euid = (u32)suid;
			privileged = true;
		}
		if (sgid >= 0 && (u32)sgid != c->egid) {
			c->egid = (u32)sgid;
			privileged = true;
		}
	}
	if (privileged)
		c->cap_ambient = 0;
	if (!noroot && (c->euid == 0 || c->uid == 0)) {
		/* Root's files behave as if they had every capability. */
		c->cap_permitted = c->cap_inheritable | c->cap_bounding;
		c->cap_effective = c->euid == 0 ? c->cap_permitted : 0;
	} else {
		c->cap_permitted = c->cap_ambient;
		c->cap_effective = c->cap_ambient;
	}
	c->suid = c->fsuid = c->euid;
	c->sgid = c->fsgid = c->egid;
	c->securebits &= ~(u32)SECBIT_KEEP_CAPS;
	return c->euid != c->uid || c->egid != c->gid;
}

void creds_fix_caps(struct creds *c, u32 old_uid, u32 old_euid, u32 old_suid)
{
	bool had_root = old_uid == 0 || old_euid == 0 || old_suid == 0;

	if (c->securebits & SECBIT_NO_SETUID_FIXUP)
		return;
	if (had_root && c->uid != 0 && c->euid != 0 && c->suid != 0) {
		if (!(c->securebits & SECBIT_KEEP_CAPS)) {
			c->cap_permitted = 0;
			c->cap_effective = 0;
		}
		c->cap_ambient = 0;
	}
	if (old_euid == 0 && c->euid != 0)
		c->cap_effective = 0;
	if (old_euid != 0 && c->euid == 0)
		c->cap_effective = c->cap_permitted;
}
