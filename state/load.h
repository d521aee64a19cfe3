#pragma once
/*
 * Loading, in three passes over the records: allocate all, fill all and resolve references,
 * after_load all (in record order). Cycles are free. Everything read is hostile.
 *
 * Locking: single threaded. Lifetime: one loader per load; if any step fails, every object that was
 * made is destroyed. Saved: it is the load.
 */
#include "state/object.h"

/*
 * Resolves a reference and takes a count for the field that will own it. id 0 gives NULL.
 * -EBADMSG if there is no such record or it is not a type (or derived from it).
 */
MUST_CHECK int loader_ref(struct loader *l, u64 id, const struct obj_type *type, void *ret);
/* The same without a count. */
MUST_CHECK int loader_weak(struct loader *l, u64 id, const struct obj_type *type, void *ret);
/* Notes what is wrong with the record at hand ("file kernel.img, record 12 (sentry.Task): ...").
 * Returns -EBADMSG so that callers can return it. */
PRINTF(2, 3) int loader_error(struct loader *l, const char *fmt, ...);
/* The same for what is not the image's fault (a host file that is gone): the whole line, without
 * the record. Returns err. */
PRINTF(3, 4) int loader_fail(struct loader *l, int err, const char *fmt, ...);
/* What the caller of the load handed in (struct kernel_load of the sentry). */
void *loader_user(struct loader *l);
