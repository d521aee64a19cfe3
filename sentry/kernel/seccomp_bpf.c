#include "sentry/kernel/seccomp_bpf.h"

#include "sentry/net/cbpf.h"

#include <string.h>

/* Whole words of a struct seccomp_data, and no remainders. */
static bool may(const struct sock_filter *in)
{
	return in->code == (BPF_LD | BPF_W | BPF_ABS) && in->k < sizeof(struct seccomp_data) &&
	       in->k % 4 == 0;
}

int seccomp_bpf_check(const struct sock_filter *insns, u32 n)
{
	return cbpf_check(insns, n, may);
}

static bool word_at(const struct cbpf_data *d, u32 off, u32 size, u32 x, u32 *ret)
{
	memcpy(ret, (const u8 *)d->p + off, sizeof(*ret));
	return true;
}

u32 seccomp_bpf_run(const struct sock_filter *insns, u32 n, const struct seccomp_data *d)
{
	struct cbpf_data data = {.load = word_at, .p = d, .len = sizeof(*d)};
	u32 verdict;

	return cbpf_run(insns, n, &data, &verdict) ? verdict : SECCOMP_RET_KILL_THREAD;
}
