#pragma once
/*
 * The seccomp filter of stubs: calls from outside the blob are trapped (SIGSYS), calls from inside
 * are those that the blob has use for.
 *
 * Locking, lifetime, saved: nothing here has state.
 */
#include "state/base/types.h"

#include <linux/filter.h>

#define STUB_FILTER_MAX 64u

/* Writes the filter; extra are n_extra more call numbers that the blob may use. Returns its
 * length. */
u32 stub_filter(const int *extra, u32 n_extra, struct sock_filter ret_prog[STUB_FILTER_MAX]);
