#pragma once
/* A guest address: cannot be dereferenced, only handed to user_get and its kin. */
#include "state/base/types.h"

typedef struct {
	u64 a;
} uaddr_t;

#define UADDR(x)   ((uaddr_t){(u64)(x)})
#define UADDR_NULL UADDR(0)

static inline bool uaddr_null(uaddr_t u)
{
	return u.a == 0;
}
static inline uaddr_t uaddr_add(uaddr_t u, u64 n)
{
	return UADDR(u.a + n);
}
