#pragma once
/* Classic BPF as seccomp has it: programs that read the words of a struct seccomp_data. */
#include "state/base/types.h"

#include <linux/filter.h>
#include <linux/seccomp.h>

/* Every path ends in a return, jumps stay inside, nothing unset is read. 0 or -EINVAL. */
MUST_CHECK int seccomp_bpf_check(const struct sock_filter *insns, u32 n);
/* The verdict of a program that was checked. */
u32 seccomp_bpf_run(const struct sock_filter *insns, u32 n, const struct seccomp_data *d);
