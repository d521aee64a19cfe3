#pragma once
/*
 * What the socket calls share.
 *
 * Locking: none held. Lifetime: references for the caller. Saved: no state.
 */
#include "sentry/net/sockmsg.h"
#include "sentry/syscall/sysarg.h"

/* The socket that fd stands for. -EBADF, -ENOTSOCK. */
MUST_CHECK int sockfd_get(struct task *t, int fd, struct file **ret_file, struct sock **ret);
/* An address from the guest. -EINVAL, -EFAULT. */
MUST_CHECK int sockaddr_get(struct ctx *c, uaddr_t addr, int len, struct sockaddr_storage *ret);
/* An address to the guest, whose buffer's size is at ulen and becomes the address's. */
MUST_CHECK int sockaddr_put(struct ctx *c, const struct sockaddr_storage *a, u32 len, uaddr_t addr,
                            uaddr_t ulen);
