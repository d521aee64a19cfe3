#pragma once
/*
 * Scope cleanup. AUTO(T) drops an owned pointer at the end of its scope through T_autop; a function
 * that uses it has no goto. Descriptors and malloc'd memory have their own two.
 */
#include "state/base/types.h"

#include <stdlib.h>
#include <unistd.h>

#define AUTO(T)    __attribute__((cleanup(T##_autop))) struct T *
#define AUTO_FREE  __attribute__((cleanup(free_autop)))
#define AUTO_CLOSE __attribute__((cleanup(close_autop)))

static inline void free_autop(void *p)
{
	free(*(void **)p);
}

/* Closes a descriptor unless it is negative. */
static inline void close_autop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* Hands an owned pointer on: the variable is NULL afterwards. */
#define TAKE(p)                              \
	({                                   \
		__typeof__(p) take_p_ = (p); \
		(p) = NULL;                  \
		take_p_;                     \
	})
/* Hands an owned descriptor on: the variable is -1 afterwards. */
#define TAKE_FD(fd)                  \
	({                           \
		int take_fd_ = (fd); \
		(fd) = -1;           \
		take_fd_;            \
	})
