#pragma once
/*
 * Guest memory, safely. Every function faults pages in as needed, survives SIGBUS under it, and
 * returns -EFAULT where the guest has no memory. Copy once, then check the copy.
 *
 * Locking: takes the mm's lock shared (exclusive while faulting); callers hold nothing of RANK_MM
 * or lower. Lifetime: no state. Saved: no.
 */
#include "sentry/ctx/ctx.h"
#include "sentry/mm/uaddr.h"

#include <sys/uio.h>

struct uiter_pins;

/* Installs the SIGBUS/SIGSEGV handler that turns faults in guarded copies into -EFAULT. Once. */
MUST_CHECK int usercopy_init(void);

/* All of it, or -EFAULT (what was copied before the bad page stays copied). */
MUST_CHECK int user_copy_in(struct ctx *c, void *dst, uaddr_t src, size_t len);
MUST_CHECK int user_copy_out(struct ctx *c, uaddr_t dst, const void *src, size_t len);
MUST_CHECK int user_zero(struct ctx *c, uaddr_t dst, size_t len);
/* Copies up to the first page that is not there: bytes, or -EFAULT for none. */
MUST_CHECK long user_copy_in_some(struct ctx *c, void *dst, uaddr_t src, size_t len);
/* A string with its NUL into buf. Its length, -ENAMETOOLONG if there is no NUL in size bytes. */
MUST_CHECK long user_get_str(struct ctx *c, uaddr_t src, char *buf, size_t size);

#define user_get(c, src, p_dst) user_copy_in(c, p_dst, src, sizeof(*(p_dst)))
#define user_put(c, dst, p_src) user_copy_out(c, dst, p_src, sizeof(*(p_src)))
static inline MUST_CHECK int user_put_u32(struct ctx *c, uaddr_t dst, u32 v)
{
	return user_copy_out(c, dst, &v, sizeof(v));
}
static inline MUST_CHECK int user_put_u64(struct ctx *c, uaddr_t dst, u64 v)
{
	return user_copy_out(c, dst, &v, sizeof(v));
}
static inline MUST_CHECK int user_get_u32(struct ctx *c, uaddr_t src, u32 *ret)
{
	return user_copy_in(c, ret, src, sizeof(*ret));
}
static inline MUST_CHECK int user_get_u64(struct ctx *c, uaddr_t src, u64 *ret)
{
	return user_copy_in(c, ret, src, sizeof(*ret));
}

/* Atomic access to an aligned u32 of guest memory, for futexes: *ret_old is the value found.
 * -EFAULT, -EINVAL if misaligned. */
MUST_CHECK int user_load_u32(struct ctx *c, uaddr_t a, u32 *ret_old);
MUST_CHECK int user_cmpxchg_u32(struct ctx *c, uaddr_t a, u32 old, u32 new, u32 *ret_old);

/*
 * What identifies the memory behind a futex word: for a private key the mm and the address, for a
 * shared one the mappable (or the mm, for private memory) and the offset. object is compared, not
 * owned. -EFAULT, -EINVAL if misaligned.
 */
struct futex_key {
	const void *object;
	u64 off;
};
MUST_CHECK int user_futex_key(struct ctx *c, uaddr_t a, bool private, struct futex_key *ret);

/*
 * A cursor over memory that a transfer reads from or writes to: guest iovecs, or one kernel buffer
 * (sendfile, exec, coredumps). All file operations take one.
 */
struct uiter {
	struct ctx *c;     /* NULL: kernel memory */
	struct iovec *iov; /* guest: iov_base is a guest address; owned unless it is inline_iov */
	unsigned n;
	u64 skip;    /* bytes of iov[0] that are done */
	u64 count;   /* bytes left in all */
	bool append; /* a write goes to the end of the file whatever its flags say (RWF_APPEND) */
	struct iovec inline_iov[8];
};
/* One guest range. -EINVAL if len > MAX_RW_COUNT is not an error: it is clipped, as in Linux. */
void uiter_init(struct uiter *it, struct ctx *c, uaddr_t a, u64 len);
void uiter_init_kernel(struct uiter *it, void *buf, u64 len);
/* readv(2): copies n iovecs from the guest. -EINVAL (n > 1024, negative or overflowing lengths),
 * -EFAULT. Undone by uiter_finish. */
MUST_CHECK int uiter_init_iov(struct uiter *it, struct ctx *c, uaddr_t iov, u64 n);
void uiter_finish(struct uiter *it);
#define UITER(it) __attribute__((cleanup(uiter_finish))) struct uiter it = {0}
static inline u64 uiter_count(const struct uiter *it)
{
	return it->count;
}
/* Moves up to len bytes and advances. Bytes moved (less than asked at the end, or at a bad page),
 * or -EFAULT if none could be and len > 0 and the cursor is not at its end. */
MUST_CHECK long uiter_copy_out(struct uiter *it, const void *src, size_t len);
MUST_CHECK long uiter_copy_in(struct uiter *it, void *dst, size_t len);
MUST_CHECK long uiter_zero(struct uiter *it, size_t len);
/* Goes forward without copying; n <= count. */
void uiter_advance(struct uiter *it, u64 n);
/* Goes back by n bytes that this cursor moved. */
void uiter_revert(struct uiter *it, u64 n);
/* Shortens what is left to at most n. */
void uiter_truncate(struct uiter *it, u64 n);
/*
 * Host pointers to the next bytes, so that a host read or write moves them without a copy: fills up
 * to n iovecs of memory that stays put until uiter_unpin. access: ACCESS_READ or ACCESS_WRITE as
 * the guest's memory is used. The number filled, or -EFAULT. Advance by what was really moved.
 */
MUST_CHECK int uiter_pin(struct uiter *it, u64 len, u32 access, struct iovec *iov, unsigned n,
                         struct uiter_pins **ret);
void uiter_unpin(struct uiter_pins *pins);
