#pragma once
/*
 * UTS namespace (uts_namespaces(7)): host and domain name, and what uname(2) says.
 *
 * Locking: names under lock (RANK_LEAF). Lifetime: refcounted object. Saved: both names.
 */
#include "state/base/lock.h"
#include "state/object.h"

#define UTS_SYSNAME "Linux"
#define UTS_RELEASE "6.1.0-stasis"
#define UTS_VERSION "#1 SMP PREEMPT_DYNAMIC stasis"
#define UTS_MACHINE "x86_64"
#define UTS_LEN     64

struct utsns {
	struct obj obj;
	struct mutex lock;
	char hostname[UTS_LEN + 1];
	char domainname[UTS_LEN + 1];
	u64 ino; /* its number as a file; 0: that of the first; immutable */
};
OBJECT_DECL(utsns);

struct utsns *utsns_new(const char *hostname);
/* A namespace with the same names: unshare(CLONE_NEWUTS). ino: its number. */
struct utsns *utsns_copy(struct utsns *u, u64 ino);
/* Copies at most UTS_LEN bytes and a NUL. */
void utsns_get_hostname(struct utsns *u, char buf[UTS_LEN + 1]);
void utsns_get_domainname(struct utsns *u, char buf[UTS_LEN + 1]);
/* -EINVAL if len > UTS_LEN. */
MUST_CHECK int utsns_set_hostname(struct utsns *u, const char *name, size_t len);
MUST_CHECK int utsns_set_domainname(struct utsns *u, const char *name, size_t len);
