#pragma once
/*
 * Credentials: ids, groups, capabilities (credentials(7), capabilities(7)). Immutable once shared:
 * a change makes a copy, as in Linux.
 *
 * Locking: none, immutable. Lifetime: refcounted. Saved: all of it.
 */
#include "state/object.h"

#define CAP_FULL            ((1ull << 41) - 1)
#define NGROUPS_MAX_SANDBOX 65536u

struct creds {
	struct obj obj;
	u32 uid, euid, suid, fsuid;
	u32 gid, egid, sgid, fsgid;
	u64 cap_inheritable, cap_permitted, cap_effective, cap_bounding, cap_ambient;
	u32 securebits;
	bool no_new_privs;
	u32 *groups; /* sorted */
	u32 n_groups;
};
OBJECT_DECL(creds);

/* A private copy to change, then to publish. Never NULL. */
struct creds *creds_copy(const struct creds *c);
/* uid and gid everywhere; all capabilities for uid 0, none otherwise. */
struct creds *creds_new(u32 uid, u32 gid, const u32 *groups, u32 n_groups);
bool creds_capable(const struct creds *c, unsigned cap);
/* gid is the fsgid or one of the groups. */
bool creds_in_group(const struct creds *c, u32 gid);
/* Replaces the groups; takes a copy and sorts it. -EINVAL if too many. */
MUST_CHECK int creds_set_groups(struct creds *c, const u32 *groups, u32 n);
/* What execve does to capabilities and saved ids (capabilities(7)); c is private. suid/sgid are the
 * file's owner if its set-id bit counts, else -1. Returns true if the result is "secure"
 * (AT_SECURE). */
bool creds_exec(struct creds *c, s64 suid, s64 sgid);
/* After a change of uids in a private copy: what the kernel does to capabilities (setuid family).
 */
void creds_fix_caps(struct creds *c, u32 old_uid, u32 old_euid, u32 old_suid);
