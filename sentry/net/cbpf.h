#pragma once
/*
 * Classic BPF: its check and its machine, for whoever has something to filter. What a load reads is
 * the user's business: seccomp's filters (sentry/kernel/seccomp_bpf.h) read a call, sockets'
 * (filter.h) a packet.
 *
 * Locking, lifetime: plain functions. Saved: nothing here has state.
 */
#include "state/base/types.h"

#include <linux/filter.h>

/* Every path ends in a return, jumps stay inside, nothing unset is read; loads of data (BPF_ABS,
 * BPF_IND, BPF_MSH) and BPF_MOD are good where may says so. 0 or -EINVAL. */
MUST_CHECK int cbpf_check(const struct sock_filter *insns, u32 n,
                          bool (*may)(const struct sock_filter *in));

/* What a program looks at. */
struct cbpf_data {
	/* size (1, 2 or 4) bytes at off, or an ancillary word (SKF_AD_OFF); x is the register.
	 * false: there is nothing, which ends the program. */
	bool (*load)(const struct cbpf_data *d, u32 off, u32 size, u32 x, u32 *ret);
	const void *p;
	u32 len;
};
/* Runs a program that was checked. false: it ended without a verdict, in a load of what is not
 * there or a division by nothing. */
MUST_CHECK bool cbpf_run(const struct sock_filter *insns, u32 n, const struct cbpf_data *d,
                         u32 *ret);

/* How programs are saved: code, jt, jf, k in 16, 8, 8, 32 bits from the top. */
static inline u64 cbpf_pack(const struct sock_filter *in)
{
	return (u64)in->code << 48 | (u64)in->jt << 40 | (u64)in->jf << 32 | in->k;
}
static inline struct sock_filter cbpf_unpack(u64 w)
{
	return (struct sock_filter){(u16)(w >> 48), (u8)(w >> 40), (u8)(w >> 32), (u32)w};
}
